"""Compression of a trained classifier, on texts made for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from compress_cases import SHAPE, trained_folder

from shiftforge.errors import InputError
from shiftforge.quant.albert.compression.compress import compress
from shiftforge.quant.albert.compression.pruning import encoder_linears, sparsities
from shiftforge.quant.albert.compression.settings import Compression
from shiftforge.quant.albert.network.folder import float_network, load_classifier
from shiftforge.quant.albert.network.stages import float_stages
from shiftforge.quant.albert.training.loop import evaluate
from shiftforge.quant.formats.adaptivfloat import AdaptivFloatFormat, choose_bias, decode
from shiftforge.quant.formats.adaptivfloat import encode as encode_values
from shiftforge.quant.text.corpus import Corpus
from shiftforge.quant.text.tokeniser import encode, load_tokeniser, window

Teacher = tuple[Path, Corpus]


def _quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Teacher:
    folder = tmp_path_factory.mktemp("teacher")
    return folder, trained_folder(folder)


def _weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_everything_at_once(teacher: Teacher, tmp_path: Path) -> None:
    folder, corpus = teacher
    before = _weights(folder)
    options = Compression(
        spans=3e-3, ramp=4, prune="movement", sparsity=0.6, distil=True, rate=2e-3
    )
    lines: list[str] = []
    notes = compress(folder, tmp_path, replace(options, epochs=6), corpus=corpus, say=lines.append)
    assert _weights(folder) == before  # the teacher stays
    model, classes = load_classifier(tmp_path)
    for name, linear in encoder_linears(model).items():
        size = linear.weight.numel()
        assert int((linear.weight == 0).sum()) == size - round(0.4 * size), name
    assert sparsities(model)["encoder"] == pytest.approx(0.6, abs=1e-3)
    assert model.spans is not None
    assert model.spans.average() < SHAPE.length
    assert min(notes["accuracy"][-1], notes["validation"][-1]) > 0.8  # type: ignore[index]
    # The words stay as they were.
    words = load_classifier(folder)[0].albert.embeddings.word_embeddings.weight
    assert torch.equal(words, model.albert.embeddings.word_embeddings.weight)
    held = json.loads((tmp_path / "classifier.json").read_text())
    assert held["spans"] == {"z": model.spans.z.tolist(), "ramp": 4}
    assert held["compression"]["prune"] == "movement"
    assert held["recipe"]["epochs"] == 6
    assert held["corpus"] == "made"
    assert held["sparsity"]["q"] == pytest.approx(0.6, abs=1e-3)
    calibration = json.loads((tmp_path / "calibration.json").read_text())["ids"]
    assert len(calibration) == 24
    assert max(map(len, calibration)) <= SHAPE.length
    assert any("encoder 0.600" in line for line in lines)
    # What is in the folder gives the formulas' logits.
    tokeniser = load_tokeniser(tmp_path)
    texts = encode(tokeniser, corpus.texts[:4])
    logits = evaluate(model, texts, SHAPE.length)
    network = float_network(model, classes)
    for row, ids in enumerate(texts):
        _, layers = float_stages(network, window(ids, SHAPE.length))
        for index, stages in enumerate(layers):
            assert np.allclose(stages["logits"][0], logits[index, row], atol=1e-4)


def test_a_seed_gives_the_same_network(teacher: Teacher, tmp_path: Path) -> None:
    folder, corpus = teacher
    options = Compression(spans=1e-3, ramp=4, prune="movement", sparsity=0.5)
    for name in ("a", "b"):
        compress(folder, tmp_path / name, replace(options, epochs=1), corpus=corpus, say=_quiet)
    assert _weights(tmp_path / "a") == _weights(tmp_path / "b")


def test_going_on_from_a_compressed_network(teacher: Teacher, tmp_path: Path) -> None:
    folder, corpus = teacher
    first, second = tmp_path / "first", tmp_path / "second"
    options = Compression(spans=3e-3, ramp=4, prune="magnitude", sparsity=0.5)
    compress(folder, first, replace(options, epochs=2), corpus=corpus, say=_quiet)
    again = Compression(distil=True, epochs=1)
    compress(folder, second, again, start=first, corpus=corpus, say=_quiet)
    a, b = load_classifier(first)[0], load_classifier(second)[0]
    assert a.spans is not None
    assert b.spans is not None
    assert torch.equal(a.spans.z, b.spans.z)
    for name, linear in encoder_linears(b).items():
        old = encoder_linears(a)[name].weight
        assert torch.equal(linear.weight == 0, old == 0)
        assert not torch.equal(linear.weight, old)


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["af8", "shift1"])
def test_pruned_weights_on_levels(teacher: Teacher, tmp_path: Path, weights: str) -> None:
    folder, corpus = teacher
    options = Compression(
        spans=3e-3, ramp=4, prune="magnitude", sparsity=0.5, weights=weights, rate=2e-3
    )
    notes = compress(folder, tmp_path, replace(options, epochs=1), corpus=corpus, say=_quiet)
    assert notes["weights"] == weights
    model, _ = load_classifier(tmp_path)
    for name, linear in encoder_linears(model).items():
        values = linear.weight.detach().double().numpy()
        assert (values == 0).mean() >= 0.5, name
        if weights == "af8":
            bias = choose_bias(values, AdaptivFloatFormat())
            codes = encode_values(values, AdaptivFloatFormat(), bias)
            assert np.array_equal(decode(codes, AdaptivFloatFormat(), bias), values), name
        else:
            exponents = np.log2(np.abs(values[values != 0]))
            assert np.array_equal(exponents, np.round(exponents)), name


def test_what_compress_refuses(teacher: Teacher, tmp_path: Path) -> None:
    folder, corpus = teacher
    with pytest.raises(InputError) as caught:
        Compression(prune="movement", sparsity=1.5, ramp=0, rate=0.0)
    for word in ("sparsity", "ramp", "rate"):
        assert word in str(caught.value)
    with pytest.raises(InputError, match="int3"):
        compress(folder, tmp_path / "out", Compression(weights="int3"), corpus=corpus, say=_quiet)
    with pytest.raises(InputError, match="no classifier"):
        compress(tmp_path / "none", tmp_path / "out", Compression(), corpus=corpus, say=_quiet)
    with pytest.raises(InputError):
        options = Compression(table=tmp_path / "none")
        compress(folder, tmp_path / "out", options, corpus=corpus, say=_quiet)
    assert not (tmp_path / "out").exists()
