"""An ALBERT-base encoder layer on the EdgeBERT unit: ideal cycles, traffic and modelled energy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from shiftforge.generator.edgebert.encoder import BIASED, LayerNumbers, LayerPlan, LayerShape
from shiftforge.generator.edgebert.encoder_program import plan_layer, tiles_needed
from shiftforge.generator.edgebert.energy.unit_energy import (
    EnergyModel,
    array_energy,
    buffer_read_bytes,
    command_traffic,
)
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign

__all__ = [
    "MACS",
    "SHAPE",
    "USED",
    "EnergyModel",
    "ideal_cycles",
    "layer_energy",
    "layer_plan",
    "unit_config",
]

SHAPE = LayerShape(length=128, hidden=768, heads=12, ffn=3072)
MACS = SHAPE.length * (
    4 * SHAPE.hidden**2 + 2 * SHAPE.length * SHAPE.hidden + 2 * SHAPE.hidden * SHAPE.ffn
)
USED = ("add_bit", "multiply_bit", "shift_bit", "buffer_byte", "external_byte")
"""The coefficients of ``layer_energy``."""


def unit_config(lanes: int, **changes: Any) -> UnitConfig:
    """A unit with the published buffers and strips enough for the layer."""
    least = tiles_needed(lanes, SHAPE)
    return UnitConfig(lanes=lanes, max_tiles=max(256, 1 << (least - 1).bit_length()), **changes)


def layer_plan(config: UnitConfig) -> LayerPlan:
    """The layer's program. The exponent biases change no cycle and no traffic."""
    numbers = LayerNumbers(dict.fromkeys(BIASED, 0))
    return plan_layer(UnitDesign(config, SfuConfig(lanes=config.lanes)), SHAPE, numbers)


def ideal_cycles(config: UnitConfig) -> int:
    """Array cycles of a layer: ceil(M/n) ceil(N/n) ceil(K/n) n of each product, times its passes.

    A shift unit without passes needs an AF x AF array of the same size beside it for products of
    two activations: those take that array's cycles.
    """
    if config.weights == "shift" and not config.takes_codes:
        config = replace(config, weights="af", terms=1)
    return layer_plan(config).ideal_cycles


def layer_energy(config: UnitConfig, model: EnergyModel) -> dict[str, float]:
    """Modelled energy of a layer's matrix products in uJ, dense operands, by its parts.

    The external traffic is that of the layer's own program, with what its buffers cannot keep
    fetched again, with descriptors, parameters and tables. Norms cost their traffic alone; clock,
    leakage, control, post-processing and special functions are not counted.
    """
    n = config.lanes
    array = array_energy(config, model)
    bank = model.buffer(config.a_buffer // n)
    cycles = moved = read = 0.0
    for command in layer_plan(config).commands:
        traffic = command_traffic(command.registers, n)
        read += command.ideal_cycles * buffer_read_bytes(config, command.registers)
        # What comes from outside is written to a buffer once, what leaves is written and read.
        read += traffic.fetched + 2 * traffic.stored
        cycles += command.ideal_cycles
        moved += traffic.fetched + traffic.stored
    found = {
        **{part: cycles * value for part, value in array.items()},
        "buffers": read * bank,
        "external": moved * model.external_byte,
    }
    return {part: value * 1e-6 for part, value in found.items()}
