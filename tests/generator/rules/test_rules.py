"""The Intel FPGA OpenCL rule checker: one planted violation a rule, and a program without any."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted_rules import BESIDE, CLEAN, DONE, LAST, NAMED_AT, PLANTED, REMOVED_CALL

from shiftforge.generator.rules import RULES, RuleViolation, check_rules


def check(text: str, **defines: str) -> list[RuleViolation]:
    return check_rules(text, source_name="shiftforge.cl", defines=defines)


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
    return text.replace(old, new)


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


def test_a_clean_program_has_no_violation() -> None:
    assert check(CLEAN) == []


@pytest.mark.parametrize(
    ("rule", "kernel", "old", "new"), PLANTED, ids=[f"{i}-{p[0]}" for i, p in enumerate(PLANTED)]
)
def test_each_planted_violation_is_caught(rule: str, kernel: str, old: str, new: str) -> None:
    text = replaced(CLEAN, old, new)
    if rule in BESIDE:
        text = replaced(text, *BESIDE[rule])
    if (rule, kernel) in REMOVED_CALL:
        text = replaced(text, REMOVED_CALL[rule, kernel], "")
    marker = next((m for m in ("//@", "/*@*/") if m in text), NAMED_AT.get((rule, kernel), ""))
    assert marker
    found = [v for v in check(text) if v.rule == rule]
    assert found, f"{rule} was not caught"
    assert {(v.line, v.kernel) for v in found} == {(line_of(text, marker), kernel)}
    assert all(v.remedy and v.message and v.severity == RULES[rule].severity for v in found)


def test_every_rule_has_a_planted_violation_and_a_source() -> None:
    assert {p[0] for p in PLANTED} == {r.id for r in RULES.values() if r.group == "text"}
    for rule in RULES.values():
        assert rule.title
        assert re.search(r"Guide|Specification|ShiftForge", rule.source)


@pytest.mark.parametrize(
    "rule", ["channel-one-writer", "channel-direction", "channel-index", "work-item-function"]
)
def test_a_planted_fault_brings_no_unrelated_reports(rule: str) -> None:
    _, _, old, new = next(p for p in PLANTED if p[0] == rule)
    others = {v.rule for v in check(replaced(CLEAN, old, new))} - {rule}
    assert others <= {"channel-one-reader", "channel-one-writer"}


def test_the_branch_that_is_built_is_the_one_checked() -> None:
    assert {v.rule for v in check(CLEAN, SF_LOWERED="1")} >= {"readable-text"}
    guarded = replaced(CLEAN, DONE, DONE + '#ifdef SF_TRACE\n        printf("x");\n#endif\n')
    assert check(guarded) == []
    assert [v.rule for v in check(guarded, SF_TRACE="1")] == ["no-printf"]


def test_messages_name_file_line_kernel_and_remedy() -> None:
    text = replaced(CLEAN, LAST, LAST + '    printf("x"); //@\n')
    (found,) = check(text)
    assert str(found) == (
        f"shiftforge.cl:{line_of(text, '//@')}: kernel collect: printf is called -> "
        "send the value through a channel or a trace buffer [no-printf]"
    )


@pytest.mark.parametrize(
    ("definition", "use", "value"),
    [
        ("#define N 3", "N", 3),
        ("#define F(a, b) ((a) * (b) + 1)", "F(2, F(1, 2))", 7),
        ("#define CAT(a, b) a ## b\n#define N12 5", "CAT(N, 12)", 5),
        ("#define A B\n#define B 9", "A", 9),
        ("#define V(...) __VA_ARGS__", "V(6)", 6),
        (
            "#if defined(X) || (2 > 1 && !defined Y)\n#define N 4\n#else\n#define N 5\n#endif",
            "N",
            4,
        ),
        ("#if 0\n#define N 1\n#elif 1\n#define N 2\n#else\n#define N 3\n#endif", "N", 2),
        ("#define N 1\n#undef N\nenum { N = 0x10 >> 2 };", "N", 4),
        ("__constant int N = sizeof_x ? 1 : 2;\n#define M 0b11", "M", 3),
        ("#define N \\\n  (1 ? 7u : 8)", "(int)N", 7),
    ],
)
def test_macros_and_constants(definition: str, use: str, value: int) -> None:
    # The depth is legal exactly where value - use is not negative.
    program = (
        "#pragma OPENCL EXTENSION cl_intel_channels : enable\n" + definition + "\n"
        "channel int c __attribute__((depth(%s)));\n"
        "__attribute__((max_global_work_dim(0))) __kernel void a(void) "
        "{ write_channel_intel(c, 1); }\n"
        "__attribute__((max_global_work_dim(0))) __kernel void b(void) "
        "{ int x = read_channel_intel(c); }\n"
    )
    assert check(program % f"{value} - {use}") == []
    assert [v.rule for v in check(program % f"{value - 1} - {use}")] == ["channel-depth"]


def test_io_channels_need_one_end_only() -> None:
    text = replaced(CLEAN, *BESIDE["autorun-io-channel"])
    text = replaced(text, LAST, LAST + "    write_channel_intel(ch_eth, 1);\n")
    assert check(text) == []


def test_a_break_in_a_switch_or_inner_loop_does_not_end_an_autorun_kernel() -> None:
    inner = "        take(&s);\n        switch (s.step) { case 1: s.step = 2; break; default: ; }\n"
    text = replaced(CLEAN, "        take(&s);\n", inner + "        while (1) { break; }\n")
    assert check(text) == []


@given(st.text(alphabet="abc{}()[];,#\"'/*\\\n 0+=.", max_size=80))
def test_any_text_gives_an_answer(text: str) -> None:
    for found in check(text):
        assert found.rule in RULES


@given(st.integers(0, len(CLEAN)), st.integers(1, 40))
def test_damaged_programs_give_an_answer(at: int, length: int) -> None:
    for found in check(CLEAN[:at] + CLEAN[at + length :]):
        assert found.rule in RULES
