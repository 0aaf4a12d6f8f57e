"""A classifier's weights as AF<8,3> and as powers of two: accuracy, bits, area, cycles, energy.

    python bench/edgebert/shift_against_af.py --folder CLASSIFIER [--package dtssq=FILE] [--limit N]
        [--sentences 4] [--out FOLDER]

The classifier of the folder is quantised to AF8, SHIFT of one term and of two; --package adds an
integer network made otherwise (DTSSQ, trained weights), with the same tokeniser and labels.
Accuracy: held-out texts of the folder's own fold, in integers, by the reference. Cycles: RTL in
simulation, mean over held-out sentences through all layers; those of an ALBERT-base layer are read
from results/edgebert_cycles.json. ALMs: read from results/edgebert_area.json (Yosys). Energy is
modelled (generator/edgebert/energy/unit_energy.py, 45 nm, nominal voltage).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from bench.common.machine import RESULTS, command_line, load, machine, print_table
from bench.common.records import write_json, write_whole
from shiftforge.errors import CheckFailed, InputError, ToolFailed
from shiftforge.generator.edgebert.energy.energy import Work, layer_works
from shiftforge.generator.edgebert.energy.unit_energy import HOROWITZ_45
from shiftforge.generator.edgebert.sentence import choose_unit, plan_sentence
from shiftforge.quant.albert.network.file import load_integer
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.quant.albert.network.quantise import quantise_folder
from shiftforge.quant.albert.training.texts import HeldOut, held_out
from shiftforge.quant.text.catalogue import load_corpus
from shiftforge.sim.edgebert.accuracy import Outputs, reference_outputs
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit
from shiftforge.sim.edgebert.sentence_golden import golden_sentence
from shiftforge.sim.edgebert.sentence_rtl import ClassifierRtl
from shiftforge.sim.edgebert.sentence_trace import compare_sentences

__all__ = ["Row", "main", "weight_bits"]

AREA, CYCLES = RESULTS / "edgebert_area.json", RESULTS / "edgebert_cycles.json"
LABELS = {"af": "AF8", "shift1": "SHIFT, one term", "shift2": "SHIFT, two terms"}
EXPONENT_BITS = 8
_TO_UJ = 1e-3


@dataclass(frozen=True)
class Row:
    """One kind of weights.

    accuracy: of each off-ramp on the held-out texts; interval: of the last, 95 % (Wilson). same:
    share of texts with AF8's last label. weights: bits of matrices and off-ramps, each weight as
    wide as the unit stores it, with exponents; stored: the same as bit mask and non-zero values.
    embeddings: bits of word and place table, AF<8,3> always. alms, dsp: the array at n lanes;
    alms_lut: with multipliers in LUTs. cycles, ideal: of a sentence, means; mismatches: of its
    integers with the reference. energy: modelled uJ of a sentence, by part. base_cycles,
    base_energy: of an ALBERT-base layer.
    """

    label: str
    weights_kind: str
    accuracy: tuple[float, ...]
    interval: tuple[float, float]
    same: float
    weights: int
    stored: int
    embeddings: int
    alms: float | None
    alms_lut: float | None
    dsp: float | None
    cycles: float | None
    ideal: float | None
    mismatches: int | None
    energy: dict[str, float] | None
    base_cycles: int | None
    base_energy: float | None


def weight_bits(network: IntegerAlbert, lanes: int) -> tuple[int, int, int]:
    """Bits of the matrices and off-ramps dense, and as stored; bits of word and place table.

    As stored: one mask bit a weight, and the codes that are not zero.
    """
    width = choose_unit(network, lanes).config.weight_bits
    matrices = [*network.linears.values(), *network.ramps]
    count = sum(m.codes.size for m in matrices)
    zero = (0, 0x80) if network.weights == "af" else (0, 0x08, 0x80, 0x88)
    kept = sum(int((~np.isin(m.codes, zero)).sum()) for m in matrices)
    exponents = EXPONENT_BITS * sum(m.exponent.size for m in matrices)
    words = 8 * (network.words.mask_bytes + network.words.value_bytes + network.place.size)
    return count * width + exponents, count + kept * width + exponents, words


def _entry(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def sentences_on_rtl(
    network: IntegerAlbert, ids: Sequence[NDArray[np.int64]], lanes: int
) -> tuple[float, float, int, dict[str, float]]:
    """Mean cycles and ideal cycles, differing integers, and mean modelled uJ by part."""
    design = choose_unit(network, lanes)
    rtl = ClassifierRtl(design, network, longest=max(map(len, ids)))
    cycles, ideal, wrong = [], [], 0
    energy = Work()
    for one in ids:
        run = rtl.run(one)
        want = golden_sentence(network, one, golden_unit(design))
        wrong += compare_sentences(run.sentence, want).mismatches
        cycles.append(run.cycles)
        ideal.append(run.ideal_cycles)
        commands = plan_sentence(design, network, len(one)).program.commands
        beats = run.reads, run.writes
        for work in layer_works(design.config, HOROWITZ_45, commands, run.commands, beats):
            energy += work
    parts = {f.name: getattr(energy, f.name) for f in fields(energy) if f.name != "cycles"}
    mean = {name: value / len(ids) * _TO_UJ for name, value in parts.items()}
    return float(np.mean(cycles)), float(np.mean(ideal)), wrong, mean


def measure(
    label: str, network: IntegerAlbert, texts: HeldOut, reference: Outputs | None,
    arguments: argparse.Namespace,
) -> tuple[Row, Outputs]:  # fmt: skip
    """All figures of one kind of weights. reference: AF8's outputs."""
    started = time.perf_counter()
    lanes = arguments.lanes
    unit = golden_unit(choose_unit(network, lanes))
    outputs = reference_outputs(network, texts.ids, unit)
    right = int((outputs.labels[:, -1] == texts.labels).sum())
    bounds = binomtest(right, len(texts.ids)).proportion_ci(method="wilson")
    base = outputs if reference is None else reference
    said = time.perf_counter() - started
    print(f"{label}: accuracy {right / len(texts.ids):.2%}, {said:.0f} s", file=sys.stderr)
    simulated = None
    if arguments.sentences:
        places = np.linspace(0, len(texts.ids) - 1, arguments.sentences).astype(int)
        simulated = sentences_on_rtl(network, [texts.ids[i] for i in places], lanes)
        print(f"{label}: {simulated[0]:,.0f} cycles", file=sys.stderr)
    areas = {(r["variant"], r["n"]): r for r in _entry(AREA)["rows"]}
    area = areas.get((network.weights, lanes))
    in_luts = areas.get((f"{network.weights}-lut", lanes))
    layer = _entry(CYCLES).get(f"{network.weights}-{lanes}")
    row = Row(
        label, network.weights,
        tuple(outputs.accuracy(texts.labels).tolist()), (float(bounds.low), float(bounds.high)),
        float((outputs.labels[:, -1] == base.labels[:, -1]).mean()),
        *weight_bits(network, lanes),
        None if area is None else area["array"]["alms"],
        None if in_luts is None else in_luts["array"]["alms"],
        None if area is None else area["array"]["dsp_blocks"],
        *((None, None, None, None) if simulated is None else simulated),
        None if layer is None else layer["cycles"],
        None if area is None or not area["energy"] else sum(area["energy"].values()),
    )  # fmt: skip
    return row, outputs


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def report(rows: Sequence[Row], facts: dict[str, Any]) -> str:
    """The comparison as Markdown: a column for each kind of weights."""
    lanes, count = facts["lanes"], facts["texts"]
    lines: list[tuple[str, list[str]]] = [
        ("accuracy, last off-ramp", [f"{r.accuracy[-1]:.2%}" for r in rows]),
        ("its 95 % interval (Wilson)",
         [f"{r.interval[0]:.1%} to {r.interval[1]:.1%}" for r in rows]),
        ("accuracy, first off-ramp", [f"{r.accuracy[0]:.2%}" for r in rows]),
        ("labels as AF8's", [f"{r.same:.2%}" for r in rows]),
        ("weights, bits", [f"{r.weights:,}" for r in rows]),
        ("with mask, non-zero only, bits", [f"{r.stored:,}" for r in rows]),
        ("embeddings (same for all), bits", [f"{r.embeddings:,}" for r in rows]),
        (f"array of n = {lanes}, ALMs (Yosys)", [_text(r.alms, ",.0f") for r in rows]),
        ("multipliers in LUTs, ALMs", [_text(r.alms_lut, ",.0f") for r in rows]),
        ("DSP blocks", [_text(r.dsp, ",.0f") for r in rows]),
        ("RTL cycles a sentence, mean", [_text(r.cycles, ",.0f") for r in rows]),
        ("ideal", [_text(r.ideal, ",.0f") for r in rows]),
        ("integers unlike the reference", [_text(r.mismatches, ",d") for r in rows]),
        ("energy a sentence, modelled, uJ",
         [_text(None if r.energy is None else sum(r.energy.values()), ",.1f") for r in rows]),
        ("of it on chip, uJ",
         [_text(None if r.energy is None else sum(r.energy.values()) - r.energy["external"]
                - r.energy["embeddings"], ",.1f") for r in rows]),
        ("RTL cycles, ALBERT-base layer", [_text(r.base_cycles, ",d") for r in rows]),
        ("its matrix products, modelled, uJ", [_text(r.base_energy, ",.0f") for r in rows]),
    ]  # fmt: skip
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        print("# Powers of two against AF8 on the EdgeBERT unit\n")
        print(f"`{facts['command']}`\n")
        shape = ", ".join(f"{k} {v}" for k, v in facts["shape"].items())
        print(f"Classifier of {facts['corpus']}, fold {facts['fold']} ({shape}).")
        floats = facts["float_accuracy"]
        known = f" float {floats[-1]:.2%};" if floats else ""
        print(f"{count} held-out texts;{known} weights are quantised without training")
        print("unless the column says otherwise.\n")
        print_table(["", *(r.label for r in rows)], [[name, *cells] for name, cells in lines])
        print(f"\nALMs, energy of the products: results/{AREA.name}, made by")
        print(f"`{facts['area_command']}`. Cycles of the layer: results/{CYCLES.name}.")
        if facts["sentences"]:
            print(f"Cycles a sentence: mean of {facts['sentences']} held-out texts, all layers.")
        print("Energy is modelled, 45 nm, without leakage:\n")
        for name, source in HOROWITZ_45.sources().items():
            print(f"- {name}: {source}")
    return out.getvalue()


def _packages(values: Sequence[str]) -> list[tuple[str, Path]]:
    found = []
    for value in values:
        name, _, path = value.partition("=")
        if not name or not path:
            raise argparse.ArgumentTypeError(f"{value!r}: write NAME=FILE")
        found.append((name, Path(path)))
    return found


def run(arguments: argparse.Namespace) -> bool:
    """Measure, print and write; whether the RTL left the reference's integers."""
    packages = _packages(arguments.package)
    before = load()
    networks: list[tuple[str, IntegerAlbert]] = []
    with tempfile.TemporaryDirectory(prefix="shiftforge-bench-") as name:
        for kind in arguments.weights.split(","):
            output = Path(name) / f"{kind}.safetensors"
            made = quantise_folder(arguments.folder, output, kind)
            networks.append((LABELS.get(kind, kind), made))
    networks += [(label, load_integer(path)) for label, path in packages]
    notes = _entry(arguments.folder / "classifier.json")
    corpus, fold = load_corpus(notes["corpus"]), int(notes["fold"])
    length, split = networks[0][1].length, int(notes.get("split", 0))
    texts = held_out(corpus, fold, arguments.folder, length, 0, split)
    if arguments.limit is not None and arguments.limit < len(texts.ids):
        places = np.linspace(0, len(texts.ids) - 1, arguments.limit).astype(int)
        texts = HeldOut(tuple(texts.ids[i] for i in places), texts.labels[places], ())
    rows: list[Row] = []
    reference: Outputs | None = None
    for label, network in networks:
        row, outputs = measure(label, network, texts, reference, arguments)
        reference = reference or outputs
        rows.append(row)
    facts: dict[str, Any] = {
        "command": command_line(), "machine": machine(), "load": [before, load()],
        "corpus": notes["corpus"], "fold": fold, "shape": notes["shape"], "texts": len(texts.ids),
        "float_accuracy": notes["accuracy"] if arguments.limit is None else None,
        "lanes": arguments.lanes, "sentences": arguments.sentences,
        "area_command": _entry(AREA)["command"],
        "energy_sources": HOROWITZ_45.sources(),
    }  # fmt: skip
    text = report(rows, facts)
    print(text)
    write_whole(arguments.out / "shift_against_af.md", text)
    data = {**facts, "rows": [asdict(row) for row in rows]}
    write_json(arguments.out / "shift_against_af.json", data)
    return not any(row.mismatches for row in rows)


def main() -> int:
    """Exit status 1 where the RTL differs from the reference, 2 for bad input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="a trained classifier")
    parser.add_argument("--weights", default="af,shift1,shift2", help="AF8 first")
    parser.add_argument("--package", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--limit", type=int, metavar="N", help="held-out texts, evenly spaced")
    parser.add_argument("--sentences", type=int, default=4, help="on the RTL; 0: none")
    parser.add_argument("--lanes", type=int, default=16)
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER")
    arguments = parser.parse_args()
    if (arguments.limit or 1) < 1 or arguments.sentences < 0:
        parser.error("1 or more texts, 0 or more sentences")
    try:
        return 0 if run(arguments) else 1
    except (InputError, argparse.ArgumentTypeError) as error:
        print(error, file=sys.stderr)
        return 2
    except (CheckFailed, ToolFailed) as error:
        print(error, file=sys.stderr)
        return 3 if isinstance(error, ToolFailed) else 1


if __name__ == "__main__":
    raise SystemExit(main())
