"""The folder of a training run: what in it training wrote, told by content and not by name.

A file of ours begins with what only training writes: checkpoints and networks have our header, a
history holds records, pictures name their program. Nothing else is ever replaced or removed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from shiftforge.atomic import is_leftover
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import check_output_folder, open_file
from shiftforge.jsontext import read_json
from shiftforge.quant.tensor_file import own_header

__all__ = ["MODEL", "SOFTWARE", "checkpoints", "folder_problems", "is_history"]

MODEL = "model.safetensors"
"""The integer network, where there is one."""
SOFTWARE = "ShiftForge train"
"""What pictures say of the program that drew them."""
_PICTURES = ("weights.png", "layers.png", "thresholds.png")
_EPOCH = re.compile(r"(.+)-(\d{3,9})\.safetensors")
_RECORD = {"epoch", "layer", "threshold", "second"}


def checkpoints(folder: Path, stage: str) -> dict[int, Path]:
    """The files that are called as a stage's checkpoints are, by epoch, the newest first."""
    found = {}
    for path in folder.glob(f"{stage}-*.safetensors"):
        matched = _EPOCH.fullmatch(path.name)
        if matched and matched[1] == stage and int(matched[2]):
            found[int(matched[2])] = path
    return dict(sorted(found.items(), reverse=True))


def folder_problems(
    folder: Path, networks: Collection[str], stages: Collection[str], *, resume: bool
) -> list[Problem]:
    """What stops a run from writing into a folder, found without writing.

    networks: names, without the suffix, of the float networks that the run writes; stages: of its
    checkpoints. resume: whether a run that is there goes on.
    """
    where = str(folder)
    problems = Problems()
    problems.check(check_output_folder, folder)
    if problems or not folder.is_dir():
        return problems
    entries = sorted(p for p in folder.iterdir() if not is_leftover(p.name))
    kinds = {path: _kind(path.name, networks, stages) for path in entries}
    ours = {path for path, kind in kinds.items() if kind is not None and kind(path)}
    remedy = "move it elsewhere, or name another folder"
    problems += [
        Problem("was not written by this training, which would replace it", remedy, str(path))
        for path, kind in kinds.items()
        if kind is not None and path not in ours
    ]
    if entries and not ours and not problems:
        what = "the folder is not empty and holds no training run"
        problems.append(Problem(what, "choose an empty folder, or another name", where))
    if not resume and any(path.suffix == ".safetensors" for path in ours):
        remedy = "go on with --resume, or name another"
        problems.append(Problem("the folder holds a run", remedy, where))
    return problems


def _kind(
    name: str, networks: Collection[str], stages: Collection[str]
) -> Callable[[Path], bool] | None:
    """How a file that the run writes under this name is recognised; None for other names."""
    matched = _EPOCH.fullmatch(name)
    if matched and matched[1] in stages:
        return _is_checkpoint
    if name == MODEL:
        return _is_model
    if name.removesuffix(".safetensors") in networks and name.endswith(".safetensors"):
        return _is_network
    if name.removesuffix(".history.json") in stages and name.endswith(".history.json"):
        return is_history
    return _is_picture if name in _PICTURES else None


def _is_checkpoint(path: Path) -> bool:
    header = own_header(path)
    return header is not None and isinstance(header.get("facts"), dict) and "epoch" in header


def _is_network(path: Path) -> bool:
    header = own_header(path)
    return header is not None and ({"network", "data"} <= set(header) or "config" in header)


def _is_model(path: Path) -> bool:
    header = own_header(path)
    return header is not None and not {"facts", "network", "config"} & set(header)


def is_history(path: Path) -> bool:
    """Whether a file holds records of thresholds."""
    try:
        found: Any = read_json(path)
    except InputError:
        return False
    return isinstance(found, list) and all(
        isinstance(own, dict) and set(own) == _RECORD for own in found
    )


def _is_picture(path: Path) -> bool:
    try:
        with open_file(path) as stream:
            start = stream.read(1024)
    except InputError:
        return False
    return start.startswith(b"\x89PNG") and f"Software\0{SOFTWARE}".encode() in start
