"""What runs of a project add to its page: figures in JSON's own types, by file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from shiftforge.errors import CheckFailed
from shiftforge.generator.project import Project
from shiftforge.sim.compare import compare, default_pairs
from shiftforge.sim.on_rtl import RtlRequest, SimulatesRtl
from shiftforge.sim.results import Pair
from shiftforge.sim.runner import GOLDEN, RTL, Progress, Runner
from shiftforge.sim.trace import divergence_text

__all__ = ["Counts", "RunLimits", "accuracy_documents", "rtl_documents"]


@dataclass(frozen=True)
class RunLimits:
    """time_limit_s: of a batch on a device."""

    time_limit_s: float = 600.0
    progress: Progress | None = None


@runtime_checkable
class Counts(Protocol):
    """A runner whose projects run in simulated time without samples of the user."""

    def counted(self, project: Project, device: str, limits: RunLimits) -> dict[str, Any]:
        """The counted files of a page. Raises as a run does."""


def accuracy_documents(
    project: Project,
    runner: Runner[Any],
    samples: Any,
    source: str,
    devices: Sequence[str],
    limits: RunLimits,
) -> dict[str, Any]:
    """The whole flow on the samples: float network, integers, each device. source: of them.

    layers: of the first pair that tells them, worst first; an SQNR of null is no difference, and
    ``worst`` is without these.
    """
    # A model may have been stripped of its float weights.
    barred = {name: runner.check(samples, [name]) for name in runner.flow}
    flow = [name for name, problems in barred.items() if not problems]
    pairs = compare(
        project, runner, samples, default_pairs(flow, devices),
        time_limit_s=limits.time_limit_s, progress=limits.progress,
    )  # fmt: skip
    told = [_pair(pair) for pair in pairs]
    reference = runner.run(project, samples, GOLDEN, every_stage=False)
    layers = next((list(p.figures["layers"]) for p in pairs if "layers" in p.figures), [])
    layers.sort(key=lambda one: (one["sqnr_db"] is None, one["sqnr_db"]))
    return {
        "accuracy.json": {
            "figures": "measured",
            "input": source,
            "samples": runner.count(samples),
            "passed": all(pair.passed for pair in pairs),
            **runner.told(samples, reference),
            "pairs": told,
            "left_out": [
                {"checkpoint": name, "why": one.what, "remedy": one.remedy}
                for name, problems in barred.items()
                for one in problems
            ],
            "layers": layers,
            "worst": [
                {"tensor": one["tensor"], "sqnr_db": one["sqnr_db"]}
                for one in layers
                if one["sqnr_db"] is not None
            ],
        }
    }


def rtl_documents(
    project: Project, runner: Runner[Any], samples: Any, limits: RunLimits
) -> dict[str, Any]:
    """The samples on the project's RTL, as ``cosim`` tells it. Raises CheckFailed where it differs
    from the reference."""
    assert isinstance(runner, SimulatesRtl)  # told by the samples' check
    golden = runner.run(project, samples, GOLDEN, progress=limits.progress)
    (run,) = runner.on_rtl(project, samples, RtlRequest(), limits.progress)
    pair = runner.pair(samples, golden, run)
    if pair.divergence is not None:
        raise CheckFailed(divergence_text(runner.named(samples, pair.divergence), GOLDEN, RTL))
    told, _ = runner.cosim(samples, run, {RTL: pair})
    cycles = [row["cycles"] for row in told["sentences"]]
    single = {name: v for name, v in told.items() if not isinstance(v, list | dict)}
    return {
        "counted_network_performance.json": {
            "figures": "counted",
            **single,
            **runner.energy(samples, run),
            "samples": runner.count(samples),
            "most_cycles": max(cycles, default=0),
            "commands": told["commands"],
            "sentences": told["sentences"],
        }
    }


def _pair(pair: Pair) -> dict[str, Any]:
    figures = {name: value for name, value in pair.to_dict().items() if name != "layers"}
    if not pair.expected_exact:
        verdict = "measured"
    else:
        verdict = "equal" if pair.mismatches == 0 else "DIFFERENT"
    infinite = figures.get("output_sqnr_db") in (float("inf"), float("-inf"))
    return {
        **figures,
        "output_sqnr_db": None if infinite else figures.get("output_sqnr_db"),
        "top1_agreement": figures.get("top1_agreement"),
        "verdict": verdict,
    }
