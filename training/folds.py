"""Dividing the training part: stratified by class, with everything that belongs together on one side."""

from __future__ import annotations

import numpy as np


def grouped_folds(classes: np.ndarray, groups: np.ndarray, k: int, seed: int) -> np.ndarray:
    """A fold 0..k-1 for every row; int64 (N,). Rows of a group share one, classes are spread evenly.

    A group counts for the class of its first row.
    """
    unique, first, sizes = np.unique(groups, return_index=True, return_counts=True)
    random = np.random.default_rng(seed)
    fold = np.empty(len(unique), dtype=np.int64)
    for name in np.unique(classes):
        members = random.permutation(np.flatnonzero(classes[first] == name))
        before = np.cumsum(sizes[members]) - sizes[members]
        fold[members] = before * k // max(1, sizes[members].sum())
    return fold[np.searchsorted(unique, groups)]


def held_out(classes: np.ndarray, groups: np.ndarray, share: float) -> np.ndarray:
    """True for about ``share`` of the rows: the part that epochs are chosen by; bool (N,)."""
    return grouped_folds(classes, groups, max(2, round(1 / share)), seed=0) == 0
