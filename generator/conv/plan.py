"""The plan: everything decided about a network on a board, before any text is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import ceil
from typing import Any

from shiftforge.boards.types import Board
from shiftforge.errors import InputError
from shiftforge.generator.board_fit import Estimate, device_uses, fit_problems
from shiftforge.generator.channel import Channel
from shiftforge.generator.conv.area import AreaEstimate, estimate_area
from shiftforge.generator.conv.array import ArrayShape, Tiling, tile_layer
from shiftforge.generator.conv.cycles import LayerCycles, loader_cycles, model_cycles
from shiftforge.generator.conv.instruction import Instruction
from shiftforge.generator.conv.latencies import MEMORY_EFFICIENCY
from shiftforge.generator.conv.lower import lower_layer
from shiftforge.generator.conv.memory import MemoryPlan, StoredMap, plan_memory
from shiftforge.generator.conv.options import shape_problems
from shiftforge.generator.conv.schedule import ImageMap, Schedule, schedule
from shiftforge.quant.graph.types import Conv, IntFormat, QuantizedModel

__all__ = ["LayerPlan", "Plan", "area_estimate", "array_for", "bytes_per_cycle", "make_plan"]


@dataclass(frozen=True)
class LayerPlan:
    """One pass: where it came from, how it is tiled, what it is modelled to take."""

    index: int
    name: str
    source: str
    mode: str
    result: str
    tiling: Tiling
    instruction: Instruction
    cycles: LayerCycles


@dataclass(frozen=True, eq=False)
class Plan:
    """A network planned for a board.

    multiplier_requant: one multiplier a channel output in requantisation (not multiplier-free).
    trace_lines: lines of all stored maps of a frame, for the traced build.
    symmetric_bytes: what two buffers of the largest map each, and residuals beside, would take.
    """

    network: str
    board: Board
    array: ArrayShape
    image: ImageMap
    image_shape: tuple[int, int, int]
    layers: tuple[LayerPlan, ...]
    memory: MemoryPlan
    area: AreaEstimate
    channels: tuple[Channel, ...]
    multiplier_requant: bool
    row_lines: int
    weight_words: int
    trace_lines: int

    @property
    def ideal_cycles(self) -> int:
        """Cycles a frame if every array cycle were full and nothing else took time."""
        return sum(layer.cycles.ideal for layer in self.layers)

    @property
    def modelled_cycles(self) -> int:
        """Cycles a frame with everything that the model counts."""
        return sum(layer.cycles.modelled for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates a frame."""
        return sum(layer.cycles.macs for layer in self.layers)

    @property
    def utilisation(self) -> float:
        """Sum of MACs / (modelled cycles x lanes), everything counted."""
        return self.macs / (self.modelled_cycles * self.array.lanes)

    @property
    def modelled_fps(self) -> float:
        """Frames a second at the board's assumed clock (modelled)."""
        return self.board.clock_mhz_assumed * 1e6 / self.modelled_cycles

    @property
    def buffer_bytes(self) -> int:
        """Bytes of the on-chip feature-map memory."""
        return self.memory.total_lines * self.array.line_bytes

    @property
    def symmetric_bytes(self) -> int:
        """Bytes of a symmetric double buffer for the same network."""
        return self.memory.symmetric_lines * self.array.line_bytes

    def to_json(self) -> str:
        """The plan as JSON, identical for identical input."""
        data: dict[str, Any] = asdict(self)
        data["board"] = self.board.name
        data["totals"] = self.totals()
        return json.dumps(data, indent=1, sort_keys=True, default=str) + "\n"

    def totals(self) -> Mapping[str, Any]:
        """The figures of `generate --json`, without the digest."""
        return {
            "board": self.board.name,
            "network": self.network,
            "lanes": self.array.lanes,
            "units": self.array.units,
            "pixels": self.array.pixels,
            "unit": self.array.unit,
            "terms": self.array.terms,
            "multiplier_free": self.array.unit == "shift" and not self.multiplier_requant,
            "macs": self.macs,
            "ideal_cycles": self.ideal_cycles,
            "modelled_cycles": self.modelled_cycles,
            "clock_mhz": self.board.clock_mhz_assumed,
            "modelled_fps": round(self.modelled_fps, 2),
            "ideal_utilisation": round(self.macs / (self.ideal_cycles * self.array.lanes), 4),
            "utilisation": round(self.utilisation, 4),
            "buffer_bytes": self.buffer_bytes,
            "bound_bytes": self.memory.lower_bound_lines * self.array.line_bytes,
            "symmetric_bytes": self.symmetric_bytes,
            "symmetric_residual_bytes": self.memory.symmetric_residual_lines
            * self.array.line_bytes,
            "modelled_alm": self.area.alm,
            "modelled_alm_fraction": round(self.area.alm / self.board.alm, 4),
            "modelled_ram_blocks": self.area.ram_blocks,
        }


def bytes_per_cycle(board: Board) -> float:
    """Global memory bytes a kernel cycle: 70 % of the pins' bandwidth (assumed efficiency)."""
    return MEMORY_EFFICIENCY * board.memory.bandwidth_gb_s * 1e3 / board.clock_mhz_assumed


def array_for(model: QuantizedModel, units: int, pixels: int) -> ArrayShape:
    """The array that can run the model's weights: shift lanes unless a layer has plain integers."""
    formats = [conv.format for conv in model.conv_nodes()]
    if any(isinstance(f, IntFormat) for f in formats):
        return ArrayShape(units, pixels, 1, "multiplier")
    terms = max(getattr(f, "terms", 1) for f in formats)
    return ArrayShape(units, pixels, terms, "shift")


def make_plan(model: QuantizedModel, board: Board, array: ArrayShape) -> Plan:
    """Plan a model on a board with a given array; raises InputError where it does not fit."""
    scheduled = schedule(model)
    if problems := shape_problems(array.units, array.pixels):
        raise InputError(problems)
    memory = _plan_maps(scheduled, array)
    shape = model.tensors[model.input].shape
    loading = loader_cycles(scheduled.image, shape, array, bytes_per_cycle(board))
    cycles = model_cycles(scheduled.layers, array, loading, bytes_per_cycle(board))
    planned, trace = [], 0
    for layer, counted in zip(scheduled.layers, cycles, strict=True):
        tiling = tile_layer(layer, array)
        instruction = lower_layer(layer, tiling, memory.bases, trace)
        trace += instruction.result_lines
        planned.append(
            LayerPlan(
                index=layer.index,
                name=layer.conv.name,
                source=layer.source,
                mode=layer.mode,
                result=layer.result.name,
                tiling=tiling,
                instruction=instruction,
                cycles=counted,
            )
        )
    depthwise = [p.tiling.in_tiles for p in planned if p.mode == "depthwise"]
    row_lines = max(depthwise, default=1)
    weight_words = max(p.tiling.weight_words for p in planned)
    area = estimate_area(board, array, memory.total_lines, row_lines, weight_words)
    plan = Plan(
        network=model.name,
        board=board,
        array=array,
        image=scheduled.image,
        image_shape=model.tensors[model.input].shape,
        layers=tuple(planned),
        memory=memory,
        area=area,
        channels=_channels(planned),
        multiplier_requant=any(
            isinstance(n, Conv) and n.multiplier is not None for n in model.nodes
        ),
        row_lines=row_lines,
        weight_words=weight_words,
        trace_lines=trace,
    )
    _check_fits(plan)
    return plan


def _plan_maps(scheduled: Schedule, array: ArrayShape) -> MemoryPlan:
    """Lifetimes of all stored maps; step i + 1 is layer i, and the image is written at step 0."""
    last: dict[str, int] = {}
    for layer in scheduled.layers:
        last[layer.input.name] = layer.index + 1
        if layer.skip is not None:
            last[layer.skip.name] = layer.index + 1
    image = scheduled.image
    first = scheduled.layers[0].input.name
    maps = [
        StoredMap(first, array.lines((image.channels, image.rows, image.columns)), 0, last[first])
    ]
    for layer in scheduled.layers:
        if not layer.direct:
            born = layer.index + 1
            maps.append(
                StoredMap(
                    layer.result.name,
                    array.lines(layer.result.shape),
                    born,
                    last.get(layer.result.name, born),
                )
            )
    return plan_memory(maps)


def _channels(layers: list[LayerPlan]) -> tuple[Channel, ...]:
    """Channels with depths for which the pipeline cannot stall for good.

    The controller writes operands (blocking) and takes at most one result after each. Conv makes at
    most one result line for each operand line, so the result channel never holds more lines than
    were in flight on the operand channel: deeper than that one plus the stages between, it is never
    full while the controller waits. The step of the lowered build needs a whole tile's lines at
    once; depths are powers of two.
    """
    most = 1
    for layer in layers:
        tiling = layer.tiling
        lines = tiling.in_groups * (9 if layer.mode == "standard" else 1)
        if layer.mode == "depthwise":
            lines = 4 * tiling.in_tiles + 4
        most = max(most, lines)
    operand = _power_of_two(max(64, 2 * most))
    return (
        Channel("image", "line_t", "loader", "controller", 16),
        Channel("operand", "line_t", "controller", "conv", operand),
        Channel("skip", "line_t", "controller", "residual", operand),
        Channel("param", "param_word_t", "feeder", "requantise", 8),
        Channel("weight", "weight_word_t", "feeder", "conv", 64),
        Channel("acc", "acc_word_t", "conv", "requantise", 16),
        Channel("quant", "quant_word_t", "requantise", "activation", 16),
        Channel("logits", "acc_word_t", "requantise", "classifier", 16),
        Channel("active", "line_t", "activation", "residual", 16),
        Channel("sum", "line_t", "residual", "pool", 16),
        Channel("result", "line_t", "pool", "controller", 2 * operand),
    )


def _power_of_two(n: int) -> int:
    return 1 << ceil(n - 1).bit_length()


def area_estimate(plan: Plan) -> Estimate:
    """What the plan takes of its board."""
    area = plan.area
    remedies = (
        "a smaller array (--units, --pixels), one-term weights, or a larger board",
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
