"""Sizes and training settings of a small ALBERT classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from shiftforge.errors import InputError, Problem, Problems

__all__ = ["Recipe", "Shape", "read_recipe", "usual_length", "usual_recipe"]


# Those of ALBERT's largest network are 4096, 64, 16384, 12, 128 and 30000.
_MOST = {"hidden": 1 << 14, "heads": 1 << 10, "ffn": 1 << 16, "layers": 255, "embedding": 1 << 14,
         "vocabulary": 1 << 20}  # fmt: skip
_MOST_WEIGHTS = 1 << 28


@dataclass(frozen=True)
class Shape:
    """length: the longest sentence, in tokens. layers: all with the same weights.

    Raises InputError where the heads are not of 4, 16, 64 or 256 columns, whose scale is a power
    of two.
    """

    hidden: int = 64
    heads: int = 4
    ffn: int = 256
    layers: int = 4
    length: int = 128
    embedding: int = 64
    vocabulary: int = 8000

    def __post_init__(self) -> None:
        problems = Problems()
        for name in ("hidden", "heads", "ffn", "layers", "embedding"):
            if getattr(self, name) < 1:
                problems.append(Problem(f"{name} {getattr(self, name)}", "use 1 or more", name))
            elif getattr(self, name) > _MOST[name]:
                what = f"{name} {getattr(self, name)}"
                problems.append(Problem(what, f"use at most {_MOST[name]:,}", name))
        if not 8 <= self.vocabulary <= _MOST["vocabulary"]:
            what = f"{self.vocabulary} tokens of a vocabulary"
            problems.append(Problem(what, f"use 8 to {_MOST['vocabulary']:,}", "vocabulary"))
        if not 3 <= self.length <= 512:
            problems.append(Problem(f"{self.length} tokens", "use 3 to 512", "length"))
        if not problems and self.weights > _MOST_WEIGHTS:
            what = f"{self.weights:,} weights"
            problems.append(Problem(what, f"use at most {_MOST_WEIGHTS:,}", "hidden, ffn"))
        if not problems and (
            self.hidden % self.heads or self.hidden // self.heads not in (4, 16, 64, 256)
        ):
            what = f"{self.heads} heads in {self.hidden} columns"
            problems.append(Problem(what, "use heads of 4, 16, 64 or 256 columns", "heads"))
        problems.stop()

    @property
    def weights(self) -> int:
        """Of the matrices and the word table."""
        own = 4 * self.hidden**2 + 2 * self.hidden * self.ffn + self.hidden * self.embedding
        return own + self.vocabulary * self.embedding


@dataclass(frozen=True)
class Recipe:
    """epochs: over random windows of the training texts. rate: the highest learning rate, of AdamW,
    warmed up and then lowered to 0 by a cosine. ramp_epochs: of the second stage, off-ramps only,
    over windows of ``ramp_windows`` places a text. minutes: the first stage ends its schedule
    there, whatever epoch it is in (None: no limit)."""

    epochs: int = 10
    batch: int = 32
    rate: float = 1e-3
    decay: float = 0.05
    dropout: float = 0.2
    word_dropout: float = 0.1
    smoothing: float = 0.05
    ramp_epochs: int = 200
    ramp_windows: int = 2
    minutes: float | None = None


def read_recipe(held: Mapping[str, object] | None) -> Recipe:
    """A recipe as notes hold it; other entries are left out. Raises InputError."""
    known = {f.name for f in fields(Recipe)}
    own: dict[str, Any] = {n: v for n, v in dict(held or {}).items() if n in known}
    wrong = [n for n, v in own.items() if not _fits(n, v)]
    if wrong:
        remedy = "train the classifier again"
        raise InputError(Problem(f"{n} {own[n]!r:.40} in a recipe", remedy) for n in wrong)
    return Recipe(**own)


def _fits(name: str, value: object) -> bool:
    if name == "minutes" and value is None:
        return True
    whole = name in ("epochs", "batch", "ramp_epochs", "ramp_windows")
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return False
    return (1 if whole else 0) <= value <= (10**6 if whole else 1e3)


def usual_length(corpus: str) -> int:
    """Tokens of a sentence that suit a corpus: 40 hold 3 of 4 messages of "sentiment" whole; 128
    are the beginning of an article and the length of the GLUE tasks."""
    return 40 if corpus == "sentiment" else 128


def usual_recipe(corpus: str) -> Recipe:
    """What suits a corpus: few passes over many short messages, more over few long articles."""
    if corpus == "sentiment":
        return Recipe(epochs=4, dropout=0.1)
    return Recipe(epochs=14, dropout=0.1, word_dropout=0.25)
