"""What runs a generated project: one protocol for every target.

``shiftforge.sim.compare`` has the steps on top. A runner is registered beside its target
(``shiftforge.generator.target``) and found by the kind that the project's manifest names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from shiftforge.errors import InputError, Problem
from shiftforge.generator.project import Project
from shiftforge.generator.target import load_object
from shiftforge.sim.opencl.child import Progress
from shiftforge.sim.opencl.devices import DEVICES
from shiftforge.sim.results import Emulation, Pair, Run, Table, exact_pair
from shiftforge.sim.trace import Divergence
from shiftforge.sim.trace import compare as compare_traces

__all__ = [
    "Base",
    "Options",
    "Progress",
    "Runner",
    "StoresSamples",
    "register_runner",
    "runner_kinds",
    "runner_of",
]

GOLDEN, RTL = "golden", "rtl"
DEVICE_NAMES = tuple(spec.name for spec in DEVICES)
SamplesT = TypeVar("SamplesT")


@dataclass(frozen=True)
class Options:
    """What a user may choose of a run; each field's metadata is a command-line option."""


class Runner(Protocol[SamplesT]):
    """What a kind's projects run on.

    checkpoints: in the order of the flow; "golden" is the reference. options: a frozen dataclass
    with defaults, an ``Options``. flow: those that are compared in a chain, up to the reference,
    where nothing else is asked for. whole: what a run with every stage compares, in words.
    """

    checkpoints: tuple[str, ...]
    flow: tuple[str, ...]
    whole: str
    options: type[Options]

    def samples(self, project: Project, spec: str, limit: int | None, options: Any) -> SamplesT:
        """The samples of an input: what ``--input`` takes, or samples as Python has them. Raises
        InputError with everything wrong with both."""

    def count(self, samples: SamplesT) -> int:
        """How many there are."""

    def batches(self, samples: SamplesT, every_stage: bool) -> Iterable[SamplesT]:
        """The samples in parts whose traces fit into memory."""

    def notes(self, samples: SamplesT) -> Sequence[str]:
        """What a user should know of the samples."""

    def check(self, samples: SamplesT, names: Sequence[str]) -> list[Problem]:
        """What stops the samples from running at checkpoints."""

    def run(
        self,
        project: Project,
        samples: SamplesT,
        at: str,
        *,
        every_stage: bool = True,
        time_limit_s: float = 600.0,
        progress: Progress | None = None,
    ) -> Run:
        """The samples at a checkpoint. Raises InputError, CheckFailed and ToolFailed."""

    def pair(self, samples: SamplesT, a: Run, b: Run) -> Pair:
        """Two runs of the same samples compared."""

    def named(self, samples: SamplesT, found: Divergence) -> Divergence:
        """The divergence with the sample's own name in its label."""

    def facts(self, samples: SamplesT, got: Sequence[Run], want: Sequence[Run]) -> dict[str, Any]:
        """Figures of an emulation, from the runs of all batches."""

    def told(self, samples: SamplesT, run: Run) -> dict[str, Any]:
        """What a page tells of the reference's run besides its comparison with others, for JSON."""

    def outputs(self, got: Sequence[Run]) -> Any:
        """The outputs of all batches."""

    def rows(self, samples: SamplesT, emulation: Emulation) -> tuple[Table, ...]:
        """An emulation as tables for people."""

    def clocked(
        self,
        project: Project,
        samples: SamplesT,
        at: str,
        *,
        every_stage: bool,
        time_limit_s: float,
        progress: Progress | None,
    ) -> Emulation | None:
        """An emulation with simulated time, where the samples' options ask for one; else None."""

    def cosim(
        self, samples: SamplesT, rtl: Run, pairs: Mapping[str, Pair]
    ) -> tuple[dict[str, Any], tuple[Table, ...]]:
        """What is told of a run on the RTL: figures as JSON has them, and tables. pairs: of the
        reference with each device and the RTL. Only asked where "rtl" is a checkpoint."""


@runtime_checkable
class StoresSamples(Protocol):
    """A runner whose samples can be kept in a file, for suites that run them again."""

    def stored(self, samples: Any) -> tuple[str, bytes]:
        """A file's name and its content, from which ``restored`` makes the same samples."""

    def restored(self, project: Project, file: Path, limit: int | None, options: Any) -> Any:
        """The samples of such a file, at most ``limit``. Raises InputError with everything wrong
        with it and the project."""


class Base:
    """What a runner need not say: all samples at once, tables of what every run has."""

    checkpoints: tuple[str, ...] = (GOLDEN, *DEVICE_NAMES)
    flow: tuple[str, ...] = (GOLDEN,)
    options: type[Options] = Options
    whole: str = "every stage"

    def count(self, samples: Any) -> int:
        """See ``Runner``."""
        return len(samples)

    def batches(self, samples: Any, every_stage: bool) -> Iterable[Any]:
        """See ``Runner``."""
        return (samples,)

    def notes(self, samples: Any) -> Sequence[str]:
        """See ``Runner``."""
        return ()

    def check(self, samples: Any, names: Sequence[str]) -> list[Problem]:
        """See ``Runner``."""
        return []

    def pair(self, samples: Any, a: Run, b: Run) -> Pair:
        """See ``Runner``."""
        found = compare_traces(a.trace, b.trace)
        return exact_pair(a.at, b.at, self.count(samples), found)

    def named(self, samples: Any, found: Divergence) -> Divergence:
        """See ``Runner``."""
        return found

    def facts(self, samples: Any, got: Sequence[Run], want: Sequence[Run]) -> dict[str, Any]:
        """See ``Runner``."""
        return dict(got[0].facts)

    def told(self, samples: Any, run: Run) -> dict[str, Any]:
        """See ``Runner``."""
        return {}

    def outputs(self, got: Sequence[Run]) -> Any:
        """See ``Runner``."""
        return [run.result for run in got]

    def clocked(
        self,
        project: Project,
        samples: Any,
        at: str,
        *,
        every_stage: bool,
        time_limit_s: float,
        progress: Progress | None,
    ) -> Emulation | None:
        """See ``Runner``."""
        return None

    def cosim(
        self, samples: Any, rtl: Run, pairs: Mapping[str, Pair]
    ) -> tuple[dict[str, Any], tuple[Table, ...]]:
        """See ``Runner``."""
        raise InputError(Problem("the target has no RTL", "run it with: shiftforge emulate"))

    def rows(self, samples: Any, emulation: Emulation) -> tuple[Table, ...]:
        """See ``Runner``."""
        rows: list[tuple[object, ...]] = [
            ("device", emulation.device),
            ("samples", f"{emulation.samples:,}"),
            ("compared", f"{emulation.checked}: {emulation.elements:,} integers"),
            ("mismatches", f"{emulation.mismatches:,}"),
        ]
        rows += list(emulation.facts.items())
        return (Table("", ("", ""), tuple(rows)),)


@dataclass(frozen=True)
class _Entry:
    kind: str
    runner: str


_ENTRIES: dict[str, _Entry] = {}


def register_runner(kind: str, runner: str) -> None:
    """Make a runner known: "package.module:object", imported when a project of the kind runs."""
    _ENTRIES[kind] = _Entry(kind, runner)


def runner_kinds() -> tuple[str, ...]:
    """Kinds that can run."""
    return tuple(_ENTRIES)


def runner_of(kind: str) -> Runner[Any]:
    """The runner of a kind. Raises InputError for an unknown one."""
    if kind not in _ENTRIES:
        what = f"nothing here runs projects of the kind {kind!r}"
        remedy = f"generate it again, as one of: {', '.join(_ENTRIES)}"
        raise InputError(Problem(what, remedy))
    runner: Runner[Any] = load_object(_ENTRIES[kind].runner)
    return runner


register_runner("conv", "shiftforge.sim.conv.runner:RUNNER")
register_runner("edgebert", "shiftforge.sim.edgebert.runner:RUNNER")
