"""Regions divide the face, and shares of them are shares."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from audit.saliency.regions import BACKGROUND, FINE, REGIONS, areas, masks, shares, template, too_coarse, weights


def test_the_template_divides_the_crop_and_is_the_same_left_and_right() -> None:
    drawn = template()
    assert set(np.unique(drawn)) == set(range(len(REGIONS)))
    assert (drawn == drawn[:, ::-1]).all()
    assert (drawn[[0, 0, -1, -1], [0, -1, 0, -1]] == BACKGROUND).all()


def test_parts_of_the_face_are_where_they_are_on_fer2013s_mean_face() -> None:
    places = {
        "forehead": (0.12, 0.5),
        "brows": (0.27, 0.3),
        "eyes": (0.37, 0.31),
        "nose": (0.58, 0.5),
        "cheeks": (0.55, 0.25),
        "mouth": (0.77, 0.5),
        "chin": (0.95, 0.5),
    }
    found = {name: REGIONS[template()[int(y * FINE), int(x * FINE)]] for name, (y, x) in places.items()}
    assert found == {name: name for name in places}


@given(st.integers(6, 20), st.integers(6, 20), st.integers(0, 1000))
def test_shares_sum_to_one_and_do_not_depend_on_the_scale(height: int, width: int, seed: int) -> None:
    maps = np.random.default_rng(seed).normal(size=(3, height, width)).astype(np.float32)
    found = shares(maps)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    assert np.allclose(found, shares(maps * 7), atol=1e-5)
    assert np.allclose(shares(np.ones((1, height, width), np.float32))[0], areas(height, width), atol=1e-5)


def test_a_map_on_the_mouth_is_on_the_mouth() -> None:
    on_mouth = (masks(12, 12)[REGIONS.index("mouth")] > 0.9).astype(np.float32)
    assert shares(on_mouth[None])[0, REGIONS.index("mouth")] > 0.6


def test_a_map_without_a_positive_value_has_no_shares() -> None:
    assert np.isnan(shares(-np.ones((1, 6, 6), np.float32))).all()


def test_weights_equal_enlarging_and_counting() -> None:
    import cv2

    cell = np.random.default_rng(0).random((6, 7))
    large = cv2.resize(cell, (FINE, FINE), interpolation=cv2.INTER_LINEAR)
    counted = [large[template() == region].sum() for region in range(len(REGIONS))]
    assert np.allclose(weights(6, 7) @ cell.ravel(), counted)


def test_masks_sum_to_one_at_every_pixel() -> None:
    assert np.allclose(masks(48, 64).sum(axis=0), 1, atol=1e-5)


def test_maps_under_six_by_six_are_too_coarse() -> None:
    assert too_coarse(5, 9) and too_coarse(7, 4) and not too_coarse(6, 6)


def test_no_maps_have_no_shares() -> None:
    assert shares(np.empty((0, 6, 6))).shape == (0, len(REGIONS))
