"""What a PyTorch checkpoint claims to hold, from its pickle, without PyTorch and without a call.

The pickle is read with stand-ins for the few functions that tensors are built with; a name outside
their list is refused before anything is read. So each tensor's claim can be held against the bytes
that are really there, before any memory is taken for it.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import open_file

__all__ = ["RESAVE_ZIP", "check_archive"]

# The pickle of a network of ten thousand tensors; a hundred of those that this project plans for.
MAX_PICKLE = 4 << 20
MAX_ENTRIES = 1 << 16
RESAVE_ZIP = (
    "re-save it with a current PyTorch: torch.save(torch.load(PATH, weights_only=True), NEW_PATH)"
)
RESAVE_SCRIPT = (
    "take its weights out, where you trust it: "
    "torch.save(torch.jit.load(PATH, map_location='cpu').state_dict(), NEW_PATH)"
)
RESAVE_PROGRAM = (
    "take its weights out, where you trust it: "
    "torch.save(dict(torch.export.load(PATH).state_dict), NEW_PATH)"
)
STATE_ALONE = "save the state dict alone: torch.save(model.state_dict(), PATH)"
# Bytes a value of the storages that a state dict of tensors may name.
STORAGES = {
    "FloatStorage": 4,
    "DoubleStorage": 8,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}
# What a state dict of tensors needs; anything else could call code while it loads.
PICKLE_GLOBALS = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {kind}" for kind in STORAGES),
}


@dataclass(frozen=True)
class _Storage:
    """A storage that a pickle names: the archive's entry, bytes a value, values claimed."""

    key: str
    width: int
    count: int


def check_archive(path: Path) -> None:
    """Raise InputError unless a zip is a checkpoint of tensors, each within the bytes there are."""
    where = str(path)
    damaged = "fetch it again, it is cut short"
    with open_file(path) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                data, records = _entries(archive, stream.seek(0, io.SEEK_END), where)
                names = _globals(data)
        except (
            zipfile.BadZipFile,
            EOFError,
            ValueError,
            NotImplementedError,
            RuntimeError,
            OverflowError,
            LookupError,
        ) as error:
            raise InputError(Problem(f"the archive is damaged: {error}", damaged, where)) from error
    foreign = sorted(names - PICKLE_GLOBALS)
    if foreign:
        listed = ", ".join(foreign[:8]) + (" and others" if len(foreign) > 8 else "")
        what = f"it holds more than tensors: loading it would need {listed}"
        raise InputError(Problem(what, STATE_ALONE, where))
    reader = _Reader(data, records, where)
    try:
        reader.load()
    except InputError:
        raise
    except Exception as error:  # anything that a crafted pickle makes of the stand-ins
        what = f"its pickle is damaged: {type(error).__name__}: {error}"
        raise InputError(Problem(what, damaged, where)) from error
    reader.problems.stop()


def _entries(archive: zipfile.ZipFile, size: int, where: str) -> tuple[bytes, dict[str, int]]:
    """(data.pkl, size of every record by its key)."""
    entries = archive.infolist()
    names = [e.filename for e in entries]
    problem: Problem | None = None
    parts = {name.rpartition("/")[2] for name in names}
    pickles = [e for e in entries if e.filename.rpartition("/")[2] == "data.pkl"]
    if len(entries) > MAX_ENTRIES or len(set(names)) != len(names):
        problem = Problem("it is not a PyTorch checkpoint", RESAVE_ZIP, where)
    elif "constants.pkl" in parts and any("/code/" in name for name in names):
        what = "it is a TorchScript archive: a compiled program, of which weights are a part"
        problem = Problem(what, RESAVE_SCRIPT, where)
    elif "archive_format" in parts or "serialized_exported_program.json" in parts:
        what = "it is an exported program (torch.export.save), of which weights are a part"
        problem = Problem(what, RESAVE_PROGRAM, where)
    elif any(e.compress_type != zipfile.ZIP_STORED for e in entries):
        problem = Problem("its entries are compressed, as PyTorch never does", RESAVE_ZIP, where)
    elif len(pickles) != 1:
        problem = Problem("it is not a PyTorch checkpoint", STATE_ALONE, where)
    elif sum(e.file_size for e in entries) > size:
        problem = Problem("its entries claim more bytes than it has", RESAVE_ZIP, where)
    elif pickles[0].file_size > MAX_PICKLE:
        what = f"its pickle holds {pickles[0].file_size:,} bytes, more than {MAX_PICKLE:,}"
        problem = Problem(what, STATE_ALONE, where)
    if problem is not None:
        raise InputError(problem)
    base = pickles[0].filename.removesuffix("data.pkl") + "data/"
    records = {
        e.filename.removeprefix(base): e.file_size for e in entries if e.filename.startswith(base)
    }
    return archive.read(pickles[0]), records


def _globals(data: bytes) -> set[str]:
    """Every name a pickle imports; opcodes that import indirectly are listed by their own name."""
    names: set[str] = set()
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name in ("GLOBAL", "INST"):
            names.add(str(argument))
        elif opcode.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "NEWOBJ_EX"):
            names.add(opcode.name)
        elif opcode.name in ("PUT", "LONG_BINPUT") and int(argument or 0) > len(data):
            # Python's reader makes room for as many entries.
            raise ValueError(f"memo {argument} in a pickle of {len(data)} bytes")
    return names


class _Reader(pickle.Unpickler):
    """Reads the pickle of a checkpoint with stand-ins, and notes tensors that claim too much."""

    def __init__(self, data: bytes, records: dict[str, int], where: str) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self.records, self.where, self.problems = records, where, Problems()

    def find_class(self, module: str, name: str) -> Any:
        if name in STORAGES:
            return name
        if name == "OrderedDict":
            return OrderedDict
        return self._tensor if name == "_rebuild_tensor_v2" else _parameter

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, _, count = pid
        storage = _Storage(str(key), STORAGES[kind], int(count))
        held = self.records.get(storage.key)
        if held is None or not 0 <= storage.count * storage.width <= held:
            self._note(f"claims {storage.count:,} values in a record of {held or 0:,} bytes")
        return storage

    def _tensor(self, storage: _Storage, offset: int, size: Any, stride: Any, *_: Any) -> str:
        sizes, steps = list(_whole(size)), list(_whole(stride))
        last = int(offset) + sum((n - 1) * step for n, step in zip(sizes, steps, strict=True))
        count = 1
        for n in sizes:
            count *= n
        within = count == 0 or (offset >= 0 and last < storage.count and count <= storage.count)
        if not within or len(sizes) > 8:
            shape = "x".join(map(str, sizes))[:60]
            self._note(f"holds a tensor of {shape} values, and {storage.count:,} are there")
        return "tensor"

    def _note(self, what: str) -> None:
        if len(self.problems) < 20:
            self.problems.append(Problem(what, RESAVE_ZIP, self.where))


def _whole(numbers: Any) -> Iterator[int]:
    for n in numbers:
        if type(n) is not int or not 0 <= n < 1 << 62:
            raise ValueError(f"a size of {n!r}")
        yield n


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor
