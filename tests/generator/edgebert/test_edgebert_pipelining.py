"""The EdgeBERT kernels break the pipelining rules where the list says so, and nowhere else."""

from __future__ import annotations

import pytest

from shiftforge.generator.edgebert.kernels import render_edgebert
from shiftforge.generator.edgebert.pipelining import unit_exceptions
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.generator.rules import check_rules
from shiftforge.generator.rules.pipeline import loop_table

DESIGNS = {
    "af": UnitDesign(UnitConfig(), SfuConfig()),
    "af of 4": UnitDesign(UnitConfig(lanes=4), SfuConfig(lanes=4)),
    "two terms": UnitDesign(UnitConfig(lanes=8, weights="shift", terms=2), SfuConfig(lanes=8)),
    "one term": UnitDesign(UnitConfig(lanes=16, weights="shift"), SfuConfig(lanes=16)),
    "no attention": UnitDesign(
        UnitConfig(lanes=8, weights="shift", attention="none"), SfuConfig(lanes=8)
    ),
    "exact": UnitDesign(UnitConfig(lanes=8, accumulator="exact"), SfuConfig(lanes=8)),
    "matrix": UnitDesign(UnitConfig(lanes=4, weights="shift", accumulator="exact")),
}


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
def test_every_violation_is_listed_and_every_entry_occurs(design: UnitDesign) -> None:
    text = render_edgebert(design)
    found = check_rules(
        text, source_name="unit.cl", pipelining=True, exceptions=unit_exceptions(design)
    )
    assert [str(v) for v in found if v.severity == "error"] == []


def test_an_entry_less_or_more_is_reported() -> None:
    design = DESIGNS["af"]
    text, listed = render_edgebert(design), unit_exceptions(design)
    found = check_rules(text, source_name="unit.cl", pipelining=True, exceptions=listed[1:])
    first = listed[0]
    assert {(v.rule, v.kernel, v.subject) for v in found} == {
        (first.rule, first.kernel, first.subject)
    }
    matrix = render_edgebert(DESIGNS["matrix"])
    found = check_rules(matrix, source_name="unit.cl", pipelining=True, exceptions=listed)
    assert {v.rule for v in found} == {"exception-unused"}


def test_each_exception_has_a_reason_and_a_cost() -> None:
    listed = unit_exceptions(DESIGNS["af"])
    assert len({(e.rule, e.kernel, e.subject) for e in listed}) == len(listed)
    assert all(len(e.reason) > 40 and e.per and e.cycles >= 0 for e in listed)
    # What takes time: draining after each command and pass, and the special functions' sums.
    assert {(e.rule, e.kernel) for e in listed if e.cycles > 50} == {
        *(("loop-trip", k) for k in ("fetch_a", "fetch_b", "vmac", "post", "sfu", "store")),
        ("loop-nested", "vmac"),
        ("memory-promise", "sfu"),
    }


def test_the_loop_table_agrees_with_the_costs() -> None:
    """Where an exception costs no cycle, the innermost loop starts an iteration a clock."""
    found = loop_table(render_edgebert(DESIGNS["af"]))
    listed = unit_exceptions(DESIGNS["af"])
    sums = next(e for e in listed if e.subject == "state.total" and e.rule == "memory-promise")
    assert [e.ii for e in found if e.function == "sfu" and not e.at_least] == [sums.cycles + 1]
    assert {e.function for e in found if e.pipelined and e.ii == 1 and not e.at_least} == {
        *("fetch_a", "fetch_b", "vmac_step", "post", "store"),
    }
    assert {e.kernel for e in found if not e.pipelined} == {
        *("fetch_a", "fetch_b", "vmac", "post", "sfu", "store"),
    }
