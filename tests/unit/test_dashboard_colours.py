"""Colour scales: one table for browser and pictures."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard import colours

NAMES = (*colours.SEQUENTIAL, *colours.DIVERGING)


@pytest.mark.parametrize("name", NAMES)
def test_tables_run_from_end_to_end(name: str) -> None:
    table = colours.table(name)
    stops = colours.SEQUENTIAL.get(name) or colours.DIVERGING[name]
    for at, stop in ((0, stops[0]), (-1, stops[-1])):
        assert "#" + "".join(f"{value:02x}" for value in table[at, :3]) == stop


@pytest.mark.parametrize("name", colours.SEQUENTIAL)
def test_little_evidence_is_nearly_transparent(name: str) -> None:
    alpha = colours.table(name)[:, 3].astype(int)
    assert alpha[0] == 0 and alpha[-1] == 255
    assert (np.diff(alpha) >= 0).all()


@pytest.mark.parametrize("name", colours.DIVERGING)
def test_zero_of_a_contrast_is_transparent_and_both_sides_alike(name: str) -> None:
    alpha = colours.table(name)[:, 3].astype(int)
    assert alpha[127:129].max() <= 5
    assert np.abs(alpha - alpha[::-1]).max() <= 1


@pytest.mark.parametrize("name", ["inferno", "viridis", "cividis"])
def test_lightness_rises_all_along(name: str) -> None:
    red, green, blue = colours.table(name)[:, :3].astype(float).T
    assert (np.diff(0.2126 * red + 0.7152 * green + 0.0722 * blue) > -0.5).all()


def test_every_scale_has_its_filter() -> None:
    filters = colours.svg_filters()
    assert all(f'id="scale-{name}"' in filters for name in NAMES)
