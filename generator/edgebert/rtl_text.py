"""The text of a module of the RTL: as it stands, or filled in."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from shiftforge.generator.render import render

__all__ = ["module_text"]


def module_text(folder: str, name: str, values: dict[str, Any]) -> str:
    """``name`` of a folder of templates behind the header that every file has.

    A file that is the same for all units stands there as it is; one with ``.j2`` behind its name is
    filled in. values: ``version`` and ``description`` at least.
    """
    header = render("edgebert/rtl/header.j2", values)
    plain = files("shiftforge.templates").joinpath(folder, name)
    if plain.is_file():
        return header + plain.read_text(encoding="utf-8")
    return header + render(f"{folder}/{name}.j2", values)
