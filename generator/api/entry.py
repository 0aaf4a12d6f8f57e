"""Where the ``shiftforge`` program begins: signals and standard streams before all imports."""

import os
import resource
import sys

from shiftforge import signals

__all__ = ["main"]


def _open_streams() -> None:
    """No file that is opened later may get the number of a standard stream that was closed."""
    for number, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    # Libraries write to it without asking. Results are told where there is no standard output.
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # Names of files need not be text, and not every text has a form in the terminal's code.
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _keep_bytecode() -> None:
    """Where files are limited in size (ulimit -f) Python would cut what it compiles, and read the
    half of it ever after."""
    if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # of children too


def main() -> None:
    """Entry point of the ``shiftforge`` script and of ``python -m shiftforge``."""
    signals.install()
    _open_streams()
    _keep_bytecode()
    try:
        from shiftforge.cli.main import run
    except EOFError as error:
        os.write(2, f"error: half of a file of Python's (remove __pycache__): {error}\n".encode())
        sys.exit(2)
    try:
        signals.ready()
        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while run told of something else
        code = 128 + signals.received()
    signals.finished()
    sys.exit(code)
