"""Faces the network sees as alike: nearest by the cosine of their embeddings."""

from __future__ import annotations

import numpy as np

CHUNK = 8192


def nearest(embeddings: np.ndarray, row: int, k: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the ``k`` nearest others and their cosines, nearest first; ``embeddings`` (N, D), NaN rows are skipped.

    Empty where the row itself has no embedding.
    """
    own = np.asarray(embeddings[row], dtype=np.float32)
    length = np.linalg.norm(own)
    if not np.isfinite(length) or length == 0:
        return np.array([], dtype=np.int64), np.array([], dtype=np.float32)
    cosine = np.concatenate(
        [_cosines(embeddings[at : at + CHUNK], own / length) for at in range(0, len(embeddings), CHUNK)]
    )
    cosine[row] = -np.inf
    k = min(k, int(np.isfinite(cosine).sum()))
    best = np.argpartition(-cosine, k - 1)[:k] if k else np.array([], dtype=np.int64)
    best = best[np.argsort(-cosine[best], kind="stable")]
    return best, cosine[best]


def _cosines(part: np.ndarray, unit: np.ndarray) -> np.ndarray:
    rows = np.asarray(part, dtype=np.float32)
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num((rows @ unit) / norms, nan=-np.inf)
