"""Where a page and its files go: what stops them from being written, and writing them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shiftforge.errors import Problem

if TYPE_CHECKING:
    from shiftforge.generator.page.documents import Documents

__all__ = ["PAGE", "is_document", "page_file_problems", "write_page"]

PAGE = "report.html"
"""What a project's page is called, unless it is named."""


def page_file_problems(
    page: Path, names: Sequence[str] | None = None, *, made: bool = False
) -> list[Problem]:
    """What stops a page from being written. names: of its files, all that a project's page may have
    where none are given. made: its folder may be made."""
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
        for name in _names() if names is None else names:
            path = page.with_name(name)
            if path.exists() and not is_document(path, page.name):
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
        start = stream.read(800)
    return f'<meta name="generator" content="{GENERATOR.split()[0]} '.encode() in start


def is_document(path: Path, page: str) -> bool:
    """Whether an existing file is one of those beside a page of that name."""
    from shiftforge.generator.page.documents import document_start

    with path.open("rb") as stream:
        return stream.read(4096).decode("utf-8", "replace").startswith(document_start(page))


def write_page(page: Path, documents: Documents, text: str) -> None:
    """Everything staged, then put in place: the page last. Files of an earlier page of that name
    that this one has not are removed."""
    from shiftforge.atomic import write_files
    from shiftforge.errors import CheckFailed
    from shiftforge.generator.page.check import check_page
    from shiftforge.generator.page.documents import document_text

    faults = check_page(text, documents)
    if faults:
        raise CheckFailed("the page contradicts its files: " + "; ".join(map(str, faults[:5])))
    written = {name: document_text(value, page.name) for name, value in documents.files.items()}
    texts = {**written, page.name: text}
    write_files((page.with_name(name), own.encode("utf-8")) for name, own in texts.items())
    for path in (page.with_name(name) for name in _names() if name not in written):
        if path.is_file() and is_document(path, page.name):
            path.unlink()
