"""A narrow ResNet-18 or SqueezeNet trained on Fashion-MNIST, down to the accelerator's integers.

    python bench/conv/proof_fashion.py -o DIR [--network resnet18] [--width 0.25] [--epochs 3]
        [--tune 12800] [--images 1000] [--data fashion]

The network is the proof table's, narrow, on 28x28 pictures as they are. It is trained in float, its
weights rounded to one power of two each in every layer (after training, on 256 pictures, and again
after an epoch of training over ``--tune`` pictures from those codes), and the project for the
smallest board that has room runs the first ``--images`` test pictures. Nothing is chosen by test
pictures. DIR keeps a checkpoint an epoch; run again it goes on. Writes the figures beside the
proof table's.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
import torch

from bench.common.machine import RESULTS, command_line
from bench.common.records import write_json
from bench.conv.proof.report import kept
from bench.conv.proof.runs import BOARDS
from bench.conv.proof_networks.catalogue import NETWORKS, count
from shiftforge import evaluate, generate
from shiftforge.errors import InputError
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.data.datasets import load_dataset
from shiftforge.quant.data.labelled import Dataset, Labelled, first_of, split_off
from shiftforge.quant.graph.file import save_model
from shiftforge.quant.graph.types import Preprocess, QuantizedModel, ShiftFormat
from shiftforge.quant.models.batches import Examples, TrainingSet
from shiftforge.quant.models.fit import Progress, Stage, accuracy, fit
from shiftforge.quant.models.recipe import Recipe
from shiftforge.quant.models.retrain import integer_accuracy, retrain
from shiftforge.quant.models.start import PostTraining
from shiftforge.quant.quantize import Quantisation, quantize
from shiftforge.quant.schemes.folded import Schemed
from shiftforge.quant.schemes.shift import Shift

__all__ = ["main"]

DEVICES = ("pocl", "intel-fpga-emu")
_CALIBRATION, _WATCHED = 256, 2000
_RECIPE = Recipe(3, 0.1, shift=2)
_TUNING = Recipe(1, 0.002, optimiser="adam", weight_decay=0.0, warmup=0.05, shift=2, distil=0.5)


def main() -> None:
    """Train, convert, run, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--network", default="resnet18", choices=("resnet18", "squeezenet1_1"))
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--epochs", type=int, default=_RECIPE.epochs)
    parser.add_argument("--tune", type=int, default=12_800, help="pictures of fine-tuning, 0: none")
    parser.add_argument("--images", type=int, default=1000, help="test pictures on the devices")
    parser.add_argument("--data", default="fashion", help="fashion[:DIR]")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER")
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.output.mkdir(parents=True, exist_ok=True)
    found = prove(given, load_dataset(given.data))
    write_json(given.out / "proof_fashion.json", {"command": command_line(), **found})
    for name, value in found["accuracy"].items():
        print(f"{name}: {value:.2%}")


def prove(given: argparse.Namespace, data: Dataset) -> dict[str, Any]:
    """The figures of one network on a data set of grey pictures."""
    train, test = _coloured(data.train), _coloured(data.test)
    side = train.images.shape[1]
    half = Preprocess(3, side, side, (0.5,) * 3, (0.5,) * 3)
    rest, watched = split_off(train, min(_WATCHED, len(train) // 10))
    network = NETWORKS[given.network].make(side, given.width, len(data.labels))
    recipe = Recipe(**{**asdict(_RECIPE), "epochs": given.epochs})
    held = _examples(watched, half)
    stage = Stage("float", given.output, {"network": given.network, "width": given.width},
                  report=_say)  # fmt: skip
    fit(network, TrainingSet(_examples(rest, half), held), recipe, stage)
    network.cpu().eval()
    graph = capture(network, (3, side, side), half, given.network, labels=data.labels)
    calibration = first_of(train, _CALIBRATION).images
    model = quantize(graph, calibration, Quantisation(terms=1, first_last="same"))
    tested = _examples(test, half)
    sizes = count(network, (3, side, side))
    accuracies = {"float": accuracy(network, tested),
                  "one term, after training": integer_accuracy(model, tested)}  # fmt: skip
    if given.tune:
        part = rest if given.tune >= len(rest) else split_off(rest, given.tune)[1]
        names = [node.name for node in graph.nodes if isinstance(node, FloatConv)]
        start = PostTraining(dict.fromkeys(names, ShiftFormat(4, 1, "S1")), calibration)
        scheme = Schemed(Shift(4, 1, gradient="ewgs", rescale=False))
        stage = Stage("one-term", given.output, stage.facts, report=_say)
        sets = TrainingSet(_examples(part, half), held)
        model = retrain(graph, scheme, sets, _TUNING, start, stage=stage, teacher=network).model
        accuracies["one term, fine-tuned"] = integer_accuracy(model, tested)
    save_model(model, given.output / "model.safetensors")
    return {
        "network": given.network, "width": given.width, "side": side,
        "parameters": sizes.parameters, "macs": sizes.macs, "recipe": asdict(recipe),
        "tuning": asdict(_TUNING) if given.tune else None, "tuned_on": given.tune,
        "test_images": len(tested), "accuracy": accuracies, **_on_devices(given, model),
    }  # fmt: skip


def _on_devices(given: argparse.Namespace, model: QuantizedModel) -> dict[str, Any]:
    """The design for the smallest board, and its accuracy and integers on the devices."""
    folder = given.output / "project"
    for board in BOARDS:
        try:
            design = generate(model, board, output=folder)
        except InputError as error:
            print(f"{board}: {error}")
            continue
        at = ("float", "golden", *DEVICES)
        data = given.data.partition(":")[2]
        more = {"data_dir": Path(data)} if data else {}
        ran = evaluate(folder, "fashion-mnist:test", at=at, limit=given.images, **more)
        return {
            "plan": kept(board, dict(design.report)), "device_images": len(ran.labels),
            "device_accuracy": {name: own.top1 for name, own in ran.accuracies.items()},
            "mismatches": dict(ran.mismatches),
        }  # fmt: skip
    return {"plan": {}}


def _coloured(data: Labelled) -> Labelled:
    """Grey pictures (N, H, W, 1) in three equal channels."""
    return Labelled(np.repeat(data.images, 3, axis=3), data.labels)


def _examples(data: Labelled, preprocess: Preprocess) -> Examples:
    return Examples.of(data.images, data.labels, preprocess, torch.device("cpu"))


def _say(at: Progress) -> None:
    if at.step % 50 == 1 or at.step == at.steps:
        last = "" if at.accuracy is None else f", watched {at.accuracy:.2%}"
        print(
            f"{at.stage} {at.epoch}/{at.epochs} step {at.step}/{at.steps} loss {at.loss:.4f}{last}",
            flush=True,
        )


if __name__ == "__main__":
    main()
