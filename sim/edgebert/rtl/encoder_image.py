"""The external memory image of a program of encoder layers: commands, weights, tables, input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.command import TABLE_BEATS, WORD_BYTES, command_beats
from shiftforge.generator.edgebert.encoder import (
    BIASED,
    LayerNumbers,
    LayerPlan,
    LayerShape,
    Results,
)
from shiftforge.generator.edgebert.norm import NormNumbers
from shiftforge.generator.edgebert.unit import UnitConfig
from shiftforge.sim.edgebert.rtl.operands import write_params, write_tensor
from shiftforge.sim.golden.edgebert.encoder import LayerWeights, Linear, Norm

__all__ = ["build_layer_image", "numbers_of", "shape_of"]

Beats = NDArray[np.uint8]
Ints = NDArray[np.int64]
MASK_ONE = 256


def numbers_of(layer: LayerWeights, *, skip: bool = False) -> LayerNumbers:
    """What a plan has to know of a layer. skip: leave out heads whose mask is 0 throughout."""
    skipped = []
    if skip and layer.spans is not None:
        skipped = np.flatnonzero(~layer.spans.any(axis=1)).tolist()
    first, second = (NormNumbers(n.gamma_fraction, n.epsilon) for n in (layer.norm1, layer.norm2))
    return LayerNumbers(
        {name: layer.biases[name] for name in BIASED},
        first,
        second,
        spans=layer.spans is not None,
        skipped=frozenset(skipped),
    )


def shape_of(x: NDArray[np.uint8], layer: LayerWeights) -> LayerShape:
    """The sizes of a layer with input codes x (length, hidden)."""
    length, hidden = x.shape
    return LayerShape(length, hidden, layer.heads, len(layer.ffn1.codes))


def _linears(layer: LayerWeights) -> dict[str, Linear]:
    return {
        "q": layer.q,
        "k": layer.k,
        "v": layer.v,
        "output": layer.output,
        "ffn1": layer.ffn1,
        "ffn2": layer.ffn2,
    }


INPUT_OF = {"q": "input", "k": "input", "v": "input", "output": "context", "ffn1": "norm1",
            "ffn2": "gelu"}  # fmt: skip


def _shifts(plan: LayerPlan, at: Results, layer: LayerWeights) -> dict[str, tuple[Ints, Ints]]:
    """Shift and bias of every column of each product (docs/EDGEBERT_UNIT.md 1.5)."""
    m, fraction, bias = plan.config.man_bits, plan.sfu.fraction, at.numbers.biases
    found = {}
    for name, linear in _linears(layer).items():
        exponent = np.broadcast_to(np.asarray(linear.exponent, dtype=np.int64), linear.bias.shape)
        own = m if linear.kind == "af" else 0  # z counts whole units, a bias counts from 2^-m
        shift = m + own - bias[INPUT_OF[name]] - exponent - fraction
        found[name] = (shift, linear.bias.astype(np.int64))
    both = 2 * m - fraction
    for name, left, right, size, scale in (
        ("scores", "q", "k", plan.shape.length, plan.shape.scale_log2),
        ("context", "probabilities", "v", plan.shape.width, 0),
    ):
        same = both - bias[left] - bias[right] + scale
        found[name] = (np.full(size, same, dtype=np.int64), np.zeros(size, dtype=np.int64))
    return found


def _check_ranges(parameters: dict[str, tuple[Ints, Ints]], layer: int) -> list[Problem]:
    found = []
    for name, (shift, bias) in parameters.items():
        if shift.min() < -64 or shift.max() > 63:
            what = f"post-shifts of {name}: {shift.min()} to {shift.max()}"
            found.append(Problem(what, "choose exponent biases for -64 to 63", f"layer {layer}"))
        if bias.min() < -(2**31) or bias.max() >= 2**31:
            found.append(Problem(f"biases of {name} take more than 32 bits", "", f"layer {layer}"))
    return found


def _norm_table(norm: Norm, lanes: int) -> Beats:
    """Rows of lanes columns: four bytes of beta and two of gamma, a beat each."""
    rows = -(-len(norm.beta) // lanes)
    values = np.zeros((rows * lanes, TABLE_BEATS), dtype=np.uint8)
    beta, gamma = norm.beta.astype(np.int64), norm.gamma.astype(np.int64)
    for byte in range(4):
        values[: len(beta), byte] = (beta >> (8 * byte)) & 0xFF
    for byte in range(2):
        values[: len(gamma), 4 + byte] = (gamma >> (8 * byte)) & 0xFF
    return values.reshape(rows, lanes, TABLE_BEATS).transpose(0, 2, 1).reshape(-1, lanes)


def _span_table(table: Ints, lanes: int) -> Beats:
    """Rows of lanes entries: their low bytes, their high bytes, four beats of nothing."""
    rows = -(-len(table) // lanes)
    values = np.zeros((rows * lanes, TABLE_BEATS), dtype=np.uint8)
    values[: len(table), 0], values[: len(table), 1] = table & 0xFF, table >> 8
    return values.reshape(rows, lanes, TABLE_BEATS).transpose(0, 2, 1).reshape(-1, lanes)


def _tables(plan: LayerPlan, layer: LayerWeights) -> dict[str, Beats]:
    lanes, length = plan.config.lanes, plan.shape.length
    found = {}
    for name in plan.place.tables:
        if name == "span":
            found[name] = _span_table(np.full(length, MASK_ONE, dtype=np.int64), lanes)
        elif name.startswith("span "):
            if layer.spans is None:
                raise InputError(Problem("the plan has span masks", "give the layer's spans"))
            found[name] = _span_table(layer.spans[int(name[5:])].astype(np.int64), lanes)
        else:
            found[name] = _norm_table(layer.norm1 if name == "norm1" else layer.norm2, lanes)
    return found


def program_bytes(plan: LayerPlan) -> Beats:
    """The commands, each in whole beats of little-endian words."""
    lanes, beats = plan.config.lanes, command_beats(plan.config)
    image = np.zeros((len(plan.commands), beats * lanes), dtype=np.uint8)
    words = np.array([list(c.registers.values()) for c in plan.commands], dtype="<u4")
    image[:, : WORD_BYTES * words.shape[1]] = words.view(np.uint8)
    return image.reshape(-1, lanes)


def _check_layer(config: UnitConfig, plan: LayerPlan, layer: LayerWeights) -> None:
    kind = "af" if config.weights == "af" else f"shift{config.terms}"
    shape = plan.shape
    problems = []
    for name, linear in _linears(layer).items():
        tensor = plan.place.weights[name]
        if linear.kind != kind:
            problems.append(Problem(f"{name} has {linear.kind} weights", f"give {kind}", name))
        if linear.codes.shape != (tensor.rows, tensor.columns):
            what = f"weights {linear.codes.shape} of {name}"
            problems.append(Problem(what, f"give {(tensor.rows, tensor.columns)}", name))
    for name, norm in (("norm1", layer.norm1), ("norm2", layer.norm2)):
        if norm.gamma.shape != (shape.hidden,) or norm.beta.shape != (shape.hidden,):
            problems.append(Problem(f"gamma or beta of {name}", f"give {shape.hidden}", name))
        elif abs(norm.gamma.astype(np.int64) + 0.5).max() > 2**15:
            problems.append(Problem(f"a gamma of {name} takes more than 16 bits", "", name))
        elif abs(norm.beta.astype(np.int64) + 0.5).max() > 2**31:
            problems.append(Problem(f"a beta of {name} takes more than 32 bits", "", name))
    if layer.spans is not None and layer.spans.shape != (shape.heads, shape.length):
        what = f"span masks {layer.spans.shape}"
        problems.append(Problem(what, f"give {(shape.heads, shape.length)}", "spans"))
    if problems:
        raise InputError(problems)


def build_layer_image(plan: LayerPlan, layer: LayerWeights, x: NDArray[np.uint8]) -> Beats:
    """(beats, lanes) bytes: everything a run needs; what it will write is 0.

    layer: the weights that all layers of the plan share (exponent biases are the plan's).
    x: (length, hidden) codes. Raises InputError where they do not fit the plan, or a parameter
    leaves its range.
    """
    _check_layer(plan.config, plan, layer)
    parameters = [_shifts(plan, at, layer) for at in plan.layers]
    problems = [p for i, values in enumerate(parameters) for p in _check_ranges(values, i)]
    if problems:
        raise InputError(problems)
    image = np.zeros((plan.beats, plan.config.lanes), dtype=np.uint8)
    for name, linear in _linears(layer).items():
        write_tensor(image, plan.place.weights[name], linear.codes)
    for name, table in _tables(plan, layer).items():
        at = plan.place.tables[name]
        image[at : at + len(table)] = table
    for where, values in zip(plan.layers, parameters, strict=True):
        for name, (shift, bias) in values.items():
            write_params(image, where.params[name], shift, bias)
    program = program_bytes(plan)
    image[plan.program : plan.program + len(program)] = program
    write_tensor(image, plan.layers[0].tensors["input"], x)
    return image
