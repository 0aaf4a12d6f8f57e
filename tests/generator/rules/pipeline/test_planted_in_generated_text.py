"""Faults planted in the text of a generated accelerator: each is caught, in the kernel it is in."""

from __future__ import annotations

import re
from functools import cache

import pytest
from random_networks import random_network
from tiers import thinned

from shiftforge.boards.load import load_board
from shiftforge.generator.conv.options import Options
from shiftforge.generator.conv.target import TARGET
from shiftforge.generator.design import Design
from shiftforge.generator.rules import RuleViolation, check_rules
from shiftforge.generator.rules.pipeline import loop_table
from shiftforge.quant.graph.example import ModelOptions, random_model

DEVICE = "device/accelerator.cl"
# The one loop of each kernel, and what it does in an iteration.
LOOP = re.compile(r"( +for \(int i = 0; i < [\w.]+; \+\+i\)) (\w+)_iterate\((.*)\);\n")


@cache
def design() -> Design:
    model = random_model(1, ModelOptions(height=14, width=13))
    return TARGET.emit(TARGET.plan(model, load_board("a10gx1150"), Options(units=16, pixels=4)))


def text() -> str:
    return design().files[DEVICE].decode()


def check(changed: str) -> set[tuple[str, str]]:
    """Rules that are broken, each with its kernel."""
    own = design().rules
    found: list[RuleViolation] = check_rules(
        changed,
        source_name=DEVICE,
        pipelining=True,
        proofs=own.proofs,
        exceptions=own.exceptions,
    )
    return {(v.rule, v.kernel) for v in found}


def test_the_text_breaks_no_rule() -> None:
    assert check(text()) == set()


@pytest.mark.parametrize("array", [(8, 1, 1), (8, 2, 3), (24, 1, 2), (48, 2, 1)])
def test_texts_of_other_arrays_break_no_rule(array: tuple[int, int, int]) -> None:
    """A line of one vector too: that sums need the line read before them is seen."""
    units, pixels, frames = array
    model = random_model(1, ModelOptions(height=14, width=13))
    options = Options(units=units, pixels=pixels, frames=frames)
    own = TARGET.emit(TARGET.plan(model, load_board("a10gx1150"), options))
    found = check_rules(
        own.files[DEVICE].decode(), source_name=DEVICE, pipelining=True, proofs=own.rules.proofs,
        exceptions=own.rules.exceptions,
    )  # fmt: skip
    assert not [v for v in found if v.severity == "error"]


def test_the_table_names_what_is_not_pipelined() -> None:
    """Innermost loops start an iteration a clock; only the loops over layers are refused."""
    found = loop_table(text())
    innermost = [e for e in found if not e.at_least]
    assert {(e.ii, e.pipelined, e.limit) for e in innermost} == {(1, True, "")}
    assert "unknown" not in {e.trip_count for e in found}
    assert all(e.depth == 0 and "can change" in e.limit for e in found if not e.pipelined)


def kernels() -> list[tuple[int, str]]:
    """The one loop of two kernels, by its number among all: with and without a loop over layers."""
    found = [(n, m[2]) for n, m in enumerate(LOOP.finditer(text()))]
    return [(n, kernel) for n, kernel in found if kernel in ("loader", "conv")]


def with_body(number: int, before: str, after: str) -> str:
    """The text with statements around one loop's call."""
    match = list(LOOP.finditer(text()))[number]
    call = f"{match[1]} {{ {before} {match[2]}_iterate({match[3]}); {after} }}\n"
    return text()[: match.start()] + call + text()[match.end() :]


@pytest.mark.parametrize(("number", "kernel"), thinned(kernels(), 4), ids=str)
@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        ("loop-nested", "", "for (int k = 0; k < 3; ++k) planted[k] = i;"),
        ("loop-trip", "if (planted[0] == 7) break;", "planted[0] = i;"),
        ("recurrence-multiply", "", "planted[1] = planted[1] * 3 + i;"),
        ("recurrence-multiply", "planted[1] = (planted[1] + i) / 7;", ""),
        ("recurrence-load", "", "planted[2] = (int)((__global const int *)loaded)[planted[2]];"),
        ("memory-promise", "", "planted[(i * 5) & 7] ^= i;"),
        ("memory-store-site", "", "planted[i & 7] = i; planted[(i * 3) & 7] = 1;"),
        ("memory-load-site", "", "planted[i & 7] = planted[(i * 3) & 7] + planted[(i * 5) & 7];"),
    ],
)
def test_what_is_added_to_a_loop_is_caught(
    number: int, kernel: str, rule: str, before: str, after: str
) -> None:
    changed = with_body(number, before, after)
    start = changed.index("{", changed.index(f"SF_KERNEL void {kernel}("))
    changed = changed[: start + 1] + " int planted[8] = {0};" + changed[start + 1 :]
    head = f"SF_KERNEL void {kernel}("
    changed = changed.replace(head, head + "__global const int *restrict loaded, ")
    assert (rule, kernel) in check(changed)


def promises() -> list[re.Match[str]]:
    return list(re.finditer(r" *#pragma ivdep (.*)\n", text()))


def kernel_at(place: int) -> str:
    """The kernel whose body holds a place of the text."""
    return re.findall(r"SF_KERNEL void (\w+)\(", text()[:place])[-1]


@pytest.mark.parametrize("at", range(len(promises())))
def test_a_promise_that_is_left_out_is_missed(at: int) -> None:
    match = promises()[at]
    changed = text()[: match.start()] + "\n" + text()[match.end() :]
    assert ("memory-promise", kernel_at(match.start())) in check(changed)


@pytest.mark.parametrize("at", range(len(promises())))
def test_a_promise_of_too_much_is_caught(at: int) -> None:
    match = promises()[at]
    proofs = design().rules.proofs
    assert proofs is not None
    name = re.findall(r"proof: ([\w-]+)", text()[: match.start()])[-1]
    if proofs[name] is None:
        pytest.skip("disjoint: no length is too much")
    longer = re.sub(r"safelen\(\d+\)", f"safelen({(proofs[name] or 0) + 1})", match[0])
    changed = text()[: match.start()] + longer + text()[match.end() :]
    assert ("promise-proof", kernel_at(match.start())) in check(changed)


@pytest.mark.parametrize("at", range(len(promises())))
def test_a_promise_without_its_proof_is_caught(at: int) -> None:
    match = promises()[at]
    above = text().rindex("proof: ", 0, match.start())
    changed = text()[:above] + "proof: of nothing-" + text()[above + len("proof: ") :]
    assert ("promise-proof", kernel_at(match.start())) in check(changed)


def test_counters_are_compared_before_they_step() -> None:
    """In a clock a counter is added to or compared, not one after the other."""
    steps = text()[text().index("static pace_t pace_step") : text().index("/* ---- the kernels")]
    late = re.findall(r"s->(\w+)(?:\+\+|--);\s+if \(s->\1\b", steps)
    after_choice = re.findall(r"\?[^;]*:[^;()]*\) - 1\b", steps)
    assert late == after_choice == []


def fences() -> list[int]:
    return [m.start() for m in re.finditer(r"\n +SF_FENCE;", text())]


def test_calls_without_fences_are_not_in_order() -> None:
    assert fences()
    changed = text().replace("SF_FENCE;", ";")
    broken = check(changed)
    assert {rule for rule, _ in broken} == {"channel-order"}
    assert {"controller", "post"} <= {kernel for _, kernel in broken}


@pytest.mark.parametrize("seed", thinned([1038, 1041], 2))
def test_calls_are_in_order_whatever_kinds_of_layers_there_are(seed: int) -> None:
    """1038 has no depthwise layer: its array's sums need no line of their own iteration."""
    model = random_network(seed, family="two-term", layers=16)
    found = TARGET.emit(TARGET.plan(model, load_board("s10gx2800"), Options()))
    changed = found.files[DEVICE].decode()
    assert not check_rules(
        changed, source_name=DEVICE, pipelining=True, proofs=found.rules.proofs
    )  # fmt: skip


def test_the_array_has_no_fence() -> None:
    """Nothing is known of what one does to a loop that starts an iteration a clock."""
    body = text()[text().index("static void conv_iterate(") :]
    assert "SF_FENCE" not in body[: body.index("\n}\n")]


@pytest.mark.parametrize("name", ["stored_line_t", "image_beat_t", "weight_beat_t"])
def test_a_word_that_is_no_power_of_two_is_caught(name: str) -> None:
    match = re.search(r"typedef struct[^;{]*\{([^}]*)\}\s*" + name + r"\b", text())
    assert match is not None
    changed = text()[: match.end(1)] + " char more;" + text()[match.end(1) :]
    assert {rule for rule, _ in check(changed)} & {"memory-width", "global-beat"}
