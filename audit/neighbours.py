"""The most alike pictures in a network's embeddings."""

from __future__ import annotations

import numpy as np

REFERENCES = 10_000
"""Neighbours are sought among at most this many pictures, spread evenly over the data: time grows with N, not N²."""
_BLOCK = 1024


def nearest(embeddings: np.ndarray, asked: int, references: int = REFERENCES) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers (N, asked) of the others most alike by cosine, in no order, and their cosines float32 (N, asked).

    ``embeddings`` (N, D), NaN counting as 0. ``asked`` is cut to what there is; a picture is never its own neighbour.
    """
    rows = np.nan_to_num(np.asarray(embeddings, dtype=np.float32))
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    among = np.linspace(0, len(unit) - 1, min(references, len(unit))).round().astype(np.int64)
    asked = min(asked, len(among) - 1)
    found, cosines = np.empty((len(unit), asked), np.int64), np.empty((len(unit), asked), np.float32)
    for start in range(0, len(unit), _BLOCK):
        cosine = unit[start : start + _BLOCK] @ unit[among].T
        cosine[np.arange(start, start + len(cosine))[:, None] == among] = -2
        best = np.argpartition(cosine, -asked, axis=1)[:, -asked:]
        found[start : start + _BLOCK] = among[best]
        cosines[start : start + _BLOCK] = np.take_along_axis(cosine, best, axis=1)
    return found, cosines
