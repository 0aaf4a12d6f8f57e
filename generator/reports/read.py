"""A compiler's report from a file or folder, in whichever format it is written."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.fields import read_fields
from shiftforge.files import read_text
from shiftforge.generator.reports.flat import flat_area, flat_loops
from shiftforge.generator.reports.literal import REMEDY, read_assignments
from shiftforge.generator.reports.tree import tree_area, tree_loops
from shiftforge.generator.reports.types import AocLoop, AocReport, Areas, Form, Kind, shown
from shiftforge.generator.reports.view import View, read_view
from shiftforge.jsontext import read_json

__all__ = ["find_report", "read_report"]

_MOST_SCRIPT, _MOST_JSON = 64 << 20, 16 << 20
_PARTS = ("loops", "area", "mav", "info", "loop_attr")
_SCRIPTS = ("report_data.js", "lib/report_data.js", "resources/report_data.js")
_SCRIPT = "reports/lib/report_data.js"


@dataclass(frozen=True)
class _Row:
    name: str
    data: list[Any]


@dataclass(frozen=True)
class _Info:
    rows: list[_Row] = field(default_factory=list)


def find_report(path: str | os.PathLike[str]) -> Path:
    """The file to read: the path, or what a folder (or report.html's) holds. Raises InputError."""
    given = Path(path)
    try:
        for place in _candidates(given):
            if place.is_file():
                return place
        if not given.is_dir() and given.suffix != ".html":
            return given  # reading it says what is wrong
    except (OSError, ValueError):
        return given
    raise InputError(Problem("holds no report of aoc", f"name its file {_SCRIPT}", str(given)))


def _candidates(given: Path) -> list[Path]:
    """Where the data of a folder's report, or of a page's, may lie."""
    if given.suffix == ".html":
        return [given.parent / place for place in _SCRIPTS]
    if not given.is_dir():
        return []
    names = (*_SCRIPTS, "loops.json", "lib/json/loops.json")
    return [folder / name for folder in (given, given / "reports") for name in names]


def read_report(path: str | os.PathLike[str]) -> AocReport:
    """The report in a file ``report_data.js`` or ``loops.json`` (with those beside it).

    Raises InputError with every problem of a file that is no report, is cut short, or holds values
    that no compiler writes. At most 64 MiB are read of a script, 16 of a JSON file.
    """
    file = find_report(path)
    where = str(file)
    if file.suffix == ".json":
        values = _of_folder(file)
        in_strings: bool | None = None
    else:
        text = read_text(file, most=_MOST_SCRIPT, remedy=REMEDY)
        parts = read_assignments(text, [f"{part}JSON" for part in _PARTS], where)
        values = {name.removesuffix("JSON"): value for name, value in parts.values.items()}
        in_strings = parts.in_strings
    loops = values.get("loops")
    if not isinstance(loops, dict):
        what = "holds no table of loops (loopsJSON)"
        raise InputError(Problem(what, REMEDY, where))
    return _report(values, loops, in_strings, where)


def _of_folder(file: Path) -> dict[str, Any]:
    """The parts of a report as JSON files: the one given is the table of loops."""
    problems = Problems()
    values = {"loops": problems.check(read_json, file, most=_MOST_JSON, remedy=REMEDY)}
    for part in _PARTS[1:]:
        beside = file.with_name(f"{part}.json")
        if beside.is_file():
            values[part] = problems.check(read_json, beside, most=_MOST_JSON, remedy=REMEDY)
    problems.stop()
    return values


def _report(
    values: Mapping[str, Any], loops: Mapping[str, Any], in_strings: bool | None, where: str
) -> AocReport:
    problems = Problems()
    flat = "functions" in loops
    view = problems.check(read_view, values.get("mav"), f"{where}: mavJSON")
    read_loops, read_area = (flat_loops, flat_area) if flat else (tree_loops, tree_area)
    empty = View({}, {}, {})
    table = problems.check(read_loops, loops, view or empty, f"{where}: loopsJSON")
    area = None
    if values.get("area") is not None:
        area = problems.check(read_area, values["area"], f"{where}: areaJSON")
    info = _info(values.get("info"), where, problems)
    problems.stop()
    kernels, found = table or ([], [])
    areas = area or Areas()
    version = info.get("AOC Version", "")
    return AocReport(
        _form(flat, in_strings, version, values),
        version,
        info.get("Target Family, Device, Board", ""),
        tuple(dict.fromkeys([*kernels, *(one.name for one in areas.kernels)])),
        _with_headers(found),
        areas,
        dict(view.load_latency) if view else {},
    )


def _with_headers(loops: Sequence[AocLoop]) -> tuple[AocLoop, ...]:
    """The loops, those around a rolled loop marked; they come before what they hold."""
    outer: set[int] = set()
    around: list[int] = []
    for number, loop in enumerate(loops):
        while around and (
            loops[around[-1]].depth >= loop.depth or loops[around[-1]].kernel != loop.kernel
        ):
            around.pop()
        if loop.kind is Kind.ROLLED:
            outer.update(around)
        around.append(number)
    return tuple(replace(loop, innermost=n not in outer) for n, loop in enumerate(loops))


def _info(value: Any, where: str, problems: Problems) -> dict[str, str]:
    if value is None:
        return {}
    found = problems.check(read_fields, _Info, value, f"{where}: infoJSON", REMEDY)
    rows = found.rows if found is not None else []
    return {row.name: shown(str(row.data[0])) for row in rows if row.data}


def _form(flat: bool, in_strings: bool | None, version: str, values: Mapping[str, Any]) -> Form:
    """in_strings: None for JSON files, which tell less: then the version decides."""
    if in_strings is None:
        major = re.match(r"\d+", version)
        if flat and not version:
            return Form.A
        newer = int(major[0]) >= 20 if major else "loop_attr" in values
        return Form.C if newer and not flat else Form.B
    return Form.B if in_strings else Form.A if flat else Form.C
