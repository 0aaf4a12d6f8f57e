"""A network as the planner sees it: what no array and no board changes, found once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from shiftforge.generator.conv.array import ArrayShape, tile_layer
from shiftforge.generator.conv.enlarging import enlargements_of
from shiftforge.generator.conv.post_range import INT32
from shiftforge.generator.conv.schedule import Layer, Schedule, schedule
from shiftforge.generator.conv.tables import table_bytes
from shiftforge.generator.conv.weights import ShiftRanges, shift_ranges
from shiftforge.generator.conv.windows import lefts
from shiftforge.generator.conv.word_layout import word_counts
from shiftforge.quant.graph.types import Conv, QuantizedModel

__all__ = ["CODE_BITS", "Network", "WordCounts", "network_of"]

CODE_BITS = 9
"""Of a signed number that holds a code of either kind."""
WordCounts: TypeAlias = tuple[tuple[int, int], ...]
"""(first, second) weight words of each group of output channels (``word_counts``)."""


@dataclass(frozen=True, eq=False)
class Network:
    """A model scheduled, with the facts of it that every plan needs.

    image_shape: (C, H, W). geometries: (mode, stride, left padding) of line buffers and windows.
    pools: (multiplier, right shift) of the global pools. multiplier: whether some layer is
    requantised by a multiplier. shifts: of requantisation.
    """

    model: QuantizedModel
    scheduled: Schedule
    image_shape: tuple[int, int, int]
    geometries: tuple[tuple[str, int, int], ...]
    pools: tuple[tuple[int, int], ...]
    multiplier: bool
    shifts: ShiftRanges
    _words: dict[tuple[int, str], tuple[WordCounts, ...]] = field(default_factory=dict, repr=False)
    _fitted: dict[int, Network] = field(default_factory=dict, repr=False)

    def fit(self, units: int) -> Network:
        """The network for an array of so many units."""
        if self.scheduled.units in (0, units):
            return self
        if units not in self._fitted:
            self._fitted[units] = _network(self.model, schedule(self.model, units))
        return self._fitted[units]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The passes in execution order."""
        return self.scheduled.layers

    @property
    def pool_bits(self) -> int:
        """Bits of a signed integer that hold every sum of a global pool; 1 where there is none."""
        sums = [
            max(grid.qmax, -grid.qmin) * own.out_shape[1] * own.out_shape[2]
            for own in self.layers
            if own.pool is not None
            for grid in [own.pooled.grid]
        ]
        return max(sums, default=0).bit_length() + 1

    @cached_property
    def limited(self) -> bool:
        """Whether some output that leaves as 32-bit integers is clamped to fewer bits."""
        return any((own.conv.lo, own.conv.hi) != INT32 for own in self.layers if own.direct)

    @cached_property
    def tables(self) -> tuple[tuple[int, ...], ...]:
        """The functions of a code, each once: its 256 bytes, by the byte of the code."""
        found = (
            table_bytes(table, read.grid)
            for own in self.layers
            for table, read in ((own.code_table, own.conv_output), (own.table, own.add_output))
            if table is not None
        )
        return tuple(dict.fromkeys(found))

    @property
    def enlargements(self) -> tuple[tuple[int, bool], ...]:
        """How maps are enlarged: factor of columns, and whether zeros lie between values."""
        return enlargements_of(self.layers)

    @property
    def largest_bits(self) -> int:
        """Bits that hold every word of which the largest is taken; 0 where none is."""
        pools = [own for own in self.layers if own.largest]
        return CODE_BITS - min((int(own.conv.z.min()) for own in pools), default=0) if pools else 0

    @property
    def cut(self) -> bool:
        """Whether a kernel is cut into windows by columns."""
        return any(own.windows.columns > 1 for own in self.layers)

    @property
    def acc_bits(self) -> int:
        """Bits that hold every sum of the network, with its bias and rounding."""
        return int(max(layer.conv.acc_bits.max() for layer in self.layers))

    def words(self, array: ArrayShape) -> tuple[WordCounts, ...]:
        """The weight words of every layer: they follow from the units and the kind of lanes alone,
        and are counted once for each."""
        key = array.units, array.unit
        if key not in self._words:
            found = []
            for layer in self.layers:
                tiling = tile_layer(layer, array)
                found.append(word_counts(layer, tiling, array))
            self._words[key] = tuple(found)
        return self._words[key]


def network_of(model: QuantizedModel | Network) -> Network:
    """The network of a model, or itself. Raises InputError for what cannot be mapped."""
    if isinstance(model, Network):
        return model
    return _network(model, schedule(model))


def _network(model: QuantizedModel, scheduled: Schedule) -> Network:
    layers = scheduled.layers
    multiplier = any(isinstance(n, Conv) and n.multiplier is not None for n in model.nodes)
    geometries = {
        (own.mode, own.stride, left) for own in layers if own.mode != "pointwise"
        for left in lefts(own)
    }  # fmt: skip
    pools = [(own.pool.multiplier, own.pool.shift) for own in layers if own.pool is not None]
    return Network(
        model=model,
        scheduled=scheduled,
        image_shape=model.tensors[model.input].shape,
        geometries=tuple(sorted(geometries)),
        pools=tuple(dict.fromkeys(pools)),
        multiplier=multiplier,
        shifts=shift_ranges(layers, multiplier),
    )
