"""Lints the unit's RTL in several sizes: ``python -m shiftforge.sim.edgebert.rtl.lint``.

Exit status 1 where a tool objects to a file; equal findings of several units are told once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shiftforge.errors import InputError, ToolFailed
from shiftforge.generator.edgebert.rtl import (
    TOP,
    UNIT_TOP,
    render_bench,
    render_processing_unit,
    render_unit,
    render_unit_bench,
)
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.generator.rtl_files import sources_below
from shiftforge.sim.rtl.lint import Finding, lint_all, require_linters

__all__ = ["CONFIGURATIONS", "Source", "main", "sources"]

DVFS = "sfu_dvfs"
CONFIGURATIONS: tuple[UnitConfig, ...] = (
    UnitConfig(lanes=2, accumulator="exact"),
    UnitConfig(lanes=4),
    UnitConfig(lanes=4, weights="shift"),
    UnitConfig(lanes=4, weights="shift", attention="none"),
    UnitConfig(lanes=4, af_bits=5, exp_bits=2, a_buffer=1024, outstanding=4, max_tiles=1024),
    UnitConfig(lanes=2, weights="shift", terms=2, accumulator="exact"),
    UnitConfig(lanes=16, weights="shift", terms=2),
    UnitConfig(lanes=16),
)


@dataclass(frozen=True)
class Source:
    """Files below a top module. name: what they are, for people."""

    name: str
    top: str
    text: dict[str, str]


def sources(configurations: Sequence[UnitConfig] = CONFIGURATIONS) -> Iterator[Source]:
    """The whole unit and the matrix engine alone of each configuration, and the first's benches.

    The special functions stand beside the unit; those that it has not are tops of their own.
    """
    for place, config in enumerate(configurations):
        design = UnitDesign(config, SfuConfig(config.lanes, config.af_bits, config.exp_bits))
        name = f"n = {config.lanes}, {config.weights}-{config.terms}"
        whole = render_processing_unit(design)
        yield Source(f"unit, {name}", UNIT_TOP, whole)
        beside = {file: whole[file] for file in sources_below(whole, DVFS)}
        yield Source(f"dvfs, {name}", DVFS, beside)
        yield Source(f"engine, {name}", TOP, render_unit(config))
        if place == 0:
            bench = render_unit_bench(design, 16)
            yield Source(f"bench of the unit, {name}", "unit_bench", {**whole, **bench})
            bench = render_bench(config)
            yield Source(f"bench, {name}", "matmul_bench", {**render_unit(config), **bench})


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every finding; 0 where there are none, 2 without the tools, 3 where one crashed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.parse_args(arguments)
    found: set[Finding] = set()
    count = 0
    try:
        require_linters()
        for source in sources():
            count += 1
            found |= set(lint_all(source.text, source.top))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except ToolFailed as error:
        print(f"tool failed: {error}", file=sys.stderr)
        return 3
    for finding in sorted(found):
        print(finding)
    print(f"RTL: {count} designs read by slang, verible and Verilator, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
