"""Word embeddings to start from."""

from __future__ import annotations

import numpy as np

from shiftforge.quant.albert.training.start import cooccurrence_embeddings


def test_fewer_words_than_columns() -> None:
    sentences = [np.array([2, 4, 5, 3]), np.array([2, 5, 4, 4, 3]), np.array([2, 5, 3])]
    found = cooccurrence_embeddings(sentences, 7, 12)
    assert found.shape == (7, 12) and np.isfinite(found).all()
    assert not found[[0, 1, 6]].any()  # unseen
    assert found[[2, 3, 4, 5]].any(axis=1).all() and not found[:, 7:].any()
