"""Do the maps tell what the model uses? Insertion, deletion and ROAD, beside a random map and a centred blob."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from audit.saliency.tap import device_of, evaluating, laid_out, taken
from models.classifier import Classifier

STEPS = 6
"""Parts into which the pixels are taken away, or put in."""
BLUR = 8
"""What is taken away is replaced by the image blurred with a standard deviation of a BLUR-th of its side."""
BATCH = 144
ROAD_SHARE = 0.5
BLOB = 0.25
"""Standard deviation of the centred blob, in shares of the side."""


@dataclass(frozen=True)
class Curves:
    """Probability of the target as pixels go and come, the most salient first.

    ``deletion`` and ``insertion`` float32 (N, STEPS + 1), from nothing done to everything; their areas lie in 0..1.
    """

    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def gain(self) -> np.ndarray:
        """float64 (N,): area under insertion minus area under deletion, higher is better; 0 tells nothing."""
        return area(self.insertion) - area(self.deletion)


def area(curve: np.ndarray) -> np.ndarray:
    """float64 (N,): area under curves (N, S) over 0..1, by trapezoids."""
    return np.trapezoid(curve.astype(np.float64), dx=1 / (curve.shape[1] - 1), axis=1)


def insertion_deletion(
    classifier: Classifier, pixels: np.ndarray, maps: np.ndarray, targets: np.ndarray, ends: np.ndarray | None = None
) -> Curves:
    """Curves of every image for its target class (Petsiuk et al. 2018).

    ``pixels`` uint8 (N, height, width, C), ``maps`` raw (N, h, w), enlarged smoothly; ``targets`` (N,) class positions.
    Ties of a map are broken from the top left. ``ends`` are what ``ends_of`` gives, which is the same for every map.
    """
    height, width = pixels.shape[1:3]
    ends = ends_of(classifier, pixels, targets) if ends is None else ends
    device = device_of(classifier.network)
    order = torch.from_numpy(ranks(maps, height, width)).to(device)
    image, blurred = (
        _places_last(classifier, classifier.preprocessing.tensor(images)).to(device)
        for images in (pixels, blurs(pixels))
    )
    limits = torch.arange(1, STEPS, device=device) * (height * width / STEPS)
    deleted = _between(classifier, image, blurred, order, limits, targets)
    inserted = _between(classifier, blurred, image, order, limits, targets)
    return Curves(
        np.concatenate([ends[0][:, None], deleted, ends[1][:, None]], axis=1),
        np.concatenate([ends[1][:, None], inserted, ends[0][:, None]], axis=1),
    )


def ends_of(classifier: Classifier, pixels: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """float32 (2, N): probability of each target for the image as it is, and for all of it blurred."""
    row = np.arange(len(targets))
    return np.stack([probabilities(classifier, images)[row, targets] for images in (pixels, blurs(pixels))])


def _between(
    classifier: Classifier, kept: Tensor, put: Tensor, order: Tensor, limits: Tensor, targets: np.ndarray
) -> np.ndarray:
    """float32 (N, S): probability of each target where pixels of rank below each limit come from ``put``."""
    n, steps = len(kept), len(limits)
    curve = np.empty((n, steps), dtype=np.float32)
    group = max(1, BATCH // steps)
    with torch.no_grad(), evaluating(classifier.network):
        for start in range(0, n, group):
            rows = slice(start, min(start + group, n))
            gone = (order[rows, None] < limits[None, :, None, None])[:, :, None]
            mixed = torch.where(gone, put[rows, None], kept[rows, None]).flatten(0, 1)
            outputs = classifier.logits(classifier.network(_as_taken(classifier, mixed))).softmax(dim=1)
            of_target = outputs.reshape(-1, steps, outputs.shape[1]).cpu().numpy()
            curve[rows] = of_target[np.arange(len(of_target)), :, targets[rows]]
    return curve


def road(classifier: Classifier, pixels: np.ndarray, maps: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """float32 (N,): how much likelier the target is when the least salient half is imputed than when the most is.

    Remove and debias (Rong et al. 2022): pixels are imputed from their neighbours, so that what is left of the mask's
    outline tells little. Higher is better; 0 tells nothing. Half of it is grad-cam's ROADCombined at one percentile.
    """
    height, width = pixels.shape[1:3]
    order = ranks(maps, height, width)
    cut = ROAD_SHARE * height * width
    most = np.stack([impute(image, one < cut) for image, one in zip(pixels, order, strict=True)])
    least = np.stack([impute(image, one >= height * width - cut) for image, one in zip(pixels, order, strict=True)])
    chances = [probabilities(classifier, images)[np.arange(len(targets)), targets] for images in (least, most)]
    return (chances[0] - chances[1]).astype(np.float32)


NEIGHBOURS = {(i, j): 1 / 6 if i == 0 or j == 0 else 1 / 12 for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)}


def impute(image: np.ndarray, gone: np.ndarray) -> np.ndarray:
    """uint8 (H, W, C) with the pixels of a mask (H, W) as the weighted means of their eight neighbours."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import spsolve

    if not gone.any():
        return image
    if gone.all():
        return np.full_like(image, 128)
    height, width = gone.shape
    number = np.full((height, width), -1)
    number[gone] = np.arange(gone.sum())
    y, x = np.nonzero(gone)
    rows, columns, values = [np.arange(len(y))], [np.arange(len(y))], [np.zeros(len(y))]
    known = np.zeros((len(y), image.shape[2]))
    for (down, right), weight in NEIGHBOURS.items():
        inside = (y + down >= 0) & (y + down < height) & (x + right >= 0) & (x + right < width)
        here = np.flatnonzero(inside)
        beside = (y[here] + down, x[here] + right)
        missing = number[beside] >= 0
        values[0][here] += weight
        known[here[~missing]] += weight * image[beside][~missing]
        rows.append(here[missing])
        columns.append(number[beside][missing])
        values.append(np.full(int(missing.sum()), -weight))
    system = coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))))
    filled = image.copy()
    filled[gone] = np.clip(np.round(spsolve(system.tocsc(), known).reshape(len(y), -1)), 0, 255)
    return filled


def probabilities(classifier: Classifier, pixels: np.ndarray) -> np.ndarray:
    """float32 (N, K) of uint8 (N, height, width, C)."""
    found = []
    with torch.no_grad(), evaluating(classifier.network):
        for start in range(0, len(pixels), BATCH):
            outputs = classifier.network(taken(classifier, pixels[start : start + BATCH]))
            found.append(classifier.logits(outputs).softmax(dim=1).cpu().numpy())
    return np.concatenate(found)


def ranks(maps: np.ndarray, height: int, width: int) -> np.ndarray:
    """int32 (N, height, width): 0 for the most salient pixel, for each map (N, h, w) enlarged smoothly."""
    large = np.stack([cv2.resize(np.asarray(one, dtype=np.float32), (width, height)) for one in maps])
    order = np.argsort(-large.reshape(len(maps), -1), axis=1, kind="stable")
    found = np.empty(order.shape, dtype=np.int32)
    np.put_along_axis(found, order, np.arange(order.shape[1], dtype=np.int32)[None], axis=1)
    return found.reshape(len(maps), height, width)


def blurs(pixels: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, C): each image blurred beyond recognition."""
    sigma = max(pixels.shape[1:3]) / BLUR
    return np.stack([cv2.GaussianBlur(image, (0, 0), sigma).reshape(image.shape) for image in pixels])


def baselines(n: int, height: int, width: int, seed: int) -> dict[str, np.ndarray]:
    """What a map must beat: ``random`` and ``blob`` float32 (n, height, width)."""
    y, x = (np.mgrid[0:height, 0:width] + 0.5) / np.array([height, width])[:, None, None] - 0.5
    blob = np.exp(-(y**2 + x**2) / (2 * BLOB**2)).astype(np.float32)
    random = np.random.default_rng(seed).random((n, height, width), dtype=np.float32)
    return {"random": random, "blob": np.broadcast_to(blob, (n, height, width))}


def _places_last(classifier: Classifier, inputs: Tensor) -> Tensor:
    """Inputs as (N, C, H, W), whatever the network takes."""
    return inputs.permute(0, 3, 1, 2) if classifier.preprocessing.layout == "NHWC" else inputs


def _as_taken(classifier: Classifier, inputs: Tensor) -> Tensor:
    if classifier.preprocessing.layout == "NHWC":
        return inputs.permute(0, 2, 3, 1).contiguous()
    return laid_out(classifier, inputs)
