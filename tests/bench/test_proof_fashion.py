"""A proof network trained on a few pictures, down to the integers of both devices."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from bench.conv import proof_fashion
from shiftforge.quant.data.fashion_mnist import LABELS, load_sample
from shiftforge.quant.data.labelled import Dataset, Labelled


def part(name: str, most: int) -> Labelled:
    sample = load_sample(name)  # type: ignore[arg-type]
    return Labelled(sample.images[:most, :, :, None], sample.labels[:most].astype(np.int64))


@pytest.mark.slow
def test_trained_and_run(tmp_path: Path) -> None:
    data = Dataset("fashion", part("train", 256), part("test", 50), LABELS)
    given = argparse.Namespace(
        output=tmp_path, network="resnet18", width=0.125, epochs=1, tune=128, images=3,
        data="fashion",
    )  # fmt: skip
    found = proof_fashion.prove(given, data)
    assert found["plan"]["board"] == "de10_nano"
    assert found["mismatches"] == {"pocl": 0, "intel-fpga-emu": 0}
    assert found["device_accuracy"]["pocl"] == found["device_accuracy"]["golden"]
    assert set(found["accuracy"]) == {
        "float", "one term, after training", "one term, fine-tuned"
    }  # fmt: skip
    assert (tmp_path / "model.safetensors").is_file()
