"""What the benchmarks share: facts of the machine, folders, tables."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "BENCH",
    "RESULTS",
    "command_line",
    "load",
    "machine",
    "print_table",
    "usable_devices",
    "versions",
]

BENCH = Path(__file__).resolve().parents[1]
RESULTS = BENCH / "results"
PACKAGES = (
    "numpy",
    "torch",
    "transformers",
    "onnx",
    "onnxruntime",
    "pyopencl",
    "pocl-binary-distribution",
    "intel-opencl-rt",
    "intel-opencl-fpga-emu-rt",
)


def command_line() -> str:
    """The command that runs this script, from the project's top folder."""
    script = os.path.relpath(sys.argv[0], BENCH.parent)
    return shlex.join(["python", script, *sys.argv[1:]])


def usable_devices() -> tuple[str, ...]:
    """The OpenCL devices that are usable here; the others are named with the reason, once.

    Ends the script where there is none.
    """
    from shiftforge.sim.opencl.probe import no_device_text, probe_all, skipped_text

    states = probe_all()
    usable = tuple(state.name for state in states if state.usable)
    skipped = [state for state in states if not state.usable]
    if not usable:
        raise SystemExit(no_device_text(skipped))
    for state in skipped:
        if state.name not in _told:
            print(skipped_text(state), flush=True)
            _told.add(state.name)
    return usable


_told: set[str] = set()


def check_exit(code: int, arguments: Sequence[str]) -> None:
    """Raise for the exit code of a ``shiftforge`` command that left no report: InputError for bad
    input, ToolFailed for anything but a check that ran (0 or 1)."""
    from shiftforge.errors import InputError, Problem, ToolFailed

    what = f"shiftforge {' '.join(arguments)}: exit {code}"
    if code == 2:
        raise InputError(Problem(what, "its reason stands above"))
    if code not in (0, 1):
        raise ToolFailed(what)


def load() -> list[float]:
    """Load averages over 1, 5 and 15 minutes: processes that wanted a core, this run's included."""
    return [round(value, 2) for value in os.getloadavg()]


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory, system."""
    model = platform.processor() or "unknown"
    memory_kb = 0
    info = Path("/proc/cpuinfo")
    if info.is_file():
        names = [x for x in info.read_text().splitlines() if x.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
        first = Path("/proc/meminfo").read_text().splitlines()[0]
        memory_kb = int(first.split()[1])
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(memory_kb / 1e6, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS", "unset"),
    }


def versions() -> dict[str, str]:
    """Installed versions of the packages that the figures depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table with aligned columns; the first is text, the others are figures."""
    widths = [max(len(line[i]) for line in (head, *rows)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        sized = zip(cells, widths, strict=True)
        padded = [c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(sized)]
        return "| " + " | ".join(padded) + " |"

    print(line(head))
    print("|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths)) + "|")
    for row in rows:
        print(line(row))
