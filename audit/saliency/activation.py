"""Class activation maps that need no gradient: by the activation's main direction, by masking, by ablation.

Every function takes the classifier, its ``inputs`` as the network takes them (N, ...), ``weights`` float32 (N, K) of
the logits whose sum is explained, and a seed; it gives raw maps float32 (N, h, w) at the CAM layer's resolution.
"""

from __future__ import annotations

import torch
from torch import Tensor

from audit.saliency.cam import weighted
from audit.saliency.tap import CamTap, tapped, to_grid
from models.classifier import Classifier

CHUNK = 64
"""Masked or ablated images run at a time."""


@torch.no_grad()
def eigencam(classifier: Classifier, inputs: Tensor, weights: Tensor, seed: int) -> Tensor:
    """The activation along its first principal direction over places, its largest absolute value being positive."""
    grid = _activation(classifier, inputs)[0]
    n, _, height, width = grid.shape
    places = grid.flatten(2).transpose(1, 2)
    places = places - places.mean(dim=1, keepdim=True)
    direction = torch.linalg.svd(places, full_matrices=False).Vh[:, :1]
    maps = (places @ direction.transpose(1, 2))[:, :, 0]
    largest = maps.gather(1, maps.abs().argmax(dim=1, keepdim=True))
    return (maps * largest.sign()).reshape(n, height, width)


@torch.no_grad()
def scorecam(classifier: Classifier, inputs: Tensor, weights: Tensor, seed: int) -> Tensor:
    """Channels weighted by the score of the image seen through them."""
    grid = _activation(classifier, inputs)[0]
    nhwc = classifier.preprocessing.layout == "NHWC"
    size = inputs.shape[1:3] if nhwc else inputs.shape[2:4]
    maps = []
    for row in range(len(inputs)):
        masks = torch.nn.functional.interpolate(grid[row, :, None], tuple(size), mode="bilinear", align_corners=True)
        low, high = masks.amin(dim=(2, 3), keepdim=True), masks.amax(dim=(2, 3), keepdim=True)
        masks = (masks - low) / (high - low + 1e-8)
        if nhwc:
            masks = masks.permute(0, 2, 3, 1)
        scores = [
            (classifier.logits(classifier.network(inputs[row] * part)) * weights[row]).sum(dim=1)
            for part in masks.split(CHUNK)
        ]
        maps.append(weighted(grid[row : row + 1], torch.cat(scores).softmax(dim=0)[None, None])[:, 0])
    return torch.cat(maps)


@torch.no_grad()
def ablationcam(classifier: Classifier, inputs: Tensor, weights: Tensor, seed: int) -> Tensor:
    """Channels weighted by the share of the score that goes when they do.

    A channel of an activation without negative values is set to zero; otherwise, as grad-cam does, far below any value.
    """
    grid, tap, logits = _activation(classifier, inputs)
    assert tap.activation is not None
    score = (logits * weights).sum(dim=1)
    maps = []
    for row in range(len(inputs)):
        without = _ablated_scores(classifier, inputs[row], tap.activation[row].detach(), weights[row])
        share = (score[row] - without) / score[row]
        maps.append(weighted(grid[row : row + 1], share[None, None])[:, 0])
    return torch.cat(maps)


def _ablated_scores(classifier: Classifier, image: Tensor, activation: Tensor, weights: Tensor) -> Tensor:
    """float32 (C,): the score of one image with each channel of its activation gone."""
    axis = 1 if classifier.reshape == "nchw" else -1
    channels = activation.unsqueeze(0).shape[axis]
    low = activation.min()
    value = 0.0 if low == 0 else float(low) - 1e7
    scores = []
    for chunk in torch.arange(channels).split(CHUNK):
        batch = activation.expand(len(chunk), *activation.shape).clone()
        moved = batch.movedim(axis, 1)
        moved[torch.arange(len(chunk)), chunk] = value
        layer = classifier.network.get_submodule(str(classifier.cam_layer))
        handle = layer.register_forward_hook(lambda _module, _inputs, _output, batch=batch: batch)
        try:
            outputs = classifier.logits(classifier.network(image.expand(len(chunk), *image.shape)))
        finally:
            handle.remove()
        scores.append((outputs * weights).sum(dim=1))
    return torch.cat(scores)


def _activation(classifier: Classifier, inputs: Tensor) -> tuple[Tensor, CamTap, Tensor]:
    tap, logits = tapped(classifier, inputs)
    assert tap.activation is not None
    torch.set_grad_enabled(False)
    return to_grid(tap.activation.detach(), classifier.reshape, tap.name).float(), tap, logits.detach()
