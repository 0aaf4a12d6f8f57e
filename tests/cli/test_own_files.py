"""Files that the project writes: whole, and through no link that somebody planted."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import torch
from albert_cases import integer_case

from shiftforge.cli.main import run
from shiftforge.quant.albert.exits.predictor import ExitTable, save_exit_table
from shiftforge.quant.albert.network.file import save_integer
from shiftforge.quant.albert.training.texts import save_calibration
from shiftforge.quant.models.checkpoint import save_checkpoint
from shiftforge.quant.text.tokeniser import save_tokeniser, train_wordpiece

ROOT = Path(__file__).parents[2]


def test_no_link_is_followed_and_no_name_foretold(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    out = tmp_path / "out"
    out.mkdir()
    names = ("n.safetensors", "c.safetensors", "e.json", "calibration.json", "tokenizer.json")
    for name in names:
        (out / f"{name}.part").symlink_to(victim)
        (out / name).symlink_to(victim)
    save_integer(integer_case(), out / "n.safetensors")
    save_checkpoint(out / "c.safetensors", {"x": torch.zeros(2)}, {})
    save_exit_table(ExitTable(np.array([2], np.uint8), 1, 1, 2), out / "e.json")
    save_calibration([np.arange(3)], out)
    save_tokeniser(train_wordpiece(["a b"], 20), out)
    assert victim.read_text() == "mine"
    for name in names:
        assert not (out / name).is_symlink() and (out / f"{name}.part").is_symlink()


def test_quantize_follows_no_link(tmp_path: Path) -> None:
    victim, out = tmp_path / "victim", tmp_path / "n.safetensors"
    victim.write_text("mine")
    (tmp_path / "n.safetensors.part").symlink_to(victim)
    assert run(["quantize", "albert-random:8x32x2x48x1", "-o", str(out)]) == 0
    assert victim.read_text() == "mine" and out.is_file()


def test_no_module_replaces_files_in_a_way_of_its_own() -> None:
    """Only shiftforge.atomic knows how: everything else asks it."""
    own = ("os.replace", "tempfile.mkstemp", "tempfile.NamedTemporaryFile")
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for room in ("quant", "boards", "generator", "sim", "bench")
        for path in sorted((ROOT / room).rglob("*.py"))
        if path != ROOT / "generator/api/atomic.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in own
    ]
    assert not found
