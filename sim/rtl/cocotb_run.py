"""Builds a bench for cocotb and runs a module of cocotb tests on it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

from shiftforge.errors import CheckFailed, ToolFailed
from shiftforge.generator.edgebert.rtl import render_bench, render_unit
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.scratch import work_folder
from shiftforge.sim.rtl.trace import TraceKind
from shiftforge.sim.rtl.verilator import build_model, random_start, tool_environment
from shiftforge.tools import supervised

__all__ = [
    "CONFIG_VARIABLE",
    "bench_config",
    "build_bench",
    "build_for_cocotb",
    "run_cocotb",
    "sfu_bench_config",
]

CONFIG_VARIABLE = "SHIFTFORGE_UNIT"
PREFIX = ("--vpi", "--prefix", "Vtop")
VISIBLE = "--public-flat-rw"
MADE = 'std::unique_ptr<Vtop> top(new Vtop(""));'  # in cocotb's main program
QUIET = re.compile(r"^\s*input\s+logic\s+(\w*clk_i|\w*rst_ni)\b", re.MULTILINE)


def build_bench(
    config: UnitConfig,
    top: str,
    *,
    replace: Mapping[str, str] | None = None,
    trace: TraceKind | None = None,
    cache: Path | None = None,
) -> Path:
    """A bench module of ``templates/rtl/bench`` with cocotb's main program around it."""
    text = {**render_unit(config), **render_bench(config), **(replace or {})}
    return build_for_cocotb(text, top, options=[VISIBLE], trace=trace, cache=cache)


def build_for_cocotb(
    text: Mapping[str, str],
    top: str,
    *,
    options: Sequence[str] = (),
    timing: bool = False,
    trace: TraceKind | None = None,
    cache: Path | None = None,
) -> Path:
    """A design with cocotb's main program. Only signals marked public are seen from Python.

    Clock and reset of the top are 0 from the first moment: all else starts from random values, and
    an edge outside reset would come before a test had begun.
    """
    from cocotb_tools import config as cocotb_config

    main = Path(cocotb_config.share_dir) / "lib" / "verilator" / "verilator.cpp"
    libs = str(cocotb_config.libs_dir)
    return build_model(
        {**text, "main.cpp": _quiet(main.read_text(encoding="utf-8"), text[f"{top}.sv"])},
        top,
        options=[*PREFIX, *options],
        libraries=[f"-Wl,-rpath,{libs}", f"-L{libs}", "-lcocotbvpi_verilator"],
        timing=timing,
        trace=trace,
        cache=cache,
    )


def _quiet(main: str, top: str) -> str:
    """cocotb's main program with a top whose clock and reset begin at 0."""
    if main.count(MADE) != 1:
        raise ToolFailed("cocotb's main program is another one: install the pinned version")
    ports = "".join(f" top->{name} = 0;" for name in QUIET.findall(top))
    return main.replace(MADE, MADE + ports)


def bench_config() -> UnitConfig:
    """The configuration of the unit under test, for a module that cocotb runs."""
    return UnitConfig(**json.loads(os.environ[CONFIG_VARIABLE]))


def sfu_bench_config() -> SfuConfig:
    """The same of the special function unit."""
    return SfuConfig(**json.loads(os.environ[CONFIG_VARIABLE]))


def run_cocotb(
    program: Path,
    config: UnitConfig | SfuConfig,
    module: str,
    folders: Sequence[Path],
    *,
    seed: int = 1,
    plusargs: Sequence[str] = (),
    trace: Path | None = None,
) -> tuple[int, str]:
    """Run all tests of a module on a built bench: the number of tests that passed, and the log.

    folders: where the module and what it imports lie. seed: of cocotb's random numbers, and of the
    values from which registers start. trace: file of a trace, of the kind that the bench was built
    with. Raises CheckFailed where a test failed, where none ran, or where the simulation ended
    early.
    """
    from cocotb_tools.runner import Verilator

    class Supervised(Verilator):
        """The simulation ends with this process."""

        def _test_command(self) -> list[list[str]]:
            return [supervised([str(word) for word in line]) for line in super()._test_command()]

    with _found(folders), work_folder("cocotb") as folder:
        log, results = folder / "log.txt", folder / "results.xml"
        try:
            Supervised().test(
                test_module=module,
                hdl_toplevel=program.name,
                hdl_toplevel_lang="verilog",
                build_dir=program.parent,
                test_dir=folder,
                results_xml=str(results),
                log_file=log,
                seed=seed,
                plusargs=[*plusargs, *random_start(seed)],
                test_args=(
                    [] if trace is None else ["--trace", "--trace-file", str(trace.resolve())]
                ),
                extra_env={
                    "PATH": tool_environment()["PATH"],
                    "TMPDIR": str(folder),
                    CONFIG_VARIABLE: json.dumps(asdict(config)),
                },
            )
        except (SystemExit, RuntimeError) as error:
            # The runner also leaves so where tests failed: then the results say which.
            if results.is_file():
                _count(results, log)
            raise CheckFailed(f"the simulation ended early: {error}\n{_tail(log)}") from error
        if not results.is_file():
            raise CheckFailed(f"the simulation left no results\n{_tail(log)}")
        return _count(results, log), log.read_text(encoding="utf-8", errors="replace")


@contextmanager
def _found(folders: Sequence[Path]) -> Iterator[None]:
    """Modules in the folders are found: the runner hands Python's search path to the simulator."""
    before = list(sys.path)
    sys.path[:0] = [str(folder) for folder in folders]
    try:
        yield
    finally:
        sys.path[:] = before


def _count(results: Path, log: Path) -> int:
    cases = list(ElementTree.parse(results).iter("testcase"))
    if not cases:
        raise CheckFailed("no cocotb test ran")
    failed = [
        case.get("name", "?")
        for case in cases
        if any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
    ]
    if failed:
        raise CheckFailed(f"cocotb tests failed: {', '.join(failed)}\n{_tail(log)}")
    return len(cases)


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-4000:] if log.is_file() else ""
