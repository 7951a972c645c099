"""Do maps depend on the model, and on nothing that does not matter? Randomised weights; shifted and noisy images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from torch import nn

from audit.saliency.on_demand import explain_pixels
from models.classifier import Classifier

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the layers that are randomised from the output on; 0 is the last layer alone."""
SHIFT = 2
NOISE = 5.0
"""Pixels an image is moved by, and the standard deviation (of 255) of the noise put on it."""
PERTURBATIONS = ("moved left", "moved right", "moved up", "moved down", "noise")


def cascading_randomisation(
    classifier: Classifier, pixels: np.ndarray, method: str, targets: list[str], seed: int = 0
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the layers where each level starts, and float64 (levels, N): how alike the maps still are.

    Layers are drawn anew from the output towards the input (Adebayo et al. 2018). Alike is Spearman's rank correlation
    with the map of the trained model: 1 is the same, 0 is unrelated. A map that stays alike does not show the model.
    No levels for a network without weights.
    """
    original = explain_pixels(classifier, pixels, method, targets)
    layers = weighted_layers(classifier.network)
    if not layers:
        return (), np.empty((0, len(pixels)))
    network = classifier.network
    names, alike, done = [], [], 0
    with _torch_seed(seed), _weights_given_back(network):
        for level in LEVELS:
            until = max(1, round(level * len(layers)))
            for name in layers[done:until]:
                _draw_anew(network.get_submodule(name))
            done = until
            names.append(layers[until - 1])
            alike.append(rank_correlation(original, explain_pixels(classifier, pixels, method, targets)))
    return tuple(names), np.stack(alike)


@contextmanager
def _weights_given_back(network: nn.Module) -> Iterator[None]:
    """Puts weights and statistics back; a copy would not do, as hooks on a copied Keras model are never called."""
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in network.state_dict().items():
                value.copy_(kept[name])


def weighted_layers(network: nn.Module) -> list[str]:
    """Names of the layers that have weights of their own, the last first; "" is the network itself."""
    own = [name for name, module in network.named_modules() if any(True for _ in _weights(module))]
    return own[::-1]


def _weights(module: nn.Module) -> Iterator[torch.Tensor]:
    """Its own weights; numbers that are no weights (Keras keeps the state of its dropout so) are left out."""
    return (values for values in module.parameters(recurse=False) if values.is_floating_point())


def _draw_anew(module: nn.Module) -> None:
    """Weights as before any training; where the layer does not say how, normal ones of the size of those it has."""
    if callable(getattr(module, "reset_parameters", None)):
        module.reset_parameters()  # type: ignore[operator]
        return
    with torch.no_grad():
        for values in _weights(module):
            size = values.std() if values.numel() > 1 else values.abs()
            values.copy_(torch.randn_like(values) * size)


def stability(
    classifier: Classifier, pixels: np.ndarray, method: str, targets: list[str], seed: int = 0
) -> dict[str, np.ndarray]:
    """For each of PERTURBATIONS float64 (N,): Spearman's rank correlation of the maps before and after.

    Maps of moved images are moved back, and compared where both have pixels of the image.
    """
    height, width = pixels.shape[1:3]
    before = enlarged(explain_pixels(classifier, pixels, method, targets), height, width)
    noise = np.random.default_rng(seed).normal(0, NOISE, pixels.shape)
    found = {}
    moves = dict(zip(PERTURBATIONS, ((0, -SHIFT), (0, SHIFT), (-SHIFT, 0), (SHIFT, 0)), strict=False))
    for name, (down, right) in moves.items():
        after = explain_pixels(classifier, moved(pixels, down, right), method, targets)
        back = moved(enlarged(after, height, width)[..., None], -down, -right)[..., 0]
        inside = (slice(None), slice(SHIFT, height - SHIFT), slice(SHIFT, width - SHIFT))
        found[name] = rank_correlation(before[inside], back[inside])
    noisy = np.clip(np.round(pixels + noise), 0, 255).astype(np.uint8)
    after = explain_pixels(classifier, noisy, method, targets)
    found["noise"] = rank_correlation(before, enlarged(after, height, width))
    return found


def moved(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Images (N, H, W, C) moved by whole pixels; the edge is repeated where nothing comes in."""
    height, width = images.shape[1:3]
    y = np.clip(np.arange(height) - down, 0, height - 1)
    x = np.clip(np.arange(width) - right, 0, width - 1)
    return images[:, y[:, None], x[None, :]]


def enlarged(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """float32 (N, height, width), smoothly."""
    return np.stack([cv2.resize(np.asarray(one, dtype=np.float32), (width, height)) for one in maps])


def rank_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64 (N,): Spearman's correlation of maps (N, h, w); 0 where one of the two is the same all over."""
    from scipy.stats import rankdata

    first, second = (rankdata(one.reshape(len(one), -1), axis=1) for one in (a, b))
    first, second = (one - one.mean(axis=1, keepdims=True) for one in (first, second))
    size = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    return np.divide((first * second).sum(axis=1), size, out=np.zeros(len(a)), where=size > 0)


@contextmanager
def _torch_seed(seed: int) -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
