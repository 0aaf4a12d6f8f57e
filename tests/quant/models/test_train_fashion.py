"""`train` from IDX files to an integer model, on a handful of generated images."""

from __future__ import annotations

import gzip
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shiftforge.errors import InputError
from shiftforge.quant.graph.types import ShiftFormat
from shiftforge.quant.graph.verify import verify
from shiftforge.quant.models.fit import Progress, Recipe
from shiftforge.quant.models.train import TrainConfig, train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("idx")
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("t10k", 10)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = struct.pack(f">I{array.ndim}I", 0x800 + array.ndim, *array.shape)
            (folder / f"{split}-{name}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    return folder


def config(folder: Path, data: Path) -> TrainConfig:
    return TrainConfig(
        folder=folder,
        data_dir=data,
        width=0.1,
        resolution=32,
        recipe=Recipe(epochs=1, rate=0.05, batch=12),
        polish=Recipe(epochs=2, rate=0.05, batch=12),
        tune=Recipe(epochs=1, rate=0.01, batch=12, optimiser="adam", weight_decay=0.0),
        calibration=8,
        device="cpu",
    )


@pytest.mark.slow
def test_trains_tunes_and_converts_repeatably(tmp_path: Path, data: Path) -> None:
    seen: list[Progress] = []
    first = train(config(tmp_path / "a", data), seen.append)
    assert [p.stage for p in seen if p.step == p.steps] == ["float", "polish", "ste"]
    assert first.model is not None and first.tuned_accuracy is not None
    verify(first.model)
    assert all(conv.format == ShiftFormat() for conv in first.model.conv_nodes())
    assert 0 <= first.float_accuracy <= 1 and first.checkpoint.is_file()
    # Resumed from the finished checkpoints, in the same folder: the same network again.
    again = train(config(tmp_path / "a", data))
    assert again.model is not None
    pairs = zip(first.model.conv_nodes(), again.model.conv_nodes(), strict=True)
    assert all(np.array_equal(a.weight, b.weight) for a, b in pairs)
    # Other weights in the same folder are another fine-tune.
    with pytest.raises(InputError, match="another training recipe"):
        train(replace(config(tmp_path / "a", data), weights=ShiftFormat(3, 2)))


def test_bad_settings_list_every_problem(tmp_path: Path, data: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    bad = replace(
        config(tmp_path / "file", data), width=3.0, resolution=20, calibration=0, device="cpu"
    )
    with pytest.raises(InputError) as error:
        train(bad)
    assert len(error.value.problems) == 4
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("device", ["abacus", "cuda:99", "meta"])
def test_devices_that_are_not_there(tmp_path: Path, data: Path, device: str) -> None:
    with pytest.raises(InputError, match="cpu"):
        train(replace(config(tmp_path / "new", data), device=device))
    assert not (tmp_path / "new").exists()


def test_missing_data_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--data"):
        train(config(tmp_path / "new", tmp_path / "absent"))
    assert not (tmp_path / "new").exists()
