"""Benches that measure once and write one report: a text and its figures."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.common.machine import RESULTS, command_line
from bench.common.records import write_json, write_whole

__all__ = ["run_report"]


def run_report(
    name: str, doc: str | None, measure: Callable[[], dict[str, Any]],
    report: Callable[[dict[str, Any]], str],
) -> None:  # fmt: skip
    """Measure, print the report, and write ``name``.md and ``name``.json into the folder that the
    command line gives. doc: of the bench, whose first line the command's help shows."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER")
    arguments = parser.parse_args()
    os.nice(5)
    found = measure()
    text = report(found)
    print(text)
    write_whole(arguments.out / f"{name}.md", text)
    write_json(arguments.out / f"{name}.json", {"command": command_line(), **found})
