"""The external memory of a sentence's program: layers, embeddings, off-ramps, commands."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.generator.edgebert.command import TABLE_BEATS
from shiftforge.generator.edgebert.sentence_program import SentencePlan
from shiftforge.quant.albert.network.integer import IntegerAlbert, IntegerLinear, IntegerNorm
from shiftforge.sim.edgebert.rtl.encoder_image import build_layer_image
from shiftforge.sim.edgebert.rtl.operands import write_params, write_tensor
from shiftforge.sim.edgebert.sentence_golden import layer_weights

__all__ = ["network_image", "write_sentence"]

Beats = NDArray[np.uint8]


def _norm_table(norm: IntegerNorm, lanes: int) -> Beats:
    """Rows of lanes columns: four beats of beta's bytes, two of gamma's."""
    rows = -(-len(norm.beta) // lanes)
    values = np.zeros((rows * lanes, TABLE_BEATS), dtype=np.uint8)
    beta, gamma = (np.ascontiguousarray(v) for v in (norm.beta, norm.gamma))
    values[: len(beta), :4] = beta.astype("<i4").view(np.uint8).reshape(-1, 4)
    values[: len(gamma), 4:] = gamma.astype("<i2").view(np.uint8).reshape(-1, 2)
    return values.reshape(rows, lanes, TABLE_BEATS).transpose(0, 2, 1).reshape(-1, lanes)


def _shift(plan: SentencePlan, linear: IntegerLinear, bias: int) -> NDArray[np.int64]:
    """Post-shifts of a product whose A has an exponent bias (docs/EDGEBERT_UNIT.md 1.5)."""
    config, fraction = plan.program.config, plan.program.sfu.fraction
    m = config.man_bits
    own = m if config.weights == "af" else 0
    exponent: NDArray[Any] = linear.exponent.astype(np.int64)
    shift = np.broadcast_to(m + own - bias - exponent - fraction, linear.bias.shape)
    if shift.min() < -64 or shift.max() > 63:
        raise InputError(Problem("a post-shift leaves -64..63", "choose other exponent biases"))
    return np.asarray(shift)


def network_image(plan: SentencePlan, network: IntegerAlbert) -> Beats:
    """(beats, lanes) bytes: everything but a sentence; what a run will write is 0."""
    whole = plan.program
    # The program itself writes the first layer's input.
    x = np.zeros((whole.shape.length, whole.shape.hidden), dtype=np.uint8)
    image = build_layer_image(whole, layer_weights(network, 0, whole.shape.length), x)
    ramps = {f"ramp {i}": r for i, r in enumerate(network.ramps)}
    sources = {"mapping": network.embedding_biases["embedding_norm"]}
    sources |= {f"ramp {i}": own["norm2"] for i, own in enumerate(network.biases)}
    for name, linear in {"mapping": network.linears["mapping"], **ramps}.items():
        write_tensor(image, plan.weights[name], linear.codes)
        shift = _shift(plan, linear, sources[name])
        write_params(image, plan.params[name], shift, linear.bias.astype(np.int64))
    table = _norm_table(network.norms["embedding_norm"], whole.config.lanes)
    image[plan.table : plan.table + len(table)] = table
    return image


def write_sentence(plan: SentencePlan, image: Beats, word: Beats, place: Beats) -> None:
    """Put the codes of a sentence, (length, embedding) both, into an image."""
    write_tensor(image, plan.tensors["word"], word)
    write_tensor(image, plan.tensors["place"], place)
