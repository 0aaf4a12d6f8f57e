"""What a bag of words reaches: TF-IDF and a linear classifier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shiftforge.errors import InputError, Problem

__all__ = ["tfidf_accuracy"]


def tfidf_accuracy(
    texts: Sequence[str],
    labels: NDArray[np.int64],
    train: NDArray[np.int64],
    held_out: NDArray[np.int64],
) -> float:
    """Accuracy on the held-out texts of a linear support vector machine over TF-IDF.

    Words and pairs of neighbours, sublinear counts; whole texts. Raises InputError where no word is
    in two of the training texts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    model = make_pipeline(
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2), LinearSVC(random_state=0)
    )
    try:
        model.fit([texts[i] for i in train], labels[train])
    except ValueError as error:
        problem = Problem(f"TF-IDF finds nothing to learn: {error}", "give more or longer texts")
        raise InputError(problem) from error
    return float((model.predict([texts[i] for i in held_out]) == labels[held_out]).mean())
