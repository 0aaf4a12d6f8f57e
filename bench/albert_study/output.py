"""Writes the ALBERT study's tables and pictures; costs of the rows come from the RTL."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.albert_study.costs import LayerCosts, at_depth, layer_costs, load_costs, save_costs
from bench.albert_study.plots import draw_sparsity, draw_thresholds
from bench.albert_study.report import Chosen, everything, markdown
from bench.albert_study.runs import TEACHER, Bench
from bench.common.machine import command_line, load
from bench.common.records import write_whole
from shiftforge.quant.albert.network.macs import sentence_macs
from shiftforge.quant.albert.network.quantise import quantise_folder
from shiftforge.quant.albert.training.texts import chosen_fold
from shiftforge.quant.text.tokeniser import encode, load_tokeniser, window

__all__ = ["write_report"]

Record = Mapping[str, Any]


def _sentences(bench: Bench, folder: Path, count: int) -> list[NDArray[np.int64]]:
    """Held-out texts evenly over the fold."""
    places = chosen_fold(bench.corpus, bench.fold).held_out
    places = places[np.linspace(0, len(places) - 1, count).astype(int)]
    ids = encode(load_tokeniser(folder), [bench.corpus.texts[i] for i in places])
    return [window(one, bench.study.shape.length) for one in ids]


def _costs(bench: Bench, record: Record, count: int) -> LayerCosts:
    """Of a record's network in integers; float networks count as AF<8,3>."""
    job = bench.job(record["job"]["name"])
    path = bench.results / "costs" / f"{job.slug}.json"
    kept = load_costs(path)
    if kept is None or kept.sentences != count:
        print(f"on the RTL: {job.name}", flush=True)
        folder = bench.folder(job)
        output = bench.work / f"{job.slug}.safetensors"
        weights = None if record["weights"] == "float" else record["weights"]
        network = quantise_folder(folder, output, weights)
        kept = layer_costs(network, _sentences(bench, folder, count))
        save_costs(kept, path)
    return kept


def _row_costs(bench: Bench, row: Chosen, count: int) -> dict[str, float]:
    record, shape = row.record, bench.study.shape
    found = _costs(bench, record, count)
    off = 0 if record["spans"] is None else sum(record["spans"]["off"])
    lengths = {int(n): c for n, c in record["tokens"].items()}
    total = sum(lengths.values())
    macs = sum(
        share * sentence_macs(shape, tokens, row.layer, record["classes"], off)
        for tokens, share in lengths.items()
    )
    return {
        "macs": macs / total,
        "cycles": at_depth(found.cycles, row.layer),
        "energy_uj": at_depth(found.energy_uj, row.layer),
        "unit_uj": at_depth(found.unit_uj, row.layer),
    }


def write_report(bench: Bench, sentences: int) -> None:
    """``CORPUS.md`` and pictures beside the records' folder."""
    records = [r for job in (TEACHER, *bench.study.jobs) if (r := bench.record(job)) is not None]
    base = records[0]
    name = bench.study.corpus
    tables = markdown(records, lambda row: _row_costs(bench, row, sentences))
    lines = [f"# ALBERT with the paper's optimisations: {name}, fold {bench.fold}", ""]
    lines += [f"`{command_line()}`, load {load()[0]}. One seed. {_texts(base)}", ""]
    for limit, table in tables.items():
        lines += [
            f"## At most {limit:g} point{'s' if limit > 1 else ''} of validation accuracy",
            "",
        ]
        lines += [table, ""]
    lines += ["## Every setting", "", everything(records), ""]
    folder = bench.results.parent
    write_whole(folder / f"{name}.md", "\n".join(lines))
    shown: dict[str, Record] = {"float": base}
    for record in records:
        if record["job"]["name"] == "af8 untrained":
            shown["AF<8,3>"] = record
        if record["job"]["group"] == "together" and len(shown) < 4:
            shown[record["job"]["name"]] = record
    draw_thresholds(shown, f"{name}, held-out fold {bench.fold}", f"{name}_exits.png", folder)
    draw_sparsity(records, base, f"{name}, held-out fold", f"{name}_sparsity.png", folder)


def _texts(base: Record) -> str:
    held, chooses = base["held_out"]["texts"], base["validation"]["texts"]
    accuracy = base["held_out"]["accuracy"][-1]
    error = 100 * (accuracy * (1 - accuracy) / held) ** 0.5
    return (
        f"{held} held-out texts (standard error of an accuracy about {error:.1f} points), settings "
        f"chosen on {chooses} validation texts. Accuracies are the float network's, or the "
        "fake-quantised one's where weights are rounded (activations AF<8,3> then). Cycles and "
        "energy are those of its integers on the RTL (n = 16), means over some held-out texts, "
        "taken at the average exit; energy is modelled at 45 nm, 0.9 V, 1 GHz. Zeros save memory, "
        "not cycles."
    )
