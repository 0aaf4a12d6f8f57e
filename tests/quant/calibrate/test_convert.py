"""quantize() and convert(): valid integer graphs, and refusals that name what is wrong."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from calibrate_cases import small_graph, smooth_images

from shiftforge.errors import InputError
from shiftforge.quant.calibrate.convert import clamp_codes, convert, exponent_floor, output_grid
from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.evaluate import evaluate
from shiftforge.quant.graph.file import model_bytes
from shiftforge.quant.graph.types import Grid, IntFormat, Pool, QuantizedModel, ShiftFormat
from shiftforge.quant.graph.verify import verify
from shiftforge.quant.quantize import Quantisation, quantize


@cache
def usual() -> QuantizedModel:
    return quantize(small_graph(), smooth_images(8))


def parts(model: QuantizedModel) -> tuple[dict[str, Grid], dict[str, Any], dict[str, Any]]:
    grids = {name: t.grid for name, t in model.tensors.items() if name != model.output}
    convs = model.conv_nodes()
    return grids, {c.name: (c.weight, c.z) for c in convs}, {c.name: c.format for c in convs}


def test_the_usual_model() -> None:
    model = usual()
    verify(model)
    convs = model.conv_nodes()
    assert {c.format for c in convs} == {ShiftFormat(4, 2, "S2")}
    out = model.tensors[model.output].grid
    assert (out.bits, out.signed) == (32, True)
    # Random weights make a chaotic network: a sanity bound, not a quality figure.
    assert evaluate(model, smooth_images(6, seed=5)).sqnr_db > 3
    pool = next(n for n in model.nodes if isinstance(n, Pool))
    source = model.tensors[pool.input]
    assert source.height * source.width * source.grid.qmax * pool.multiplier < 1 << 31
    assert model.meta["calibration_images"] == 8
    assert set(model.meta["sqnr_db"]) == {n.name for n in model.nodes}


def test_the_same_input_gives_the_same_bytes() -> None:
    assert model_bytes(usual()) == model_bytes(quantize(small_graph(), smooth_images(8)))


@pytest.mark.parametrize(
    "options",
    [
        {"terms": 1, "rounding": "log"},
        {"terms": 1, "first_last": "wide"},
        {"scheme": "int", "bits": 4, "requant": "multiplier"},
        {"bits": 3, "activation_bits": 4, "first_last": "same", "equalisation": "calibrated"},
        {"rounding": "nearest", "bias_correction": False, "calibration": "percentile"},
    ],
    ids=str,
)
def test_options_give_models_that_verify(options: dict[str, Any]) -> None:
    model = quantize(small_graph(), smooth_images(2), Quantisation(**options))
    verify(model)
    convs = model.conv_nodes()
    if options.get("terms") == 1:
        ends = ShiftFormat(4, 2, "S2") if "first_last" in options else ShiftFormat(4, 1, "S1")
        assert convs[0].format == convs[-1].format == ends
        assert model.meta["first_last"] == ("wide" if "first_last" in options else "same")
        assert convs[1].format == ShiftFormat(4, 1, "S1")
    if options.get("scheme") == "int":
        assert convs[0].format == IntFormat(8) and convs[1].format == IntFormat(4)
        assert all(c.multiplier is not None for c in convs)


def test_shift_and_multiplier_give_the_same_integers() -> None:
    from shiftforge.quant.simulate import run_fake_quantised

    model = usual()
    grids, weights, formats = parts(model)
    graph = small_graph()
    codes = np.random.default_rng(0).integers(-128, 128, (2, 3, 64, 64))
    results = [
        run_fake_quantised(convert(graph, grids, weights, formats, requant=how), codes)
        for how in ("shift", "multiplier")
    ]
    assert all(np.array_equal(results[0][name], results[1][name]) for name in results[0])


def test_clamps() -> None:
    assert clamp_codes(Grid(8, False, -5), "relu6") == (0, 192)
    assert clamp_codes(Grid(8, False, -6), "relu6") == (0, 255)
    assert clamp_codes(Grid(8, True, -4), "none") == (-128, 127)
    assert clamp_codes(Grid(8, True, -4), "relu") == (0, 127)


def test_output_grid_keeps_every_bit_until_31_are_full() -> None:
    weight = np.full((2, 4, 1, 1), 96, np.int8)
    bias = np.zeros(2, np.int64)
    source = Grid(8, False, -5)
    near = output_grid(weight, bias, np.array([-9, -7], np.int8), source)
    assert near == Grid(32, True, -14)
    far = output_grid(weight, bias, np.array([-30, 0], np.int8), source)
    assert 4 * 255 * 96 * 2.0 ** (0 - far.exponent + source.exponent) < 1 << 31
    assert far.exponent > -35


def test_exponent_floor_holds_the_bias() -> None:
    source, target = Grid(8, False, -5), Grid(8, False, -4)
    floor = exponent_floor(np.array([0.0, 3.0, 4096.0]), source, target)
    assert floor[0] == -4 + 5 - 24
    assert np.all(np.array([3.0, 4096.0]) / 2.0 ** (source.exponent + floor[1:]) <= 1 << 29)


def test_a_channel_of_tiny_weights_and_a_large_bias_converts() -> None:
    graph = small_graph()
    first = graph.nodes[0]
    assert isinstance(first, FloatConv)
    weight, bias = first.weight.copy(), first.bias.copy()
    weight[0], bias[0] = weight[0] * 1e-12, 900.0
    weight[1], bias[1] = 0.0, 0.0
    nodes = (replace(first, weight=weight, bias=bias), *graph.nodes[1:])
    verify(
        quantize(replace(graph, nodes=nodes), smooth_images(2), Quantisation(rounding="nearest"))
    )


def test_missing_parts_are_all_listed() -> None:
    grids, weights, formats = parts(usual())
    convs = [n.name for n in small_graph().nodes if isinstance(n, FloatConv)]
    removed = grids.pop(usual().input)
    weights.pop(convs[1])
    formats.pop(convs[2])
    with pytest.raises(InputError) as caught:
        convert(small_graph(), grids, weights, formats)
    assert len(caught.value.problems) == 3
    assert removed.bits == 8


def test_bias_overflow_and_wrong_shape_are_named() -> None:
    grids, weights, formats = parts(usual())
    convs = [n for n in small_graph().nodes if isinstance(n, FloatConv)]
    biases = {convs[1].name: np.full(convs[1].bias.shape, 1e12)}
    w, z = weights[convs[2].name]
    weights[convs[2].name] = (w[:-1], z)
    with pytest.raises(InputError) as caught:
        convert(small_graph(), grids, weights, formats, biases=biases)
    text = str(caught.value)
    assert convs[1].name in text and convs[2].name in text and "32 bits" in text


@pytest.mark.parametrize(
    ("images", "text"),
    [
        (np.zeros((2, 32, 64, 3), np.uint8), "shape"),
        (np.zeros((2, 64, 64), np.uint8), "shape"),
        (np.zeros((0, 64, 64, 3), np.uint8), "no image"),
        (np.full((2, 64, 64, 3), np.nan, np.float32), "NaN"),
        (np.full((2, 64, 64, 3), -1.0, np.float32), "0..255"),
    ],
    ids=["size", "channels", "none", "nan", "normalised already"],
)
def test_bad_calibration_images(images: np.ndarray, text: str) -> None:
    with pytest.raises(InputError, match=text):
        quantize(small_graph(), images)


def test_bad_options_and_images_are_reported_together() -> None:
    with pytest.raises(InputError) as caught:
        quantize(small_graph(), np.zeros((1, 2, 2, 3)), Quantisation(scheme="best", rounding="up"))  # type: ignore[arg-type]
    assert len(caught.value.problems) == 3


def test_nan_weights_are_named() -> None:
    graph = small_graph()
    node = graph.nodes[2]
    assert isinstance(node, FloatConv)
    bad = replace(node, weight=np.full_like(node.weight, np.nan))
    broken = replace(graph, nodes=(*graph.nodes[:2], bad, *graph.nodes[3:]))
    with pytest.raises(InputError, match=node.source):
        quantize(broken, smooth_images(1))
