"""What training and the making of a word table are told, beside the texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from shiftforge.quant.albert.network.settings import Recipe, Shape

__all__ = ["Origin", "TableOptions", "TableRecipe", "Training"]


@dataclass(frozen=True)
class Training:
    """A network's sizes and how it is trained. split: seed of the folds and of the validation part;
    seed: of everything else."""

    shape: Shape
    recipe: Recipe
    seed: int = 0
    split: int = 0


@dataclass(frozen=True)
class Origin:
    """Where vocabulary and first word embeddings come from; at most one is given, and without one
    they are those of the texts that train.

    tokeniser: a folder. network: a Hugging Face folder of an ALBERT, with its tokeniser, which
    gives the shape but for the length. table: a folder of
    :mod:`shiftforge.quant.albert.training.table`, whose word table stays as it is.
    """

    tokeniser: Path | None = None
    network: Path | None = None
    table: Path | None = None

    def given(self) -> tuple[Path, ...]:
        """The folders that are named."""
        return tuple(p for p in (self.network, self.tokeniser, self.table) if p is not None)


@dataclass(frozen=True)
class TableRecipe:
    """The supervised stage. steps: each with a batch of every task. batch: texts of a task.
    hidden: columns of the shared layer. rate: the highest learning rate, of Adam. length: longest
    window of a text, in tokens."""

    steps: int = 1200
    batch: int = 64
    hidden: int = 128
    rate: float = 2e-3
    dropout: float = 0.2
    word_dropout: float = 0.1
    smoothing: float = 0.1
    length: int = 128


@dataclass(frozen=True)
class TableOptions:
    """A word table. vocabulary: at most so many tokens. columns: of a word. density: part of the
    entries that stay, in (0, 1]; rounding to AF<8,3> may zero a few more. tokeniser: folder whose
    vocabulary is taken instead; a table of another density fits the same networks with it."""

    vocabulary: int = 8000
    columns: int = 64
    density: float = 0.4
    tokeniser: Path | None = None
    recipe: TableRecipe = field(default_factory=TableRecipe)
