"""``shiftforge cache``, and commands that find what an earlier run kept."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pages import needs_drawing

from shiftforge import kept, kept_code
from shiftforge.boards.load import load_board
from shiftforge.boards.types import Board
from shiftforge.cli.main import run
from shiftforge.errors import CheckFailed
from shiftforge.generator import kept_design
from shiftforge.generator.conv.target import generate
from shiftforge.generator.page import graph, vega
from shiftforge.generator.project import Project, open_project
from shiftforge.kept import cache_place
from shiftforge.quant.graph.example import random_model
from shiftforge.quant.graph.file import load_model, save_model
from shiftforge.sim import kept_counts
from shiftforge.sim.reporting import RunLimits

DEVICES = [
    pytest.param("pocl", marks=pytest.mark.slow),
    "intel-cpu",
    pytest.param("intel-fpga-emu", marks=pytest.mark.slow),
]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(kept.OFF)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save_model(random_model(1), tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def generated(capsys: pytest.CaptureFixture[str], model: Path, output: Path, *more: str) -> Any:
    options = ("--board", "a10gx1150", "-o", str(output), *more)
    report = told(capsys, "generate", str(model), *options)
    return {k: v for k, v in report.items() if k not in ("output", "seconds")}


def test_a_design_is_generated_once(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = generated(capsys, model, tmp_path / "a")

    def refuse(*_: object, **__: object) -> None:
        raise CheckFailed("it was built again")

    monkeypatch.setattr(kept_design, "build", refuse)
    assert generated(capsys, model, tmp_path / "b") == first
    names = [p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file()]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    # Another option, another model, another generator: nothing of them was kept.
    arguments = ["generate", str(model), "-o", str(tmp_path / "c"), "--board"]
    assert run([*arguments, "a10gx1150", "--units", "8", "--pixels", "4"]) == 1
    assert run([*arguments, "de10_nano"]) == 1
    save_model(random_model(2), model)
    assert run([*arguments, "a10gx1150"]) == 1
    save_model(random_model(1), model)
    monkeypatch.setattr(kept_design, "code_digest", lambda *_: "another")
    assert run([*arguments, "a10gx1150"]) == 1


@pytest.mark.parametrize("device", DEVICES)
def test_a_program_is_compiled_once(
    device: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "d"
    generated(capsys, model, folder)
    arguments = ("emulate", str(folder), "--device", device, "--input", "random:0", "--limit", "1")
    assert told(capsys, *arguments)["mismatches"] == 0
    (program,) = cache_place("programs").iterdir()
    used = program.stat().st_mtime_ns
    assert told(capsys, *arguments)["mismatches"] == 0
    assert [p.name for p in cache_place("programs").iterdir()] == [program.name]
    assert program.stat().st_mtime_ns > used
    # What is damaged, or is no program, is compiled again.
    program.write_bytes(program.read_bytes()[:-1])
    assert told(capsys, *arguments)["mismatches"] == 0
    kept.Store("programs").write(program.name, b"no program")
    assert told(capsys, *arguments)["mismatches"] == 0
    # Changed text is another program.
    text = folder / "device/accelerator.cl"
    text.write_text(text.read_text() + "\n/* edited */\n")
    assert told(capsys, *arguments, "--edited")["mismatches"] == 0
    assert len(list(cache_place("programs").iterdir())) == 2


@dataclass
class Counting:
    """Stands for a runner: tells which device it counted on, and how often."""

    runs: int = 0

    def counted(self, project: Project, device: str, limits: RunLimits) -> dict[str, Any]:
        self.runs += 1
        return {"counted.json": {"run": self.runs, "device": device}}


def test_counts_are_those_of_the_same_design(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_counts, "circumstances", lambda name: f"the runtime of {name}")
    runner = Counting()
    base = load_board("a10gx1150")

    def run_of(board: Board = base, device: str = "pocl") -> int:
        folder = tmp_path / "d"
        generate(load_model(model), board, units=8, pixels=4).write(folder)
        found = kept_counts.kept_counted(runner, open_project(folder), device, RunLimits())
        assert found["counted.json"]["device"] == device
        return int(found["counted.json"]["run"])

    assert run_of() == run_of() == 1
    # Another board, latency, device, network, runtime or code: each is counted anew, and kept.
    slower = replace(base, latencies={"conv": 99})
    assert [run_of(load_board("s10gx2800")), run_of(slower), run_of(device="intel-cpu")] == [
        2,
        3,
        4,
    ]
    assert [run_of(), run_of(slower)] == [1, 3]
    save_model(random_model(2), model)
    assert run_of() == 5
    monkeypatch.setattr(kept_counts, "circumstances", lambda name: "another runtime")
    assert run_of() == 6
    monkeypatch.setattr(kept_counts, "code_digest", lambda *_: "another")
    assert run_of() == run_of() == 7
    # What is damaged is counted again.
    for path in cache_place("counts").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    assert run_of() == 8


def test_the_code_that_counts_decides_what_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sim/conv/run.py", "kernels/lanes.clh", "boards/b.toml", "errors.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n")
    monkeypatch.setattr(kept_code.resources, "files", lambda _: tmp_path)

    def now() -> str:
        kept_code.code_digest.cache_clear()
        return kept_code.code_digest("boards", "kernels", "sim")

    seen = {now()}
    for name in ("sim/conv/run.py", "kernels/lanes.clh", "boards/b.toml", "errors.py"):
        (tmp_path / name).write_text("2\n")
        seen.add(now())
    (tmp_path / "sim/new.py").write_text("")
    seen.add(now())
    assert len(seen) == 6
    (tmp_path / "sim/__pycache__").mkdir()
    (tmp_path / "sim/__pycache__/run.pyc").write_bytes(b"compiled")
    assert now() in seen
    kept_code.code_digest.cache_clear()


def test_a_page_is_drawn_once_and_is_held_against_its_files(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_drawing()
    folder, page = tmp_path / "d", tmp_path / "page.html"
    generated(capsys, model, folder)
    arguments = ["report", str(folder), "--no-run", "-o", str(page)]
    assert run(arguments) == 0
    first = page.read_bytes()
    kept_drawings = sorted(cache_place("drawings").iterdir())
    with monkeypatch.context() as context:
        context.setattr(vega, "_converter", None)
        context.setattr(graph, "run_tool", None)
        assert run(arguments) == 0
        assert page.read_bytes() == first
    # A picture of other figures under the same digest is seen.
    own = {path: path.read_bytes() for path in kept_drawings}
    for path, other in zip(kept_drawings, [*kept_drawings[1:], kept_drawings[0]], strict=True):
        path.write_bytes(own[other])
    assert run(arguments) == 1
    assert "the page contradicts its files" in capsys.readouterr().err
    for path, data in own.items():
        path.write_bytes(data)
    # An edited project has no page, whatever was kept of it.
    text = folder / "device/accelerator.cl"
    text.write_text(text.read_text() + "\n")
    assert run(arguments) == 2


def test_it_is_shown_and_cleared(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generated(capsys, model, tmp_path / "d")
    found = {own["kind"]: own for own in told(capsys, "cache")}
    assert set(found) == set(kept.KINDS)
    assert found["designs"]["entries"] == 1 and found["designs"]["size"] > 0
    assert found["designs"]["folder"] == str(cache_place("designs"))
    (only,) = told(capsys, "cache", "designs")
    assert only == found["designs"]
    assert run(["cache"]) == 0
    assert "generated designs" in capsys.readouterr().out
    assert told(capsys, "cache", "--clear", "programs")[0]["entries"] == 0
    assert {own["kind"]: own["entries"] for own in told(capsys, "cache")}["designs"] == 1
    assert run(["cache", "--clear"]) == 0
    assert "freed" in capsys.readouterr().err
    assert not any(own["entries"] for own in told(capsys, "cache"))


def test_unknown_kinds_are_all_named(capsys: pytest.CaptureFixture[str]) -> None:
    problems = told(capsys, "cache", "designs", "old", "new", code=2)["error"]
    assert [p["what"] for p in problems] == [f"nothing of the kind '{k}' is kept" for k in
                                             ("old", "new")]  # fmt: skip
    assert all("designs" in p["remedy"] for p in problems)
