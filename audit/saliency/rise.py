"""RISE: what the outputs alone tell of a model that is a black box (Petsiuk, Das and Saenko 2018)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from models.classifier import Classifier

MASKS = 1000
GRID = 7
KEPT = 0.5
CHUNK = 100


def rise(classifier: Classifier, inputs: Tensor, weights: Tensor, seed: int) -> Tensor:
    """Random masks weighted by the probability of the image seen through them; float32 (N, height, width).

    ``weights`` (N, K) are of the probabilities here: for ``a-minus-b`` the difference of the two.
    """
    form = classifier.preprocessing
    masks = torch.from_numpy(random_masks(form.height, form.width, MASKS, seed)).to(inputs.device)
    shape = (-1, form.height, form.width, 1) if form.layout == "NHWC" else (-1, 1, form.height, form.width)
    maps = torch.zeros(len(inputs), form.height, form.width, device=inputs.device)
    with torch.no_grad():
        for row in range(len(inputs)):
            for part in masks.split(CHUNK):
                outputs = classifier.logits(classifier.network(inputs[row] * part.reshape(shape)))
                scores = (outputs.softmax(dim=1) * weights[row]).sum(dim=1)
                maps[row] += torch.tensordot(scores, part, dims=1)
    return maps / (MASKS * KEPT)


def random_masks(height: int, width: int, n: int, seed: int) -> np.ndarray:
    """float32 (n, height, width), 0..1: coarse random grids, enlarged smoothly and shifted by up to a cell."""
    import cv2

    rng = np.random.default_rng(seed)
    cell = (-(-height // GRID), -(-width // GRID))
    grids = (rng.random((n, GRID, GRID)) < KEPT).astype(np.float32)
    shifts = np.stack([rng.integers(0, size, n) for size in cell], axis=1)
    masks = np.empty((n, height, width), dtype=np.float32)
    size = ((GRID + 1) * cell[1], (GRID + 1) * cell[0])
    for index, (grid, (down, right)) in enumerate(zip(grids, shifts, strict=True)):
        large = cv2.resize(grid, size, interpolation=cv2.INTER_LINEAR)
        masks[index] = large[down : down + height, right : right + width]
    return masks
