"""The external memory image of tensors: bit-mask strips, descriptors, parameters.

A strip is one tile of ``lanes`` rows of a part of a matrix of codes (rows x columns): for each
operand tile along the columns, for each row, one vector of ``lanes`` codes. Its masks come first,
eight to a beat, then its data beats: byte i of beat w is the w-th non-zero code of lane i (two
SHIFT4 nibbles a byte where weights have one term).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.command import PARAM_BEATS, Tensor
from shiftforge.generator.edgebert.matmul import MatmulPlan
from shiftforge.generator.edgebert.unit import MASKS_PER_BEAT
from shiftforge.sim.edgebert.operands import ProductOperands

__all__ = ["build_image", "read_result", "read_tensor", "write_params", "write_tensor"]

Beats = NDArray[np.uint8]
Codes = NDArray[np.uint8]


def _strips(image: Beats, tensor: Tensor, part: int) -> Beats:
    """The beats (row tiles, pitch, lanes) of a part, as a view."""
    first = tensor.base + part * tensor.part_pitch
    return image[first : first + tensor.part_pitch].reshape(tensor.row_tiles, tensor.pitch, -1)


def _descriptors(image: Beats, tensor: Tensor, part: int) -> Beats:
    first = tensor.desc + part * tensor.row_tiles
    return image[first : first + tensor.row_tiles]


def _lane_order(codes: Codes, tensor: Tensor) -> Codes:
    """(row tiles, lanes, stride): the codes of each lane in vector order, zero padded."""
    n, rows, depth = tensor.lanes, *codes.shape
    padded = np.zeros((tensor.row_tiles * n, tensor.steps * n), dtype=np.uint8)
    padded[:rows, :depth] = codes
    tiled = padded.reshape(tensor.row_tiles, n, tensor.steps, n)
    lanes = np.zeros((tensor.row_tiles, n, tensor.stride), dtype=np.uint8)
    lanes[:, :, : tensor.vectors] = tiled.transpose(0, 3, 2, 1).reshape(tensor.row_tiles, n, -1)
    return lanes


def write_tensor(image: Beats, tensor: Tensor, codes: Codes) -> None:
    """Strips and descriptors of (rows, columns) codes. Code 0 alone is left out of the masks."""
    if codes.shape != (tensor.rows, tensor.columns):
        raise ValueError(f"{codes.shape} codes for a tensor of {tensor.rows, tensor.columns}")
    mask_beats = tensor.stride // MASKS_PER_BEAT
    for part in range(tensor.parts):
        lanes = _lane_order(codes[:, part * tensor.width : (part + 1) * tensor.width], tensor)
        kept = lanes != 0
        counts = kept.sum(axis=2)
        packed = np.zeros_like(lanes)
        packed[np.arange(tensor.stride) < counts[:, :, None]] = lanes[kept]
        if tensor.pack == 2:
            packed = packed[:, :, 0::2] | (packed[:, :, 1::2] << np.uint8(4))
        masks = np.packbits(kept.transpose(0, 2, 1).reshape(len(kept), -1), 1, "little")
        strips = _strips(image, tensor, part)
        strips[:, :mask_beats] = masks.reshape(tensor.row_tiles, mask_beats, -1)
        strips[:, mask_beats:] = packed.transpose(0, 2, 1)
        depth = -(-counts.max(axis=1) // tensor.pack)
        places = _descriptors(image, tensor, part)
        places[:, 0], places[:, 1] = depth & 0xFF, depth >> 8


def _read_part(image: Beats, tensor: Tensor, part: int, name: str) -> Codes:
    def check(good: Any, what: str) -> None:
        if not good.all():
            tile = int(np.argmin(good))
            place = f"row tile {tile}" if tensor.parts == 1 else f"part {part}, row tile {tile}"
            raise CheckFailed(f"{place} of {name}: {what}")

    mask_beats, n = tensor.stride // MASKS_PER_BEAT, tensor.lanes
    strips = _strips(image, tensor, part)
    bits = np.unpackbits(strips[:, :mask_beats].reshape(tensor.row_tiles, -1), 1, None, "little")
    masks = bits.reshape(tensor.row_tiles, -1, n).transpose(0, 2, 1).astype(bool)
    counts = masks.sum(axis=2)
    words = _descriptors(image, tensor, part).astype(np.int64)
    depth = words[:, 0] | words[:, 1] << 8
    check(counts.max(axis=1) == depth, "masks and descriptor disagree")
    check(~masks[:, :, tensor.vectors :].any(axis=(1, 2)), "a mask past the last vector")
    data = strips[:, mask_beats:].transpose(0, 2, 1)
    here = np.arange(tensor.stride) < counts[:, :, None]
    in_beats = np.arange(tensor.stride) < depth[:, None, None]
    check(~((data == 0) & here).any(axis=(1, 2)), "a stored code is 0")
    check(~((data != 0) & ~here & in_beats).any(axis=(1, 2)), "a value past a lane's last one")
    lanes = np.zeros((tensor.row_tiles, n, tensor.stride), dtype=np.uint8)
    lanes[masks] = data[here]
    tiled = lanes[:, :, : tensor.vectors].reshape(tensor.row_tiles, n, tensor.steps, n)
    whole = tiled.transpose(0, 3, 2, 1).reshape(tensor.row_tiles * n, -1)
    if whole[tensor.rows :].any() or whole[:, tensor.width :].any():
        raise CheckFailed(f"{name} is not zero past its last row or column")
    return whole[: tensor.rows, : tensor.width]


def read_tensor(image: Beats, tensor: Tensor, name: str) -> Codes:
    """(rows, columns) AF codes of an image that a run left.

    Raises CheckFailed where masks, descriptors, values or padding contradict each other.
    """
    if tensor.pack != 1:
        raise ValueError("weights are not read back")
    parts = [_read_part(image, tensor, part, name) for part in range(tensor.parts)]
    return np.ascontiguousarray(np.concatenate(parts, axis=1))


def write_params(
    image: Beats, at: int, shift: NDArray[np.integer[Any]], bias: NDArray[np.integer[Any]]
) -> None:
    """The parameters of the column tiles: shift (n,) -64..63 and bias (n,) int32 a column."""
    lanes, count = image.shape[1], len(shift)
    column_tiles = -(-count // lanes)
    params = np.zeros((column_tiles * lanes, PARAM_BEATS), dtype=np.uint8)
    words = bias.astype(np.int64) & 0xFFFFFFFF
    for byte in range(4):
        params[:count, byte] = (words >> (8 * byte)) & 0xFF
    params[:count, 4] = shift.astype(np.int64) & 0x7F
    blocks = params.reshape(column_tiles, lanes, PARAM_BEATS).transpose(0, 2, 1)
    image[at : at + PARAM_BEATS * column_tiles] = blocks.reshape(-1, lanes)


def build_image(plan: MatmulPlan, given: ProductOperands) -> Beats:
    """(beats, lanes) bytes. The code 0 alone is left out of the masks: 0x80 travels as a value."""
    a, b = given.a, given.b
    if a.shape != (plan.m, plan.k) or b.shape != (plan.n, plan.k):
        raise ValueError(f"operands {a.shape} and {b.shape} do not fit the plan")
    if given.shift.shape != (plan.n,) or given.bias.shape != (plan.n,):
        raise ValueError("one shift and one bias a column of the result")
    image = np.zeros((plan.beats, plan.config.lanes), dtype=np.uint8)
    write_tensor(image, plan.a, a)
    write_tensor(image, plan.b, b)
    write_params(image, plan.registers["p_base"], given.shift, given.bias)
    return image


def read_result(plan: MatmulPlan, image: Beats) -> Codes:
    """(m, n) AF codes, (n, m) of a transposed product, from the image that a run left.

    Raises CheckFailed where the image is no well-formed result.
    """
    return read_tensor(image, plan.c, "the result")
