"""Checks that run the network: the reference, every usable device and the RTL on the goldens."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from shiftforge.errors import InputError, Problem
from shiftforge.generator.project import Project
from shiftforge.generator.target import options_from
from shiftforge.sim.ci.check import Check, checked
from shiftforge.sim.ci.goldens import Goldens, difference, read_goldens
from shiftforge.sim.ci.suite import GOLDENS, RENEW, Suite
from shiftforge.sim.opencl import probe
from shiftforge.sim.results import Run
from shiftforge.sim.runner import GOLDEN, RTL, Progress, Runner, StoresSamples, runner_of

__all__ = ["Bench", "device_check", "golden_check", "rtl_check"]


def _mend(project: Project, at: str) -> str:
    command = f"shiftforge emulate {project.folder} --device {at} --check"
    if at == RTL:
        command = f"shiftforge cosim {project.folder}"
    return f"mend what the other checks name; run it alone with: {command} --input random:0"


@dataclass(frozen=True, eq=False)
class Bench:
    """A project on the samples of its suite. as_pinned: whether model and design are the pinned
    ones, so that a difference is the goldens' or the reference's."""

    suite: Suite
    folder: Path
    project: Project
    as_pinned: bool
    time_limit_s: float
    progress: Progress | None

    @cached_property
    def runner(self) -> Runner[Any]:
        """Of the project's kind."""
        return runner_of(self.suite.kind)

    def samples(self, limit: int | None = None) -> Any:
        """The stored ones, at most ``limit``. Raises InputError."""
        runner = self.runner
        if not isinstance(runner, StoresSamples):
            what = f"samples of the kind {self.suite.kind!r} cannot be stored"
            raise InputError(Problem(what, "run its projects with: shiftforge emulate"))
        options = options_from(runner.options, self.suite.run_options)
        file = self.folder / self.suite.input
        return runner.restored(self.project, file, limit or self.suite.samples, options)

    @cached_property
    def goldens(self) -> Goldens:
        """The stored ones. Raises InputError."""
        return read_goldens(self.folder / GOLDENS)

    @cached_property
    def reference(self) -> Run:
        """Every stage of all samples, now."""
        return self.run(self.samples(), GOLDEN)

    def run(self, samples: Any, at: str) -> Run:
        """Every stage of samples at a checkpoint."""
        return self.runner.run(
            self.project, samples, at, time_limit_s=self.time_limit_s, progress=self.progress
        )


def golden_check(bench: Bench) -> Check:
    """The reference on the stored samples against the stored goldens."""
    where = str(bench.folder / GOLDENS)

    def compared() -> str | list[Problem]:
        goldens = bench.goldens
        found = difference(goldens, bench.reference, whole=True)
        if goldens.design != bench.suite.digest:
            told = f"they are of the design {goldens.design[:16]!r}, the suite of another"
            what = f"the goldens are stale: {told}" + (f"; {found}" if found else "")
            return [Problem(what, RENEW, where)]
        if found and bench.as_pinned:
            what = f"the goldens are stale, or the reference has changed: {found}"
            return [Problem(what, f"model and design are as pinned; {RENEW}", where)]
        if found:
            what = f"the network computes something else than the goldens: {found}"
            return [Problem(what, f"mend what the other checks name; or {RENEW}", where)]
        return f"{len(goldens.digests):,} stages of {bench.suite.samples} samples"

    return checked("goldens", compared)


def device_check(bench: Bench, device: str, required: bool) -> Check:
    """The stored samples on an OpenCL device against the stored goldens."""
    name = f"device {device}"
    state = probe.probe(device)
    if not state.usable:
        return _absent(name, state.detail, state.remedy, required)
    return checked(
        name, lambda: _against(bench, bench.samples(), device), _mend(bench.project, device)
    )


def rtl_check(bench: Bench, required: bool) -> Check | None:
    """The first stored samples on the RTL against the stored goldens; None without RTL."""
    if RTL not in bench.runner.checkpoints or not bench.suite.rtl:
        return None
    try:
        samples = bench.samples(bench.suite.rtl)
    except InputError as error:
        return Check(RTL, "refused", "", error.problems)
    if problems := bench.runner.check(samples, [RTL]):
        return _absent(RTL, problems[0].what, problems[0].remedy, required)
    return checked(RTL, lambda: _against(bench, samples, RTL), _mend(bench.project, RTL))


def _absent(name: str, detail: str, remedy: str, required: bool) -> Check:
    if required:
        what = f"is required and not usable: {detail}"
        return Check(name, "refused", "", (Problem(what, remedy, name),))
    return Check(name, "skipped", f"not usable: {detail}" + (f" ({remedy})" if remedy else ""))


def _against(bench: Bench, samples: Any, at: str) -> str | list[Problem]:
    """A run against the goldens; a difference is located against the reference of now."""
    run = bench.run(samples, at)
    found = difference(bench.goldens, run) if run.trace else ""
    if not found and not run.faults:
        return f"{len(run.trace):,} stages of {bench.runner.count(samples)} samples"
    reference = bench.reference
    if bench.runner.count(samples) != bench.suite.samples:
        reference = bench.run(samples, GOLDEN)
    pair = bench.runner.pair(samples, reference, run)
    if pair.divergence is None:
        what = f"the device computes what the reference does, and not the goldens: {found}"
        return [Problem(what, "see the check of the goldens", at)]
    first = bench.runner.named(samples, pair.divergence)
    what = f"first differs from the reference in {first}"
    if pair.mismatches > first.differing:
        what += f" ({pair.mismatches:,} of {pair.values:,} values differ in all)"
    return [Problem(what, _mend(bench.project, at), at)]
