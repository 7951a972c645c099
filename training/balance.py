"""Weights against imbalance: of classes and groups in the loss, of images in how often they are drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

EFFECTIVE_BETA = 0.999


def class_weights(counts: torch.Tensor, kind: str) -> torch.Tensor | None:
    """Loss weight of each class, mean 1 over the images; float32 (K,), or None for ``"none"``.

    ``counts`` (K,) are images per class. ``balanced`` is inverse frequency; ``effective`` the inverse effective
    number of Cui et al. (2019), which is milder on rare classes. A class without images weighs 0.
    """
    if kind == "none":
        return None
    counts = counts.float()
    size = counts if kind == "balanced" else (1 - EFFECTIVE_BETA**counts) / (1 - EFFECTIVE_BETA)
    weights = torch.where(counts > 0, 1 / size.clamp_min(1e-12), torch.zeros(()))
    return weights * counts.sum() / (weights * counts).sum()


def group_weights(classes: np.ndarray, groups: pd.Series) -> np.ndarray:
    """P(class) P(group) / P(class, group) of each image (Kamiran and Calders 2012); float64 (N,), mean 1.

    ``classes`` (N,) ints. So weighed, class and group are independent; missing groups are one more.
    """
    codes = pd.factorize(groups.astype(object).where(groups.notna(), ""))[0]
    joint = pd.crosstab(classes, codes)
    expected = np.outer(joint.sum(axis=1), joint.sum(axis=0)) / len(classes)
    weights = (expected / joint.clip(lower=1).to_numpy())[joint.index.get_indexer(classes), codes]
    return weights / weights.mean()


def drawing_weights(classes: np.ndarray, oversample: float = 0.0, groups: pd.Series | None = None) -> np.ndarray | None:
    """How often each image is drawn relative to the others; float64 (N,), or None where all are drawn alike.

    ``classes`` (N,) ints; an image of a class with n images weighs n to the power -``oversample``, and with ``groups``
    (N,) also as :func:`group_weights` says.
    """
    if not oversample and groups is None:
        return None
    weights = np.bincount(classes)[classes].astype(np.float64) ** -oversample
    if groups is not None:
        weights *= group_weights(classes, groups)
    return weights / weights.sum()
