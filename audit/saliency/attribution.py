"""Maps of the input's own pixels, by captum: gradients along a path, under noise, against samples, and occlusion.

Every function takes the classifier, its ``inputs`` as the network takes them (N, ...), ``weights`` float32 (N, K) of
the logits whose sum is explained, and a seed; it gives raw maps float32 (N, height, width), channels summed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from captum.attr import GradientShap, GuidedBackprop, IntegratedGradients, NoiseTunnel, Occlusion, Saliency
from torch import Tensor, nn

from audit.saliency import cam
from audit.saliency.tap import tapped
from models.classifier import Classifier

STEPS = 32
"""Points on the path of Integrated Gradients."""
DRAWS = 16
"""Noisy copies of an image."""
NOISE = 0.1
"""Standard deviation of the noise, in shares of the input's range."""
WINDOW = 6
"""An occluding square is a WINDOW-th of the side, and moves by half of its own."""


class Score(nn.Module):
    """What is explained: the sum of the logits by ``weights``; (N, ...), (N, K) to (N,)."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.network, self.logits = classifier.network, classifier.logits

    def forward(self, inputs: Tensor, weights: Tensor) -> Tensor:
        return (self.logits(self.network(inputs)) * weights).sum(dim=1)


def integrated_gradients(classifier: Classifier, inputs: Tensor, weights: Tensor, seed: int) -> Tensor:
    """Gradients from a black image to this one, times what lies between."""
    found = IntegratedGradients(Score(classifier)).attribute(
        inputs, blank(classifier, inputs, 0), additional_forward_args=(weights,), n_steps=STEPS, internal_batch_size=64
    )
    return summed(classifier, found)


def smoothgrad(classifier: Classifier, inputs: Tensor, weights: Tensor, seed: int) -> Tensor:
    """The mean gradient of noisy copies."""
    tunnel = NoiseTunnel(Saliency(Score(classifier)))
    with seeded(seed):
        found = tunnel.attribute(
            inputs, nt_samples=DRAWS, nt_samples_batch_size=4, stdevs=NOISE * span(classifier, inputs), abs=False,
            additional_forward_args=(weights,),
        )  # fmt: skip
    return summed(classifier, found)


def gradientshap(classifier: Classifier, inputs: Tensor, weights: Tensor, seed: int) -> Tensor:
    """Expected gradients against a black, a grey and a white image."""
    baselines = torch.cat([blank(classifier, inputs[:1], level) for level in (0, 128, 255)])
    with seeded(seed):
        found = GradientShap(Score(classifier)).attribute(
            inputs, baselines, n_samples=DRAWS, stdevs=NOISE * span(classifier, inputs),
            additional_forward_args=(weights,),
        )  # fmt: skip
    return summed(classifier, found)


def guided_gradcam(classifier: Classifier, inputs: Tensor, weights: Tensor, seed: int) -> Tensor:
    """Guided backpropagation (rectified on its way) where Grad-CAM is positive; for networks with ReLU modules."""
    with torch.no_grad():
        tap, logits = tapped(classifier, inputs)
        gradient = tap.gradient(logits, weights).float().unsqueeze(1)
        coarse = cam.gradcam(tap.grid.float(), gradient).clamp_min(0)
    with relus_in_place(classifier.network, False), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU")
        leaf = inputs.clone().requires_grad_()
        guided = GuidedBackprop(Score(classifier)).attribute(leaf, additional_forward_args=(weights,))
    fine = summed(classifier, guided)
    return fine * torch.nn.functional.interpolate(coarse, fine.shape[1:], mode="nearest")[:, 0]


def occlusion(classifier: Classifier, inputs: Tensor, weights: Tensor, seed: int) -> Tensor:
    """How much the score falls where a grey square covers the image, averaged over the squares that cover a place."""
    nhwc = classifier.preprocessing.layout == "NHWC"
    side = max(2, min(classifier.preprocessing.height, classifier.preprocessing.width) // WINDOW)
    step = max(1, side // 2)
    channels = inputs.shape[-1] if nhwc else inputs.shape[1]
    with torch.no_grad():
        found = Occlusion(Score(classifier)).attribute(
            inputs,
            sliding_window_shapes=(side, side, channels) if nhwc else (channels, side, side),
            strides=(step, step, channels) if nhwc else (channels, step, step),
            baselines=blank(classifier, inputs, 128),
            additional_forward_args=(weights,),
            perturbations_per_eval=32,
        )
    return summed(classifier, found)


def blank(classifier: Classifier, inputs: Tensor, level: int) -> Tensor:
    """Inputs of pictures that are ``level`` (0..255) all over."""
    form = classifier.preprocessing
    picture = np.full((1, form.height, form.width, form.channels), level, dtype=np.uint8)
    return form.tensor(picture).to(inputs.device).expand_as(inputs).contiguous()


def span(classifier: Classifier, inputs: Tensor) -> float:
    """How far apart white and black are to the network."""
    return float((blank(classifier, inputs[:1], 255) - blank(classifier, inputs[:1], 0)).abs().mean())


def summed(classifier: Classifier, attribution: Tensor) -> Tensor:
    """Channels summed: float32 (N, height, width)."""
    return attribution.detach().float().sum(dim=3 if classifier.preprocessing.layout == "NHWC" else 1)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers from ``seed`` inside, for torch and for numpy's global state that captum draws from."""
    state = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002


@contextmanager
def relus_in_place(network: nn.Module, value: bool) -> Iterator[None]:
    """ReLU modules work in place or not inside; captum's hooks do not bear it. As before afterwards."""
    changed = [one for one in network.modules() if isinstance(one, nn.ReLU) and one.inplace != value]
    for module in changed:
        module.inplace = value
    try:
        yield
    finally:
        for module in changed:
            module.inplace = not value
