"""bench/conv/against_hls4ml.py: what is counted, and how ratios are told. hls4ml is not run."""

from __future__ import annotations

from typing import Any

import pytest

from bench.conv import against_hls4ml as bench


def facts(pocl: float, processor: str = "AMD EPYC") -> dict[str, Any]:
    seconds = {"hls4ml, Latency": [0.4, 0.3, 0.2], "hls4ml, Resource": [0.2, 0.2, 0.2],
               "pocl, 1 term": [pocl], "intel-cpu": [0.1], "intel-fpga-emu": [0.2]}  # fmt: skip
    return {"machine": {"processor": processor}, "macs": 10**6, "seconds_per_frame": seconds,
            "correlation_to_float": {"shiftforge": 0.9}}  # fmt: skip


def test_the_faster_strategy_counts_by_its_median() -> None:
    assert bench.ratios(facts(0.004)) == pytest.approx(
        {"pocl, 1 term": 50.0, "intel-cpu": 2.0, "intel-fpga-emu": 1.0}
    )


def test_what_is_missed_and_what_changed_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    bench.report(facts(0.003), facts(0.006))
    rows = {line.split("|")[1].strip(): line for line in capsys.readouterr().out.splitlines()[2:7]}
    assert "PASS" in rows["pocl, 1 term"] and "2.00" in rows["pocl, 1 term"]
    assert "MISS" in rows["intel-fpga-emu"] and "not Intel" in rows["intel-cpu"]
    bench.report(facts(0.003, "Intel Xeon"), None)
    assert "MISS" in capsys.readouterr().out.splitlines()[5]


def test_multiply_accumulates_are_counted_from_shapes() -> None:
    layers = 32 * 32 * 27 * 16, 16 * 16 * 144 * 32, 16 * 16 * 288 * 32, 8 * 8 * 288 * 64, 4096 * 10
    assert bench.macs(bench.network()) == sum(layers)
