"""The Fashion-MNIST runs side by side."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from shiftforge.errors import InputError
from shiftforge.quant.graph.file import save_model
from shiftforge.quant.models import fashion
from shiftforge.steps import quantize

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT))
    return import_module("bench.schemes.fashion_table")


def run(weights: str, seed: int, test: float, cycles: int, **arguments: Any) -> dict[str, Any]:
    return {
        "weights": weights, "seed": seed, "arguments": {"epochs": 4, **arguments}, "test": test,
        "float_test": 0.9, "watched": {"start": 0.5}, "f": 0.1, "array_cycles": cycles - 5,
        "modelled_cycles": cycles,
    }  # fmt: skip


def test_a_row_is_the_mean_and_the_range_of_its_seeds(bench: Any) -> None:
    runs = [run("dtssq", 2, 0.84, 120, target=0.2), run("one", 1, 0.8, 100)]
    rows = bench.table([*runs, run("dtssq", 1, 0.82, 125, target=0.2)])
    assert [row["weights"] for row in rows] == ["one", "dtssq"]
    assert rows[1]["seeds"] == [1, 2] and rows[1]["test"] == [0.82, 0.84]
    lines = bench.text(rows).splitlines()
    assert lines[2] == "| one term | 80.00% | 80.00% to 80.00% | 0.100 | 100 (1.00) |"
    assert lines[3] == "| DTSSQ | 83.00% | 82.00% to 84.00% | 0.100 | 125 (1.25) |"


def test_runs_that_differ_in_more_than_the_seed_are_refused(bench: Any) -> None:
    with pytest.raises(InputError, match="DTSSQ with different arguments"):
        bench.table([run("dtssq", 1, 0.8, 100, target=0.2), run("dtssq", 2, 0.8, 100, target=0.3)])


def test_a_folder_without_a_finished_run_is_refused(tmp_path: Path, bench: Any) -> None:
    with pytest.raises(InputError):
        bench.read_run(tmp_path)
    (tmp_path / "result.json").write_text(json.dumps({"test": None}))
    with pytest.raises(InputError, match="no run with its test accuracy"):
        bench.read_run(tmp_path)


@pytest.mark.slow
def test_cycles_are_those_of_the_model(tmp_path: Path, bench: Any) -> None:
    model = quantize(fashion.NAME, scheme="dtssq")
    save_model(model, tmp_path / "model.safetensors")
    arguments = {"output": None, "threads": 1, "weights": "dtssq", "seed": 1, "target": 0.2}
    result = {"arguments": arguments, "test": 0.9, "float_test": 0.95, "watched": {}}
    (tmp_path / "result.json").write_text(json.dumps(result))
    found = bench.read_run(tmp_path)
    assert found["arguments"] == {"target": 0.2}
    told = model.meta["second_terms"]
    added = found["array_cycles"] - told["one_term_cycles"]
    # It was trained where second words of strided layers were free; they take a cycle a tile now.
    assert 0 <= added - told["second_term_cycles"] <= 0.05 * told["second_term_cycles"]
    assert found["modelled_cycles"] > found["array_cycles"]
