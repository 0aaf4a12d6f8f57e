"""Lets PoCL 3.0 run on processors that its LLVM 14 does not know.

PoCL asks LLVM for the name of the processor and hands it to clang. LLVM 14 calls a processor that
is younger than itself "generic" (AMD's family 26, among others), and its clang then refuses to
build for x86-64: ``unknown target CPU 'generic'``. No build option and no environment variable of
PoCL changes the name, and the library resolves its own calls (``-Bsymbolic``), so that a function
of the same name loaded before it is not called.

What remains is the function itself: its first 22 bytes are replaced by a jump to
``strdup("x86-64-v3")``, in this process's memory alone, before PoCL looks at its devices. That is
done for the one library whose digest is known here, and only where the bytes are those expected.

Of AMD's processors LLVM 14 knows none with AVX-512: it takes Zen 4 for Zen 3, whose vectors need
several instructions for a shift of 16-bit lanes. Told ``skylake-avx512`` instead, emulated
convolutions take a quarter less time, with the same integers.

Two environment variables:

* ``SHIFTFORGE_POCL_CPU=NAME``: the name that PoCL is told in place of the processor's own.
  ``probe`` sets it where it found that PoCL works with the name, so that child processes need not
  try again.
* ``SHIFTFORGE_POCL_MEND=off``: never change PoCL.

A name below the variants that the library's own kernel functions were compiled for (``x86-64-v2``)
builds and gives wrong numbers: whoever sets one has to look at results, as ``probe`` does.
"""

from __future__ import annotations

import ctypes
import hashlib
import mmap
import os
import struct
from pathlib import Path

from shiftforge.errors import ToolFailed

__all__ = [
    "MEND", "NAME", "REFUSAL", "SUBSTITUTE", "WIDE", "apply_name", "mend_allowed", "wide_name",
]  # fmt: skip

NAME = "SHIFTFORGE_POCL_CPU"
MEND = "SHIFTFORGE_POCL_MEND"
SUBSTITUTE = "x86-64-v3"
"""Haswell's instructions: the oldest that PoCL's kernel functions and its vectors agree on."""
WIDE = "skylake-avx512"
"""The first with AVX-512 that LLVM 14 knows; it keeps to 256-bit vectors where these do."""
_WIDE_FLAGS = {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
REFUSAL = "unknown target CPU 'generic'"
"""What clang says of the name that LLVM gives a processor it does not know."""

_FUNCTION = "pocl_get_llvm_cpu_name"
# pocl-binary-distribution 3.0, the wheel for manylinux2014 x86-64.
_LIBRARIES = {"d214aece60df73c75d8a678d33e4a51f4e5b594772dc74891b5451f909db6025"}
# push rbp; push rbx; sub rsp, 8; call getHostCPUName; test rdx, rdx; je; mov rbp, rax; mov rbx, rdx
_EXPECTED = bytes.fromhex("55534883ec08e8058ab0034885d274304889c54889d3")
_KEPT = (
    "PoCL cannot be told the processor {name}: the system keeps its code from being changed "
    "({reason})"
)
# The text that the jump hands to strdup has to outlive every call.
_told: list[ctypes.Array[ctypes.c_char]] = []


def mend_allowed() -> bool:
    """Whether PoCL may be changed at all (``SHIFTFORGE_POCL_MEND``)."""
    return os.environ.get(MEND, "").lower() not in ("off", "0", "no", "false")


def wide_name(processor: str) -> str:
    """What PoCL is told of an AMD processor with AVX-512; "" of others, where a name is set, and
    where PoCL may not be changed. processor: its part of /proc/cpuinfo."""
    if os.environ.get(NAME) or not mend_allowed() or "AuthenticAMD" not in processor:
        return ""
    return WIDE if set(processor.split()) >= _WIDE_FLAGS else ""


def apply_name(library: Path | None) -> None:
    """Tell PoCL the processor's name that ``SHIFTFORGE_POCL_CPU`` holds; nothing where it is unset.

    library: PoCL's shared library; it is loaded here, before any OpenCL call. Raises ToolFailed
    where the library is another one than the module knows, or the memory cannot be written.
    """
    name = os.environ.get(NAME, "")
    if not name or not mend_allowed() or _told:
        return
    if library is None or _digest(library) not in _LIBRARIES:
        raise ToolFailed(
            f"PoCL cannot be told the processor {name}: its library is not the one of "
            "pocl-binary-distribution 3.0 that ShiftForge knows"
        )
    function = ctypes.cast(getattr(ctypes.CDLL(str(library)), _FUNCTION), ctypes.c_void_p).value
    assert function is not None  # an exported symbol has an address
    found = ctypes.string_at(function, len(_EXPECTED))
    if found != _EXPECTED:
        raise ToolFailed(
            f"PoCL cannot be told the processor {name}: {_FUNCTION} begins with other "
            f"instructions than expected ({found.hex()})"
        )
    _overwrite(function, _jump(name), name)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _jump(name: str) -> bytes:
    """mov rdi, text; mov rax, strdup; jmp rax: the caller frees what it gets, as before."""
    text = ctypes.create_string_buffer(name.encode("ascii", "replace"))
    _told.append(text)
    duplicate = ctypes.cast(ctypes.CDLL(None).strdup, ctypes.c_void_p).value
    code = struct.pack("<2sQ2sQ2s", b"\x48\xbf", ctypes.addressof(text), b"\x48\xb8", duplicate,
                       b"\xff\xe0")  # fmt: skip
    assert len(code) == len(_EXPECTED)
    return code


def _overwrite(address: int, code: bytes, name: str) -> None:
    """Write instructions over a function;"""
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    start = address // mmap.PAGESIZE * mmap.PAGESIZE
    size = address + len(code) - start
    # Never writable and executable at once, which hardened systems refuse.
    if protect(start, size, mmap.PROT_READ | mmap.PROT_WRITE) != 0:
        raise ToolFailed(_KEPT.format(name=name, reason=os.strerror(ctypes.get_errno())))
    ctypes.memmove(address, code, len(code))
    if protect(start, size, mmap.PROT_READ | mmap.PROT_EXEC) != 0:
        raise ToolFailed(_KEPT.format(name=name, reason=os.strerror(ctypes.get_errno())))
