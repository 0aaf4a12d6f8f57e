"""The exit-layer predictor: its table against the MLP, the unit's index, damaged files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shiftforge.errors import InputError
from shiftforge.quant.albert.exits.predictor import (
    ENTROPY_ONE,
    ExitTable,
    Floats,
    curves_of,
    entropy_range,
    fit_curves,
    fit_exit_table,
    load_exit_table,
    predict,
    predicted_layers,
    row_of,
    row_scale,
    save_exit_table,
    train_predictor,
)
from shiftforge.sim.golden.edgebert import dvfs as golden

CLASSES, LAYERS, THRESHOLD = 5, 6, 0.3


def falling(count: int = 300, seed: int = 0) -> NDArray[np.float64]:
    """Entropies that halve from layer to layer: higher ones leave later."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, np.log(CLASSES), count)
    return np.asarray(first[:, None] * 0.5 ** np.arange(LAYERS))


def halves(first: Floats, /) -> Floats:
    """The rule of ``falling``, exactly."""
    return first[:, None] * 0.5 ** np.arange(1, LAYERS - 1)


def differences(table: ExitTable, wanted: NDArray[np.int64]) -> list[str]:
    """Rows that do not hold the predictor's layer."""
    pairs = zip(table.rows.tolist(), wanted.tolist(), strict=True)
    return [f"row {r}: {a}, the MLP says {b}" for r, (a, b) in enumerate(pairs) if a != b]


def test_a_falling_entropy_is_predicted_layer_by_layer() -> None:
    h = falling()
    table = fit_exit_table(h, THRESHOLD, classes=CLASSES, seed=1)
    assert len(table.rows) == 100 and (np.diff(table.rows.astype(int)) >= 0).all()
    fresh = falling(400, seed=9)
    wanted = (fresh <= THRESHOLD).argmax(axis=1) + 1
    got = predict(table, np.round(fresh[:, 0] * ENTROPY_ONE).astype(np.int64))
    # A row is 0.016 nats wide, and the MLP is not exact at its edges.
    assert (got == wanted).mean() > 0.95 and np.abs(got - wanted).max() <= 1
    assert set(got.tolist()) == {1, 2, 3, 4}


def test_the_table_is_the_mlp_at_its_rows_and_a_row_one_off_is_found() -> None:
    h = falling()
    predictor = train_predictor(h, seed=3)
    curves = curves_of(predictor, LAYERS, entropy_range(CLASSES))
    assert row_of(curves.inputs, 100, curves.scale).tolist() == list(range(100))
    wanted = predicted_layers(predictor(curves.inputs / ENTROPY_ONE), THRESHOLD)
    table = fit_curves(h, classes=CLASSES, seed=3).table(THRESHOLD)
    assert differences(table, wanted) == []
    assert len(set(wanted.tolist())) > 2
    shifted = np.roll(table.rows, 1)
    shifted[0] = table.rows[0]
    found = differences(replace(table, rows=shifted), wanted)
    edges = np.flatnonzero(np.diff(wanted)) + 1
    assert [int(text.split(":")[0].removeprefix("row ")) for text in found] == edges.tolist()
    late = np.minimum(table.rows + 1, LAYERS).astype(np.uint8)
    assert differences(replace(table, rows=late), wanted)[0].startswith("row 0: 3, the MLP says 2")


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_every_entropy_takes_the_row_that_the_unit_takes(rows: int) -> None:
    layers = np.random.default_rng(rows).integers(2, LAYERS + 1, rows).astype(np.uint8)
    top = entropy_range(CLASSES)
    table = ExitTable(layers, row_scale(top, rows), 20_000, LAYERS)
    entropies = np.concatenate([np.arange(0, top + 50, 3), [top, 2**32 - 1]])
    edges = np.array([-(-(r << 24) // table.scale) for r in range(1, rows)], dtype=np.int64)
    entropies = np.concatenate([entropies, edges, edges - 1])
    got = predict(table, entropies)
    for h, layer in zip(entropies.tolist(), got.tolist(), strict=True):
        if h <= table.threshold:
            assert layer == 1
        else:
            assert layer == golden.predicted_layer(h, layers.tolist(), table.scale, LAYERS)


def test_the_scale_is_the_units() -> None:
    for classes in (2, 3, 5, 20, 512):
        for rows in (1, 100, 128):
            own = row_scale(entropy_range(classes), rows)
            assert own == golden.row_scale(classes, rows)


def test_the_decision_is_the_first_layer_at_or_below_the_threshold() -> None:
    curves = np.array([[0.3, 0.9, 0.1], [0.31, 0.9, 0.1], [0.31, 0.3, 0.1], [0.9, 0.8, 0.7]])
    assert predicted_layers(curves, 0.3).tolist() == [2, 4, 3, 5]


def test_one_fit_serves_every_threshold_and_a_seed_repeats() -> None:
    h = falling()
    curves = fit_curves(h, seed=2)
    depths = [curves.table(t).rows.mean() for t in (0.0, 0.1, 0.3, 1.0, 2.0)]
    assert depths == sorted(depths, reverse=True)
    assert depths[-1] == 2 and depths[0] > depths[2]
    again = fit_exit_table(h, 0.3, seed=2)
    assert again.rows.tolist() == curves.table(0.3).rows.tolist()
    assert again.nats == round(0.3 * ENTROPY_ONE) / ENTROPY_ONE
    # Without a number of classes the rows span the entropies that there are.
    top = round(h[:, 0].max() * ENTROPY_ONE)
    assert row_of(top, 100, curves.scale) == 99 and row_of(top // 2, 100, curves.scale) in (49, 50)


@pytest.mark.parametrize("layers", [2, 3])
def test_few_layers_need_few_outputs(layers: int) -> None:
    table = fit_exit_table(falling()[:, :layers], THRESHOLD, classes=CLASSES)
    assert set(table.rows.tolist()) <= ({2} if layers == 2 else {2, 3})


def test_a_file_comes_back_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    table = curves_of(halves, LAYERS, entropy_range(CLASSES)).table(THRESHOLD)
    path = tmp_path / "exits.json"
    save_exit_table(table, path)
    back = load_exit_table(path)
    assert back.rows.tolist() == table.rows.tolist() and back.rows.dtype == np.uint8
    assert (back.scale, back.threshold, back.layers) == (table.scale, table.threshold, LAYERS)
    assert [p.name for p in tmp_path.iterdir()] == ["exits.json"]
    good = json.loads(path.read_text())
    damages = (
        {"kind": "another"}, {"rows": []}, {"rows": [1] * 100}, {"rows": [300]}, {"rows": [2.5]},
        {"rows": "abc"}, {"rows": [LAYERS + 1]}, {"scale": 0}, {"scale": None}, {"layers": True},
        {"threshold": -1}, {"layers": 1},
    )  # fmt: skip
    for damage in damages:
        path.write_text(json.dumps({**good, **damage}))
        with pytest.raises(InputError, match=r"exits\.json"):
            load_exit_table(path)
    for text in ("", "[]", "{", json.dumps({**good, "rows": None})):
        path.write_text(text)
        with pytest.raises(InputError, match=r"exits\.json"):
            load_exit_table(path)
    with pytest.raises(InputError, match="no such file"):
        load_exit_table(tmp_path / "none.json")


def test_bad_input_is_named() -> None:
    for bad in (np.zeros(3), np.zeros((1, 3)), np.zeros((4, 1)), np.full((4, 3), np.nan)):
        with pytest.raises(InputError, match="entropies"):
            fit_curves(bad)
    with pytest.raises(InputError, match="threshold"):
        curves_of(halves, LAYERS, 1000).table(-0.1)
    with pytest.raises(InputError, match="rows"):
        curves_of(halves, LAYERS, 1, rows=1024)
    with pytest.raises(InputError) as error:
        ExitTable(np.array([1], dtype=np.uint8), 0, -1, 12)
    assert len(error.value.problems) == 3
