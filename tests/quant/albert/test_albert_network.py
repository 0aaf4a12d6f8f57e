"""The ALBERT classifier: formulas against transformers, integers, files, training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from albert_cases import float_case, integer_case, sentences
from transformers import AlbertConfig, AlbertForSequenceClassification

from shiftforge.errors import InputError
from shiftforge.quant.albert.network.convert import convert, shift_channels
from shiftforge.quant.albert.network.file import load_integer, save_integer
from shiftforge.quant.albert.network.folder import (
    float_network,
    load_classifier,
    pretrained,
    save_classifier,
    shape_of,
)
from shiftforge.quant.albert.network.model import OffRampAlbert, batch_of, configuration
from shiftforge.quant.albert.network.settings import Recipe, Shape
from shiftforge.quant.albert.network.stages import float_stages
from shiftforge.quant.albert.training.loop import Labelled
from shiftforge.quant.albert.training.settings import Training
from shiftforge.quant.albert.training.texts import chosen_fold, validation_part
from shiftforge.quant.albert.training.train import TrainingSet, evaluate, train
from shiftforge.quant.text.corpus import Corpus
from shiftforge.quant.text.tokeniser import encode, load_tokeniser, window

SHAPE = Shape(hidden=32, heads=2, ffn=48, layers=3, length=16, embedding=24)


def random_model(classes: int = 3) -> OffRampAlbert:
    torch.manual_seed(0)
    model = OffRampAlbert(configuration(SHAPE, 50), classes).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(3 if p.ndim > 1 else 1).add_(0.1 * torch.randn_like(p))
    return model


def test_the_formulas_are_those_of_transformers() -> None:
    model = random_model()
    network = float_network(model, ("a", "b", "c"))
    texts = [np.arange(4, 20), np.array([2, 9, 7, 30, 3])]
    with torch.no_grad():
        wanted = model(*batch_of(texts))  # the shorter one is padded and masked
        hidden = model.albert(*batch_of(texts), output_hidden_states=True).hidden_states
    for row, ids in enumerate(texts):
        first, layers = float_stages(network, ids)
        assert np.allclose(first["input"], hidden[-4][row, : len(ids)], atol=1e-5)
        for index, stages in enumerate(layers):
            assert np.allclose(stages["logits"][0], wanted[index][row], atol=1e-5)


def test_networks_the_unit_does_not_compute() -> None:
    base = configuration(SHAPE, 50).to_dict()
    config = AlbertConfig.from_dict({**base, "num_hidden_groups": 3, "hidden_act": "relu"})
    with pytest.raises(InputError) as caught:
        float_network(OffRampAlbert(config, 2), ("a", "b"))
    assert len(caught.value.problems) == 2
    with pytest.raises(InputError, match="heads in 48"):
        Shape(hidden=48, heads=2)


def test_a_classifier_folder(tmp_path: Path) -> None:
    model = random_model()
    save_classifier(model, ("a", "b", "c"), tmp_path)
    again, classes = load_classifier(tmp_path)
    assert classes == ("a", "b", "c")
    ids, mask = batch_of([np.arange(4, 12)])
    with torch.no_grad():
        assert torch.equal(again(ids, mask)[-1], model(ids, mask)[-1])
    (tmp_path / "model.safetensors").write_bytes(b"\x80pickle")
    with pytest.raises(InputError, match="no safetensors file"):
        load_classifier(tmp_path)


@pytest.mark.parametrize("terms", [1, 2])
def test_shift_channels_take_the_nearest_level(terms: int) -> None:
    rng = np.random.default_rng(terms)
    values = rng.normal(size=(5, 30))
    values[3] = 0
    codes, z = shift_channels(values, terms)
    nibble = np.array([0, 1, 2, 4, 8, 16, 32, 64, 0, -1, -2, -4, -8, -16, -32, -64])
    got = (nibble[codes & 15] + nibble[codes >> 4]) * 2.0 ** z[:, None].astype(float)
    assert (codes[3] == 0).all() and (terms == 2 or codes.max() < 16)
    levels = np.unique(nibble if terms == 1 else (nibble[:, None] + nibble[None, :]))
    for row, given in zip(got, values, strict=True):

        def nearest(scale: float, given: np.ndarray = given) -> float:
            apart = np.abs(given[:, None] - levels[None, :] * scale).min(axis=1)
            return float(np.square(apart).sum())

        best = min(nearest(2.0**k) for k in range(-12, 4))
        # Sums with equal terms (128 = 64 + 64) are legal but not canonical: a little coarser.
        assert np.square(row - given).sum() <= best * 1.1 + 1e-12


def test_the_integer_file(tmp_path: Path) -> None:
    for weights in ("af", "shift2"):
        network = integer_case(weights)  # type: ignore[arg-type]
        path = tmp_path / f"{weights}.safetensors"
        save_integer(network, path)
        first = path.read_bytes()
        again = load_integer(path)
        assert again.biases == network.biases and again.classes == network.classes
        for name, array in network.arrays().items():
            assert np.array_equal(again.arrays()[name], array), name
        save_integer(again, path)
        assert path.read_bytes() == first
    path.write_bytes(first[:200])
    with pytest.raises(InputError, match="no safetensors file"):
        load_integer(path)
    path.write_bytes(first.replace(b"albert-integer-2", b"albert-integer-9"))
    with pytest.raises(InputError, match="kind"):
        load_integer(path)


def test_integer_networks_are_checked() -> None:
    network = integer_case()
    biases = ({**network.biases[0], "input": 9}, *network.biases[1:])
    with pytest.raises(InputError, match="input bias"):
        replace(network, biases=biases).check()
    with pytest.raises(InputError, match="off-ramps"):
        replace(network, ramps=network.ramps[:2]).check()
    linears = {**network.linears, "q": network.linears["mapping"]}
    with pytest.raises(InputError, match="q has arrays"):
        replace(network, linears=linears).check()
    with pytest.raises(InputError) as caught:
        replace(network, heads=0, fraction=40, epsilon="small").check()
    assert [p.where for p in caught.value.problems] == ["heads", "fraction", "epsilon"]
    with pytest.raises(InputError, match="no calibration texts"):
        convert(float_case(), [])
    assert len(sentences()) == 4


def test_two_stages_learn_a_simple_task() -> None:
    """Texts in which one of three words appears, among noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 240)
    texts = []
    for label in labels:
        ids = rng.integers(10, 50, int(rng.integers(6, 12)))
        ids[0], ids[-1] = 2, 3
        ids[rng.integers(1, len(ids) - 1)] = 4 + label
        texts.append(ids)
    recipe = Recipe(epochs=8, rate=3e-3, dropout=0.0, word_dropout=0.0, ramp_epochs=100)
    told: list[str] = []
    runs = [
        train(
            Training(SHAPE, recipe),
            TrainingSet(Labelled(texts[:200], labels[:200]), Labelled(texts[200:], labels[200:]),
                        classes=3, vocabulary=50),
            say=told.append,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert runs[0].accuracy[-1] > 0.9, told
    assert runs[0].accuracy == runs[1].accuracy
    logits = evaluate(runs[0].model, texts[200:], 16)
    assert np.array_equal(logits, evaluate(runs[1].model, texts[200:], 16))
    assert "s left" in told[0]


def test_one_command_from_texts_to_a_folder(tmp_path: Path) -> None:
    from shiftforge.quant.albert.training.run import train_fold
    from shiftforge.quant.albert.training.texts import held_out

    rng = np.random.default_rng(1)
    words = [["goal", "match", "team"], ["market", "shares", "profit"]]
    labels = np.arange(60) % 2
    texts = tuple(
        " ".join(rng.choice([*words[label], "the", "a", "of"], 9)) + f" {i}"
        for i, label in enumerate(labels)
    )
    corpus = Corpus("made", texts, labels.astype(np.int64), ("sport", "money"), 0)
    shape = Shape(16, 1, 16, 2, 16, 8, 100)
    notes = train_fold(
        corpus, 1, tmp_path, Training(shape, Recipe(epochs=6, rate=1e-2, ramp_epochs=20)),
        say=lambda text: None,
    )  # fmt: skip
    assert notes["tfidf"] > 0.9  # type: ignore[operator]
    model, classes = load_classifier(tmp_path)
    held = held_out(corpus, 1, tmp_path, 16, calibration=5)
    assert len(held.ids) == 12 and len(held.calibration) == 5
    validates = validation_part(chosen_fold(corpus, 1), corpus.labels)[1]
    ids = encode(load_tokeniser(tmp_path), [corpus.texts[i] for i in validates])
    chooses = {tuple(window(one, 16).tolist()) for one in ids}
    calibrates = held_out(corpus, 1, tmp_path, 16, calibration=len(corpus)).calibration
    # Texts that validate do not calibrate.
    assert not chooses & {tuple(one.tolist()) for one in calibrates}
    network = convert(float_network(model, classes), held.calibration)
    assert network.layers == 2 and network.classes == ("sport", "money")


def test_training_starts_from_a_hugging_face_folder(tmp_path: Path) -> None:
    torch.manual_seed(5)
    source = AlbertForSequenceClassification(configuration(SHAPE, 40))
    source.save_pretrained(tmp_path / "hf")
    model = pretrained(tmp_path / "hf", 3)
    kept = source.albert.embeddings.word_embeddings.weight
    assert torch.equal(model.albert.embeddings.word_embeddings.weight, kept)
    assert shape_of(model, 500) == replace(SHAPE, vocabulary=40)
    texts = [np.array([2, 5 + i % 3, 7, 3]) for i in range(12)]
    labels = np.arange(12) % 3
    recipe = Recipe(epochs=3, ramp_epochs=1)
    both = Labelled(texts, labels)
    done = train(
        Training(SHAPE, recipe), TrainingSet(both, both, 3, 40), start=model, say=lambda text: None
    )
    assert done.model is model and not torch.equal(
        model.albert.embeddings.word_embeddings.weight, kept
    )
    with pytest.raises(InputError, match="no ALBERT"):
        pretrained(tmp_path / "none", 3)
