"""Clusters of maps, and places outside the face that a class's maps favour."""

from __future__ import annotations

import numpy as np
import pytest

from audit.saliency.shortcuts import (
    FEWEST,
    FINE,
    Cluster,
    cluster_maps,
    clusters_of,
    place,
    positive_shares,
    spots,
    suspicions,
)

CLASSES = ("angry", "happy", "sad")


def faces_looked_at(n: int, seed: int) -> np.ndarray:
    """Raw maps (n, 6, 6) of mouths and eyes, with noise."""
    rng = np.random.default_rng(seed)
    maps = 0.05 * rng.normal(size=(n, 6, 6))
    maps[:, 4, 2:4] += 1 + 0.2 * rng.random((n, 2))
    maps[:, 2, 1:5] += 0.5 + 0.2 * rng.random((n, 4))
    return maps.astype(np.float32)


def three_classes(share: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Maps, predicted class, and which of the happy ones look at the lower right corner."""
    maps, predicted = faces_looked_at(300, seed), np.arange(300) % 3
    marked = (predicted == 1) & (np.random.default_rng(seed + 1).random(300) < share)
    maps[marked] *= 0.3
    maps[marked, 5, 5] += 2
    return maps, predicted, marked


def test_two_kinds_of_maps_are_two_clusters() -> None:
    maps, predicted, marked = three_classes(0.4)
    happy = predicted == 1
    member = cluster_maps(positive_shares(maps)[happy])
    for one in np.unique(member):
        assert marked[happy][member == one].mean() in (0, 1)
    assert member.max() >= 1


def test_clusters_hold_every_known_map_once_and_equal_seeds_give_equal_clusters() -> None:
    maps, predicted, _ = three_classes(0.4)
    maps[7] = np.nan
    found = clusters_of(maps, predicted, predicted, CLASSES, seed=3)
    rows = np.concatenate([one.rows for one in found])
    assert sorted(rows) == [row for row in range(300) if row != 7]
    again = clusters_of(maps, predicted, predicted, CLASSES, seed=3)
    assert [one.name for one in found] == [one.name for one in again]
    assert all((a.rows == b.rows).all() for a, b in zip(found, again, strict=True))
    assert all(one.purity == 1 for one in found)


def test_few_maps_are_one_cluster() -> None:
    assert (cluster_maps(positive_shares(faces_looked_at(FEWEST - 1, 0))) == 0).all()


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_maps_that_look_away_are_suspected_and_the_place_is_named(share: float) -> None:
    maps, predicted, marked = three_classes(share)
    found = suspicions(clusters_of(maps, predicted, predicted, CLASSES))
    assert {one.predicted for one in found} == {"happy"}
    assert all(marked[one.rows].all() for one in found)
    where = place(found[0])
    assert where[FINE - 2, FINE - 2] and not where[: FINE // 2].any() and not where[:, : FINE // 2].any()


def test_maps_of_faces_are_not_suspected() -> None:
    maps, predicted, _ = three_classes(0.0)
    assert suspicions(clusters_of(maps, predicted, predicted, CLASSES)) == ()


def test_a_weak_mark_is_among_the_spots_of_its_class() -> None:
    maps, predicted, _ = three_classes(0.0)
    marked = np.flatnonzero(predicted == 1)[::3]
    maps[marked, 5, 5] += 0.4
    corner = [one for one in spots(maps, predicted, predicted, CLASSES) if one.mean[5, 5] == 1]
    assert [one.predicted for one in corner] == ["happy"]
    assert set(corner[0].rows) <= set(marked)
    assert corner[0].name == "happy, a spot"


def test_nothing_is_compared_where_there_is_one_class_alone() -> None:
    maps = faces_looked_at(60, 0)
    predicted = np.zeros(60, dtype=np.int64)
    assert spots(maps, predicted, predicted, CLASSES) == ()
    assert suspicions(clusters_of(maps, predicted, predicted, CLASSES)) == ()


def test_a_small_cluster_is_no_suspicion() -> None:
    away = Cluster("happy", 1, np.arange(9), np.ones((6, 6), np.float32), 0.9, 1.0)
    usual = Cluster("sad", 1, np.arange(90), np.ones((6, 6), np.float32), 0.2, 1.0)
    assert suspicions((away, usual)) == ()
