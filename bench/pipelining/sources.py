"""Compiler reports: fetched with git from public addresses, and the sources inside them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.common.records import write_whole
from bench.pipelining.facts import Report
from shiftforge.errors import InputError, Problem, ToolFailed
from shiftforge.files import read_text
from shiftforge.tools import run_tool

__all__ = ["ADDRESS", "Source", "fetch", "read_source"]

ADDRESS = "https://github.com/{repository}"
_MOST_BYTES = 16 << 20
_INCLUDE = re.compile(r'\s*#\s*include\s*["<]([^">]*)[">]')


@dataclass(frozen=True)
class Source:
    """The text that the compiler read, its includes put in.

    places: file and line of each line of ``text``. missing: includes that the report lacks.
    """

    text: str
    places: tuple[tuple[str, int], ...]
    missing: tuple[str, ...]


def fetch(reports: Iterable[Report], folder: Path, address: str = ADDRESS) -> list[Path]:
    """Write every report's file to ``folder``, one shallow git fetch a commit; those there stay.

    address: of a repository, with ``{repository}`` for OWNER/NAME. Raises ToolFailed.
    """
    written = []
    for report in reports:
        path = folder / f"{report.key}.js"
        if not path.exists():
            store = folder / "git" / report.repository.replace("/", "+")
            _git(["init", "--quiet", "--bare", str(store)])
            source = address.format(repository=report.repository)
            at = ["--git-dir", str(store)]
            _git([*at, "fetch", "--quiet", "--depth", "1", source, report.commit])
            write_whole(path, _git([*at, "show", f"{report.commit}:{report.path}"]))
        written.append(path)
    return written


def _git(arguments: list[str]) -> str:
    done = run_tool(["git", *arguments])
    if done.returncode != 0:
        raise ToolFailed(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def read_source(folder: Path, report: Report) -> Source:
    """The source inside one fetched report. Raises InputError where there is none."""
    path = folder / f"{report.key}.js"
    files = _files(read_text(path, most=_MOST_BYTES), path)
    included = {
        Path(found[1]).name
        for text in files.values()
        for line in text.split("\n")
        if (found := _INCLUDE.match(line))
    }
    lines: list[tuple[str, str, int]] = []
    missing: list[str] = []
    for name in sorted(set(files) - included):
        _flatten(name, files, lines, missing)
    places = tuple((name, number) for _, name, number in lines)
    return Source("\n".join(text for text, _, _ in lines), places, tuple(missing))


def _files(text: str, path: Path) -> dict[str, str]:
    """Name and text of each file in a report's ``fileJSON``."""
    _, found, rest = text.partition("fileJSON=")
    if not found:
        raise InputError(Problem("holds no sources", "fetch it again", str(path)))
    # It is written for JavaScript: octal escapes, and from some versions on a quoted string.
    plain = re.sub(r"\\(0\d\d|.)", _escape, rest.lstrip().removeprefix("'"), flags=re.DOTALL)
    value, _ = json.JSONDecoder(strict=False).raw_decode(plain)
    return {Path(entry["path"]).name: entry["content"] for entry in value if "content" in entry}


def _escape(match: re.Match[str]) -> str:
    word = match[1]
    if len(word) == 3:
        return f"\\u{int(word, 8):04x}"
    return "'" if word == "'" else match[0]


def _flatten(
    name: str, files: dict[str, str], lines: list[tuple[str, str, int]], missing: list[str]
) -> None:
    for number, line in enumerate(files[name].split("\n"), 1):
        found = _INCLUDE.match(line)
        if found is None:
            lines.append((line, name, number))
        elif Path(found[1]).name in files:
            _flatten(Path(found[1]).name, files, lines, missing)
        else:
            missing.append(found[1])
            lines.append(("", name, number))
