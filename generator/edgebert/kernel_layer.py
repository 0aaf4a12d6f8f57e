"""One encoder layer for the EdgeBERT unit's kernels (docs/EDGEBERT_UNIT.md, 3): where its weights,
tables and stages lie, and the commands over them.

A layer takes 8 + 2 * heads commands, less two for each head that is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shiftforge.generator.edgebert.encoder import MATRICES
from shiftforge.generator.edgebert.kernel_commands import (
    GELU,
    SOFTMAX,
    add_norm,
    multiply,
    norm_table,
    value_bits,
)
from shiftforge.generator.edgebert.kernel_memory import Commands, Image, Stored
from shiftforge.generator.edgebert.norm import NormNumbers
from shiftforge.generator.edgebert.unit import UnitConfig

__all__ = ["LayerData", "LayerPlaces", "LayerStep", "LinearData", "NormData", "Traced",
           "channels_of", "layer_commands"]  # fmt: skip

INPUT_OF = {"q": "input", "k": "input", "v": "input", "output": "context", "ffn1": "norm1",
            "ffn2": "gelu"}  # fmt: skip
"""The stage that a matrix multiplies."""


class LinearData(Protocol):
    """codes (N, K); exponent: the bias of AF weights, or z (N,); bias (N,), F fraction bits."""

    @property
    def codes(self) -> NDArray[np.uint8]: ...
    @property
    def exponent(self) -> int | NDArray[Any]: ...
    @property
    def bias(self) -> NDArray[Any]: ...


@dataclass(frozen=True, eq=False)
class NormData:
    """gamma, beta: (H,) integers."""

    gamma: NDArray[Any]
    beta: NDArray[Any]
    numbers: NormNumbers


@dataclass(frozen=True, eq=False)
class LayerData:
    """What the layers share. linears: by name of MATRICES. norms: norm1, norm2. spans: mask tables
    (heads, L), or None for no mask. skipped: heads without commands; their context stays 0."""

    heads: int
    linears: Mapping[str, LinearData]
    norms: Mapping[str, NormData]
    spans: NDArray[Any] | None = None
    skipped: frozenset[int] = frozenset()

    @property
    def hidden(self) -> int:
        """Columns of the input."""
        return int(self.linears["q"].codes.shape[1])

    @property
    def ffn(self) -> int:
        """Columns between the two products of the feed-forward network."""
        return len(self.linears["ffn1"].codes)

    @property
    def width(self) -> int:
        """Columns of a head."""
        return self.hidden // self.heads

    @property
    def computed(self) -> tuple[int, ...]:
        """Heads with commands."""
        return tuple(head for head in range(self.heads) if head not in self.skipped)


def channels_of(
    image: Image, config: UnitConfig, linear: LinearData, bias: int, fraction: int
) -> int:
    """Post-shifts and biases of a product whose A has an exponent bias (1.5)."""
    own = config.man_bits if config.weights == "af" else 0
    exponent = np.asarray(linear.exponent, dtype=np.int64)
    shift = config.man_bits + own - bias - exponent - fraction
    return image.channels(shift, linear.bias, len(linear.codes))


class LayerPlaces:
    """Room for a layer of up to ``tokens`` tokens.

    weights, tables: in memory as they are made. stages: after ``place_stages``, the tensors between
    input and output, at their largest.
    """

    def __init__(self, image: Image, config: UnitConfig, data: LayerData, tokens: int) -> None:
        self.config, self.data, self.tokens = config, data, tokens
        bits = value_bits(config)
        self.weights = {name: image.codes(data.linears[name].codes, bits) for name in MATRICES}
        self.tables = {
            name: image.table(norm_table(norm.gamma, norm.beta, image.lanes))
            for name, norm in data.norms.items()
        }
        if data.spans is not None:
            for head in data.computed:
                # past its end a mask is zero
                table = np.zeros(tokens, np.int64)
                given = np.asarray(data.spans[head])[:tokens]
                table[: len(given)] = given
                self.tables[f"span {head}"] = image.table(table)
        self.stages: dict[str, Stored] = {}

    def place_stages(self, image: Image) -> None:
        """Give the tensors between input and output their place."""
        self.stages = {
            name: image.tensor(stored.rows, stored.columns, stored.parts)
            for name, stored in self._sizes(self.tokens).items()
        }

    def at(self, name: str, tokens: int) -> Stored:
        """A stage of a sentence of so many tokens: it begins where the largest does."""
        size, place = self._sizes(tokens)[name], self.stages[name]
        return replace(size, base=place.base, strip=place.strip)

    def _sizes(self, tokens: int) -> dict[str, Stored]:
        data, n = self.data, self.config.lanes
        hidden = data.hidden

        def sized(rows: int, columns: int, parts: int = 1) -> Stored:
            return Stored(0, 0, rows, columns, parts, n)

        found = {name: sized(tokens, hidden, data.heads) for name in ("q", "k")}
        found["v"] = sized(hidden, tokens)
        found |= {f"probabilities {head}": sized(tokens, tokens) for head in data.computed}
        found["context"] = sized(tokens, hidden, data.heads)
        found |= {name: sized(tokens, hidden) for name in ("attention_output", "norm1")}
        found["gelu"] = sized(tokens, data.ffn)
        found["ffn2"] = sized(tokens, hidden)
        return found

    def channels(self, image: Image, biases: Mapping[str, int], fraction: int) -> dict[str, int]:
        """Post-shifts and biases of one layer's products, whose exponent biases are given."""
        data, twice = self.data, 2 * self.config.man_bits
        found = {
            name: channels_of(image, self.config, data.linears[name], biases[source], fraction)
            for name, source in INPUT_OF.items()
        }
        half = (data.width.bit_length() - 1) // 2
        shift = twice - biases["q"] - biases["k"] - fraction + half
        found["scores"] = image.channels(shift, 0, self.tokens)
        shift = twice - biases["probabilities"] - biases["v"] - fraction
        found["context"] = image.channels(shift, 0, data.width)
        return found


@dataclass(frozen=True)
class LayerStep:
    """One layer of one sentence. source, target: input (tokens, hidden) and ``norm2``. biases: the
    exponent bias of each stage. channels: of ``LayerPlaces.channels``."""

    tokens: int
    source: Stored
    target: Stored
    biases: Mapping[str, int]
    channels: Mapping[str, int]
    fraction: int


@dataclass(frozen=True)
class Traced:
    """Where a stage lies in the trace: first row; the matrix's rows and columns."""

    at: int
    rows: int
    columns: int


def layer_commands(into: Commands, places: LayerPlaces, step: LayerStep) -> dict[str, Traced]:
    """Add a layer's commands.

    Returns the stages that never leave the unit, in the trace: ``ffn1``, ``add1``, ``add2`` and
    ``scores i`` of each computed head. Raises InputError for numbers that do not fit.
    """
    writer = _Writer(into, places, step)
    source, norm1 = step.source, places.at("norm1", step.tokens)
    for name in ("q", "k"):
        writer.linear(name, name, source)
    writer.linear("v", "v", source, transposed=1)
    context = places.at("context", step.tokens)
    for head in places.data.computed:
        writer.attention(head, context.part(head))
    writer.linear("attention_output", "output", context)
    writer.norm("add1", "norm1", ("input", source), "attention_output", norm1)
    writer.gelu(norm1)
    writer.linear("ffn2", "ffn2", places.at("gelu", step.tokens))
    writer.norm("add2", "norm2", ("norm1", norm1), "ffn2", step.target)
    return writer.traced


class _Writer:
    """Adds commands, and notes what goes into the trace."""

    def __init__(self, into: Commands, places: LayerPlaces, step: LayerStep) -> None:
        self.into, self.places, self.step = into, places, step
        self.traced: dict[str, Traced] = {}

    def trace(self, name: str, rows: int, columns: int) -> int:
        n = self.into.lanes
        at = self.into.trace(-(-rows // n) * -(-columns // n) * n)
        self.traced[name] = Traced(at, rows, columns)
        return at

    def linear(self, name: str, matrix: str, a: Stored, **fields: int) -> None:
        step = self.step
        multiply(
            self.into, a, self.places.weights[matrix], self.places.at(name, step.tokens),
            step.channels[matrix], fraction=step.fraction, out_bias=step.biases[name], **fields,
        )  # fmt: skip

    def gelu(self, a: Stored) -> None:
        at = self.trace("ffn1", self.step.tokens, self.places.data.ffn)
        self.linear("gelu", "ffn1", a, function=GELU, trace=at)

    def attention(self, head: int, context: Stored) -> None:
        places, step = self.places, self.step
        tokens, bias, width = step.tokens, step.biases, places.data.width
        codes = int(places.config.takes_codes)
        probabilities = places.at(f"probabilities {head}", tokens)
        at = self.trace(f"scores {head}", tokens, tokens)
        fields = {"function": SOFTMAX, "trace": at, "fraction": step.fraction, "codes": codes}
        if places.data.spans is not None:
            fields |= {"masked": 1, "table": places.tables[f"span {head}"]}
        q, k = (places.at(name, tokens).part(head) for name in ("q", "k"))
        multiply(
            self.into, q, k, probabilities, step.channels["scores"],
            out_bias=bias["probabilities"], **fields,
        )  # fmt: skip
        values = places.at("v", tokens).band(head * width, width)
        multiply(
            self.into, probabilities, values, context, step.channels["context"],
            out_bias=bias["context"], fraction=step.fraction, codes=codes,
        )  # fmt: skip

    def norm(self, added: str, name: str, a: tuple[str, Stored], b: str, target: Stored) -> None:
        places, step = self.places, self.step
        at = self.trace(added, step.tokens, places.data.hidden)
        add_norm(
            self.into, (a[1], step.biases[a[0]]), (places.at(b, step.tokens), step.biases[b]),
            (at, step.biases[added]), (target, step.biases[name]), places.data.norms[name].numbers,
            fraction=step.fraction, table=places.tables[name],
        )  # fmt: skip
