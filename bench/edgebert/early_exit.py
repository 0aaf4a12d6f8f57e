"""Why integers leave at another layer than the float network, and what that does to accuracy.

    python bench/edgebert/early_exit.py CLASSIFIER [--weights af|shift1|shift2] [--plain-ramps]
        [--limit N] [--thresholds 0.05,0.1,0.2,0.3,0.5,0.8] [--work FILE] [--out FILE]

Held-out texts of the classifier's own fold, through all layers, in the float network and in the
integer reference. Of every off-ramp three entropies: of the float logits; of the integers' logits,
computed in float; the integers' own. Between the first two lie the logits (the quantised network),
between the last two the entropy unit. Exit layers, accuracy and depth follow for each threshold.
--plain-ramps leaves the off-ramps' biases as they were trained (quant/albert/network/ramps.py
corrects them). Each text's figures are kept in --work as soon as they are there: a run that was
broken off goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from bench.common.machine import RESULTS, command_line, print_table
from bench.common.records import write_json
from shiftforge.errors import InputError
from shiftforge.generator.edgebert.sentence import choose_unit
from shiftforge.quant.albert.exits.exits import exit_layers, nats
from shiftforge.quant.albert.network.folder import float_network, load_classifier
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.quant.albert.network.quantise import quantise_folder
from shiftforge.quant.albert.network.stages import FloatNetwork, float_stages
from shiftforge.quant.albert.training.texts import HeldOut, held_out
from shiftforge.quant.text.catalogue import load_corpus
from shiftforge.sim.edgebert.rtl.encoder_cosim import golden_unit
from shiftforge.sim.edgebert.sentence_golden import golden_sentence, off_ramp
from shiftforge.sim.golden.edgebert.encoder import Unit

__all__ = ["Point", "Texts", "main", "measure", "points"]

OUT = RESULTS / "early_exit.json"
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8)
ONE = 1 << 16
LANES = 16

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Texts:
    """Logits (N, layers, classes) of the float network and of the integers, in real numbers; the
    integers' own entropies (N, layers) in nats; wanted labels (N,)."""

    floats: Floats
    integers: Floats
    entropies: Floats
    wanted: NDArray[np.int64]


@dataclass(frozen=True)
class Point:
    """At a threshold, of N texts: exit layers that differ between the float network and the
    integers; of those that would with the entropy computed in float of the integers' logits
    (logits), and between that and the integers' own (entropy). Accuracy and average exit layer of
    both; flips: texts right in one alone, as (float, integers); p: of these by an exact sign test.
    earlier, later: of the texts that differ, where the integers leave."""

    threshold: float
    differ: int
    by_logits: int
    by_entropy: int
    earlier: int
    later: int
    accuracy: tuple[float, float]
    layer: tuple[float, float]
    flips: tuple[int, int]
    p: float


def measure(
    network: IntegerAlbert, floats: FloatNetwork, ids: NDArray[np.int64], unit: Unit
) -> dict[str, Any]:
    """A text's figures as JSON has them."""
    _, layers = float_stages(floats, ids)
    found = golden_sentence(network, ids, unit)
    fixed = [
        off_ramp(network, index, layer.stages["norm2"][:1], unit)[0] / (1 << unit.fraction)
        for index, layer in enumerate(found.layers)
    ]
    return {
        "floats": [own["logits"][0].tolist() for own in layers],
        "integers": [row.tolist() for row in fixed],
        "entropies": [layer.entropy / ONE for layer in found.layers],
    }


def points(texts: Texts, thresholds: Sequence[float]) -> list[Point]:
    """What early exit does at each threshold."""
    # (layers, N), as exit_layers has them.
    ideal, logits = (nats(values).T for values in (texts.floats, texts.integers))
    rows = np.arange(len(texts.wanted))
    out = []
    for threshold in thresholds:
        left = [exit_layers(h, threshold) for h in (ideal, logits, texts.entropies.T)]
        right = [
            values[rows, layers - 1].argmax(axis=1) == texts.wanted
            for values, layers in ((texts.floats, left[0]), (texts.integers, left[2]))
        ]
        flips = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
        p = float(binomtest(flips[0], sum(flips)).pvalue) if sum(flips) else 1.0
        out.append(
            Point(
                threshold,
                int((left[0] != left[2]).sum()),
                int((left[0] != left[1]).sum()),
                int((left[1] != left[2]).sum()),
                int((left[2] < left[0]).sum()),
                int((left[2] > left[0]).sum()),
                (float(right[0].mean()), float(right[1].mean())),
                (float(left[0].mean()), float(left[2].mean())),
                flips,
                p,
            )
        )
    return out


def _kept(work: Path, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The texts that an earlier run of the same network measured."""
    if not work.is_file():
        return
    for line in work.read_text(encoding="utf-8").splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue  # the line in which the run was broken off
        if found.get("key") == key:
            yield int(found["text"]), found


def _key(network: IntegerAlbert, floats: FloatNetwork) -> str:
    total = hashlib.sha256(repr(sorted(network.embedding_biases.items())).encode())
    for linear in (*network.linears.values(), *network.ramps):
        total.update(linear.codes.tobytes() + linear.bias.tobytes() + linear.exponent.tobytes())
    total.update(repr([sorted(own.items()) for own in network.biases]).encode())
    for name in sorted(floats.values):
        total.update(np.ascontiguousarray(floats.values[name]).tobytes())
    return total.hexdigest()[:16]


def collect(network: IntegerAlbert, floats: FloatNetwork, texts: HeldOut, work: Path) -> Texts:
    """Every text's figures, measured or kept."""
    unit, key = golden_unit(choose_unit(network, LANES)), _key(network, floats)
    known = dict(_kept(work, key))
    work.parent.mkdir(parents=True, exist_ok=True)
    with work.open("a", encoding="utf-8") as file:
        for index, ids in enumerate(texts.ids):
            if index in known:
                continue
            known[index] = measure(network, floats, ids, unit)
            file.write(json.dumps({"key": key, "text": index, **known[index]}) + "\n")
            file.flush()
            print(f"\r{index + 1} of {len(texts.ids)} texts", end="", file=sys.stderr, flush=True)
    rows = [known[index] for index in range(len(texts.ids))]
    parts = (np.array([row[name] for row in rows]) for name in ("floats", "integers", "entropies"))
    return Texts(*parts, texts.labels)


def errors(texts: Texts) -> dict[str, list[float]]:
    """By layer: error of the logits' entropy (mean, deviation) and the entropy unit's largest, in
    nats; of the differences between two logits, which alone matter, mean size and error."""
    ideal, logits = nats(texts.floats), nats(texts.integers)
    apart = logits - ideal
    own = np.abs(texts.entropies - logits).max(axis=0)
    centred = [v - v.mean(axis=2, keepdims=True) for v in (texts.floats, texts.integers)]
    size = np.sqrt(np.square(centred[0]).mean(axis=(0, 2)))
    noise = np.sqrt(np.square(centred[1] - centred[0]).mean(axis=(0, 2)))
    parts = {"entropy_mean_error": apart.mean(axis=0), "entropy_deviation": apart.std(axis=0),
             "entropy_unit_largest": own, "logit_size": size, "logit_error": noise}  # fmt: skip
    return {name: values.tolist() for name, values in parts.items()}


def tell(found: Sequence[Point], count: int) -> None:
    """The points as a table."""
    print_table(
        ["nats", f"other layer, of {count}", "by logits", "by entropy unit", "earlier", "later",
         "accuracy, float", "integers", "layer, float", "integers", "right in one alone", "p"],
        [
            [
                f"{p.threshold:g}", str(p.differ), str(p.by_logits), str(p.by_entropy),
                str(p.earlier), str(p.later), f"{p.accuracy[0]:.2%}", f"{p.accuracy[1]:.2%}",
                f"{p.layer[0]:.3f}", f"{p.layer[1]:.3f}", f"{p.flips[0]} and {p.flips[1]}",
                f"{p.p:.2f}",
            ]
            for p in found
        ],
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> None:
    """Measure, print and write."""
    folder = arguments.classifier
    model, classes = load_classifier(folder)
    floats = float_network(model, classes)
    with tempfile.TemporaryDirectory(prefix="shiftforge-bench-") as name:
        output, ramps = Path(name) / "network.safetensors", not arguments.plain_ramps
        network = quantise_folder(folder, output, arguments.weights, ramps=ramps)
    notes = json.loads((folder / "classifier.json").read_text(encoding="utf-8"))
    fold, split = int(notes["fold"]), int(notes.get("split", 0))
    texts = held_out(load_corpus(notes["corpus"]), fold, folder, network.length, 0, split)
    if arguments.limit is not None:
        texts = HeldOut(texts.ids[: arguments.limit], texts.labels[: arguments.limit], ())
    measured = collect(network, floats, texts, arguments.work)
    found = points(measured, arguments.thresholds)
    tell(found, len(texts.ids))
    figures = {
        "command": command_line(), "corpus": notes["corpus"], "fold": fold,
        "weights": arguments.weights, "corrected_ramps": not arguments.plain_ramps,
        "texts": len(texts.ids), "shape": notes["shape"],
        "by_layer": errors(measured), "points": [vars(p) for p in found],
    }  # fmt: skip
    kept = json.loads(arguments.out.read_text()) if arguments.out.is_file() else {}
    name = f"{notes['corpus']} {arguments.weights}{' plain ramps' * arguments.plain_ramps}"
    write_json(arguments.out, {**kept, name: figures})


def _thresholds(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(","))


def main() -> int:
    """Exit status 2 for bad input."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("classifier", type=Path, help="a trained classifier's folder")
    parser.add_argument("--weights", choices=("af", "shift1", "shift2"), default="af")
    parser.add_argument("--plain-ramps", action="store_true", help="without their correction")
    parser.add_argument("--limit", type=int, metavar="N", help="the first N held-out texts")
    parser.add_argument("--thresholds", type=_thresholds, default=THRESHOLDS, metavar="T,T")
    parser.add_argument("--work", type=Path, default=Path("out/early_exit.jsonl"), metavar="FILE")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE")
    arguments = parser.parse_args()
    if (arguments.limit or 1) < 1:
        parser.error("1 or more texts")
    try:
        run(arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
