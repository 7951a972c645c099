"""What a network tells of its input when it is run: sizes it takes, channels, and the value range it was fed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from models.classifier import IMAGENET, Preprocessing

SIZES = (48, 64, 224, 112, 96, 128, 100, 197, 160, 75, 256, 299, 44, 40, 32, 28)
"""Input sizes in use for emotion classifiers, the commonest first."""
CLOSE = 1e-4
"""Largest difference between two runs on the same images, over the output's own size, that rounding explains."""


def images(number: int, preprocessing: Preprocessing) -> np.ndarray:
    """Made-up pictures with the brightness, contrast and smoothness of photographs; uint8 (N, H, W, C)."""
    random = np.random.default_rng(0)
    size = (preprocessing.width, preprocessing.height)
    pictures = []
    for _ in range(number):
        layers = [
            cv2.resize(random.normal(size=(n, n)), size, interpolation=cv2.INTER_CUBIC) / n**0.5 for n in (3, 6, 12)
        ]
        values = np.sum(layers, axis=0)
        pictures.append(128 + 58 * (values - values.mean()) / values.std() + random.normal(scale=12))
    grey = np.clip(pictures, 0, 255).astype(np.uint8)[..., None]
    return np.repeat(grey, preprocessing.channels, axis=3)


def example(preprocessing: Preprocessing, number: int = 2) -> torch.Tensor:
    """Such pictures as the network takes them; float32 in its layout."""
    return preprocessing.tensor(images(number, preprocessing))


@contextmanager
def quiet_eval(network: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients within; every module's mode is as before afterwards."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def repeats(network: nn.Module, batch: torch.Tensor) -> bool:
    """Whether the network gives the same for the same images, run twice in evaluation mode."""
    with quiet_eval(network):
        first, second = network(batch), network(batch)
    return not float((first - second).abs().max()) > CLOSE * max(1.0, float(first.abs().max()))


def gives_gradients(network: nn.Module, batch: torch.Tensor) -> bool:
    """Whether the output can be differentiated at all: not where ``forward`` runs under ``no_grad``."""
    with quiet_eval(network), torch.enable_grad():
        return bool(network(batch.clone().requires_grad_()).requires_grad)


def channels_of(network: nn.Module) -> int | None:
    """Input channels of the first convolution, or None where there is none."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    for name, value in network.state_dict().items():
        if name.endswith("weight") and not is_lazy(value) and value.ndim == 4:
            return int(value.shape[1])
    return None


def sizes_taken(network: nn.Module, channels: int, layout: str = "NCHW") -> list[int]:
    """The square sizes of SIZES that the network runs on; most networks with a flattened head take exactly one."""
    taken = []
    with quiet_eval(network):
        for size in SIZES:
            shape = (1, channels, size, size) if layout == "NCHW" else (1, size, size, channels)
            try:
                network(torch.zeros(shape))
            except Exception:  # any network may refuse a size in any way
                continue
            taken.append(size)
    return taken


def value_range(network: nn.Module, preprocessing: Preprocessing) -> tuple[Preprocessing, str]:
    """The preprocessing with its range guessed, and the reason as a clause.

    Where a batch normalisation stands early, made-up photographs are fed in every usual range, and the range is taken
    whose activations come closest to the mean and variance it remembers from training; else 0..1 is assumed.
    """
    candidates = {text: replace(preprocessing, **values) for text, values in _ranges(preprocessing.channels).items()}
    distances = {text: _distance(network, example(candidate, 4)) for text, candidate in candidates.items()}
    best = min(distances, key=lambda text: distances[text])
    if not math.isfinite(distances[best]):
        return candidates["0..1"], "the value range 0..1 is assumed; pass --input if it was trained with another"
    return candidates[best], f"the value range {best} is guessed from its first batch normalisation"


def _ranges(channels: int) -> dict[str, dict]:
    ranges: dict[str, dict] = {"0..1": {}, "-1..1": {"low": -1.0, "high": 1.0}, "0..255": {"high": 255.0}}
    if channels == 3:
        ranges["0..1 with ImageNet's mean and deviation"] = IMAGENET
    return ranges


def _distance(network: nn.Module, batch: torch.Tensor) -> float:
    """How far the first batch normalisation's input lies from its running mean and variance; inf without one."""
    seen: list[float] = []

    def compare(module: nn.Module, arguments: tuple) -> None:
        mean, variance, axis = _running(module)
        if seen or mean is None or variance is None:
            return
        values = arguments[0].movedim(axis, -1).reshape(-1, mean.numel())
        spread = torch.log((values.var(dim=0) + 1e-6) / (variance + 1e-6)).abs()
        shift = (values.mean(dim=0) - mean).square() / (variance + 1e-6)
        seen.append(float((spread + torch.log1p(shift)).mean()))

    hooks = [
        module.register_forward_pre_hook(compare) for module in network.modules() if _running(module)[0] is not None
    ]
    with quiet_eval(network):
        try:
            network(batch)
        except Exception:  # a network tied to another number of images; who runs it next says so
            return math.inf
        finally:
            for hook in hooks:
                hook.remove()
    return seen[0] if seen and math.isfinite(seen[0]) else math.inf


def _running(module: Any) -> tuple[torch.Tensor | None, torch.Tensor | None, int]:
    """Running mean, variance and channel axis of a trained batch normalisation, torch's or Keras', else None."""
    mean, variance, axis = None, None, 1
    if isinstance(module, nn.BatchNorm2d):
        mean, variance = module.running_mean, module.running_var
    elif type(module).__name__ == "BatchNormalization" and hasattr(module, "moving_mean"):
        mean, variance, axis = module.moving_mean.value.data, module.moving_variance.value.data, module.axis
    if mean is None or variance is None or not (mean.any() or (variance != 1).any()):
        return None, None, axis
    return mean, variance, axis
