"""What a compression does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from shiftforge.errors import Problem, Problems

__all__ = ["Compression"]


@dataclass(frozen=True)
class Compression:
    """The optimisations of a training, each off by default.

    spans: coefficient of the attention spans' loss, coefficient · length · mean(z) with z in tokens
    (the paper's is 5e-6, at 512 tokens); 0 leaves the spans as they are. ramp: R, in tokens.
    span_travel: how often z could cross its range, see ``spans.span_rate``.

    prune: of q to ffn2, to ``sparsity`` of each matrix, or of all together (over_all). mapping: the
    embeddings' mapping too. warm_up, cool_down: of the sparsity's schedule, shares of the training.
    score_rate: of the movement scores. Zeros of a network that comes pruned stay zeros where
    ``prune`` is None.

    distil: from the teacher, with ``temperature`` and ``distil_share`` (alpha_KD).

    table: folder of a word table to compute with. train_words: word embeddings learn too (never
    those of a table). weights: trained on the levels of a weight format ("af8" to "af4", "shift1",
    "shift2", "dtssq:F"); activations: and with rounded activations.

    rate, dropout, epochs: of the training. minutes: its first stage ends there (None: no limit).
    Raises InputError.
    """

    spans: float = 0.0
    ramp: int = 16
    span_travel: float = 2.0
    prune: Literal["movement", "magnitude"] | None = None
    sparsity: float = 0.6
    over_all: bool = False
    mapping: bool = False
    warm_up: float = 0.1
    cool_down: float = 0.3
    score_rate: float = 1e-2
    distil: bool = False
    temperature: float = 2.0
    distil_share: float = 0.9
    table: Path | None = None
    train_words: bool = False
    weights: str | None = None
    activations: bool = True
    rate: float = 5e-4
    dropout: float = 0.1
    epochs: int = 4
    minutes: float | None = None

    def __post_init__(self) -> None:
        problems = Problems()
        for name in ("spans", "span_travel", "score_rate"):
            if getattr(self, name) < 0:
                problems.append(Problem(f"{name} {getattr(self, name)}", "use 0 or more", name))
        if self.ramp < 1:
            problems.append(Problem(f"a ramp of {self.ramp} tokens", "use 1 or more", "ramp"))
        for name in ("rate", "temperature"):
            if getattr(self, name) <= 0:
                problems.append(Problem(f"{name} {getattr(self, name)}", "use above 0", name))
        if not 0 <= self.distil_share <= 1:
            what = f"distil_share {self.distil_share}"
            problems.append(Problem(what, "use 0 to 1", "distil_share"))
        if not 0 <= self.dropout < 1:
            problems.append(Problem(f"dropout {self.dropout}", "use 0 to below 1", "dropout"))
        if self.prune not in (None, "movement", "magnitude"):
            problems.append(
                Problem(f"pruning {self.prune!r}", "use movement or magnitude", "prune")
            )
        if self.prune is not None and not 0 <= self.sparsity < 1:
            problems.append(Problem(f"sparsity {self.sparsity}", "use 0 to below 1", "sparsity"))
        if self.table is not None and self.train_words:
            problems.append(Problem("words of a table do not learn", "leave one out", "table"))
        problems.stop()

    def notes(self) -> dict[str, Any]:
        """The options as JSON has them; a table's place on a disk and a time limit are none."""
        left = ("table", "minutes")
        held = {n: getattr(self, n) for n in self.__dataclass_fields__ if n not in left}
        return {**held, "table": self.table is not None}
