"""Every activation times every weight code, on every lane of the array.

The image has nine channels, one a tap; its columns hold all 256 codes, and each row is moved on by
one column, so that every code meets every pixel position of a tile. The weights are zero but for
one tap: output channel o has code number o // (9 * units), on unit o % units, at tap
(o // units) % 9. The results leave as 32-bit integers: they are the products themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from device_client import DeviceClient
from tiers import thinned

from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.graph.types import (
    Conv,
    Grid,
    Preprocess,
    QuantizedModel,
    ShiftFormat,
    Tensor,
)

UNITS, PIXELS, TAPS = 16, 7, 9


def all_values(bits: int, terms: int) -> list[int]:
    """Weights of SHIFT<bits>, from its definition: sums of powers of two, zero included."""
    powers = [s << e for s in (1, -1) for e in range((1 << (bits - 1)) - 1)]
    one = {0, *powers}
    # 2**k - 2**(k-1) is one term; every other sum of two different exponents is a value.
    two = {a + b for a in powers for b in powers if abs(a) != abs(b)}
    return sorted(one | two if terms == 2 else one)


def products_model(fmt: ShiftFormat, signed: bool) -> QuantizedModel:
    values = all_values(fmt.bits, fmt.terms)
    outputs = len(values) * TAPS * UNITS
    o = np.arange(outputs)
    weight = np.zeros((outputs, TAPS, 1, 1), np.int8)
    weight[o, o // UNITS % TAPS, 0, 0] = np.array(values)[o // (TAPS * UNITS)]
    grid, wide = Grid(8, signed, 0), Grid(32, True, 0)
    x = Tensor("input", TAPS, PIXELS, 256, grid)
    y = Tensor("products", outputs, PIXELS, 256, wide)
    zeros = np.zeros(outputs, np.int32)
    conv = Conv(
        name="conv", source="net.conv", input="input", output="products", weight=weight,
        z=zeros.astype(np.int8), bias=zeros, format=fmt, stride=1, padding=(0, 0, 0, 0),
        dilation=1, groups=1, lo=wide.qmin, hi=wide.qmax,
        acc_bits=accumulator_bits(weight, zeros, grid, zeros),
    )  # fmt: skip
    ones = (1.0,) * TAPS
    return QuantizedModel(
        "products", Preprocess(TAPS, PIXELS, 256, ones, ones), "input", "products",
        {"input": x, "products": y}, (conv,),
    )  # fmt: skip


def run_products(signed: bool, fmt: ShiftFormat, folder: Path, client: DeviceClient) -> None:
    code = (np.arange(256) + np.arange(PIXELS)[:, None]) % 256
    activation = np.where(code > 127, code - 256, code) if signed else code
    frames = np.broadcast_to(activation, (1, TAPS, PIXELS, 256))
    found = client.run(folder, frames, trace=False)["products"][0]
    values = np.array(all_values(fmt.bits, fmt.terms))
    by_lane = found.reshape(len(values), TAPS * UNITS, PIXELS, 256)
    for w, products in zip(values, by_lane, strict=True):
        wrong = np.argwhere(products != w * activation)
        assert not len(wrong), f"weight {w}, (lane, row, column) {wrong[0]}"


@pytest.mark.parametrize(
    ("device", "bits", "terms", "signed", "count"),
    [
        ("pocl", 4, 2, False, 77), ("pocl", 4, 2, True, 77),
        *thinned([("intel-fpga-emu", 4, 2, True, 77), ("intel-fpga-emu", 4, 2, False, 77)], 2),
        ("pocl", 4, 1, False, 15), ("pocl", 4, 1, True, 15),
        *thinned([("intel-fpga-emu", 4, 1, False, 15), ("intel-fpga-emu", 4, 1, True, 15)], 2),
        ("pocl", 3, 2, True, 13), ("intel-fpga-emu", 3, 1, False, 7),
    ],
)  # fmt: skip
def test_every_activation_times_every_code(
    device: str, bits: int, terms: int, signed: bool, count: int,
    generated: Callable[..., Path], on_device: Callable[[str], DeviceClient],
    models: dict[tuple[int, int, bool], QuantizedModel],
) -> None:  # fmt: skip
    assert len(all_values(bits, terms)) == count
    fmt = ShiftFormat(bits, 2, "S2") if terms == 2 else ShiftFormat(bits, 1, "S1")
    model = models.setdefault((bits, terms, signed), products_model(fmt, signed))
    folder = generated(model, UNITS, PIXELS)
    run_products(signed, fmt, folder, on_device(device))


@pytest.fixture(scope="module")
def models() -> dict[tuple[int, int, bool], QuantizedModel]:
    """One model a case, shared by the devices, so that each design is generated once."""
    return {}
