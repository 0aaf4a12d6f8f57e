"""The loop table on small kernels of the shapes that public compiler reports showed."""

from __future__ import annotations

import json

import pytest

from shiftforge.generator.rules.pipeline import LoopEntry, Target, loop_table, to_json

HEAD = "#pragma OPENCL EXTENSION cl_intel_channels : enable\nchannel int c0; channel int c1;\n"
FLOAT_SUM = """
__kernel void k(__global const float * restrict x, __global float * restrict y, int n) {
    float sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * 2.0f;
    y[0] = sum;
}
"""


def table(text: str, **target: str) -> list[LoopEntry]:
    return list(loop_table(HEAD + text, target=Target(**target)))


def rows(text: str, **target: str) -> list[tuple[int | None, int | str]]:
    return [(e.ii, e.trip_count) for e in table(text, **target)]


PIPELINED = {
    "line buffers without a way from load to store": (
        """__kernel void k(int n, int row) {
        int first[64], second[64];
        int at = 0;
        for (int i = 0; i < n; i++) {
            const int x = read_channel_intel(c0);
            write_channel_intel(c1, first[at] + second[at]);
            second[at] = first[at];
            first[at] = x;
            at = at + 1 == row ? 0 : at + 1;
        } }""",
        [(1, "known at entry")],
    ),
    "update of one address": (
        """__kernel void k(__global const int * restrict x, __global int * restrict r, int n) {
        for (int i = 0; i < n; i++) r[0] += x[i];
        }""",
        [(1, "known at entry")],
    ),
    "copy": (
        """__kernel void k(__global const int * restrict a, __global int * restrict b, int n) {
        for (int i = 0; i < n; i++) b[i] = a[i];
        }""",
        [(1, "known at entry")],
    ),
    "constant trip": (
        """__kernel void k(__global int * restrict b) {
        #pragma unroll 4
        for (int i = 3; i < 100; i++) b[i] = i;
        }""",
        [(1, 25)],
    ),
    "counters with last flags": (
        """__kernel void k(int n, int rows, int tiles) {
        int row = 0, tile = 0;
        for (int i = 0; i < n; ++i) {
            write_channel_intel(c0, row + tile);
            const int last = tile + 1 == tiles;
            tile = last ? 0 : tile + 1;
            if (last) row = row + 1 == rows ? 0 : row + 1;
        } }""",
        [(1, "known at entry")],
    ),
    "array in place": (
        """__kernel void k(__global const int * restrict x, __global int * restrict y) {
        __local int a[64];
        for (int i = 0; i < 64; i++) a[i] = x[i];
        for (int i = 0; i < 64; i++) a[i] = a[i] * 3;
        for (int i = 0; i < 64; i++) y[i] = a[i];
        }""",
        [(1, 64), (1, 64), (1, 64)],
    ),
    "banks in unrolled loops": (
        """__kernel void k(__global const int * restrict x, int n) {
        __local int a[4][16];
        for (int i = 0; i < 16; i++) {
            #pragma unroll
            for (int u = 0; u < 4; u++) a[u][i] = x[i] + u;
        }
        for (int i = 0; i < 16; i++) {
            int sum = 0;
            #pragma unroll
            for (int u = 0; u < 4; u++) sum += a[u][i];
            write_channel_intel(c0, sum);
        } }""",
        [(1, 16), (1, 16)],
    ),
    "distance beyond the trip count": (
        """__kernel void k(__global const int * restrict x) {
        int a[64];
        for (int i = 0; i < 16; i++) {
            #pragma unroll
            for (int u = 0; u < 4; u++) a[u * 16 + i] = x[i] + u;
        }
        for (int i = 0; i < 64; i++) write_channel_intel(c0, a[i]); }""",
        [(1, 16), (1, 64)],
    ),
    "shift register breaks a chain": (
        """__kernel void k(__global const float * restrict x, __global float * restrict y, int n) {
        float copies[12];
        #pragma unroll
        for (int i = 0; i < 12; i++) copies[i] = 0;
        for (int i = 0; i < n; i++) {
            const float next = copies[11] + x[i];
            #pragma unroll
            for (int j = 11; j > 0; j--) copies[j] = copies[j - 1];
            copies[0] = next;
        }
        float sum = 0;
        #pragma unroll
        for (int i = 0; i < 12; i++) sum += copies[i];
        y[0] = sum; }""",
        [(1, "known at entry")],
    ),
    "window as a shift register": (
        """__kernel void k(int n) {
        int taps[9];
        for (int i = 0; i < n; i++) {
            #pragma unroll
            for (int j = 0; j < 8; j++) taps[j] = taps[j + 1];
            taps[8] = read_channel_intel(c0);
            int sum = 0;
            #pragma unroll
            for (int j = 0; j < 9; j++) sum += taps[j] * (j + 1);
            write_channel_intel(c1, sum);
        } }""",
        [(1, "known at entry")],
    ),
    "promise that names the array": (
        """__kernel void k(__global const int * restrict at, int n) {
        __local int a[64];
        #pragma ivdep array(a)
        for (int i = 0; i < n; i++) a[at[i]] += 1;
        }""",
        [(1, "known at entry")],
    ),
    "endless loop over a channel": (
        """__kernel void k(void) {
        while (1) { int x = read_channel_intel(c0); if (x == 0) break;
        write_channel_intel(c1, x); } }""",
        [(1, "unknown")],
    ),
    "state in a struct": (
        """typedef struct { int left, at; } state_t;
        static void step(state_t *s, int x) { if (x) { s->left--; s->at++; } else s->at = 0; }
        __kernel void k(int n) { state_t s; s.left = n; s.at = 0;
        for (int i = 0; i < n; i++) { step(&s, i & 1); write_channel_intel(c0, s.at); } }""",
        [(1, "known at entry")],
    ),
}


@pytest.mark.parametrize("shape", PIPELINED)
def test_loops_that_are_scheduled_at_one(shape: str) -> None:
    text, expected = PIPELINED[shape]
    assert rows(text) == expected
    assert all(e.pipelined and not e.limit for e in table(text))


RAISED = {
    "global update": (
        """__kernel void k(__global int * restrict a, __global const int * restrict at, int n) {
        for (int i = 0; i < n; i++) a[at[i]] += 1; }""",
        100,
        "a is loaded (line",
    ),
    "pointers that are not restrict": (
        """__kernel void k(__global int *a, __global int *b, int n) {
        for (int i = 0; i < n; i++) a[i] = b[i] + 1; }""",
        100,
        "through pointers that may meet",
    ),
    "two stores at addresses that channels bring": (
        """__kernel void k(__global int * restrict r, int n) {
        for (int i = 0; i < n; i++) {
            const int first = read_channel_intel(c0), second = read_channel_intel(c1);
            r[first] = i;
            r[second] = i;
        } }""",
        50,
        "stored at two addresses",
    ),
    "histogram": (
        """__kernel void k(__global const int * restrict at, int n) { __local int a[64];
        for (int i = 0; i < n; i++) a[at[i] & 63] += 1; }""",
        2,
        "a is loaded (line",
    ),
    "sum in a memory": (
        """__kernel void k(__global const float * restrict x, int n) { __local float a[64];
        for (int i = 0; i < n; i++) a[i & 63] += x[i]; }""",
        4,
        "a is loaded (line",
    ),
    "promise for fewer iterations than a sum takes": (
        """__kernel void k(__global const float * restrict x, int n) { __local float a[64];
        #pragma ivdep safelen(2) array(a)
        for (int i = 0; i < n; i++) a[(i * 7) & 63] += x[i]; }""",
        2,
        "for more than 2 iterations",
    ),
    "promise that names another array": (
        """__kernel void k(__global const int * restrict at, int n) { __local int a[64], b[64];
        #pragma ivdep array(b)
        for (int i = 0; i < n; i++) a[at[i] & 63] += 1; }""",
        2,
        "a is loaded (line",
    ),
    "multiplication in a recurrence": (
        """__kernel void k(int n) { int x = 1;
        for (int i = 0; i < n; i++) { x = x * 5 + 1; write_channel_intel(c0, x); } }""",
        2,
        "multiplication (line 4) in the recurrence of x",
    ),
    "load in a recurrence": (
        """__kernel void k(__global const int * restrict next, int n) { int at = 0;
        for (int i = 0; i < n; i++) { at = next[at]; write_channel_intel(c0, at); } }""",
        100,
        "load of next (global) (line 4) in the recurrence of at",
    ),
    "one element further": (
        """__kernel void k(int n) { __local int a[64]; a[0] = 1;
        for (int i = 0; i < 63; i++) a[i + 1] = a[i] + 1; }""",
        2,
        "a is loaded (line",
    ),
    "sum under a condition": (
        """__kernel void k(__global const float * restrict x, int n) { float sum = 0;
        for (int i = 0; i < n; i++) { if (x[i] > 0) sum += x[i]; }
        write_channel_intel(c0, sum); }""",
        4,
        "in the recurrence of sum",
    ),
    "unrolled sum of floats": (
        """__kernel void k(__global const float * restrict x, int n) { float sum = 0;
        for (int i = 0; i < n; i++) {
            #pragma unroll
            for (int u = 0; u < 8; u++) { sum += x[i * 8 + u]; } }
        write_channel_intel(c0, sum); }""",
        8,
        "in the recurrence of sum",
    ),
    "through a helper and a struct": (
        """typedef struct { int tile, done; } job_t; typedef struct { job_t in; int at; } state_t;
        static void next(state_t *s, __global const job_t * restrict jobs) {
            if (s->at == s->in.tile) { s->in = jobs[s->at]; s->at = 0; return; } s->at++; }
        __kernel void k(__global const job_t * restrict jobs, int n) { state_t s; s.at = 0;
        for (int i = 0; i < n; i++) next(&s, jobs); }""",
        100,
        "load of jobs (global)",
    ),
}


@pytest.mark.parametrize("shape", RAISED)
def test_loops_that_start_late(shape: str) -> None:
    text, least, limit = RAISED[shape]
    (found,) = table(text)
    assert found.pipelined
    assert found.ii is not None and found.ii >= least
    assert limit in found.limit


REFUSED = {
    "inner trip count changes": (
        """__kernel void k(__global const int * restrict n) {
        int sum = 0;
        for (int i = 0; i < 10; i++)
            for (int j = 0; j < n[i]; j++) { sum += j; write_channel_intel(c0, sum); } }""",
        "can change",
    ),
    "triangle": (
        """__kernel void k(int n) { int sum = 0; for (int i = 0; i < n; i++)
            for (int j = i; j < n; j++) { sum ^= j; write_channel_intel(c0, sum); } }""",
        "can change",
    ),
    "inner loop under a condition": (
        """__kernel void k(int n) { int sum = 0; for (int i = 0; i < n; i++) if (i & 1)
            for (int j = 0; j < n; j++) { sum ^= j; write_channel_intel(c0, sum); } }""",
        "divergent",
    ),
    "exit from a channel in an inner loop": (
        """__kernel void k(int n) { int go = 1; while (go) {
            for (int j = 0; j < 8; j++) go = read_channel_intel(c0); } }""",
        "exit depends on channel c0",
    ),
    "by pragma": (
        """__kernel void k(int n) {
        #pragma disable_loop_pipelining
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++) write_channel_intel(c0, j); }""",
        "disable_loop_pipelining",
    ),
    "layer loop": (
        """typedef struct { int iterations, code; } layer_t;
        __kernel void k(__global const layer_t * restrict program, int layers) {
        __local layer_t held[64];
        int done = 0;
        for (int l = 0; l < layers; ++l) {
            const layer_t in = program[l];
            for (int i = 0; i < in.iterations; ++i) write_channel_intel(c0, in.code + done++);
        } }""",
        "can change",
    ),
}


@pytest.mark.parametrize("shape", REFUSED)
def test_outer_loops_that_are_not_pipelined(shape: str) -> None:
    text, limit = REFUSED[shape]
    outer, inner = table(text)
    assert (outer.ii, outer.pipelined, outer.at_least) == (None, False, True)
    assert limit in outer.limit
    assert (inner.ii, inner.pipelined, inner.depth) == (1, True, 1)


def test_a_bound_that_is_fixed_over_the_outer_loop_stops_nothing() -> None:
    text = """__kernel void k(int n, int m) { for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++) write_channel_intel(c0, i + j); }"""
    outer, inner = table(text)
    assert (outer.ii, outer.pipelined, outer.at_least) == (1, True, True)
    assert inner.trip_count == "known at entry"


CARRIES_NOTHING = """__kernel void k(__global const int * restrict n) {
    for (int i = 0; i < 10; i++)
        for (int j = 0; j < n[i]; j++) write_channel_intel(c0, j); }"""


@pytest.mark.parametrize(("version", "at_least"), [("16.1", False), ("17.1.1", True)])
def test_an_outer_loop_that_carries_nothing_is_pipelined(version: str, at_least: bool) -> None:
    outer, _ = table(CARRIES_NOTHING, aoc_version=version)
    assert (outer.ii, outer.pipelined, outer.at_least) == (1, True, at_least)


COALESCED = """__kernel void k(__global const float * restrict a, __global float * restrict r,
                                int n) {
    #pragma loop_coalesce 2
    #pragma ivdep
    for (int i = 0; i < n; i++) {
        %s
        for (int j = 0; j < 10; j++) {
            %s
        }
        %s
    } }"""


def test_a_coalesced_nest_is_one_loop() -> None:
    (found,) = table(COALESCED % ("", "r[i * 10 + j] = a[i * 10 + j];", ""))
    assert (found.ii, found.at_least, found.depth) == (1, False, 0)


def test_a_sum_that_a_coalesced_nest_sets_anew_starts_late() -> None:
    (found,) = table(COALESCED % ("float sum = 0;", "sum += a[i * 10 + j];", "r[i] = sum;"))
    assert found.ii is not None and found.ii >= 4
    assert "floating-point addition" in found.limit


def test_a_nest_with_effects_before_its_inner_loop_may_not_be_coalesced() -> None:
    outer, inner = table(COALESCED % ("r[i] = 0;", "r[i] += a[j];", ""))
    assert (outer.ii, outer.at_least, inner.ii) == (2, True, 1)


def test_an_unrolled_loop_over_a_bound_that_shrinks_stays_rolled() -> None:
    text = """__kernel void k(__global int * restrict r) {
    int left = 8, sum[8];
    #pragma unroll
    for (int s = 0; s < 3; s++) {
        left = left >> 1;
        #pragma unroll
        for (int i = 0; i < left; i++) sum[i] += sum[i + left];
    }
    r[0] = sum[0]; }"""
    assert len(table(text)) == 1


def test_a_floating_point_sum_depends_on_the_family() -> None:
    assert rows(FLOAT_SUM, family="Arria 10") == [(1, "known at entry")]
    (soft,) = table(FLOAT_SUM, family="Cyclone V")
    assert soft.ii is not None and soft.ii > 4


def test_the_table_as_json() -> None:
    (row,) = json.loads(to_json(table(FLOAT_SUM)))
    assert row["kernel"] == "k"
    assert (row["trip_count"], row["ii"], row["limit"]) == ("known at entry", 1, "")
    assert row["loop"] == f"k:{row['line']}"
    assert json.loads(to_json([])) == []
