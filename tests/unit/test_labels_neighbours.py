"""Neighbours in embeddings, against the plain way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import neighbours
from audit.neighbours import nearest


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(3, 40), st.integers(1, 6))
def test_neighbours_equal_the_plain_way(seed: int, n: int, asked: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(n, 4))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    asked = min(asked, n - 1)
    found, cosines = nearest(rows, asked)
    assert found.shape == (n, asked)
    expected = np.sort(cosine, axis=1)[:, -asked:]
    assert np.sort(cosines, axis=1) == pytest.approx(expected, abs=1e-5)
    assert np.take_along_axis(cosine, found, axis=1) == pytest.approx(cosines, abs=1e-5)


def test_blocks_and_references(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.random.default_rng(0).normal(size=(50, 3))
    whole = np.sort(nearest(rows, 5)[1], axis=1)
    monkeypatch.setattr(neighbours, "_BLOCK", 7)
    np.testing.assert_allclose(np.sort(nearest(rows, 5)[1], axis=1), whole)
    found, _ = nearest(rows, 5, references=12)
    assert set(found.ravel()) <= set(np.linspace(0, 49, 12).round().astype(int))
    assert not (found == np.arange(50)[:, None]).any()


def test_rows_without_embeddings_are_far_from_all() -> None:
    rows = np.ones((4, 3))
    rows[1] = np.nan
    assert nearest(rows, 2)[1][1].tolist() == [0.0, 0.0]
