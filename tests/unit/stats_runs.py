"""Small audits of drawn tables for tests of what is read from a finished run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from audit.predictions import audit_predictions
from audit.run import AuditRun

CLASSES = ("angry", "fear", "happy", "sad", "neutral")


def predictions(n: int = 400, worse: float = 0.0, seed: int = 0, probabilities: bool = True) -> pd.DataFrame:
    """``n`` rows a race; one image in four is predicted wrongly, of race b ``worse`` more."""
    rng = np.random.default_rng(seed)
    race = np.repeat(["a", "b", "c"], n)
    label = rng.integers(0, len(CLASSES), len(race))
    right = rng.random(len(race)) < 0.75 - worse * (race == "b")
    predicted = np.where(right, label, (label + rng.integers(1, len(CLASSES), len(race))) % len(CLASSES))
    table = pd.DataFrame(
        {
            "image": [f"{row:05d}.png" for row in range(len(race))],
            "label": np.array(CLASSES)[label],
            "predicted": np.array(CLASSES)[predicted],
            "race": race,
            "gender": rng.choice(["man", "woman"], len(race)),
        }
    )
    if probabilities:
        scores = rng.dirichlet(np.ones(len(CLASSES)), len(race)) + 2 * np.eye(len(CLASSES))[predicted]
        scores /= scores.sum(axis=1, keepdims=True)
        table[[f"prob_{name}" for name in CLASSES]] = scores
    return table


def run_of(table: pd.DataFrame, folder: Path, name: str = "run") -> AuditRun:
    """The run of a table, in ``folder/name``."""
    table.to_csv(folder / f"{name}.csv", index=False)
    return audit_predictions(folder / f"{name}.csv", folder / name)
