"""``shiftforge.report``: a project as a page, and the JSON files beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.arguments import path_of
from shiftforge.errors import InputError, Problem, Problems

if TYPE_CHECKING:
    from shiftforge.generator.page.documents import Documents
    from shiftforge.generator.project import Project

__all__ = ["FOLDER", "PAGE", "page_file_problems", "report"]

FOLDER, PAGE = "report", "report.html"
"""Where a page lies inside of its project, unless another place is named."""
Progress = Callable[[str, int, int], None]


def report(
    folder: str | Path,
    *,
    output: str | Path | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the page of a generated project and the JSON files beside it; returns the page's path.

    output: an .html file, ``report/report.html`` of the project where none is named. Raises
    InputError with everything wrong with these, before anything is written, CheckFailed where the
    page shows another figure than its files.
    """
    from shiftforge.generator.page.page import page_problems
    from shiftforge.generator.project import check_unedited, open_project

    root = path_of(folder, "the project's folder", "give a folder of generate")
    page = root / FOLDER / PAGE if output is None else path_of(output, "the page", "name a file")
    problems = Problems(page_problems())
    project = problems.check(open_project, root)
    if project is not None:
        problems.check(check_unedited, project)
    problems += page_file_problems(page, made=output is None)
    problems.stop()
    assert project is not None
    _write(page, _documents(project))
    return page


def page_file_problems(page: Path, *, made: bool = False) -> list[Problem]:
    """What stops a page from being written. made: its folder may be made."""
    from shiftforge.files import output_problems, system_problem

    where = str(page)
    try:
        if page.is_dir():
            return [Problem("is a folder", f"name a file, such as {page / PAGE}", where)]
        if page.suffix != ".html":
            return [Problem("does not end in .html", f"use {page.with_suffix('.html')}", where)]
        if made and not page.parent.exists():
            return []
        if not page.parent.is_dir():
            return [Problem("its folder does not exist", f"mkdir -p {page.parent}", where)]
        problems = [] if not page.exists() or _is_page(page) else [_foreign(page)]
        for name in _names():
            path = page.with_name(name)
            if path.exists() and not _is_document(path, page.name):
                problems.append(_foreign(path))
        return problems or output_problems(page)
    except OSError as error:
        return [system_problem(error, page)]


def _foreign(path: Path) -> Problem:
    what = "exists and is not of this page"
    return Problem(what, "choose another folder for the page, or remove this one", str(path))


def _names() -> tuple[str, ...]:
    from shiftforge.generator.page.documents import NAMES

    return NAMES


def _is_page(path: Path) -> bool:
    from shiftforge.generator.page.documents import GENERATOR

    with path.open("rb") as stream:
        return f'<meta name="generator" content="{GENERATOR.split()[0]} '.encode() in stream.read(
            800
        )


def _is_document(path: Path, page: str) -> bool:
    from shiftforge.generator.page.documents import document_start

    with path.open("rb") as stream:
        return stream.read(4096).decode("utf-8", "replace").startswith(document_start(page))


def _documents(project: Project) -> Documents:
    """Of the kind's target; raises InputError for a kind that has no page."""
    from shiftforge.generator.page.documents import Documents
    from shiftforge.generator.target import Reports, target_of

    target = target_of(project.kind)
    if not isinstance(target, Reports):
        what = f"projects of the kind {project.kind} have no page"
        raise InputError(Problem(what, "use emulate and compare", str(project.folder)))
    return Documents(target.documents(project.folder))


def _write(page: Path, documents: Documents) -> None:
    """Everything staged, then put in place: the page last."""
    from shiftforge.atomic import write_files
    from shiftforge.errors import CheckFailed
    from shiftforge.generator.page.check import check_page
    from shiftforge.generator.page.documents import document_text
    from shiftforge.generator.page.page import page_text

    text = page_text(documents)
    faults = check_page(text, documents)
    if faults:
        raise CheckFailed("the page contradicts its files: " + "; ".join(map(str, faults[:5])))
    written: dict[str, Any] = {
        name: document_text(value, page.name) for name, value in documents.files.items()
    }
    write_files(page.parent, {**written, page.name: text})
