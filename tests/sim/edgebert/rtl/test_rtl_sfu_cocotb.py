"""The special function unit under cocotb: pytest chooses lanes and formats, cocotb the traffic."""

from __future__ import annotations

from pathlib import Path

import pytest
import sfu_ports
from sfu_cases import SLOW, planted
from sfu_model import build_sfu_blocks

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.sim.rtl.cocotb_run import run_cocotb

HERE = [Path(__file__).parent]
CONFIG = SfuConfig(lanes=4, row=64, norm_row=64)
PORTS = (
    sfu_ports.softmax,
    sfu_ports.layernorm,
    sfu_ports.entropy,
    sfu_ports.gelu,
    sfu_ports.add,
    sfu_ports.dvfs,
)


def build(config: SfuConfig, replace: dict[str, str] | None = None) -> Path:
    return build_sfu_blocks(config, [ports(config) for ports in PORTS], replace)


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        pytest.param(
            SfuConfig(lanes=2, fraction=6, af_bits=5, exp_bits=2, row=64, norm_row=64), marks=SLOW
        ),
        pytest.param(SfuConfig(lanes=16, fraction=16, row=128, norm_row=128), marks=SLOW),
    ],
    ids=str,
)
def test_blocks(config: SfuConfig) -> None:
    passed, _ = run_cocotb(build(config), config, "cocotb_sfu", HERE)
    assert passed == 6 * 2


@SLOW
def test_a_bubble_that_counts_is_caught() -> None:
    fault = ("sfu_exprow.sv", ".early_valid_i(sum_v[SumStages-1])", ".early_valid_i(1'b1)")
    program = build(CONFIG, planted(fault, CONFIG))
    with pytest.raises(CheckFailed, match="cocotb tests failed") as caught:
        run_cocotb(program, CONFIG, "cocotb_sfu", HERE)
    assert "entropy/idle=0.5" in str(caught.value)


def test_a_bench_that_compares_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "cocotb_no_rows.py").write_text(
        "import cocotb\n"
        "from cocotb_sfu import compare\n"
        "from sfu_streams import Group\n"
        "from shiftforge.sim.rtl.cocotb_run import sfu_bench_config\n"
        "from sfu_benches import GeluBench\n\n\n"
        "@cocotb.test()\n"
        "async def no_rows(dut):\n"
        "    await compare(GeluBench(dut, sfu_bench_config(), 1), [Group([])], 0.0)\n",
        encoding="utf-8",
    )
    with pytest.raises(CheckFailed, match="nothing was compared"):
        run_cocotb(build(CONFIG), CONFIG, "cocotb_no_rows", [tmp_path, *HERE])
