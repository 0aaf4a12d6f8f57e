"""explore: its front, the commands of its points, what it refuses; and the why of generate."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from random_networks import random_network
from second_shares import shares_of

import shiftforge
from shiftforge.boards.load import load_board
from shiftforge.cli.explore_confirm import best_of, confirm
from shiftforge.cli.main import run
from shiftforge.errors import InputError, Problem
from shiftforge.generator.exploring import FrontPoint
from shiftforge.quant.graph.file import save_model

Capture = pytest.CaptureFixture[str]
SMALL = ["--board", "de10_nano"]
BOARDS = [*SMALL, "--board", "a10gx1150"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    network = random_network(5, family="two-term", layers=4)
    save_model(shares_of(network, (0.2, 20.0), (0.5, 25.0), (0.05, 15.0)), path)
    return path


def told(arguments: list[str], capsys: Capture) -> dict[str, Any]:
    assert run([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_front_has_distinct_points_with_their_commands(
    model: Path, tmp_path: Path, capsys: Capture
) -> None:
    given = ["explore", str(model), *BOARDS, "-n", "600", "--no-confirm"]
    found = told(given, capsys)
    front = found["front"]
    assert found["points"] >= 600 and 0 < found["fitting"] <= found["points"]
    assert found["seconds"] > 0 and found["confirmed"] == [] and found["plot"] is None
    assert {point["board"] for point in front} == {"a10gx1150", "de10_nano"}
    assert len({point["command"] for point in front}) == len(front)
    assert {point["sqnr_db"] for point in front} == {15.0, 20.0, 25.0}
    assert not any(point["ram_planned"] for point in front)
    names = ("fps", "sqnr_db"), ("latency_ms", "alm", "ram_blocks")
    for board in ("de10_nano", "a10gx1150"):
        own = [[*(p[n] for n in names[0]), *(-p[n] for n in names[1])]
               for p in front if p["board"] == board]  # fmt: skip
        for one in own:
            assert not any(
                all(a >= b for a, b in zip(other, one, strict=True)) and other != one
                for other in own
            )
    # The command of a point generates it: its figures are the modelled ones.
    # The last is the smallest of the second board.
    for point in front[-1:]:
        command = shlex.split(point["command"])
        assert command[0] == "shiftforge" and command[-1] == "DIR"
        report = told([*command[1:-1], str(tmp_path / "d"), "--overwrite"], capsys)
        assert report["modelled_fps"] == pytest.approx(point["fps"], abs=0.01)
        assert report["modelled_cycles"] == point["cycles"]
        assert report["alm"] == point["alm"]
        assert report["ram_blocks"] >= point["ram_blocks"]
        assert report["f"] == point["facts"]["f"]


def test_a_table_says_what_was_modelled(model: Path, capsys: Capture) -> None:
    assert run(["explore", str(model), *SMALL, "-n", "200", "--no-confirm"]) == 0
    out = capsys.readouterr().out
    assert "distinct points modelled in" in out and "--units" in out and ">= " in out


def test_limits_narrow_the_front(model: Path, capsys: Capture) -> None:
    given = ["explore", str(model), *SMALL, "-n", "500", "--no-confirm"]
    front = told(given, capsys)["front"]
    share = sorted(p["alm_fraction"] for p in front)[len(front) // 2]
    within = told([*given, "--max-alm", str(share)], capsys)["front"]
    assert within and all(p["alm_fraction"] <= share + 1e-4 for p in within)
    best = max(p["sqnr_db"] for p in front)
    assert {p["sqnr_db"] for p in told([*given, "--min-sqnr", str(best)], capsys)["front"]} == {
        best
    }


@pytest.mark.parametrize(
    ("more", "texts"),
    [
        (["--target-fps", "1e9"], ["reaches 1e+09 frames a second", "nearest: --units"]),
        (["--max-alm", "3", "--max-ram", "2"], ["at most 3 ALMs", "2 RAM blocks", "nearest:"]),
        (["--min-sqnr", "900"], ["no weights of 900 dB SQNR or more; there are"]),
        (["--board", "none", "-n", "0"], ["0 is not in the range", "none"]),
        (["--plot", "x.jpg", "--max-alm", "nan"], ["does not end in .png", "no finite number"]),
        (["--device", "abacus"], ["abacus"]),
        (["--device", "intel-fpga-emu"], ["intel-fpga-emu"]),
    ],
)
def test_what_cannot_be_is_refused_with_everything_that_is_wrong(
    model: Path, more: list[str], texts: list[str], capsys: Capture
) -> None:
    code = run(["explore", str(model), *SMALL, *more])
    err = capsys.readouterr().err
    assert code == 2
    assert all(text in err for text in texts), err
    assert "Traceback" not in err


def test_models_of_another_kind_are_refused(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "m.safetensors").write_bytes(b"no model")
    assert run(["explore", str(tmp_path / "m.safetensors"), "--no-confirm", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]


def test_python_callers_get_the_same(model: Path) -> None:
    found = shiftforge.explore(model, "de10_nano", points=200, max_alm=0.5)
    assert found.points >= 200 and all(p.alm_fraction <= 0.5 for p in found.front)
    for wrong in ({"points": 0}, {"boards": []}, {"boards": "none"}, {"units": 16}):
        given: dict[str, Any] = {"boards": "de10_nano", **wrong}
        with pytest.raises(InputError):
            shiftforge.explore(model, **given)
    with pytest.raises(InputError, match="a model of the type int"):
        shiftforge.explore(3)


@pytest.mark.slow
def test_the_front_is_drawn(model: Path, tmp_path: Path, capsys: Capture) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "front.png"
    given = ["explore", str(model), *SMALL, "-n", "1", "--no-confirm", "--plot", str(picture)]
    told(given, capsys)
    assert picture.read_bytes().startswith(b"\x89PNG")
    told(given, capsys)  # ours may be replaced
    picture.write_bytes(b"mine")
    assert run(given) == 2
    assert picture.read_bytes() == b"mine"


@pytest.mark.slow
@pytest.mark.device("pocl")
def test_the_best_are_counted(tmp_path: Path, capsys: Capture) -> None:
    model = tmp_path / "m.safetensors"
    save_model(random_network(5, family="two-term", layers=4), model)
    given = ["explore", str(model), *SMALL, "-n", "1"]
    least = min(p["alm"] for p in told([*given, "--no-confirm"], capsys)["front"])
    found = told([*given, "--max-alm", str(least + 1), "--device", "pocl"], capsys)
    assert found["confirmed"] == list(range(len(found["front"])))
    for point in found["front"]:
        assert point["ram_planned"]
        # A network of few cycles: latencies are most of them.
        assert abs(point["counted_over_modelled"] - 1) < 0.05


def test_the_best_are_spread_from_the_fastest_to_the_smallest() -> None:
    front = [point(fps, alm) for fps, alm in ((9, 0.9), (8, 0.95), (7, 0.5), (6, 0.4), (2, 0.1))]
    assert best_of(front, 10) == [0, 1, 2, 3, 4]
    assert best_of(front, 4) == [0, 2, 3, 4]
    assert best_of(front, 2) == [0, 4]


def point(fps: float, alm: float) -> FrontPoint:
    return FrontPoint("b", {}, fps, 1.0, int(alm * 1000), alm, 1, 0.1, False, None, 1)


def test_a_design_that_does_not_fit_is_told_and_not_run(capsys: Capture) -> None:
    class Refusing:
        def design(self, *given: Any) -> None:
            raise InputError(Problem("needs more RAM blocks", "less"))

    board, front = load_board("a10gx1150"), [replace(point(9, 0.9), board="a10gx1150")]
    target: Any = Refusing()
    [found] = confirm(target, None, [board], front, [0], "pocl", 1.0, lambda *_: None)
    assert found.cycles is None and "RAM blocks" in found.refused and not found.point.ram_planned


@pytest.mark.slow
def test_generate_says_why(model: Path, tmp_path: Path, capsys: Capture) -> None:
    given = ["generate", str(model), "--board", "a10gx1150", "--units", "16", "--pixels", "3"]
    report = told([*given, "-o", str(tmp_path / "p")], capsys)
    why = report["why"]
    assert sum(why["bounds"].values()) == report["modelled_cycles"]
    assert sum(layer["cycles"] for layer in why["layers"]) == report["modelled_cycles"]
    assert set(why["bounds"]) == {layer["bound"] for layer in why["layers"]} == set(why["words"])
    assert why["smaller"]["alm"] < report["alm"] < why["larger"]["alm"]
    assert why["larger"]["modelled_fps"] > report["modelled_fps"]
    assert why["board"]["limit"] in ("ALMs", "RAM blocks", "DSP blocks", "bandwidth")
    for name in ("smaller", "larger", "board"):
        command = shlex.split(why[name]["command"])[1:-1]
        near = told([*command, str(tmp_path / name)], capsys)
        assert near["alm"] == why[name]["alm"]
        assert near["modelled_fps"] == pytest.approx(why[name]["modelled_fps"], abs=0.01)
    assert run([*given, "-o", str(tmp_path / "p")]) == 0
    out = capsys.readouterr().out
    assert "what bounds the layers" in out and "next larger" in out


def test_generate_refuses_limits_that_cannot_be_met(
    model: Path, tmp_path: Path, capsys: Capture
) -> None:
    given = ["generate", str(model), "--board", "a10gx1150", "-o", str(tmp_path / "p")]
    assert run([*given, "--target-fps", "1e8", "--max-alm", "0.2"]) == 2
    err = capsys.readouterr().err
    assert "takes at most 85,440 ALMs" in err and "nearest: --units" in err
    assert not (tmp_path / "p").exists()
    assert run([*given, "--operand-depth", "63", "--image-depth", "4"]) == 2
    err = capsys.readouterr().err
    assert "--operand-depth is 63" in err and "--image-depth is 4" in err
