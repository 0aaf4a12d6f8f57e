"""Word embeddings of a trained ALBERT in ReRAM: accuracy under read errors, and the model's costs.

Run:  python bench/albert_study/reram.py FOLDER [--trials 100] [--sweep 10] [--out FOLDER]

FOLDER is a classifier of ``shiftforge train albert`` whose word table is frozen on
AF<8,3> levels. The table is stored as bit mask (SLC) and packed codes (SLC, MLC2, MLC3, plain or in
Gray code), read with the cells' errors, and the float network runs on the held-out texts with what
was read. The accuracy is that of the last off-ramp. Everything but the word table stays as it is.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
import torch
from numpy.typing import NDArray

from bench.albert_study.reram_tables import draw, markdown, percent
from bench.common.machine import RESULTS, command_line, load, machine, versions
from bench.common.records import write_json, write_whole
from shiftforge.errors import CheckFailed, InputError, Problem, ToolFailed
from shiftforge.generator.edgebert.energy.reram import (
    SLOW_MACRO,
    Coefficients,
    TableSize,
    array_of,
    power_on,
    slow_macro,
    table_size,
)
from shiftforge.generator.edgebert.energy.reram_cells import MLC2, MLC3, SLC, symmetric_cell
from shiftforge.quant.albert.network.folder import load_classifier
from shiftforge.quant.albert.network.model import OffRampAlbert
from shiftforge.quant.albert.training.texts import held_out
from shiftforge.quant.albert.training.train import evaluate
from shiftforge.quant.formats.adaptivfloat import (
    AdaptivFloatFormat,
    choose_bias,
    decode,
    encode,
)
from shiftforge.quant.text.catalogue import load_corpus
from shiftforge.sim.edgebert.models.reram import (
    FaultReport,
    Storage,
    disturb,
    fault_accuracy,
    store,
    sweep,
)

KINDS = (
    ("SLC", Storage(SLC)),
    ("MLC2", Storage(MLC2)),
    ("MLC3", Storage(MLC3)),
    ("MLC3, Gray code", Storage(MLC3, gray=True)),
)
FACTORS = {"MLC2": (1.5, 2.0, 2.5, 3.0, 4.0, 6.0), "MLC3": (0.7, 0.85, 1.0, 1.3, 1.7, 2.5)}
FLIPS = (1e-5, 1e-4, 1e-3, 1e-2)
SWEEPS: tuple[tuple[str, tuple[Storage, ...]], ...] = (
    ("values, MLC2", tuple(Storage(MLC2.scaled(f)) for f in FACTORS["MLC2"])),
    ("values, MLC3", tuple(Storage(MLC3.scaled(f)) for f in FACTORS["MLC3"])),
    ("values, MLC3, Gray code", tuple(Storage(MLC3.scaled(f), gray=True) for f in FACTORS["MLC3"])),
    ("mask, row starts kept", tuple(Storage(SLC, symmetric_cell(1, p)) for p in FLIPS)),
    (
        "mask, row starts counted",
        tuple(Storage(SLC, symmetric_cell(1, p), starts="counted") for p in FLIPS),
    ),
)
PUBLISHED_ROWS = 30_000 + 512 + 2


@dataclass(eq=False)
class WordTable:
    """The accuracy of a float network by its word table, over texts (N).

    Only texts that name a row unlike the clean one run again.
    """

    model: OffRampAlbert
    sentences: Sequence[NDArray[np.int64]]
    labels: NDArray[np.int64]
    length: int
    bias: int
    codes: NDArray[np.uint8]

    def __post_init__(self) -> None:
        self.right = self._right(self.codes, np.arange(len(self.labels)))

    def _right(self, codes: NDArray[np.uint8], which: NDArray[np.int64]) -> NDArray[np.bool_]:
        words = decode(codes, AdaptivFloatFormat(), self.bias).astype(np.float32)
        with torch.no_grad():
            weight = self.model.albert.embeddings.word_embeddings.weight
            weight.copy_(torch.from_numpy(words))
        logits = evaluate(self.model, [self.sentences[i] for i in which], self.length)[-1]
        found: NDArray[np.bool_] = logits.argmax(axis=1) == self.labels[which]
        return found

    def __call__(self, codes: NDArray[np.uint8]) -> float:
        rows = (codes != self.codes).any(axis=1)
        touched = np.flatnonzero([rows[ids[: self.length]].any() for ids in self.sentences])
        right = self.right.copy()
        if len(touched):
            right[touched] = self._right(codes, touched)
        return float(right.mean())


def read(folder: Path, texts: int | None) -> tuple[WordTable, dict[str, Any]]:
    """The network with its clean table, and what was read. Raises InputError."""
    model, _ = load_classifier(folder)
    notes = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
    missing = [key for key in ("corpus", "fold") if key not in notes]
    if missing:
        what = f"a classifier without {' and '.join(missing)}"
        raise InputError(Problem(what, "train it with shiftforge train albert", str(folder)))
    length = int(model.config.max_position_embeddings)
    corpus = load_corpus(notes["corpus"])
    held = held_out(corpus, int(notes["fold"]), folder, length, split=int(notes.get("split", 0)))
    words = model.albert.embeddings.word_embeddings.weight.detach().double().numpy()
    fmt = AdaptivFloatFormat()
    bias = int(notes["table"]["bias"]) if "table" in notes else choose_bias(words, fmt)
    codes = encode(words, fmt, bias).astype(np.uint8)
    moved = float(np.abs(decode(codes, fmt, bias) - words).max())
    before = evaluate(model, held.ids[:texts], length)[-1].argmax(axis=1)
    labels = held.labels[:texts]
    table = WordTable(model, held.ids[:texts], labels, length, bias, codes)
    facts = {
        "corpus": notes["corpus"],
        "fold": notes["fold"],
        "texts": len(labels),
        "shape": list(codes.shape),
        "density": float((codes & 0x7F != 0).mean()),
        "bias": bias,
        "frozen_on_levels": moved == 0,
        "accuracy_as_trained": float((before == labels).mean()),
        "accuracy_clean_table": float(table.right.mean()),
    }
    return table, facts


def row_of(name: str, report: FaultReport) -> dict[str, Any]:
    """A report's figures as JSON."""
    storage = report.storage
    return {
        "name": name,
        "values": storage.values.name,
        "mask": storage.mask.name,
        "gray": storage.gray,
        "starts": storage.starts,
        "seed": report.seed,
        "trials": len(report.accuracy),
        "cell_rate": storage.values.rate,
        "mask_rate": storage.mask.rate,
        **report.figures(),
        "worst_trial": report.worst,
        "accuracy": [round(float(a), 6) for a in report.accuracy],
    }


def value_error(table: WordTable, storage: Storage, trials: int, seed: int) -> float:
    """Sum of squared errors of the values read over the sum of their squares, mean of trials."""
    stored, fmt = store(table.codes), AdaptivFloatFormat()
    wanted = decode(table.codes, fmt, table.bias)
    found = []
    for child in np.random.SeedSequence(seed).spawn(trials):
        codes = disturb(stored, storage, np.random.default_rng(child)).codes(storage.starts)
        off = decode(codes, fmt, table.bias) - wanted
        found.append(float((off**2).sum() / (wanted**2).sum()))
    return float(np.mean(found))


def cost_rows(size: TableSize, of: Coefficients, tokens: int) -> list[dict[str, Any]]:
    """Modelled costs of a table by kind of cell, one sentence after power-up."""
    found = []
    for kind in (SLC, MLC2, MLC3):
        cost = power_on(size, kind, tokens=tokens, of=of)
        found.append(
            {
                "kind": kind.name,
                "cells": array_of(size, kind, of).cells,
                "reram_mm2": cost.reram_mm2,
                "sram_mm2": cost.sram_mm2,
                "reram_us": cost.reram.ns / 1e3,
                "conventional_us": cost.conventional.ns / 1e3,
                "on_demand_us": cost.on_demand.ns / 1e3,
                "reram_nj": cost.reram.pj / 1e3,
                "conventional_nj": cost.conventional.pj / 1e3,
                "on_demand_nj": cost.on_demand.pj / 1e3,
            }
        )
    return found


def measured(table: WordTable, arguments: argparse.Namespace, say: Callable[[str], None]) -> Any:
    """Rows of the kinds and of the sweeps."""
    kinds, swept = [], []
    for name, storage in KINDS:
        storage = replace(storage, moves=arguments.moves)
        report = fault_accuracy(
            table.codes, table, storage, arguments.trials, arguments.seed,
            float(table.right.mean()),
        )  # fmt: skip
        error = value_error(table, storage, min(arguments.trials, 20), arguments.seed)
        kinds.append({**row_of(name, report), "value_error": error})
        say(f"{name}: mean {percent(kinds[-1]['mean'])}, worst {percent(kinds[-1]['min'])}")
    for name, storages in SWEEPS if arguments.sweep else ():
        chosen = [replace(storage, moves=arguments.moves) for storage in storages]
        for report in sweep(table.codes, table, chosen, arguments.sweep, arguments.seed):
            row = row_of(report.storage.values.name, report)
            swept.append({"sweep": name, **row, "accuracy_max": float(report.accuracy.max())})
        say(f"{name}: {' '.join(percent(r['mean']) for r in swept if r['sweep'] == name)}")
    return kinds, swept


def main() -> int:
    """Exit status 1 where injected faults do not fit the cells' probabilities, 2 for bad input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="of a trained classifier")
    parser.add_argument("--trials", type=int, default=100, help="programmings of each kind of cell")
    parser.add_argument("--sweep", type=int, default=10, help="trials a point of the curves; 0: no")
    parser.add_argument("--texts", type=int, help="only the first so many held-out texts")
    parser.add_argument("--moves", choices=("one", "all"), default="one", help="wrong levels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    os.nice(5)
    started, before = time.monotonic(), load()
    print(command_line(), flush=True)
    try:
        table, facts = read(arguments.folder, arguments.texts)
        print(json.dumps(facts))
        kinds, swept = measured(table, arguments, lambda text: print(text, flush=True))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except (CheckFailed, ToolFailed) as error:
        print(f"injected faults do not fit the cells: {error}", file=sys.stderr)
        return 3 if isinstance(error, ToolFailed) else 1
    of, tokens = Coefficients(), table.length
    rows, columns = table.codes.shape
    own = TableSize(rows, columns, int((table.codes & 0x7F != 0).sum()))
    costs = {
        "this table": cost_rows(own, of, tokens),
        "ALBERT-base, 40 % density": cost_rows(table_size(PUBLISHED_ROWS, 128, 0.4), of, 128),
        "ALBERT-base, slower macro": cost_rows(
            table_size(PUBLISHED_ROWS, 128, 0.4), slow_macro(), 128
        ),
    }
    text = markdown(facts, kinds, costs)
    print(text)
    after = load()
    print(f"load {before} before, {after} after, {time.monotonic() - started:.0f} s")
    data = {
        "command": command_line(),
        "machine": machine(),
        "versions": versions(),
        "load": [before, after],
        "seconds": round(time.monotonic() - started, 1),
        "network": facts,
        "moves": arguments.moves,
        "kinds": kinds,
        "sweeps": swept,
        "costs": costs,
        "coefficients": of.sources(),
        "slower_macro": {k: f"{v:g}: {text}" for k, (v, text) in SLOW_MACRO.items()},
    }
    write_json(arguments.out / "albert_reram.json", data)
    write_whole(arguments.out / "albert_reram.md", text)
    print(f"wrote {os.path.relpath(arguments.out)}/albert_reram.json, .md")
    draw(kinds, swept, arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
