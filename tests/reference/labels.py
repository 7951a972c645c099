"""Slow, obviously right copies of the label and agreement figures."""

from __future__ import annotations

from itertools import permutations

import numpy as np


def confident_joint(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Northcutt et al. 2021, equation 1 read aloud, one picture at a time, then rows scaled to the labels' counts."""
    k = p.shape[1]
    thresholds = [
        np.mean([row[j] for row, label in zip(p, y, strict=True) if label == j] or [np.inf]) for j in range(k)
    ]
    counts = np.zeros((k, k))
    for row, label in zip(p, y, strict=True):
        reached = [j for j in range(k) if row[j] >= thresholds[j] - 1e-6]
        if reached:
            counts[label, max(reached, key=lambda j: row[j])] += 1
    for label in range(k):
        if counts[label].sum() == 0:
            counts[label, label] = 1
        counts[label] *= np.sum(y == label) / counts[label].sum()
    return counts


def slip_rates(p: np.ndarray, share: float) -> np.ndarray:
    """For each ordered pair of classes, the low quantile of the ratio of their probabilities."""
    k = p.shape[1]
    rates = np.zeros((k, k))
    for true in range(k):
        for given in range(k):
            rates[true, given] = np.quantile([row[given] / row[true] for row in p], share)
        rates[true] /= rates[true].sum()
    return rates


def refine_slips(slips: np.ndarray, p: np.ndarray, y: np.ndarray, rounds: int) -> np.ndarray:
    """EM one picture at a time: share each label out over the true classes, then count."""
    k = len(slips)
    for _ in range(rounds):
        counts = np.full((k, k), 1e-6)
        for row, label in zip(p, y, strict=True):
            truth = [row[j] * slips[j, label] for j in range(k)]
            for j in range(k):
                counts[j, label] += truth[j] / sum(truth)
        slips = np.array([counts[j] / counts[j].sum() for j in range(k)])
    return slips


def krippendorff_alpha(units: list[list[str]]) -> float:
    """Observed over expected disagreement, by listing every ordered pair of opinions."""
    units = [unit for unit in units if len(unit) >= 2]
    values = [value for unit in units for value in unit]
    observed = sum(sum(a != b for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units) / len(values)
    expected = sum(a != b for a, b in permutations(values, 2)) / (len(values) * (len(values) - 1))
    return 1 - observed / expected


def dawid_skene(answers: list[dict[str, str]], rounds: int) -> list[dict[str, float]]:
    """EM with loops over pictures, reviewers and classes (Dawid and Skene 1979); ``answers[i][reviewer] = label``."""
    labels = sorted({label for given in answers for label in given.values()})
    reviewers = sorted({name for given in answers for name in given})
    belief = [{c: sum(v == c for v in given.values()) / len(given) for c in labels} for given in answers]
    for _ in range(rounds):
        prior = {c: sum(b[c] for b in belief) / len(belief) for c in labels}
        confusion: dict[tuple[str, str, str], float] = {}
        for name in reviewers:
            for true in labels:
                said = {
                    c: sum(b[true] for b, given in zip(belief, answers, strict=True) if given.get(name) == c)
                    for c in labels
                }
                total = sum(said.values())
                for c in labels:
                    confusion[name, true, c] = said[c] / total if total else 0.0
        for at, given in enumerate(answers):
            weight = {c: max(prior[c], 1e-10) for c in labels}
            for name, label in given.items():
                for c in labels:
                    weight[c] *= max(confusion[name, c, label], 1e-10)
            belief[at] = {c: weight[c] / sum(weight.values()) for c in labels}
    return belief
