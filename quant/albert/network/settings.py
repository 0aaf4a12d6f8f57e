"""Sizes and training settings of a small ALBERT classifier."""

from __future__ import annotations

from dataclasses import dataclass

from shiftforge.errors import Problem, Problems

__all__ = ["Recipe", "Shape", "usual_length", "usual_recipe"]


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
        if not 3 <= self.length <= 512:
            problems.append(Problem(f"{self.length} tokens", "use 3 to 512", "length"))
        if not problems and (
            self.hidden % self.heads or self.hidden // self.heads not in (4, 16, 64, 256)
        ):
            what = f"{self.heads} heads in {self.hidden} columns"
            problems.append(Problem(what, "use heads of 4, 16, 64 or 256 columns", "heads"))
        problems.stop()


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


def usual_length(corpus: str) -> int:
    """Tokens of a sentence that suit a corpus: 40 hold 3 of 4 messages of "sentiment" whole; 128
    are the beginning of an article and the length of the GLUE tasks."""
    return 40 if corpus == "sentiment" else 128


def usual_recipe(corpus: str) -> Recipe:
    """What suits a corpus: few passes over many short messages, more over few long articles."""
    if corpus == "sentiment":
        return Recipe(epochs=4, dropout=0.1)
    return Recipe(epochs=14, dropout=0.1, word_dropout=0.25)
