"""The special function unit under Verilator: inputs from a file, a word a cycle, results dumped."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shiftforge import __version__
from shiftforge.generator.edgebert.rtl_sfu import render_rows_benches, render_sfu
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.render import render
from shiftforge.sim.rtl.cocotb_run import build_for_cocotb
from shiftforge.sim.rtl.trace import TraceKind
from shiftforge.sim.rtl.verilator import build_model, random_start, simulation_failure

TOP = "sfu_bench"
BLOCKS = "sfu_blocks"
DEPTH = 1 << 17
DONE = re.compile(r"done words=(\d+) cycles=(\d+)")


@dataclass(frozen=True)
class Ports:
    """A module's ports without their _i and _o; the bench joins the inputs to one word.

    inputs, outputs: (name, bits), most significant first. ready: (the input that is the valid
    flag, the ready port), or None for a module that always takes. valid: the port that says that
    the outputs count.
    """

    dut: str
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]
    ready: tuple[str, str] | None = None
    valid: str = "valid_o"


@dataclass(frozen=True)
class SfuRun:
    """outputs: one dictionary a transfer; cycles of the whole run, idle ones at its end too."""

    outputs: list[dict[str, int]]
    cycles: int


def pack_lanes(values: Iterable[int], bits: int) -> int:
    """Lanes of ``bits`` bits (two's complement) as one integer, lane 0 lowest."""
    mask = (1 << bits) - 1
    return sum((int(value) & mask) << (bits * lane) for lane, value in enumerate(values))


def unpack_lanes(word: int, bits: int, lanes: int, signed: bool) -> list[int]:
    """The lanes of a word."""
    found = [(word >> (bits * lane)) & ((1 << bits) - 1) for lane in range(lanes)]
    half = 1 << (bits - 1)
    return [value - 2 * half if signed and value >= half else value for value in found]


@dataclass(frozen=True)
class SfuModel:
    """A built bench."""

    program: Path
    ports: Ports

    def run(
        self,
        words: Sequence[Mapping[str, int]],
        *,
        drain: int = 4000,
        trace: Path | None = None,
        seed: int = 0,
    ) -> SfuRun:
        """Feed the words; an input that a word leaves out is 0.

        drain: idle cycles after which the run ends. trace: file of a trace, of the kind that the
        bench was built with. seed: of the values from which registers start.
        Raises CheckFailed where it does not end or inputs remain.
        """
        if not 0 < len(words) <= DEPTH:
            raise ValueError(f"{len(words)} words: 1 to {DEPTH} fit the bench")
        with tempfile.TemporaryDirectory(prefix="shiftforge-sfu-") as name:
            folder = Path(name)
            (folder / "stim.hex").write_text(self._text(words), encoding="ascii")
            options = {"words": len(words), "drain": drain}
            command = [str(self.program), "+stim=stim.hex", "+result=result.hex"]
            command += [f"+{key}={value}" for key, value in options.items()]
            command += random_start(seed)
            if trace is not None:
                command.append(f"+trace={trace.resolve()}")
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            found = DONE.search(done.stdout)
            if done.returncode != 0 or found is None or int(found[1]) != len(words):
                raise simulation_failure(
                    f"{self.ports.dut} did not finish", done.returncode, done.stdout + done.stderr
                )
            lines = (folder / "result.hex").read_text(encoding="ascii").split()
        return SfuRun([self._fields(int(line, 16)) for line in lines], int(found[2]))

    def _text(self, words: Sequence[Mapping[str, int]]) -> str:
        digits = -(-sum(bits for _, bits in self.ports.inputs) // 4)
        known = {name for name, _ in self.ports.inputs}
        lines = []
        for fields in words:
            if not fields.keys() <= known:
                raise ValueError(f"{sorted(fields.keys() - known)}: no inputs of {self.ports.dut}")
            word = 0
            for name, bits in self.ports.inputs:
                word = word << bits | int(fields.get(name, 0)) & ((1 << bits) - 1)
            lines.append(f"{word:0{digits}x}\n")
        return "".join(lines)

    def _fields(self, word: int) -> dict[str, int]:
        found = {}
        for name, bits in reversed(self.ports.outputs):
            found[name] = word & ((1 << bits) - 1)
            word >>= bits
        return found


def build_sfu(
    config: SfuConfig,
    ports: Ports,
    replace: Mapping[str, str] | None = None,
    *,
    trace: TraceKind | None = None,
) -> SfuModel:
    """Bench of one module; ``replace``: files to use instead of the rendered ones."""
    text = {**render_sfu(config), **render_rows_benches(config), **(replace or {})}
    return build_with_files(text, ports, trace=trace)


def build_with_files(
    text: Mapping[str, str], ports: Ports, *, trace: TraceKind | None = None
) -> SfuModel:
    """The same of any module among the files of ``text``."""
    values = {
        "version": __version__,
        "dut": ports.dut,
        "inputs": ports.inputs,
        "outputs": ports.outputs,
        "ready": ports.ready,
        "valid": ports.valid,
        "width": sum(bits for _, bits in ports.inputs),
        "depth": DEPTH,
    }
    bench = {
        f"{TOP}.sv": render("edgebert/rtl/sfu/bench.j2", values),
        "main.cpp": render("edgebert/rtl/bench/main.cpp.j2", {**values, "top": TOP}),
    }
    return SfuModel(build_model({**text, **bench}, TOP, trace=trace), ports)


def build_sfu_blocks(
    config: SfuConfig,
    ports: Sequence[Ports],
    replace: Mapping[str, str] | None = None,
    *,
    trace: TraceKind | None = None,
) -> Path:
    """All given modules side by side for cocotb (see sfu_benches); program for ``run_cocotb``."""
    text = {**render_sfu(config), **render_rows_benches(config), **(replace or {})}
    text[f"{BLOCKS}.sv"] = render("edgebert/rtl/sfu/cocotb_bench.j2", {"blocks": ports})
    return build_for_cocotb(text, BLOCKS, trace=trace)
