"""Sums of maps add up; tests of differences hold their level and find what is there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.run import MapStore
from audit.saliency import atlas
from audit.saliency.atlas import absolute_shares, cell_sums, compare_maps, compare_paired


def noise(n: int, seed: int, size: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, size, size)).astype(np.float32)


def store(n: int = 40) -> MapStore:
    values = noise(n * 3, 1).reshape(n, 3, 4, 4)
    scale = np.abs(values).max(axis=(2, 3))
    return MapStore("gradcam", (values / scale[..., None, None]).astype(np.float16), scale, ("a", "b", "c"))


@given(st.integers(1, 39))
def test_cell_sums_of_parts_are_the_sums_of_the_whole(cut: int) -> None:
    maps, rng = store(), np.random.default_rng(0)
    label, predicted = rng.integers(-1, 3, (2, 40))
    whole, n = cell_sums(maps, label, predicted)
    parts = [
        cell_sums(MapStore("gradcam", maps.values[part], maps.scale[part], maps.targets), label[part], predicted[part])
        for part in (slice(0, cut), slice(cut, None))
    ]
    assert np.allclose(whole, parts[0][0] + parts[1][0])
    assert (n == parts[0][1] + parts[1][1]).all()


def test_cell_sums_equal_adding_one_by_one() -> None:
    maps, rng = store(), np.random.default_rng(3)
    label, predicted = rng.integers(-1, 3, (2, 40))
    total, n = cell_sums(maps, label, predicted)
    expected = np.zeros_like(total)
    for row in range(40):
        if label[row] >= 0 and predicted[row] >= 0:
            for target in range(3):
                expected[label[row], predicted[row], target] += maps.raw(row, target)
    assert np.allclose(total, expected, atol=1e-4)
    assert n.sum() == ((label >= 0) & (predicted >= 0)).sum()


def test_absolute_shares_sum_to_one_and_empty_maps_have_none() -> None:
    maps = noise(3, 0)
    maps[1] = 0
    found = absolute_shares(maps)
    assert np.allclose(np.abs(found[[0, 2]]).sum(axis=1), 1)
    assert np.isnan(found[1]).all()


def test_a_planted_difference_is_found_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas, "PERMUTATIONS", 200)
    a, b = noise(60, 1), noise(60, 2)
    a[:, 2, 1] += 3
    found = compare_maps(a, b)
    assert found.p_value[2, 1] < 0.01 and found.difference[2, 1] > 0 and found.effect[2, 1] > 1
    assert (np.delete(found.p_value.ravel(), 9) > 0.01).mean() > 0.7
    assert (found.n_a, found.n_b, found.reason) == (60, 60, None)


def test_a_different_mix_of_cells_is_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas, "PERMUTATIONS", 200)
    rng = np.random.default_rng(5)
    strata_a, strata_b = rng.random(200) < 0.9, rng.random(200) < 0.1
    a, b = noise(200, 1), noise(200, 2)
    a[strata_a, 0, 0] += 4
    b[strata_b, 0, 0] += 4
    assert compare_maps(a, b).p_value[0, 0] < 0.01
    assert compare_maps(a, b, strata_a, strata_b).p_value.min() > 0.01


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 100))
def test_swapping_the_sides_swaps_the_sign(seed: int) -> None:
    a, b = noise(9, seed), noise(12, seed + 1000)
    one, other = compare_maps(a, b), compare_maps(b, a)
    assert np.allclose(one.difference, -other.difference)
    assert np.allclose(one.effect, -other.effect)


def test_false_alarms_are_as_rare_as_they_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas, "PERMUTATIONS", 99)
    alarms = [
        compare_maps(noise(15, seed), noise(20, seed + 500), seed=seed).p_value.min() <= 0.05 for seed in range(100)
    ]
    assert sum(alarms) <= 12  # of 100 at 5%, over 12 has a chance of about 0.1%


def test_the_same_images_by_two_models_are_compared_in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas, "PERMUTATIONS", 200)
    a = noise(40, 1)
    b = a + 0.05 * noise(40, 2)
    assert compare_paired(a, b).p_value.min() > 0.01
    b[:, 3, 3] += 1.5
    found = compare_paired(a, b)
    assert found.p_value[3, 3] < 0.01 and found.difference[3, 3] < 0


def test_too_few_maps_say_so() -> None:
    found = compare_maps(noise(1, 0), noise(5, 1))
    assert found.reason == "too few maps to compare (1 and 5 in cells that both have)"
    assert np.isnan(found.p_value).all()
    apart = compare_maps(noise(5, 0), noise(5, 1), np.zeros(5), np.ones(5))
    assert apart.reason is not None
