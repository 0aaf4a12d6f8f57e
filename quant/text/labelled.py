"""Texts with their classes: a table with tabs, or texts that were held out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from shiftforge.errors import InputError, Problem, Problems
from shiftforge.files import read_text
from shiftforge.quant.text.inputs import Texts, load_texts, tokenised_texts
from shiftforge.quant.text.lines import MOST
from shiftforge.quant.text.tsv import joined, read_tsv

if TYPE_CHECKING:
    from shiftforge.quant.albert.network.file import Package

__all__ = ["load_labelled_texts"]

_CLASS = ("label", "class", "category")
_TEXT = (
    ("text",), ("sentence1", "sentence2"), ("premise", "hypothesis"), ("question", "sentence"),
    ("sentence",),
)  # fmt: skip
_FORM = (
    "give a .tsv with the columns text and label (or a text and its class in every line), in UTF-8"
)


def load_labelled_texts(spec: str, package: Package, limit: int | None = None) -> Texts:
    """Texts whose class is known, at most ``limit`` of them.

    spec: a file ending in .tsv, with a header that names the class (label, class, category) and the
    text (text, sentence, or two sentences as the GLUE tasks call them), or without one a text and
    its class; or held-out texts as ``load_texts`` takes them. A class is a name of the network's,
    or its number. Raises InputError.
    """
    if not spec.lower().endswith(".tsv"):
        found = load_texts(spec, package, limit)
        if found.wanted is None:
            raise InputError(Problem("its texts have no classes", _FORM, spec))
        return found
    path = Path(spec)
    text = read_text(path, most=MOST, remedy=_FORM, encoding="utf-8-sig")
    begin = text.replace("\r", "\n").lstrip("\n").partition("\n")[0].split("\t")
    head = [cell.strip().lower() for cell in begin]
    kind = next((name for name in _CLASS if name in head), None)
    names = next((own for own in _TEXT if set(own) <= set(head)), None)
    if kind is None or names is None:
        rows = read_tsv(path, (0, 1))
    else:
        shown = dict(zip(head, begin, strict=True))
        rows = read_tsv(path, [shown[own] for own in (*names, kind)])
    cells = rows.cells[:limit]
    texts = [joined(own[:-1]) for own in cells]
    problems = Problems()
    for line, row in zip(rows.lines, cells, strict=False):
        if not all(row):
            what = f"line {line} has no {'text' if row[-1] else 'class'}"
            problems.append(Problem(what, "give both, or remove the line", spec))
    own = package.network.classes
    wanted = problems.check(_classes, [row[-1] for row in cells], own, spec)
    read = problems.check(tokenised_texts, spec, package, texts)
    problems.stop()
    assert read is not None
    return replace(read, wanted=wanted)


def _classes(given: list[str], classes: tuple[str, ...], where: str) -> tuple[str, ...]:
    wanted = sorted(set(given) - {""})
    if set(wanted) <= set(classes):
        return tuple(given)
    digits = all(own.isascii() and own.isdigit() for own in wanted)
    unknown = [
        own for own in wanted if (int(own) >= len(classes) if digits else own not in classes)
    ]
    if not unknown:
        return tuple(classes[int(own)] if own else own for own in given)
    shown = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
    what = f"the network has no class called {shown}"
    remedy = f"it has {', '.join(classes)}; a first line may name its columns text and label"
    raise InputError(Problem(what, remedy, where))
