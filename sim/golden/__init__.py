"""The integer reference in numpy: written from the graph's formulas, sharing no other code."""

from __future__ import annotations

from shiftforge.sim.golden.conv.network import accumulator_key, run_golden

__all__ = ["accumulator_key", "run_golden"]
