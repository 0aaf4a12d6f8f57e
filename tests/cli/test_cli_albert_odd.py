"""What is said of text classifiers where it is not what a reader would think."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from albert_projects import NOTES, problems, save_trained, stand_in
from devices import pretend_usable

from shiftforge.cli.main import run
from shiftforge.quant.albert.network.file import load_package
from shiftforge.quant.albert.network.model import OffRampAlbert, configuration, shorten
from shiftforge.quant.albert.network.settings import Shape
from shiftforge.quant.text import catalogue
from shiftforge.quant.text.corpus import without_copies


def hugging_face(folder: Path, **settings: Any) -> Path:
    """An ALBERT's folder without notes."""
    from shiftforge.quant.albert.network.folder import save_classifier

    shape = Shape(hidden=32, heads=2, ffn=40, layers=2, length=12, embedding=24, vocabulary=50)
    sizes = {"max_position_embeddings", "hidden_size", "num_attention_heads"} & set(settings)
    config = configuration(shape, 50)
    for name in sizes:
        setattr(config, name, settings[name])
    save_classifier(OffRampAlbert(config, 2).eval(), ("a", "b"), folder, NOTES)
    (folder / "classifier.json").unlink()
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return folder


def quantised(folder: Path, *more: str) -> list[str]:
    out = str(folder.parent / "n.safetensors")
    return ["quantize", str(folder), "-o", out, "--untrained-off-ramps", *more]


def test_places_past_the_longest_sentence_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = hugging_face(tmp_path / "hf", max_position_embeddings=2048)
    assert run(quantised(folder)) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "at most 128 tokens: of the 2,048 places of the network (max_position_emb" in told
    assert load_package(tmp_path / "n.safetensors").network.length == 128


@pytest.mark.parametrize(
    ("settings", "classes"),
    [
        ({"num_labels": 3}, ("class 0", "class 1", "class 2")),
        ({"id2label": {"1": "bad", "0": "good", "2": "so"}}, ("good", "bad", "so")),
        ({}, ("class 0", "class 1")),
        # What else a stranger's settings ask for is not done.
        (
            {
                "quantization_config": {"quant_method": "bitsandbytes"},
                "dtype": "no",
                "auto_map": {"AutoModel": "x.Y"},
            },
            ("class 0", "class 1"),
        ),
    ],
)
def test_classes_are_those_of_the_settings(
    settings: dict[str, Any], classes: tuple[str, ...], tmp_path: Path
) -> None:
    folder = hugging_face(tmp_path / "hf")
    path = folder / "config.json"
    kept = {n: v for n, v in json.loads(path.read_text()).items() if "label" not in n}
    path.write_text(json.dumps(kept | settings))
    assert run(quantised(folder)) == 0
    assert load_package(tmp_path / "n.safetensors").network.classes == classes


def test_heads_that_no_unit_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = hugging_face(tmp_path / "hf", num_attention_heads=4)
    out = str(tmp_path / "n.safetensors")
    assert run([*quantised(folder), "--json"]) == 2
    assert "4 heads in 32 columns: no unit runs heads of 8" in problems(capsys)
    assert run(["quantize", "albert-random:8x32x8x48", "-o", out, "--json"]) == 2
    assert "8 heads in 32 columns: no unit runs heads of 4" in problems(capsys)
    line = ["train", "albert", "--corpus", "bbc", "-o", str(tmp_path / "c"), "--heads", "16"]
    assert run([*line, "--json"]) == 2
    assert "16 heads in 64 columns: no unit runs heads of 4" in problems(capsys)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"hidden_size": 10**9}, "hidden_size is 1000000000"),
        ({"vocab_size": 2**60}, "vocab_size is 1152921504606846976"),
        ({"num_labels": 2**40}, "num_labels is 1099511627776"),
        ({"num_hidden_groups": 2}, "2 groups of 1 layers"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type is 'relative_key'"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ({"vocab_size": 51}, "size mismatch: embeddings.word_embeddings.weight is (50, 24)"),
    ],
)
def test_settings_of_a_folder(
    settings: dict[str, Any], what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = hugging_face(tmp_path / "hf")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    assert run([*quantised(folder), "--json"]) == 2
    assert what in problems(capsys)


@pytest.mark.parametrize(
    "source",
    ["albert-random:9999x768x12x3072", "albert-random:8x999936x15624x48",
     "albert-random:8x64x4x999999", "albert-random:8x64x4x64x999999",
     "albert-random:128x16384x64x65536"],
)  # fmt: skip
def test_random_weights_of_any_size(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["quantize", source, "-o", str(tmp_path / "n.safetensors"), "--json"]) == 2
    assert "use" in json.loads(capsys.readouterr().out)["error"][0]["remedy"]


def test_the_number_of_an_input_is_compared(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(f"rain number {i}", "abcde"[i % 5]) for i in range(200)]
    made = without_copies("bbc", rows)
    monkeypatch.setitem(catalogue.CORPORA, "bbc", lambda: made)
    pretend_usable(monkeypatch)
    stand_in(monkeypatch)
    line = ["compare", str(project), "--from", "golden", "--to", "pocl", "--json", "--input"]
    for more, count in ((["bbc:held-out:20"], 20), (["bbc:held-out"], 8),
                        (["bbc:held-out:20", "--limit", "3"], 3)):  # fmt: skip
        assert run([*line, *more]) == 0
        assert json.loads(capsys.readouterr().out)["pairs"][0]["samples"] == count


def test_results_have_the_lines_of_the_input(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend_usable(monkeypatch)
    stand_in(monkeypatch)
    monkeypatch.setattr("sys.stdin", io.StringIO("\nthe cat\n\n \nrain on the mat\n"))
    line = ["emulate", str(project), "--device", "pocl", "--input", "-"]
    assert run([*line, "--json"]) == 0
    printed = capsys.readouterr()
    assert [row["line"] for row in json.loads(printed.out)["sentences"]] == [2, 5]
    assert "lines 1, 3, 4 are blank: left out" in printed.err
    monkeypatch.setattr("sys.stdin", None)
    assert run([*line, "--json"]) == 2
    assert "is closed" in problems(capsys)


def test_calibration_texts_that_are_cut_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_trained(tmp_path / "c")
    (folder / "classifier.json").unlink()
    (tmp_path / "t.txt").write_text("rain " * 40 + "\n\nthe cat\n")
    assert run(quantised(folder, "--calib", str(tmp_path / "t.txt"))) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "line 2 is blank: left out" in told
    assert "1 of 2 texts are longer than 12 tokens: of them the first 11 tokens and" in told
    for calib in (tmp_path, tmp_path / "none"):
        assert run([*quantised(folder, "--calib", str(calib)), "--json"]) == 2
        capsys.readouterr()


def test_a_shorter_network_computes_the_same() -> None:
    torch.manual_seed(0)
    shape = Shape(hidden=32, heads=2, ffn=40, layers=2, length=30, embedding=24, vocabulary=50)
    model = OffRampAlbert(configuration(shape, 50), 2).eval()
    ids = torch.from_numpy(np.arange(24).reshape(2, 12))
    with torch.no_grad():
        before = model(ids, torch.ones_like(ids))[-1]
        shorten(model, 12)
        assert torch.equal(model(ids, torch.ones_like(ids))[-1], before)
    assert model.config.max_position_embeddings == 12
    assert replace(shape, length=12).length == len(
        model.albert.embeddings.position_embeddings.weight
    )
