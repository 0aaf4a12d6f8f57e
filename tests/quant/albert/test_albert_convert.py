"""Weights of fewer bits, span tables, frozen word tables, sparsity, calibration files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from albert_cases import float_case, integer_case, sentences

from shiftforge.errors import InputError
from shiftforge.quant.albert.network.convert import calibrate, convert, mask_tables, zero_shares
from shiftforge.quant.albert.network.file import load_package
from shiftforge.quant.albert.network.quantise import calibration_texts, quantise_folder
from shiftforge.quant.albert.network.stages import LINEARS, FloatNetwork
from shiftforge.quant.albert.network.weights import (
    LEAST_BIAS,
    STORED,
    af_codes,
    af_format,
    shift_channels,
    weight_choice,
)
from shiftforge.quant.formats.adaptivfloat import decode, encode, values
from shiftforge.quant.text.tokeniser import save_tokeniser, train_wordpiece
from shiftforge.sim.golden.edgebert.softmax import span_table

MATRICES = (*LINEARS, "mapping", "ramp 0", "ramp 1", "ramp 2")


def with_values(network: FloatNetwork, **changed: np.ndarray) -> FloatNetwork:
    named = {name.replace("_", " "): array for name, array in changed.items()}
    return replace(network, values={**network.values, **named})


@pytest.mark.parametrize("bits", [4, 5, 6, 7, 8])
def test_every_value_of_fewer_bits_is_a_stored_one(bits: int) -> None:
    fmt = af_format(bits)
    assert str(fmt) == f"AF<{bits},3>" and fmt.mantissa_bits == bits - 4
    finer = np.uint8((1 << (8 - bits)) - 1)
    for bias in (-64, *range(-20, 5), 63):
        narrow = values(fmt, bias)
        codes = encode(narrow, STORED, bias)
        assert np.array_equal(decode(codes, STORED, bias), narrow)
        # The same sign and exponent fields, a mantissa padded with zeros; both zeros are code 0.
        wide = np.arange(fmt.code_count, dtype=np.uint8) << np.uint8(8 - bits)
        wide[fmt.code_count // 2] = 0
        assert np.array_equal(codes, wide)
        assert not (codes & finer).any()
        # Zero and the extremes: 0 under one code only, v_min and v_max by the format's formulas.
        size = np.unique(np.abs(narrow))
        assert size[0] == 0 and (narrow == 0).sum() == 2
        assert (size[1], size[-1]) == (fmt.smallest(bias), fmt.largest(bias))
    # Planted: a bias off by one has no code for the smallest or the largest value.
    off = encode(values(fmt, 0), STORED, 1)
    assert not np.array_equal(decode(off, STORED, 1), values(fmt, 0))


@pytest.mark.parametrize("bits", [4, 5, 6, 7, 8])
def test_codes_are_the_nearest_values_and_come_back(bits: int) -> None:
    rng = np.random.default_rng(bits)
    given = rng.normal(size=(30, 20)) * 2.0 ** rng.integers(-9, 1, (30, 20))
    given[rng.random(given.shape) < 0.3] = 0
    codes, bias = af_codes(given, bits)
    got = decode(codes, STORED, bias)
    level = np.unique(values(af_format(bits), bias))
    nearest = np.abs(given[..., None] - level).min(axis=-1)
    assert np.array_equal(np.abs(given - got), nearest)
    assert (codes[given == 0] == 0).all()
    again, same = af_codes(got, bits)
    assert same == bias and np.array_equal(again, codes)
    assert af_codes(np.zeros((2, 2)), bits)[1] == LEAST_BIAS


def test_names_of_weights() -> None:
    assert weight_choice("af", 5).name == "af5"
    for name in ("af8", "af4", "shift1", "shift2", "dtssq:0.25"):
        assert weight_choice(name).name == name
    assert weight_choice("dtssq:0.25").kind == "shift2"
    for name, bits in (("af3", 8), ("dtssq:2", 8), ("dtssq:x", 8), ("shift1", 5), ("af6", 5)):
        with pytest.raises(InputError):
            weight_choice(name, bits)
    with pytest.raises(InputError, match="4 to 8"):
        weight_choice("af", 3)


@pytest.mark.parametrize("bits", [4, 6])
def test_a_network_with_weights_of_fewer_bits(bits: int) -> None:
    made = convert(float_case(), sentences(), bits=bits)
    assert made.bits == bits
    for linear in (*made.linears.values(), *made.ramps):
        bias = int(linear.exponent[0])
        level = values(af_format(bits), bias)
        assert np.isin(decode(linear.codes, STORED, bias), level).all()
    with pytest.raises(InputError, match="levels"):
        replace(integer_case(), bits=bits).check()


@pytest.mark.parametrize("ramp", [1, 8, 13])
def test_span_tables_are_those_of_the_unit(ramp: int) -> None:
    length = 24
    z8 = np.concatenate(
        [np.arange(-256 * ramp - 3, 256 * 3, 3), np.arange(256 * 3, 256 * (length + 2), 37)]
    )
    wanted = np.stack([span_table(int(z), ramp, length) for z in z8])
    assert np.array_equal(mask_tables(z8 / 256, ramp, length), wanted)
    # Between two of them, ties included, z goes to the even one.
    between = mask_tables((z8 + 0.5) / 256, ramp, length)
    even = np.stack([span_table(int(z + (z & 1)), ramp, length) for z in z8])
    assert np.array_equal(between, even)
    assert not np.array_equal(mask_tables((z8 + 256) / 256, ramp, length), wanted)


def test_spans_of_a_network() -> None:
    spans = np.array([-4.0, 2.3])
    network = replace(float_case(), spans=spans, ramp=4)
    made = convert(network, sentences())
    assert made.spans is not None and made.spans.dtype == np.uint16
    assert made.skipped == (0,)
    assert np.array_equal(made.spans[1], span_table(round(256 * 2.3), 4, 12))
    for bad in ({"ramp": 0}, {"spans": np.array([np.nan, 1.0])}):
        with pytest.raises(InputError, match="spans"):
            biases = calibrate(float_case(), sentences())
            convert(replace(network, **bad), sentences(), biases=biases)


def test_tasks_that_share_a_word_table_have_equal_codes() -> None:
    rng = np.random.default_rng(3)
    codes = encode(0.02 * rng.normal(size=(50, 24)), STORED, -12)
    codes[rng.random(codes.shape) < 0.6] = 0
    table = decode(codes, STORED, -12)
    networks = [
        with_values(float_case(1), word=table),
        # The other task's places are much larger: they may not raise the words' bias.
        with_values(float_case(2), word=table, position=900 * float_case(2).values["position"]),
    ]
    made = [convert(n, sentences(), word_bias=-12) for n in networks]
    assert made[0].embedding_biases["place"] != made[1].embedding_biases["place"]
    for one in made:
        assert np.array_equal(one.word, codes)
        assert one.words.digest == made[0].words.digest
        assert one.embedding_biases["place"] - one.embedding_biases["word"] <= 16
        assert zero_shares(one)["word"] == (codes == 0).mean()
    # Planted: a table that training moved, or the bias of another table.
    moved = table.copy()
    moved[7, 3] += 1e-4
    for network, bias in ((with_values(networks[0], word=moved), -12), (networks[0], -9)):
        with pytest.raises(InputError, match="not AF<8,3> of exponent bias"):
            convert(network, sentences(), word_bias=bias)


def test_the_place_table_yields_to_the_words() -> None:
    small = with_values(
        float_case(), position=2.0**-20 * float_case().values["position"],
        type=2.0**-20 * float_case().values["type"], word=64 * float_case().values["word"],
    )  # fmt: skip
    biases = calibrate(small, sentences()).embedding
    assert biases["place"] == biases["word"] - 16
    large = with_values(float_case(), position=2.0**30 * float_case().values["position"])
    with pytest.raises(InputError, match="16 apart"):
        convert(large, sentences())


@pytest.mark.parametrize("weights", ["af", "shift1", "shift2"])
def test_pruned_weights_stay_zero(weights: str) -> None:
    rng = np.random.default_rng(5)
    base = float_case()
    masks = {name: rng.random(base.values[name].shape) < 0.5 for name in MATRICES}
    masks["q"][4] = True  # a whole channel
    network = replace(
        base, values={**base.values, **{n: base.values[n] * ~m for n, m in masks.items()}}
    )
    made = convert(network, sentences(), weights)  # type: ignore[arg-type]
    held = {**made.linears, **{f"ramp {i}": r for i, r in enumerate(made.ramps)}}
    for name, mask in masks.items():
        assert (held[name].codes[mask] == 0).all()
        assert zero_shares(made)[name] >= mask.mean()
    whole = np.concatenate([held[name].codes.ravel() for name in MATRICES])
    assert zero_shares(made)["linears"] == pytest.approx((whole == 0).mean())


@pytest.mark.parametrize("terms", [1, 2])
def test_shift_levels_come_back_exactly(terms: int) -> None:
    rng = np.random.default_rng(terms)
    nibble = np.array([0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64])
    for _ in range(20):
        codes, z = shift_channels(rng.normal(size=(8, 12)) ** 3, terms)
        real = (nibble[codes & 15] + nibble[codes >> 4]) * 2.0 ** z[:, None].astype(float)
        again, same = shift_channels(real, terms)
        got = (nibble[again & 15] + nibble[again >> 4]) * 2.0 ** same[:, None].astype(float)
        assert np.array_equal(got, real)


def _folder(folder: Path, **notes: object) -> None:
    import torch

    from shiftforge.quant.albert.network.folder import save_classifier
    from shiftforge.quant.albert.network.model import OffRampAlbert, configuration
    from shiftforge.quant.albert.network.settings import Shape

    torch.manual_seed(0)
    shape = Shape(hidden=16, heads=1, ffn=16, layers=2, length=10, embedding=8)
    save_classifier(OffRampAlbert(configuration(shape, 40), 2).eval(), ("a", "b"), folder, notes)
    ids = [[2, 7, 9, 3], [2, *range(10, 30), 3]]
    (folder / "calibration.json").write_text(json.dumps({"ids": ids}))
    save_tokeniser(train_wordpiece(["a cat sat"], 40), folder)


def test_a_folder_becomes_a_package(tmp_path: Path) -> None:
    folder, path = tmp_path / "one", tmp_path / "net.safetensors"
    _folder(folder, weights="af5", corpus="bbc", fold=0)
    assert [len(t) for t in calibration_texts(folder, 10, 40)] == [4, 10]
    made = quantise_folder(folder, path)
    package = load_package(path)
    assert (made.weights, made.bits, package.network.bits) == ("af", 5, 5)
    assert package.tokeniser == (folder / "tokenizer.json").read_text()
    assert package.notes is not None
    assert package.notes["quantised"]["weights"] == "af5"
    assert quantise_folder(folder, path, "shift1").weights == "shift1"
    assert quantise_folder(folder, path, "af", bits=6).bits == 6
    with pytest.raises(InputError, match="trained for af5"):
        quantise_folder(folder, path, "dtssq:0.25")


def test_damaged_calibration_texts(tmp_path: Path) -> None:
    _folder(tmp_path)
    for text in ("{", '{"ids": []}', '{"ids": [[1, 99]]}', '{"ids": [[]]}', '{"texts": 1}'):
        (tmp_path / "calibration.json").write_text(text)
        with pytest.raises(InputError):
            quantise_folder(tmp_path, tmp_path / "net.safetensors")
    assert not (tmp_path / "net.safetensors").exists()
