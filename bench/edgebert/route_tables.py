"""The history of place and route as Markdown: the first state beside the last."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from typing import Any

from bench.common.machine import print_table

__all__ = ["report"]

_CELLS = (("LUT4", "lut4"), ("FF", "ff"), ("MULT18", "dsp"), ("RAM", "ram"))


def report(history: Mapping[str, Any]) -> str:
    """All tables. history: see ``route.read``; states in the order in which they were added."""
    states: Mapping[str, Any] = history["states"]
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print("# EdgeBERT unit: placed and routed\n")
        print(
            f"{history['part']}, out of context, a register at every port, towards "
            f"{history['target_mhz']:g} MHz (`bench/edgebert/route.py`). Fmax: median of the "
            "seeds. LUT4 without those of carry chains.\n"
        )
        names = list(dict.fromkeys([*list(states)[:1], *list(states)[-1:]]))
        _rows(states, names)
        _cycles(states, names)
        for name in reversed(names):
            _notes(name, states[name])
            _paths(name, states[name])
    return text.getvalue()


def _rows(states: Mapping[str, Any], names: list[str]) -> None:
    head = ["Block, n, weights"]
    for name in names:
        head += [f"{label}, {name}" for label, _ in _CELLS] + [f"Fmax MHz, {name}"]
    body = []
    for key in dict.fromkeys(key for name in names for key in states[name]["rows"]):
        line = [key.replace(":", ", ")]
        for name in names:
            row = states[name]["rows"].get(key)
            line += ["-"] * (len(_CELLS) + 1) if row is None else _row(row)
        body.append(line)
    print_table(head, body)


def _row(row: Mapping[str, Any]) -> list[str]:
    cells = [f"{row[kind]:,}" for _, kind in _CELLS]
    if row["fmax_mhz"] is None:
        return [*cells, "does not fit: " + ", ".join(f"{k} {n}" for k, n in _over(row))]
    seeds = row["fmax_by_seed"]
    spread = f" ({min(seeds.values()):.1f} to {max(seeds.values()):.1f})"
    if len(seeds) == 1:
        spread = f" (seed {next(iter(seeds))})"
    return [*cells, f"{row['fmax_mhz']:.1f}{spread}"]


def _over(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    return list(row["does_not_fit"].items())


def _cycles(states: Mapping[str, Any], names: list[str]) -> None:
    keys = dict.fromkeys(key for name in names for key in states[name]["cycles"])
    if not keys:
        return
    print("\n## Cycles of the same RTL in simulation\n")
    body = []
    for key in keys:
        found = [states[name]["cycles"].get(key) for name in names]
        run = next(run for run in found if run is not None)
        every = ["-" if run is None else f"{run['cycles']:,}" for run in found]
        body.append([f"`{run['command']}`", f"{run['ideal_cycles']:,}", *every])
    print_table(["Run", "ideal", *names], body)


def _notes(name: str, state: Mapping[str, Any]) -> None:
    """Rows of which a figure could not be had, and why."""
    if state.get("notes"):
        print(f"\n## What is not there, {name}\n")
        for key, text in state["notes"].items():
            print(f"- **{key.replace(':', ', ')}**: {text}")


def _paths(name: str, state: Mapping[str, Any]) -> None:
    print(f"\n## Critical paths, {name}\n")
    for key, row in state["rows"].items():
        if row["critical_path"] is not None:
            print(
                f"- **{key.replace(':', ', ')}**, {row['logic_ns']:.1f} ns logic and "
                f"{row['routing_ns']:.1f} ns routing: {row['critical_path']}"
            )
