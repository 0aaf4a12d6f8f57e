"""A float network to the integer graph by way of a scheme's training, begun from the codes that
post-training quantisation finds.

No batch norm is left: every value in training is the integer graph's own, and so is what is written
down at the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import nn

from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.capture.types import FloatGraph
from shiftforge.quant.data.inputs import to_codes
from shiftforge.quant.graph.types import QuantizedModel
from shiftforge.quant.models.batches import Examples, TrainingSet
from shiftforge.quant.models.fit import Hooks, Stage, accuracy, fit
from shiftforge.quant.models.qat import scheme_facts
from shiftforge.quant.models.recipe import Group, Recipe
from shiftforge.quant.models.start import PostTraining
from shiftforge.quant.models.words import begin_words, end_words, selected_counts, with_words
from shiftforge.quant.schemes.convert import convert
from shiftforge.quant.schemes.folded import ParametrisedWeight, Schemed
from shiftforge.quant.schemes.network import QuantNetwork
from shiftforge.quant.schemes.summary import LayerSummary, summary
from shiftforge.quant.second_words import WordPlanner
from shiftforge.quant.simulate import run_fake_quantised

__all__ = ["Retrained", "folded_from_codes", "integer_accuracy", "retrain", "unit_groups"]

# Of the rate for biases, in the maps' units (a few wide), beside 1 for weights in levels.
_BIAS_FACTOR = 0.1


@dataclass(frozen=True, eq=False)
class Retrained:
    """network: folded and trained, on the CPU. accuracies: shares, 0..1, of the watched images:
    "start" with the post-training codes, then after every epoch run now."""

    network: QuantNetwork
    model: QuantizedModel
    accuracies: Mapping[str, float]
    layers: tuple[LayerSummary, ...] = field(default=())


def unit_groups(network: nn.Module, recipe: Recipe) -> list[Group]:
    """Parameter groups for Adam: a layer's masters at a rate in steps of its levels.

    Adam moves a parameter by about the rate whatever its size, and folded layers' weights differ by
    orders of magnitude: the factor is the geometric mean of the channels' scales. Thresholds take
    recipe.quantiser_rate; nothing decays.
    """
    if not isinstance(network, QuantNetwork):
        raise TypeError("only folded networks have scales to go by")
    groups: list[Group] = []
    biases: list[nn.Parameter] = []
    learnt: list[nn.Parameter] = []
    for name, quantiser in network.quantisers().items():
        biases.append(network.conv(name).bias)
        parameters = dict(quantiser.named_parameters())
        factor = 1.0
        if isinstance(quantiser, ParametrisedWeight):
            unit = quantiser.unit()
            factor = 1.0 if unit is None else float(unit.double().log().mean().exp())
        own = [p for n, p in parameters.items() if n.endswith("original") or n == "v"]
        learnt += [p for p in parameters.values() if not any(p is held for held in own)]
        groups.append({"params": own, "weight_decay": 0.0, "factor": factor})
    groups.append({"params": biases, "weight_decay": 0.0, "factor": _BIAS_FACTOR})
    if learnt:
        groups.append({"params": learnt, "weight_decay": 0.0, "factor": recipe.quantiser_rate})
    return groups


def folded_from_codes(graph: FloatGraph, scheme: Schemed, start: PostTraining) -> QuantNetwork:
    """The exact folded network whose masters lie in the cells of post-training codes."""
    found = start.begin(graph, scheme).network
    found.exact = True
    return found


def integer_accuracy(model: QuantizedModel, examples: Examples, batch: int = 50) -> float:
    """Share of correctly classified examples, 0..1, by the integer graph's own values."""
    grid = model.tensors[model.input].grid
    hits = 0
    for first in range(0, len(examples), batch):
        part = slice(first, first + batch)
        frames = examples.images[part].permute(0, 2, 3, 1).cpu().numpy()
        codes = to_codes(frames, model.preprocess, grid)
        found = run_fake_quantised(model, codes)[model.output].reshape(len(codes), -1)
        hits += int((found.argmax(1) == examples.labels[part].cpu().numpy()).sum())
    return hits / len(examples)


def retrain(
    graph: FloatGraph,
    schemed: Schemed,
    data: TrainingSet,
    recipe: Recipe,
    start: PostTraining,
    *,
    stage: Stage | None = None,
    teacher: nn.Module | None = None,
    planner: WordPlanner | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Retrained:
    """Quantise after training, train on from there under the scheme, and convert.

    stage: by default of the scheme's name, and nothing is kept. teacher: for the recipe's
    distillation. planner: of the array whose weight words DTSSQ decides by; without one every
    weight has its own decision. A scheme of shift weights should keep its scales
    (``rescale=False``), which are those of the codes. Raises InputError as `begin_words`, `fit` and
    `convert` do.
    """
    network = folded_from_codes(graph, schemed, start)
    words = None
    if planner is not None:
        words = begin_words(network, planner, normalise(start.calibration, graph.preprocess))
    network.to(data.train.images.device)
    quantisers = network.quantisers()
    reached = {"start": accuracy(network, data.watched)}
    own = stage or Stage(schemed.scheme.name)
    facts = {
        **scheme_facts(schemed.scheme),
        "overrides": {n: scheme_facts(s) for n, s in schemed.overrides.items()},
        "activation_bits": start.activation_bits,
        "calibration_images": len(start.calibration),
    }
    if words is not None:
        facts["array"] = dict(words.plan.array)
    hooks = Hooks(
        loss=lambda task: schemed.loss(task, quantisers),
        after_step=lambda: schemed.after_step(quantisers),
        at_epoch=lambda epoch, epochs: schemed.at_epoch(quantisers, epoch, epochs),
        groups=unit_groups,
    )
    known = replace(own, facts={**facts, **own.facts})
    found = fit(network, data, recipe, known, hooks=hooks, teacher=teacher)
    first = recipe.epochs - len(found)
    reached |= {f"epoch {first + i + 1}": value for i, value in enumerate(found)}
    network.cpu().eval()
    if words is not None:
        end_words(network)
    model = convert(network, meta={**facts, "training": asdict(recipe), **(meta or {})})
    if words is not None:
        model = with_words(model, words, selected_counts(network), start.calibration)
    return Retrained(network, model, reached, tuple(summary(network)))
