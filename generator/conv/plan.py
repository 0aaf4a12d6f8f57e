"""The plan: everything decided about a network on a board, before any text is written."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from shiftforge.boards.types import Board
from shiftforge.errors import InputError, Problem
from shiftforge.generator.board_fit import Estimate, device_uses, fit_problems
from shiftforge.generator.channel import Channel
from shiftforge.generator.conv.area import AreaEstimate, estimate_area, features_of
from shiftforge.generator.conv.array import ArrayShape, tile_layer
from shiftforge.generator.conv.counters import Counters, check_counters, counters_of
from shiftforge.generator.conv.cycles import model_cycles
from shiftforge.generator.conv.depths import DEFAULT_DEPTHS, Depths, plan_channels
from shiftforge.generator.conv.image import ImageLayout
from shiftforge.generator.conv.latencies import Latencies, board_latencies, bytes_per_cycle
from shiftforge.generator.conv.lowered import Traced, lower_network
from shiftforge.generator.conv.map_bytes import map_memories
from shiftforge.generator.conv.maps import plan_maps
from shiftforge.generator.conv.memory import MemoryPlan
from shiftforge.generator.conv.network import Network, network_of
from shiftforge.generator.conv.options import shape_problems
from shiftforge.generator.conv.packing import Packing, packings_of
from shiftforge.generator.conv.plan_parts import (
    LayerPlan,
    StepPlan,
    map_traffic,
    output_traffic,
    plan_layers,
    plan_steps,
)
from shiftforge.generator.conv.programs import batch_record_beats
from shiftforge.generator.conv.promises import Proof, prove_promises
from shiftforge.generator.conv.records import ControllerPass, ConvPass, FetchPass, StorePass
from shiftforge.generator.conv.segments import Segment, image_problems, steps_of
from shiftforge.generator.conv.slices import Slice
from shiftforge.generator.conv.through import NOTHING, Through, plan_through
from shiftforge.generator.conv.times import entries_of
from shiftforge.generator.conv.turns import Turns
from shiftforge.generator.conv.weights import (
    ParameterLayout,
    ShiftRanges,
    WeightBeats,
    parameter_bytes,
    parameter_layout,
    weight_beats,
)
from shiftforge.quant.graph.types import IntFormat, QuantizedModel

__all__ = [
    "LayerPlan", "Plan", "StepPlan", "area_estimate", "array_for", "make_plan",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Plan:
    """A network planned for a board. All cycles are of a batch: as many frames as are in flight.

    image_pass: stores the image, where it is not streamed into the first layer. fill: reads the
        first weights. geometries: (mode, stride, left padding) of line buffers and windows.
    pools: (multiplier, right shift) of the global pools. pool_bits: that hold their sums. tables:
        functions of a code, 256 bytes each. enlargements: (factor of columns, zeros between) of
        maps that are read enlarged. proofs: of the kernels' promises.
    multiplier_requant: one multiplier a channel output in requantisation (not multiplier-free).
    non_blocking: the controller takes results as they come: which iteration stores a line depends
        on time, and that a run never stops is not proved.
    weight_words: of the largest group that is resident at once. zero_words: a layer leaves out
        words of zeros at the end of a group of output channels. beats: how words lie in memory.
    steps: invocations of the kernels in their order; layers: what they add up to. traced: the
        stored maps of a batch in the traced build. segments: of layers that run in strips. tight:
        see ``make_plan``.
    acc_bits: that hold every sum, with its bias and rounding. slice: of a line, what additions and
        pools take at once. turns: of post, for what it does rarely.
    largest_bits: of the words of which a layer takes the largest; 0 where none does.
    through: maps in global memory; fetches, saves: what goes there and comes back in a batch.
    symmetric_bytes: what two buffers of the largest map each, and residuals beside, would take.
    """

    network: str
    board: Board
    array: ArrayShape
    image: ImageLayout
    image_pass: ControllerPass | None
    fill: ConvPass
    geometries: tuple[tuple[str, int, int], ...]
    pools: tuple[tuple[int, int], ...]
    pool_bits: int
    tables: tuple[tuple[int, ...], ...]
    enlargements: tuple[tuple[int, bool], ...]
    latencies: Latencies
    proofs: tuple[Proof, ...]
    image_shape: tuple[int, int, int]
    layers: tuple[LayerPlan, ...]
    steps: tuple[StepPlan, ...]
    memory: MemoryPlan
    channels: tuple[Channel, ...]
    multiplier_requant: bool
    row_lines: int
    weight_words: int
    traced: tuple[Traced, ...]
    non_blocking: bool
    shifts: ShiftRanges
    acc_bits: int
    slice: Slice
    turns: Turns
    beats: WeightBeats
    frame_words: int
    zero_words: bool
    segments: tuple[Segment, ...]
    tight: bool
    through: Through
    largest_bits: int
    fetches: tuple[FetchPass, ...]
    saves: tuple[StorePass, ...]

    @property
    def cuts(self) -> bool:
        """Whether some kernel is cut into several windows."""
        return any(own.conv.more_rows or own.conv.more_columns for own in self.steps)

    @property
    def cut_columns(self) -> bool:
        """Whether one is by columns."""
        return any(own.conv.more_columns for own in self.steps)

    @property
    def traffic_bytes(self) -> int:
        """Bytes that a batch moves from and to global memory: image, weights, parameters, records,
        output, and maps that travel."""
        image, array = self.image, self.array
        return (
            image.frame_beats * image.passes * image.beat
            + self.beats.frame_bytes(self.frame_words)
            + self.frame_beats * parameter_bytes(array, self.parameters)
            + output_traffic(self.steps, array)
            + map_traffic(self.fetches, self.saves, array)
        )

    @property
    def parameters(self) -> ParameterLayout:
        """How requantisation constants lie in memory."""
        return parameter_layout(self.multiplier_requant, self.shifts, self.acc_bits)

    @cached_property
    def packings(self) -> Mapping[str, Packing]:
        """How the records lie in memory, by kernel."""
        passes = [(own.controller, own.conv, own.post) for own in self.steps]
        lines = self.memory.total_lines
        return packings_of(self.image_pass, passes, self.fill, lines, self.fetches, self.saves)

    @cached_property
    def counters(self) -> Counters:
        """What the kernels' states count, by kernel."""
        return counters_of(self)

    @cached_property
    def area(self) -> AreaEstimate:
        """Modelled use of the device, by item."""
        return estimate_area(features_of(self))

    @property
    def ideal_cycles(self) -> int:
        """Cycles a batch if every array cycle were full and nothing else took time."""
        return sum(layer.cycles.ideal for layer in self.layers)

    @property
    def modelled_cycles(self) -> int:
        """Cycles a batch with everything that the model counts."""
        return sum(layer.cycles.modelled for layer in self.layers)

    @property
    def one_term_cycles(self) -> int:
        """Array cycles a batch if no weight had a second term."""
        return sum(layer.one_term_cycles for layer in self.layers)

    @property
    def second_term_cycles(self) -> int:
        """Array cycles a batch that second words add."""
        return sum(layer.second_term_cycles for layer in self.layers)

    @property
    def second_terms(self) -> float:
        """f: array cycles that second words add over those without any."""
        return self.second_term_cycles / self.one_term_cycles

    @property
    def macs(self) -> int:
        """Multiply-accumulates a frame."""
        return sum(layer.cycles.macs for layer in self.layers)

    @property
    def utilisation(self) -> float:
        """MACs of a batch / (modelled cycles x lanes), everything counted."""
        return self.share(self.modelled_cycles)

    def share(self, cycles: int) -> float:
        """MACs of a batch / (cycles x lanes)."""
        return self.array.frames * self.macs / (cycles * self.array.lanes)

    @property
    def modelled_fps(self) -> float:
        """Frames a second at the board's assumed clock (modelled)."""
        return self.array.frames * self.board.clock_mhz_assumed * 1e6 / self.modelled_cycles

    @property
    def batch_latency_ms(self) -> float:
        """Milliseconds of a batch, and so of each of its frames (modelled, among others)."""
        return self.modelled_cycles / (self.board.clock_mhz_assumed * 1e3)

    @property
    def buffer_bytes(self) -> int:
        """Bytes of the on-chip feature-map memory, for a batch."""
        return self.memory.total_lines * self.array.line_bytes

    @property
    def symmetric_bytes(self) -> int:
        """Bytes of a symmetric double buffer for the same network and batch."""
        return self.memory.symmetric_lines * self.array.line_bytes

    @property
    def map_memories(self) -> Mapping[str, int]:
        """Declared bytes of every memory with map data; see ``map_memories``."""
        return map_memories(self.array, self.memory.total_lines or 1, self.row_lines, self.channels)

    @property
    def map_bytes(self) -> int:
        """Declared bytes of all memories with map data."""
        return sum(self.map_memories.values())

    @property
    def image_strips(self) -> tuple[int, ...]:
        """Map rows of the image that are sent at once, one step after the other."""
        if not self.image.streamed:
            return (self.image.map_rows,)
        return tuple(own.tiling.out_rows for own in self.steps if own.index == 0)

    @property
    def frame_params(self) -> int:
        """Parameter records of a frame."""
        return sum(step.tiling.out_groups for step in self.steps)

    @property
    def record_beats(self) -> int:
        """Beats of a batch that bring the kernels' records."""
        return batch_record_beats(self.packings, len(self.steps), self.image_pass is not None)

    @property
    def frame_beats(self) -> int:
        """Beats of parameters and records that a batch reads."""
        return self.frame_params + self.record_beats

    @property
    def trace_lines(self) -> int:
        """Lines of all stored maps of a frame."""
        return sum(own.lines for own in self.traced)

    @property
    def max_groups(self) -> int:
        """Groups of output channels of the widest layer."""
        return max(layer.tiling.out_groups for layer in self.layers)


def array_for(
    model: QuantizedModel | Network, units: int, pixels: int, frames: int = 1
) -> ArrayShape:
    """The array that can run the model's weights: shift lanes unless a layer has plain integers."""
    own = model.model if isinstance(model, Network) else model
    formats = [conv.format for conv in own.conv_nodes()]
    if any(isinstance(f, IntFormat) for f in formats):
        # A value of a shift format may need all eight.
        bits = max(f.bits if isinstance(f, IntFormat) else 8 for f in formats)
        return ArrayShape(units, pixels, frames, "multiplier", bits)
    return ArrayShape(units, pixels, frames, "shift")


def make_plan(
    model: QuantizedModel | Network, board: Board, array: ArrayShape, *,
    non_blocking: bool = False, must_fit: bool = True, depths: Depths = DEFAULT_DEPTHS,
    segments: Sequence[Segment] = (), tight: bool = False, through: Collection[str] = (),
) -> Plan:  # fmt: skip
    """Plan a model on a board with a given array.

    depths: of the channels that run ahead. segments: layers that run in strips. tight: results are
    read as soon as they can be, so that the channel of results is short. through: tensors that lie
    in global memory. Raises InputError where the plan does not fit, which ``must_fit`` may waive.
    """
    network = network_of(model).fit(array.units)
    if problems := shape_problems(array.units, array.pixels, array.frames):
        raise InputError(problems)
    layers = network.layers
    steps = steps_of(layers, [tile_layer(layer, array) for layer in layers], segments)
    memory = plan_maps(network.scheduled, array, steps, through)
    away = plan_through(network.scheduled, array, steps, through) if through else NOTHING
    if through and non_blocking:
        what = "maps in global memory need the controller that takes results when they are due"
        raise InputError(Problem(what, "leave out --non-blocking", board.name))
    latencies, rate = board_latencies(board), bytes_per_cycle(board)
    beats = weight_beats(array, rate)
    lowered = lower_network(
        network, array, latencies, memory.bases, steps, tight, through=away if through else None
    )
    passes = lowered.passes
    cycles = model_cycles(
        [layers[own.step.layer] for own in lowered.steps], [own.tiling for own in lowered.steps],
        passes, lowered.image, lowered.image_pass, array, beats, latencies, rate, depths,
        entries_of(latencies.reentry, lowered.packings(memory.total_lines)),
    )  # fmt: skip
    planned = plan_steps(layers, lowered, cycles)
    proofs = prove_promises(
        [p.controller for p in planned], [p.conv for p in planned], [p.post for p in planned],
        [p.name for p in planned], [own.reads for own in lowered.steps],
    )  # fmt: skip
    plan = Plan(
        network=network.model.name,
        board=board,
        array=array,
        image=lowered.image,
        image_pass=lowered.image_pass,
        fill=lowered.fill,
        geometries=network.geometries,
        pools=network.pools,
        pool_bits=network.pool_bits,
        tables=network.tables,
        enlargements=network.enlargements,
        latencies=latencies,
        proofs=proofs,
        image_shape=network.image_shape,
        layers=plan_layers(layers, lowered, planned, array),
        steps=planned,
        memory=memory,
        channels=plan_channels(passes, lowered.lags, latencies, depths, tight, lowered.stores),
        multiplier_requant=network.multiplier,
        row_lines=lowered.row_lines,
        weight_words=lowered.weight_words,
        traced=lowered.traced,
        non_blocking=non_blocking,
        shifts=network.shifts,
        acc_bits=network.acc_bits,
        slice=lowered.slice,
        turns=lowered.turns,
        beats=beats,
        frame_words=lowered.frame_words,
        zero_words=lowered.zero_words(layers),
        segments=tuple(segments),
        tight=tight,
        through=away,
        largest_bits=network.largest_bits,
        fetches=lowered.fetches,
        saves=lowered.stores,
    )
    if problems := image_problems(plan.image_strips):
        raise InputError(problems)
    check_counters(plan.counters)
    if must_fit:
        _check_fits(plan)
    return plan


def area_estimate(plan: Plan, area: AreaEstimate | None = None) -> Estimate:
    """What the plan takes of its board; area: in place of the plan's own."""
    area = plan.area if area is None else area
    remedies = (
        "a smaller array (--units, --pixels), or a larger board",
        "shift weights (--scheme shift), or a smaller array",
        "a lower resolution or width, or a larger board",
    )
    maps = f"{plan.buffer_bytes:,} bytes of feature maps"
    uses = device_uses(plan.board, area.alm, area.dsp, area.ram_blocks, remedies, maps)
    return Estimate(plan.board, uses)


def _check_fits(plan: Plan) -> None:
    """The search leaves out arrays that do not fit."""
    problems = fit_problems(area_estimate(plan))
    if problems:
        raise InputError(problems)
