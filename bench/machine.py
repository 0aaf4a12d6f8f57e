"""What the benchmarks share: facts of the machine, children with their peak memory, tables."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = [
    "BENCH",
    "Child",
    "command_line",
    "load",
    "machine",
    "print_table",
    "usable_devices",
    "versions",
]

BENCH = Path(__file__).resolve().parent
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


class Child:
    """A stage of ``stages.py`` in a process of its own: JSON lines on its input and output.

    The peak of its memory is then its own alone. The parent stays small, because a forked child's
    peak begins at its parent's size.
    """

    def __init__(self, stage: str, *arguments: str, environment: Mapping[str, str]) -> None:
        command = [sys.executable, str(BENCH / "stages.py"), stage, *arguments]
        self.stage = stage
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def answer(self) -> dict[str, Any]:
        """The next line it prints; ends the run where there is none."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"stage {self.stage} failed (status {self.process.wait()})")
        found: dict[str, Any] = json.loads(line)
        return found

    def ask(self) -> dict[str, Any]:
        """Have it do its work once more."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self) -> float:
        """Close it; the peak resident memory of it or the largest of its children, in MB."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode != 0:
            raise SystemExit(f"stage {self.stage} failed (status {self.process.returncode})")
        return usage.ru_maxrss * 1024 / 1e6

    def kill(self) -> None:
        """End it at once where it still runs."""
        if self.process.returncode is None:
            self.process.kill()
            self.process.wait()


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
