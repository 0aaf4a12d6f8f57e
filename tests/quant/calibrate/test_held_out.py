"""What second terms gain on inputs that the rounding has not seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from calibrate_cases import smooth_images
from word_plans import shallow_graph

from shiftforge.quant.calibrate.held_out import held_out_decrease
from shiftforge.quant.calibrate.images import normalise
from shiftforge.quant.calibrate.importance import importance, two_term_gains
from shiftforge.quant.calibrate.network import one_thread, walk
from shiftforge.quant.calibrate.rounding import moments
from shiftforge.quant.calibrate.sequential import Options, round_weights
from shiftforge.quant.capture.types import FloatConv
from shiftforge.quant.graph.types import ShiftFormat

GRAPH = shallow_graph()
IMAGES = normalise(smooth_images(6, size=16), GRAPH.preprocess)


def test_the_errors_are_those_of_the_other_half() -> None:
    found = held_out_decrease(GRAPH, IMAGES, 4, "nearest")
    for node, live in walk(GRAPH, IMAGES):
        if not isinstance(node, FloatConv) or node.name not in ("n1", "n2"):
            continue
        other = live[node.input][1::2]
        power = []
        for fmt in (ShiftFormat(4, 1, "S1"), ShiftFormat(4, 2, "SEL")):
            weight, z = round_weights(node, None, fmt, Options(rounding="nearest"))
            real = np.ldexp(weight.astype(np.float64), z.astype(np.int64)[:, None, None, None])
            error = torch.from_numpy((node.weight - real).astype(np.float32))
            padding = node.weight.shape[2] // 2
            change = torch.nn.functional.conv2d(other, error, None, 1, padding, 1, node.groups)
            power.append(change.double().var((0, 2, 3), correction=0).numpy())
        assert found[node.name] == pytest.approx(power[0] - power[1], rel=1e-3, abs=1e-9)


def test_a_late_layer_looks_better_on_what_it_was_fitted_to() -> None:
    """The fault that this module is for: few positions, many inputs."""
    node = next(n for n in GRAPH.nodes if n.name == "n5")
    assert isinstance(node, FloatConv)
    torch.manual_seed(0)
    x = torch.randn(2, node.weight.shape[1], 3, 3)
    seen, other = (moments(node, half, half) for half in (x[:1], x[1:]))
    weight, z = round_weights(node, seen, ShiftFormat(4, 1, "S1"), Options(asymmetric=False))
    real = np.ldexp(weight.astype(np.float64), z.astype(np.int64)[:, None, None, None])
    error = torch.from_numpy(node.weight - real).reshape(1, len(weight), -1)
    own, held = (((error @ m.hessian) * error).sum() for m in (seen, other))
    assert held > 1.5 * own


def test_rows_gain_what_was_measured_and_keep_their_proportions() -> None:
    with one_thread():
        found = importance(GRAPH, IMAGES)
        decrease = held_out_decrease(GRAPH, IMAGES, 4)
        again = held_out_decrease(GRAPH, IMAGES, 4)
    plain, scaled = (two_term_gains(GRAPH, found, 4, real) for real in (None, decrease))
    below = {**decrease, "n1": -decrease["n1"]}
    assert not two_term_gains(GRAPH, found, 4, below)["n1"].any()
    for name, own in decrease.items():
        assert np.array_equal(own, again[name])
        total = scaled[name].sum((1, 2, 3))
        assert total == pytest.approx(found.outputs[name] * np.maximum(own, 0))
        part = plain[name].sum((1, 2, 3))
        alive = (total > 0) & (part > 0)
        assert alive.any()
        wide = (slice(None), None, None, None)
        shares = [scaled[name][alive] / total[alive][wide], plain[name][alive] / part[alive][wide]]
        assert shares[0] == pytest.approx(shares[1])


def test_one_image_is_both_halves() -> None:
    found = held_out_decrease(GRAPH, IMAGES[:1], 3, "log")
    assert all(np.isfinite(own).all() for own in found.values())
