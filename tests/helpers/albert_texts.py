"""Generated texts of a few topics, for tests of training."""

from __future__ import annotations

import numpy as np

from shiftforge.quant.text.corpus import Corpus

__all__ = ["topics"]


def topics(name: str, classes: int, count: int = 60, seed: int = 0) -> Corpus:
    """Texts of words that belong to one class, among words of all; no two alike."""
    rng = np.random.default_rng(seed)
    own = [[f"{name[0]}{chr(97 + c)}{chr(97 + w)}o" for w in range(12)] for c in range(classes)]
    common = [f"the{chr(97 + w)}" for w in range(12)]
    labels = np.arange(count) % classes
    texts = []
    for i, label in enumerate(labels):
        words = [*rng.choice(own[label], 6), *rng.choice(common, 6)]
        rng.shuffle(words)
        texts.append(" ".join(words) + f" {i}")
    return Corpus(name, tuple(texts), labels, tuple(f"c{i}" for i in range(classes)), 0)
