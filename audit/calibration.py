"""Does 70% confident mean right in 70 of 100? Calibration error and reliability, read from summed bins."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from audit.counts import Tally
from audit.intervals import ratio, wilson


def expected_calibration_error(bins: np.ndarray) -> np.ndarray:
    """Mean |accuracy - confidence| over bins weighted by their images; ``bins`` (..., B, 3) as in Tally of bins."""
    n, gap, _ = _gaps(bins)
    return ratio((n * gap).sum(axis=-1), n.sum(axis=-1))


def debiased_calibration_error(bins: np.ndarray) -> np.ndarray:
    """The calibration error less what chance alone adds to it, at least 0.

    Sampling moves each bin's accuracy, and the absolute value turns that into apparent error. The excess is what
    redrawing each bin's accuracy from a normal would add (Kumar, Liang and Ma 2019), in closed form: the mean of a
    folded normal.
    """
    n, gap, spread = _gaps(bins)
    with np.errstate(divide="ignore", invalid="ignore"):
        standard = np.where(spread > 0, gap / spread, 0.0)
    folded = spread * np.sqrt(2 / np.pi) * np.exp(-(standard**2) / 2) + gap * (1 - 2 * stats.norm.cdf(-standard))
    expected = np.where(spread > 0, folded, gap)
    return np.maximum(ratio((n * (2 * gap - expected)).sum(axis=-1), n.sum(axis=-1)), 0.0)


def _gaps(bins: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, correct, confidence = (bins[..., field] for field in range(3))
    accuracy, mean = ratio(correct, n), ratio(confidence, n)
    # A bin that is all right or all wrong still varies: its spread takes the confidence into account, as two images.
    smooth = ratio(correct + 2 * np.nan_to_num(mean), n + 2)
    spread = np.sqrt(ratio(smooth * (1 - smooth), n))
    return n, np.nan_to_num(np.abs(accuracy - mean)), np.nan_to_num(spread)


def mean_confidence(bins: np.ndarray) -> np.ndarray:
    """Mean confidence over the images of the bins (..., B, 3)."""
    return ratio(bins[..., 2].sum(axis=-1), bins[..., 0].sum(axis=-1))


def reliability(tally: Tally) -> pd.DataFrame:
    """The bins that hold images: attribute, group, bin, low and high (its edges), n, correct, confidence (mean),

    accuracy, accuracy_low, accuracy_high (Wilson).
    """
    g, b = np.nonzero(tally.table[..., 0])
    n, correct, confidence = tally.table[g, b].T
    low, high = wilson(correct, n)
    width = 1 / tally.table.shape[1]
    return pd.DataFrame(
        {
            "attribute": tally.attribute,
            "group": np.array(tally.groups, dtype=object)[g],
            "bin": b,
            "low": b * width,
            "high": (b + 1) * width,
            "n": n.astype(np.int64),
            "correct": correct.astype(np.int64),
            "confidence": confidence / n,
            "accuracy": correct / n,
            "accuracy_low": low,
            "accuracy_high": high,
        }
    )
