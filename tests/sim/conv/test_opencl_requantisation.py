"""Requantisation to codes: every right shift, and left ones, of sums around ties and limits.

One channel goes into a 1x1 convolution; its weight and bias put the 256 codes where results change:
from one place to the next, past both ends of the range, through ties of either neighbour.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from device_client import DeviceClient
from tiers import thinned

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.plan import array_for, make_plan
from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.graph.types import (
    Conv,
    Grid,
    Preprocess,
    QuantizedModel,
    ShiftFormat,
    Tensor,
)
from shiftforge.sim.golden import run_golden

UNITS, PIXELS, COLUMNS = 16, 7, 256


def codes_model(
    shifts: tuple[int, ...], signed: bool, low: int, high: int, acc: int = 0
) -> QuantizedModel:
    """A result of 8 bits. shifts: to the right, of channels; below 0 to the left. acc: bits of
    sums, at least."""
    random = np.random.default_rng(len(shifts) + signed)
    weights, biases, places = [], [], []
    for shift in shifts:
        unit = 2.0**shift
        for weight in (1, 3, -48, 96, -1):
            # Around 0, around both ends of the range, far outside.
            centres = (0, low * unit, high * unit, 40 * high * unit, -40 * high * unit)
            for centre in centres:
                weights.append(weight)
                spread = int(random.integers(-2, 3))
                biases.append(int(np.clip(centre - 128 * weight + spread, -(2**21), 2**21)))
                places.append(shift)
    outputs = len(weights)
    weight = np.array(weights, np.int8).reshape(outputs, 1, 1, 1)
    bias, z = np.array(biases, np.int32), -np.array(places, np.int8)
    grid, wide = Grid(8, False, 0), Grid(8, signed, 0)
    x = Tensor("input", 1, 1, COLUMNS, grid)
    y = Tensor("codes", outputs, 1, COLUMNS, wide)
    bits = np.maximum(accumulator_bits(weight, bias, grid, np.array(places)), np.uint8(acc))
    conv = Conv(
        name="conv", source="net.conv", input="input", output="codes", weight=weight, z=z,
        bias=bias, format=ShiftFormat(4, 2, "S2"), stride=1, padding=(0, 0, 0, 0), dilation=1,
        groups=1, lo=low, hi=high, acc_bits=bits,
    )  # fmt: skip
    # What the last convolution makes leaves as it is: another one follows.
    last = Tensor("last", 1, 1, COLUMNS, Grid(32, True, 0))
    one, none = np.ones((1, outputs, 1, 1), np.int8), np.zeros(1, np.int32)
    right = np.array([min(shifts) > 0], np.int8)
    end = Conv(
        name="end", source="net.end", input="codes", output="last", weight=one,
        z=-right, bias=none, format=ShiftFormat(4, 2, "S2"), stride=1,
        padding=(0, 0, 0, 0), dilation=1, groups=1, lo=last.grid.qmin, hi=last.grid.qmax,
        acc_bits=accumulator_bits(one, none, wide, right),
    )  # fmt: skip
    return QuantizedModel(
        "codes", Preprocess(1, 1, COLUMNS, (1.0,), (1.0,)), "input", "last",
        {"input": x, "codes": y, "last": last}, (conv, end),
    )  # fmt: skip


EVERY = tuple(range(1, 16))


@pytest.mark.parametrize(
    ("shifts", "signed", "low", "high", "acc", "raised", "shared"),
    thinned([
        (EVERY, False, 0, 192, 0, 0, True),
        (EVERY, True, -128, 127, 0, 0, True),
        (EVERY, True, -128, 127, 28, 0, True),
        (EVERY, True, -128, 127, 29, 0, False),
        ((1,), True, -128, 127, 32, 0, True),
        ((-5, -1, 0, *EVERY), False, 0, 255, 0, 6, False),
        ((-5, -1, 0, *EVERY), True, -128, 127, 0, 6, False),
        ((0, 4, 12), True, -100, 77, 0, 1, True),
        ((0, 2), False, 3, 250, 0, 1, True),
        ((5,), False, 0, 192, 0, 0, True),
        ((-8, 0, 7), True, -128, 127, 24, None, False),
    ], 2),
)  # fmt: skip
@pytest.mark.parametrize("device", thinned(["pocl", "intel-fpga-emu"], 2))
def test_codes_are_the_references(
    device: str, shifts: tuple[int, ...], signed: bool, low: int, high: int, acc: int,
    raised: int | None, shared: bool,
    generated: Callable[..., Path], on_device: Callable[[str], DeviceClient],
) -> None:  # fmt: skip
    model = codes_model(shifts, signed, low, high, acc)
    plan = make_plan(
        model, load_board("a10gx1150"), array_for(model, UNITS, PIXELS), must_fit=False
    )
    ranges = plan.shifts
    assert plan.parameters.shared == shared
    assert ranges.folded == (raised is not None)
    assert ranges.raised == (raised or 0)
    frames = np.arange(COLUMNS).reshape(1, 1, 1, COLUMNS)
    golden = run_golden(model, frames)
    assert {low, high} <= set(np.unique(golden["codes"]).tolist())
    found = on_device(device).run(generated(model, UNITS, PIXELS), frames)
    for name in ("codes", "last"):
        assert np.array_equal(found[name], golden[name])
