"""Compares where a classifier can be run: integers with integers exactly, floats by measure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.albert.exits.exits import exit_layers, nats
from shiftforge.quant.albert.network.integer import IntegerAlbert
from shiftforge.quant.albert.network.stages import FloatNetwork, Stages, float_stages
from shiftforge.sim.edgebert.checkpoints import CHECKPOINTS, run_checkpoint
from shiftforge.sim.edgebert.sentence_golden import Sentence
from shiftforge.sim.edgebert.sentence_trace import compare_sentences
from shiftforge.sim.golden.edgebert.afcode import af_values
from shiftforge.sim.trace import Comparison

__all__ = [
    "FLOAT",
    "CheckpointReport",
    "compare_checkpoints",
    "float_end",
    "compare_sentences",
    "measured",
]

FLOAT = "float"
_FIXED = ("scores", "ffn1")
_LEFT_OUT = ("vt",)  # v, in another order
_MOST_DB = 300.0


@dataclass(frozen=True, eq=False)
class CheckpointReport:
    """Two checkpoints of the same sentences.

    sentences: what differs in each, a against b; () where one is "float". values, mismatches:
    compared integers and those that differ. labels, exits: share (0..1) of sentences with equal
    labels, and with equal exit layers. sqnr: with "float", signal to quantisation noise in dB of
    each layer's stages over all sentences, ``layers[i][stage]``, the embeddings first, up to each
    sentence's exit.
    """

    a: str
    b: str
    sentences: tuple[Comparison, ...]
    values: int
    mismatches: int
    labels: float
    exits: float
    sqnr: tuple[dict[str, float], ...] = field(default=())

    @property
    def first(self) -> str:
        """The first difference, empty where there is none."""
        for index, found in enumerate(self.sentences):
            if found.differences:
                return f"sentence {index}, {found.differences[0]}"
        return ""


def compare_checkpoints(
    network: IntegerAlbert,
    sentences: Sequence[NDArray[np.int64]],
    a: str,
    b: str,
    threshold: float | None = None,
    lanes: int = 16,
    cache: Path | None = None,
    *,
    floats: FloatNetwork | None = None,
) -> CheckpointReport:
    """Run sentences of token identities at two checkpoints and compare what comes out.

    a, b: "float" or one of CHECKPOINTS; b is the one to go by. floats: the network that the
    integers were made from, which an integer file does not hold; "float" needs it.
    Raises InputError where something does not suit, CheckFailed where something does not run.
    """
    known = (FLOAT, *CHECKPOINTS)
    problems = [
        Problem(f"no checkpoint {name!r}", f"one of {', '.join(known)}", "checkpoint")
        for name in (a, b)
        if name not in known
    ]
    if a == b == FLOAT:
        problems.append(Problem("float against float", "compare it with integers", "checkpoint"))
    if FLOAT in (a, b) and floats is None:
        what = "the package holds no float weights"
        problems.append(Problem(what, "give the trained classifier's folder", FLOAT))
    if problems:
        raise InputError(problems)
    if FLOAT in (a, b) and floats is not None:
        ran = run_checkpoint(network, sentences, b if a == FLOAT else a, threshold, lanes, cache)
        return measured(network, floats, sentences, ran, threshold, (a, b))
    left, right = (
        run_checkpoint(network, sentences, name, threshold, lanes, cache) for name in (a, b)
    )
    found = tuple(compare_sentences(x, y) for x, y in zip(left, right, strict=True))
    return CheckpointReport(
        a,
        b,
        found,
        sum(c.values for c in found),
        sum(c.mismatches for c in found),
        _share(x.label == y.label for x, y in zip(left, right, strict=True)),
        _share(x.exit_layer == y.exit_layer for x, y in zip(left, right, strict=True)),
    )


def _share(equal: Iterable[bool]) -> float:
    flags = list(equal)
    return sum(flags) / len(flags)


@dataclass
class _Powers:
    """Sums of squares, of signal and noise, by stage."""

    signal: dict[str, float] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)

    def add(self, stage: str, real: NDArray[np.float64], got: NDArray[np.float64]) -> None:
        """Count the values of one sentence."""
        self.signal[stage] = self.signal.get(stage, 0.0) + float(np.square(real).sum())
        self.noise[stage] = self.noise.get(stage, 0.0) + float(np.square(got - real).sum())

    def decibels(self) -> dict[str, float]:
        """By stage, at most 300 dB; 0 for a stage of zeros that has noise."""
        out = {}
        for stage, signal in self.signal.items():
            noise = self.noise[stage]
            if noise == 0:
                out[stage] = _MOST_DB
            else:
                out[stage] = min(10 * float(np.log10(max(signal, 1e-300) / noise)), _MOST_DB)
        return out


def _float_exit(layers: list[Stages], threshold: float | None) -> int:
    """Layers of a sentence up to its exit."""
    if threshold is None:
        return len(layers)
    entropies = nats(np.array([stages["logits"] for stages in layers]))
    return int(exit_layers(entropies, threshold)[0])


def float_end(
    floats: FloatNetwork, ids: NDArray[np.int64], threshold: float | None
) -> tuple[NDArray[np.float64], int]:
    """(logits (classes,), layer) where a sentence leaves the float network."""
    _, layers = float_stages(floats, ids)
    at = _float_exit(layers, threshold)
    return np.asarray(layers[at - 1]["logits"][0], dtype=np.float64), at


def measured(
    network: IntegerAlbert,
    floats: FloatNetwork,
    sentences: Sequence[NDArray[np.int64]],
    ran: Sequence[Sentence],
    threshold: float | None,
    names: tuple[str, str],
) -> CheckpointReport:
    powers = [_Powers() for _ in range(network.layers + 1)]
    labels, exits = [], []
    for ids, got in zip(sentences, ran, strict=True):
        first, layers = float_stages(floats, ids)
        for stage, codes in got.embedding.items():
            powers[0].add(stage, first[stage], af_values(codes, network.embedding_biases[stage]))
        for index, layer in enumerate(got.layers):
            own = network.biases[index]
            for stage, values in layer.stages.items():
                if stage in _LEFT_OUT:
                    continue
                real = layers[index][stage]
                kept = [h for h in range(network.heads) if h not in got.skipped]
                if stage == "scores":
                    real, values = real[kept], values[kept]
                decoded = (
                    np.ldexp(values.astype(np.float64), -network.fraction)
                    if stage in _FIXED
                    else af_values(values, own[stage])
                )
                powers[index + 1].add(stage, real, decoded)
            logits = af_values(layer.logits, own["logits"])
            powers[index + 1].add("logits", layers[index]["logits"][0], logits)
        at = _float_exit(layers, threshold)
        exits.append(at == got.exit_layer)
        labels.append(int(layers[at - 1]["logits"][0].argmax()) == got.label)
    return CheckpointReport(
        *names, (), 0, 0, _share(labels), _share(exits), tuple(p.decibels() for p in powers)
    )
