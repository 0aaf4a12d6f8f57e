"""What ``area.py`` compares, what it finds, and its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.common.machine import print_table
from bench.edgebert.model import MACS, unit_config
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.sim.rtl.area import Cells

__all__ = [
    "MEASURED",
    "VARIANTS",
    "WHOLE",
    "Measured",
    "Variant",
    "area_table",
    "attention_table",
    "by_key",
    "layer_table",
    "unit_table",
]


@dataclass(frozen=True)
class Variant:
    """A kind of lane. dsp: its multipliers may use DSP blocks."""

    key: str
    label: str
    changes: Mapping[str, Any]
    dsp: bool = True

    def config(self, lanes: int) -> UnitConfig:
        """The unit of so many lanes."""
        return unit_config(lanes, **self.changes)


VARIANTS = (
    Variant("af", "AF x AF, multiplier in DSP", {"multipliers": "blocks"}),
    Variant("af-lut", "AF x AF, multiplier in LUTs", {}, dsp=False),
    Variant("shift1", "SHIFT, 1 term, with passes", {"weights": "shift"}),
    Variant(
        "shift1-none",
        "SHIFT, 1 term, weights only",
        {"weights": "shift", "terms": 1, "attention": "none"},
    ),
    Variant("shift2", "SHIFT, 2 terms, with passes", {"weights": "shift", "terms": 2}),
    Variant(
        "shift2-none",
        "SHIFT, 2 terms, weights only",
        {"weights": "shift", "terms": 2, "attention": "none"},
    ),
)
WHOLE = ("af", "af-lut", "shift1", "shift2")
"""Variants that run a layer by themselves."""
MEASURED = ("af", "shift1", "shift2")
"""Of these, those that differ in more than where Yosys puts a multiplier."""


@dataclass(frozen=True)
class Measured:
    """One variant at one n.

    lane: one lane without its share of anything; array: all of ``pu_array``, array_parts its ALMs
    by group; around: the rest of the unit, around_parts likewise (None: not synthesised).
    memory_bits, m10k: all RAM. cycles: of a layer in simulation, None where there is no run.
    energy: uJ by part, modelled.
    """

    n: int
    variant: str
    lane: Cells
    array: Cells
    array_parts: dict[str, float]
    around: Cells | None
    around_parts: dict[str, float]
    memory_bits: int
    m10k: int
    ideal_cycles: int
    cycles: int | None
    energy: dict[str, float] | None


def by_key(key: str) -> Variant:
    """The variant of that key."""
    return next(v for v in VARIANTS if v.key == key)


def label(key: str) -> str:
    """A variant's name in tables."""
    return by_key(key).label


def area_table(rows: Sequence[Measured]) -> None:
    """Logic a lane, its share of everything in the array."""
    parts = {"lanes": "lane", "trees": "tree", "accumulators": "acc.", "tiles": "tiles"}
    head = [
        "array",
        "n",
        "ALMs",
        *parts.values(),
        "LUTs",
        "flip-flops",
        "9-bit mult.",
        "DSP blocks",
    ]
    body = []
    for r in rows:
        each = r.n * r.n
        body.append(
            [
                label(r.variant),
                str(r.n),
                f"{r.array.alms / each:.1f}",
                *(f"{r.array_parts[part] / each:.1f}" for part in parts),
                f"{r.array.luts / each:.1f}",
                f"{r.array.flip_flops / each:.1f}",
                f"{r.array.multipliers / each:g}",
                f"{r.array.dsp_blocks / each:.2f}",
            ]
        )
    print_table(head, body)


def unit_table(rows: Sequence[Measured]) -> None:
    """The whole unit by part."""
    parts = ("post-processing", "masks", "functions", "control")
    head = ["unit, ALMs", "n", "array", *parts, "all", "a lane", "DSP blocks", "RAM, KB", "M10K"]
    body = []
    for r in rows:
        if r.around is None:
            continue
        alms = r.array.alms + r.around.alms
        body.append(
            [
                label(r.variant),
                str(r.n),
                f"{r.array.alms:,.0f}",
                *(f"{r.around_parts[part]:,.0f}" for part in parts),
                f"{alms:,.0f}",
                f"{alms / r.n**2:.1f}",
                f"{r.array.dsp_blocks + r.around.dsp_blocks:,.0f}",
                f"{r.memory_bits / 8192:,.0f}",
                f"{r.m10k:,}",
            ]
        )
    print_table(head, body)


def layer_table(rows: Sequence[Measured]) -> None:
    """Cycles and energy of a layer."""
    head = ["weights", "n", "ideal cycles", "measured", "of ideal", "on chip, uJ", "external, uJ"]
    head += ["on chip, fJ a MAC"]
    body = []
    for r in rows:
        if r.variant not in MEASURED or r.energy is None:
            continue
        outside = r.energy["external"]
        inside = sum(r.energy.values()) - outside
        measured = ["-", "-"]
        if r.cycles is not None:
            measured = [f"{r.cycles:,}", f"{r.cycles / r.ideal_cycles:.3f}"]
        name = label(r.variant).split(", multiplier")[0]
        body.append([name, str(r.n), f"{r.ideal_cycles:,}", *measured])
        body[-1] += [f"{inside:,.0f}", f"{outside:,.0f}", f"{inside / MACS * 1e9:.0f}"]
    print_table(head, body)


def attention_table(rows: Sequence[Measured]) -> None:
    """Products of two activations on a shift unit: passes, or an AF x AF array beside it."""
    at = {(r.variant, r.n): r for r in rows}
    body = []
    for n in dict.fromkeys(r.n for r in rows):
        plain = at["af-lut", n]
        for terms in (1, 2):
            alone, both = at[f"shift{terms}-none", n], at[f"shift{terms}", n]
            kinds = [
                ("passes", both.array.alms, both.ideal_cycles),
                ("side array n x n", alone.array.alms + plain.array.alms, alone.ideal_cycles),
            ]
            for name, alms, cycles in kinds:
                area, slow = alms / plain.array.alms, cycles / plain.ideal_cycles
                body.append([f"{terms} term{'s' if terms > 1 else ''}, {name}", str(n)])
                body[-1] += [f"{alms:,.0f}", f"{cycles:,}", f"{area:.2f}", f"{slow:.3f}"]
                body[-1].append(f"{area * slow:.2f}")
    head = ["SHIFT, attention by", "n", "array, ALM", "ideal cycles", "ALM / AF", "cycles / AF"]
    print_table([*head, "ALM x cycles / AF"], body)
