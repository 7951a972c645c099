"""Slow, obviously right copies of the statistics: loops over images and textbook formulas."""

from __future__ import annotations

from itertools import product
from math import comb, sqrt

import numpy as np
import pandas as pd
from scipy import stats


def counts(labels: list[str], predicted: list[str], classes: tuple[str, ...]) -> list[list[int]]:
    """Confusion matrix, rows label, columns predicted."""
    return [[sum(y == a and p == b for y, p in zip(labels, predicted, strict=True)) for b in classes] for a in classes]


def standardised(labels: list[str], predicted: list[str], mix: dict[str, float]) -> float | None:
    """Recall per class with at least five images, weighted by the mix; None where over 5% of the mix is left out."""
    total = weight = 0.0
    for name, share in mix.items():
        hits = [p == name for y, p in zip(labels, predicted, strict=True) if y == name]
        if len(hits) >= 5:
            total += share * sum(hits) / len(hits)
            weight += share
    return total / weight if weight >= 0.95 - 1e-9 else None


def wilson(successes: int, n: int, z: float) -> tuple[float, float]:
    """The two p at which the score test just does not reject, as roots of (p - s/n)^2 = z^2 p(1-p)/n."""
    p = successes / n
    low, high = np.roots([1 + z**2 / n, -(2 * p + z**2 / n), p**2])[::-1].real
    return float(low), float(high)


def stratified_wilson(successes: list[int], n: list[int], weights: list[float]) -> tuple[float, float]:
    """Yan and Su 2010, section 2.2, with the weights given."""
    z = stats.norm.ppf(0.975)
    variances = [s / m * (1 - s / m) / m for s, m in zip(successes, n, strict=True)]
    if not any(variances):
        variances = [1 / m for m in n]
    inner = z * sqrt(sum(w**2 * v for w, v in zip(weights, variances, strict=True)))
    inner /= sum(w * sqrt(v) for w, v in zip(weights, variances, strict=True))
    limits = [wilson(s, m, inner) for s, m in zip(successes, n, strict=True)]
    low, high = (sum(w * limit[end] for w, limit in zip(weights, limits, strict=True)) for end in (0, 1))
    return low, high


def stratified_exact(first: list[int], n_first: list[int], second: list[int], n_second: list[int]) -> float:
    """Two-sided exact p-value of the summed successes given each stratum's totals, by listing every table."""
    ways = []
    for x, a, y, b in zip(first, n_first, second, n_second, strict=True):
        wins, total = x + y, a + b
        ways.append(
            [
                (k, comb(wins, k) * comb(total - wins, a - k) / comb(total, a))
                for k in range(max(0, wins - b), min(a, wins) + 1)
            ]
        )
    chance: dict[int, float] = {}
    for cells in product(*ways):
        at = sum(k for k, _ in cells)
        chance[at] = chance.get(at, 0.0) + float(np.prod([p for _, p in cells]))
    observed = chance[sum(first)]
    return min(1.0, sum(p for p in chance.values() if p <= observed * (1 + 1e-7)))


def kitagawa(frame: pd.DataFrame, group: str, reference: str) -> tuple[float, float]:
    """Composition and performance of the gap in accuracy; ``frame``: group, label, right."""
    composition = performance = 0.0
    for name in frame["label"].unique():
        sides = []
        for which in (group, reference):
            images = frame[frame["group"] == which]
            own = images[images["label"] == name]
            sides.append((len(own) / len(images), own["right"].mean() if len(own) else None))
        (share, recall), (of_share, of_recall) = sides
        recall = of_recall if recall is None else recall
        of_recall = recall if of_recall is None else of_recall
        composition += (share - of_share) * ((recall or 0) + (of_recall or 0)) / 2
        performance += ((recall or 0) - (of_recall or 0)) * (share + of_share) / 2
    return composition, performance


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int) -> float:
    """Naeini et al.'s expected calibration error with equal-width bins, image by image."""
    total = 0.0
    for at in range(bins):
        inside = [i for i, value in enumerate(confidence) if at == min(int(float(value) * bins), bins - 1)]
        if inside:
            total += len(inside) * abs(float(np.mean(right[inside])) - float(np.mean(confidence[inside])))
    return total / len(confidence)


def widest_gap_statistic(right: pd.Series, label: pd.Series, group: pd.Series, mix: dict[str, float]) -> float:
    """The largest gap between two groups in standard errors under the null, pair by pair and class by class."""
    largest = 0.0
    names = sorted(group.unique())
    for position, one in enumerate(names):
        for other in names[position + 1 :]:
            gap = variance = carried = 0.0
            parts = []
            for name, share in mix.items():
                a, b = (right[(group == side) & (label == name)] for side in (one, other))
                if len(a) >= 5 and len(b) >= 5:
                    pooled = right[label == name].mean()
                    parts.append((share, a.mean() - b.mean(), pooled * (1 - pooled) * (1 / len(a) + 1 / len(b))))
                    carried += share
            if carried < 0.95 - 1e-9:
                continue
            gap = sum(share / carried * value for share, value, _ in parts)
            variance = sum((share / carried) ** 2 * value for share, _, value in parts)
            if variance > 0:
                largest = max(largest, abs(gap) / sqrt(variance))
    return largest
