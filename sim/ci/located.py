"""Where two contents of a file first differ: a line of a text, a byte of data."""

from __future__ import annotations

from itertools import zip_longest

__all__ = ["first_difference"]

_SHOWN = 60


def first_difference(now: bytes, before: bytes) -> str:
    """In words, such as "line 12 is 'a' and was 'b'"; empty where nothing differs."""
    if now == before:
        return ""
    texts = [_text(data) for data in (now, before)]
    if texts[0] is not None and texts[1] is not None:
        return _line(texts[0], texts[1])
    return _byte(now, before)


def _text(data: bytes) -> str | None:
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _line(now: str, before: str) -> str:
    lines = zip_longest(now.split("\n"), before.split("\n"))
    for number, (own, was) in enumerate(lines, 1):
        if own == was:
            continue
        if own is None:
            return f"ends before line {number}, which was {_shown(was)}"
        if was is None:
            return f"goes on with line {number}, {_shown(own)}"
        at = next(i for i, pair in enumerate(zip_longest(own, was)) if pair[0] != pair[1])
        return f"line {number}, column {at + 1}: {_shown(own, at)}, was {_shown(was, at)}"
    raise AssertionError("equal texts")


def _shown(line: str, at: int = 0) -> str:
    """The part of a line around a place."""
    start = max(0, at - _SHOWN // 2)
    part = line[start : start + _SHOWN].strip()
    return repr(f"{'…' if start else ''}{part}{'…' if len(line) > start + _SHOWN else ''}")


def _byte(now: bytes, before: bytes) -> str:
    shorter = min(len(now), len(before))
    at = next((i for i in range(shorter) if now[i] != before[i]), shorter)
    sizes = "" if len(now) == len(before) else f"; {len(now):,} bytes, was {len(before):,}"
    if at == shorter:
        return f"byte {at:,} is where it {'ends' if len(now) == shorter else 'goes on'}{sizes}"
    return f"byte {at:,} is 0x{now[at]:02X}, was 0x{before[at]:02X}{sizes}"
