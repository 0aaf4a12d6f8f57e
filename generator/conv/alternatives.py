"""What else the lanes of an array could be made of: the same network and model, other weights.

All rates and areas are modelled, at the same units and pixels. Plans need shapes, formats and which
weights are zero alone, so that weights of other formats need not be known: an SQNR is told where
the model's file holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.board_fit import fit_problems
from shiftforge.generator.conv.area import Multipliers, estimate_area, features_of, lane_kind
from shiftforge.generator.conv.plan import Plan, area_estimate, array_for, make_plan
from shiftforge.quant.graph.types import Conv, IntFormat, QuantizedModel, ShiftFormat, WeightFormat
from shiftforge.quant.graph.variants import own_share, shares, with_variant

__all__ = ["Alternative", "alternatives"]

_INTEGERS: tuple[tuple[int, Multipliers], ...] = (
    (4, "soft"), (5, "soft"), (6, "soft"), (8, "soft"), (8, "dsp"),
)  # fmt: skip


@dataclass(frozen=True)
class Alternative:
    """An array of the same size with lanes of one kind, modelled.

    weights: in words. built: whether it is what was planned. fits: whether the board has room.
    f: second-term cycles over one-term cycles of the array. fps: frames a second. alm: of lanes and
    the rest; alm_packed: with gates in the adders' own inputs (``ALM_A_LANE_PACKED``).
    weight_bytes: read a frame. sqnr_db: of the output on calibration images; None where unknown.
    """

    weights: str
    built: bool
    fits: bool
    f: float
    cycles: int
    fps: float
    alm: int
    alm_packed: int
    dsp: int
    ram_blocks: int
    weight_bytes: int
    sqnr_db: float | None


def alternatives(model: QuantizedModel, plan: Plan) -> tuple[Alternative, ...]:
    """The model's own weights (of whose choices ``plan`` has one) and others on the plan's array.

    Shift weights: one term, every choice that the model holds, two terms in all weights that are
    not zero; those of a share that the model holds are told once. Integers of 4, 5, 6 and 8 bits,
    in all layers, with multipliers in logic, and of 8 bits with multipliers in DSP blocks.
    """
    own = own_share(model) if plan.array.unit == "shift" else None
    found = [_alternative(_own_name(plan), plan, "dsp", None if own is None else own.sqnr_db, True)]
    held = [] if own is None else [f for f in shares(model) if f != own.second_terms]
    for share in held:
        chosen = with_variant(model, share)
        told = own_share(chosen)
        other = _planned(chosen, plan)
        sqnr = None if told is None else told.sqnr_db
        found.append(_alternative(_shift_name(other), other, "dsp", sqnr))
    held_f = {a.f for a in found if plan.array.unit == "shift"}
    for name, other, multipliers in _others(model, plan):
        shift = other.array.unit == "shift"
        if (shift and round(other.second_terms, 4) in held_f) or name == found[0].weights:
            continue
        found.append(_alternative(name, other, multipliers, None))
    shifts = [a for a in found if a.weights.startswith("shift")]
    return (*sorted(shifts, key=lambda a: a.f), *(a for a in found if a not in shifts))


def _others(model: QuantizedModel, plan: Plan) -> Iterator[tuple[str, Plan, Multipliers]]:
    """Plans for weights that the model does not hold."""
    one = _planned(_with(model, ShiftFormat(4, 1, "S1"), _values(1)), plan)
    yield _shift_name(one), one, "dsp"
    two = _planned(_with(model, ShiftFormat(4, 2, "S2"), _values(3)), plan)
    yield f"shift, two terms everywhere, f = {two.second_terms:.3f}", two, "dsp"
    for bits, multipliers in _INTEGERS:
        other = _planned(_with(model, IntFormat(bits), _values(1)), plan)
        yield _name(other, multipliers), other, multipliers


def _values(size: int) -> Callable[[Conv], NDArray[np.int8]]:
    """Weights of one size where the network's own are not zero; 3 has two terms."""
    return lambda conv: (np.sign(conv.weight) * np.int8(size)).astype(np.int8)


def _with(
    model: QuantizedModel, fmt: WeightFormat, values: Callable[[Conv], NDArray[np.int8]]
) -> QuantizedModel:
    """The model with other weights: for plans, not for results."""
    nodes = tuple(
        replace(node, format=fmt, weight=values(node)) if isinstance(node, Conv) else node
        for node in model.nodes
    )
    return replace(model, nodes=nodes, variants=())


def _planned(model: QuantizedModel, plan: Plan) -> Plan:
    """On the plan's board and size of array, whether it fits or not."""
    array = array_for(model, plan.array.units, plan.array.pixels, plan.array.frames)
    return make_plan(
        model, plan.board, array, non_blocking=plan.non_blocking, must_fit=False,
        segments=plan.segments, tight=plan.tight,
    )  # fmt: skip


def _own_name(plan: Plan) -> str:
    return _shift_name(plan) if plan.array.unit == "shift" else _name(plan, "dsp")


def _shift_name(plan: Plan) -> str:
    return f"shift, f = {plan.second_terms:.3f}" if plan.second_terms else "shift, one term"


def _name(plan: Plan, multipliers: Multipliers) -> str:
    place = "logic" if multipliers == "soft" else "DSP blocks"
    return f"int{plan.array.weight_bits}, multipliers in {place}"


def _alternative(
    name: str, plan: Plan, multipliers: Multipliers, sqnr_db: float | None, built: bool = False
) -> Alternative:
    area = estimate_area(replace(features_of(plan), lane=lane_kind(plan.array, multipliers)))
    return Alternative(
        weights=name,
        built=built,
        fits=not fit_problems(area_estimate(plan, area)),
        f=round(plan.second_terms, 4),
        cycles=plan.modelled_cycles,
        fps=round(plan.modelled_fps, 2),
        alm=area.alm,
        alm_packed=area.alm_packed,
        dsp=area.dsp,
        ram_blocks=area.ram_blocks,
        weight_bytes=plan.beats.frame_bytes(plan.frame_words),
        sqnr_db=None if sqnr_db is None else round(sqnr_db, 2),
    )
