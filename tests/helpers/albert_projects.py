"""Tiny text classifiers as files, folders and projects, and a stand-in for what runs them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from albert_cases import integer_case, optimised_case, sentences
from safetensors.numpy import save_file

from shiftforge.cli.main import run
from shiftforge.quant.albert.network.file import save_integer
from shiftforge.quant.text.tokeniser import train_wordpiece
from shiftforge.sim.edgebert import sentence_rtl as rtl
from shiftforge.sim.edgebert.opencl import sentence_run as opencl_run
from shiftforge.sim.edgebert.sentence_golden import Sentence, golden_sentence

NOTES = {"corpus": "bbc", "fold": 0, "split": 0}
TEXTS = ("a cat sat on the mat", "the dog is good", "rain")
BOARD = ["--board", "a10gx1150"]


def texts(folder: Path) -> str:
    path = folder / "texts.txt"
    path.write_text("the cat is good\n\nrain on the mat\n")
    return str(path)


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def problems(capsys: pytest.CaptureFixture[str]) -> str:
    found = json.loads(capsys.readouterr().out)["error"]
    assert all(problem["remedy"] for problem in found)
    return "\n".join(problem["what"] for problem in found)


def save_network(path: Path, *, optimised: bool = False, tokens: bool = True) -> Path:
    """The random network of the cases with a tokeniser of a few words."""
    network = optimised_case() if optimised else integer_case()
    words = train_wordpiece(TEXTS, 50).to_str() if tokens else None
    save_integer(network, path, tokeniser=words, notes=NOTES)
    return path


def make_project(folder: Path, *, optimised: bool = False) -> Path:
    """A generated project of it."""
    model = save_network(folder.with_suffix(".safetensors"), optimised=optimised)
    assert run(["generate", str(model), *BOARD, "-o", str(folder)]) == 0
    return folder


def save_trained(folder: Path) -> Path:
    """A classifier's folder of untrained weights."""
    from shiftforge.quant.albert.network.folder import save_classifier
    from shiftforge.quant.albert.network.model import OffRampAlbert, configuration
    from shiftforge.quant.albert.network.settings import Shape

    shape = Shape(hidden=32, heads=2, ffn=40, layers=2, length=12, embedding=24, vocabulary=50)
    model = OffRampAlbert(configuration(shape, 50), 2).eval()
    save_classifier(model, ("bad", "good"), folder, NOTES)
    train_wordpiece(TEXTS, 50).save(str(folder / "tokenizer.json"))
    ids = [own.tolist() for own in sentences()]
    (folder / "calibration.json").write_text(json.dumps({"ids": ids}))
    return folder


def save_damaged(folder: Path, fault: str) -> Path:
    """A classifier's folder that must not be read. fault: "nan", "pickle", "bin" or "notes"."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "albert"}))
    if fault != "notes":
        (folder / "classifier.json").write_text(json.dumps({"classes": ["a", "b"], **NOTES}))
    weights = folder / "model.safetensors"
    bias = np.array([0.5, np.nan if fault == "nan" else 1.0], dtype=np.float32)
    save_file({"ramps.0.bias": bias}, weights)
    if fault == "pickle":
        weights.write_bytes(b"\x80\x04\x95 not a tensor")
    if fault == "bin":
        weights.rename(folder / "pytorch_model.bin")
    return folder


@dataclass(frozen=True)
class Ran:
    """What a stand-in device gives."""

    sentences: tuple[Sentence, ...]
    seconds: float = 0.5


@dataclass(frozen=True)
class Counted:
    """A command's counters."""

    layer: int
    name: str
    start: int
    end: int
    busy: int


@dataclass(frozen=True)
class RtlRan:
    """What the stand-in RTL gives."""

    sentence: Sentence
    commands: tuple[Counted, ...] = (Counted(0, "q", 0, 60, 40), Counted(0, "scores 1", 60, 90, 9))
    cycles: int = 90
    ideal_cycles: int = 60
    seconds: float = 0.01


def _faulty(sentence: Sentence, fault: str) -> Sentence:
    """The first layer's stage with one value changed, or a later exit."""
    if not fault:
        return sentence
    first = sentence.layers[0]
    stages = {name: np.array(values) for name, values in first.stages.items()}
    stages[fault].reshape(-1)[-1] ^= 1
    return replace(sentence, layers=(replace(first, stages=stages), *sentence.layers[1:]))


def stand_in(monkeypatch: pytest.MonkeyPatch, fault: str = "") -> list[dict[str, Any]]:
    """Devices and RTL replaced by the reference; a stage of the last sentence differs at fault.

    Returns the keyword arguments of every run.
    """
    calls: list[dict[str, Any]] = []

    def run_sentences(
        design: Any, device: str, network: Any, unit: Any, ids: Any, threshold: Any, **more: Any
    ) -> Ran:
        calls.append({"device": device, **more})
        found = [golden_sentence(network, own, unit, threshold) for own in ids]
        return Ran((*found[:-1], _faulty(found[-1], fault)))

    class Unit:
        def __init__(self, design: Any, network: Any, threshold: Any, **more: Any):
            from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit

            calls.append({"device": "rtl", **more})
            self.network, self.threshold = network, threshold
            self.unit = golden_unit(design)

        def run(self, ids: Any, **more: Any) -> RtlRan:
            calls.append({"device": "rtl run", **more})
            done = golden_sentence(self.network, ids, self.unit, self.threshold)
            return RtlRan(_faulty(done, fault))

    monkeypatch.setattr(opencl_run, "run_sentences", run_sentences)
    monkeypatch.setattr(rtl, "ClassifierRtl", Unit)
    return calls
