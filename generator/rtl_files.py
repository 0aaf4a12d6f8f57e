"""Generated SystemVerilog as files: what needs what, and an order in which any tool reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

__all__ = ["FILE_LIST", "compile_order", "file_list", "sources_below"]

FILE_LIST = "files.f"
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_PACKAGE = re.compile(r"^package \w+", re.MULTILINE)


def compile_order(text: Mapping[str, str]) -> list[str]:
    """All ``.sv`` files of ``text``, each after those that it needs; otherwise by name.

    text: files by name, one module or package each, named after it. Packages come before modules.
    """
    needed, order = _needed(text), list[str]()
    names = sorted(needed, key=lambda name: (not _is_package(text[name]), name))

    def visit(name: str, above: frozenset[str]) -> None:
        for other in sorted(needed[name] - above):
            visit(other, above | {other})
        if name not in order:
            order.append(name)

    for name in names:
        visit(name, frozenset({name}))
    return order


def sources_below(text: Mapping[str, str], top: str, leave_out: Sequence[str] = ()) -> list[str]:
    """The files of a module and of what it contains; of modules left out just their own.

    text: see ``compile_order``. Packages come first, then by name.
    """
    needed = _needed(text)
    found, waiting = {f"{top}.sv"}, [f"{top}.sv"]
    while waiting:
        new = needed[waiting.pop()] - found
        found |= new
        waiting += sorted(new - {f"{name}.sv" for name in leave_out})
    return sorted(found, key=lambda name: (not _is_package(text[name]), name))


def file_list(text: Mapping[str, str]) -> str:
    """FILE_LIST: a path a line, relative to the list's folder, as ``-F`` of simulators reads it."""
    return "".join(f"{name}\n" for name in compile_order(text))


def _is_package(text: str) -> bool:
    return _PACKAGE.search(text) is not None


def _needed(text: Mapping[str, str]) -> dict[str, set[str]]:
    """By file the files whose modules and packages it names, comments left out."""
    names = {name for name in text if name.endswith(".sv")}
    return {
        name: {
            f"{word}.sv" for word in re.findall(r"\w+", _COMMENT.sub(" ", text[name]))
        } & names - {name}
        for name in names
    }  # fmt: skip
