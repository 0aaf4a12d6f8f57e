"""The exit-layer predictor of EdgeBERT (MICRO 2021, section 3): the entropy after layer 1 -> MLP ->
entropies of the later layers, distilled into a table that the unit's integers index.

The MLP is 1 -> 4 x Dense 64 (ReLU) -> layers - 2, trained for least squared error. Output j is the
entropy after layer j + 2; the published net has 10 outputs for 12 layers, and read so, layers 2 to
11: nothing is decided by the entropy after the last layer.
"""

from __future__ import annotations

import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shiftforge.atomic import write_file
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.jsontext import read_json

__all__ = [
    "ENTROPY_ONE",
    "Curves",
    "ExitTable",
    "Predictor",
    "curves_of",
    "entropy_range",
    "fit_curves",
    "fit_exit_table",
    "load_exit_table",
    "predict",
    "predicted_layers",
    "row_of",
    "row_scale",
    "save_exit_table",
    "train_predictor",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ENTROPY_ONE = 1 << 16
"""Entropies of the unit have 16 fraction bits."""
ROW_BITS = 24
WIDEST_SCALE = 1 << 32
MOST_LAYERS = 255
HIDDEN = (64, 64, 64, 64)
EPOCHS = 400
_KIND = "albert-exit-table-1"
_REMEDY = "fit the table again"


class Predictor(Protocol):
    """Entropies in nats of layers 2 to layers - 1, (N, layers - 2), from those of layer 1 (N,)."""

    def __call__(self, first: Floats, /) -> Floats: ...


@dataclass(frozen=True, eq=False)
class ExitTable:
    """rows: predicted exit layers, 2 to ``layers``, uint8. Row = min(len(rows) - 1,
    (H scale) >> 24) with H the unit's entropy after layer 1: one multiplication and a shift, as
    docs/EDGEBERT_UNIT.md 2.8. threshold: of the exit, 16 fraction bits.

    Raises InputError where something is out of range.
    """

    rows: NDArray[np.uint8]
    scale: int
    threshold: int
    layers: int

    def __post_init__(self) -> None:
        problems = _table_problems(self)
        if problems:
            raise InputError(problems)

    @property
    def nats(self) -> float:
        """The threshold in nats."""
        return self.threshold / ENTROPY_ONE


def _table_problems(table: ExitTable) -> list[Problem]:
    found = []

    def check(good: bool, what: str, remedy: str, where: str) -> None:
        if not good:
            found.append(Problem(what, remedy, where))

    rows = table.rows
    check(2 <= table.layers <= MOST_LAYERS, f"{table.layers} layers", "2 to 255", "layers")
    good = rows.ndim == 1 and rows.size > 0 and rows.dtype == np.uint8
    check(good, f"rows of {rows.dtype}, {rows.shape}", "one row of uint8", "rows")
    if good and rows.size:
        inside = int(rows.min()) >= 2 and int(rows.max()) <= table.layers
        what = f"predicted layers {rows.min()} to {rows.max()}"
        check(inside, what, f"2 to {table.layers}", "rows")
    check(0 < table.scale < WIDEST_SCALE, f"scale {table.scale}", "32 bits, above 0", "scale")
    check(
        0 <= table.threshold < WIDEST_SCALE, f"threshold {table.threshold}", "32 bits", "threshold"
    )
    return found


def row_scale(top: int, rows: int) -> int:
    """floor(rows 2^24 / (top + 1)): entropies 0..top (16 fraction bits) reach rows 0..rows - 1."""
    return (rows << ROW_BITS) // (top + 1)


def entropy_range(classes: int) -> int:
    """The largest entropy of so many classes, 16 fraction bits: round(2^16 ln classes)."""
    return round(ENTROPY_ONE * math.log(classes))


def row_of(entropy: NDArray[Any] | int, rows: int, scale: int) -> Ints:
    """Table rows of entropies (16 fraction bits)."""
    h = np.asarray(entropy, dtype=np.uint64)
    found = (h * np.uint64(scale)) >> np.uint64(ROW_BITS)
    return np.asarray(np.minimum(found, np.uint64(rows - 1)), dtype=np.int64)


def predict(table: ExitTable, entropy16: NDArray[Any] | int) -> Ints:
    """Layers that sentences are to run to, from their entropies after layer 1 (16 fraction bits,
    below 2^32): 1 where that is at or below the threshold, else the table's."""
    h = np.asarray(entropy16, dtype=np.int64)
    layer = table.rows[row_of(h, len(table.rows), table.scale)].astype(np.int64)
    return np.asarray(np.where(h <= table.threshold, 1, layer), dtype=np.int64)


def predicted_layers(curves: Floats, threshold: float) -> Ints:
    """The first layer, from 2, whose predicted entropy (nats) is at or below the threshold, else
    the last. curves: (N, layers - 2)."""
    leaves = np.concatenate(
        [curves <= threshold, np.ones((len(curves), 1), dtype=np.bool_)], axis=1
    )
    return np.asarray(leaves.argmax(axis=1) + 2, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Curves:
    """The predictor at the middle of each table row. inputs: (rows,) entropies after layer 1, 16
    fraction bits. values: (rows, layers - 2) nats. scale: of the row index."""

    inputs: Ints
    values: Floats
    scale: int
    layers: int

    def table(self, threshold: float) -> ExitTable:
        """The table for an exit threshold in nats. Raises InputError."""
        if not 0 <= threshold < WIDEST_SCALE / ENTROPY_ONE:
            raise InputError(Problem(f"threshold {threshold}", "0 nats or more", "threshold"))
        layers = predicted_layers(self.values, threshold).astype(np.uint8)
        return ExitTable(layers, self.scale, round(threshold * ENTROPY_ONE), self.layers)


def _entropies(entropies: NDArray[Any]) -> Floats:
    h = np.asarray(entropies, dtype=np.float64)
    problems = Problems()
    if h.ndim != 2 or h.shape[0] < 2 or not 2 <= h.shape[1] <= MOST_LAYERS:
        what = f"entropies of shape {h.shape}"
        problems.append(Problem(what, "(N, layers), 2 texts and 2 layers at least", "entropies"))
    elif not np.isfinite(h).all() or h.min() < 0:
        problems.append(Problem("entropies below 0 or not finite", "give nats", "entropies"))
    problems.stop()
    return h


def train_predictor(entropies: NDArray[Any], seed: int = 0) -> Predictor:
    """The MLP over training texts' entropies (N, layers), nats. Raises InputError."""
    h = _entropies(entropies)
    if h.shape[1] == 2:
        return lambda first: np.zeros((len(first), 0))
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    model = MLPRegressor(
        hidden_layer_sizes=HIDDEN, activation="relu", max_iter=EPOCHS, random_state=seed
    )
    centre, spread = float(h[:, 0].mean()), float(h[:, 0].std()) or 1.0
    with warnings.catch_warnings():
        # The number of epochs is fixed; it need not have come to rest.
        warnings.simplefilter("ignore", ConvergenceWarning)
        wanted = h[:, 1:-1]
        model.fit((h[:, :1] - centre) / spread, wanted if wanted.shape[1] > 1 else wanted[:, 0])

    def run(first: Floats) -> Floats:
        x = (np.asarray(first, dtype=np.float64)[:, None] - centre) / spread
        found: Floats = np.asarray(model.predict(x), dtype=np.float64)
        return found.reshape(len(x), -1)

    return run


def curves_of(predictor: Predictor, layers: int, top: int, rows: int = 100) -> Curves:
    """The predictor at the rows of a table. top: largest entropy of the rows' range, 16 fraction
    bits. Raises InputError where the scale does not fit the unit."""
    scale = row_scale(top, rows) if rows > 0 and top >= 0 else 0
    if not 0 < scale < WIDEST_SCALE:
        what = f"{rows} rows over entropies up to {top}"
        raise InputError(Problem(what, "use fewer rows or a wider range", "rows"))
    # The first entropy of row r, and the last: those with (H scale) >> 24 = r.
    edges = np.array([-(-(r << ROW_BITS) // scale) for r in range(rows + 1)], dtype=np.int64)
    inputs = (edges[:-1] + edges[1:] - 1) // 2
    return Curves(inputs, predictor(inputs / ENTROPY_ONE), scale, layers)


def fit_curves(
    entropies: NDArray[Any], *, rows: int = 100, seed: int = 0, classes: int | None = None
) -> Curves:
    """Train the MLP and read it at the table's rows; tables for any threshold come from it.

    entropies: (N, layers) nats of training texts. classes: the rows span 0..ln classes; without,
    0 to the largest entropy after layer 1, and higher ones take the last row. Raises InputError.
    """
    h = _entropies(entropies)
    top = math.ceil(h[:, 0].max() * ENTROPY_ONE) if classes is None else entropy_range(classes)
    return curves_of(train_predictor(h, seed), h.shape[1], top, rows)


def fit_exit_table(
    entropies: NDArray[Any],
    threshold: float,
    *,
    rows: int = 100,
    seed: int = 0,
    classes: int | None = None,
) -> ExitTable:
    """``fit_curves``, then the table for one threshold (nats). Raises InputError."""
    return fit_curves(entropies, rows=rows, seed=seed, classes=classes).table(threshold)


def save_exit_table(table: ExitTable, path: Path) -> None:
    """Write the table as JSON, whole or not at all."""
    text = {
        "kind": _KIND,
        "layers": table.layers,
        "threshold": table.threshold,
        "scale": table.scale,
        "rows": table.rows.tolist(),
    }
    write_file(path, json.dumps(text) + "\n")


def load_exit_table(path: Path) -> ExitTable:
    """Read and check a table. Raises InputError for any other or damaged file."""
    where = str(path)
    try:
        text = read_json(path, remedy=_REMEDY)
        if not isinstance(text, dict) or not isinstance(text["rows"], list):
            raise ValueError("it is no object with rows")
        if text["kind"] != _KIND:
            raise ValueError(f"kind {text['kind']!r}")
        values = [text["scale"], text["threshold"], text["layers"], *text["rows"]]
        if any(type(value) is not int for value in values):
            raise ValueError("a value is no integer")
        rows = np.array(text["rows"], dtype=np.int64)
        if rows.size and not 0 <= rows.min() <= rows.max() <= MOST_LAYERS:
            raise ValueError("a row is no 8-bit number")
        return ExitTable(rows.astype(np.uint8), *values[:3])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(Problem(f"no exit table: {error}", _REMEDY, where)) from error
    except InputError as error:
        raise InputError(Problem(p.what, _REMEDY, where) for p in error.problems) from error
