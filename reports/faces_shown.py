"""Pictures of people for a report, only ever made when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from audit.run import AuditRun
from faces.errors import UnreadableImage
from reports.document import Faces

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
