"""Weights against class imbalance."""

from __future__ import annotations

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
