"""Runs matrix products on the processing unit's RTL: preloaded memory, clock in C++, no Python."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import CheckFailed, InputError, Problem
from shiftforge.generator.edgebert.matmul import MatmulPlan
from shiftforge.generator.edgebert.rtl import render_bench, render_clocked, render_unit
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.scratch import check_room, work_folder
from shiftforge.sim.edgebert.operands import ProductOperands
from shiftforge.sim.edgebert.rtl.operands import build_image, read_result
from shiftforge.sim.rtl.cocotb_run import build_for_cocotb, run_cocotb
from shiftforge.sim.rtl.divergence import read_times
from shiftforge.sim.rtl.memory_file import from_hex, to_hex
from shiftforge.sim.rtl.trace import TraceKind
from shiftforge.sim.rtl.verilator import build_model, random_start, simulation_failure
from shiftforge.tools import run_tool

__all__ = ["ExternalMemory", "MatmulRun", "build_clocked", "build_matmul", "run_matmul"]

BENCH = "matmul_bench"
CLOCKED = "clocked_bench"
WAIT_MODULE = "shiftforge.sim.rtl.wait_for_done"
DONE = re.compile(r"\bDONE (.*)$", re.MULTILINE)
# A run that takes this many times its ideal cycles has come to a halt.
PATIENCE = 40
SETUP = 100_000


@dataclass(frozen=True)
class ExternalMemory:
    """beats: of n bytes, a cycle, as (number, cycles); latency: cycles to a read's answer, 1..255.

    At most one beat a cycle. Raises InputError where a figure is out of its range.
    """

    beats: tuple[int, int] = (1, 1)
    latency: int = 32

    def __post_init__(self) -> None:
        problems = []
        if not 1 <= self.beats[0] <= self.beats[1] < 2**15:
            problems.append(
                Problem(
                    f"{self.beats[0]} beats in {self.beats[1]} cycles", "give at most one a cycle"
                )
            )
        if not 1 <= self.latency <= 255:
            problems.append(Problem(f"latency {self.latency}", "choose 1 to 255 cycles"))
        if problems:
            raise InputError(problems)


@dataclass(frozen=True)
class MatmulRun:
    """codes: (m, n) AF results. cycles: from start to the last result in external memory.

    busy: cycles in which the array worked; gated: those with a zero row of A; wait_a, wait_b:
    cycles without a row of A, without an operand tile of B; reads, writes: external beats.
    seconds: wall-clock of the simulation, files included. image: the external memory afterwards.
    malformed: why the result in it could not be read (codes are 0 then), or empty. written: of each
    beat the cycle of the last write, counted from start, -1 without one; where asked for.
    """

    codes: NDArray[np.uint8]
    cycles: int
    busy: int
    gated: int
    wait_a: int
    wait_b: int
    reads: int
    writes: int
    ideal_cycles: int
    seconds: float
    image: NDArray[np.uint8] | None = None
    malformed: str = ""
    written: NDArray[np.int64] | None = None

    @property
    def ratio(self) -> float:
        """Measured over ideal cycles."""
        return self.cycles / self.ideal_cycles


def build_matmul(
    config: UnitConfig,
    *,
    memory_bits: int = 18,
    replace: Mapping[str, str] | None = None,
    trace: TraceKind | None = None,
    cache: Path | None = None,
) -> Path:
    """The simulation of a unit with 2^memory_bits beats of external memory.

    replace: file texts that take the place of rendered ones (for planted faults). trace: the kind
    of trace that runs can write.
    """
    text = {**render_unit(config), **render_bench(config, memory_bits)}
    unknown = set(replace or {}) - set(text)
    if unknown:
        raise ValueError(f"no such files: {sorted(unknown)}")
    return build_model({**text, **(replace or {})}, BENCH, trace=trace, cache=cache)


def build_clocked(config: UnitConfig, *, memory_bits: int = 18, cache: Path | None = None) -> Path:
    """The same simulation for cocotb: the clock is part of the design, Python waits for done."""
    text = {**render_unit(config), **render_clocked(config, memory_bits)}
    return build_for_cocotb(text, CLOCKED, options=["-Wno-fatal"], timing=True, cache=cache)


def run_matmul(
    program: Path,
    plan: MatmulPlan,
    operands: ProductOperands,
    memory: ExternalMemory | None = None,
    trace: Path | None = None,
    *,
    times: bool = False,
    strict: bool = True,
    seed: int = 0,
) -> MatmulRun:
    """C = post(A B^T) on the RTL.

    program: from ``build_matmul``, or from ``build_clocked`` to run it as a cocotb test. trace: the
    file that takes the trace of a model of ``build_matmul`` with one. times: note the cycles of
    writes. seed: of the values from which registers start. Raises CheckFailed where the simulation
    stops before the product is done or, if strict, leaves a result that cannot be read.
    """
    image = build_image(plan, operands)
    first, last = plan.registers["c_desc"], plan.beats - 1
    with work_folder("rtl") as folder:
        (folder / "image.hex").write_bytes(to_hex(image))
        options = [
            f"+image={folder / 'image.hex'}",
            f"+result={folder / 'result.hex'}",
            *_options(plan, memory or ExternalMemory(), first, last),
            *([] if trace is None else [f"+trace={trace}"]),
            *([f"+times={folder / 'times.txt'}"] if times else []),
        ]
        started = time.perf_counter()
        if program.name == CLOCKED:
            _, log = run_cocotb(program, plan.config, WAIT_MODULE, [], seed=seed, plusargs=options)
        else:
            log = _run(program, [*options, *random_start(seed)])
        seconds = time.perf_counter() - started
        check_room(folder)
        found = DONE.search(log)
        if found is None:
            raise CheckFailed(f"the RTL did not finish: {log.strip()[-2000:]}")
        written = read_times((folder / "times.txt").read_bytes(), len(image)) if times else None
        image[first:] = from_hex((folder / "result.hex").read_bytes(), plan.config.lanes)
    counters = {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", found[1])}
    codes, malformed = np.zeros((plan.c.rows, plan.c.columns), dtype=np.uint8), ""
    try:
        codes = read_result(plan, image)
    except CheckFailed as error:
        if strict:
            raise
        malformed = str(error)
    return MatmulRun(
        codes=codes,
        ideal_cycles=plan.ideal_cycles,
        seconds=seconds,
        image=image,
        malformed=malformed,
        written=written,
        **counters,
    )


def _options(plan: MatmulPlan, memory: ExternalMemory, first: int, last: int) -> list[str]:
    """Registers, memory and limits as plus-arguments."""
    slow = -(-memory.beats[1] // memory.beats[0])
    values = {
        **plan.registers,
        "bw_num": memory.beats[0],
        "bw_den": memory.beats[1],
        "latency": memory.latency,
        "limit": min(PATIENCE * slow * plan.ideal_cycles + SETUP * slow, 2**32 - 1),
        "first": first,
        "last": last,
    }
    return [f"+{key}={value}" for key, value in sorted(values.items())]


def _run(program: Path, options: list[str]) -> str:
    done = run_tool([str(program), *options])
    log = done.stdout + done.stderr
    if done.returncode != 0:
        raise simulation_failure("the RTL did not finish", done.returncode, log)
    return log
