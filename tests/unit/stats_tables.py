"""Tables of labels, predictions and attributes for property tests."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import strategies as st

CLASSES = ("angry", "happy", "sad", "neutral")
RACES = ("a", "b", "c", None)
GENDERS = ("man", "woman")


@st.composite
def tables(draw: st.DrawFn, smallest: int = 1, largest: int = 200, missing: bool = True) -> pd.DataFrame:
    """Random rows whose predictions are right more or less often, with classes and groups more or less rare."""
    n = draw(st.integers(smallest, largest))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    used = draw(st.integers(1, len(CLASSES)))
    label = rng.choice(CLASSES, n, p=_shares(rng, len(CLASSES), used))
    guess = rng.choice(CLASSES, n)
    races = RACES if missing else RACES[:-1]
    return pd.DataFrame(
        {
            "label": label,
            "predicted": np.where(rng.random(n) < draw(st.floats(0, 1)), label, guess),
            "race": rng.choice(np.array(races, dtype=object), n, p=_shares(rng, len(races), len(races))),
            "gender": rng.choice(GENDERS, n),
        }
    )


def _shares(rng: np.random.Generator, size: int, used: int) -> np.ndarray:
    shares = rng.dirichlet(np.ones(size)) * (np.arange(size) < used)
    return shares / shares.sum()
