"""Faces that exist only in memory: noise with labels, some of it unreadable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from faces.dataset import FaceDataset, Provenance, statuses
from faces.errors import UnreadableImage
from tests.audit_networks import SEVEN


@dataclass(frozen=True)
class Memory:
    """A PixelSource over a dict; a sample whose pixels are a text is unreadable for that reason."""

    pixels: Mapping[str, np.ndarray | str]

    def read(self, sample_id: str) -> np.ndarray:
        found = self.pixels[sample_id]
        if isinstance(found, str):
            raise UnreadableImage(found)
        return found


def noise_faces(n: int = 50, seed: int = 0, size: int = 48, unreadable: tuple[int, ...] = (3, 17)) -> FaceDataset:
    """``n`` images with every class, two groups, a missing and a foreign label, and one duplicate."""
    random = np.random.default_rng(seed)
    ids = [f"test/face{i:04d}.png" for i in range(n)]
    pixels: dict[str, np.ndarray | str] = {
        name: random.integers(0, 256, (size, size, 1), dtype=np.uint8) for name in ids
    }
    pixels[ids[5]] = pixels[ids[4]]
    for row in unreadable:
        pixels[ids[row]] = "empty file"
    labels = [SEVEN.names[i % 7] for i in range(n)]
    labels[8], labels[9] = None, "bored"
    samples = pd.DataFrame(
        {
            "sample_id": ids,
            "path": ids,
            "split": "test",
            "label": pd.Series(labels, dtype=object),
            "status": "ok",
            "apparent_gender": pd.Series([("woman", "man", None)[i % 3] for i in range(n)], dtype=object),
            "votes_happy": pd.Series(np.arange(n) % 10, dtype="Int64"),
        }
    )
    samples["status"] = statuses(samples["label"], SEVEN, pd.Series(False, index=samples.index))
    provenance = Provenance("memory", Path("memory"), f"noise {n} {seed}")
    return FaceDataset(samples, SEVEN, Memory(pixels), provenance, ("apparent_gender",))
