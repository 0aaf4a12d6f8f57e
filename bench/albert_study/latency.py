"""Sentence-level latency and energy: all layers, early exit, latency aware. Modelled on RTL cycles.

    python bench/albert_study/latency.py base [--n 16] [--targets-ms 50,75,100]
    python bench/albert_study/latency.py run NETWORK --tokeniser FOLDER --threshold 0.3
        [--corpus bbc] [--fold 0] [--split 0] [--targets 1,1.5,2] [--targets-ms 0.5,1]
        [--lengths 32,64,96,128] [--count 0] [--cache FOLDER] [--name NAME]

Both take --model (coefficients), --supply (V of a linear regulator) and --out. ``base`` is
ALBERT-base from results/edgebert_cycles.json; each exit layer by itself, no texts. ``run`` takes a
converted classifier: entropies and labels of the reference on held-out texts; the predictor from
the fold's validation part of the training texts; cycles and counters of one RTL run a length.
Cycles are measured, energy and the clock are modelled (docs/ENERGY_MODEL.md).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
from numpy.typing import NDArray

from bench.albert_study.latency_tables import base_report, draw_run, run_report
from bench.common.machine import RESULTS, command_line
from bench.common.records import write_json, write_whole
from bench.edgebert.area import CYCLES, read_cycles
from bench.edgebert.model import layer_plan, unit_config
from shiftforge.atomic import replacing
from shiftforge.errors import CheckFailed, InputError, Problem, ToolFailed
from shiftforge.generator.edgebert.energy.dvfs import alpha_power_table
from shiftforge.generator.edgebert.energy.energy import (
    Work,
    cost_at,
    layer_works,
    planned_work,
    unit_power,
)
from shiftforge.generator.edgebert.energy.unit_energy import MODELS
from shiftforge.generator.edgebert.rtl import render_processing_unit
from shiftforge.generator.edgebert.sentence import choose_unit, plan_sentence
from shiftforge.quant.albert.exits.predictor import ENTROPY_ONE, fit_exit_table, save_exit_table
from shiftforge.quant.albert.network.file import load_integer
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.quant.albert.training.texts import chosen_fold, validation_part
from shiftforge.quant.text.catalogue import CORPORA, load_corpus
from shiftforge.quant.text.corpus import Corpus
from shiftforge.quant.text.tokeniser import encode, load_tokeniser, window
from shiftforge.sim.edgebert.accuracy import Outputs, reference_outputs
from shiftforge.sim.edgebert.models.latency import (
    Platform,
    Texts,
    compare_modes,
    latency_aware,
    longest_us,
    point_in_time,
    profile_for,
    switch_cost,
)
from shiftforge.sim.edgebert.models.latency_check import check_outcomes
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit
from shiftforge.sim.edgebert.sentence_rtl import ClassifierRtl, CommandCycles

BASE_LAYERS = 12
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class BaseRow:
    """One exit layer and target: layer is predicted and reached. early: the same at nominal V/F.
    energies in uJ, unit: without the memory outside; full: all layers at nominal."""

    target_ms: float
    layer: int
    voltage: float
    mhz: float
    late: bool
    latency_ms: float
    unit: float
    total: float
    early_unit: float
    full_unit: float
    full_total: float


def _base(arguments: argparse.Namespace) -> dict[str, Any]:
    """ALBERT-base, sequence 128: layers alone, without embeddings and off-ramps."""
    key = f"af-{arguments.n}"
    runs = read_cycles(arguments.cycles)
    if key not in runs:
        raise InputError(Problem(f"no cycles of {key}", "run bench/edgebert/area.py --simulate"))
    run, config, model = runs[key], unit_config(arguments.n), MODELS[arguments.model]
    beats = int(run["reads"]), int(run["writes"])
    commands = layer_plan(config).commands
    layer = planned_work(config, model, commands, int(run["cycles"]), beats)
    points = alpha_power_table()
    platform = Platform(unit_power(config, model, points.nominal, arguments.supply), points)
    rows = []
    for target in arguments.targets_ms or [50.0, 75.0, 100.0]:
        for last in range(1, BASE_LAYERS + 1):
            rows.append(_base_row(target, last, layer, platform))
    return {
        "layer_cycles": layer.cycles,
        "rows": [asdict(row) for row in rows],
        "sources": model.sources(),
        "points": [asdict(points.point(i)) for i in range(points.last + 1)],
    }


def _base_row(target: float, last: int, layer: Work, platform: Platform) -> BaseRow:
    points, power = platform.table, platform.power
    first = cost_at(layer, power, points.nominal)
    choice = point_in_time(platform, (last - 1) * layer.cycles, target * 1000 - first.time_us)
    index = points.last if last == 1 else choice.point
    point = points.point(index)
    rest = cost_at(sum([layer] * (last - 1), Work()), power, point)
    own = first + switch_cost(platform, index) + rest
    early, full = (
        cost_at(sum([layer] * count, Work()), power, points.nominal)
        for count in (last, BASE_LAYERS)
    )
    return BaseRow(
        target, last, point.voltage, point.frequency / 1e6, choice.late, own.time_us / 1000,
        *(nj / 1000 for nj in (own.unit, own.total, early.unit, full.unit, full.total)),
    )  # fmt: skip


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _outputs(
    path: Path, network: IntegerAlbert, ids: Sequence[Ids], lanes: int, name: str
) -> Outputs:
    """The reference's outputs, from the cache or computed."""
    if path.is_file():
        with np.load(path) as kept:
            return Outputs(kept["labels"], kept["entropies"])
    unit = golden_unit(choose_unit(network, lanes))

    def say(done: int) -> None:
        if done % 25 == 0:
            _say(f"{name}: {done} of {len(ids)}")

    found = reference_outputs(network, ids, unit, say)
    with replacing(path) as part, part.open("wb") as stream:
        np.savez(stream, labels=found.labels, entropies=found.entropies)
    return found


def _counters(
    path: Path, network: IntegerAlbert, texts: Mapping[int, Ids], lanes: int
) -> dict[int, dict[str, Any]]:
    """One RTL run of all layers a length: the commands' counters and the beats."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    missing = [length for length in texts if str(length) not in kept]
    if missing:
        design = choose_unit(network, lanes)
        unit = ClassifierRtl(design, network, longest=max(texts))
        for length in missing:
            run = unit.run(texts[length])
            _say(f"{length} tokens: {run.cycles:,} cycles, {run.seconds:.0f} s of simulation")
            kept[str(length)] = {
                "commands": [asdict(c) for c in run.commands],
                "beats": [run.reads, run.writes],
                "cycles": run.cycles,
                "ideal_cycles": run.ideal_cycles,
            }
        write_whole(path, json.dumps(kept) + "\n")
    return {length: kept[str(length)] for length in texts}


def _lengths(ids: Sequence[Ids], wanted: Sequence[int], most: int) -> dict[int, Ids]:
    """A text cut to each length; the longest is always among them."""
    text = max(ids, key=len)
    longest = min(len(text), most)
    sizes = sorted({*(size for size in wanted if size < longest), longest})
    return {size: window(text, size) for size in sizes}


def places(corpus: Corpus, fold: int, split: int) -> tuple[Ids, Ids]:
    """Texts that a classifier of this fold was neither trained nor tested on, which the predictor
    is fitted on; and the held-out ones."""
    chosen = chosen_fold(corpus, fold, split)
    return validation_part(chosen, corpus.labels, seed=split)[1], chosen.held_out


def _run(arguments: argparse.Namespace) -> dict[str, Any]:
    network = load_integer(arguments.network)
    corpus, model = load_corpus(arguments.corpus), MODELS[arguments.model]
    fitting, held = places(corpus, arguments.fold, arguments.split)
    tokeniser = load_tokeniser(arguments.tokeniser)

    def cut(own: Ids) -> list[Ids]:
        texts = encode(tokeniser, [corpus.texts[i] for i in own])
        return [window(ids, network.length) for ids in texts]

    if arguments.count:
        held = held[np.linspace(0, len(held) - 1, arguments.count).astype(int)]
        few = min(arguments.count, len(fitting))
        fitting = fitting[np.linspace(0, len(fitting) - 1, few).astype(int)]
    ids = cut(held)
    arguments.cache.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(arguments.network.read_bytes()).hexdigest()[:12]
    lanes = arguments.n
    place = f"{digest}-n{lanes}-" + "-".join(
        str(own) for own in (arguments.corpus, arguments.fold, arguments.split, arguments.count)
    )
    fit = _outputs(
        arguments.cache / f"{place}-validation.npz", network, cut(fitting), lanes, "validation"
    )
    seen = _outputs(arguments.cache / f"{place}-held.npz", network, ids, lanes, "held out")
    table = fit_exit_table(
        fit.entropies / ENTROPY_ONE, arguments.threshold, classes=len(network.classes)
    )
    save_exit_table(table, arguments.cache / f"{place}-exits.json")
    design = choose_unit(network, lanes)
    sizes = _lengths(ids, arguments.lengths, network.length)
    modules = json.dumps(render_processing_unit(design), sort_keys=True)
    rtl = hashlib.sha256(modules.encode()).hexdigest()[:12]
    runs = _counters(arguments.cache / f"{digest}-n{lanes}-{rtl}.json", network, sizes, lanes)
    measured = {}
    for length, run in runs.items():
        commands = plan_sentence(design, network, length).program.commands
        rows = [CommandCycles(**row) for row in run["commands"]]
        beats = int(run["beats"][0]), int(run["beats"][1])
        measured[length] = layer_works(design.config, model, commands, rows, beats)
    points = alpha_power_table()
    platform = Platform(unit_power(design.config, model, points.nominal, arguments.supply), points)
    profiles = [profile_for(len(one), measured) for one in ids]
    texts = Texts(seen.entropies, seen.labels, corpus.labels[held], profiles)
    base = longest_us(texts, platform)
    targets = [factor * base for factor in arguments.targets]
    targets += [1000 * ms for ms in arguments.targets_ms]
    for target in targets:
        aware = latency_aware(texts, platform, table, target)
        check_outcomes(aware, texts, platform, table, target)
    return {
        "texts": len(ids),
        "fitted_on": len(fitting),
        "layers": network.layers,
        "threshold": arguments.threshold,
        "longest_us": base,
        "cycles": {length: run["cycles"] for length, run in runs.items()},
        "modes": [asdict(row) for row in compare_modes(texts, platform, table, targets)],
        "table": table.rows.tolist(),
        "sources": model.sources(),
        "points": [asdict(points.point(i)) for i in range(points.last + 1)],
    }


def _figures(kind: type) -> Any:
    def parse(text: str) -> list[Any]:
        return [kind(part) for part in text.split(",") if part]

    return parse


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    base = commands.add_parser("base", help="ALBERT-base")
    run = commands.add_parser("run", help="a converted classifier on held-out texts")
    for own in (base, run):
        own.add_argument("--n", type=int, default=16, help="lanes")
        own.add_argument("--model", choices=sorted(MODELS), default=next(iter(MODELS)))
        own.add_argument("--supply", type=float, metavar="V", help="of a linear regulator")
        own.add_argument("--targets-ms", type=_figures(float), default=[], metavar="MS,MS")
        own.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER")
    base.add_argument("--cycles", type=Path, default=CYCLES, metavar="FILE")
    run.add_argument("network", type=Path)
    run.add_argument("--tokeniser", type=Path, required=True)
    run.add_argument("--threshold", type=float, required=True, help="nats")
    run.add_argument("--corpus", choices=sorted(CORPORA), default="bbc")
    run.add_argument("--fold", type=int, default=0)
    run.add_argument("--split", type=int, default=0)
    run.add_argument(
        "--targets", type=_figures(float), default=[1.0, 1.5, 2.0], metavar="X,X",
        help="times the longest full-depth time at nominal",
    )  # fmt: skip
    run.add_argument("--lengths", type=_figures(int), default=[32, 64, 96, 128], metavar="N,N")
    run.add_argument("--count", type=int, default=0, help="of the texts; 0: all")
    run.add_argument("--cache", type=Path, default=Path("build/albert_latency"))
    run.add_argument("--name", default="albert_latency", help="of the results")
    return parser


def main() -> int:
    """Exit status 1 where a check fails, 2 for bad input."""
    arguments = _parser().parse_args()
    os.nice(10)
    base = arguments.command == "base"
    try:
        found = _base(arguments) if base else _run(arguments)
    except InputError as error:
        _say(str(error))
        return 2
    except (CheckFailed, ToolFailed) as error:
        _say(str(error))
        return 3 if isinstance(error, ToolFailed) else 1
    found = {
        "command": command_line(), "model": arguments.model, "n": arguments.n,
        "supply": arguments.supply, **found,
    }  # fmt: skip
    text = base_report(found) if base else run_report(found)
    print(text)
    name = "albert_latency_base" if base else arguments.name
    write_whole(arguments.out / f"{name}.md", text)
    write_json(arguments.out / f"{name}.json", found)
    if not base:
        draw_run(found, f"{name}.png", arguments.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
