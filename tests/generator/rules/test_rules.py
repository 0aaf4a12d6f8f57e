"""The Intel FPGA OpenCL rule checker: one planted violation a rule, and a program without any."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shiftforge.generator.rules import RULES, RuleViolation, check_rules

# A program that keeps all rules and uses what generated text uses: macros around channel calls,
# helpers that hold them, a channel array, an autorun kernel, attributes, a lowered branch.
CLEAN = """\
#ifndef SF_LOWERED
#pragma OPENCL EXTENSION cl_intel_channels : enable
#define SF_READ(ch, v) v = read_channel_intel(ch)
#define SF_WRITE(ch, v) \\
    write_channel_intel(ch, v)
#else
#error "the lowered program has no channels"
#endif
#define SF_DEPTH (1 << 10)
#define SF_UNITS 4
enum { SF_ROWS = 2 * SF_UNITS, SF_COLS };
__constant int sf_taps = 9;

typedef struct {
    char16 v[7];
} line_t;
typedef struct __attribute__((packed)) { line_t line; int row; } word_t;

channel line_t ch_operand __attribute__((depth(SF_DEPTH)));
channel word_t ch_result[SF_UNITS] __attribute__((depth(0)));
channel int ch_done __attribute__((depth(16)));

typedef struct {
    int step; // counts
    line_t held;
} state_t;

static inline void take(state_t *s)
{
    line_t x;
    SF_READ(ch_operand, x);
    s->held = x;
}

static inline void give(int unit, word_t w)
{
    SF_WRITE(ch_result[unit], w);
}

__attribute__((max_global_work_dim(0)))
__attribute__((uses_global_work_offset(0)))
__kernel void controller(__global const int * restrict program, __global line_t * restrict image,
                         const int steps)
{
    __local int __attribute__((memory("BLOCK_RAM"), numbanks(2), bankwidth(32))) maps[64];
    // ivdep proof: each iteration writes its own line,
    // which no other one reads.
    #pragma ivdep
    for (int i = 0; i < steps; i++) {
        maps[i & 63] = program[i];
    }
    for (int i = 0; i < steps; ++i) {
        write_channel_intel(ch_operand, image[i]);
    }
    bool valid = false;
    int step = 0;
    while (step < steps) {
        int done = read_channel_nb_intel(ch_done, &valid);
        mem_fence(CLK_CHANNEL_MEM_FENCE);
        step += valid ? done : 0;
    }
}

__attribute__((max_global_work_dim(0), autorun)) __kernel void unit(void)
{
    state_t s;
    s.step = 0;
    while (1) {
        take(&s);
        #pragma unroll
        for (int u = 0; u < SF_UNITS; u++) {
            word_t w;
            w.line = s.held;
            w.row = u;
            give(u, w);
        }
        #pragma unroll
        for (int r = 0; r < SF_ROWS; r += 2) {
            #pragma unroll
            for (int c = 0; c < r; c++) {
                s.step ^= c * sf_taps;
            }
        }
    }
}

__attribute__((max_global_work_dim(0)))
__kernel void collect(__global int * restrict out, int count)
{
    __attribute__((register)) int total = 0;
    for (int i = 0; i < count; i++) {
        #pragma unroll SF_UNITS
        for (int u = 0; u < SF_UNITS; u++) {
            word_t w = read_channel_intel(ch_result[SF_UNITS - 1 - u]);
            total += w.row;
        }
        const int one = 1;
        switch (total & 3) {
        case 0:
            out[i] = total >> one;
            break;
        default:
            out[i] = 0;
        }
        if (i + 1 == count) write_channel_intel(ch_done, 1);
        else total = 0;
    }
}
"""

LAST = "    __attribute__((register)) int total = 0;\n"
DONE = "        if (i + 1 == count) write_channel_intel(ch_done, 1);\n"
UNIT = "    s.step = 0;\n"
MAPS = (
    '    __local int __attribute__((memory("BLOCK_RAM"), numbanks(2), bankwidth(32))) maps[64];\n'
)
UNROLL = "        #pragma unroll SF_UNITS\n        for (int u = 0; u < SF_UNITS; u++) {\n"
COPIES = "        for (int i2 = 0; i2 < 2; i2++) { write_channel_intel(ch_done, 1); } //@\n"

# rule, kernel, text to replace, replacement; "//@" marks the line that has to be named.
PLANTED = [
    ("readable-text", "", "enum {", '#include "shift.clh" //@\nenum {'),
    ("readable-text", "", "enum {", "int broken( { //@\nenum {"),
    ("readable-text", "", "enum {", "#if unknown(2) //@\n#endif\nenum {"),
    ("channel-extension", "", "#pragma OPENCL EXTENSION cl_intel_channels : enable\n", ""),
    ("channel-file-scope", "collect", LAST, LAST + "    channel int own; //@\n"),
    ("channel-file-scope", "unit", "take(state_t *s)", "take(state_t *s, channel int c) //@"),
    ("channel-pointer", "collect", LAST, LAST + "    channel int *own; //@\n"),
    ("channel-pointer", "collect", "(ch_done, 1);", "(&ch_done, 1); //@"),
    ("channel-pointer", "", "channel int ch_done", "channel int *ch_far; //@\nchannel int ch_done"),
    ("channel-operand", "collect", "(ch_done, 1);", "(ch_gone, 1); //@"),
    ("channel-operand", "collect", LAST, LAST + "    helper(ch_done); //@\n"),
    (
        "channel-one-writer",
        "collect",
        "            total += w.row;",
        "            total += w.row;\n        }\n        {\n"
        "            line_t x; write_channel_intel(ch_operand, x); //@",
    ),
    ("channel-one-writer", "collect", DONE, DONE.replace("if (", "give(0, z); if (")),
    ("channel-one-reader", "collect", LAST, LAST + "    line_t x; SF_READ(ch_operand, x); //@\n"),
    (
        "channel-connected",
        "",
        "channel int ch_done",
        "channel int ch_idle; //@\nchannel int ch_done",
    ),
    (
        "channel-connected",
        "controller",
        "channel line_t ch_operand __attribute__((depth(SF_DEPTH)));",
        "channel line_t ch_operand; //@",
    ),
    (
        "channel-connected",
        "unit",
        "channel word_t ch_result[SF_UNITS] __attribute__((depth(0)));",
        "channel word_t ch_result[SF_UNITS]; //@",
    ),
    ("channel-direction", "collect", LAST, LAST + "    int a = read_channel_intel(ch_done);\n"),
    ("channel-index", "collect", "ch_result[SF_UNITS - 1 - u]", "ch_result[i] //@\n"),
    ("channel-index", "collect", "ch_result[SF_UNITS - 1 - u]", "ch_result[SF_UNITS - u] //@\n"),
    (
        "channel-index",
        "collect",
        UNROLL + "            word_t w = read",
        UNROLL.replace("unroll SF_UNITS", "unroll 2") + "            /*@*/ word_t w = read",
    ),
    (
        "channel-unrolled",
        "collect",
        DONE,
        "        #pragma unroll\n" + COPIES + "        if (i + 1 == count) total = 1;\n",
    ),
    (
        "channel-depth",
        "",
        "channel int ch_done __attribute__((depth(16)));",
        "channel int ch_done __attribute__((depth(-16))); //@",
    ),
    (
        "channel-depth",
        "",
        "channel int ch_done __attribute__((depth(16)));",
        "channel int ch_done __attribute__((depth(unknown))); //@",
    ),
    (
        "channel-word",
        "",
        "channel int ch_done",
        "typedef struct { char3 a[256]; char b; } big_t;\nchannel big_t ch_done /*@*/",
    ),
    ("work-item-function", "collect", LAST, LAST + "    int g = get_global_id(0); //@\n"),
    ("work-item-function", "unit", "    s->held = x;", "    s->step = get_local_id(0); //@"),
    (
        "single-work-item",
        "collect",
        "__attribute__((max_global_work_dim(0)))\n__kernel void collect",
        "__kernel void collect /*@*/ ",
    ),
    (
        "single-work-item",
        "controller",
        "__attribute__((max_global_work_dim(0)))\n__attribute__((uses",
        "__attribute__((max_global_work_dim(1)))\n__attribute__((uses",
    ),
    ("autorun-arguments", "unit", "unit(void)", "unit(int n) //@"),
    (
        "autorun-endless",
        "unit",
        "unit(void)\n{\n    state_t s;\n    s.step = 0;\n    while (1) {",
        "unit(void) //@\n{\n    state_t s;\n    s.step = 0;\n    while (s.step < 9) {",
    ),
    (
        "autorun-endless",
        "unit",
        "unit(void)\n{\n    state_t s;\n    s.step = 0;\n    while (1) {",
        "unit(void) //@\n{\n    state_t s;\n    s.step = 0;\n    while (1) { if (s.step) break;",
    ),
    ("autorun-global-memory", "unit", UNIT, UNIT + "    __global int *p = 0; //@\n"),
    ("autorun-io-channel", "unit", UNIT, UNIT + "    write_channel_intel(ch_eth, 1); //@\n"),
    ("pointer-restrict", "collect", "__global int * restrict out", "__global int *out /*@*/"),
    (
        "local-in-kernel",
        "",
        "typedef struct {\n    int step;",
        "__local int pool[4]; //@\ntypedef struct {\n    int step;",
    ),
    ("local-in-kernel", "unit", "    s->held = x;", "    __local int p[4]; //@\n    s->held = x;"),
    ("attribute-name", "collect", "((register))", "((registers)) /*@*/"),
    ("attribute-value", "controller", MAPS, MAPS.replace("numbanks(2)", "numbanks(3) /*@*/")),
    ("attribute-value", "controller", MAPS, MAPS.replace("bankwidth(32)", "bankwidth(0) /*@*/")),
    ("attribute-value", "controller", MAPS, MAPS.replace("BLOCK_RAM", "M20K").rstrip() + " //@\n"),
    ("attribute-value", "unit", "(0), autorun))", "(0), autorun(1))) /*@*/"),
    (
        "unroll-bounds",
        "controller",
        "    for (int i = 0; i < steps; ++i) {",
        "    #pragma unroll //@\n    for (int i = 0; i < steps; ++i) {",
    ),
    (
        "unroll-bounds",
        "controller",
        "    while (step < steps) {",
        "    #pragma unroll 4 //@\n    while (step < steps) {",
    ),
    ("unroll-bounds", "collect", UNROLL, UNROLL.replace("SF_UNITS\n", "count //@\n")),
    ("unroll-bounds", "collect", LAST, LAST + "    #pragma unroll //@\n    total = 1;\n"),
    (
        "ivdep-proof",
        "controller",
        "    // which no other one reads.\n    #pragma ivdep",
        "\n    #pragma ivdep //@",
    ),
    ("loop-form", "controller", "i < steps; ++i) {", "i < steps; i += 2) { //@"),
    (
        "loop-form",
        "controller",
        "for (int i = 0; i < steps; ++i) {",
        "for (float i = 0; i < steps; ++i) { //@",
    ),
    ("no-recursion", "unit", "    s->held = x;", "    take(s); //@"),
    ("no-allocation", "collect", LAST, LAST + "    int *p = malloc(4); //@\n"),
    ("no-printf", "unit", "    s->held = x;", '    printf("x"); //@'),
    ("no-double", "collect", LAST, LAST + "    double4 d; //@\n"),
    ("no-double", "unit", "    s->held = x;", "    s->step = x * 1.5; //@"),
]
# Where the line named is not that of the change.
NAMED_AT = {
    ("channel-extension", ""): "channel line_t ch_operand",
    ("channel-direction", "collect"): DONE,
    ("channel-one-writer", "collect"): "    SF_WRITE(ch_result[unit], w);",
    ("single-work-item", "controller"): "__kernel void controller",
}
# What a change needs elsewhere to break no second rule of the same name.
BESIDE = {
    "autorun-io-channel": (
        "channel int ch_done",
        'channel int ch_eth __attribute__((io("e0")));\nchannel int ch_done',
    ),
}
REMOVED_CALL = {
    ("channel-connected", "controller"): "    SF_READ(ch_operand, x);\n",
    (
        "channel-connected",
        "unit",
    ): "            word_t w = read_channel_intel(ch_result[SF_UNITS - 1 - u]);\n",
}


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
    assert {p[0] for p in PLANTED} == set(RULES)
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
