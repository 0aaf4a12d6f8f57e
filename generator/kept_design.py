"""Designs that were generated before: the same model, board, options and generator again."""

from __future__ import annotations

import io
import json
import zipfile
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from shiftforge import __version__
from shiftforge.boards.types import Board
from shiftforge.files import read_bytes
from shiftforge.generator.build import build
from shiftforge.generator.design import Design
from shiftforge.generator.target import Target
from shiftforge.kept import Store, digest

__all__ = ["generator_digest", "kept_build"]

_STORE = Store("designs")
_REPORT, _MANIFEST, _FILES = "report.json", "manifest.json", "files/"
_ROOMS = ("boards", "generator", "kernels", "quant", "templates")
_DECIDES = (".cl", ".csv", ".j2", ".json", ".py", ".sv", ".toml")


def kept_build(
    target: Target[Any, Any, Any], model: Path, network: Any, board: Board, options: Any
) -> Design:
    """``build`` with comparisons, or what it made of the same before. model: the network's file."""
    key = digest(
        [generator_digest(), target.kind, read_bytes(model), repr(board), repr(options)]
    )  # fmt: skip
    data = _STORE.read(key)
    if data is not None:
        return _read(data)
    design = build(target, network, board, options, compare=True)
    _STORE.write(key, _written(design))
    return design


@cache
def generator_digest() -> str:
    """Of everything in this package that decides what a design is."""
    root = Path(str(resources.files("shiftforge")))
    parts: list[str | bytes] = [__version__]
    for room in _ROOMS:
        for path in sorted((root / room).rglob("*")):
            if path.suffix in _DECIDES and path.is_file():
                parts += [path.relative_to(root).as_posix(), path.read_bytes()]
    return digest(parts)


def _written(design: Design) -> bytes:
    """One archive; read back it gives the same files, report and manifest."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(_REPORT, json.dumps(design.report))
        archive.writestr(_MANIFEST, json.dumps(design.manifest))
        for path in sorted(design.files):
            archive.writestr(_FILES + path, design.files[path])
    return held.getvalue()


def _read(data: bytes) -> Design:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {
            name.removeprefix(_FILES): archive.read(name)
            for name in archive.namelist()
            if name.startswith(_FILES)
        }
        return Design(files, json.loads(archive.read(_REPORT)), json.loads(archive.read(_MANIFEST)))
