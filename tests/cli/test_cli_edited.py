"""A project that is not what was generated runs only when that is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from shiftforge.boards.load import load_board
from shiftforge.cli.main import run
from shiftforge.generator.conv.target import generate
from shiftforge.generator.manifest import MANIFEST, Content, manifest_text, unfinished_text
from shiftforge.quant.graph.example import random_model
from shiftforge.quant.graph.file import save_model

MODEL = random_model(6)
DESIGN = generate(MODEL, load_board("a10gx1150"))
RUNS = (
    "emulate --device pocl",
    "compare --from golden --to pocl",
    "compare --from float --to golden",
)


def _run(folder: Path, command: str, *more: str) -> int:
    name, *options = command.split()
    return run([name, str(folder), *options, "--input", "random:1", "--limit", "1", *more])


@pytest.mark.parametrize("name", sorted([*DESIGN.files, MANIFEST]))
def test_a_flipped_bit_in_any_file_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    DESIGN.write(tmp_path / "d")
    path = tmp_path / "d" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for command in RUNS:
        assert _run(tmp_path / "d", command) == 2
        assert str(path) in capsys.readouterr().err


def test_edited_files_run_when_it_is_meant_and_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    DESIGN.write(tmp_path / "d")
    (tmp_path / "d/README.md").write_text("mine")
    assert _run(tmp_path / "d", "compare --from fake-quantised --to golden") == 2
    assert "--edited runs it as it is" in capsys.readouterr().err
    assert _run(tmp_path / "d", "compare --from fake-quantised --to golden", "--edited") == 0
    assert "warning: " in (err := capsys.readouterr().err) and "README.md" in err


def test_an_unfinished_folder_is_refused_by_every_command_and_finished_by_generate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_model(MODEL, tmp_path / "m.safetensors")
    generated = ["generate", str(tmp_path / "m.safetensors"), "--board", "a10gx1150", "-o"]
    assert run([*generated, str(tmp_path / "d")]) == 0
    whole = (tmp_path / "d" / MANIFEST).read_bytes()
    (tmp_path / "d" / MANIFEST).write_bytes(unfinished_text({"kind": "conv"}, {}))
    for command in RUNS:
        for more in ((), ("--edited",)):
            assert _run(tmp_path / "d", command, *more) == 2
            assert "the project is unfinished" in capsys.readouterr().err
    # Every file is already what it will be: only the manifest is missing.
    assert run([*generated, str(tmp_path / "d")]) == 0
    assert (tmp_path / "d" / MANIFEST).read_bytes() == whole


def test_an_edited_makefile_is_not_lost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_model(MODEL, tmp_path / "m.safetensors")
    generated = ["generate", str(tmp_path / "m.safetensors"), "--board", "a10gx1150", "-o"]
    assert run([*generated, str(tmp_path / "d")]) == 0
    (tmp_path / "d/Makefile").write_text("all: mine\n")
    assert run([*generated, str(tmp_path / "d")]) == 2
    assert "Makefile: was edited since it was generated" in capsys.readouterr().err
    assert (tmp_path / "d/Makefile").read_text() == "all: mine\n"
    assert run([*generated, str(tmp_path / "d"), "--overwrite"]) == 0
    assert (tmp_path / "d/Makefile").read_text() != "all: mine\n"


def test_a_planted_manifest_costs_no_file(tmp_path: Path) -> None:
    save_model(MODEL, tmp_path / "m.safetensors")
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years")
    (folder / MANIFEST).write_text('{"files": ["thesis.txt"]}')
    generated = ["generate", str(tmp_path / "m.safetensors"), "--board", "a10gx1150", "-o"]
    assert run([*generated, str(folder)]) == 2
    assert (folder / "thesis.txt").read_text() == "years"


@pytest.mark.parametrize("name", ["device/accelerator.cl", "data/params.bin", "model.safetensors"])
def test_a_file_that_a_run_reads_is_listed(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A manifest with a digest of its own that fits, which leaves a file out."""
    DESIGN.write(tmp_path / "d")
    files = {path: Content.of(data) for path, data in DESIGN.files.items() if path != name}
    text = manifest_text({**DESIGN.manifest, "kind": "conv"}, files)
    (tmp_path / "d" / MANIFEST).write_bytes(text)
    for command in RUNS:
        assert _run(tmp_path / "d", command) == 2
        assert f"the manifest does not list {name}" in capsys.readouterr().err
