"""The ALBERT study: held-out texts choose nothing, and folds do not mix."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from shiftforge.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))

    def module(name: str) -> Any:
        return import_module(f"bench.albert_study.{name}")

    return module


def _record(name: str, group: str, validation: float, held_out: float) -> dict[str, Any]:
    """validation, held_out: average exit layers there."""
    options = {"prune": "movement", "sparsity": 0.5, "weights": "af8"}

    def part(layer: float) -> dict[str, Any]:
        return {"accuracy": [0.9], "sweep": [{"threshold": 0.1, "accuracy": 0.9, "layer": layer}]}

    return {
        "job": {"name": name, "group": group, "cost": 1.0, "options": options},
        "layers": 6,
        "validation": part(validation),
        "held_out": part(held_out),
    }


def test_combinations_are_chosen_at_the_depth_of_validation_texts(bench: Any) -> None:
    records = [
        _record("teacher", "teacher", 6.0, 6.0),
        _record("one", "together", 2.0, 5.0),
        _record("two", "together", 3.0, 1.0),
    ]
    rows = bench("report").chosen_rows(records, 1.0, lambda row: row.layer)
    (row,) = [row for row in rows if row.label == "all together"]
    assert row.record["job"]["name"] == "one" and row.layer == 5.0


def test_a_fold_does_not_take_what_another_has_trained(bench: Any, tmp_path: Path) -> None:
    runs, settings = bench("runs"), bench("settings")
    work, results = tmp_path / "work", tmp_path / "results"
    one = runs.Bench(settings.STUDIES["sentiment"], 1, work, results)
    folder = one.folder(runs.TEACHER)
    folder.mkdir(parents=True)
    (folder / "classifier.json").write_text(json.dumps({"corpus": "sentiment", "fold": 0}))
    with pytest.raises(InputError, match="a classifier of sentiment, fold 0, asked for fold 1"):
        one.run(runs.TEACHER)
    assert not results.exists()
    results.mkdir()
    (results / "teacher.json").write_text(json.dumps({"fold": 0}))
    with pytest.raises(InputError, match="a record of fold 0"):
        one.record(runs.TEACHER)
    zero = runs.Bench(settings.STUDIES["sentiment"], 0, work, results)
    assert zero.record(runs.TEACHER) == {"fold": 0}
