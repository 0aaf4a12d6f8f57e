"""The kernels before one loop a layer: their facts, and the cycles they are said to take."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from shiftforge.generator.conv.latencies import Latencies

ROOT = Path(__file__).parents[2]
TEN = Latencies(**dict.fromkeys(Latencies().to_dict(), 10))


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module with the old form."""
    monkeypatch.syspath_prepend(str(ROOT))
    return import_module("bench.conv.old_form")


def test_the_facts_are_of_the_named_network(old: Any) -> None:
    form = old.read_old_form()
    assert len(form.layers) == 53 and form.entries == 60_137 and form.iterations == 337_571
    assert sum(layer.modelled for layer in form.layers) == form.modelled_cycles
    assert form.clock_mhz * 1e6 / form.modelled_cycles_two_terms == pytest.approx(692, abs=0.5)
    refused = [x for x in form.loops if not x["pipelined"]]
    assert {x["kernel"] for x in refused} == {x["kernel"] for x in form.loops}, "each outer loop"
    assert all(x["limit"] for x in refused)
    assert (form.inner_ii, form.sends_ii) == (3, 9)


def one_layer(old: Any, **change: Any) -> Any:
    """One pointwise layer of 2 groups of 5 tiles, 4 iterations each."""
    form = old.read_old_form()
    layer = old.OldLayer("only", "pointwise", 2, 5, 40, 1, 10, 0, 240)
    layer = replace(layer, **change)
    return replace(form, layers=(layer,), image_rows=0, image_lines=0)


def test_an_entry_takes_its_iterations_drain_and_reentry(old: Any) -> None:
    form = one_layer(old)
    assert old.frame_cycles(form, TEN, "conv", False) == 40 + 10 * 20
    assert old.frame_cycles(form, TEN, "conv", True) == 3 * 40 + 10 * 20
    # A group: five tiles of 24 and the swap of the banks; words are fetched in that time.
    gap = 6 * 10 + 10 + 2 * 10 + 10 + 10
    assert old.frame_cycles(form, TEN, "all", False) == 2 * (5 * 24 + 20) + gap
    # Weight words of the next group: 30 each, and the parameters.
    slow = one_layer(old, words=9)
    assert old.frame_cycles(slow, TEN, "all", False) == 2 * 300 + gap
    # Lines at the controller's interval: 90 a tile.
    lines = one_layer(old, lines=100)
    assert old.frame_cycles(lines, TEN, "all", True) == 2 * (5 * 90 + 20) + gap


def test_costs_grow_with_latency_and_with_what_is_counted(old: Any) -> None:
    form = old.read_old_form()
    for scale in (0.5, 1, 2):
        own = Latencies().scaled(scale)
        rows = [
            old.frame_cycles(form, own, costs, rules)
            for costs in ("conv", "all")
            for rules in (False, True)
        ]
        assert rows == sorted(rows) and rows[0] > 6 * form.modelled_cycles


def test_a_checkout_is_imported_in_place(old: Any, tmp_path: Path) -> None:
    checkout = import_module("bench.conv.checkout")
    command = [sys.executable, "-c", "import shiftforge.sim.conv as m; print(m.__path__[0])"]
    done = subprocess.run(
        command, env=checkout.environment(ROOT, tmp_path / "farm"), capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert Path(done.stdout.strip()).resolve() == ROOT / "sim/conv"
    assert checkout.commit_of(tmp_path) == "unknown"
