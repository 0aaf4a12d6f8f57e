"""Area of the array by Yosys: kinds of lanes, counting by modules, and memories."""

from __future__ import annotations

from pathlib import Path

import pytest
from matmul_cases import small

from shiftforge.errors import ToolFailed
from shiftforge.generator.edgebert.rtl import render_unit
from shiftforge.generator.edgebert.rtl_sfu import render_sfu
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.sim.rtl.area import Cells, Memory, Synthesis, base_name, synthesise

ARRAY = "pu_array"
BOUND = 0.05  # of the benchmark's table


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("area")


def array(config: UnitConfig, cache: Path, *, dsp: bool = True, flat: bool = False) -> Synthesis:
    pytest.importorskip("pyosys")
    return synthesise(render_unit(config), ARRAY, dsp=dsp, flat=flat, cache=cache)


def test_an_af_lane_takes_one_multiplier_or_more_logic(cache: Path) -> None:
    blocks, logic = array(small(2, multipliers="blocks"), cache), array(small(2), cache)
    assert blocks.total().multipliers == 4
    assert blocks.total().dsp_blocks == pytest.approx(4 / 3)
    assert logic.total().multipliers == 0
    assert logic.total("pu_lane").alms > blocks.total("pu_lane").alms + 15


def test_a_shift_lane_takes_no_multiplier_and_less_logic(cache: Path) -> None:
    shift = array(small(2, weights="shift", attention="none"), cache)
    assert shift.total().multipliers == 0
    assert shift.total("pu_lane").alms < array(small(2), cache).total("pu_lane").alms


@pytest.mark.parametrize(
    "changes", [pytest.param({}, marks=pytest.mark.slow), {"weights": "shift"}], ids=["af", "shift"]
)
def test_modules_times_their_count_are_the_whole_array(
    cache: Path, changes: dict[str, str]
) -> None:
    config = small(2, **changes)
    parts = array(config, cache, dsp=False)
    whole = array(config, cache, dsp=False, flat=True)
    assert parts.total().alms == pytest.approx(whole.total().alms, rel=BOUND)
    groups = parts.grouped({"pu_lane": "lanes", "pu_acc": "accumulators"}, "rest")
    assert groups["lanes"] == parts.total("pu_lane").times(4)
    assert sum(groups.values(), Cells()).alms == pytest.approx(parts.total().alms)


def test_a_module_left_out_is_not_counted(cache: Path) -> None:
    pytest.importorskip("pyosys")
    text = render_unit(small(2))
    whole = synthesise(text, "pu_vmac", cache=cache)
    tree = synthesise(text, "pu_vmac", leave_out=("pu_lane",), cache=cache)
    assert tree.total() == whole.own("pu_vmac")
    assert tree.total("pu_lane") == Cells()


def test_memories_are_told_apart_from_logic(cache: Path) -> None:
    pytest.importorskip("pyosys")
    found = synthesise(render_sfu(SfuConfig(lanes=2)), "sfu_dvfs", cache=cache)
    assert Memory(width=8, words=128, count=1) in found.memories
    assert found.total().flip_flops < 8 * 128


def test_a_result_is_kept(cache: Path) -> None:
    config = small(2)
    first = array(config, cache)
    kept = sorted(cache.glob(f"{ARRAY}-*.json"))
    assert array(config, cache) == first
    assert sorted(cache.glob(f"{ARRAY}-*.json")) == kept


def test_text_that_yosys_refuses(tmp_path: Path) -> None:
    pytest.importorskip("pyosys")
    with pytest.raises(ToolFailed, match="Yosys refused broken"):
        synthesise({"broken.sv": "module broken; nonsense endmodule"}, "broken", cache=tmp_path)


def test_blocks_of_memory() -> None:
    assert Memory(width=8, words=1024, count=3).blocks == 3
    assert Memory(width=8, words=8192, count=1).blocks == 8
    assert Memory(width=40, words=512, count=1).blocks == 2
    assert Memory(width=128, words=16, count=1).blocks == 4


@pytest.mark.parametrize(
    "name", ["pu_ram", "\\pu_ram", "$paramod$12ab\\pu_ram", "$paramod\\pu_ram\\Width=s32'1"]
)
def test_names_with_parameters(name: str) -> None:
    assert base_name(name) == "pu_ram"
