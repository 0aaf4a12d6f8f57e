"""Energy of the EdgeBERT unit's single operations, and of a command by its parts: a model.

Two sets of coefficients, each at a stated node. Every coefficient names its source in its field's
metadata; "assumed" marks what has none. docs/ENERGY_MODEL.md has the formulas.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from math import sqrt

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.command import PARAM_BEATS, TABLE_BEATS
from shiftforge.generator.edgebert.registers import FUNCTIONS
from shiftforge.generator.edgebert.unit import UnitConfig

__all__ = [
    "HOROWITZ_45",
    "MODELS",
    "TAMBE_16",
    "EnergyModel",
    "Operands",
    "array_energy",
    "buffer_read_bytes",
    "command_traffic",
    "function_energy",
    "gated_energy",
    "product_energy",
]

BUFFER_BASE = 8 * 1024
HOROWITZ = "Horowitz, ISSCC 2014, 45 nm, 0.9 V"
ASSUMED = "assumed"
_NODE_45, _NODE_16 = 45.0, 16.0
_VOLTS_45, _VOLTS_16 = 0.9, 0.8
SCALE_16 = _NODE_16 / _NODE_45 * (_VOLTS_16 / _VOLTS_45) ** 2
"""On-chip energy, 45 nm at 0.9 V to 16 nm at 0.8 V: capacitance with the feature size, times V^2
(constant-field scaling, Dennard 1974); assumed to hold down to 16 nm."""


def _source(text: str) -> Mapping[str, str]:
    return {"source": text}


@dataclass(frozen=True)
class EnergyModel:
    """Energy of single operations in pJ at the nominal point. Sources are in the fields' metadata.

    mac: by lanes, a whole multiply-accumulate (product, its share of the tree, accumulation); where
    empty it is built from bits. Raises InputError where a coefficient is negative.
    """

    name: str = "horowitz-45"
    node_nm: float = 45.0
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
    embedding_byte: float = field(
        default=1300 / 8,
        metadata=_source(
            f"{ASSUMED}: word and place codes come from the same DRAM as everything else"
        ),
    )
    clock_share: float = field(
        default=0.1,
        metadata=_source(
            f"{ASSUMED}: clock and control take this share of a cycle with all multipliers busy, "
            "in every cycle"
        ),
    )
    leakage_share: float = field(
        default=0.1,
        metadata=_source(
            f"{ASSUMED}: leakage at the nominal point is this share of the power of a cycle with "
            "all multipliers busy, all the time"
        ),
    )
    mac: Mapping[int, float] = field(
        default_factory=dict,
        metadata=_source("none: built from bits"),
    )
    mac_source: str = ""

    def __post_init__(self) -> None:
        values = {k: v for k, v in self.values().items() if isinstance(v, (int, float))}
        values |= {f"mac of {n} lanes": value for n, value in self.mac.items()}
        problems = [
            Problem(f"{name} is {value}", "use 0 or more", self.name)
            for name, value in values.items()
            if not value >= 0
        ]
        if problems:
            raise InputError(problems)

    def values(self) -> dict[str, object]:
        """The coefficients by name."""
        return {f.name: getattr(self, f.name) for f in fields(self) if "source" in f.metadata}

    def sources(self, names: Iterable[str] | None = None) -> dict[str, str]:
        """By coefficient, all or those named: its value and where it is from."""
        found = {}
        wanted = set(self.values() if names is None else names)
        for f in fields(self):
            if f.name not in wanted:
                continue
            value, text = getattr(self, f.name), f.metadata["source"]
            if f.name == "mac":
                if value:
                    shown = ", ".join(f"{n}: {pj * 1000:g} fJ" for n, pj in value.items())
                    found[f.name] = f"{shown}: {self.mac_source}"
                continue
            unit = "" if f.name.endswith("_share") else " pJ"
            if f.name in _SCALED and self.node_nm == _NODE_16:
                text += f"; times {SCALE_16:.3g} (16/45, and (0.8 V / 0.9 V)^2)"
            found[f.name] = f"{value:.4g}{unit}: {text}"
        return found

    def buffer(self, bank_bytes: int) -> float:
        """pJ a byte of a bank of that size."""
        return self.buffer_byte * sqrt(bank_bytes / BUFFER_BASE)


_SCALED = ("add_bit", "multiply_bit", "shift_bit", "buffer_byte")
HOROWITZ_45 = EnergyModel()
TAMBE_16 = EnergyModel(
    name="tambe-16",
    node_nm=_NODE_16,
    **{name: float(getattr(HOROWITZ_45, name)) * SCALE_16 for name in _SCALED},
    mac={4: 0.2053, 8: 0.0984, 16: 0.0469},
    mac_source=(
        "Tambe et al., AdaptivFloat, DAC 2020, 16 nm, hybrid float-integer unit of 8 bits at "
        "vector size 4, 8, 16 (INT8: 227.6, 105.8, 52.2 fJ); an operation taken as one "
        "multiply-accumulate, which the source's excerpt does not say"
    ),
)
MODELS = {model.name: model for model in (HOROWITZ_45, TAMBE_16)}
"""The first is the default: it covers every lane count and SHIFT weights."""


@dataclass(frozen=True)
class Operands:
    """Bytes on the external port: operands A, operands B with parameters and tables, results."""

    a: float
    b: float
    stored: float

    @property
    def fetched(self) -> float:
        """Bytes read."""
        return self.a + self.b


def product_energy(config: UnitConfig, model: EnergyModel) -> float:
    """pJ of one lane's product: significands multiplied (AF), shifted and signed; terms added."""
    width = config.product_bits
    signed_shift = width * (model.shift_bit + model.add_bit)
    if config.weights == "af":
        return model.multiply_bit * (config.man_bits + 1) ** 2 + signed_shift
    return config.terms * signed_shift + (config.terms - 1) * width * model.add_bit


def array_energy(config: UnitConfig, model: EnergyModel) -> dict[str, float]:
    """pJ of the array in a busy cycle: ``products``, ``adder trees``, ``accumulators``.

    A model with figures of whole multiply-accumulates puts all into ``products``. Raises InputError
    where it has none for these lanes or weights.
    """
    n = config.lanes
    if model.mac:
        if n not in model.mac or config.weights != "af":
            what = f"{model.name} has no figure for {n} lanes of {config.weights} weights"
            offered = ", ".join(str(lanes) for lanes in model.mac)
            raise InputError(
                Problem(what, f"use {offered} lanes of af weights, or {HOROWITZ_45.name}")
            )
        return {"products": n * n * model.mac[n], "adder trees": 0.0, "accumulators": 0.0}
    # A tree node that joins 2^d lanes is d bits wider than a product; n / 2^d of them.
    levels = range(1, n.bit_length())
    tree = sum((n >> d) * (config.product_bits + d) for d in levels) * model.add_bit
    accumulate = (max(config.acc_bits, config.sum_bits) + 1) * model.add_bit
    return {
        "products": n * n * product_energy(config, model),
        "adder trees": n * tree,
        "accumulators": n * accumulate,
    }


def gated_energy(config: UnitConfig, model: EnergyModel, registers: Mapping[str, int]) -> float:
    """pJ that the array still takes in a cycle with a row of zeros.

    Lanes and trees keep still. The operand tile changes once in n rows whatever these are, and the
    products with it where such a row is the first; accumulators move in the first K-step of a tile
    (set to 0) and in its last (told). Rows of zeros are taken as spread evenly over rows and steps.
    """
    parts = array_energy(config, model)
    steps = registers["k_tiles"] * registers["passes"]
    return parts["products"] / config.lanes + min(1.0, 2 / steps) * parts["accumulators"]


def buffer_read_bytes(config: UnitConfig, registers: Mapping[str, int]) -> float:
    """Bytes that a busy cycle reads from the operand buffers, dense, masks included.

    A cycle reads a vector of A; a pass after the first takes the tile of B that is there.
    """
    masks = 1 / 8
    codes = registers["b_codes"] or config.weights == "af"
    b_bytes = (1.0 if codes else config.weight_bits / 8) + masks
    return config.lanes * (1 + masks + b_bytes / registers["passes"])


def command_traffic(registers: Mapping[str, int], lanes: int) -> Operands:
    """Bytes a command reads and writes outside, all operands dense. One beat a descriptor."""
    r = registers
    column = r["b_pitch"] + 1 + PARAM_BEATS * r["p_load"]
    a = r["m_tiles"] * r["a_parts"] * (r["a_pitch"] + 1)
    b = r["b_passes"] * r["b_strips"] * column + TABLE_BEATS * r["f_rows"]
    return Operands(a * lanes, b * lanes, r["c_strips"] * (r["c_pitch"] + 1) * lanes)


# Widths of the multiplications and additions of one element, from docs/EDGEBERT_UNIT.md part 2.
# Softmax: d * log2 e (15 x 16) and the table's step (17 x 10), both in passes 2 and 3; y * mask
# (23 x 9); additions of M - x, v + L2 (each pass), two interpolations, the sum.
_EXP = 15 * 16 + 17 * 10
_MULTIPLY = {"softmax": 2 * _EXP + 23 * 9, "gelu": 17 * 5, "norm": 3 * 16 * 16}
_ADD = {"softmax": 2 * 33 + 21 + 2 * 26 + 32, "gelu": 2 * 32, "norm": 29 + 32 + 25 + 42 + 32}
# Bytes in the tile buffer: softmax writes and three times reads 32-bit words; norm codes of the
# sum; both write codes and read them once more. GELU works on the way.
_TILE = {"softmax": 4 + 3 * 4 + 2, "gelu": 0, "norm": 1 + 3 + 2}


def function_energy(config: UnitConfig, registers: Mapping[str, int], model: EnergyModel) -> float:
    """pJ of a command's special function: its elements times its multiplications, additions and
    bytes in the tile buffer. Conversions, row constants and the entropy unit are not counted."""
    kind = FUNCTIONS[registers["func"]]
    if kind == "none":
        return 0.0
    n = config.lanes
    rows = (registers["m_tiles"] - 1) * n + registers["last_rows"] + 1
    row = registers["n_tiles"] * n if kind == "gelu" else registers["length"]
    element = _MULTIPLY[kind] * model.multiply_bit + _ADD[kind] * model.add_bit
    return rows * row * (element + _TILE[kind] * model.buffer(config.aux_buffer // n))
