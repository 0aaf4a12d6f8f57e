"""Sentence-level inference of EdgeBERT (MICRO 2021, section 3), modelled on measured cycles.

Three modes: all layers at the nominal point; early exit there, however long it takes; and latency
aware, where layer 1 runs at the nominal point, its entropy predicts the exit layer, and the rest
runs at the slowest point that reaches that layer before the target.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import floor

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.energy.dvfs import (
    PointChoice,
    Transition,
    VoltageTable,
    choose_point,
)
from shiftforge.generator.edgebert.energy.energy import SentenceCost, UnitPower, Work, cost_at
from shiftforge.quant.albert.exits.predictor import ENTROPY_ONE, ExitTable, predict

__all__ = [
    "ModeResult",
    "Outcome",
    "Platform",
    "Texts",
    "compare_modes",
    "early_exit",
    "full_depth",
    "latency_aware",
    "longest_us",
    "point_in_time",
    "profile_for",
    "saving",
    "summarise",
    "switch_cost",
]

Ints = NDArray[np.int64]
Profile = tuple[Work, ...]

FULL, EARLY, AWARE = "all layers", "early exit", "latency aware"
ROUNDING = 1e-9  # of times in floating point


@dataclass(frozen=True, eq=False)
class Texts:
    """What each off-ramp says of N sentences, and the work of each layer of each sentence.

    entropies, labels: (N, layers), entropies with 16 fraction bits. wanted: (N,). profiles: N
    tuples of one Work a layer, the embeddings with the first. Raises InputError.
    """

    entropies: Ints
    labels: Ints
    wanted: Ints
    profiles: Sequence[Profile]

    def __post_init__(self) -> None:
        shape = self.entropies.shape
        problems = []
        if len(shape) != 2 or shape[0] < 1 or shape[1] < 2:
            what = f"entropies of shape {shape}"
            problems.append(Problem(what, "(N, layers), 1 text and 2 layers at least"))
        elif self.labels.shape != shape or self.wanted.shape != shape[:1]:
            what = f"labels {self.labels.shape}, wanted {self.wanted.shape} for {shape}"
            problems.append(Problem(what, "one a text and layer, one a text"))
        elif len(self.profiles) != shape[0] or any(len(p) != shape[1] for p in self.profiles):
            problems.append(Problem("profiles of other lengths", "one a text, a Work a layer"))
        elif self.entropies.min() < 0:
            problems.append(Problem("entropies below 0", "give 16 fraction bits, unsigned"))
        if problems:
            raise InputError(problems)

    @property
    def layers(self) -> int:
        """Of the network."""
        return int(self.entropies.shape[1])


@dataclass(frozen=True)
class Platform:
    """power: of the unit. table: its points. transition: between them."""

    power: UnitPower
    table: VoltageTable
    transition: Transition = field(default_factory=Transition)


@dataclass(frozen=True)
class Outcome:
    """label: as index. layer: the one it left after. predicted: the one it was to run to. point:
    of the layers after the first. late: no point was in time. cost.time_us: its latency."""

    label: int
    layer: int
    predicted: int | None
    point: int
    late: bool
    cost: SentenceCost


@dataclass(frozen=True)
class ModeResult:
    """Averages over the texts, energies in nJ. target_us: what the mode knew; late: share for which
    no point was in time. met: share within a target, by target in us. energy: all; unit: without
    the memory outside; parts: by part. voltage: of the layers after the first, nominal for a text
    that left before them."""

    mode: str
    threshold: float | None
    target_us: float | None
    accuracy: float
    layer: float
    predicted: float | None
    latency_us: float
    longest_us: float
    late: float | None
    met: Mapping[float, float]
    energy: float
    unit: float
    voltage: float
    parts: Mapping[str, float]


def profile_for(length: int, measured: Mapping[int, Profile]) -> Profile:
    """The profile of the shortest measured length that is no shorter: an upper bound.

    Raises InputError where there is none.
    """
    fitting = [own for own in measured if own >= length]
    if not fitting:
        what = f"no cycles for {length} tokens"
        raise InputError(Problem(what, "measure a sentence of that length or a longer one"))
    return measured[min(fitting)]


def _leaves(row: Ints, threshold: int, last: int) -> int:
    """The first layer with an entropy at or below the threshold, else ``last``."""
    for index, entropy in enumerate(row[:last].tolist()):
        if entropy <= threshold:
            return index + 1
    return last


def _at_nominal(texts: Texts, platform: Platform, index: int, layer: int) -> Outcome:
    work = sum(texts.profiles[index][:layer], Work())
    cost = cost_at(work, platform.power, platform.table.nominal)
    label = int(texts.labels[index, layer - 1])
    return Outcome(label, layer, None, platform.table.last, False, cost)


def full_depth(texts: Texts, platform: Platform) -> tuple[Outcome, ...]:
    """All layers at the nominal point."""
    count = len(texts.wanted)
    return tuple(_at_nominal(texts, platform, i, texts.layers) for i in range(count))


def early_exit(texts: Texts, platform: Platform, threshold: int) -> tuple[Outcome, ...]:
    """Exit at the first entropy at or below the threshold (16 fraction bits), nominal point."""
    return tuple(
        _at_nominal(texts, platform, i, _leaves(row, threshold, texts.layers))
        for i, row in enumerate(texts.entropies)
    )


def point_in_time(platform: Platform, work: int, left_us: float) -> PointChoice:
    """The slowest point that does ``work`` cycles in the time left (us), its switching counted; the
    nominal one needs none."""
    table, change = platform.table, platform.transition
    cycles = table.nominal_hz / 1e6
    wait = change.time_us(table, 0) if table.last else 0.0
    slow = choose_point(table, work, floor((left_us - wait) * cycles * (1 + ROUNDING)))
    if not slow.late:
        return slow
    return PointChoice(table.last, work > left_us * cycles * (1 + ROUNDING) or left_us <= 0)


def switch_cost(platform: Platform, point: int) -> SentenceCost:
    """Of going from the nominal point to another and back: the unit stands still and leaks, all of
    that time at the nominal voltage. Nothing where the point is the nominal one."""
    power, change = platform.power, platform.transition
    wait = change.time_us(platform.table, point)
    leakage = power.leakage_mw * wait
    lost = 0.0 if power.supply is None else leakage * (power.supply / power.nominal - 1)
    return SentenceCost(
        time_us=wait,
        leakage=leakage,
        regulator=lost,
        switching=change.energy_nj(platform.table, point),
    )


def latency_aware(
    texts: Texts, platform: Platform, table: ExitTable, target_us: float
) -> tuple[Outcome, ...]:
    """Layer 1 at the nominal point; its entropy at or below the threshold: exit. Else the table's
    layer L, and the slowest point for L - 1 layers in the time left; exit earlier where an entropy
    allows it, at L whatever it is. A sentence that no point brings in time runs at the nominal one.

    Raises InputError where the table is of another network.
    """
    if table.layers != texts.layers:
        what = f"a table for {table.layers} layers, the network has {texts.layers}"
        raise InputError(Problem(what, "fit one for this network", "table"))
    if not target_us > 0:
        raise InputError(Problem(f"a target of {target_us} us", "use more than 0", "target"))
    wanted = predict(table, texts.entropies[:, 0])
    found = []
    for index, (row, last) in enumerate(zip(texts.entropies, wanted.tolist(), strict=True)):
        first = _at_nominal(texts, platform, index, 1)
        if last == 1:
            late = first.cost.time_us > target_us * (1 + ROUNDING)
            found.append(replace(first, predicted=1, late=late))
            continue
        profile = texts.profiles[index]
        slowest = max(work.cycles for work in profile[1:])
        choice = point_in_time(platform, (last - 1) * slowest, target_us - first.cost.time_us)
        layer = _leaves(row, table.threshold, last)
        point = platform.table.point(choice.point)
        rest = cost_at(sum(profile[1:layer], Work()), platform.power, point)
        label = int(texts.labels[index, layer - 1])
        cost = first.cost + switch_cost(platform, choice.point) + rest
        found.append(Outcome(label, layer, last, choice.point, choice.late, cost))
    return tuple(found)


def longest_us(texts: Texts, platform: Platform) -> float:
    """The longest full-depth time at the nominal point, what relative targets are of: each layer
    after the first as long as the slowest of them, which is how the unit counts."""
    later = texts.layers - 1
    cycles = [p[0].cycles + later * max(w.cycles for w in p[1:]) for p in texts.profiles]
    return max(cycles) / platform.table.nominal_hz * 1e6


def summarise(
    mode: str,
    outcomes: Sequence[Outcome],
    texts: Texts,
    platform: Platform,
    *,
    threshold: int | None = None,
    target_us: float | None = None,
    targets_us: Sequence[float] = (),
) -> ModeResult:
    """Averages of a mode. threshold: 16 fraction bits. target_us: the one it ran for. targets_us:
    others that its latencies are held against."""
    times = np.array([o.cost.time_us for o in outcomes])
    labels = np.array([o.label for o in outcomes])
    predicted = [o.predicted for o in outcomes if o.predicted is not None]
    total = sum((o.cost for o in outcomes), SentenceCost())
    count = len(outcomes)
    own = () if target_us is None else (target_us,)
    return ModeResult(
        mode=mode,
        threshold=None if threshold is None else threshold / ENTROPY_ONE,
        target_us=target_us,
        accuracy=float((labels == texts.wanted).mean()),
        layer=float(np.mean([o.layer for o in outcomes])),
        predicted=float(np.mean(predicted)) if predicted else None,
        latency_us=float(times.mean()),
        longest_us=float(times.max()),
        late=None if target_us is None else float(np.mean([o.late for o in outcomes])),
        met={t: float((times <= t * (1 + ROUNDING)).mean()) for t in (*own, *targets_us)},
        energy=total.total / count,
        unit=total.unit / count,
        voltage=float(np.mean([platform.table.voltages[o.point] for o in outcomes])),
        parts={name: value / count for name, value in total.parts().items()},
    )


def compare_modes(
    texts: Texts, platform: Platform, table: ExitTable, targets_us: Sequence[float]
) -> tuple[ModeResult, ...]:
    """All layers, early exit at the table's threshold, and latency aware for each target (us)."""
    threshold = table.threshold
    early = early_exit(texts, platform, threshold)
    rows = [
        summarise(FULL, full_depth(texts, platform), texts, platform, targets_us=targets_us),
        summarise(EARLY, early, texts, platform, threshold=threshold, targets_us=targets_us),
    ]
    for target in targets_us:
        aware = latency_aware(texts, platform, table, target)
        rows.append(summarise(AWARE, aware, texts, platform, threshold=threshold, target_us=target))
    return tuple(rows)


def saving(base: ModeResult, other: ModeResult) -> tuple[float, float]:
    """How many times less energy than ``base``: all of it, and the unit's alone."""
    return base.energy / other.energy, base.unit / other.unit
