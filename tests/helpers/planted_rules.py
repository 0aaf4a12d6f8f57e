"""A program that keeps all rules of the checker, and one planted violation a rule."""

from __future__ import annotations

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
