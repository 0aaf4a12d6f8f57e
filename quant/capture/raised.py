"""What a user's own code raised, in one line."""

from __future__ import annotations

import re

__all__ = ["reason"]

_LONGEST = 300


def reason(error: BaseException, *, whole: bool = False) -> str:
    """ "Type: first line of its text", at most 300 characters and never an error of its own.

    whole: all of its lines, in one.
    """
    kind = type(error).__name__
    try:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    except Exception:  # a __str__ of the user's
        lines = []
    # Terminal colours and other control characters would reach the user's screen.
    said = " ".join(lines if whole else lines[:1])
    text = re.sub(r"\x1b\[[0-9;]*m|[\x00-\x1f\x7f-\x9f]", "", said)
    told = f"{kind}: {text}" if text else kind
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}..."
