"""Pictures that may show no face are told from faces."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from audit.duplicates import SIDE, thumbnail
from audit.strangeness import EACH, stands_out, strangeness


def alike(n: int, seed: int = 0) -> np.ndarray:
    """Thumbnails of pictures that are one and a mixture of five, and a little noise: float16 (n, SIDE * SIDE)."""
    rng = np.random.default_rng(seed)
    first, common = 2 * rng.normal(size=(SIDE, SIDE)), rng.normal(size=(5, SIDE, SIDE))
    mixed = first + np.einsum("nk,kij->nij", 0.4 * rng.normal(size=(n, 5)), common)
    mixed += 0.1 * rng.normal(size=mixed.shape)
    return np.stack([thumbnail((128 + 20 * one).clip(0, 255).astype(np.uint8)[..., None]) for one in mixed])


def test_what_is_no_mixture_of_the_others_stands_out_and_blank_comes_first() -> None:
    rng = np.random.default_rng(1)
    strange = [thumbnail(rng.integers(0, 256, (48, 48, 1), dtype=np.uint8)) for _ in range(3)]
    thumbnails = np.vstack([alike(400), strange, np.zeros((1, SIDE * SIDE)), np.full((1, SIDE * SIDE), np.nan)])
    contrast = np.r_[np.full(403, 40.0), 0.0, np.nan]
    score = strangeness(pd.DataFrame({"contrast": contrast}), thumbnails)
    assert score[403] == 1 and np.isnan(score[404])
    assert stands_out(score)[400:404].all() and stands_out(score).sum() <= 20 and not stands_out(score)[404]
    assert np.nanmin(score[400:403]) > np.nanmax(score[:400])
    assert np.nanmin(score) >= 0


def test_without_pictures_or_with_few_only_blank_ones_are_told() -> None:
    few = 2 * EACH
    contrast = np.r_[np.full(few - 1, 40.0), 1.0, np.nan]
    for thumbnails in (None, np.zeros((0, SIDE * SIDE)), alike(few + 1)):
        score = strangeness(pd.DataFrame({"contrast": contrast}), thumbnails)
        assert np.flatnonzero(stands_out(score)).tolist() == [few - 1]
    assert np.isnan(strangeness(pd.DataFrame({"sample_id": ["a"]}))).all(), "a table of predictions has no pictures"


@settings(deadline=None)
@given(arrays(np.float64, st.integers(0, 30), elements=st.floats(0, 1)))
def test_at_most_a_quarter_stands_out_beside_what_is_blank(score: np.ndarray) -> None:
    out = stands_out(score)
    assert out[score == 1].all()
    assert out[score < 1].sum() <= (score < 1).sum() / 4
