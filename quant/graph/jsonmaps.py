"""Nodes without weights of a JSON graph, read field by field; nothing of it is trusted."""

from __future__ import annotations

from typing import Literal, cast

from shiftforge.quant.graph.fields import Fields
from shiftforge.quant.graph.types import (
    AveragePool,
    Concat,
    MaxPool,
    Shuffle,
    Slice,
    Table,
    Upsample,
)
from shiftforge.quant.graph.verify_maps import MapNode

__all__ = ["read_map"]


def read_map(f: Fields, op: str, name: str, source: str, output: str) -> MapNode | None:
    """The node of an operation; None, and a problem noted, where there is no such operation."""
    if op == "concat":
        return Concat(name, source, f.texts("inputs"), output)
    if op == "max_pool":
        kernel, stride, padding = _windows(f)
        return MaxPool(name, source, f.text("input"), output, kernel, stride, padding)
    if op == "average_pool":
        kernel, stride, padding = _windows(f)
        return AveragePool(
            name, source, f.text("input"), output, kernel, stride, padding, _four(f, "counted"),
            _constants(f), f.integer("lo"), f.integer("hi"),
        )  # fmt: skip
    if op == "slice":
        start, stop = f.integer("start"), f.integer("stop")
        return Slice(name, source, f.text("input"), output, start, stop)
    if op == "shuffle":
        return Shuffle(name, source, f.text("input"), output, f.any_integers("order"))
    if op == "table":
        return Table(name, source, f.text("input"), output, f.any_integers("codes"))
    if op == "upsample":
        # `verify` judges the mode.
        mode = cast(Literal["nearest", "zeros"], f.text("mode"))
        factor, trailing = _two(f, "factor"), _two(f, "trailing")
        return Upsample(name, source, f.text("input"), output, factor, mode, trailing)
    f.note(f"unknown operation {op!r}")
    return None


def _two(f: Fields, key: str) -> tuple[int, int]:
    first, second = f.integers(key, 2)
    return (first, second)


def _four(f: Fields, key: str) -> tuple[int, int, int, int]:
    top, left, bottom, right = f.integers(key, 4)
    return (top, left, bottom, right)


def _windows(f: Fields) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int, int, int]]:
    return _two(f, "kernel"), _two(f, "stride"), _four(f, "padding")


def _constants(f: Fields) -> tuple[tuple[int, int, int], ...]:
    flat = f.any_integers("constants")
    if len(flat) % 3:
        f.note(f"{len(flat)} numbers of constants, not three for each count")
        return ()
    return tuple((flat[k], flat[k + 1], flat[k + 2]) for k in range(0, len(flat), 3))
