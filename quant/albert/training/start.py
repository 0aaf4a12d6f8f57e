"""Word embeddings to start from: co-occurrence of the training texts' own tokens, factorised.

Positive pointwise mutual information of tokens within a few places of each other, its context
counts raised to 3/4, and the left factor of its singular value decomposition with the square roots
of the values (O. Levy, Y. Goldberg, I. Dagan, TACL 2015). No labels are used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["cooccurrence_embeddings"]

_SMOOTH = 0.75


def cooccurrence_embeddings(
    sentences: Sequence[NDArray[np.int64]],
    vocabulary: int,
    size: int,
    *,
    reach: int = 8,
    scale: float = 0.05,
    seed: int = 0,
) -> NDArray[np.float32]:
    """Embeddings (vocabulary, size) whose standard deviation is ``scale``; unseen tokens get 0, and
    so do columns past the vocabulary's size.

    reach: places to either side that count as near, with the weight 1 / distance.
    """
    from scipy import sparse
    from sklearn.utils.extmath import randomized_svd

    tokens = np.concatenate(sentences)
    owner = np.repeat(np.arange(len(sentences)), [len(s) for s in sentences])
    counts: sparse.csr_matrix = sparse.csr_matrix((vocabulary, vocabulary))
    for apart in range(1, reach + 1):
        same = owner[apart:] == owner[:-apart]
        pair = tokens[:-apart][same], tokens[apart:][same]
        ones = np.full(len(pair[0]), 1.0 / apart)
        counts = counts + sparse.csr_matrix((ones, pair), shape=(vocabulary, vocabulary))
    counts = (counts + counts.T).tocoo()
    total = np.asarray(counts.sum(axis=1)).ravel()
    context = total**_SMOOTH
    context *= total.sum() / context.sum()
    value = np.log(
        counts.data * total.sum() / np.maximum(total[counts.row] * context[counts.col], 1e-12)
    )
    positive = sparse.csr_matrix(
        (np.maximum(value, 0), (counts.row, counts.col)), shape=(vocabulary, vocabulary)
    )
    rank = min(size, vocabulary)
    left, singular, _ = randomized_svd(positive, n_components=rank, random_state=seed)
    table = np.pad(left * np.sqrt(singular), ((0, 0), (0, size - rank)))
    table -= table[total > 0].mean(axis=0)
    table[total == 0] = 0
    table *= scale / table[total > 0].std()
    return np.asarray(table, dtype=np.float32)
