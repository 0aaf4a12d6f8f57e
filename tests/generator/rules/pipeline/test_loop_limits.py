"""What raises the II of one loop, and what does not: small loops, each with its verdict."""

from __future__ import annotations

import pytest

from shiftforge.generator.rules.pipeline import LoopEntry, loop_table
from shiftforge.generator.rules.pipeline.target import Target

ARRIA = Target("17.1.1", "Arria 10")


def entry(declared: str, body: str) -> LoopEntry:
    """The one loop of a kernel; a and o are restrict pointers, n is an argument."""
    text = (
        "__kernel void k(__global const int* restrict a, __global int* restrict o, int n) {\n"
        f"{declared}\nfor (int i = 0; i < n; i++) {{ {body} }}\n}}\n"
    )
    (found,) = loop_table(text, target=ARRIA)
    assert found.pipelined and found.ii is not None
    return found


@pytest.mark.parametrize(
    ("kind", "start", "ii"),
    [("float", "0", 1), ("float", "n", 5), ("double", "0", 5), ("half", "0", 5), ("long", "n", 1)],
)
def test_sums(kind: str, start: str, ii: int) -> None:
    """Only a single-precision sum that starts at a constant has an accumulator of its own."""
    table = loop_table(
        f"__kernel void k(__global const {kind}* restrict a, __global {kind}* restrict o, int n) {{"
        f"{kind} s = {start}; for (int i = 0; i < n; i++) {{ s += a[i]; }} o[0] = s; }}",
        target=ARRIA,
    )
    assert [e.ii for e in table] == [ii]


def test_a_sum_that_nothing_reads() -> None:
    """What only such sums read is left out as well."""
    dead = "double s = 0; double t = 0;"
    assert entry(dead, "s += a[i]; t += s * n; o[i] = a[i];").ii == 1
    assert entry(dead, "s += a[i]; t += s * n; o[i] = t;").ii == 5


@pytest.mark.parametrize(
    ("declared", "body", "limit"),
    [
        ("local int b[1024];", "b[a[i]] = b[a[i] + 1] + 1;", "b is loaded"),
        ("local int b[1024]; local int c[1024];", "c[a[i]] = b[a[i]]; b[o[i]] = c[o[i]] + 1;", ""),
        ("local int b[1024];", "b[a[i]] = 1; b[a[i] * 3] = 2;", "b is stored at two addresses"),
        ("int x = 0;", "int y = o[a[i]]; o[i + n] = x; x = y;", "o is loaded"),
        ("float f[8]; float g = n;", "f[i & 7] += g;", "f is loaded"),
        ("int x = 0;", "if (a[x] > 7) break; x += a[i]; o[i] = x;", "load of a"),
    ],
)
def test_above_one(declared: str, body: str, limit: str) -> None:
    """Each with the word of what is in the way."""
    found = entry(declared, body)
    assert found.ii is not None and found.ii > 1
    assert limit in found.limit


@pytest.mark.parametrize(
    ("declared", "body"),
    [
        ("local int b[1024];", "b[i & 1023] = a[i]; o[i] = b[(i + 512) & 1023];"),
        ("local int b[1024];", "b[i] = b[i] + 1; o[i] = 1;"),
        ("local int b[1024];", "int p = a[i]; b[p] = 1; b[p] = 2;"),
        ("int x = 0;", "if (x > 7) break; x += a[i]; o[i] = x;"),
    ],
)
def test_at_one(declared: str, body: str) -> None:
    """A load that feeds no store of its memory, and an index of the counter alone."""
    assert entry(declared, body).ii == 1


def test_ivdep_does_not_speak_of_registers() -> None:
    """A private array of 64 bytes is one variable; one of 68 is a memory."""
    for size, ii in ((16, 5), (17, 1)):
        text = (
            f"__kernel void k(__global float* restrict o, int n) {{ float f[{size}];\n"
            "#pragma ivdep\nfor (int i = 0; i < n; i++) { f[i] += 2.0f * f[i]; o[i] = f[i]; } }"
        )
        (found,) = loop_table(text, target=ARRIA)
        assert (found.ii or 0) >= ii and (ii > 1 or found.ii == 1)


def test_speculated_iterations() -> None:
    """From 19 on a few iterations start before it is known that there is another."""
    text = (
        "__kernel void k(__global const int* restrict a, __global int* restrict o) {"
        "int i = 0; while (a[i] != 0) { o[i] = i; i++; } }"
    )
    seen = [loop_table(text, target=Target(v, "Stratix 10"))[0].ii for v in ("17.1", "19.4")]
    assert seen == [200, 40]


def test_levels_of_a_coalesced_nest() -> None:
    """An element that every row adds to: apart within a row, not from row to row."""
    for index, ii in (("[r][c]", 1), ("[0][c]", 2)):
        text = (
            "__kernel void k(__global int* restrict o) { local int s[8][8];\n"
            "#pragma loop_coalesce 2\nfor (int r = 0; r < 8; r++) {\n"
            f"for (int c = 0; c < 8; c++) {{ s{index} += r; }} }}\no[0] = s[1][1]; }}"
        )
        (found,) = loop_table(text, target=ARRIA)
        assert found.ii == ii


@pytest.mark.parametrize(
    ("body", "pipelined"),
    [
        ("for (int i = 0; i < 3; i++) { last = read_channel_intel(c); o[i] = last; }", False),
        ("last = read_channel_intel(c); for (int i = 0; i < 3; i++) { o[i] = last; }", True),
    ],
)
def test_exits_that_a_channel_decides(body: str, pipelined: bool) -> None:
    """Unresolvable where the channel is read in an inner loop, not where it is read outside."""
    text = (
        "#pragma OPENCL EXTENSION cl_intel_channels : enable\nchannel int c;\n"
        "__kernel void k(__global int* restrict o) { int last = 0;\n"
        f"while (!last) {{ {body} }} }}"
    )
    outer, inner = loop_table(text, target=ARRIA)
    assert (outer.pipelined, inner.pipelined) == (pipelined, True)
    assert ("channel c, read in an inner loop" in outer.limit) != pipelined
