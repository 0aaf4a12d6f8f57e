"""Targets by the kind that a file names, and options by name."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from shiftforge.errors import InputError
from shiftforge.generator import target
from shiftforge.generator.target import options_from, register_target, target_of_file


@dataclass(frozen=True)
class Bounded:
    """One whole number and one real one."""

    count: int | None = field(default=None, metadata={"min": 2})
    share: float = field(default=0.5, metadata={"above": 0.0})


CONVEX = "the target of convex"


def of_kind(kind: str, folder: Path) -> Path:
    path = folder / "model.safetensors"
    header = {"shiftforge": json.dumps({"kind": kind})}
    save_file({"x": np.zeros(1, np.int32)}, path, metadata=header)
    return path


def test_a_kind_that_begins_as_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "_ENTRIES", dict(target._ENTRIES))
    register_target("convex", "hulls", f"{__name__}:CONVEX", f"{__name__}:Bounded")
    found: Any = target_of_file(of_kind("convex", tmp_path))
    assert found is CONVEX
    found = target_of_file(of_kind("convex-2", tmp_path))
    assert found is CONVEX
    assert target_of_file(of_kind("conv", tmp_path)).kind == "conv"


def test_an_unknown_kind_is_told_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown kind 'nonsense' \(known: conv, "):
        target_of_file(of_kind("nonsense", tmp_path))


def test_options_keep_their_bounds() -> None:
    assert options_from(Bounded, {"count": 2, "share": 1}) == Bounded(2, 1)
    assert options_from(Bounded, {"count": None}) == Bounded()
    with pytest.raises(InputError) as raised:
        options_from(Bounded, {"count": 1, "share": 0.0, "more": 3})
    assert [str(problem) for problem in raised.value.problems] == [
        "no option is called 'more' -> there are: count, share",
        "count is 1 -> use a whole number from 2",
        "share is 0.0 -> use a number above 0",
    ]
    with pytest.raises(InputError, match=r"count is 2\.5"):
        options_from(Bounded, {"count": 2.5})
