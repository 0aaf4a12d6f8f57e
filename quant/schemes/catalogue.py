"""Schemes by name, as a command line or a study names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shiftforge.errors import InputError, Problem
from shiftforge.quant.schemes.activations import (
    BinaryActivations,
    DorefaActivations,
    LsqActivations,
    PactActivations,
)
from shiftforge.quant.schemes.apot import Apot
from shiftforge.quant.schemes.base import Scheme
from shiftforge.quant.schemes.binary import BinaryConnect, Xnor
from shiftforge.quant.schemes.deepshift import DeepShift
from shiftforge.quant.schemes.dorefa import Dorefa
from shiftforge.quant.schemes.dtssq import DTSSQ
from shiftforge.quant.schemes.flightnn import FLightNN
from shiftforge.quant.schemes.inq import Inq
from shiftforge.quant.schemes.settings import NAMES, scheme_problems
from shiftforge.quant.schemes.shift import Shift
from shiftforge.quant.schemes.ternary import Twn
from shiftforge.quant.schemes.uniform import Uniform

__all__ = ["NAMES", "by_name"]

_MAKERS: dict[str, Callable[..., Scheme]] = {
    "apot": Apot,
    "binaryconnect": BinaryConnect,
    "binaryconnect-stochastic": lambda **given: BinaryConnect(**{"stochastic": True, **given}),
    "bwn": Xnor,
    "deepshift-ps": lambda **given: DeepShift(**{"variant": "PS", **given}),
    "deepshift-q": lambda **given: DeepShift(**{"variant": "Q", **given}),
    "dorefa": Dorefa,
    "dtssq": DTSSQ,
    "flightnn": FLightNN,
    "inq": Inq,
    "int": Uniform,
    "lightnn": lambda **given: Shift(**{"rounding": "log", **given}),
    "pact": Dorefa,
    "shift": Shift,
    "shift2": lambda **given: Shift(**{"terms": 2, **given}),
    "twn": Twn,
    "xnor": Xnor,
}


def by_name(
    name: str, *, bits: int | None = None, activation_bits: int | None = None, **options: Any
) -> Scheme:
    """The scheme of one of `NAMES`.

    bits: of the weights, where the scheme has a choice. activation_bits: 2..8; None leaves
    activations float. They are quantised as the scheme's paper does: DoReFa and PACT by their own
    clips, XNOR-Net by signs (activation_bits is 1 there, or None), all others by LSQ with a
    power-of-two step. options: the scheme's own fields, `activations` among them.
    Raises InputError for a name, a field or a value that does not exist.
    """
    given = dict(options)
    if bits is not None:
        given["bits"] = bits
    settings = {option: value for option, value in given.items() if option != "activations"}
    if problems := scheme_problems(name, settings):
        raise InputError(problems)
    if name == "xnor":
        if activation_bits not in (None, 1):
            raise InputError(Problem("xnor with wider activations", 'use "bwn" for those'))
        given.setdefault("activations", BinaryActivations())
    elif activation_bits is not None:
        kind = {"dorefa": DorefaActivations, "pact": PactActivations}.get(name, LsqActivations)
        given.setdefault("activations", kind(bits=activation_bits))
    return _MAKERS[name](**given)
