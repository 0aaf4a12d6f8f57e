"""An ALBERT-base encoder layer on the EdgeBERT unit: ideal cycles, traffic and modelled energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import sqrt
from typing import Any

from shiftforge.generator.plan.command import PARAM_BEATS, TABLE_BEATS
from shiftforge.generator.plan.layer import BIASED, LayerNumbers, LayerPlan, LayerShape
from shiftforge.generator.plan.layer_program import plan_layer, tiles_needed
from shiftforge.generator.plan.sfu import SfuConfig
from shiftforge.generator.plan.unit import UnitConfig

__all__ = [
    "MACS",
    "SHAPE",
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
BUFFER_BASE = 8 * 1024


def unit_config(lanes: int, **changes: Any) -> UnitConfig:
    """A unit with the published buffers and strips enough for the layer."""
    least = tiles_needed(lanes, SHAPE)
    return UnitConfig(lanes=lanes, max_tiles=max(256, 1 << (least - 1).bit_length()), **changes)


def layer_plan(config: UnitConfig) -> LayerPlan:
    """The layer's program. The exponent biases change no cycle and no traffic."""
    numbers = LayerNumbers(dict.fromkeys(BIASED, 0))
    return plan_layer(config, SfuConfig(lanes=config.lanes), SHAPE, numbers)


def ideal_cycles(config: UnitConfig) -> int:
    """Array cycles of a layer: ceil(M/n) ceil(N/n) ceil(K/n) n of each product, times its passes.

    A shift unit without passes needs an AF x AF array of the same size beside it for products of
    two activations: those take that array's cycles.
    """
    if config.weights == "shift" and not config.takes_codes:
        config = replace(config, weights="af", terms=1)
    return layer_plan(config).ideal_cycles


def _source(text: str) -> Mapping[str, str]:
    return {"source": text}


HOROWITZ = "Horowitz, ISSCC 2014, 45 nm, 0.9 V"


@dataclass(frozen=True)
class EnergyModel:
    """Energy of single operations in pJ, 45 nm. Sources are in the fields' metadata.

    Not counted: registers, clock, leakage, control, post-processing, special functions.
    """

    add_bit: float = field(
        default=0.1 / 32,
        metadata=_source(f"{HOROWITZ}: 32-bit integer add 0.1 pJ, by the bit"),
    )
    multiply_bit: float = field(
        default=0.2 / 64,
        metadata=_source(f"{HOROWITZ}: 8-bit integer multiply 0.2 pJ, by bits a x bits b"),
    )
    shift_bit: float = field(
        default=0.1 / 32,
        metadata=_source(
            "a shifter taken as an adder as wide as its result, as QKeras' energy estimate does "
            f"(qenergy.py), from {HOROWITZ}"
        ),
    )
    buffer_byte: float = field(
        default=10 / 8,
        metadata=_source(
            f"{HOROWITZ}: 64 bits from 8 KB SRAM 10 pJ, 32 KB 20 pJ, 1 MB 100 pJ: by the byte, "
            "times the square root of the bank's size over 8 KB"
        ),
    )
    external_byte: float = field(
        default=1300 / 8,
        metadata=_source(
            f"{HOROWITZ}: 64 bits from DRAM 1.3 to 2.6 nJ, the lower one, by the byte"
        ),
    )

    def sources(self) -> dict[str, str]:
        """By coefficient: its value in pJ and where it is from."""
        return {
            f.name: f"{getattr(self, f.name):.4g} pJ: {f.metadata['source']}" for f in fields(self)
        }

    def buffer(self, bank_bytes: int) -> float:
        """pJ a byte of a bank of that size."""
        return self.buffer_byte * sqrt(bank_bytes / BUFFER_BASE)


def product_energy(config: UnitConfig, model: EnergyModel) -> float:
    """pJ of one lane's product: significands multiplied (AF), shifted and signed; terms added."""
    width = config.product_bits
    signed_shift = width * (model.shift_bit + model.add_bit)
    if config.weights == "af":
        return model.multiply_bit * (config.man_bits + 1) ** 2 + signed_shift
    return config.terms * signed_shift + (config.terms - 1) * width * model.add_bit


def layer_energy(config: UnitConfig, model: EnergyModel) -> dict[str, float]:
    """Modelled energy of a layer's matrix products in uJ, dense operands, by its parts.

    The external traffic is that of the layer's own program, with what its buffers cannot keep
    fetched again, with descriptors, parameters and tables. Norms cost their traffic alone.
    """
    n = config.lanes
    # A tree node that joins 2^d lanes is d bits wider than a product; n / 2^d of them.
    levels = range(1, n.bit_length())
    tree = sum((n >> d) * (config.product_bits + d) for d in levels) * model.add_bit
    accumulate = (max(config.acc_bits, config.sum_bits) + 1) * model.add_bit
    bank = model.buffer(config.a_buffer // n)
    masks = 1 / 8
    cycles = moved = read = 0.0
    for command in layer_plan(config).commands:
        r = command.registers
        fetched, stored = _traffic(r, n)
        codes = r["b_codes"] or config.weights == "af"
        b_bytes = (1.0 if codes else config.weight_bits / 8) + masks
        # A cycle reads a vector of A; a pass after the first takes the tile of B that is there.
        read += command.ideal_cycles * n * (1 + masks + b_bytes / r["passes"])
        # What comes from outside is written to a buffer once, what leaves is written and read.
        read += fetched + 2 * stored
        cycles += command.ideal_cycles
        moved += fetched + stored
    found = {
        "products": cycles * n * n * product_energy(config, model),
        "adder trees": cycles * n * tree,
        "accumulators": cycles * n * accumulate,
        "buffers": read * bank,
        "external": moved * model.external_byte,
    }
    return {part: value * 1e-6 for part, value in found.items()}


def _traffic(r: Mapping[str, int], n: int) -> tuple[int, int]:
    """Bytes a command reads and writes outside, all operands dense. One beat a descriptor."""
    column = r["b_pitch"] + 1 + PARAM_BEATS * r["p_load"]
    read = r["m_tiles"] * r["a_parts"] * (r["a_pitch"] + 1)
    read += r["b_passes"] * r["b_strips"] * column + TABLE_BEATS * r["f_rows"]
    return read * n, r["c_strips"] * (r["c_pitch"] + 1) * n
