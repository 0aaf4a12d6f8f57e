"""Holds latency-aware outcomes against the rules and the sums of their own works.

Nothing here is shared with the run: layers, points, times and energies are worked out again.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import isclose

from shiftforge.errors import CheckFailed
from shiftforge.quant.albert.exits.predictor import ExitTable
from shiftforge.sim.edgebert.models.latency import Outcome, Platform, Texts

__all__ = ["check_outcomes"]

_DYNAMIC = ("array", "buffers", "functions", "clock")
_OUTSIDE = ("embeddings", "external")
_SHIFT = 24
CLOSE = 1e-9


def _predicted(table: ExitTable, entropy: int) -> int:
    if entropy <= table.threshold:
        return 1
    row = entropy * table.scale // 2**_SHIFT
    return int(table.rows[row] if row < len(table.rows) else table.rows[-1])


def _layer(entropies: Sequence[int], threshold: int, last: int) -> int:
    low = [i + 1 for i, entropy in enumerate(entropies) if entropy <= threshold]
    return min([*low, last])


def _costs(texts: Texts, platform: Platform, index: int, own: Outcome) -> dict[str, float]:
    """Time and parts of the layers that ran, by the formulas of docs/ENERGY_MODEL.md."""
    power, table = platform.power, platform.table
    head, rest = texts.profiles[index][0], texts.profiles[index][1 : own.layer]
    volts, hz = table.voltages[own.point], table.steps[own.point] * table.nominal_hz / 4096
    squares = (1.0, (volts / power.nominal) ** 2)
    moved = own.predicted != 1 and own.point != table.last
    change = platform.transition
    first_us = head.cycles / table.nominal_hz * 1e6
    rest_us = sum(work.cycles for work in rest) / hz * 1e6
    found = {
        name: squares[0] * getattr(head, name) + squares[1] * sum(getattr(w, name) for w in rest)
        for name in _DYNAMIC
    }
    wait_us = change.settle_us + change.lock_us if moved else 0.0
    at_nominal_us = first_us + wait_us
    leaks = [power.leakage_mw * at_nominal_us, power.leakage_mw * volts / power.nominal * rest_us]
    found["leakage"] = sum(leaks)
    found["regulator"] = 0.0
    if power.supply is not None:
        first = sum(getattr(head, name) for name in _DYNAMIC) + leaks[0]
        later = sum(found[name] for name in _DYNAMIC) + sum(leaks) - first
        found["regulator"] = first * (power.supply / power.nominal - 1)
        found["regulator"] += later * (power.supply / volts - 1)
    drop = power.nominal - volts
    found["switching"] = change.rail_nf * power.nominal * drop if moved else 0.0
    for name in _OUTSIDE:
        found[name] = getattr(head, name) + sum(getattr(work, name) for work in rest)
    found["time_us"] = at_nominal_us + rest_us
    return found


def _latest(texts: Texts, platform: Platform, index: int, last: int, point: int) -> Fraction:
    """us to the predicted layer if the layers after the first run at ``point``."""
    table, profile = platform.table, texts.profiles[index]
    hz = Fraction(table.steps[point], 4096) * Fraction(table.nominal_hz)
    wait = Fraction(0)
    if point != table.last:
        wait = Fraction(platform.transition.settle_us) + Fraction(platform.transition.lock_us)
    work = (last - 1) * max(w.cycles for w in profile[1:])
    first = Fraction(profile[0].cycles) / Fraction(table.nominal_hz)
    return (first + work / hz) * 10**6 + wait


def _problems(
    texts: Texts, platform: Platform, table: ExitTable, target_us: float, index: int, own: Outcome
) -> list[str]:
    found = []
    entropies = texts.entropies[index].tolist()
    last = _predicted(table, entropies[0])
    if own.predicted != last:
        return [f"predicted layer {own.predicted}, the table says {last}"]
    layer = _layer(entropies, table.threshold, last)
    if own.layer != layer:
        return [f"left after layer {own.layer}, the entropies say {layer}"]
    if own.label != texts.labels[index, layer - 1]:
        found.append(f"label {own.label} is not that of layer {layer}")
    for name, value in _costs(texts, platform, index, own).items():
        got = getattr(own.cost, name)
        if not isclose(got, value, rel_tol=CLOSE, abs_tol=CLOSE):
            found.append(f"{name} is {got:.6g}, its works say {value:.6g}")
    parts = sum(own.cost.parts().values())
    if not isclose(parts, own.cost.total, rel_tol=CLOSE):
        found.append(f"total {own.cost.total:.6g}, its parts are {parts:.6g}")
    slack = Fraction(target_us) * (1 + Fraction(CLOSE) * 4)
    if not own.late and Fraction(own.cost.time_us) > slack:
        found.append(f"{own.cost.time_us:.6g} us, the target is {target_us:.6g}")
    if own.late and _latest(texts, platform, index, last, platform.table.last) <= target_us:
        found.append("called late, the nominal point is in time")
    if own.late and own.point != platform.table.last:
        found.append(f"late at point {own.point}")
    if last > 1 and own.point and not own.late:
        lower = _latest(texts, platform, index, last, own.point - 1)
        # The unit counts whole cycles of the nominal clock: one may be cut off.
        if lower + Fraction(10**6) / Fraction(platform.table.nominal_hz) <= target_us:
            found.append(f"point {own.point}, the one below is in time")
    return found


def check_outcomes(
    outcomes: Sequence[Outcome],
    texts: Texts,
    platform: Platform,
    table: ExitTable,
    target_us: float,
) -> None:
    """Raises CheckFailed with the first sentence that is wrong and everything wrong with it."""
    if len(outcomes) != len(texts.wanted):
        raise CheckFailed(f"{len(outcomes)} outcomes for {len(texts.wanted)} sentences")
    for index, own in enumerate(outcomes):
        found = _problems(texts, platform, table, target_us, index, own)
        if found:
            raise CheckFailed(f"sentence {index}: " + "; ".join(found))
