"""The pipelining rules: one planted violation a rule, and a program without any."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_pipelining import COMMENT, NAMED_AT, PIPELINED, PLANTED, PROOFS, RECORD

from shiftforge.generator.rules import (
    RULES,
    RuleException,
    RuleViolation,
    SdkVersion,
    check_rules,
)


def check(text: str, *exceptions: RuleException) -> list[RuleViolation]:
    return check_rules(
        text, source_name="x.cl", pipelining=True, proofs=PROOFS, exceptions=exceptions
    )


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def planted(at: int) -> str:
    _, _, _, old, new = PLANTED[at]
    assert PIPELINED.count(old) == 1, f"{old!r} is there {PIPELINED.count(old)} times"
    return PIPELINED.replace(old, new)


def test_a_pipelined_program_has_no_violation() -> None:
    assert [str(v) for v in check(PIPELINED)] == []


@pytest.mark.parametrize("at", range(len(PLANTED)), ids=lambda at: f"{at}-{PLANTED[at][0]}")
def test_each_planted_violation_is_caught(at: int) -> None:
    rule, kernel, subject, _, _ = PLANTED[at]
    text = planted(at)
    marker = next((m for m in ("//@", "/*@*/") if m in text), NAMED_AT.get(rule, ""))
    assert marker
    found = [v for v in check(text) if v.rule == rule]
    assert found, f"{rule} was not caught"
    assert {(v.line, v.kernel) for v in found} == {(line_of(text, marker), kernel)}
    assert subject in {v.subject for v in found}
    assert all(v.message and v.remedy and v.severity == "error" for v in found)


def _with_records(text: str) -> str:
    """With two channels more."""
    first = "channel word_t ch_out"
    more = "".join(
        f"channel int {name} __attribute__((depth(16)));\n" for name in ("ch_record", "ch_more")
    )
    assert text.count(first) == 1
    return text.replace(first, more + first)


def test_one_loop_of_constant_length_may_bring_a_record() -> None:
    assert [str(v) for v in check(PIPELINED.replace(COMMENT, RECORD + COMMENT))] == []
    # It may take the record from a channel of its own.
    taken = RECORD.replace("s.total ^= k;", "s.total ^= read_channel_intel(ch_record);")
    found = check(_with_records(PIPELINED.replace(COMMENT, taken + COMMENT)))
    assert "loop-nested" not in {v.rule for v in found}
    for more in (
        RECORD + RECORD,
        RECORD.replace("s.total ^= k;", "mem_fence(CLK_CHANNEL_MEM_FENCE), s.held = "
                       "read_channel_intel(ch_back);"),
        RECORD.replace("s.total ^= k;", "write_channel_intel(ch_record, k);"),
        RECORD.replace("s.total ^= k;", "s.total ^= read_channel_intel(ch_record) ^ "
                       "read_channel_intel(ch_more);"),
        RECORD.replace("s.total ^= k;", "{ for (int j = 0; j < 4; ++j) s.total ^= j; }"),
    ):  # fmt: skip
        found = check(_with_records(PIPELINED.replace(COMMENT, more + COMMENT)))
        assert "loop-nested" in {v.rule for v in found}


def test_every_rule_has_a_planted_violation_and_a_source() -> None:
    rules = {r.id for r in RULES.values() if r.group == "pipelining"}
    assert {p[0] for p in PLANTED} == rules - {"exception-unused"}
    assert all(re.search(r"Guide|ShiftForge", RULES[rule].source) for rule in rules)


def test_the_group_is_checked_only_where_it_is_asked_for() -> None:
    assert check_rules(planted(0), source_name="x.cl") == []


def test_a_listed_exception_covers_what_it_names_alone() -> None:
    text = planted(0)
    listed = RuleException("loop-nested", "work", "step", "a walk of nine", 9, "iteration")
    assert check(text) != []
    assert check(text, listed) == []
    other = RuleException("loop-nested", "work", "other", "a walk of nine", 9, "iteration")
    assert {v.rule for v in check(text, other)} == {"loop-nested", "exception-unused"}


def test_an_exception_that_no_longer_occurs_is_reported() -> None:
    listed = RuleException("loop-nested", "work", "step", "a walk of nine", 9, "iteration")
    (found,) = check(PIPELINED, listed)
    assert (found.rule, found.kernel, found.subject) == ("exception-unused", "work", "step")


@pytest.mark.parametrize(
    "bad",
    [
        RuleException("no-such-rule", "work", "step", "why", 1, "layer"),
        RuleException("loop-nested", "work", "step", "", 1, "layer"),
        RuleException("loop-nested", "work", "step", "why", -1, "layer"),
    ],
)
def test_an_exception_without_rule_or_reason_is_refused(bad: RuleException) -> None:
    with pytest.raises(ValueError, match="no exception"):
        check(PIPELINED, bad)


STANDARD = SdkVersion("standard", "18.1")
PRO = SdkVersion("pro", "19.4")


@pytest.mark.parametrize(
    ("sdk", "old", "new", "rule", "subject"),
    [
        (STANDARD, "((memory))", '((memory("BLOCK_RAM"))) //@\n', "sdk-attribute", "memory"),
        (STANDARD, "((memory))", "((max_replicates(1))) //@\n", "sdk-attribute", "max_replicates"),
        (PRO, "((memory))", "((max_replicates(1))) //@\n", "sdk-attribute", "max_replicates"),
        (
            STANDARD,
            "    for (int l = 0; l < layers; ++l) held",
            "    #pragma disable_loop_pipelining //@\n    for (int l = 0; l < layers; ++l) held",
            "sdk-pragma",
            "disable_loop_pipelining",
        ),
        (
            PRO,
            "    for (int l = 0; l < layers; ++l) held",
            "    #pragma loop_fuse //@\n    for (int l = 0; l < layers; ++l) held",
            "sdk-pragma",
            "loop_fuse",
        ),
    ],
)
def test_what_an_sdk_does_not_list_is_caught(
    sdk: SdkVersion, old: str, new: str, rule: str, subject: str
) -> None:
    assert PIPELINED.count(old) == 1
    text = PIPELINED.replace(old, new)
    found = [v for v in check_rules(text, source_name="x.cl", sdk=sdk) if v.rule == rule]
    assert [(v.line, v.subject) for v in found] == [(line_of(text, "//@"), subject)]


@pytest.mark.parametrize("sdk", [STANDARD, PRO, SdkVersion("pro", "22.4")], ids=str)
def test_what_an_sdk_lists_passes(sdk: SdkVersion) -> None:
    assert check_rules(PIPELINED, source_name="x.cl", sdk=sdk) == []


def test_the_argument_of_memory_is_listed_by_the_pro_edition() -> None:
    text = PIPELINED.replace("((memory))", '((memory("BLOCK_RAM")))')
    assert check_rules(text, source_name="x.cl", sdk=PRO) == []


@given(st.text(alphabet="abc{}()[];,#\"'/*\\\n 0+=.?:->", max_size=80))
def test_any_text_gives_an_answer(text: str) -> None:
    body = "__kernel void k(__global int * restrict a, int n) {\n" + text + "\n}"
    for found in check(body):
        assert found.rule in RULES


@settings(max_examples=100)
@given(st.integers(0, len(PIPELINED)), st.integers(1, 40))
def test_damaged_programs_give_an_answer(at: int, length: int) -> None:
    for found in check(PIPELINED[:at] + PIPELINED[at + length :]):
        assert found.rule in RULES


@settings(max_examples=100)
@given(st.data())
def test_shuffled_words_give_an_answer(data: st.DataObject) -> None:
    """Words of the program in each other's places: what is read is odd, but read."""
    words = re.findall(r"\w+|\s+|[^\w\s]", PIPELINED)
    for _ in range(data.draw(st.integers(1, 4))):
        first, second = (data.draw(st.integers(0, len(words) - 1)) for _ in range(2))
        words[first], words[second] = words[second], words[first]
    for found in check("".join(words)):
        assert found.rule in RULES
