"""A program that keeps the pipelining rules, and one planted violation a rule.

Two kernels on a cycle of channels, in the form of generated text: instructions copied on chip, a
loop over layers, inside it one loop whose trip count an instruction holds.
"""

from __future__ import annotations

PIPELINED = """\
#pragma OPENCL EXTENSION cl_intel_channels : enable
typedef struct __attribute__((aligned(16))) { int iterations, tiles, code, last; } layer_t;
typedef struct { int v[4]; } word_t;
typedef struct { int tile, row, total; word_t held; } state_t;
channel word_t ch_out __attribute__((depth(16)));
channel word_t ch_back __attribute__((depth(16)));

static void advance(state_t *s, const layer_t in)
{
    const int last = s->tile + 1 == in.tiles;
    s->tile = last ? 0 : s->tile + 1;
    if (last) s->row++;
}

static void step(state_t *s, const layer_t in, word_t *rows, const int i)
{
    if (i >= in.last) {
        s->held = read_channel_intel(ch_back);
    }
    mem_fence(CLK_CHANNEL_MEM_FENCE);
    word_t word = rows[s->tile];
    #pragma unroll
    for (int v = 0; v < 4; ++v) {
        word.v[v] = word.v[v] * in.code + s->held.v[v];
        s->total += word.v[v] & 1;
    }
    rows[(s->tile + 32) & 63] = s->held;
    write_channel_intel(ch_out, word);
    advance(s, in);
}

__attribute__((max_global_work_dim(0)))
__kernel void work(__global const layer_t * restrict program, const int layers)
{
    local layer_t held[64];
    word_t rows[64] __attribute__((memory));
    for (int l = 0; l < layers; ++l) held[l] = program[l];
    state_t s;
    s.total = 0;
    for (int l = 0; l < layers; ++l) {
        const layer_t in = held[l];
        s.tile = 0;
        s.row = 0;
        /* proof: rows-distance (a line is read 32 iterations after it was written) */
        #pragma ivdep safelen(32) array(rows)
        for (int i = 0; i < in.iterations; ++i) step(&s, in, rows, i);
    }
}

__attribute__((max_global_work_dim(0)))
__kernel void back(const int words)
{
    for (int i = 0; i < words; ++i) {
        const word_t word = read_channel_intel(ch_out);
        write_channel_intel(ch_back, word);
    }
}
"""

PROOFS = {"rows-distance": 32}
CALL = "for (int i = 0; i < in.iterations; ++i) step(&s, in, rows, i);\n"
PRAGMA = "        #pragma ivdep safelen(32) array(rows)\n"
COMMENT = "        /* proof: rows-distance (a line is read 32 iterations after it was written) */\n"
ADVANCE = "    advance(s, in);\n"
WRITE = "    write_channel_intel(ch_out, word);\n"
LOAD = "    word_t word = rows[s->tile];\n"
FENCE = "    mem_fence(CLK_CHANNEL_MEM_FENCE);\n"
READ = "        s->held = read_channel_intel(ch_back);\n"
LINE = "typedef struct __attribute__((aligned(16))) { int iterations, tiles, code, last; } layer_t;"

RECORD = "        for (int k = 0; k < 4; ++k) s.total ^= k;\n"
"""A loop as that which brings a layer's record: of a constant trip count, in front."""

# rule, kernel, subject, text to replace, replacement; "//@" or "/*@*/" marks the line to be named.
PLANTED = [
    (
        "loop-nested",
        "work",
        "step",
        ADVANCE,
        ADVANCE + "    for (int k = 0; k < 9; ++k) s->total ^= k; //@\n",
    ),
    (
        "loop-nested",
        "work",
        "work",
        CALL,
        CALL + "        for (int k = 0; k < 9; ++k) s.total ^= k; //@\n",
    ),
    (  # a loop in front that brings no record: its trip count changes
        "loop-nested",
        "work",
        "work",
        COMMENT + PRAGMA + "        " + CALL,
        "        for (int k = 0; k < in.tiles; ++k) s.total ^= k;\n"
        + COMMENT
        + PRAGMA
        + CALL.rstrip()
        + " //@\n",
    ),
    (
        "loop-trip",
        "work",
        "work",
        CALL,
        "for (int i = 0; s.row < 9; ++i) /*@*/ step(&s, in, rows, i);\n",
    ),
    (
        "loop-trip",
        "work",
        "work",
        CALL,
        CALL.replace("step(", "/*@*/ { if (s.row == 4) break; step(").replace("\n", "}\n"),
    ),
    ("loop-trip", "back", "back", "i < words; ++i", "i < words; i += i + 1 /*@*/"),
    ("loop-interval", "work", "work", CALL, "\n#pragma ii 2\n" + CALL.rstrip() + " //@\n"),
    (
        "loop-interval",
        "work",
        "work",
        CALL,
        "\n#pragma disable_loop_pipelining\n" + CALL.rstrip() + " /*@*/\n",
    ),
    (
        "recurrence-load",
        "work",
        "s.row",
        ADVANCE,
        ADVANCE + "    s->row = rows[s->row & 63].v[0]; //@\n",
    ),
    (
        "recurrence-multiply",
        "work",
        "s.total",
        ADVANCE,
        ADVANCE + "    s->total *= in.code; //@\n",
    ),
    (
        "recurrence-multiply",
        "work",
        "s.total",
        ADVANCE,
        ADVANCE + "    s->total = s->total % 7; //@\n",
    ),
    (
        "recurrence-multiply",
        "work",
        "s.total",
        ADVANCE,
        ADVANCE + "    s->total = (int)((float)s->total + 1.5f); //@\n",
    ),
    ("memory-promise", "work", "rows", PRAGMA, "\n"),
    ("memory-promise", "work", "rows", PRAGMA, PRAGMA.replace("array(rows)", "array(held)")),
    ("memory-promise", "work", "rows", PRAGMA, PRAGMA.replace(" array(rows)", "")),
    ("promise-proof", "work", "rows", COMMENT, "        /* ivdep proof of rows */\n"),
    ("promise-proof", "work", "rows", COMMENT, COMMENT.replace("rows-distance", "rows-far")),
    ("promise-proof", "work", "rows", PRAGMA, PRAGMA.replace("(32)", "(33)")),
    ("promise-proof", "work", "rows", PRAGMA, PRAGMA.replace(" safelen(32)", "")),
    ("memory-store-site", "work", "rows", WRITE, WRITE + "    rows[s->row & 63] = word; //@\n"),
    ("memory-load-site", "work", "rows", WRITE, WRITE + "    s->held = rows[s->row & 63]; //@\n"),
    (
        "memory-load-site",
        "work",
        "rows",
        WRITE,
        WRITE + "    #pragma unroll\n    for (int v = 0; v < 3; ++v) {\n"
        "        s->total += rows[(s->tile + v) & 63].v[0]; //@\n    }\n",
    ),
    (
        "memory-width",
        "work",
        "rows",
        "typedef struct { int v[4]; } word_t;",
        "typedef struct { int v[4]; char more; } word_t;",
    ),
    ("global-beat", "work", "program", LINE, LINE.replace("last;", "last, more;")),
    ("global-beat", "work", "program", LINE, LINE.replace(" __attribute__((aligned(16)))", "")),
    (
        "global-beat",
        "back",
        "bytes",
        "back(const int words)\n{\n",
        "back(__global const uchar * restrict bytes, const int words)\n{\n    int sum = 0;\n"
        "    for (int i = 0; i < words; ++i) {\n        #pragma unroll\n"
        "        for (int b = 0; b < 16; ++b) { sum += bytes[16 * i + b]; } //@\n    }\n",
    ),
    (
        "exit-channel",
        "back",
        "ch_out",
        "    for (int i = 0; i < words; ++i) {\n        const word_t word =",
        "    word_t word;\n    word.v[0] = 1;\n    while (word.v[0]) { //@\n        word =",
    ),
    ("channel-site", "work", "ch_out", WRITE, WRITE + "    " + WRITE.rstrip() + " //@\n"),
    (
        "channel-order",
        "work",
        "ch_out",
        FENCE + LOAD,
        "    word_t word;\n    word = rows[s->tile];\n    write_channel_intel(ch_out, word); //@\n"
        + FENCE,
    ),
    (
        "channel-order",
        "work",
        "ch_back",
        "    if (i >= in.last) {\n" + READ + "    }\n" + FENCE,
        "    write_channel_intel(ch_out, s->held);\n    if (i >= in.last) {\n"
        + READ.rstrip()
        + " //@\n    }\n",
    ),
]
# Where the line named is not that of the change.
NAMED_AT = {
    "memory-promise": CALL.strip(),
    "promise-proof": "#pragma ivdep",
    "memory-width": "word_t rows[64]",
    "global-beat": "held[l] = program[l]",
    "channel-order": WRITE.strip(),
}
