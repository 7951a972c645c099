"""How readily each class is labelled as another, and how many labels are wrong in all."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, logit, softmax

PUREST = 0.001
"""The share of pictures that counts as the purest of a class: near the infimum that the theory asks for, not one
outlier."""
ROUNDS = 2
"""Best on labels flipped by program (uniformly, between pairs, into one class), where the truth is known."""
TINY = 1e-6
"""Probabilities are kept above this."""


def calibrate(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Probabilities raised to the power that makes the given labels likeliest (Guo et al. 2017), none below 1e-6."""
    if not len(y):
        return p
    logged = np.log(np.clip(p, TINY, None))
    at = np.arange(len(y))

    def surprise(power: float) -> float:
        return -float(np.log(softmax(power * logged, axis=1)[at, y] + TINY).mean())

    best = minimize_scalar(surprise, bounds=(0.05, 10), method="bounded")
    return np.clip(softmax(best.x * logged, axis=1), TINY, None)


def slip_rates(p: np.ndarray) -> np.ndarray:
    """How readily true class j is labelled i, up to a common factor: float64 (K, K), rows j, columns i, rows sum to 1.

    Where labels slip from j to i at some rate, even the purest picture of j keeps that much probability of i: the rate
    is the smallest ratio of p_i to p_j that occurs (Scott 2015, "A Rate of Convergence for Mixture Proportion
    Estimation, with Application to Learning from Noisy Labels"). The quantile PUREST stands for the smallest.
    """
    k = p.shape[1]
    if not len(p):
        return np.eye(k)
    rates = np.stack([np.quantile(p / p[:, [j]], PUREST, axis=0) for j in range(k)])
    return rates / rates.sum(axis=1, keepdims=True)


def refine_slips(slips: np.ndarray, p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Slip rates (K, K) counted from the labels themselves, each shared out over the true classes it may have had.

    ROUNDS of EM from ``slips`` (Dawid and Skene 1979, with the model as prior). The tails of a network's probabilities
    tell rates roughly; the labels tell them better, but many rounds would only confirm the network's own prediction.
    """
    for _ in range(ROUNDS if len(y) else 0):
        truth = normalise(p * slips[:, y].T)
        counts = np.stack([np.bincount(y, weights=of_class, minlength=len(slips)) for of_class in truth.T])
        slips = normalise(counts + TINY)
    return slips


def wrong_in_all(p: np.ndarray, y: np.ndarray) -> float:
    """Estimated share of all labels that are wrong, by the confident joint."""
    joint = confident_joint(p, y)
    return float(1 - np.trace(joint) / max(joint.sum(), 1))


def confident_joint(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Estimated counts of (given label, true class), float64 (K, K), rows summing to the labels' counts.

    A sample counts for the likeliest class whose probability reaches that class's mean self-confidence; a class that
    no label carries is never reached (Northcutt et al. 2021, equations 1 and 2, calibrated as in their section 3.1).
    """
    k = p.shape[1]
    count = np.bincount(y, minlength=k)
    total = np.bincount(y, weights=p[np.arange(len(y)), y], minlength=k)
    threshold = np.divide(total, count, out=np.full(k, np.inf), where=count > 0)
    above = np.where(p >= threshold - TINY, p, -1.0)
    confident = above.max(axis=1) >= 0
    counted = np.bincount(y[confident] * k + above[confident].argmax(axis=1), minlength=k * k)
    joint = counted.reshape(k, k).astype(np.float64)
    unseen = joint.sum(axis=1) == 0
    joint[unseen] = np.eye(k)[unseen]
    return joint / joint.sum(axis=1, keepdims=True) * count[:, None]


def error_rates(joint: np.ndarray) -> np.ndarray:
    """Share of each class's labels that are wrong, float64 (K,); 0 for a class without labels."""
    total = joint.sum(axis=1)
    return np.divide(total - np.diag(joint), total, out=np.zeros(len(joint)), where=total > 0)


def scale_slips(slips: np.ndarray, p: np.ndarray, y: np.ndarray, wrong: float) -> np.ndarray:
    """Slip rates (K, K) multiplied by one number so that the mean probability of a wrong label is ``wrong``."""
    if not len(y):
        return slips
    at = np.arange(len(y))
    odds = logit(np.clip(1 - normalise(p * slips[:, y].T)[at, y], 1e-12, 1 - 1e-12))
    target = float(np.clip(wrong, 0.5 / len(y), 1 - 0.5 / len(y)))
    shift = brentq(lambda moved: expit(odds + moved).mean() - target, -60, 60)
    scaled = slips * np.exp(shift)
    np.fill_diagonal(scaled, np.diag(slips))
    return scaled


def normalise(p: np.ndarray) -> np.ndarray:
    """Rows scaled to sum to 1."""
    return p / np.maximum(p.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
