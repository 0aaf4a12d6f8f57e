"""The integer ALBERT classifier: codes, exponent biases and fixed-point constants of the unit.

Numbers and their order are those of docs/EDGEBERT_UNIT.md. Layers share their weights; exponent
biases are each layer's own. Before the layers the unit takes the layer norm of word codes plus
place codes (position with token type) and the product with the embedding mapping; after each layer
the product of the first token's row with that layer's off-ramp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem
from shiftforge.quant.albert.network.embedding import EmbeddingTable

__all__ = ["EMBEDDED", "SPAN_ONE", "STAGED", "IntegerAlbert", "IntegerLinear", "IntegerNorm",
           "Weights"]  # fmt: skip

Weights: TypeAlias = Literal["af", "shift1", "shift2"]
EMBEDDED = ("word", "place", "embedded", "embedding_norm", "input")
"""Tensors before the layers that have an exponent bias."""
STAGED = ("input", "q", "k", "v", "probabilities", "context", "attention_output", "add1", "norm1",
          "gelu", "ffn2", "add2", "norm2", "logits")  # fmt: skip
"""Tensors of a layer, off-ramp included, that have an exponent bias."""
SPAN_ONE = 256
"""1 in the tables of span masks, which have 8 fraction bits."""
LINEARS = ("mapping", "q", "k", "v", "output", "ffn1", "ffn2")
NORMS = ("embedding_norm", "norm1", "norm2")


def _is_epsilon(text: str) -> bool:
    try:
        return Decimal(text).is_finite() and 0 <= Decimal(text) < 1
    except InvalidOperation:
        return False


@dataclass(frozen=True, eq=False)
class IntegerLinear:
    """codes: uint8 (N, K). exponent: the exponent bias (1,) of AF codes, or z (N,) of SHIFT codes,
    int8. bias: int32 (N,), F fraction bits."""

    codes: NDArray[np.uint8]
    exponent: NDArray[np.int8]
    bias: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class IntegerNorm:
    """gamma: int16 (H,) with gamma_fraction bits. beta: int32 (H,), F fraction bits."""

    gamma: NDArray[np.int16]
    beta: NDArray[np.int32]
    gamma_fraction: int


@dataclass(frozen=True, eq=False)
class IntegerAlbert:
    """words: the word table (V, E). place: codes (token types, L, E). linears: by the names
    mapping, q, k, v, output, ffn1, ffn2; norms: embedding_norm, norm1, norm2. ramps: of every
    layer.

    embedding_biases: of EMBEDDED. biases: of STAGED, by layer. fraction: F. epsilon: of all layer
    norms, as decimal text. classes: names of the labels.

    spans: mask tables (heads, L) of 0..256 over |i - j|, never rising, or None for no mask;
    a head whose table is 0 throughout is not computed. bits: of AF weights: their codes lie on the
    levels of AF<bits,3>, 4..8, with the same exponent bias.
    """

    weights: Weights
    heads: int
    fraction: int
    epsilon: str
    classes: tuple[str, ...]
    words: EmbeddingTable
    place: NDArray[np.uint8]
    linears: Mapping[str, IntegerLinear]
    norms: Mapping[str, IntegerNorm]
    ramps: tuple[IntegerLinear, ...]
    embedding_biases: Mapping[str, int]
    biases: tuple[Mapping[str, int], ...]
    spans: NDArray[np.uint16] | None = None
    bits: int = 8

    @property
    def word(self) -> NDArray[np.uint8]:
        """Codes (V, E) of the word table."""
        return self.words.dense()

    @property
    def layers(self) -> int:
        """How often the shared layer runs."""
        return len(self.biases)

    @property
    def length(self) -> int:
        """The longest sentence, in tokens."""
        return int(self.place.shape[1])

    @property
    def hidden(self) -> int:
        """Columns of a layer."""
        return len(self.linears["mapping"].codes)

    @property
    def ffn(self) -> int:
        """Columns between the two products of the feed-forward network."""
        return len(self.linears["ffn1"].codes)

    @property
    def skipped(self) -> tuple[int, ...]:
        """Heads whose mask is 0 throughout."""
        if self.spans is None:
            return ()
        return tuple(int(i) for i in np.flatnonzero(~self.spans.any(axis=1)))

    def check(self) -> None:
        """Raise InputError with everything that does not fit together."""
        embedding = self.words.columns
        h, f, c = self.hidden, self.ffn, len(self.classes)
        shapes = {"mapping": (h, embedding), "ffn1": (f, h), "ffn2": (h, f)}
        shapes |= dict.fromkeys(("q", "k", "v", "output"), (h, h))
        named: list[tuple[str, IntegerLinear, tuple[int, int]]] = [
            (name, self.linears[name], shapes[name]) for name in LINEARS if name in self.linears
        ]
        named += [(f"ramp {i}", ramp, (c, h)) for i, ramp in enumerate(self.ramps)]
        problems = [
            Problem(f"no {name}", "convert the network again")
            for name in (*LINEARS, *NORMS)
            if name not in self.linears and name not in self.norms
        ]
        for name, linear, shape in named:
            exponents = 1 if self.weights == "af" else shape[0]
            given = (linear.codes.shape, linear.exponent.shape, linear.bias.shape)
            if given != (shape, (exponents,), (shape[0],)):
                problems.append(Problem(f"{name} has arrays {given}", f"codes of {shape}", name))
            if self.weights == "shift1" and int(linear.codes.max(initial=0)) > 15:
                problems.append(Problem(f"{name} has a code of two terms", "one term", name))
        for name in (n for n in NORMS if n in self.norms):
            size = embedding if name == "embedding_norm" else h
            norm = self.norms[name]
            if norm.gamma.shape != (size,) or norm.beta.shape != (size,):
                problems.append(Problem(f"gamma or beta of {name}", f"give {size}", name))
            if not 0 <= norm.gamma_fraction <= 15:
                problems.append(Problem(f"fraction of gamma of {name}", "0 to 15", name))
        if not len(self.words.mask) or not self.place.size or self.length < 3:
            what = f"{len(self.words.mask)} words and places {self.place.shape}"
            problems.append(Problem(what, "give a word, a type and 3 places or more", "embeddings"))
        if c < 2:
            problems.append(Problem(f"{c} classes", "give at least 2", "classes"))
        if self.place.ndim != 3 or self.place.shape[2] != embedding:
            problems.append(Problem(f"place codes {self.place.shape}", f"{embedding} columns"))
        if self.heads < 1 or h % self.heads:
            what = f"{self.heads} heads in {h} columns"
            problems.append(Problem(what, "give heads of equal width", "heads"))
        if not 6 <= self.fraction <= 16:
            problems.append(Problem(f"{self.fraction} fraction bits", "give 6 to 16", "fraction"))
        if not _is_epsilon(self.epsilon):
            problems.append(Problem(f"epsilon {self.epsilon!r}", "give a decimal", "epsilon"))
        if len(self.ramps) != self.layers or not self.layers:
            problems.append(Problem(f"{len(self.ramps)} off-ramps", f"give {self.layers}"))
        problems += self.words.problems() + self._span_problems() + self._bias_problems()
        problems += self._level_problems({name: linear for name, linear, _ in named})
        if problems:
            raise InputError(problems)

    def _span_problems(self) -> list[Problem]:
        if self.spans is None:
            return []
        wanted = (self.heads, self.length if self.place.ndim == 3 else 0)
        if self.spans.shape != wanted or self.spans.dtype != np.uint16:
            what = f"span tables of {self.spans.dtype} {self.spans.shape}"
            return [Problem(what, f"give uint16 {wanted}", "spans")]
        found = []
        for head, table in enumerate(self.spans.astype(np.int64)):
            if table.max(initial=0) > SPAN_ONE:
                found.append(
                    Problem(f"a mask of {table.max()}", f"0 to {SPAN_ONE}", f"head {head}")
                )
            if (np.diff(table) > 0).any():
                what = "a span mask that rises with the distance"
                found.append(Problem(what, "give tables that never rise", f"head {head}"))
        return found

    def _level_problems(self, linears: Mapping[str, IntegerLinear]) -> list[Problem]:
        if not 4 <= self.bits <= 8 or (self.bits < 8 and self.weights != "af"):
            what = f"{self.bits} bits of {self.weights} weights"
            return [Problem(what, "give 4 to 8, for af only", "bits")]
        finer = np.uint8((1 << (8 - self.bits)) - 1)
        return [
            Problem(f"{name} is not on the levels of AF<{self.bits},3>", "convert it again", name)
            for name, linear in linears.items()
            if (linear.codes & finer).any()
        ]

    def _bias_problems(self) -> list[Problem]:
        sets: list[tuple[str, Mapping[str, int], tuple[str, ...]]] = [
            ("embedding", self.embedding_biases, EMBEDDED)
        ]
        sets += [(f"layer {i}", own, STAGED) for i, own in enumerate(self.biases)]
        problems = []
        for where, own, names in sets:
            wrong = [n for n in names if not -64 <= own.get(n, -99) <= 63]
            problems += [Problem(f"exponent bias of {n}", "give -64 to 63", where) for n in wrong]
        if problems:
            return problems
        if self.words.bias != self.embedding_biases["word"]:
            what = f"a word table of exponent bias {self.words.bias}"
            problems.append(Problem(what, f"give {self.embedding_biases['word']}", "word"))
        before = self.embedding_biases["input"]
        for index, own in enumerate(self.biases):
            if own["input"] != before:
                what = f"input bias {own['input']} after {before}"
                problems.append(Problem(what, "give the same", f"layer {index}"))
            before = own["norm2"]
        return problems

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Every array by name."""
        out: dict[str, NDArray[Any]] = {
            "word.mask": self.words.mask,
            "word.values": self.words.values,
            "place": self.place,
        }
        if self.spans is not None:
            out["spans"] = self.spans
        linears = {**self.linears, **{f"ramp {i}": r for i, r in enumerate(self.ramps)}}
        for name, linear in linears.items():
            out |= {name: linear.codes, f"{name}.exponent": linear.exponent}
            out[f"{name}.bias"] = linear.bias
        for name, norm in self.norms.items():
            out |= {f"{name}.gamma": norm.gamma, f"{name}.beta": norm.beta}
        return out
