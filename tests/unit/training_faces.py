"""A small data set that a network can learn: one bright quarter of the picture a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from faces.dataset import FaceDataset, Provenance
from faces.emotions import LabelSet

NAMES = ("angry", "happy", "sad")
CORNERS = ((0, 0), (0, 24), (24, 0))


class Pictures:
    """A PixelSource over an array."""

    def __init__(self, images: dict[str, np.ndarray]) -> None:
        self.images = images

    def read(self, sample_id: str) -> np.ndarray:
        return self.images[sample_id]


def quarters(n: int = 90, test: int = 30, subjects: int = 0, seed: int = 0) -> FaceDataset:
    """``n`` training and ``test`` test pictures; the first test picture is a copy of the first training picture."""
    random = np.random.default_rng(seed)
    labels = [NAMES[i % 3] for i in range(n + test)]
    images = {}
    for i, label in enumerate(labels):
        image = random.integers(60, 120, (48, 48, 1), dtype=np.uint8)
        top, left = CORNERS[NAMES.index(label)]
        image[top : top + 24, left : left + 24] += 80
        images[f"{i:03}.png"] = image
    if test:
        images[f"{n:03}.png"] = images["000.png"]
    samples = pd.DataFrame(
        {
            "sample_id": list(images),
            "path": list(images),
            "split": ["train"] * n + ["test"] * test,
            "label": labels,
            "status": "ok",
        }
    )
    if subjects:
        samples["subject_id"] = [f"person {i // 3 % subjects}" for i in range(n + test)]
    return FaceDataset(
        samples, LabelSet(NAMES), Pictures(images), Provenance("quarters", Path("quarters"), f"{n} {seed}")
    )
