"""ALMs of a lane, by what it multiplies with.

A lane is what multiplies, its share of a registered adder tree over nine taps and of a 32-bit
accumulator, synthesised by Yosys for Intel ALMs (synth_intel_alm -nodsp, ALM taken as ALUT6 +
0.75 ALUT5 + 0.5 rest; bench/results/lane_area.md).
"""

from __future__ import annotations

__all__ = ["ALM_A_LANE", "ALM_A_LANE_PACKED"]

ALM_A_LANE = {
    ("shift", 1): 30.4,
    ("soft", 2): 22.3,
    ("soft", 3): 32.3,
    ("soft", 4): 42.2,
    ("soft", 5): 52.7,
    ("soft", 6): 62.6,
    ("soft", 7): 73.1,
    ("soft", 8): 83.0,
    ("dsp", 8): 11.5,
}
"""As mapped: one shifter; a multiplier of rows on carry chains, by its weight's bits; the adders
alone where the multiplier is half an 18x19 DSP block."""
ALM_A_LANE_PACKED = {
    ("shift", 1): 26.5,
    ("soft", 2): 12.1,
    ("soft", 3): 17.5,
    ("soft", 4): 23.4,
    ("soft", 5): 29.4,
    ("soft", 6): 35.3,
    ("soft", 7): 41.3,
    ("soft", 8): 47.2,
    ("dsp", 8): 9.7,
}
"""The same where gates in front of adders lie in the adders' input functions, which Yosys does not
do and a vendor's tool may: it helps multipliers, which are little else, more than shifters."""
