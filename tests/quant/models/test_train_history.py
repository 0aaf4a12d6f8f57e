"""Thresholds epoch by epoch, and the pictures of a training run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from shiftforge.quant.models.history import History, read_history
from shiftforge.quant.models.training_pictures import write_pictures
from shiftforge.quant.schemes.catalogue import by_name
from shiftforge.quant.schemes.prepare import prepare
from shiftforge.quant.schemes.summary import summary
from shiftforge.quant.schemes.training import sites


def prepared() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 4, 3))
    example = torch.randn(2, 3, 12, 12)
    return prepare(model, by_name("dtssq"), example=example)


def test_records_are_the_quantisers_own(tmp_path: Path) -> None:
    model, path = prepared(), tmp_path / "a.json"
    history = History(path)
    history.take(model, 0)
    history.take(model, 1)
    site = sites(model)["2"]
    assert [(r.epoch, r.layer) for r in history.records] == [(0, "2"), (1, "2")]
    assert history.records[0].second == site.quantiser.second_fraction(site.weight)  # type: ignore[operator]
    assert read_history(path) == history.records


def test_a_resumed_run_replaces_the_epochs_that_it_repeats(tmp_path: Path) -> None:
    model, path = prepared(), tmp_path / "a.json"
    first = History(path)
    for epoch in range(3):
        first.take(model, epoch)
    again = History(path)
    again.take(model, 1)
    assert [r.epoch for r in read_history(path)] == [0, 1]


def test_pictures(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    model, history = prepared(), History(None)
    history.take(model, 0)
    rows = summary(model)
    found = write_pictures(tmp_path, model, rows, history.records)
    assert [p.name for p in found] == ["weights.png", "layers.png", "thresholds.png"]
    assert all(p.stat().st_size > 2000 for p in found)
    assert write_pictures(tmp_path, model, rows, []) == found[:2]
