"""Best minus worst, tested honestly: the pair is chosen after looking, so the test repeats the choice.

Under the null of equal recall within each label, which group an image belongs to says nothing about whether it is
predicted right. Redealing the right predictions of each label among its images gives the distribution of the largest
studentised gap over all pairs (and over all cells), and the observed one is placed in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from audit.counts import Counts
from audit.intervals import ratio
from audit.standardise import MAX_OMITTED, MIN_IMAGES

PERMUTATIONS = 4000


@dataclass(frozen=True)
class WidestGap:
    """The clearest standardised gap between two groups of an attribute: ``difference`` is worst minus best.

    ``worst_value`` and ``best_value`` are over their common classes; ``statistic`` is the gap in standard errors.
    """

    worst: str
    best: str
    worst_value: float
    best_value: float
    statistic: float
    p_value: float

    @property
    def difference(self) -> float:
        return self.worst_value - self.best_value


@dataclass(frozen=True)
class ClearestCell:
    """The (group, class) whose recall differs most clearly from that of the other groups."""

    group: str
    class_name: str
    recall: float
    elsewhere: float
    n: int
    n_elsewhere: int
    statistic: float
    p_value: float


def deal(counts: Counts, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Right predictions redealt within each label among the groups: int64 (permutations, G, K)."""
    labelled, correct = counts.labelled, counts.correct.sum(axis=0)
    left, size = labelled.sum(axis=0), np.broadcast_to(correct, (permutations, len(correct))).copy()
    dealt = np.zeros((permutations, *labelled.shape), dtype=np.int64)
    for group, images in enumerate(labelled[:-1]):
        left = left - images
        dealt[:, group] = rng.hypergeometric(images, left, size)
        size -= dealt[:, group]
    dealt[:, -1] = size
    return dealt


def widest_gap(counts: Counts, mix: np.ndarray, dealt: np.ndarray) -> WidestGap | None:
    """The clearest gap over all pairs of groups; None where no two groups can be compared.

    ``mix`` (K,) are the standardisation weights, ``dealt`` comes from :func:`deal`.
    """
    first, second, weights, spread = _pairs(counts.labelled, counts.correct, mix)
    if not len(first):
        return None
    observed = _gaps(ratio(counts.correct, counts.labelled)[None], first, second, weights)[0] / spread
    largest = np.zeros(len(dealt))
    for part in np.array_split(np.arange(len(first)), max(1, len(first) * len(dealt) // 2_000_000)):
        gaps = _gaps(ratio(dealt, counts.labelled), first[part], second[part], weights[part]) / spread[part]
        largest = np.maximum(largest, np.abs(gaps).max(axis=1))
    at = int(np.abs(observed).argmax())
    sides = [(first[at], second[at]), (second[at], first[at])][int(observed[at] > 0)]
    recall = np.nan_to_num(ratio(counts.correct, counts.labelled))
    worst, best = (float(weights[at] @ recall[side]) for side in sides)
    return WidestGap(
        counts.groups[sides[0]], counts.groups[sides[1]], worst, best, float(abs(observed[at])),
        _p_value(abs(observed[at]), largest),
    )  # fmt: skip


def _pairs(
    labelled: np.ndarray, correct: np.ndarray, mix: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Comparable pairs, their weights (P, K) over common classes, and the gap's standard error under the null."""
    first, second = np.triu_indices(len(labelled), k=1)
    kept = (labelled[first] >= MIN_IMAGES) & (labelled[second] >= MIN_IMAGES)
    carried = np.where(kept, mix, 0).sum(axis=1)
    weights = ratio(np.where(kept, mix, 0), carried[:, None])
    recall = np.nan_to_num(ratio(correct.sum(axis=0), labelled.sum(axis=0)))
    share = ratio(1.0, labelled[first]) + ratio(1.0, labelled[second])
    spread = np.sqrt(np.nansum(weights**2 * recall * (1 - recall) * share, axis=1))
    usable = (carried >= 1 - MAX_OMITTED - 1e-9) & (spread > 0)
    return first[usable], second[usable], np.nan_to_num(weights[usable]), spread[usable]


def _gaps(recall: np.ndarray, first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    recall = np.nan_to_num(recall)
    return np.einsum("rpk,pk->rp", recall[:, first] - recall[:, second], weights, optimize=True)


def clearest_cell(counts: Counts, dealt: np.ndarray) -> ClearestCell | None:
    """The group and class whose recall stands out most from the other groups' recall of the same class."""
    labelled, correct = counts.labelled.astype(float), counts.correct  # products outgrow whole numbers of 64 bits
    total, hits = labelled.sum(axis=0), correct.sum(axis=0)
    expected = ratio(labelled * hits, total)
    variance = ratio(labelled * (total - labelled) * (hits * (total - hits)), total**2 * (total - 1))
    telling = (labelled >= MIN_IMAGES) & (total - labelled >= MIN_IMAGES) & (variance > 0)
    if not telling.any():
        return None
    spread = np.sqrt(np.where(telling, variance, np.inf))
    observed = np.abs(correct - expected) / spread
    largest = (np.abs(dealt - np.nan_to_num(expected)) / spread).max(axis=(1, 2))
    group, label = np.unravel_index(int(np.nan_to_num(observed).argmax()), observed.shape)
    others = total[label] - labelled[group, label]
    return ClearestCell(
        counts.groups[group], counts.classes[label], float(correct[group, label] / labelled[group, label]),
        float((hits[label] - correct[group, label]) / others), int(labelled[group, label]), int(others),
        float(observed[group, label]), _p_value(observed[group, label], largest),
    )  # fmt: skip


def _p_value(observed: float, draws: np.ndarray) -> float:
    return float((1 + (draws >= observed - 1e-9).sum()) / (1 + len(draws)))
