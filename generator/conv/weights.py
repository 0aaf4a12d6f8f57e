"""Weight words and requantisation parameters as they lie in the board's global memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.conv.array import TAPS, ArrayShape, power_of_two, tile_layer
from shiftforge.generator.conv.averages import DIGIT_PLACES
from shiftforge.generator.conv.schedule import Layer
from shiftforge.quant.formats.shift import codes_from_ints
from shiftforge.quant.graph.types import ShiftFormat

__all__ = [
    "REST_BEAT", "ParameterLayout", "ShiftRanges", "WeightBeats", "negative_terms",
    "output_beat_bytes", "pack_parameters", "pack_weights", "parameter_bytes", "parameter_content",
    "parameter_layout", "shift_ranges", "stored_bytes", "weight_beats", "weight_word_bytes",
    "weight_words",
]  # fmt: skip

REST_BEAT = 64
_NARROW = (16, 32, 64)
"""Bytes of the beats of which a word may have several."""

# SHIFT4 with two terms holds every value of the narrower formats, so the array needs one decoder.
_ARRAY_FORMAT = ShiftFormat(bits=4, terms=2)


def weight_word_bytes(array: ArrayShape) -> int:
    """Bytes of one weight word: two codes of four bits a byte, or one of more.

    A multiple of eight: where nibbles do not fill it, the last eight high ones are unused.
    """
    return 8 * ceil(array.units * TAPS * array.code_bits / 64)


@dataclass(frozen=True)
class WeightBeats:
    """How a weight word lies in global memory: beat b of its own has bytes b * main on.

    main: bytes of a beat of its own, a power of two; count: of these beats, 1 or more. rest: bytes
    that are left for a beat of ``REST_BEAT`` bytes, which ``share`` words share; 0 where the whole
    word lies in its own beats.
    """

    main: int
    count: int = 1
    rest: int = 0
    share: int = 1

    @property
    def word(self) -> float:
        """Bytes that a word takes, unused ones included."""
        return self.count * self.main + (REST_BEAT / self.share if self.rest else 0)

    @property
    def held(self) -> int:
        """Bytes of a word that wait for its last beat."""
        return (self.count - 1) * self.main

    def cycles(self, bytes_per_cycle: float) -> float:
        """That a word takes from a memory of so many bytes a cycle; a load is one a cycle."""
        return max(self.count, self.word / bytes_per_cycle)

    def frame_bytes(self, words: int) -> int:
        """Bytes that a batch reads for so many words: beats, and rests that words share."""
        rests = ceil(words / self.share) * REST_BEAT if self.rest else 0
        return words * self.count * self.main + rests


def weight_beats(array: ArrayShape, bytes_per_cycle: float) -> WeightBeats:
    """The beats of an array's words on a board whose memory gives so many bytes a kernel cycle.

    A load's area goes by its width, so that the word lies in beats as narrow as they can be while
    it takes no longer than it would from wide ones (``_wide_beats``).
    """
    word, wide = weight_word_bytes(array), _wide_beats(array)
    narrow = [WeightBeats(main, ceil(word / main)) for main in _NARROW]
    most = wide.cycles(bytes_per_cycle)
    return next((own for own in narrow if own.cycles(bytes_per_cycle) <= most), wide)


def _wide_beats(array: ArrayShape) -> WeightBeats:
    """A word in one beat of its own.

    What does not fill the largest power of two in a word goes into a shared beat where it divides
    one; else the word takes the next power of two alone. So does a word of at most ``REST_BEAT``
    bytes: a second load takes more area there than the padding does bandwidth.
    """
    word = weight_word_bytes(array)
    main = power_of_two(word)
    rest = word - main // 2
    if main > max(word, REST_BEAT) and REST_BEAT % rest == 0:
        return WeightBeats(main // 2, 1, rest, REST_BEAT // rest)
    return WeightBeats(main)


def output_beat_bytes(array: ArrayShape, direct: bool) -> int:
    """Bytes of a beat of the network's output, a power of two: a line, or 32 bits a unit of one
    pixel of one frame."""
    return power_of_two(4 * array.units if direct else array.line_bytes)


def stored_bytes(array: ArrayShape, direct: bool, at_once: int) -> int:
    """Bytes of a store of the output: a beat, or 32 bits of the units that leave at once where
    those are not all."""
    if direct and at_once < array.units:
        return 4 * at_once
    return output_beat_bytes(array, direct)


def parameter_content(array: ArrayShape, layout: ParameterLayout) -> int:
    """Bytes of a parameter record that hold something."""
    return array.units * layout.channel_bytes


def parameter_bytes(array: ArrayShape, layout: ParameterLayout) -> int:
    """Bytes of a parameter record: a power of two."""
    return power_of_two(parameter_content(array, layout))


def weight_words(layer: Layer, array: ArrayShape) -> NDArray[np.int8]:
    """Weight values in array order: (groups, words, 9 taps, units), zero where none is mapped.

    A depthwise layer is one group, whose words are those of its channel groups, window by window.
    """
    tiling = tile_layer(layer, array)
    groups, words, units = tiling.out_groups, tiling.weight_words, array.units
    outputs = layer.weight.shape[0]
    if layer.mode == "pointwise":
        taken = array.taken
        flat = np.zeros((groups * units, words * taken), np.int8)
        flat[:outputs, : layer.weight.shape[1]] = layer.weight
        cut = flat.reshape(groups, units, words, taken).transpose(0, 2, 3, 1)
        # Where a cycle takes fewer channels, the last taps have none.
        return np.pad(cut, ((0, 0), (0, 0), (0, TAPS - taken), (0, 0)))
    taps = layer.weight.reshape(outputs, -1, TAPS)
    padded = np.zeros((groups * units, taps.shape[1], TAPS), np.int8)
    padded[:outputs] = taps
    found = padded.reshape(groups, units, taps.shape[1], TAPS).transpose(0, 2, 3, 1)
    return found.reshape(1, -1, TAPS, units) if layer.mode == "depthwise" else found


def _codes(
    values: NDArray[np.int8], counts: Sequence[tuple[int, int]], array: ArrayShape
) -> NDArray[np.uint8]:
    """Bytes of a layer's weight words (n, bytes) in order of use.

    counts: (first, second) words of each group; the second ones follow the first ones of the
    group's first blocks.
    """
    groups, words, lanes = *values.shape[:2], TAPS * array.units
    for g, (count, _) in enumerate(counts):
        if values[g, count:].any():
            raise ValueError(f"weights behind the {count} words of group {g}")
    if array.unit == "multiplier":
        used = [values[g, :count].reshape(-1, lanes) for g, (count, _) in enumerate(counts)]
        integers = np.concatenate(used).view(np.uint8)
        return _two_a_byte(integers & np.uint8(15)) if array.code_bits == 4 else integers
    pair = codes_from_ints(np.ascontiguousarray(values), _ARRAY_FORMAT)
    first, second = (codes.reshape(groups, words, lanes) for codes in pair)
    rows = []
    for g, (count, twice) in enumerate(counts):
        if second[g, twice:].any():
            raise ValueError(f"weights of two terms behind the {twice} second words of group {g}")
        both = np.stack([first[g, :twice], second[g, :twice]], axis=1).reshape(-1, lanes)
        rows += [both, first[g, twice:count]]
    return _two_a_byte(np.concatenate(rows))


def _two_a_byte(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Codes of four bits (n, lanes) as bytes: the first half of a word in the low nibbles, in
    whole vectors of eight codes."""
    half = 8 * ceil(codes.shape[1] / 16)
    low, high = codes[:, :half], codes[:, half:]
    return np.asarray(low | (np.pad(high, ((0, 0), (0, half - high.shape[1]))) << 4), np.uint8)


def pack_weights(
    layers: tuple[Layer, ...],
    words: Sequence[Sequence[tuple[int, int]]],
    array: ArrayShape,
    beats: WeightBeats,
    steps: Sequence[int] | None = None,
) -> tuple[bytes, bytes]:
    """All weight words in order of use (step, group of output channels, word): beats and rests.

    words: (first, second) words of every layer by group (``word_counts``). beats: how a word lies
    in them; where there are no rests, one beat of zeros stands for them. steps: of which layer
    each step is; None for one step a layer.
    """
    own = [
        _codes(weight_words(layer, array), counts, array)
        for layer, counts in zip(layers, words, strict=True)
    ]
    packed = np.concatenate([own[i] for i in (range(len(layers)) if steps is None else steps)])
    if not beats.rest:
        whole = np.pad(packed, ((0, 0), (0, beats.count * beats.main - packed.shape[1])))
        return whole.tobytes(), bytes(REST_BEAT)
    rest = packed[:, beats.main :]
    padded = np.zeros((ceil(len(rest) / beats.share) * beats.share, beats.rest), np.uint8)
    padded[: len(rest)] = rest
    return np.ascontiguousarray(packed[:, : beats.main]).tobytes(), padded.tobytes()


def negative_terms(layer: Layer, array: ArrayShape) -> NDArray[np.int64]:
    """Terms below zero of each output channel, over all of its lanes (O,).

    The array takes a negative term as its complement, -x - 1: a result lacks one a negative term,
    also where a window lies outside the map. Multipliers lack none.
    """
    outputs = int(layer.weight.shape[0])
    if array.unit == "multiplier":
        return np.zeros(outputs, np.int64)
    codes = codes_from_ints(np.ascontiguousarray(layer.weight), _ARRAY_FORMAT)
    below = np.stack([code >= 9 for code in codes])
    if layer.raises:
        # A window's words but the last move up with the sum.
        words = np.arange(layer.words)[::-1]
        lacks = (below.sum(axis=(0, 3, 4)) << DIGIT_PLACES * words).sum(axis=1)
        return np.asarray(lacks, np.int64)
    found: NDArray[np.int64] = below.reshape(len(codes), outputs, -1).sum(axis=(0, 2))
    return found


def pack_parameters(
    layers: tuple[Layer, ...],
    array: ArrayShape,
    layout: ParameterLayout,
    steps: Sequence[int] | None = None,
) -> bytes:
    """Requantisation constants in order of use, one record a group of output channels.

    steps: of which layer each step is; None for one step a layer.

    A record is a beat: of ``units`` channels a word each with bias and shift, or int32 bias, [int32
    multiplier,] int8 shift, one after the other; see ``ParameterLayout``. The shift is one to the
    right beyond the least one, or below 0 one to the left. The bias has what the complements of
    negative terms lack; where every channel is shifted right it is raised as the sums are and has
    the half that rounds up. It is in bits that wrap: the sum with it is the exact one.
    """
    multiplier = layout.multiplier
    ranges = shift_ranges(layers, multiplier)
    least = ranges.right_least
    records = []
    for layer in layers:
        factor, left, right = _requantisation(layer)
        bias = layer.conv.bias.astype(np.int64) + negative_terms(layer, array)
        if ranges.folded:
            right = right - left + ranges.raised
            left = np.zeros_like(right)
            bias = (bias << ranges.raised) + (np.int64(1) << (right - 1))
        groups, size = ceil(len(bias) / array.units), parameter_bytes(array, layout)
        channels = groups * array.units
        table = np.zeros((groups, size), np.uint8)
        at = 0
        # A multiplier has its left shift in it.
        shift = right - least if multiplier else np.where(left > 0, -left, right - least)
        rows: list[tuple[NDArray[Any], type]]
        if layout.shared:
            rows = [
                (_wrapped(_field(bias, layout.bias_bits) | shift << layout.bias_bits), np.int32)
            ]
        else:
            factors = [(factor, np.int32)] if multiplier else []
            rows = [(_wrapped(bias), np.int32), *factors, (shift, np.int8)]
        for row, kind in rows:
            padded: NDArray[Any] = np.zeros(channels, kind)
            padded[: len(row)] = row
            held = padded.reshape(groups, array.units).view(np.uint8)
            table[:, at : at + held.shape[1]] = held
            at += held.shape[1]
        records.append(table.tobytes())
    return b"".join(records if steps is None else [records[i] for i in steps])


def _field(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """The low bits of integers."""
    return values & ((1 << bits) - 1)


def _wrapped(values: NDArray[np.int64]) -> NDArray[np.int32]:
    """Integers modulo 2^32."""
    return _field(values, 32).astype(np.uint32).view(np.int32)


@dataclass(frozen=True)
class ParameterLayout:
    """How the constants of a channel lie in a record.

    multiplier: channels have one. bias_bits: of a bias as the sum with it needs it. shared: it lies
    in the low bits of one word of 32 bits, and the shift in those above it.
    """

    multiplier: bool
    bias_bits: int
    shared: bool

    @property
    def channel_bytes(self) -> int:
        """Bytes of a channel."""
        return 4 if self.shared else 5 + 4 * self.multiplier


def parameter_layout(multiplier: bool, shifts: ShiftRanges, acc_bits: int) -> ParameterLayout:
    """The layout of a network. acc_bits: of its sums, see ``Network``.

    A raised sum is right in its own bits, whatever lies above: so many the bias needs. Bias and
    shift share a word where both fit and every shift is one to the right.
    """
    bits = acc_bits + shifts.raised
    shared = not multiplier and shifts.folded and bits + shifts.right_bits <= 32
    return ParameterLayout(multiplier, bits if shared else 32, shared)


@dataclass(frozen=True)
class ShiftRanges:
    """right_least, right_most: of all right shifts of the network; left_most: of its left shifts.

    raised: places by which every sum is shifted left first, with its bias: as many as make each
    channel's shift one to the right. right_least is 0 where the plan cannot count on that: with
    multipliers, or where raised sums leave 32 bits.
    """

    right_least: int
    right_most: int
    left_most: int
    raised: int = 0

    @property
    def right_bits(self) -> int:
        """Bits of what a right shift is more than the least."""
        return (self.right_most - self.right_least).bit_length()

    @property
    def folded(self) -> bool:
        """Whether every channel is shifted right, so that biases hold the half that rounds up."""
        return self.right_least > 0


def shift_ranges(layers: tuple[Layer, ...], multiplier: bool) -> ShiftRanges:
    """Which shifts requantisation has to do."""
    parts = [_requantisation(layer) for layer in layers]
    right = np.concatenate([r for _, _, r in parts])
    left = np.concatenate([shift for _, shift, _ in parts])
    raised = max(0, 1 - int((right - left).min()))
    if multiplier or raised + max(int(layer.conv.acc_bits.max()) for layer in layers) > 32:
        return ShiftRanges(0, int(right.max()), int(left.max()))
    own = right - left + raised
    return ShiftRanges(int(own.min()), int(own.max()), 0, raised)


def _requantisation(layer: Layer) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """(multiplier, left shift, right shift) of every channel (O,)."""
    conv = layer.conv
    if conv.multiplier is not None and conv.shift is not None:
        right = conv.shift.astype(np.int64)
        return conv.multiplier, np.zeros_like(right), right
    exponents = layer.conv_output.grid.exponent - layer.input.grid.exponent
    shifts = exponents - conv.z.astype(np.int64)
    left, right = np.maximum(-shifts, 0), np.maximum(shifts, 0)
    if not layer.direct:
        # Eight places take any sum but 0 past every 8-bit code, where it is clamped all the
        # same; more could leave 32 bits.
        left = np.minimum(left, 8)
    factor: NDArray[np.int64] = np.int64(1) << np.minimum(left, 30)
    return factor, left, right
