"""The external memory image of a matrix product: bit-mask strips, descriptors, parameters.

A strip is one tile of ``lanes`` rows of a matrix of codes (rows x K): for each operand tile along
K, for each row, one vector of ``lanes`` codes. Its masks come first, eight to a beat, then its
data beats: byte i of beat w is the w-th non-zero code of lane i (two SHIFT4 nibbles a byte where
weights have one term).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed
from shiftforge.generator.plan.matmul import PARAM_BEATS, MatmulPlan
from shiftforge.generator.plan.unit import MASKS_PER_BEAT

__all__ = ["build_image", "read_result"]

Beats = NDArray[np.uint8]
Codes = NDArray[np.uint8]


def _strip(vectors: Codes, stride: int, pack: int) -> tuple[Beats, int]:
    """Beats (count, lanes) of one strip of (V, lanes) codes, and how many of them are data."""
    lanes = vectors.shape[1]
    masks = np.zeros((stride, lanes), dtype=np.uint8)
    masks[: len(vectors)] = vectors != 0
    mask_bytes = np.packbits(masks.reshape(-1), bitorder="little").reshape(-1, lanes)
    depth = int((vectors != 0).sum(axis=0).max(initial=0))
    values = np.zeros((-(-depth // pack) * pack, lanes), dtype=np.uint8)
    for lane in range(lanes):
        column = vectors[:, lane]
        kept = column[column != 0]
        values[: len(kept), lane] = kept
    if pack == 2:
        values = (values[0::2] | (values[1::2] << 4)).astype(np.uint8)
    return np.concatenate([mask_bytes, values]), len(values)


def _tile_vectors(codes: Codes, lanes: int) -> NDArray[np.uint8]:
    """(tiles, V, lanes): rows x K codes padded with zero codes to whole tiles."""
    rows, depth = codes.shape
    padded = np.zeros((-(-rows // lanes) * lanes, -(-depth // lanes) * lanes), dtype=np.uint8)
    padded[:rows, :depth] = codes
    cut = padded.reshape(padded.shape[0] // lanes, lanes, -1, lanes)
    return cut.transpose(0, 2, 1, 3).reshape(cut.shape[0], -1, lanes)


def _place(image: Beats, codes: Codes, values: dict[str, int], name: str, pack: int) -> None:
    lanes = image.shape[1]
    for tile, vectors in enumerate(_tile_vectors(codes, lanes)):
        beats, count = _strip(vectors, values["k_stride"], pack)
        at = values[f"{name}_base"] + tile * values[f"{name}_pitch"]
        image[at : at + len(beats)] = beats
        image[values[f"{name}_desc"] + tile, :2] = (count & 0xFF, count >> 8)


def build_image(
    plan: MatmulPlan,
    a: Codes,
    b: Codes,
    shift: NDArray[np.integer[Any]],
    bias: NDArray[np.integer[Any]],
) -> Beats:
    """(beats, lanes) bytes.

    a: (m, k) AF codes. b: (n, k) weight codes (AF, a SHIFT4 nibble, or two nibbles with the first
    term in the low one). shift: (n,) -64..63. bias: (n,) int32. The code 0 alone is left out of
    the masks: 0x80 travels as a value.
    """
    lanes, values = plan.config.lanes, plan.registers
    if a.shape != (plan.m, plan.k) or b.shape != (plan.n, plan.k):
        raise ValueError(f"operands {a.shape} and {b.shape} do not fit the plan")
    if shift.shape != (plan.n,) or bias.shape != (plan.n,):
        raise ValueError("one shift and one bias a column of the result")
    image = np.zeros((plan.beats, lanes), dtype=np.uint8)
    _place(image, a, values, "a", 1)
    _place(image, b, values, "b", plan.config.weight_pack)
    params = np.zeros((values["n_tiles"] * lanes, PARAM_BEATS), dtype=np.uint8)
    words = bias.astype(np.int64) & 0xFFFFFFFF
    for byte in range(4):
        params[: plan.n, byte] = (words >> (8 * byte)) & 0xFF
    params[: plan.n, 4] = shift.astype(np.int64) & 0x7F
    blocks = params.reshape(values["n_tiles"], lanes, PARAM_BEATS).transpose(0, 2, 1)
    at = values["p_base"]
    image[at : at + PARAM_BEATS * values["n_tiles"]] = blocks.reshape(-1, lanes)
    return image


def read_result(plan: MatmulPlan, image: Beats) -> Codes:
    """(m, n) AF codes from the image that a run left.

    Raises CheckFailed where the image is no well-formed result.
    """
    lanes, values = plan.config.lanes, plan.registers
    columns = values["n_tiles"] * lanes
    result = np.zeros((values["m_tiles"], columns, lanes), dtype=np.uint8)
    for tile in range(values["m_tiles"]):
        at = values["c_base"] + tile * values["c_pitch"]
        low, high = image[values["c_desc"] + tile, :2].tolist()
        count = low | high << 8
        mask_beats = values["c_stride"] // MASKS_PER_BEAT
        bits = np.unpackbits(image[at : at + mask_beats].reshape(-1), bitorder="little")
        masks = bits.reshape(-1, lanes)[:columns].astype(bool)
        data = image[at + mask_beats : at + mask_beats + count]
        if int(masks.sum(axis=0).max(initial=0)) != count:
            raise CheckFailed(f"row tile {tile} of the result: masks and descriptor disagree")
        for lane in range(lanes):
            kept = masks[:, lane]
            result[tile, kept, lane] = data[: int(kept.sum()), lane]
    cut = result.reshape(values["m_tiles"], values["n_tiles"], lanes, lanes)
    whole = cut.transpose(0, 2, 1, 3).reshape(values["m_tiles"] * lanes, columns)
    if whole[plan.m :].any() or whole[:, plan.n :].any():
        raise CheckFailed("the result is not zero past its last row or column")
    return np.ascontiguousarray(whole[: plan.m, : plan.n])
