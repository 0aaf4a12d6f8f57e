"""Designs that were generated before: the same model, board, options and generator again."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

from shiftforge.boards.types import Board
from shiftforge.files import read_bytes
from shiftforge.generator.build import build
from shiftforge.generator.design import Design
from shiftforge.generator.target import Target
from shiftforge.kept import Store, digest
from shiftforge.kept_code import code_digest

__all__ = ["kept_build"]

_STORE = Store("designs")
_REPORT, _MANIFEST, _FILES = "report.json", "manifest.json", "files/"
_ROOMS = ("boards", "generator", "kernels", "quant", "templates")
"""The folders of the package that decide what a design is."""


def kept_build(
    target: Target[Any, Any, Any], model: Path, network: Any, board: Board, options: Any
) -> Design:
    """``build`` with comparisons, or what it made of the same before. model: the network's file."""
    key = digest(
        [code_digest(*_ROOMS), target.kind, read_bytes(model), repr(board), repr(options)]
    )  # fmt: skip
    data = _STORE.read(key)
    if data is not None:
        return _read(data)
    design = build(target, network, board, options, compare=True)
    _STORE.write(key, _written(design))
    return design


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
