"""What is confused with what: per-class figures and ranked confusable pairs, read from a confusion matrix."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from audit.counts import Counts
from audit.intervals import bootstrap, percentile, ratio, wilson


def accuracy(matrix: np.ndarray) -> np.ndarray:
    """Share predicted as labelled; ``matrix`` (..., K, K), NaN where it is empty."""
    return ratio(np.trace(matrix, axis1=-2, axis2=-1), matrix.sum(axis=(-2, -1)))


def recall(matrix: np.ndarray) -> np.ndarray:
    """True positive rate of each class one-vs-rest, (..., K); NaN where no image carries the label."""
    return ratio(_diagonal(matrix), matrix.sum(axis=-1))


def precision(matrix: np.ndarray) -> np.ndarray:
    """Share of the images predicted as a class that carry its label, (..., K); NaN where none was predicted so."""
    return ratio(_diagonal(matrix), matrix.sum(axis=-2))


def f1(matrix: np.ndarray) -> np.ndarray:
    """Harmonic mean of precision and recall, (..., K); NaN where a class is neither labelled nor predicted."""
    return ratio(2 * _diagonal(matrix), matrix.sum(axis=-1) + matrix.sum(axis=-2))


def false_positive_rate(matrix: np.ndarray) -> np.ndarray:
    """Share of the images of other labels predicted as a class, (..., K); NaN where there are no others."""
    wrong = matrix.sum(axis=-2) - _diagonal(matrix)
    return ratio(wrong, matrix.sum(axis=(-2, -1))[..., None] - matrix.sum(axis=-1))


def selection_rate(matrix: np.ndarray) -> np.ndarray:
    """Share of all images predicted as a class, (..., K)."""
    return ratio(matrix.sum(axis=-2), matrix.sum(axis=(-2, -1))[..., None])


def balanced_accuracy(matrix: np.ndarray) -> np.ndarray:
    """Mean recall over the classes that occur as labels."""
    return _mean(recall(matrix))


def macro_f1(matrix: np.ndarray) -> np.ndarray:
    """Mean F1 over the classes that occur as labels or predictions."""
    return _mean(f1(matrix))


def _diagonal(matrix: np.ndarray) -> np.ndarray:
    return np.diagonal(matrix, axis1=-2, axis2=-1)


def _mean(values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1))


def per_class(counts: Counts, rng: np.random.Generator, replicates: int = 2000) -> pd.DataFrame:
    """One row a class over the whole table: n, predicted_n, recall, precision, f1, each with ``_low`` and ``_high``.

    Recall and precision have Wilson intervals, F1 the stratified bootstrap's; undefined is NaN.
    """
    matrix = counts.confusion
    hits, labelled, predicted = np.diagonal(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    of_recall, of_precision = wilson(hits, labelled), wilson(hits, predicted)
    of_f1 = percentile(f1(bootstrap(matrix, replicates, rng)))
    return pd.DataFrame(
        {
            "class": counts.classes,
            "n": labelled,
            "predicted_n": predicted,
            "recall": recall(matrix),
            "recall_low": of_recall.low,
            "recall_high": of_recall.high,
            "precision": precision(matrix),
            "precision_low": of_precision.low,
            "precision_high": of_precision.high,
            "f1": f1(matrix),
            "f1_low": of_f1.low,
            "f1_high": of_f1.high,
        }
    )


def confusable_pairs(counts: Counts) -> pd.DataFrame:
    """Unordered pairs of classes, most confusable first.

    ``rate`` is the share of the images labelled either that were predicted as the other, with its Wilson interval;
    ``n_ab`` images labelled a were predicted b, ``n_ba`` the reverse, ``n`` carry either label; ``share_of_errors``
    is the part of all errors. Pairs without images stand last with a NaN rate.
    """
    matrix = counts.confusion
    labelled = matrix.sum(axis=1)
    a, b = (np.array(side) for side in zip(*combinations(range(len(matrix)), 2), strict=True))
    swapped, n = matrix[a, b] + matrix[b, a], labelled[a] + labelled[b]
    low, high = wilson(swapped, n)
    classes = np.array(counts.classes, dtype=object)
    frame = pd.DataFrame(
        {
            "class_a": classes[a],
            "class_b": classes[b],
            "n_ab": matrix[a, b],
            "n_ba": matrix[b, a],
            "n": n,
            "rate": ratio(swapped, n),
            "low": low,
            "high": high,
            "share_of_errors": ratio(swapped, np.float64(matrix.sum() - np.trace(matrix))),
        }
    )
    return frame.sort_values(["rate", "n"], ascending=False, kind="stable", ignore_index=True)
