"""Matrix products of the EdgeBERT unit on an OpenCL device (docs/EDGEBERT_UNIT.md, 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.kernel_commands import af_bits, multiply, value_bits
from shiftforge.generator.edgebert.kernel_memory import Image, Packed, pack, unpack
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.sim.edgebert.opencl.program import UnitProgram

__all__ = [
    "MatrixUnit",
    "Packed",
    "Product",
    "ProductOptions",
    "pack",
    "unpack",
]


@dataclass(frozen=True, eq=False)
class Product:
    """values: (m, n) codes (uint8), or fixed point (int32) where asked for; (n, m) if transposed.

    packed: the codes as stored, None for fixed point. seconds: wall-clock of the kernels.
    """

    values: NDArray[Any]
    packed: Packed | None
    seconds: float


@dataclass(frozen=True)
class ProductOptions:
    """fraction, out_bias: of the conversion to AF. fixed: leave fixed point. transposed: the result
    is (n, m), drained by columns. codes: B holds AF codes though the unit's weights are SHIFT."""

    relu: bool = False
    fraction: int = 10
    out_bias: int = -10
    fixed: bool = False
    transposed: bool = False
    codes: bool = False


PLAIN = ProductOptions()


class MatrixUnit:
    """The matrix part built for a device.

    text: the device text, if it is not to be the rendered one. strict_depth: channels as deep as
    in hardware.
    """

    def __init__(
        self,
        config: UnitConfig,
        device: str,
        *,
        text: str | None = None,
        strict_depth: bool = False,
    ) -> None:
        self.config = config
        self.unit = UnitProgram(UnitDesign(config), device, text=text, strict_depth=strict_depth)

    def run(
        self,
        a: ArrayLike,
        b: ArrayLike,
        shift: ArrayLike,
        bias: ArrayLike,
        options: ProductOptions = PLAIN,
    ) -> Product:
        """C = post(A B) of codes a (m, k) and b (n, k), B transposed.

        b: AF codes, or SHIFT codes of the unit's terms. shift (-64..63), bias (int32): one, or one
        an output channel (n). Raises InputError where the product does not fit the unit,
        CheckFailed where the kernels stop or hang before they are done.
        """
        config, lanes = self.config, self.config.lanes
        a_codes, b_codes = np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)
        sh, offset = np.asarray(shift, dtype=np.int64), np.asarray(bias, dtype=np.int64)
        _check(config, (a_codes, b_codes, sh, offset), options)
        b_bits = af_bits(config) if options.codes else value_bits(config)
        m, n = len(a_codes), len(b_codes)
        rows, columns = (n, m) if options.transposed else (m, n)
        image = Image(lanes)
        left, right = image.codes(a_codes, af_bits(config)), image.codes(b_codes, b_bits)
        c = None if options.fixed else image.tensor(rows, columns)
        multiply(
            image, left, right, c, image.channels(sh, offset, n), relu=int(options.relu),
            fixed=int(options.fixed), fraction=options.fraction, out_bias=options.out_bias,
            transposed=int(options.transposed), codes=int(options.codes),
        )  # fmt: skip
        image.rows(left.tiles * right.tiles * lanes if options.fixed else 0)
        image.freeze()
        seconds = self.unit.run(image)
        if c is None:
            return Product(image.read_rows(image.fixed, 0, rows, columns), None, seconds)
        return Product(image.read(c), image.stored(c), seconds)


def _check(
    config: UnitConfig, operands: tuple[NDArray[np.int64], ...], options: ProductOptions
) -> None:
    a, b, shift, bias = operands
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not (a.size and b.size):
        raise InputError(
            Problem(f"operands {a.shape} and {b.shape}", "give A (m, k) and B transposed (n, k)")
        )
    problems = []

    def check(values: NDArray[np.int64], low: int, high: int, what: str) -> None:
        if values.size and (int(values.min()) < low or int(values.max()) > high):
            problems.append(Problem(f"{what} out of range", f"give {low} to {high}"))

    check(a, 0, (1 << config.af_bits) - 1, "a code of A")
    if options.codes and not config.takes_codes:
        problems.append(Problem("the unit takes no AF codes in B", "use a shift unit with passes"))
    check(b, 0, (1 << (config.af_bits if options.codes else config.weight_bits)) - 1, "a code of B")
    check(shift, -64, 63, "a shift")
    check(bias, -(1 << 31), (1 << 31) - 1, "a bias")
    check(np.array(options.fraction), 0, 31, "the fraction bits")
    check(np.array(options.out_bias), -64, 63, "the exponent bias")
    for name, values in (("shifts", shift), ("biases", bias)):
        if values.shape not in ((), (1,), (b.shape[0],)):
            problems.append(Problem(f"{name} {values.shape}", f"give one or {b.shape[0]}"))
    lanes = config.lanes
    longest = min(config.a_rows, config.b_rows) // 2
    width = ("m", a.shape[0]) if options.transposed else ("n", b.shape[0])
    for name, size, most in (("k", a.shape[1], longest), (*width, config.c_rows // 2)):
        if -(-size // lanes) * lanes > most:
            problems.append(
                Problem(f"{name} = {size} leaves the unit's buffers", f"{most} at most")
            )
    if problems:
        raise InputError(problems)
