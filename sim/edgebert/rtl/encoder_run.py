"""Runs programs of encoder layers on the processing unit's RTL in one simulation."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed, InputError
from shiftforge.generator.edgebert.command import Command
from shiftforge.generator.edgebert.encoder import LayerPlan
from shiftforge.generator.edgebert.rtl import render_processing_unit, render_unit_bench
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.scratch import check_room, work_folder
from shiftforge.sim.edgebert.rtl.encoder_stages import LayerStages, read_stages
from shiftforge.sim.edgebert.rtl.matmul import ExternalMemory
from shiftforge.sim.rtl.divergence import read_times
from shiftforge.sim.rtl.memory_file import from_hex, to_hex
from shiftforge.sim.rtl.trace import TraceKind
from shiftforge.sim.rtl.verilator import build_model, random_start, simulation_failure
from shiftforge.tools import run_tool

__all__ = [
    "CommandRun",
    "Simulated",
    "Stopped",
    "UnitRun",
    "build_unit",
    "image_arguments",
    "parse_log",
    "run_image",
    "simulate",
    "trace_cycles",
]

BENCH = "unit_bench"
COMMAND = re.compile(r"^COMMAND (\d+) (.*)$", re.MULTILINE)
DONE = re.compile(r"^DONE (.*)$", re.MULTILINE)
FIGURE = re.compile(r"(\w+)=(\d+)")
# A run that takes this many times its ideal cycles has come to a halt.
PATIENCE = 20
SETUP = 1_000_000
TOLD = 2000  # characters of a log that an error repeats
# The unit's cycle 0 is the clock's sixth; a cycle is two time steps.
FIRST_CYCLE, STEPS = 5, 2


class Stopped(CheckFailed):
    """A simulation that failed, or did not reach the end of its program. log: what it printed."""

    def __init__(self, what: str, log: str) -> None:
        super().__init__(what)
        self.log = log


@dataclass(frozen=True)
class CommandRun:
    """A command and its counters. It ran from cycle start to before cycle end, counted from the
    unit's start; the next one starts at end."""

    command: Command
    start: int
    end: int
    busy: int
    gated: int
    wait_a: int
    wait_b: int

    @property
    def cycles(self) -> int:
        """From the fetch of the command to its end."""
        return self.end - self.start


@dataclass(frozen=True)
class UnitRun:
    """layers: the stages of each. commands: those that ran. cycles: from start to the end of the
    last one; reads, writes: external beats. seconds: wall-clock of the simulation, files
    included. written: of each beat the cycle of the last write, -1 without one, where asked for.
    """

    layers: tuple[LayerStages, ...]
    commands: tuple[CommandRun, ...]
    cycles: int
    reads: int
    writes: int
    seconds: float
    written: NDArray[np.int64] | None = None


def build_unit(
    design: UnitDesign,
    memory_bits: int,
    *,
    replace: Mapping[str, str] | None = None,
    trace: TraceKind | None = None,
    coverage: bool = False,
    cache: Path | None = None,
) -> Path:
    """The simulation of a whole unit with 2^memory_bits beats of external memory.

    replace: file texts that take the place of rendered ones (for planted faults). trace, coverage:
    see ``build_model``.
    """
    text = {**render_processing_unit(design), **render_unit_bench(design, memory_bits)}
    unknown = set(replace or {}) - set(text)
    if unknown:
        raise ValueError(f"no such files: {sorted(unknown)}")
    whole = {**text, **(replace or {})}
    return build_model(whole, BENCH, trace=trace, coverage=coverage, cache=cache)


@dataclass(frozen=True)
class Simulated:
    """What a simulation printed and wrote: log, tap file, write times; wall-clock seconds."""

    log: str
    taps: bytes
    times: bytes
    seconds: float


def _stopped(plan: LayerPlan, log: str) -> str:
    """Where a program that did not end stopped."""
    labels = [f"layer {c.layer}, {c.label}" for c in plan.commands]
    ran = len(COMMAND.findall(log))
    where = labels[ran] if ran < len(labels) else "the end"
    return f"the RTL did not finish, stopped at {where}: {log.strip()[-TOLD:]}"


def parse_log(plan: LayerPlan, log: str) -> tuple[tuple[CommandRun, ...], dict[str, int]]:
    """The commands' counters and the figures of the whole run.

    Raises CheckFailed where the log is not that of the whole program.
    """
    found = COMMAND.findall(log)
    done = DONE.search(log)
    if done is None:
        raise CheckFailed(_stopped(plan, log))
    if [int(index) for index, _ in found] != list(range(len(plan.commands))):
        raise CheckFailed(f"the RTL ran {len(found)} of {len(plan.commands)} commands, or others")
    rows = [{key: int(value) for key, value in FIGURE.findall(text)} for _, text in found]
    ends = list(accumulate(row["cycles"] for row in rows))
    runs = tuple(
        CommandRun(command, start, end, row["busy"], row["gated"], row["wait_a"], row["wait_b"])
        for command, start, end, row in zip(plan.commands, [0, *ends], ends, rows, strict=False)
    )
    return runs, {key: int(value) for key, value in FIGURE.findall(done[1])}


def _options(plan: LayerPlan, memory: ExternalMemory, last: int) -> dict[str, int]:
    slow = -(-memory.beats[1] // memory.beats[0])
    return {
        "program": plan.program,
        "first": plan.results,
        "last": last,
        "bw_num": memory.beats[0],
        "bw_den": memory.beats[1],
        "latency": memory.latency,
        "limit": min(slow * (PATIENCE * plan.ideal_cycles + SETUP), 2**32 - 1),
    }


def image_arguments(
    plan: LayerPlan, files: Mapping[str, object], seed: int, memory: ExternalMemory | None = None
) -> list[str]:
    """Arguments of the bench for a program's image. files: by the bench's names, ``image`` and
    ``result`` at least."""
    options = {**files, **_options(plan, memory or ExternalMemory(), plan.beats - 1)}
    return [*(f"+{key}={value}" for key, value in options.items()), *random_start(seed)]


def trace_cycles(
    program: Path,
    plan: LayerPlan,
    image: NDArray[np.uint8],
    trace: Path,
    cycles: tuple[int, int],
    *,
    memory: ExternalMemory | None = None,
    seed: int = 0,
) -> None:
    """Write the signals of the first to the last of ``cycles``, which count from the unit's start.

    program: built with traces. The run ends after the last cycle, or where it stops before. Raises
    InputError where the file cannot be written, ToolFailed where the simulator crashes.
    """
    first, last = (max(0, cycle) + FIRST_CYCLE for cycle in cycles)
    with work_folder("rtl") as folder:
        files: dict[str, object] = {key: folder / f"{key}.hex" for key in ("image", "result")}
        (folder / "image.hex").write_bytes(to_hex(image))
        files |= {"trace": trace, "trace_from": STEPS * first, "trace_to": STEPS * last + 1}
        done = run_tool([str(program), *image_arguments(plan, files, seed, memory)])
        if done.returncode != 0:
            log = done.stdout + done.stderr
            error = simulation_failure("the RTL failed", done.returncode, log)
            # A failing assertion is what the trace is for; Verilator ends by an abort there.
            if isinstance(error, InputError) or not trace.is_file():
                raise error


def simulate(
    program: Path,
    plan: LayerPlan,
    image: NDArray[np.uint8],
    memory: ExternalMemory | None = None,
    trace: Path | None = None,
    *,
    times: bool = False,
    seed: int = 0,
    coverage: Path | None = None,
) -> Simulated:
    """Run the program in an image; what it writes goes into the image.

    seed: of the values from which registers start. coverage: takes the counts of a model that was
    built to count. Raises Stopped where the simulation fails or does not reach the end of a
    program.
    """
    with work_folder("rtl") as folder:
        files = {key: folder / f"{key}.hex" for key in ("image", "result", "dump")}
        if times:
            files["times"] = folder / "times.txt"
        files["image"].write_bytes(to_hex(image))
        given = {**files, **({} if trace is None else {"trace": trace})}
        given |= {} if coverage is None else {"coverage": coverage}
        arguments = image_arguments(plan, given, seed, memory)
        started = time.perf_counter()
        done = run_tool([str(program), *arguments])
        seconds = time.perf_counter() - started
        log = done.stdout + done.stderr
        check_room(folder)
        if done.returncode != 0:
            error = simulation_failure("the RTL failed", done.returncode, log)
            raise Stopped(str(error), log) if isinstance(error, CheckFailed) else error
        if DONE.search(log) is None:
            raise Stopped(_stopped(plan, log), log)
        image[plan.results :] = from_hex(files["result"].read_bytes(), plan.config.lanes)
        taps = files["dump"].read_bytes()
        return Simulated(log, taps, files["times"].read_bytes() if times else b"", seconds)


def run_image(
    program: Path,
    plan: LayerPlan,
    image: NDArray[np.uint8],
    memory: ExternalMemory | None = None,
    trace: Path | None = None,
    *,
    times: bool = False,
    seed: int = 0,
) -> UnitRun:
    """Run the program in an image; what it writes goes into the image.

    trace: the file that takes the trace of a model that was built with one. times: note the cycles
    of writes. seed: see ``simulate``. Raises CheckFailed where the simulation stops before the
    program is done.
    """
    done = simulate(program, plan, image, memory, trace, times=times, seed=seed)
    commands, figures = parse_log(plan, done.log)
    layers = read_stages(plan, image, done.taps)
    written = read_times(done.times, len(image)) if times else None
    return UnitRun(
        tuple(layers),
        commands,
        figures["cycles"],
        figures["reads"],
        figures["writes"],
        done.seconds,
        written,
    )
