"""Every activation times every two-term weight in every mode, where its terms are words' own.

The first layer passes the image on. The second one has 9 output channels a value; a channel's only
weight that is not zero is this value, at tap (or input channel) o % 9, and every group has second
words. The results leave as 32-bit integers: they are the products themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from device_client import DeviceClient
from numpy.typing import NDArray
from test_opencl_codes import PIXELS, TAPS, UNITS, all_values
from tiers import thinned

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.plan import LayerPlan, array_for, make_plan
from shiftforge.quant.formats.accumulator import accumulator_bits
from shiftforge.quant.graph.types import (
    Conv,
    Grid,
    Preprocess,
    QuantizedModel,
    ShiftFormat,
    Tensor,
)
from shiftforge.sim.golden.conv.network import run_golden

Mode = Literal["pointwise", "standard", "held", "strided"]
# Powers of two lie between others, so that all groups of channels have values of two terms.
VALUES = np.array(all_values(4, 2))[np.arange(77) * 30 % 77]
OUTPUTS = len(VALUES) * TAPS


@dataclass(frozen=True)
class Case:
    """A mode and whether activations are int8, not uint8."""

    mode: Mode
    signed: bool

    @property
    def channels(self) -> int:
        """Of the image. All depthwise channels hold the same."""
        return {"pointwise": 3 * TAPS, "standard": 3}.get(self.mode, 1)

    @property
    def stride(self) -> int:
        """Of the second layer."""
        return 2 if self.mode == "strided" else 1

    def image(self) -> NDArray[np.int64]:
        """Codes (C, H, W). Where every second one is met, both halves of them lie in other rows."""
        rows, columns = (6, 260) if self.mode == "strided" else (9, 258)
        c, r, x = np.ogrid[: self.channels, :rows, :columns]
        code = x // 2 + r // 2 % 2 * 128 if self.mode == "strided" else x + r + 37 * c
        code = code % 256
        return np.asarray(np.where(code > 127, code - 256, code) if self.signed else code)

    def met(self, output: int) -> NDArray[np.int64]:
        """The activations (H, W) that an output's weight meets."""
        image, tap, s = self.image(), output % TAPS, self.stride
        if self.mode == "pointwise":
            return image[output % self.channels]
        y, x = divmod(tap, 3)
        rows, columns = (image.shape[1] - 3) // s + 1, (image.shape[2] - 3) // s + 1
        return image[output % self.channels][y : y + s * rows : s, x : x + s * columns : s]

    def model(self) -> QuantizedModel:
        """The network of the two layers."""
        image, depthwise = self.image(), self.mode in ("held", "strided")
        inputs = OUTPUTS if depthwise else self.channels
        kernel = 1 if self.mode == "pointwise" else 3
        passing = np.zeros((inputs, self.channels, 1, 1), np.int8)
        passing[np.arange(inputs), np.arange(inputs) % self.channels] = 1
        weight = np.zeros((OUTPUTS, 1 if depthwise else inputs, kernel, kernel), np.int8)
        for o in range(OUTPUTS):
            tap = (0, 0) if kernel == 1 else divmod(o % TAPS, 3)
            weight[o, o % self.channels, tap[0], tap[1]] = VALUES[o // TAPS]
        narrow, wide = Grid(8, self.signed, 0), Grid(32, True, 0)
        x = Tensor("input", *image.shape, narrow)
        between = Tensor("between", inputs, *image.shape[1:], narrow)
        y = Tensor("products", OUTPUTS, *self.met(0).shape, wide)
        common: dict[str, Any] = {"padding": (0, 0, 0, 0), "dilation": 1}

        def conv(name: str, a: Tensor, b: Tensor, w: NDArray[np.int8], **more: Any) -> Conv:
            zeros = np.zeros(len(w), np.int32)
            return Conv(
                name=name, source=f"net.{name}", input=a.name, output=b.name, weight=w,
                z=zeros.astype(np.int8), bias=zeros, lo=b.grid.qmin, hi=b.grid.qmax,
                acc_bits=accumulator_bits(w, zeros, a.grid, zeros), **common, **more,
            )  # fmt: skip

        first = conv("pass", x, between, passing, format=ShiftFormat(4, 1, "S1"), stride=1,
                     groups=1)  # fmt: skip
        second = conv("conv", between, y, weight, format=ShiftFormat(4, 2, "SEL"),
                      stride=self.stride, groups=OUTPUTS if depthwise else 1)  # fmt: skip
        ones = (1.0,) * self.channels
        return QuantizedModel(
            "products", Preprocess(*image.shape, ones, ones), "input", "products",
            {t.name: t for t in (x, between, y)}, (first, second),
        )  # fmt: skip


CASES = [Case(mode, signed) for mode in ("pointwise", "standard", "held", "strided")
         for signed in (False, True)]  # fmt: skip
each_case = pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.mode}-{c.signed}")


def planned(case: Case) -> LayerPlan:
    model = case.model()
    return make_plan(model, load_board("s10gx2800"), array_for(model, UNITS, PIXELS)).layers[1]


@each_case
def test_every_value_is_in_a_group_with_second_words_and_meets_every_activation(case: Case) -> None:
    assert len(np.unique(VALUES)) == 77
    own = planned(case)
    assert own.mode == {"held": "depthwise", "strided": "depthwise"}.get(case.mode, case.mode)
    for o in range(OUTPUTS):
        assert len(np.unique(case.met(o))) == 256
    if own.mode == "depthwise":
        assert own.words == ((OUTPUTS // UNITS + 1, OUTPUTS // UNITS + 1),)
        return
    assert len(own.words) == OUTPUTS // UNITS + 1
    assert min(second for _, second in own.words) >= 1


@pytest.mark.parametrize("device", thinned(["pocl", "intel-fpga-emu"], 2))
@pytest.mark.parametrize("case", thinned(CASES, 2), ids=lambda c: f"{c.mode}-{c.signed}")
def test_every_activation_times_every_two_term_value(
    case: Case, device: str, models: dict[Case, QuantizedModel], generated: Callable[..., Path],
    on_device: Callable[[str], DeviceClient],
) -> None:  # fmt: skip
    model = models.setdefault(case, case.model())
    frames = case.image()[None]
    found = on_device(device).run(generated(model, UNITS, PIXELS), frames, trace=False)["products"]
    assert np.array_equal(found, run_golden(model, frames)["products"])
    for o, products in enumerate(found[0]):
        wrong = np.argwhere(products != VALUES[o // TAPS] * case.met(o))
        assert not len(wrong), f"weight {VALUES[o // TAPS]}, tap {o % TAPS}, place {wrong[0]}"


@pytest.fixture(scope="module")
def models() -> dict[Case, QuantizedModel]:
    """One model a case, shared by the devices, so that each design is generated once."""
    return {}
