"""Predicted exit layer and choice of the voltage/frequency point of the RTL against golden."""

from __future__ import annotations

import numpy as np
import pytest
import sfu_ports
from sfu_cases import SLOW, planted, same, used

from shiftforge.errors import CheckFailed
from shiftforge.generator.emit.rtl_sfu import render_sfu
from shiftforge.generator.plan.sfu import SfuConfig
from shiftforge.sim.golden.edgebert.dvfs import choose, row_scale
from shiftforge.sim.rtl.sfu import SfuModel, build_sfu
from shiftforge.sim.rtl.verilator import lint

CONFIG = SfuConfig(lanes=4)
FAULTS = {
    "row one off": ("sfu_dvfs.sv", "? product_q[30:24]", "? product_q[30:24] + 7'd1"),
    "equal is late": ("sfu_dvfs.sv", "reach >= 57", "reach > 57"),
    "layer 1 counted again": ("sfu_dvfs.sv", "layer_q - 8'd1", "layer_q"),
}


def check_dvfs(config: SfuConfig, model: SfuModel, sets: int) -> None:
    rng = np.random.default_rng(31)
    words: list[dict[str, int]] = []
    want = []
    for _ in range(sets):
        rows = int(rng.choice([1, 100, config.predictor_rows]))
        classes, layers = int(rng.choice([2, 3, 5])), int(rng.choice([2, 12, 24]))
        points = int(rng.choice([1, 5, 16]))
        table = np.sort(rng.integers(0, layers + 3, rows)).tolist()
        frequencies = np.sort(rng.integers(100, 4097, points)).tolist()
        for at, layer in enumerate(table):
            words.append({"layer_we": 1, "layer_addr": at, "layer_data": layer})
        for at, frequency in enumerate(frequencies):
            words.append({"point_we": 1, "point_addr": at, "point_data": frequency})
        scale, top = row_scale(classes, rows), int(2**16 * np.log(classes)) + 1
        setting = {"rows": rows, "points": points, "layers": layers, "scale": scale, "start": 1}
        for case in range(60):
            value = int(rng.integers(0, top + 1)) if case else 2**32 - 1
            threshold = int(rng.choice([0, value - 1, value, value + 1, top // 3]))
            threshold = min(max(threshold, 0), 2**32 - 1)
            cycles = int(rng.choice([1, 1000, 10**6, 2**32 - 1]))
            left = int(rng.choice([-(2**40), -5, 0, 1, 2**40 - 1]))
            if case % 5:
                left = int(cycles * layers * float(rng.uniform(0.2, 8)))
            if case % 5 == 2:  # just in time, or a cycle short, at one of the points
                chosen = choose(value, threshold, table, scale, layers, cycles, 1, frequencies)
                work = (chosen.layer - 1) * cycles * 4096
                left = max(-(-work // int(rng.choice(frequencies))) - case % 2, 0)
            if case % 5 == 3:  # exactly in time
                cycles = 997 * int(frequencies[0])
                chosen = choose(value, threshold, table, scale, layers, cycles, 1, frequencies)
                left = (chosen.layer - 1) * 997 * 4096
            left = min(left, 2**40 - 1)
            found = choose(value, threshold, table, scale, layers, cycles, left, frequencies)
            want.append((found.layer, found.point, int(found.late)))
            more = {"entropy": value, "threshold": threshold, "left": left}
            words.append({**setting, **more, "layer_cycles": cycles})
        words += [{}] * 60  # the tables change only after the last decision
    run = model.run(words, drain=100)
    got = [(r["layer"], r["point"], r["late"]) for r in run.outputs]
    same(np.array(got, dtype=np.int64), np.array(want, dtype=np.int64))
    assert {row[2] for row in want} == {0, 1} and len({row[1] for row in want}) > 8


def test_lint() -> None:
    for config in (CONFIG, SfuConfig(predictor_rows=1024)):
        lint(used(render_sfu(config), "sfu_dvfs"), "sfu_dvfs")


def test_layer_and_point() -> None:
    check_dvfs(CONFIG, build_sfu(CONFIG, sfu_ports.dvfs(CONFIG)), 40)


@SLOW
def test_layer_and_point_of_a_large_table() -> None:
    config = SfuConfig(predictor_rows=1024)
    check_dvfs(config, build_sfu(config, sfu_ports.dvfs(config)), 60)


@pytest.mark.parametrize(
    "name", [n if n == "row one off" else pytest.param(n, marks=SLOW) for n in FAULTS]
)
def test_a_planted_fault_is_caught(name: str) -> None:
    model = build_sfu(CONFIG, sfu_ports.dvfs(CONFIG), planted(FAULTS[name], CONFIG))
    with pytest.raises(CheckFailed, match="differ"):
        check_dvfs(CONFIG, model, 12)
