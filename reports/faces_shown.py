"""Pictures of people for a report, only ever made when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from audit.run import AuditRun
from faces.errors import UnreadableImage
from reports.document import Faces

MEAN, MEAN_SIDE = 150, 64
"""A mean face is drawn from at most so many, with so many pixels on each side."""
LARGEST = 160
"""Pixels of the longer side; larger pictures are made smaller."""


class Gallery:
    """Reads the pictures of a run. Raises InputError where its data is gone."""

    def __init__(self, run: AuditRun, data: Path | None = None) -> None:
        self._pixels = run.dataset(data).pixels

    def block(self, caption: str, pictures: Iterable[tuple[str, str]]) -> Faces:
        """A gallery of ``(sample_id, text)``; what cannot be read is left out."""
        shown = ((self._png(sample_id), text) for sample_id, text in pictures)
        return Faces(caption, tuple((png, text) for png, text in shown if png is not None))

    def means(self, caption: str, groups: Iterable[tuple[list[str], str]]) -> Faces:
        """A gallery of mean faces, each of ``(sample_ids, text)``; at most MEAN of them, evenly spread, are read."""
        found = ((self._mean(ids), text) for ids, text in groups)
        return Faces(caption, tuple((png(image), text) for image, text in found if image is not None))

    def _mean(self, ids: list[str]) -> np.ndarray | None:
        total, n = np.zeros((MEAN_SIDE, MEAN_SIDE)), 0
        for place in np.unique(np.linspace(0, len(ids) - 1, min(MEAN, len(ids))).astype(int)):
            try:
                image = self._pixels.read(ids[place])
            except UnreadableImage:
                continue
            grey = image[..., 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
            total, n = total + cv2.resize(grey, (MEAN_SIDE, MEAN_SIDE), interpolation=cv2.INTER_AREA), n + 1
        return np.round(total / n).astype(np.uint8)[..., None] if n else None

    def _png(self, sample_id: str) -> bytes | None:
        try:
            image = self._pixels.read(sample_id)
        except UnreadableImage:
            return None
        return png(image)


def png(image: np.ndarray) -> bytes:
    """uint8 (H, W, 1) or (H, W, 3) RGB as PNG, at most LARGEST pixels on its longer side."""
    scale = LARGEST / max(image.shape[:2])
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA).reshape(size[1], size[0], -1)
    ordered = image[:, :, ::-1] if image.shape[2] == 3 else image
    return cv2.imencode(".png", np.ascontiguousarray(ordered))[1].tobytes()
