"""Signals that end the command line: SIGINT, SIGTERM, SIGHUP. Imports next to nothing.

Until ``ready`` a signal ends the process at once, with a line and no traceback: nothing has begun.
After it a signal raises KeyboardInterrupt, so that children and temporary files go as after an
error; ``received`` tells which one came, whatever some library made of the exception.
"""

import os
import signal
import time

__all__ = ["StoppedError", "finished", "install", "ready", "received", "stop_text"]

# A sender may signal a process and its group: one signal for the work in progress, not two.
_SAME_S = 1.0


class StoppedError(KeyboardInterrupt):
    """A signal came. Python notes a plain KeyboardInterrupt, and kills itself after all is done."""


class _State:
    ready = False
    number = 0
    raised = 0.0


def _handle(number: int, frame: object) -> None:
    if not _State.ready:
        try:
            os.write(2, stop_text(number).encode() + b"\n")
        finally:
            os._exit(128 + number)
    now = time.monotonic()
    repeated = _State.number != 0 and now - _State.raised < _SAME_S
    if repeated:
        return
    _State.number, _State.raised = _State.number or number, now
    raise StoppedError


def install() -> None:
    """Take the signals over; one that was ignored when the process began (nohup) stays ignored."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)


def ready() -> None:
    """From now on a signal is an exception."""
    _State.ready = True


def finished() -> None:
    """Nothing is left to clear away: a signal ends the process at once and silently."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is _handle:
            signal.signal(number, signal.SIG_DFL)


def received() -> int:
    """The number of the signal that came, 0 where none did."""
    return _State.number


def stop_text(number: int) -> str:
    """What is told of it."""
    if number in (0, signal.SIGINT):
        return "interrupted"
    return f"ended by {signal.Signals(number).name}"
