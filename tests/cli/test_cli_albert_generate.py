"""Projects of text classifiers: what they hold, equal bytes, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from albert_projects import BOARD, hashes, make_project, problems, save_network

from shiftforge.boards.load import load_board
from shiftforge.cli.main import run
from shiftforge.generator.edgebert.area import LANE_ALM, memory_blocks

ROOT = Path(__file__).parents[2]


def test_project_holds_kernels_rtl_network_and_figures(spanned: Path) -> None:
    files = hashes(spanned)
    assert {"device/edgebert.cl", "rtl/pu_unit.sv", "network.safetensors", "tokenizer.json",
            "report.json", "README.md", "Makefile", "shiftforge.json"} <= set(files)  # fmt: skip
    source = spanned.with_suffix(".safetensors")
    assert (spanned / "network.safetensors").read_bytes() == source.read_bytes()
    report = json.loads((spanned / "report.json").read_text())
    assert report["skipped_heads"] == [1]
    assert report["sentence_ideal_cycles"] < report["sentence_ideal_cycles_all_heads"]
    layers = report["layers"] * report["layer_ideal_cycles"]
    assert layers < report["sentence_ideal_cycles"]
    # A head that is off has neither scores nor context, in every layer.
    assert report["commands"]["scores"] == 2 * report["layers"]


def test_equal_input_gives_equal_bytes(tmp_path: Path, project: Path) -> None:
    again = make_project(tmp_path / "again")
    assert hashes(again) == hashes(project)
    model = str(again.with_suffix(".safetensors"))
    before = {path: path.stat().st_mtime_ns for path in again.rglob("*")}
    assert run(["generate", model, *BOARD, "-o", str(again)]) == 0
    assert {path: path.stat().st_mtime_ns for path in again.rglob("*")} == before


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ([*BOARD, "--lanes", "32"], "heads of 16 columns on 32 lanes"),
        ([*BOARD, "--lanes", "5"], "5 lanes are not offered"),
        ([*BOARD, "--units", "4"], "--units is for convolutions"),
    ],
)
def test_what_fits_not_is_refused_and_nothing_is_written(
    more: list[str], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_network(tmp_path / "n.safetensors")
    assert run(["generate", str(model), *more, "-o", str(tmp_path / "p"), "--json"]) == 2
    assert what in problems(capsys)
    assert not (tmp_path / "p").exists()


def test_lanes_of_another_board_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_network(tmp_path / "n.safetensors")
    small = (
        (ROOT / "boards/de10_nano.toml").read_text().replace("ram_blocks = 553", "ram_blocks = 9")
    )
    (tmp_path / "small.toml").write_text(small)
    where = ["--board", str(tmp_path / "small.toml"), "-o", str(tmp_path / "p")]
    assert run(["generate", str(model), *where]) == 2
    assert "choose a larger board" in capsys.readouterr().err


def test_generate_tells_all_problems_and_keeps_foreign_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = save_network(tmp_path / "n.safetensors")
    foreign = tmp_path / "p"
    foreign.mkdir()
    (foreign / "mine.txt").write_text("mine")
    assert run(["generate", str(model), "--board", "none", "-o", str(foreign)]) == 2
    told = capsys.readouterr().err
    assert "holds no earlier design" in told
    assert "none" in told
    assert hashes(foreign).keys() == {"mine.txt"}


def test_lane_areas_are_those_of_the_bench() -> None:
    rows = json.loads((ROOT / "bench/results/edgebert_area.json").read_text())["rows"]
    measured = {(row["variant"], row["n"]): row["array"]["alms"] / row["n"] ** 2 for row in rows}
    for kind, lanes in LANE_ALM.items():
        for n, alm in lanes.items():
            assert alm == pytest.approx(measured[kind, n], abs=0.051)


def test_ram_blocks_take_their_best_shape() -> None:
    m10k, m20k = load_board("de10_nano"), load_board("a10gx1150")
    # 8,192 x 8: eight blocks of 1K x 10, four of 2K x 10; one bit wide: 8K x 1 and 16K x 1.
    assert [memory_blocks(8, 8192, board) for board in (m10k, m20k)] == [8, 4]
    assert [memory_blocks(1, 8192, board) for board in (m10k, m20k)] == [1, 1]
