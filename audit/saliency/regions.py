"""Parts of the face: which share of a map lies on each, by a canonical template for registered crops.

The template is in shares of the crop's height and width, fitted to the mean face of FER-2013's registered crops (eyes
at 0.37, nose tip at 0.60, mouth at 0.77 of the height). It divides the crop: every pixel belongs to one region.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

REGIONS = ("forehead", "brows", "eyes", "nose", "cheeks", "mouth", "chin", "background")
BACKGROUND = REGIONS.index("background")
COARSEST = 6
"""Maps of fewer rows or columns cannot tell a mouth from a chin."""
FINE = 96
"""Side of the square on which the template is drawn."""


@cache
def template(size: int = FINE) -> np.ndarray:
    """uint8 (size, size): the position in REGIONS that each pixel belongs to. Do not modify."""
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size
    sideways = np.abs(x - 0.5)
    found = np.full((size, size), BACKGROUND, dtype=np.uint8)
    face = (sideways / 0.41) ** 2 + ((y - 0.51) / 0.53) ** 2 <= 1
    parts = {
        "cheeks": face,
        "forehead": face & (y < 0.22),
        "chin": face & (y > 0.87),
        "brows": face & (y >= 0.22) & (y < 0.31),
        "eyes": ((sideways - 0.19) / 0.15) ** 2 + ((y - 0.375) / 0.07) ** 2 <= 1,
        "nose": (y >= 0.31) & (y < 0.66) & (sideways < 0.05 + 0.09 * (y - 0.31) / 0.35),
        "mouth": (sideways / 0.23) ** 2 + ((y - 0.77) / 0.105) ** 2 <= 1,
    }
    for name, where in parts.items():
        found[where] = REGIONS.index(name)
    found.flags.writeable = False
    return found


def masks(height: int, width: int) -> np.ndarray:
    """float32 (R, height, width), 0..1, sums to 1 over regions: how much of each pixel belongs to each region."""
    layers = np.stack([(template() == region).astype(np.float32) for region in range(len(REGIONS))])
    resized = [cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA) for layer in layers]
    found = np.stack(resized)
    return found / found.sum(axis=0)


@cache
def weights(height: int, width: int) -> np.ndarray:
    """float64 (R, height * width): what each cell of a map that is enlarged smoothly puts on each region.

    Columns sum to the same number. Do not modify.
    """
    cells = np.eye(height * width).reshape(height, width, height * width)
    large = np.stack([_enlarged(cells[:, :, cell]) for cell in range(height * width)])
    onto = [large[:, template() == region].sum(axis=1) for region in range(len(REGIONS))]
    return np.stack(onto)


def shares(maps: np.ndarray) -> np.ndarray:
    """float32 (N, R): the share of each map's positive part on each region; rows sum to 1.

    ``maps`` are raw, (N, h, w). A map without a positive value gives NaN. The maps are enlarged as they are shown.
    """
    n, height, width = maps.shape
    onto = np.maximum(maps, 0).reshape(n, height * width).astype(np.float64) @ weights(height, width).T
    total = onto.sum(axis=1, keepdims=True)
    return np.divide(onto, total, out=np.full_like(onto, np.nan), where=total > 0).astype(np.float32)


def areas(height: int, width: int) -> np.ndarray:
    """float64 (R,): the shares of a map that is the same everywhere; sums to 1."""
    even = weights(height, width).sum(axis=1)
    return even / even.sum()


def too_coarse(height: int, width: int) -> bool:
    return min(height, width) < COARSEST


def _enlarged(cell: np.ndarray) -> np.ndarray:
    return cv2.resize(np.ascontiguousarray(cell), (FINE, FINE), interpolation=cv2.INTER_LINEAR)
