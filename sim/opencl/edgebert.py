"""Matrix products of the EdgeBERT processing unit on an OpenCL device (docs/EDGEBERT_UNIT.md, 1).

The text and the definitions added to it for a device are those of the convolution accelerator
(see ``runtime.py``). Operands lie in memory by row tile, masks and values apart; each lane's values
begin anew with a tile.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.emit.edgebert_opencl import (
    PRODUCT_FIELDS,
    render_edgebert,
    unit_channels,
)
from shiftforge.generator.emit.project import EMULATION_DEPTH
from shiftforge.generator.plan.unit import UnitConfig
from shiftforge.sim.opencl.devices import device_spec, open_device
from shiftforge.sim.opencl.launch import launch_channels, launch_scheduler
from shiftforge.sim.opencl.runtime import LOWERED_DEPTH

__all__ = ["MatrixUnit", "Packed", "Product", "pack", "unpack"]


@dataclass(frozen=True, eq=False)
class Packed:
    """A stored matrix of T row tiles of V vectors of n lanes.

    masks: (T, V) uint32, bit i for lane i. values: (T, V, n) uint8, [t, j, i] the j-th value of
    lane i in tile t, 0 past the last. beats: (T,) int32, values of a tile's fullest lane.
    """

    masks: NDArray[np.uint32]
    values: NDArray[np.uint8]
    beats: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Product:
    """values: (m, n) codes (uint8), or fixed point (int32) where asked for; (n, m) if transposed.

    packed: the codes as stored, None for fixed point. seconds: wall-clock of the kernels.
    """

    values: NDArray[Any]
    packed: Packed | None
    seconds: float


def pack(matrix: ArrayLike, lanes: int, value_bits: int) -> Packed:
    """Store codes (R, K); a code is zero where none of the bits ``value_bits`` is set."""
    m = np.asarray(matrix, dtype=np.uint8)
    padded = np.pad(m, ((0, -m.shape[0] % lanes), (0, -m.shape[1] % lanes)))
    tiles, steps = padded.shape[0] // lanes, padded.shape[1] // lanes
    blocks = padded.reshape(tiles, lanes, steps, lanes).transpose(0, 2, 1, 3)
    vectors = blocks.reshape(tiles, steps * lanes, lanes)
    keep = (vectors & np.uint8(value_bits)) != 0
    place = np.cumsum(keep, axis=1) - 1
    values = np.zeros_like(vectors)
    t, v, lane = np.nonzero(keep)
    values[t, place[t, v, lane], lane] = vectors[t, v, lane]
    powers = np.uint32(1) << np.arange(lanes, dtype=np.uint32)
    masks = (keep * powers).sum(axis=2, dtype=np.uint32)
    return Packed(masks, values, keep.sum(axis=1).max(axis=1).astype(np.int32))


def unpack(packed: Packed, rows: int, columns: int) -> NDArray[np.uint8]:
    """The codes (rows, columns) of a stored matrix; what its masks leave out is 0."""
    tiles, count, lanes = packed.values.shape
    keep = (packed.masks[:, :, None] >> np.arange(lanes, dtype=np.uint32)) & 1
    place = np.maximum(np.cumsum(keep, axis=1).astype(np.int64) - 1, 0)
    vectors = np.take_along_axis(packed.values, place, axis=1) * keep.astype(np.uint8)
    return _matrix(vectors.reshape(tiles, count // lanes, lanes, lanes))[:rows, :columns]


def _matrix(blocks: NDArray[Any]) -> NDArray[Any]:
    """(tiles, steps, rows of a tile, lanes) as a matrix."""
    tiles, steps, lanes, _ = blocks.shape
    return blocks.transpose(0, 2, 1, 3).reshape(tiles * lanes, steps * lanes)


class MatrixUnit:
    """A unit built for a device.

    text: the device text, if it is not to be the rendered one. strict_depth: channels as deep as
    in hardware (not on the lowered devices, whose scheduler wants whole tiles).
    """

    def __init__(
        self,
        config: UnitConfig,
        device: str,
        *,
        text: str | None = None,
        strict_depth: bool = False,
    ) -> None:
        import pyopencl as cl

        self.config = config
        self.lowered = device_spec(device).channels == "lowered"
        self.context = cl.Context([open_device(device)])
        deep = LOWERED_DEPTH if self.lowered else EMULATION_DEPTH
        channels = unit_channels(config)
        self.depths = {c.name: c.depth if strict_depth else max(c.depth, deep) for c in channels}
        lanes, acc_bytes = config.lanes, 8 if config.acc_bits > 32 else 4
        word = {"vec_t": lanes, "sums_t": acc_bytes * lanes, "fixed_t": 4 * lanes}
        self.arena = sum(self.depths[c.name] * word[c.type] for c in channels)
        options = [f"-DSF_DEPTH_{name}={depth}" for name, depth in self.depths.items()]
        options.append("-DSF_LOWERED" if self.lowered else "-DSF_EMULATOR")
        started = time.perf_counter()
        source = render_edgebert(config) if text is None else text
        self.program = cl.Program(self.context, source).build(options=options)
        self.build_seconds = time.perf_counter() - started
        self.waits = np.zeros(3 * len(channels), np.int32)

    def run(
        self,
        a: ArrayLike,
        b: ArrayLike,
        shift: ArrayLike,
        bias: ArrayLike,
        *,
        relu: bool = False,
        fraction: int = 10,
        out_bias: int = -10,
        fixed: bool = False,
        transposed: bool = False,
    ) -> Product:
        """C = post(A B) of codes a (m, k) and b (n, k), B transposed.

        b: AF codes, or SHIFT codes of the unit's terms. shift (-64..63), bias (int32): one, or one
        an output channel (n). fraction, out_bias: of the conversion to AF. fixed: leave fixed
        point. transposed: the result is (n, m), drained by columns.

        Raises InputError where the product does not fit the unit, CheckFailed where the scheduler
        stops before it is done.
        """
        config, lanes = self.config, self.config.lanes
        a_codes, b_codes = np.asarray(a, dtype=np.int64), np.asarray(b, dtype=np.int64)
        sh, offset = np.asarray(shift, dtype=np.int64), np.asarray(bias, dtype=np.int64)
        _check(config, a_codes, b_codes, sh, offset, fraction, out_bias, transposed)
        af_bits = (1 << (config.af_bits - 1)) - 1
        b_bits = af_bits if config.weights == "af" else 0x77 & ((1 << config.weight_bits) - 1)
        (m, k), n = a_codes.shape, b_codes.shape[0]
        m_tiles, n_tiles, k_tiles = (-(-size // lanes) for size in (m, n, k))
        fields = {
            "m": m, "n": n, "m_tiles": m_tiles, "n_tiles": n_tiles, "k_tiles": k_tiles,
            "relu": int(relu), "fixed": int(fixed), "fraction": fraction, "out_bias": out_bias,
            "transposed": int(transposed),
        }  # fmt: skip
        job = np.array([fields[name] for name, _ in PRODUCT_FIELDS], dtype=np.int32)
        channels = [_per_lane(value, n, n_tiles * lanes) for value in (sh, offset)]
        rows, columns = (n, m) if transposed else (m, n)
        outers, inners = (n_tiles, m_tiles) if transposed else (m_tiles, n_tiles)
        result = Packed(
            np.zeros((outers, inners * lanes), np.uint32),
            np.zeros((outers, inners * lanes, lanes), np.uint8),
            np.zeros(outers, np.int32),
        )
        words = np.zeros((outers, inners, lanes, lanes) if fixed else (lanes,), np.int32)
        outputs = (result.masks, result.values, result.beats, words)
        operands = [pack(a_codes, lanes, af_bits), pack(b_codes, lanes, b_bits)]
        seconds = self._launch(job, operands, channels, outputs)
        if fixed:
            return Product(_matrix(words)[:rows, :columns], None, seconds)
        return Product(unpack(result, rows, columns), result, seconds)

    def _launch(
        self,
        job: NDArray[np.int32],
        operands: list[Packed],
        channels: list[NDArray[np.int32]],
        outputs: tuple[NDArray[Any], ...],
    ) -> float:
        import pyopencl as cl

        def copied(array: NDArray[Any]) -> Any:
            flags = cl.mem_flags.READ_ONLY | cl.mem_flags.COPY_HOST_PTR
            return cl.Buffer(self.context, flags, hostbuf=array)

        product = copied(job)
        a, b = (tuple(copied(x) for x in (p.masks, p.values, p.beats)) for p in operands)
        post = tuple(copied(c) for c in channels)
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
        out = tuple(cl.Buffer(self.context, flags, hostbuf=array) for array in outputs)
        started = time.perf_counter()
        if self.lowered:
            launch_scheduler(
                self.context, self.program, (product, *a, *b, *post, *out), self.depths,
                self.arena, "row tile {}, vector {}",
            )  # fmt: skip
        else:
            arguments = {
                "fetch_a": (product, *a), "fetch_b": (product, *b), "vmac": (product,),
                "post": (product, *post), "store": (product, *out),
            }  # fmt: skip
            launch_channels(self.context, self.program, arguments, self.waits)
        seconds = time.perf_counter() - started
        queue = cl.CommandQueue(self.context)
        for host, buffer in zip(outputs, out, strict=True):
            cl.enqueue_copy(queue, host, buffer)
        queue.finish()
        return seconds


def _per_lane(value: NDArray[np.int64], n: int, padded: int) -> NDArray[np.int32]:
    whole = np.zeros(padded, dtype=np.int32)
    whole[:n] = np.broadcast_to(value, (n,))
    return whole


def _check(
    config: UnitConfig,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    shift: NDArray[np.int64],
    bias: NDArray[np.int64],
    fraction: int,
    out_bias: int,
    transposed: bool,
) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not (a.size and b.size):
        raise InputError(
            Problem(f"operands {a.shape} and {b.shape}", "give A (m, k) and B transposed (n, k)")
        )
    problems = []

    def check(values: NDArray[np.int64], low: int, high: int, what: str) -> None:
        if values.size and (int(values.min()) < low or int(values.max()) > high):
            problems.append(Problem(f"{what} out of range", f"give {low} to {high}"))

    check(a, 0, (1 << config.af_bits) - 1, "a code of A")
    check(b, 0, (1 << config.weight_bits) - 1, "a code of B")
    check(shift, -64, 63, "a shift")
    check(bias, -(1 << 31), (1 << 31) - 1, "a bias")
    check(np.array(fraction), 0, 31, "the fraction bits")
    check(np.array(out_bias), -64, 63, "the exponent bias")
    for name, values in (("shifts", shift), ("biases", bias)):
        if values.shape not in ((), (1,), (b.shape[0],)):
            problems.append(Problem(f"{name} {values.shape}", f"give one or {b.shape[0]}"))
    lanes = config.lanes
    longest = min(config.a_rows, config.b_rows) // 2
    width = ("m", a.shape[0]) if transposed else ("n", b.shape[0])
    for name, size, most in (("k", a.shape[1], longest), (*width, config.c_rows // 2)):
        if -(-size // lanes) * lanes > most:
            problems.append(
                Problem(f"{name} = {size} leaves the unit's buffers", f"{most} at most")
            )
    if problems:
        raise InputError(problems)
