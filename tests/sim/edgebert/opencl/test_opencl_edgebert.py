"""The EdgeBERT unit's matrix part as OpenCL kernels against the integer reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from edgebert_client import UnitClient
from edgebert_layers import af_encode, shift_encode
from numpy.typing import ArrayLike, NDArray
from tiers import thinned

from shiftforge.errors import InputError
from shiftforge.generator.edgebert.kernels import render_edgebert, unit_channels, unit_kernels
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.generator.edgebert.unit_design import UnitDesign
from shiftforge.generator.rules.check import check_rules
from shiftforge.sim.edgebert.opencl.product import MatrixUnit, ProductOptions, pack, unpack
from shiftforge.sim.golden.edgebert.afcode import AfFormat
from shiftforge.sim.golden.edgebert.bitmask import encode, to_vectors
from shiftforge.sim.golden.edgebert.mac import AccMode, matmul_af, matmul_shift
from shiftforge.sim.golden.edgebert.post import (
    Activation,
    post_af,
    post_fixed,
    shift_amount_af,
    shift_amount_shift,
)

Ints = NDArray[np.int64]
Client = Callable[[str], UnitClient]
BOTH = ("pocl", "intel-fpga-emu")
WEIGHTS: dict[str, dict[str, Any]] = {
    "af": {},
    "one term": {"weights": "shift"},
    "two terms": {"weights": "shift", "terms": 2, "accumulator": "exact"},
}


@pytest.fixture(scope="module")
def on() -> Iterator[Client]:
    """on(device) -> the process that runs products on it."""
    clients: dict[str, UnitClient] = {}
    yield lambda device: clients.setdefault(device, UnitClient(device))
    for client in clients.values():
        client.close()


def sums(
    config: UnitConfig, a: Ints, b: Ints, mode: AccMode | None = None, codes: bool = False
) -> Ints:
    """The accumulators (m, n) of the reference; b is stored transposed."""
    fmt, n = AfFormat(config.af_bits, config.exp_bits), config.lanes
    accumulator: AccMode = mode or config.accumulator
    if config.weights == "af":
        return matmul_af(a, b.T, n, accumulator, fmt)
    if codes:
        return matmul_af(a, b.T, n, accumulator, fmt, config.terms)
    return matmul_shift(a, b.T, config.terms, n, accumulator, fmt)


def compare(
    client: UnitClient, config: UnitConfig, a: Ints, b: Ints, shift: ArrayLike, bias: ArrayLike,
    **options: Any,
) -> None:  # fmt: skip
    """One product on a device: results, and the results as stored, must be the reference's.

    options: of ``UnitClient.product``.
    """
    how = ProductOptions(**{k: v for k, v in options.items() if k not in ("text", "strict")})
    act: Activation = "relu" if how.relu else "none"
    acc = sums(config, a, b, codes=how.codes)
    found = client.product(config, a, b, shift, bias, **options)
    if how.fixed:
        plain = post_fixed(acc, shift, bias, act)
        same(plain.T if how.transposed else plain, found["values"])
        return
    fmt = AfFormat(config.af_bits, config.exp_bits)
    wanted = post_af(acc, shift, bias, act, how.fraction, how.out_bias, fmt)
    wanted = wanted.T if how.transposed else wanted
    same(wanted, found["values"])
    stored = encode(to_vectors(wanted, config.lanes), "af", fmt)
    assert np.array_equal(stored.masks, found["masks"].reshape(-1)), "masks"
    for lane, bank in enumerate(stored.banks):
        counts = ((found["masks"] >> np.uint32(lane)) & 1).sum(axis=1)
        assert (counts <= found["beats"]).all()
        parts = [found["stored"][tile, :count, lane] for tile, count in enumerate(counts)]
        assert np.array_equal(bank, np.concatenate(parts)), f"bank {lane}"


def same(wanted: NDArray[Any], found: NDArray[Any]) -> None:
    """Equal integers, or the first difference by row and column."""
    assert wanted.shape == found.shape
    wrong = np.argwhere(wanted.astype(np.int64) != found.astype(np.int64))
    if len(wrong):
        r, c = wrong[0]
        raise AssertionError(
            f"{len(wrong)} differ, first at row {r}, column {c}: {wanted[r, c]} wanted, "
            f"{found[r, c]} found"
        )


def random_operands(
    config: UnitConfig, m: int, k: int, n: int, seed: int, density: float = 0.6
) -> tuple[Ints, Ints]:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 1 << config.af_bits, (m, k)) * (rng.random((m, k)) < density)
    b = rng.integers(0, 1 << config.weight_bits, (n, k)) * (rng.random((n, k)) < density)
    return a, b


def all_pairs(config: UnitConfig, turn: int, codes: bool = False) -> tuple[Ints, Ints]:
    """Row r of A has code r on lane (r + turn) % lanes and zeros beside it; row c of B is c."""
    bits = config.af_bits if codes else config.weight_bits
    a = np.zeros((1 << config.af_bits, config.lanes), np.int64)
    code = np.arange(len(a))
    a[code, (code + turn) % config.lanes] = code
    b = np.repeat(np.arange(1 << bits)[:, None], config.lanes, axis=1)
    return a, b


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("device", BOTH)
def test_every_pair_of_codes_on_every_lane(device: str, weights: str, on: Client) -> None:
    config = UnitConfig(**WEIGHTS[weights])
    for turn in range(config.lanes):
        compare(on(device), config, *all_pairs(config, turn), 0, 0, fixed=True)


@pytest.mark.parametrize(("weights", "codes"), [
    *((name, False) for name in WEIGHTS), ("one term", True), ("two terms", True)
], ids=str)  # fmt: skip
@pytest.mark.parametrize("device", thinned([*BOTH, "intel-cpu"], 3))
def test_every_pair_of_codes_through_to_af(
    device: str, weights: str, codes: bool, on: Client
) -> None:
    """codes: both operands are AF codes, the second one taken in passes."""
    config = UnitConfig(**WEIGHTS[weights])
    rng = np.random.default_rng(7)
    columns = 1 << (config.af_bits if codes else config.weight_bits)
    for turn, shift in enumerate((-64, -31, -7, 0, 1, 4, 9, 13, 17, 22, 25, 31, 32, 63)):
        bias = rng.integers(-(1 << 10), 1 << 10, columns) << rng.integers(0, 21, columns)
        compare(
            on(device), config, *all_pairs(config, turn, codes), shift, bias * (turn % 3 != 0),
            relu=turn % 4 == 3, fraction=6 + turn % 11, out_bias=-16 + turn, codes=codes,
        )  # fmt: skip


@pytest.mark.parametrize(("lanes", "changes"), [
    (2, {"exp_bits": 4}), (4, {}), (4, {"af_bits": 4, "exp_bits": 2}), (8, {"weights": "shift"}),
    (8, {"exp_bits": 4, "accumulator": "exact"}), (32, {"accumulator": "exact"}),
    (16, {"weights": "shift", "terms": 2, "exp_bits": 4}),
    (4, {"weights": "shift", "exp_bits": 4}),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("device", thinned(BOTH, 2))
def test_ragged_shapes(device: str, lanes: int, changes: dict[str, Any], on: Client) -> None:
    config = UnitConfig(lanes=lanes, **changes)
    shapes = [
        (1, 1, 1), (lanes, lanes, lanes), (lanes + 1, 2 * lanes, 1), (2, 5 * lanes - 1, 3),
        (3 * lanes - 1, lanes + 1, 2 * lanes + 1), (lanes + 1, 2 * lanes, 3 * lanes - 1),
        (2 * lanes + 1, lanes, 3 * lanes),
    ]  # fmt: skip
    rng = np.random.default_rng(3)
    for seed, (m, k, n) in enumerate(shapes):
        a, b = random_operands(config, m, k, n, seed)
        shift, bias = rng.integers(-4, 26, n), rng.integers(-3000, 3000, n)
        if config.takes_codes:
            c = rng.integers(0, 1 << config.af_bits, (n, k))
            compare(
                on(device), config, a, c, shift, bias, codes=True, transposed=seed % 2 == 1,
                out_bias=-3,
            )  # fmt: skip
        for fixed in (False, True):
            compare(
                on(device), config, a, b, shift, bias, relu=seed % 2 == 1, fixed=fixed,
                out_bias=int(rng.integers(-14, 4)), transposed=seed % 2 == 0 and seed > 0,
            )  # fmt: skip


@pytest.mark.parametrize("device", [*BOTH, "intel-cpu"])
def test_channels_as_deep_as_in_hardware(device: str, on: Client) -> None:
    config = UnitConfig()
    a, b = random_operands(config, 37, 200, 70, 1)
    compare(on(device), config, a, b, 14, 3, strict=True)


@pytest.mark.parametrize("device", BOTH)
def test_saturation_is_applied_once_a_step(device: str, on: Client) -> None:
    """A rises until it saturates and falls after that: the order shows in the result."""
    config = UnitConfig()
    n, steps = config.lanes, 24
    a, b = np.full((n, n * steps), 0x7F), np.full((n, n * steps), 0x7F)
    a[:, 14 * n :] = 0xFF
    a[1::2] ^= 0x80
    b[3, ::3] = 0
    b[5, 14 * n :] = 0
    saturated, exact = sums(config, a, b), sums(config, a, b, "exact")
    assert (saturated != exact).any() and (np.abs(exact) > 1 << 31).any()
    wide = UnitConfig(accumulator="exact")
    for shift in (0, 5, 24):
        compare(on(device), config, a, b, shift, 0, fixed=True)
        compare(on(device), wide, a, b, shift, 0, fixed=True)


@pytest.mark.parametrize("terms", [1, 2])
@pytest.mark.parametrize("device", BOTH)
def test_saturation_is_applied_after_every_pass(device: str, terms: int, on: Client) -> None:
    """Close to the limit the low bits add and the highest one subtracts: their order shows."""
    n, steps = 4, 34
    config = UnitConfig(lanes=n, weights="shift", terms=terms)
    a = np.tile([[0x7F, 0xFF, 0xFF, 0x00]], (9, steps + 5))
    b = np.tile([[0x7F, 0x70, 0x70, 0x55]], (9, steps + 5))
    a[:, : n * steps], b[:, : n * steps] = 0x7F, 0x7F
    a[1::2] ^= 0x80
    b[3, ::3] = 0
    acc = sums(config, a, b, codes=True)
    assert (acc != sums(config, a, b, "exact", True)).any()
    plain = UnitConfig(lanes=n)
    assert (acc != sums(plain, a, b)).any()
    for transposed in (False, True):
        compare(on(device), config, a, b, 0, 0, fixed=True, codes=True, transposed=transposed)


@pytest.mark.parametrize("accumulator", ["sat32", "exact"])
@pytest.mark.parametrize("device", BOTH)
def test_shifts_and_biases_at_their_limits(device: str, accumulator: AccMode, on: Client) -> None:
    config = UnitConfig(lanes=8, accumulator=accumulator)
    a, b = random_operands(config, 40, 700, 128, 5, 0.9)
    a[:8] = 0x7F
    b[::5], b[1::5] = 0x7F, 0xFF
    for bias in (0, (1 << 31) - 1, -(1 << 31)):
        compare(on(device), config, a, b, np.arange(-64, 64), bias, fixed=True)
    for out_bias in (-64, -42, -20, 0, 20, 63):
        compare(
            on(device), config, a, b, np.arange(-64, 64), -1, fraction=abs(out_bias) % 17,
            out_bias=out_bias,
        )  # fmt: skip


@pytest.mark.parametrize("density", [0.0, 0.02, 1.0])
def test_sparse_and_dense_operands(density: float, on: Client) -> None:
    config = UnitConfig(lanes=4)
    a, b = random_operands(config, 9, 50, 11, 2, density)
    for device in BOTH:
        compare(on(device), config, a | 0x80 * (a == 0), b, 9, 0)


FAULTS = {
    "sign of a product": ("a.s = (s ^ sign) - sign;", "a.s = s;"),
    "implied one": ("| (1 << SF_MAN)) & (body != 0)", ") & (body != 0)"),
    "zero code": ("(1 << SF_MAN)) & (body != 0);", "(1 << SF_MAN));"),
    "ties up": ("((rest != 0) | q) & 1", "1"),
    "ties of the mantissa": ("(SF_UINTS(rest) | s) & 1", "1"),
    "smallest value": ("const ints_t least = (u < r.least_limit);", "const ints_t least = 0;"),
    "wrapping sum": ("(over & ((x >> 31) ^ INT_MAX)) | (~over & sum)", "sum"),
    "past the largest": ("(past & SF_LARGEST) | (~past & body)", "body"),
    "accumulator kept": ("if (clear) before = (accs_t)(0);", ""),
    "bank pointer": ("s->pointer[lane] = next + stored;", "s->pointer[lane] = next + 1;"),
    "one channel a lane": ("places = (ints_t)(shifts[s->line]);", ""),
    "padded lanes": ("fixed.v[v] = t & SF_LOAD(v, valid);", "fixed.v[v] = t;"),
}


def faulty(client: UnitClient, config: UnitConfig, text: str | None) -> None:
    a, b = all_pairs(config, 1)
    compare(client, config, a[:-3], b[:-3], 5, 1, fraction=10, out_bias=-2, text=text)
    tall = np.full((5, 160), 0x7F)
    compare(client, config, tall, tall, 4, 0, fixed=True, text=text)
    a, b = random_operands(config, 9, 23, 10, 8)
    compare(client, config, a, b, 12, 40, text=text)
    shift = np.arange(8, 18)
    compare(client, config, a, b, shift, 40, transposed=True, text=text)


def test_planted_faults_are_seen(on: Client) -> None:
    config, client = UnitConfig(lanes=4), on("intel-cpu")
    text = render_edgebert(UnitDesign(config))
    faulty(client, config, text)
    for name, (old, new) in FAULTS.items():
        assert text.count(old) >= 1, name
        with pytest.raises(AssertionError):
            faulty(client, config, text.replace(old, new))
            pytest.fail(f"not seen: {name}", pytrace=False)


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("lanes", [2, 16, 32])
def test_the_text_keeps_intels_rules(lanes: int, weights: str) -> None:
    config = UnitConfig(lanes=lanes, **WEIGHTS[weights])
    text = render_edgebert(UnitDesign(config))
    assert text == render_edgebert(UnitDesign(config))
    assert check_rules(text, source_name="unit.cl") == []
    for defines in ({"SF_LOWERED": "1"}, {"SF_EMULATOR": "1"}):
        found = check_rules(text, source_name="unit.cl", defines=defines)
        assert [v for v in found if v.severity == "error"] == []
    ends = {name for c in unit_channels(UnitDesign(config)) for name in (c.writer, c.reader)}
    assert ends == set(unit_kernels())


@pytest.mark.parametrize("lanes", [2, 8, 32])
def test_packing_is_the_bit_mask_storage(lanes: int) -> None:
    a, _ = random_operands(UnitConfig(lanes=lanes), 3 * lanes + 1, 70, 1, 4)
    packed = pack(a, lanes, 0x7F)
    stored = encode(to_vectors(a, lanes))
    assert np.array_equal(packed.masks.reshape(-1), stored.masks)
    assert np.array_equal(unpack(packed, *a.shape), np.where(a == 0x80, 0, a))
    counts = ((packed.masks[:, :, None] >> np.arange(lanes, dtype=np.uint32)) & 1).sum(axis=1)
    assert np.array_equal(packed.beats, counts.max(axis=1))


def test_bad_products_are_refused(on: Client) -> None:
    config = UnitConfig(lanes=4, a_buffer=1024, b_buffer=1024, c_buffer=1024)
    good = np.ones((4, 8), np.int64)
    for a, b, shift, said in (
        (good, good[:, :4], 0, "B transposed"), (good + 255, good, 0, "a code of A"),
        (good, good, 64, "a shift"), (good, good, [1, 2, 3], "shifts"),
        (np.ones((4, 129)), np.ones((4, 129)), 0, "k = 129"),
    ):  # fmt: skip
        with pytest.raises(RuntimeError, match=said):
            on("intel-cpu").product(config, a, b, shift, 0)
    with pytest.raises(RuntimeError, match="takes no AF codes"):
        on("intel-cpu").product(config, good, good, 0, 0, codes=True)
    with pytest.raises(InputError, match="unknown device"):
        MatrixUnit(config, "gpu")


@pytest.mark.slow
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("device", [*BOTH, "intel-cpu"])
def test_products_of_albert_base(device: str, weights: str, on: Client) -> None:
    """Normally distributed operands, at the layer's shapes and at ragged ones."""
    config = UnitConfig(**WEIGHTS[weights])
    rng = np.random.default_rng(5)
    for m, k, n in ((128, 768, 768), (128, 768, 3072), (128, 3072, 768), (127, 765, 771)):
        a, a_bias = af_encode(rng.normal(size=(m, k)))
        real = rng.normal(size=(n, k)) / k**0.5
        bias = rng.integers(-300, 300, n)
        if weights == "af":
            b, b_bias = af_encode(real)
            shift: Any = shift_amount_af(a_bias, b_bias, 10)
        else:
            b, z = shift_encode(real, config.terms)
            shift = shift_amount_shift(a_bias, z, 10)
        compare(on(device), config, a, b, shift, bias, out_bias=-5)
        compare(on(device), config, a, b, shift, bias, fixed=True)
    for m, k, n in ((128, 64, 128), (128, 128, 64), (37, 64, 37)):
        a, a_bias = af_encode(rng.normal(size=(m, k)))
        b, b_bias = af_encode(rng.normal(size=(n, k)))
        shift = shift_amount_af(a_bias, b_bias, 10)
        compare(on(device), config, a, b, shift, 0, out_bias=-5, codes=config.takes_codes)
