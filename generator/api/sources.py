"""A network from wherever a user has it: what ``quantize`` and ``check`` begin with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shiftforge.errors import InputError, Problem

if TYPE_CHECKING:
    from shiftforge.quant.capture.overrides import Overrides
    from shiftforge.quant.capture.types import FloatGraph

__all__ = ["captured", "check_source_type"]

Say = Callable[[str], None]


def check_source_type(source: Any) -> None:
    """Raise InputError for what is neither a name, a path nor a module, without loading PyTorch."""
    import sys

    torch = sys.modules.get("torch")  # who has a module has loaded it
    if isinstance(source, str | Path) or (torch and isinstance(source, torch.nn.Module)):
        return
    what = f"a source of the type {type(source).__name__}"
    raise InputError(Problem(what, "give a torch.nn.Module, or what quantize takes"))


def captured(source: Any, overrides: Overrides, say: Say) -> tuple[FloatGraph, str]:
    """The float graph of a source and the source's name, a built-in one's without "builtin:".

    Raises InputError.

    source: what ``shiftforge quantize`` takes, or a ``torch.nn.Module``. say: called with lines for
    the user.
    """
    check_source_type(source)
    size = overrides.resolution
    if isinstance(source, str | Path):
        from shiftforge.quant.capture.source import builtin_source, load_source

        name = str(source)
        known = builtin_source(name)
        say(f"reading {name}")
        graph = load_source(name, resolution=size, overrides=overrides)
        name = known or name
    else:
        from shiftforge.quant.capture.loaders.factory import load_module
        from shiftforge.quant.capture.loaders.wrapped import unwrapped

        source = unwrapped(source)
        name = type(source).__name__
        say(f"capturing {name}")
        graph = load_module(source, name, resolution=size, overrides=overrides)
    graph = overrides.apply(graph)
    for text in (*graph.notes, overrides.told(graph)):
        say(text)
    return graph, name
