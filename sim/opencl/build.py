"""Building device text, and what of a compiler's log a person needs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shiftforge.errors import InputError, Problem, ToolFailed
from shiftforge.files import read_text

if TYPE_CHECKING:
    import pyopencl

__all__ = ["NO_LINKER", "build_program", "device_text", "from_first_error", "lacks_linker"]

_ERROR = re.compile(
    r"^%(?:Error|Warning)|\b(?:fatal )?error\b\s*:|\bError\(s\)|\bunknown target CPU\b",
    re.IGNORECASE,
)
_SAVED = re.compile(r"\(source saved as (.*)\)")
# PoCL's temporary file, and Intel's number of the source.
_OWN_FILE = re.compile(r"\S*tempfile_\w+\.cl:|^1:(?=\d+:\d+: )", re.MULTILINE)
_MOST_LINES = 40
_LINKING = "final linking of kernel"
NO_LINKER = "PoCL links its kernels with ld, which is not on PATH"


def device_text(path: Path) -> str:
    """A project's device text. Raises InputError where it is missing, not text, or empty."""
    remedy = "run `shiftforge generate` again into an empty folder"
    text = read_text(path, remedy=remedy)
    if not text.strip():
        raise InputError(Problem("is empty", remedy, str(path)))
    return text


def lacks_linker(told: str) -> bool:
    """Whether PoCL failed, or ended its process, because the system has no linker."""
    return _LINKING in told.lower() and shutil.which("ld") is None


def build_program(
    context: pyopencl.Context, source: str, options: Sequence[str] = (), name: str = "kernels"
) -> pyopencl.Program:
    """Device text compiled for the device of a context.

    name: of the text in messages, in place of the compiler's own temporary file. Raises ToolFailed
    with the compiler's log from its first error on where it refuses the text.
    """
    import pyopencl as cl

    try:
        program: cl.Program = cl.Program(context, source).build(options=list(options))
        return program
    except cl.Error as error:
        text = str(error)
        # pyopencl leaves a copy of the source in the temporary folder; the project has its own.
        for path in _SAVED.findall(text):
            Path(path).unlink(missing_ok=True)
        log = _OWN_FILE.sub(f"{name}:", _SAVED.sub("", text))
    raise ToolFailed(f"the device's compiler refused the kernels\n{from_first_error(log)}")


def from_first_error(log: str) -> str:
    """A compiler's log from the first line that tells of an error; the whole, if none does.

    Lines are left as they are, so that paths stay whole; those after the fortieth are counted.
    """
    lines = [line.rstrip() for line in log.strip().splitlines() if line.strip()]
    first = next((i for i, line in enumerate(lines) if _ERROR.search(line)), 0)
    told = lines[first : first + _MOST_LINES]
    left = len(lines) - first - len(told)
    return "\n".join([*told, f"({left} more lines)"] if left else told)
