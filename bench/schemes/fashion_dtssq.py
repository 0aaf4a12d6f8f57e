"""The demonstration's MobileNetV2 retrained from post-training codes, with DTSSQ by weight word or
with one or two terms everywhere.

Run:  python bench/schemes/fashion_dtssq.py -o DIR [--weights dtssq] [--target 0.2]
          [--images 12800] [--epochs 4] [--seed 1]

Two-term codes of `shiftforge quantize` (8-bit activations) are where training starts, one-term
codes with ``--weights one``. Gradients are EWGS's, Omega is on; with DTSSQ thresholds are learned,
and the array cycles that second words add fall to the target, a share of those without any, on an
array of 16 units x 7 pixels. The loss is half the labels' cross entropy, half the distance to the
float network's outputs. A tenth of the training images is held out, 2,000 of them are watched;
nothing is chosen by them, the last epoch is what counts. (The float network was trained on those
images too, so that its own figure on them is too good.) The 10,000 test images are looked at once,
at the end, in the integer graph's own values.

Writes DIR/model.safetensors (for `generate`), DIR/mobilenet_v2_fashion_dtssq.safetensors (integers
alone, as shipped), DIR/result.json and a checkpoint an epoch; run again with the same arguments it
goes on where it was broken off. Test accuracy is left out where the full data set is not installed.
`fashion_table.py` puts runs side by side.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
import torch

from bench.common.records import write_whole
from shiftforge.boards.load import load_board
from shiftforge.generator.conv.second_words import word_planner
from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.data.datasets import load_dataset
from shiftforge.quant.data.images import from_array, resize
from shiftforge.quant.data.labelled import Labelled, first_of, split_off
from shiftforge.quant.graph.file import save_model
from shiftforge.quant.graph.types import ShiftFormat
from shiftforge.quant.graph.variants import META_KEY
from shiftforge.quant.models import fashion
from shiftforge.quant.models.batches import Examples, TrainingSet
from shiftforge.quant.models.fit import Progress, Stage, accuracy
from shiftforge.quant.models.recipe import Recipe
from shiftforge.quant.models.retrain import integer_accuracy, retrain
from shiftforge.quant.models.shipped import CALIBRATION, FILE, without_floats
from shiftforge.quant.models.start import PostTraining
from shiftforge.quant.schemes.dtssq import DTSSQ
from shiftforge.quant.schemes.folded import Schemed
from shiftforge.quant.schemes.shift import Shift
from shiftforge.quant.schemes.summary import table, totals

WATCHED = 2000
BOARD, UNITS, PIXELS = "a10gx1150", 16, 7
TERMS = {"one": 1, "two": 2}


def main() -> None:
    """Train, look at the test images once, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--weights", default="dtssq", choices=("one", "dtssq", "two"))
    parser.add_argument("--data", default="fashion", help="fashion[:DIR]")
    parser.add_argument("--target", type=float, default=0.2, help="share of array cycles")
    parser.add_argument("--images", type=int, default=12_800, help="a part of the training images")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--rate", type=float, default=0.002, help="Adam's, in levels")
    parser.add_argument("--distil", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.output.mkdir(parents=True, exist_ok=True)

    data = load_dataset(given.data)
    calibration = _resized(first_of(data.train, CALIBRATION))
    rest, held = split_off(data.train, len(data.train) // 10)
    rest = rest if given.images >= len(rest) else split_off(rest, given.images, given.seed)[1]
    watched = held if len(held) <= WATCHED else split_off(held, WATCHED)[1]
    train_set, watched_set = _examples(_resized(rest)), _examples(_resized(watched))

    graph = fashion.float_graph()
    teacher = fashion.load()
    names = [node.name for node in graph.nodes if isinstance(node, FloatConv)]
    scheme: Shift = DTSSQ(target=given.target, rescale=False)
    if given.weights != "dtssq":
        scheme = Shift(4, TERMS[given.weights], gradient="ewgs", omega=scheme.omega, rescale=False)
    start = ShiftFormat(4, 1, "S1") if given.weights == "one" else ShiftFormat(4, 2, "S2")
    recipe = Recipe(
        given.epochs, given.rate, optimiser="adam", weight_decay=0.0, warmup=0.05, shift=2,
        seed=given.seed, distil=given.distil,
    )  # fmt: skip
    print(
        f"{len(train_set)} images, {given.epochs} epochs, {len(watched_set)} watched; float "
        f"{accuracy(teacher, watched_set):.2%} on them (it was trained on them)",
        flush=True,
    )
    started = time.monotonic()

    def report(at: Progress) -> None:
        if at.step % 50 == 1 or at.step == at.steps:
            last = "" if at.accuracy is None else f", watched {at.accuracy:.2%}"
            print(
                f"epoch {at.epoch}/{at.epochs} step {at.step}/{at.steps} loss {at.loss:.4f}"
                f"{last}, {time.monotonic() - started:.0f} s, {at.seconds_left:.0f} s left",
                flush=True,
            )

    found = retrain(
        graph, Schemed(scheme), TrainingSet(train_set, watched_set), recipe,
        PostTraining(dict.fromkeys(names, start), calibration.images),
        planner=word_planner(load_board(BOARD), UNITS, PIXELS),
        stage=Stage(scheme.name, given.output, report=report), teacher=teacher,
    )  # fmt: skip
    seconds = time.monotonic() - started
    save_model(found.model, given.output / "model.safetensors")
    save_model(without_floats(found.model), given.output / FILE)
    weights = totals(found.layers).weights
    second = sum(row.term_histogram[2] * row.weights for row in found.layers) / weights
    print(table(found.layers))
    result = {
        "arguments": {**vars(given), "output": None},
        "recipe": asdict(recipe),
        "watched": dict(found.accuracies),
        "two_term_weights": second,
        "second_terms": found.model.meta[META_KEY],
        "bits_per_weight": totals(found.layers).bits_per_weight,
        "shifts_per_weight": totals(found.layers).shifts_per_weight,
        "seconds": round(seconds),
        "test": None,
        "float_test": None,
        "test_images": len(data.test),
    }
    if len(data.test) == 10_000:
        test = _examples(_resized(data.test))
        result["float_test"] = accuracy(teacher, test)
        result["test"] = integer_accuracy(found.model, test)
    write_whole(given.output / "result.json", json.dumps(result, indent=1, default=str) + "\n")
    print(json.dumps({k: result[k] for k in ("watched", "second_terms", "test", "float_test")}))


def _resized(data: Labelled) -> Labelled:
    side = fashion.RESOLUTION
    images = np.stack([resize(from_array(image, 1), side, side) for image in data.images])
    return Labelled(images, data.labels)


def _examples(data: Labelled) -> Examples:
    return Examples.of(data.images, data.labels, fashion.PREPROCESS, torch.device("cpu"))


if __name__ == "__main__":
    main()
