"""Facial action units (FACS, Ekman and Friesen 1978) and what each does to a drawn face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

UNITS = {
    1: "inner brow raiser", 2: "outer brow raiser", 4: "brow lowerer", 5: "upper lid raiser", 6: "cheek raiser",
    7: "lid tightener", 9: "nose wrinkler", 12: "lip corner puller", 15: "lip corner depressor",
    16: "lower lip depressor", 20: "lip stretcher", 23: "lip tightener", 25: "lips part", 26: "jaw drop",
}  # fmt: skip

EMOTIONS: dict[str, tuple[int, ...]] = {
    "angry": (4, 5, 7, 23),
    "disgust": (9, 15, 16),
    "fear": (1, 2, 4, 5, 20),
    "happy": (6, 12),
    "sad": (1, 4, 15),
    "surprise": (1, 2, 5, 26),
    "neutral": (),
}
"""The units that make an emotion; sad and neutral, fear and surprise differ little where they are weak."""
PARTS_LIPS = {"fear": 0.6, "happy": 0.6, "disgust": 0.3}
"""How often AU25 comes with an emotion: lips part in some smiles and not in others."""

Action = dict[int, float]
"""Unit -> intensity from 0 to 1."""


def express(emotion: str, intensity: float, rng: np.random.Generator) -> Action:
    """The units of an emotion at about ``intensity`` (0..1), each somewhat stronger or weaker, over a face at rest."""
    action = {unit: float(rng.uniform(0, 0.12)) if rng.random() < 0.25 else 0.0 for unit in UNITS}
    for unit in EMOTIONS[emotion]:
        action[unit] = max(action[unit], float(np.clip(intensity * rng.uniform(0.75, 1.25), 0, 1)))
    if rng.random() < PARTS_LIPS.get(emotion, 0.0):
        action[25] = max(action[25], float(intensity * rng.uniform(0.5, 1.0)))
    return action


@dataclass(frozen=True)
class Shape:
    """Where brows, lids and lips are. Units: half a face's height; x to the side from the middle, y downward.

    ``brow`` and ``mouth`` are for the right half (mirrored for the left).
    """

    brow: np.ndarray
    upper_lid: float
    lower_lid: float
    droop: float
    corner: tuple[float, float]
    upper_lip: float
    lower_lip: float
    gap: float
    lips: float
    chin: float


def shape(action: Action, *, brow_y: float, lids: float, mouth_width: float, mouth_y: float, lips: float) -> Shape:
    """The face that a set of units makes of a resting one."""
    a = action
    inner = -0.15 * a[1] - 0.03 * a[2] + 0.13 * a[4] * (1 - 0.9 * a[1]) + 0.10 * a[9]
    middle = -0.06 * a[1] - 0.14 * a[2] + 0.08 * a[4] + 0.07 * a[9]
    outer = -0.01 * a[1] - 0.15 * a[2] + 0.03 * a[4] + 0.05 * a[1] * a[4] * (1 - a[2]) + 0.03 * a[9]
    brow = np.array(
        [
            (0.15 - 0.06 * a[4] - 0.03 * a[9], brow_y + inner),
            (0.36 - 0.02 * a[4], brow_y - 0.035 + middle),
            (0.58, brow_y + 0.03 + outer),
        ]
    )
    gap = 0.07 * a[25] + 0.36 * a[26] + 0.10 * a[20] + 0.08 * a[16] + 0.06 * a[12] * a[25]
    return Shape(
        brow=brow,
        upper_lid=max(0.015, lids * (1 + 0.9 * a[5] - 0.45 * a[7] - 0.3 * a[6] - 0.4 * a[9] - 0.15 * a[4])),
        lower_lid=max(0.012, 0.75 * lids * (1 + 0.2 * a[5] - 0.6 * a[7] - 0.65 * a[6] - 0.5 * a[9])),
        droop=0.06 * a[1] * a[4] * (1 - a[5]),
        corner=(
            mouth_width * (1 + 0.32 * a[12] + 0.42 * a[20] - 0.22 * a[23] - 0.3 * a[26]),
            mouth_y - 0.15 * a[12] + 0.14 * a[15] + 0.05 * a[20] + 0.10 * a[26] + 0.03 * a[16],
        ),
        upper_lip=mouth_y + 0.03 * a[12] - 0.03 * a[15] - 0.12 * a[9] - 0.02 * a[26],
        lower_lip=mouth_y + 0.07 * a[12] - 0.01 * a[15] + gap,
        gap=gap,
        lips=lips * (1 - 0.65 * a[23] - 0.25 * a[12] + 0.25 * a[16]),
        chin=0.18 * a[26] + 0.03 * a[16],
    )
