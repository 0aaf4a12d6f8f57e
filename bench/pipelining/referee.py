"""The pipelining rules held against what Intel's compiler said of public kernels.

    python bench/pipelining/referee.py fetch FOLDER [--address PATTERN]
    python bench/pipelining/referee.py run FOLDER [--json FILE] [--show]

``fetch`` gets the compiler reports named in reports.csv, with git, from their repositories' public
addresses (about 15 MB; ``--address`` for a mirror, with {repository} in it). ``run`` takes the
sources that stand inside the reports, runs the rules over them and prints, by compiler version,
the compiler's answer (rows) beside ours (columns). Loops kept for the check are counted in totals
of their own and named nowhere. ``--show`` lists the chosen loops where the two differ.

Exit status: 1 where a chosen loop is called 1 that the compiler refused or gave more, or fewer than
90 % of the chosen loops of 1 or ~1 are called so.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

from bench.common.machine import command_line, print_table
from bench.common.records import write_json
from bench.pipelining.facts import read_facts, read_reports
from bench.pipelining.sources import ADDRESS, fetch
from bench.pipelining.table import OURS, THEIRS, Pair, compare, confusion, score

WANTED_SHARE = 0.9


def run(folder: Path, json_file: Path | None, show: bool) -> int:
    """Compare, print, write; the exit status."""
    pairs = [pair for _, found in compare(read_facts(), read_reports(), folder) for pair in found]
    print(f"# {command_line()}")
    results: dict[str, Any] = {}
    for name, chosen in (("chosen", True), ("held out", False)):
        part = [pair for pair in pairs if pair.fact.chosen == chosen]
        print(f"\n{name}: {len(part)} loops; rows: the compiler, columns: ours")
        _print_confusion(part)
        counted = score(part)
        print(
            f"called 1 or at least 1 of those refused or above 1: {counted.false_ones} of "
            f"{counted.slower}\n1 or ~1 called so: {counted.ones_called} of {counted.ones}\n"
            f"the same answer: {counted.equal} of {counted.loops}"
        )
        results[name] = {
            **dataclasses.asdict(counted),
            "by_version": {
                version: {theirs: {o: c[theirs, o] for o in OURS} for theirs in THEIRS}
                for version, c in confusion(part).items()
            },
        }
    if show:
        _print_differences(pairs)
    if json_file is not None:
        write_json(json_file, results)
    looked_at = score([pair for pair in pairs if pair.fact.chosen])
    missed = looked_at.ones_called < WANTED_SHARE * looked_at.ones
    return int(looked_at.false_ones > 0 or missed)


def _print_confusion(pairs: Sequence[Pair]) -> None:
    rows = []
    for version, counts in confusion(pairs).items():
        for theirs in THEIRS:
            if any(counts[theirs, ours] for ours in OURS):
                shown = [str(counts[theirs, ours] or "") for ours in OURS]
                rows.append([version, theirs, *shown])
    print_table(["aoc", "answer", *OURS], rows)


def _print_differences(pairs: Sequence[Pair]) -> None:
    rows = [
        [
            pair.version.split()[0],
            pair.fact.report,
            pair.fact.kernel,
            f"{pair.fact.file}:{pair.fact.line}",
            pair.fact.ii if pair.fact.pipelined == "Yes" else pair.fact.bottleneck[:24],
            pair.ours,
            pair.limit,
        ]
        for pair in sorted(pairs, key=lambda pair: (not pair.false_one, pair.version))
        if pair.fact.chosen and pair.ours != pair.fact.verdict
    ]
    print()
    print_table(["aoc", "report", "kernel", "loop", "theirs", "ours", "limit"], rows)


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    fetching = commands.add_parser("fetch", help="get the reports with git")
    fetching.add_argument("folder", type=Path)
    fetching.add_argument("--address", default=ADDRESS, metavar="PATTERN")
    running = commands.add_parser("run", help="compare and print")
    running.add_argument("folder", type=Path)
    running.add_argument("--json", type=Path, metavar="FILE")
    running.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    if arguments.command == "fetch":
        written = fetch(read_reports().values(), arguments.folder, arguments.address)
        print(f"{len(written)} reports in {os.fspath(arguments.folder)}")
        return 0
    return run(arguments.folder, arguments.json, arguments.show)


if __name__ == "__main__":
    raise SystemExit(main())
