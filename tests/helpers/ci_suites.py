"""Repositories with a design and its suite, and the five faults that a suite has to catch."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftforge.boards.load import load_board
from shiftforge.cli.main import run
from shiftforge.generator.conv.target import generate as build
from shiftforge.quant.graph.example import random_model
from shiftforge.quant.graph.file import load_model, save_model
from shiftforge.quant.graph.types import Conv, QuantizedModel

BOARD = Path(__file__).parents[2] / "boards/a10gx1150.toml"
TEXT = "device/accelerator.cl"
SWAPPED = (1, 3)
"""The output channels of the first layer that a fault swaps."""


def make_repository(folder: Path) -> Path:
    """A repository with a design for an own board, and its suite in ``ci``."""
    (folder / ".git").mkdir(parents=True)
    own = BOARD.read_text().replace('name = "a10gx1150"', 'name = "mine"')
    (folder / "mine.toml").write_text(own)
    save_model(random_model(1), folder / "m.safetensors")
    generate(folder)
    design = str(folder / "design")
    assert run(["ci", "init", design, "--board", str(folder / "mine.toml")]) == 0
    return folder


def generate(folder: Path, model: str = "m.safetensors") -> None:
    """The design of a repository's model, of two units so that it is made quickly."""
    network, board = load_model(folder / model), load_board(folder / "mine.toml")
    design = build(network, board, units=8, pixels=2)
    design.write(folder / "design", overwrite=True)


@dataclass(frozen=True)
class Ran:
    """code: exit code. checks: state and text of the problems by name."""

    code: int
    checks: dict[str, tuple[str, str]]

    def wrong(self) -> dict[str, str]:
        """Texts of the checks that did not pass, by name; skipped ones are left out."""
        return {name: text for name, (state, text) in self.checks.items()
                if state not in ("passed", "skipped")}  # fmt: skip


def run_suite(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> Ran:
    """`ci run` of the suite in a folder."""
    capsys.readouterr()
    code = run(["ci", "run", str(folder), "--json", *more])
    document = json.loads(capsys.readouterr().out)
    checks = {
        own["name"]: (own["state"], "\n".join(
            f"{p['where']}: {p['what']} -> {p['remedy']}" for p in own["problems"]))
        for own in document["checks"]
    }  # fmt: skip
    assert document["passed"] == (code == 0)
    return Ran(code, checks)


def pinned(repository: Path) -> dict[str, Any]:
    """suite.json."""
    found: dict[str, Any] = json.loads((repository / "ci/suite.json").read_text())
    return found


def pin(repository: Path, **values: Any) -> None:
    """Change suite.json."""
    path = repository / "ci/suite.json"
    path.write_text(json.dumps({**pinned(repository), **values}))


def flip_a_weight(repository: Path) -> None:
    path = repository / "design/data/weights.bin"
    data = bytearray(path.read_bytes())
    data[100] ^= 0x5A
    path.write_bytes(data)


def edit_a_line(repository: Path) -> None:
    """Every sum is one too small."""
    _replace(repository / "design" / TEXT, "+ bias)", "+ bias - 1)")


def swap_in_the_text(repository: Path) -> None:
    """The controller sends operands as what is skipped, and the other way round."""
    path = repository / "design" / TEXT
    _replace(path, "if (sends) SF_WRITE(operand, line);", "if (sends) SF_WRITE(skip, line);")
    _replace(path, "if (skips) SF_WRITE(skip, line);", "if (skips) SF_WRITE(operand, line);")


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def edit_a_figure(repository: Path) -> None:
    _replace(repository / "mine.toml", "bandwidth_gb_s = 34.1", "bandwidth_gb_s = 3.41")


def leave_goldens_behind(repository: Path) -> None:
    """Goldens of another network, which suite.json has as its own, as a merge may leave them."""
    other = repository.parent / "other"
    shutil.copytree(repository, other)
    swap_in_the_model(other, "m.safetensors")
    generate(other)
    board = str(other / "mine.toml")
    line = ["ci", "init", str(other / "design"), "-o", str(other / "ci"), "--board", board]
    assert run([*line, "--overwrite"]) == 0
    own = other / "ci/goldens.npz"
    shutil.copy(own, repository / "ci/goldens.npz")
    data = own.read_bytes()
    files = pinned(repository)["files"]
    files["goldens.npz"] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    pin(repository, files=files)


def swap_in_the_model(repository: Path, file: str = "design/model.safetensors") -> None:
    """Two output channels of the first layer change places in a model file."""
    path = repository / file
    save_model(swapped(load_model(path)), path)


def swapped(model: QuantizedModel) -> QuantizedModel:
    """The model with two output channels of its first layer swapped, bias and shift included."""
    first = next(node for node in model.nodes if isinstance(node, Conv))
    order = np.arange(first.weight.shape[0])
    order[list(SWAPPED)] = order[list(reversed(SWAPPED))]
    moved = {
        name: value[order]
        for name, value in vars(first).items()
        if isinstance(value, np.ndarray) and value.shape[:1] == order.shape
    }
    new = replace(first, **moved)
    return replace(model, nodes=tuple(new if node is first else node for node in model.nodes))


FAULTS: dict[str, Callable[[Path], None]] = {
    "weight byte": flip_a_weight,
    "kernel line": edit_a_line,
    "board figure": edit_a_figure,
    "stale golden": leave_goldens_behind,
    "swapped in the model": swap_in_the_model,
    "swapped in the text": swap_in_the_text,
}
