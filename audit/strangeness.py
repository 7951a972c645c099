"""Pictures that may show no face: blank ones, and those that the other pictures do not explain.

A picture that is a face is nearly a mixture of a few pictures common to all faces; how much of it is left over is its
distance from face space (Turk and Pentland 1991, "Eigenfaces for Recognition", section 4).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

BLANK = 3.0
"""Contrast (standard deviation of the luma, 0 to 128) below which nothing can be seen in a picture."""
EIGENFACES = 20
EACH = 10
"""Pictures there must be for each eigenface: fewer pictures would explain themselves."""
LEARNT_FROM = 10_000
FENCE = 1.5
"""Quartile ranges above the upper quartile from which a value is an outlier (Tukey 1977, "Exploratory Data Analysis",
chapter 2)."""
_BLOCK = 4096


def strangeness(samples: pd.DataFrame, thumbnails: np.ndarray | None = None) -> np.ndarray:
    """How much of each picture is no mixture of eigenfaces, float64 (N,) in [0, 1]; 1 where it is blank.

    ``samples`` (N rows) has ``contrast``, the standard deviation of the luma: a picture without it is NaN here too.
    ``thumbnails`` (N, D) are those of ``audit.duplicates.thumbnail``; without them only blank pictures are told. Each
    half of the pictures is explained by the eigenfaces of the other half (of at most LEARNT_FROM of them): a strange
    picture would else have an eigenface of its own.
    """
    contrast = samples.get("contrast", pd.Series(np.nan, samples.index)).to_numpy(dtype=np.float64)
    score = np.where(np.isfinite(contrast), np.where(contrast < BLANK, 1.0, 0.0), np.nan)
    rows = np.flatnonzero(score == 0)
    if thumbnails is not None and len(thumbnails) and len(rows) >= 2 * EACH:
        for asked, learnt in ((rows[::2], rows[1::2]), (rows[1::2], rows[::2])):
            score[asked] = _unexplained(thumbnails, asked, learnt)
    return score


def _unexplained(thumbnails: np.ndarray, asked: np.ndarray, learnt: np.ndarray) -> np.ndarray:
    """The share (M,) of the ``asked`` thumbnails that the eigenfaces of the ``learnt`` ones do not explain."""
    few = learnt[np.linspace(0, len(learnt) - 1, min(LEARNT_FROM, len(learnt))).round().astype(np.int64)]
    faces = np.asarray(thumbnails[few], dtype=np.float32)
    mean = faces.mean(axis=0)
    axes = np.linalg.eigh(np.cov(faces, rowvar=False))[1][:, ::-1][:, : min(EIGENFACES, len(few) // EACH)]
    left = np.empty(len(asked))
    for start in range(0, len(asked), _BLOCK):
        centred = np.asarray(thumbnails[asked[start : start + _BLOCK]], dtype=np.float32) - mean
        left[start : start + _BLOCK] = (centred**2).sum(axis=1) - ((centred @ axes) ** 2).sum(axis=1)
    return np.clip(left, 0, 1)


def stands_out(score: np.ndarray) -> np.ndarray:
    """bool (N,): blank, or stranger than Tukey's fence. NaN does not stand out."""
    seen = score[np.isfinite(score) & (score < 1)]
    if not len(seen):
        return score == 1
    low, high = np.quantile(seen, (0.25, 0.75))
    return np.nan_to_num(score) > min(high + FENCE * (high - low), np.nextafter(1, 0))
