"""Training MobileNetV2 on Fashion-MNIST: float, then a short quantisation-aware fine-tune."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from shiftforge.atomic import clear_leftovers
from shiftforge.errors import InputError, Problem, Problems
from shiftforge.quant.calibrate.convert import convert
from shiftforge.quant.capture.export import capture
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.data.fashion_mnist import LABELS
from shiftforge.quant.data.inputs import Frames, load_frames
from shiftforge.quant.graph.types import (
    IntFormat,
    Preprocess,
    QuantizedModel,
    ShiftFormat,
    WeightFormat,
)
from shiftforge.quant.graph.verify import verify
from shiftforge.quant.models import fashion
from shiftforge.quant.models.batches import Examples, TrainingSet
from shiftforge.quant.models.checkpoint import save_checkpoint
from shiftforge.quant.models.device import find_device
from shiftforge.quant.models.fit import Hooks, Recipe, Report, Stage, accuracy, fit
from shiftforge.quant.models.limits import (
    FLOAT,
    POLISH,
    demonstration_folder_problems,
    number_problems,
)
from shiftforge.quant.models.start import PostTraining
from shiftforge.quant.schemes.folded import FoldedScheme
from shiftforge.quant.schemes.ste import StraightThrough

__all__ = ["TrainConfig", "TrainResult", "fine_tune", "formats_of", "save_float", "train"]

FLOAT_RECIPE = Recipe(epochs=14, rate=0.2)
# A second cycle from where the first one ends: gentler, and with smaller moves of the images.
POLISH_RECIPE = Recipe(epochs=10, rate=0.1, warmup=0.05, shift=2)
# Adam in units of a weight's level spacing; no decay, the float training has done that.
TUNE_RECIPE = Recipe(epochs=2, rate=0.002, optimiser="adam", weight_decay=0.0, shift=2)


@dataclass(frozen=True)
class TrainConfig:
    """What `train` does.

    folder: receives a checkpoint an epoch; a run that was broken off resumes there.
    data_dir: the IDX files; None takes Debian's package. limit: images of either split, for trials.
    recipe, polish: the two cycles of float training; the second one's seed follows the first's and
    its epochs are at most as many. weights: their format; wide_ends gives the first and the last
    convolution two terms, or 8 bits. calibration: images that the activation grids and the first
    rounding see. device: "cpu", "cuda" or "cuda:N"; None takes CUDA where there is one.
    """

    folder: Path
    data_dir: Path | None = None
    width: float = fashion.WIDTH
    resolution: int = fashion.RESOLUTION
    recipe: Recipe = FLOAT_RECIPE
    polish: Recipe | None = POLISH_RECIPE
    tune: Recipe | None = TUNE_RECIPE
    weights: WeightFormat = field(default_factory=ShiftFormat)
    wide_ends: bool = True
    activation_bits: int = 8
    calibration: int = 256
    device: str | None = None
    limit: int | None = None

    @property
    def preprocess(self) -> Preprocess:
        """Of the network that is trained."""
        return Preprocess(1, self.resolution, self.resolution, (0.5,), (0.5,))


@dataclass(frozen=True, eq=False)
class TrainResult:
    """model: None where no fine-tune was asked for. Accuracies: share of test images, 0..1.

    tuned_accuracy is that of the fake-quantised network in float32.
    """

    checkpoint: Path
    float_accuracy: float
    graph: FloatGraph
    model: QuantizedModel | None = None
    tuned_accuracy: float | None = None


def _check(config: TrainConfig) -> None:
    problems = Problems()
    if not 0.1 <= config.width <= 1.4:
        problems.append(Problem(f"width {config.width}", "choose 0.1 to 1.4"))
    if not 32 <= config.resolution <= 224:
        problems.append(Problem(f"resolution {config.resolution}", "choose 32 to 224"))
    if config.calibration < 1:
        problems.append(Problem(f"{config.calibration} calibration images", "use at least 1"))
    epochs = [own.epochs for own in (config.recipe, config.polish, config.tune) if own is not None]
    problems += number_problems(epochs=epochs, seed=config.recipe.seed)
    problems += demonstration_folder_problems(config.folder)
    problems.stop()


def train(config: TrainConfig, report: Report | None = None) -> TrainResult:
    """Train, fine-tune and convert; the same config gives the same model on the same machine.

    Writes ``<folder>/mobilenet_v2_fashion.safetensors`` (the float network, as shipped) and the
    checkpoints beside it. Raises InputError for a bad config, missing data, or a folder that holds
    another run's checkpoints.
    """
    _check(config)
    device = find_device(config.device)
    preprocess = config.preprocess

    def frames(split: str) -> Frames:
        return load_frames(
            f"fashion-mnist:{split}", preprocess, limit=config.limit, data_dir=config.data_dir
        )

    train_frames, test_frames = frames("train"), frames("test")
    data = TrainingSet(
        _examples(train_frames, preprocess, device), _examples(test_frames, preprocess, device)
    )
    settings = fashion.network_config(config.width, config.resolution)
    network = fashion.build(settings, config.recipe.seed)
    clear_leftovers(config.folder)
    stage = Stage(FLOAT, config.folder, {"config": settings}, keep=None, report=report)
    fit(network, data, config.recipe, stage)
    epochs = config.recipe.epochs
    if config.polish is not None:
        polish = replace(
            config.polish,
            epochs=min(config.polish.epochs, epochs),
            seed=config.recipe.seed + 1,
        )
        fit(network, data, polish, replace(stage, name=POLISH))
        epochs += polish.epochs
    reached = accuracy(network, data.watched)
    path = config.folder / f"{fashion.NAME}.safetensors"
    save_float(path, network, settings, epochs, config.recipe.seed, reached)
    graph = capture(
        network.cpu().eval(),
        (1, config.resolution, config.resolution),
        preprocess,
        fashion.NAME,
        LABELS,
    )
    if config.tune is None:
        return TrainResult(path, reached, graph)
    start = PostTraining(
        formats_of(graph, config.weights, config.wide_ends),
        train_frames.images[: config.calibration],
        config.activation_bits,
    )
    model, tuned = fine_tune(graph, data, config.tune, start, folder=config.folder, report=report)
    return TrainResult(path, reached, graph, model, tuned)


def _examples(frames: Frames, preprocess: Preprocess, device: torch.device) -> Examples:
    if frames.labels is None:
        raise InputError(Problem("the images have no labels", "use fashion-mnist"))
    return Examples.of(frames.images, frames.labels, preprocess, device)


def save_float(
    path: Path,
    network: torch.nn.Module,
    settings: Mapping[str, Any],
    epochs: int,
    seed: int,
    reached: float,
) -> None:
    """Write the float network for `fashion.load`: its state dict, config, and how it was made."""
    header = {
        "config": dict(settings),
        "epochs": epochs,
        "seed": seed,
        "float_accuracy": reached,
    }
    save_checkpoint(path, network.state_dict(), header)


def formats_of(
    graph: FloatGraph, weights: WeightFormat, wide_ends: bool
) -> dict[str, WeightFormat]:
    """The format of every convolution; wide ends: two terms or 8 bits for the first and last."""
    names = [node.name for node in graph.nodes if isinstance(node, FloatConv)]
    wide: WeightFormat = IntFormat(8)
    if isinstance(weights, ShiftFormat):
        wide = ShiftFormat(weights.bits, 2, "S2")
    ends = {names[0], names[-1]} if wide_ends else set()
    return {name: wide if name in ends else weights for name in names}


def fine_tune(
    graph: FloatGraph,
    data: TrainingSet,
    recipe: Recipe,
    start: PostTraining,
    *,
    scheme: FoldedScheme | None = None,
    folder: Path | None = None,
    report: Report | None = None,
) -> tuple[QuantizedModel, float]:
    """Quantise after training, fine-tune from there, and convert to the integer graph.

    scheme: the straight-through estimator by default. Returns the model and the fake-quantised
    network's accuracy on the watched images.
    """
    chosen = scheme or StraightThrough()
    begun = start.begin(graph, chosen)
    network, formats = begun.network, start.formats
    quantisers = network.quantisers()
    facts = {
        "scheme": chosen.name,
        "activation_bits": start.activation_bits,
        "calibration_images": len(start.calibration),
        "formats": {name: asdict(fmt) for name, fmt in formats.items()},
    }
    hooks = Hooks(lambda task: chosen.loss(task, quantisers), lambda: chosen.after_step(quantisers))
    stage = Stage(chosen.name, folder, facts, keep=None, report=report)
    fit(network, data, recipe, stage, hooks=hooks)
    tuned = accuracy(network, data.watched)
    found = network.convert()
    meta = {**facts, "training": asdict(recipe)}
    model = convert(
        begun.graph, begun.grids, found.weights, formats, biases=found.biases, requant="shift",
        meta=meta,
    )  # fmt: skip
    verify(model)
    return model, tuned
