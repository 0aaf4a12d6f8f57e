"""Traces of a simulation: what Verilator and the compiler need for VCD and for FST.

FST is written with LZ4 and zlib. Where their headers are not installed the model is built with
stand-ins that do not compress: the file is larger, and the same to its readers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shiftforge import __version__
from shiftforge.errors import InputError, Problem
from shiftforge.generator.render import render
from shiftforge.scratch import work_folder
from shiftforge.tools import run_tool

__all__ = ["TraceBuild", "TraceKind", "trace_build", "trace_kind"]

TraceKind = Literal["vcd", "fst"]
LIBRARIES = {"lz4": "-llz4", "zlib": "-lz"}


@dataclass(frozen=True)
class TraceBuild:
    """verilate: options for Verilator. defines, libraries: for the compiler. sources: runtime
    files to compile with the others. headers: files by name, for headers that are not installed.
    """

    verilate: tuple[str, ...] = ()
    defines: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


def trace_kind(path: Path) -> TraceKind:
    """The kind of a trace file, by its suffix; raises InputError for any other suffix."""
    match path.suffix.lower():
        case ".vcd":
            return "vcd"
        case ".fst":
            return "fst"
    raise InputError(
        Problem(f"no kind of trace ends in {path.suffix!r}", "name it .vcd or .fst", str(path))
    )


def trace_build(kind: TraceKind | None, compiler: str) -> TraceBuild:
    """What a model with traces of a kind (None: without) is built with."""
    chosen = {"": int(kind is not None), "_VCD": int(kind == "vcd"), "_FST": int(kind == "fst")}
    defines = tuple(f"-DVM_TRACE{name}={value}" for name, value in chosen.items())
    if kind is None:
        return TraceBuild(defines=defines)
    build = TraceBuild(
        verilate=(f"--trace-{kind}", "--trace-structs"),
        defines=defines,
        sources=(f"verilated_{kind}_c.cpp",),
    )
    if kind == "vcd":
        return build
    found = [name for name in LIBRARIES if _links(compiler, name)]
    return TraceBuild(
        build.verilate,
        build.defines,
        build.sources,
        libraries=tuple(LIBRARIES[name] for name in found),
        headers=tuple(
            (f"{name}.h", render(f"edgebert/rtl/trace/{name}.h.j2", {"version": __version__}))
            for name in LIBRARIES
            if name not in found
        ),
    )


def _links(compiler: str, name: str) -> bool:
    """Whether header and library are installed."""
    program = f"#include <{name}.h>\nint main() {{ return 0; }}\n"
    command = [compiler, "-x", "c++", "-", "-o", "/dev/null", LIBRARIES[name]]
    with work_folder("links") as folder:
        done = run_tool(command, folder=folder, text=program)
    return done.returncode == 0
