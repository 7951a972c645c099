"""What happens when a part of the face is taken away: the check that maps, which only point, cannot give."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from audit.saliency.faithfulness import blurs, probabilities
from audit.saliency.regions import REGIONS, masks
from audit.saliency.shortcuts import Cluster, place
from models.classifier import Classifier

MOST = 24
"""Images of a cluster that are looked at."""
REAL = 0.05
"""A place that costs its class less than this probability is no shortcut."""


@dataclass(frozen=True)
class Withdrawn:
    """What a cluster's place outside the face is worth to its class.

    ``drop`` is the mean fall of the class's probability when the place is filled from its surroundings, with its 95%
    interval; ``lost`` the share of images that are then predicted otherwise. ``box`` is top, left, bottom, right in
    shares of the side.
    """

    cluster: Cluster
    n: int
    drop: float
    low: float
    high: float
    lost: float
    box: tuple[float, float, float, float]

    @property
    def is_shortcut(self) -> bool:
        return self.drop >= REAL and self.low > 0


def without_regions(classifier: Classifier, pixels: np.ndarray) -> np.ndarray:
    """Probabilities float32 (R, N, K) of images with each of REGIONS blurred away."""
    soft = masks(*pixels.shape[1:3])
    soft = np.stack([cv2.GaussianBlur(mask, (0, 0), max(pixels.shape[1:3]) / 48) for mask in soft])[..., None]
    smooth = blurs(pixels)
    found = np.empty((len(REGIONS), len(pixels), len(classifier.labels)), dtype=np.float32)
    for region, mask in enumerate(soft):
        mixed = np.round(pixels * (1 - mask) + smooth * mask).astype(np.uint8)
        found[region] = probabilities(classifier, mixed)
    return found


def withdraw(classifier: Classifier, cluster: Cluster, pixels: np.ndarray, before: np.ndarray) -> Withdrawn:
    """Fill the place that a cluster looks at outside the face from its surroundings, and ask the model again.

    ``pixels`` uint8 (N, height, width, C) are images of the cluster, ``before`` (N, K) their probabilities as they are.
    """
    height, width = pixels.shape[1:3]
    where = place(cluster)
    mask = cv2.dilate(
        cv2.resize(where.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST), np.ones((3, 3))
    )
    radius = max(2, max(height, width) // 16)
    filled = np.stack([cv2.inpaint(image, mask, radius, cv2.INPAINT_TELEA).reshape(image.shape) for image in pixels])
    k = classifier.labels.index(cluster.predicted)
    after = probabilities(classifier, filled)
    fall = (before[:, k] - after[:, k]).astype(np.float64)
    error = 1.96 * fall.std(ddof=1) / np.sqrt(len(fall)) if len(fall) > 1 else np.inf
    lost = float(((before.argmax(axis=1) == k) & (after.argmax(axis=1) != k)).mean())
    y, x = np.nonzero(where)
    side = len(where)
    top, left, bottom, right = (float(edge) / side for edge in (y.min(), x.min(), y.max() + 1, x.max() + 1))
    drop = float(fall.mean())
    low, high = drop - float(error), drop + float(error)
    return Withdrawn(cluster, len(fall), drop, low, high, lost, (top, left, bottom, right))
