"""What a file is, from its bytes alone, before anything that could run its content reads it."""

from __future__ import annotations

import json
import pickletools
import zipfile
from pathlib import Path

from shiftforge.errors import InputError, Problem

__all__ = ["MAX_BYTES", "check_file", "check_hdf5", "check_safetensors", "check_torch_zip"]

# A hundred times the largest network this project plans for.
MAX_BYTES = 2 << 30
MAX_HEADER = 64 << 20
RESAVE = (
    "in a trusted environment: safetensors.torch.save_file(torch.load(PATH, weights_only=True), "
    "'model.safetensors')"
)
RESAVE_ZIP = (
    "re-save it with a current PyTorch: torch.save(torch.load(PATH, weights_only=True), NEW_PATH)"
)
# What a state dict of tensors needs; anything else could call code while it loads.
PICKLE_GLOBALS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int")),
}


def _refuse(path: Path, what: str, remedy: str) -> InputError:
    return InputError(Problem(what, remedy, str(path)))


def check_file(path: Path, least: int = 16) -> bytes:
    """The first 16 bytes of a regular file of a plausible size; InputError otherwise."""
    if not path.is_file():
        raise _refuse(path, "there is no such file", "check the path")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise _refuse(
            path, f"it cannot be read: {error.strerror}", "check its permissions"
        ) from error
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
    with path.open("rb") as file:
        file.seek(8)
        text = file.read(length)
    try:
        header = json.loads(text)
        ends = [
            int(entry["data_offsets"][1]) for key, entry in header.items() if key != "__metadata__"
        ]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise _refuse(path, "its header is not valid", "fetch or save it again") from error
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

    The pickle inside is disassembled, not run: every global it names must be on the short list of
    tensor builders.
    """
    head = check_file(path)
    if not head.startswith(b"PK\x03\x04"):
        if _looks_pickled(head):
            raise _refuse(path, "it is a bare pickle: loading it could run code", RESAVE_ZIP)
        raise _refuse(path, "it is not a PyTorch checkpoint", "give a file written by torch.save")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            pickles = [e for e in entries if e.filename.rpartition("/")[2] == "data.pkl"]
            if any(e.compress_type != zipfile.ZIP_STORED for e in entries):
                raise _refuse(path, "its entries are compressed, as PyTorch never does", RESAVE_ZIP)
            if len(pickles) != 1 or pickles[0].file_size > MAX_HEADER:
                raise _refuse(path, "it is not a PyTorch checkpoint", "give a state dict")
            names = _globals(archive.read(pickles[0]))
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as error:
        raise _refuse(
            path, f"the archive is damaged: {error}", "fetch it again, it is cut short"
        ) from error
    foreign = sorted(names - PICKLE_GLOBALS)
    if foreign:
        raise _refuse(
            path,
            f"it holds more than tensors: loading it would need {', '.join(foreign)}",
            "save the state dict alone: torch.save(model.state_dict(), PATH)",
        )


def _globals(data: bytes) -> set[str]:
    """Every name a pickle imports; opcodes that import indirectly are listed by their own name."""
    names: set[str] = set()
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("GLOBAL", "INST"):
            names.add(str(argument))
        elif opcode.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "NEWOBJ_EX"):
            names.add(opcode.name)
    return names
