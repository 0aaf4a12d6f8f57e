"""The special functions of the EdgeBERT unit's kernels, each by itself, against the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from edgebert_client import UnitClient
from numpy.typing import NDArray

from shiftforge.errors import InputError
from shiftforge.generator.edgebert.kernels import render_edgebert, unit_channels, unit_kernels
from shiftforge.generator.edgebert.norm import NormNumbers
from shiftforge.generator.edgebert.sfu import SfuConfig
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.generator.rules.check import check_rules
from shiftforge.sim.edgebert.opencl.sfu import Dvfs
from shiftforge.sim.golden.edgebert.add import add_af
from shiftforge.sim.golden.edgebert.afcode import AfFormat, af_to_fixed, fixed_to_af
from shiftforge.sim.golden.edgebert.dvfs import choose, row_scale
from shiftforge.sim.golden.edgebert.entropy import entropy, exits
from shiftforge.sim.golden.edgebert.gelu import gelu
from shiftforge.sim.golden.edgebert.layernorm import layer_norm, norm_constants
from shiftforge.sim.golden.edgebert.softmax import softmax_af, span_rows, span_table

Client = Callable[[str], UnitClient]
DEVICES = ("pocl", "intel-cpu", "intel-fpga-emu")
LANES = 8
CONFIG = UnitConfig(lanes=LANES)
SFU = SfuConfig(lanes=LANES, norm_row=4096)
DESIGN = UnitDesign(CONFIG, SFU)
F = SFU.fraction
TOP, LOW = (1 << 31) - 1, -(1 << 31)


@pytest.fixture(scope="module")
def on() -> Iterator[Client]:
    """on(device) -> the process that runs functions on it."""
    clients: dict[str, UnitClient] = {}
    yield lambda device: clients.setdefault(device, UnitClient(device))
    for client in clients.values():
        client.close()


def same(wanted: NDArray[Any], found: NDArray[Any]) -> None:
    """Equal integers, or the first difference."""
    assert wanted.shape == found.shape
    wrong = np.argwhere(wanted.astype(np.int64) != found.astype(np.int64))
    if len(wrong):
        at = tuple(wrong[0].tolist())
        raise AssertionError(f"{len(wrong)} differ, first at {at}: {wanted[at]} not {found[at]}")


def score_rows(length: int, seed: int) -> NDArray[np.int64]:
    """Random rows of scores, and the extremes."""
    rng = np.random.default_rng(seed)
    spread = rng.integers(1, 14, (12, 1))
    rows = [rng.integers(-(1 << 30), 1 << 30, (12, length)) >> (30 - spread)]
    rows += [np.full((1, length), value) for value in (TOP, LOW, 0, -1)]
    mixed = rng.choice([TOP, LOW, 0, 1 << 15, -(1 << 15)], (4, length))
    steps = -np.arange(length)[None] * np.array([[1], [37], [1000], [1 << 20]])
    return np.concatenate([*rows, mixed, steps])


@pytest.mark.parametrize("device", DEVICES)
def test_softmax(device: str, on: Client) -> None:
    for length, count, out_bias in ((1, 3, -8), (13, 19, -10), (64, 9, -12), (512, 2, -22)):
        scores = score_rows(length, length)[: 24 if length < 512 else 6]
        masks = np.stack([
            span_table(256 * (i * length // 20), 1 + i, length) for i in range(len(scores))
        ])  # fmt: skip
        masks[3] = 0
        for given in (None, masks):
            found = on(device).special(DESIGN, "softmax", scores, count, out_bias, given)
            for i, row in enumerate(scores):
                mask = None if given is None else span_rows(given[i], count, length)
                whole = np.repeat(row[None], count, axis=0)
                same(softmax_af(whole, F, out_bias, mask), found[i])


@pytest.mark.parametrize("device", DEVICES)
def test_gelu_over_its_range(device: str, on: Client) -> None:
    """Every input within (-4, 4) at ten fraction bits, and the ends of 32 bits."""
    inner = np.arange(-(1 << 12) - 8, (1 << 12) + 8)
    outer = np.concatenate([[TOP, LOW, LOW + 1], 1 << np.arange(31), -(1 << np.arange(31))])
    t = np.concatenate([inner, outer, np.random.default_rng(0).integers(LOW, TOP, 100)])
    for out_bias in (-12, -5, 0, 13):
        for part in np.array_split(t, 2):
            found = on(device).special(DESIGN, "gelu", part, out_bias)
            same(fixed_to_af(gelu(part, F), F, out_bias), found)


@pytest.mark.parametrize("device", DEVICES)
def test_sums_of_every_pair_of_codes(device: str, on: Client) -> None:
    a, b = np.repeat(np.arange(256), 256).reshape(256, 256), np.tile(np.arange(256), (256, 1))
    flat = np.zeros(256, np.int64)
    for a_bias, b_bias, sum_bias in ((-10, -10, -10), (-12, 4, -4), (3, -7, -9), (-14, -9, 2)):
        sums, _ = on(device).special(
            DESIGN,
            "add_norm",
            (a, a_bias),
            (b, b_bias),
            sum_bias,
            flat,
            flat,
            NormNumbers(),
            out_bias=-10,
        )
        same(add_af(a, a_bias, b, b_bias, sum_bias), sums)


def norm_rows(size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of codes: random, of few exponents, constant, alternating extremes, one element off."""
    rows = [rng.integers(0, 256, (5, size)), rng.integers(0x30, 0x50, (2, size))]
    rows += [np.full((1, size), code) for code in (0, 0x80, 0x31, 0x7F, 0xFF)]
    ends = np.full((3, size), 0x7F)
    ends[0, ::2] = 0xFF
    ends[1, 0] = 0xFF
    ends[2, 1:] = 0x7E
    return np.concatenate([*rows, ends])


@pytest.mark.parametrize("device", DEVICES)
def test_layer_norm(device: str, on: Client) -> None:
    rng = np.random.default_rng(4)
    for size, bias, g, epsilon in (
        (2, -10, 0, "1e-12"), (13, -14, 15, "1e-5"), (64, -4, 12, "0"), (100, -10, 7, "1e-3"),
        (768, -9, 12, "1e-12"), (4096, -7, 12, "1e-6"),
    ):  # fmt: skip
        a = norm_rows(size, rng)
        b = np.zeros_like(a)
        gamma = rng.integers(-(1 << 15), 1 << 15, size)
        beta = rng.integers(-(1 << 13), 1 << 13, size)
        beta[:2] = TOP, LOW
        sums, found = on(device).special(
            DESIGN, "add_norm", (a, bias), (b, bias), bias, gamma, beta, NormNumbers(g, epsilon),
            out_bias=-6,
        )  # fmt: skip
        x = af_to_fixed(sums, bias, F)
        wanted = layer_norm(x, gamma, beta, g, norm_constants(size, F, epsilon))
        same(fixed_to_af(wanted, F, -6), found)


@pytest.mark.parametrize("device", DEVICES)
def test_entropy_exit_and_choice(device: str, on: Client) -> None:
    rng = np.random.default_rng(9)
    for classes in (1, 2, 3, 16, 100, 512):
        logits = score_rows(classes, classes)
        value = entropy(logits, F)
        threshold = int(np.sort(value)[len(value) // 2])
        scale = row_scale(max(classes, 2), 100)
        choices = []
        for left in np.exp2(rng.random(len(logits)) * 30).astype(int) - 1000:
            table, layers = rng.integers(1, 14, 100).tolist(), int(rng.integers(2, 13))
            points = np.sort(rng.integers(1, 4097, int(rng.integers(1, 17)))).tolist()
            choices.append(Dvfs(table, scale, layers, 3_640_000, int(left), points))
        for given in (None, choices):
            found = on(device).special(DESIGN, "entropy", logits, threshold, given)
            same(value, np.array([o.entropy for o in found]))
            same(exits(value, threshold), np.array([o.exits for o in found]))
        for h, c, o in zip(value.tolist(), choices, found, strict=True):
            wanted = choose(
                h, threshold, c.table, c.scale, c.layers, c.layer_cycles, c.cycles_left,
                c.frequencies,
            )  # fmt: skip
            assert (o.layer, o.point, o.late) == (wanted.layer, wanted.point, wanted.late)


@pytest.mark.parametrize(("fraction", "bits", "exp"), [(6, 8, 2), (16, 6, 3), (13, 4, 2)])
def test_other_fractions_and_formats(fraction: int, bits: int, exp: int, on: Client) -> None:
    config = UnitConfig(lanes=2, af_bits=bits, exp_bits=exp)
    sfu = SfuConfig(lanes=2, af_bits=bits, exp_bits=exp, fraction=fraction)
    design = UnitDesign(config, sfu)
    fmt, rng = AfFormat(bits, exp), np.random.default_rng(fraction)
    client = on("pocl")
    scores = score_rows(21, 1) << max(fraction - 10, 0)
    scores = np.clip(scores, LOW, TOP)
    found = client.special(design, "softmax", scores, 3, -6)
    for row, codes in zip(scores, found, strict=True):
        same(softmax_af(np.repeat(row[None], 3, axis=0), fraction, -6, None, fmt), codes)
    t = rng.integers(-(5 << fraction), 5 << fraction, 2000)
    same(fixed_to_af(gelu(t, fraction), fraction, -3, fmt), client.special(
        design, "gelu", t, -3))  # fmt: skip
    a, b = rng.integers(0, 1 << bits, (2, 9, 50))
    gamma, beta = rng.integers(-9000, 9000, 50), rng.integers(-9000, 9000, 50)
    sums, normed = client.special(
        design, "add_norm", (a, -4), (b, -2), -3, gamma, beta, NormNumbers(11), out_bias=-4
    )
    same(add_af(a, -4, b, -2, -3, fmt), sums)
    x = af_to_fixed(sums, -3, fraction, fmt)
    wanted = layer_norm(x, gamma, beta, 11, norm_constants(50, fraction, "1e-12"))
    same(fixed_to_af(wanted, fraction, -4, fmt), normed)
    logits = scores[:, :5]
    outcomes = client.special(design, "entropy", logits, 1000)
    same(entropy(logits, fraction), np.array([o.entropy for o in outcomes]))


@pytest.mark.parametrize("weights", ["af", "shift"])
@pytest.mark.parametrize("lanes", [2, 16, 32])
def test_the_text_keeps_intels_rules(lanes: int, weights: Any) -> None:
    design = UnitDesign(UnitConfig(lanes=lanes, weights=weights), SfuConfig(lanes=lanes))
    text = render_edgebert(design)
    assert text == render_edgebert(design)
    for defines in ({}, {"SF_TRACE": "1"}):
        assert check_rules(text, source_name="unit.cl", defines=defines) == []
    for defines in ({"SF_LOWERED": "1"}, {"SF_EMULATOR": "1", "SF_TRACE": "1"}):
        found = check_rules(text, source_name="unit.cl", defines=defines)
        assert [v for v in found if v.severity == "error"] == []
    ends = {name for c in unit_channels(design) for name in (c.writer, c.reader)}
    assert ends == set(unit_kernels(design.sfu))


def test_parts_that_do_not_suit_are_refused(on: Client) -> None:
    with pytest.raises(InputError) as caught:
        render_edgebert(UnitDesign(UnitConfig(lanes=4, exp_bits=4), SfuConfig(lanes=8)))
    assert len(caught.value.problems) == 2
    client, row = on("pocl"), np.zeros(4, np.int64)
    left, right = (row[None], -20), (row[None], -3)
    for said, method, arguments in (
        ("513 elements", "softmax", (np.zeros((1, 513)), 1, -10)),
        ("8193 elements", "gelu", (np.zeros(8193), -10)),
        (
            "at most 16 apart",
            "add_norm",
            (left, right, -3, row, row, NormNumbers()),
        ),
    ):
        options = {"out_bias": -10} if method == "add_norm" else {}
        with pytest.raises(RuntimeError, match=said):
            client.special(DESIGN, method, *arguments, **options)
