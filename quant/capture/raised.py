"""What a user's own code raised, in one line."""

from __future__ import annotations

import re

__all__ = ["reason"]

_LONGEST = 300


def reason(error: BaseException) -> str:
    """ "Type: first line of its text", at most 300 characters and never an error of its own."""
    kind = type(error).__name__
    try:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    except Exception:  # a __str__ of the user's
        lines = []
    # Terminal colours and other control characters would reach the user's screen.
    text = re.sub(r"\x1b\[[0-9;]*m|[\x00-\x1f\x7f-\x9f]", "", lines[0] if lines else "")
    whole = f"{kind}: {text}" if text else kind
    return whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]}..."
