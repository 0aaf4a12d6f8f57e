"""What the study compares, on what, and for how long: data only, with reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from shiftforge.quant.models.recipe import Recipe
from shiftforge.quant.schemes.activations import LsqActivations
from shiftforge.quant.schemes.apot import Apot
from shiftforge.quant.schemes.base import Scheme
from shiftforge.quant.schemes.binary import Xnor
from shiftforge.quant.schemes.dtssq import DTSSQ
from shiftforge.quant.schemes.flightnn import FLightNN
from shiftforge.quant.schemes.inq import Inq
from shiftforge.quant.schemes.prepare import EndPolicy
from shiftforge.quant.schemes.shift import Shift
from shiftforge.quant.schemes.ternary import Twn
from shiftforge.quant.schemes.uniform import Uniform

__all__ = ["ENDS", "STUDIES", "Row", "Study", "ablation_rows", "rows"]


_EIGHT = LsqActivations(8)
# First and last layer, 8 bits: rows then differ in the layers between.
ENDS = Uniform(8, activations=_EIGHT)


@dataclass(frozen=True)
class Study:
    """One data set's study.

    data: as `load_dataset` takes it; the command line appends the folder where one is needed.
    images: of the training split that are used at all, from the first; None for all of them.
    validation: how many of those are held out for every choice; the test images are looked at once
    a finished run. tune_images: of the rest that rows train on (the float start sees all); None for
    all of them. start: the recipe of the float network that every row of a seed starts from.
    tune: that of every row, float included. rates: the learning rates that each row chooses from
    on the validation images, by ``choose`` with the network of choose_seed, which is none of seeds.
    """

    data: str
    network: str
    images: int | None
    validation: int
    tune_images: int | None
    start: Recipe
    tune: Recipe
    choose: Recipe
    rates: tuple[float, ...]
    seeds: tuple[int, ...] = (1, 2, 3)
    choose_seed: int = 11
    ends: Literal["int8", "float"] = "int8"

    @property
    def name(self) -> str:
        """Of the data set, without its folder."""
        return self.data.partition(":")[0]

    @property
    def end_policy(self) -> EndPolicy:
        """What the first and the last layer take in every quantised row."""
        return ENDS if self.ends == "int8" else "float"


_FASHION_TUNE = Recipe(
    epochs=4, rate=0.02, warmup=0.05, shift=1, label_smoothing=0.0, freeze_epochs=1
)
_DIGITS_TUNE = replace(_FASHION_TUNE, epochs=6, batch=64, flip=False)

_CIFAR_START = Recipe(
    epochs=200, rate=0.1, warmup=0.0, label_smoothing=0.0, schedule="step", shift=4
)
_CIFAR_TUNE = Recipe(
    epochs=100, rate=0.04, warmup=0.02, label_smoothing=0.0, shift=4, freeze_epochs=10
)

STUDIES: dict[str, Study] = {
    # A part of the training images: 45 runs then finish within an hour on two busy cores.
    "fashion": Study(
        data="fashion",
        network="resnet8_small",
        images=30_000,
        validation=6_000,
        tune_images=12_800,
        start=Recipe(epochs=16, rate=0.1, shift=1, label_smoothing=0.0),
        tune=_FASHION_TUNE,
        choose=replace(_FASHION_TUNE, epochs=1, freeze_epochs=0),
        rates=(0.01, 0.05),
    ),
    "digits": Study(
        data="digits",
        network="resnet8_small",
        images=None,
        validation=237,
        tune_images=None,
        start=Recipe(epochs=24, rate=0.05, batch=64, shift=1, label_smoothing=0.0, flip=False),
        tune=_DIGITS_TUNE,
        choose=replace(_DIGITS_TUNE, epochs=2, freeze_epochs=0),
        rates=(0.01, 0.05),
    ),
    # As the papers have it: whole training split but validation, He et al.'s recipe, first and
    # last layer float. Days on a processor; meant for a GPU and the user's own files.
    "cifar10": Study(
        data="cifar10",
        network="resnet20",
        images=None,
        validation=5_000,
        tune_images=None,
        start=_CIFAR_START,
        tune=_CIFAR_TUNE,
        choose=replace(_CIFAR_TUNE, epochs=10, freeze_epochs=2),
        rates=(0.01, 0.04),
        ends="float",
    ),
    "cifar100": Study(
        data="cifar100",
        network="resnet18",
        images=None,
        validation=5_000,
        tune_images=None,
        start=replace(_CIFAR_START, weight_decay=5e-4),
        tune=replace(_CIFAR_TUNE, weight_decay=5e-4),
        choose=replace(_CIFAR_TUNE, weight_decay=5e-4, epochs=10, freeze_epochs=2),
        rates=(0.01, 0.04),
        ends="float",
    ),
}


@dataclass(frozen=True)
class Row:
    """One line of a table. scheme None: float. family: for colours and grouping.

    recalibrate: training images that batch norm is measured with at the end. rate_of: the row
    whose chosen learning rate serves here too; "" to choose one.
    """

    label: str
    family: str
    scheme: Scheme | None
    recalibrate: int = 2000
    rate_of: str = ""


# Shares of weights with a second term at the end.
_FRACTIONS = (0.1, 0.25, 0.5)


def _dtssq(target: float) -> DTSSQ:
    return DTSSQ(4, target=target, activations=_EIGHT)


def _flightnn(target: float) -> FLightNN:
    return FLightNN(4, target=target, activations=_EIGHT)


def rows() -> list[Row]:
    """The comparison, every row with 8-bit activations (float excepted).

    Scales are powers of two a channel for INT, shift, FLightNN and DTSSQ, which is what runs
    without multipliers, and a layer for INQ. APoT and TWN have the published real scale of a layer,
    binary (alpha sign(w)) that of a filter. INQ has the published five bits, eight exponents.
    Percentages: the limit on weights, or on weights in filters, with a second term. The learning
    rate is chosen once a family.
    """
    return [
        Row("float", "float", None),
        Row("INT8", "uniform", Uniform(8, activations=_EIGHT), rate_of="INT4"),
        Row("INT6", "uniform", Uniform(6, activations=_EIGHT), rate_of="INT4"),
        Row("INT5", "uniform", Uniform(5, activations=_EIGHT), rate_of="INT4"),
        Row("INT4", "uniform", Uniform(4, activations=_EIGHT)),
        Row("shift one-term", "shift", Shift(4, 1, activations=_EIGHT)),
        Row("shift two-term", "shift", Shift(4, 2, activations=_EIGHT), rate_of="shift one-term"),
        Row("INQ", "inq", Inq(5, activations=_EIGHT)),
        Row("APoT", "apot", Apot(4, "real", activations=_EIGHT)),
        *(Row(f"FLightNN {f:.0%}", "flightnn", _flightnn(f)) for f in _FRACTIONS[1:2]),
        *(
            Row(f"DTSSQ {f:.0%}", "dtssq", _dtssq(f), rate_of="" if f == 0.25 else "DTSSQ 25%")
            for f in _FRACTIONS
        ),
        Row("TWN", "ternary", Twn("real", "layer", activations=_EIGHT)),
        Row("binary", "binary", Xnor("real", activations=_EIGHT)),
    ]


def ablation_rows() -> list[Row]:
    """DTSSQ with a quarter of second terms, one thing changed at a time; its learning rate."""
    base = _dtssq(0.25)
    changed: Mapping[str, DTSSQ] = {
        "fixed threshold": replace(base, threshold="fixed"),
        "STE": replace(base, gradient="ste"),
        "EWGS adaptive": replace(base, gradient="fisher"),
        "no Omega": replace(base, omega=0.0),
        "real scale": replace(base, scale="real"),
        "log rounding": replace(base, rounding="log"),
    }
    made = [Row(label, "dtssq", scheme, rate_of="DTSSQ 25%") for label, scheme in changed.items()]
    made.append(Row("no BN recalibration", "dtssq", base, recalibrate=0, rate_of="DTSSQ 25%"))
    return made
