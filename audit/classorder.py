"""Are the outputs named in the wrong order? The order that the confusion matrix itself asks for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from audit.confusion import recall
from faces.emotions import PUBLISHED_ORDERS, canonical

MIN_GAIN = 0.04
"""Balanced accuracy a new order must add: a model that merely confuses two classes gains almost nothing."""


@dataclass(frozen=True)
class ClassOrder:
    """A better order of a model's classes: output k means ``classes[k]``.

    ``published`` names the data set whose published order it is, None where it is only the best one-to-one mapping.
    """

    classes: tuple[str, ...]
    published: str | None
    accuracy: float
    accuracy_reordered: float


def class_order(matrix: np.ndarray, classes: tuple[str, ...]) -> ClassOrder | None:
    """The order that explains a confusion matrix (K, K) better than the one declared; None where there is none.

    Tried are the published orders of the same classes and the best one-to-one mapping of outputs to labels; a
    published order that does nearly as well as the best mapping is preferred, being what went wrong.
    """
    rates = np.nan_to_num(recall(matrix))
    share = np.nan_to_num(matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1))
    # Among equal mappings the declared one: a class without images says nothing about its output.
    label, output = linear_sum_assignment(share + 1e-9 * np.eye(len(share)), maximize=True)
    best = np.empty(len(classes), dtype=np.int64)
    best[output] = label
    seen = max(int((matrix.sum(axis=1) > 0).sum()), 1)
    gain = _balanced(share, best, seen) - rates.sum() / seen
    if gain < MIN_GAIN or not _beyond_chance(matrix, best):
        return None
    names, published = tuple(classes[position] for position in best), None
    for source, order in PUBLISHED_ORDERS.items():
        order = tuple(canonical(name) for name in order)
        if set(order) != set(classes) or order == tuple(classes):
            continue
        meaning = np.array([classes.index(name) for name in order])
        if _balanced(share, meaning, seen) >= _balanced(share, best, seen) - 0.02:
            names, published, best = order, source, meaning
            break
    n = max(int(matrix.sum()), 1)
    return ClassOrder(names, published, float(np.trace(matrix) / n), float(_hits(matrix, best) / n))


def _hits(matrix: np.ndarray, meaning: np.ndarray) -> float:
    return float(matrix[meaning, np.arange(len(matrix))].sum())


def _balanced(share: np.ndarray, meaning: np.ndarray, seen: int) -> float:
    return _hits(share, meaning) / seen


def _beyond_chance(matrix: np.ndarray, meaning: np.ndarray) -> bool:
    """Whether images won exceed images lost by more than five standard deviations of their sum (McNemar)."""
    moved = meaning != np.arange(len(matrix))
    won = matrix[meaning, np.arange(len(matrix))][moved].sum()
    lost = np.diagonal(matrix)[moved].sum()
    return bool(won - lost > 5 * np.sqrt(won + lost))
