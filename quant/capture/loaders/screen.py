"""What a file is, from its bytes alone, before anything that could run its content reads it."""

from __future__ import annotations

import operator
import os
from pathlib import Path

from shiftforge.errors import InputError, Problem
from shiftforge.files import open_file
from shiftforge.jsontext import parse_json
from shiftforge.quant.capture.loaders.torch_zip import RESAVE_ZIP, check_archive

__all__ = ["MAX_BYTES", "check_file", "check_hdf5", "check_safetensors", "check_torch_zip"]

# A hundred times the largest network this project plans for.
MAX_BYTES = 2 << 30
MAX_HEADER = 64 << 20
RESAVE = (
    "in a trusted environment: safetensors.torch.save_file(torch.load(PATH, weights_only=True), "
    "'model.safetensors')"
)


def _refuse(path: Path, what: str, remedy: str) -> InputError:
    return InputError(Problem(what, remedy, str(path)))


def check_file(path: Path, least: int = 16) -> bytes:
    """The first 16 bytes of a regular file of a plausible size; InputError otherwise."""
    with open_file(path, "check the path") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(16)
    if size < least:
        raise _refuse(path, f"it holds only {size} bytes", "fetch it again, it is cut short")
    if size > MAX_BYTES:
        raise _refuse(
            path, f"it holds {size} bytes, more than {MAX_BYTES}", "give a file of weights alone"
        )
    return head


def _looks_pickled(head: bytes) -> bool:
    # Protocol 2 and later begin with 0x80; older text pickles begin with a mark or a global.
    return (head[0] == 0x80 and head[1] <= 5) or head[:1] in (b"(", b"c", b"}", b"]")


def check_safetensors(path: Path) -> None:
    """Check that a file is a complete safetensors file: header, and every byte it promises."""
    head = check_file(path)
    length = int.from_bytes(head[:8], "little")
    if head[8:9] != b"{":
        if head.startswith(b"PK") or _looks_pickled(head):
            raise _refuse(
                path, "it is a pickle, not safetensors: loading it could run code", RESAVE
            )
        raise _refuse(path, "it is not a safetensors file", "give a folder saved by transformers")
    size = path.stat().st_size
    if length > MAX_HEADER or 8 + length > size:
        raise _refuse(path, "its header is longer than the file", "fetch it again, it is cut short")
    with open_file(path) as file:
        file.seek(8)
        text = file.read(length)
    again = "fetch or save it again"
    try:
        header = parse_json(text.decode("utf-8"), str(path), again)
        ends = [
            operator.index(entry["data_offsets"][1])
            for key, entry in header.items()
            if key != "__metadata__"
        ]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise _refuse(path, "its header is not valid", again) from error
    if 8 + length + max(ends, default=0) != size:
        raise _refuse(
            path,
            f"its header promises {8 + length + max(ends, default=0)} bytes, it holds {size}",
            "fetch it again, it is cut short",
        )


def check_hdf5(path: Path) -> None:
    """Check that a file begins as an HDF5 file does."""
    head = check_file(path, least=96)
    if not head.startswith(b"\x89HDF\r\n\x1a\n"):
        if head.startswith(b"PK"):
            raise _refuse(
                path, "it is a zip archive (.keras?), not HDF5", "save it with model.save('x.h5')"
            )
        raise _refuse(path, "it is not an HDF5 file", "give a file written by Keras model.save")


def check_torch_zip(path: Path) -> None:
    """Check that a file is a PyTorch zip whose pickle can only build a dictionary of tensors.

    The pickle inside is not run: every global it names must be on the short list of tensor
    builders, and every tensor must lie within the bytes that the file has.
    """
    head = check_file(path)
    if not head.startswith(b"PK\x03\x04"):
        if _looks_pickled(head):
            raise _refuse(path, "it is a bare pickle: loading it could run code", RESAVE_ZIP)
        raise _refuse(path, "it is not a PyTorch checkpoint", "give a file written by torch.save")
    check_archive(path)
