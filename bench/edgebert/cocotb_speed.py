"""Simulated cycles a second under cocotb: Python waits for done, or takes part in every cycle.

    python bench/edgebert/cocotb_speed.py [--n 16] [--long 128x3072x768]
        [--short 64x768x256] [--json FILE]

The same RTL, the same product, every result compared with the integer reference. The bench that
waits has its clock and stimulus in the design and runs the long product too; stepping every edge in
Python runs the short one, since its speed does not depend on the length. Times are wall-clock
of a whole cocotb run: start of the simulator, reading and writing of memory files included. The
processor's time is printed beside it, for machines with other work.
"""

from __future__ import annotations

import argparse
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np

from bench.common.machine import BENCH, command_line, load, machine, print_table
from bench.common.records import write_json
from bench.edgebert import cocotb_per_edge
from shiftforge.errors import CheckFailed
from shiftforge.generator.edgebert.matmul import MatmulOptions, MatmulPlan, plan_matmul
from shiftforge.generator.edgebert.rtl import render_bench, render_unit
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.sim.edgebert.rtl.matmul import build_clocked, build_matmul, run_matmul
from shiftforge.sim.edgebert.rtl.matmul_cosim import FRACTION, Operands, golden, random_operands
from shiftforge.sim.edgebert.rtl.operands import build_image, read_result
from shiftforge.sim.rtl.checks import check_codes
from shiftforge.sim.rtl.cocotb_run import build_for_cocotb, run_cocotb
from shiftforge.sim.rtl.memory_file import from_hex, to_hex

MEMORY_BITS = 18
TARGET = 300_000
DONE = re.compile(r"\bDONE cycles=(\d+)")
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Speed:
    """One run. processor: seconds of it in the run's processes. load: over the last minute."""

    bench: str
    shape: Shape
    cycles: int
    seconds: float
    processor: float
    load: float

    @property
    def cycles_per_second(self) -> float:
        """Simulated cycles a second of wall-clock."""
        return self.cycles / self.seconds


@dataclass(frozen=True)
class Work:
    """A product with its operands and expected codes."""

    plan: MatmulPlan
    given: Operands
    expected: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def work(config: UnitConfig, shape: Shape) -> Work:
    """A product of dense random operands."""
    given = random_operands(config, *shape, "dense", np.random.default_rng(0))
    plan = plan_matmul(config, shape, MatmulOptions(FRACTION, given.out_bias, given.relu))
    if plan.beats > 1 << MEMORY_BITS:
        raise SystemExit(f"{shape} does not fit the bench's memory: choose a smaller product")
    return Work(plan, given, golden(config, given))


def waiting(program: Path, todo: Work) -> tuple[int, float]:
    """Cycles and seconds of a bench that runs by itself (cocotb waits, or there is no Python)."""
    run = run_matmul(program, todo.plan, todo.given)
    check_codes(run.codes, todo.expected, todo.plan.config.lanes)
    return run.cycles, run.seconds


def build_per_edge(config: UnitConfig) -> Path:
    """The bench of the C++ clock with its clock left to cocotb."""
    text = {**render_unit(config), **render_bench(config, MEMORY_BITS)}
    options = ["-Wno-fatal", "-GFinish=1'b0", "--public-depth", "1"]  # Python sees the ports
    return build_for_cocotb(text, "matmul_bench", options=options)


def per_edge(program: Path, todo: Work) -> tuple[int, float]:
    """The same product, Python awake at every rising edge."""
    plan, given = todo.plan, todo.given
    image = build_image(plan, given)
    first, last = plan.registers["c_desc"], plan.beats - 1
    with tempfile.TemporaryDirectory(prefix="shiftforge-bench-") as name:
        files = {key: Path(name) / f"{key}.hex" for key in ("image", "result")}
        files["image"].write_bytes(to_hex(image))
        values = {**plan.registers, **files, "first": first, "last": last, "limit": 2**31}
        values |= {"bw_num": 1, "bw_den": 1, "latency": 32}
        options = [f"+{key}={value}" for key, value in values.items()]
        started = time.perf_counter()
        _, log = run_cocotb(
            program, plan.config, cocotb_per_edge.__name__, [BENCH.parent], plusargs=options
        )
        seconds = time.perf_counter() - started
        found = DONE.search(log)
        if found is None:
            raise CheckFailed(f"the RTL did not finish: {log[-2000:]}")
        image[first:] = from_hex(files["result"].read_bytes(), plan.config.lanes)
    check_codes(read_result(plan, image), todo.expected, plan.config.lanes)
    return int(found[1]), seconds


def shape_of(text: str) -> Shape:
    """MxKxN."""
    m, k, n = (int(part) for part in text.split("x"))
    return m, k, n


def main() -> int:
    """Exit status 1 where the waiting bench misses its target on the long product."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=16, help="lanes")
    parser.add_argument("--long", type=shape_of, default="128x3072x768", metavar="MxKxN")
    parser.add_argument("--short", type=shape_of, default="64x768x256", metavar="MxKxN")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    config = UnitConfig(lanes=arguments.n)
    waits, steps = build_clocked(config, memory_bits=MEMORY_BITS), build_per_edge(config)
    bare = build_matmul(config, memory_bits=MEMORY_BITS)
    long, short = work(config, arguments.long), work(config, arguments.short)
    # Another bench that is to be compared takes one line here.
    cases: list[tuple[str, Callable[[Path, Work], tuple[int, float]], Path, Work]] = [
        ("no Python, clock in C++", waiting, bare, long),
        ("cocotb waits for done", waiting, waits, long),
        ("cocotb steps every edge", per_edge, steps, short),
    ]
    found = []
    for name, run, program, todo in cases:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        cycles, seconds = run(program, todo)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        shape = (todo.plan.m, todo.plan.k, todo.plan.n)
        found.append(Speed(name, shape, cycles, seconds, processor, load()[0]))
    print(f"{command_line()}\n{machine()['processor']}, {machine()['cores']} cores\n")
    slow = found[-1].cycles_per_second
    print_table(
        ["bench", "product", "cycles", "seconds", "cycles/s", "of per-edge", "CPU s", "load"],
        [
            [
                s.bench,
                "x".join(map(str, s.shape)),
                f"{s.cycles:,}",
                f"{s.seconds:.2f}",
                f"{s.cycles_per_second:,.0f}",
                f"{s.cycles_per_second / slow:.1f}x",
                f"{s.processor:.2f}",
                f"{s.load:.1f}",
            ]
            for s in found
        ],
    )
    good = found[1].cycles_per_second >= TARGET
    print(f"\ncocotb on the long run, at least {TARGET:,} cycles/s: {'PASS' if good else 'MISS'}")
    if arguments.json is not None:
        runs = [{**asdict(s), "cycles_per_second": s.cycles_per_second} for s in found]
        saved = {"command": command_line(), "machine": machine(), "runs": runs}
        write_json(arguments.json, saved)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
