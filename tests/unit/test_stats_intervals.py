"""Intervals and tests against statsmodels, scipy and slow copies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import StratifiedTable
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from audit import intervals
from tests.reference import stats as slow

cells = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@settings(deadline=None)
@given(cells)
def test_wilson_equals_statsmodels(cell: tuple[int, int]) -> None:
    expected = proportion_confint(*cell, method="wilson")
    np.testing.assert_allclose(intervals.wilson(*cell), expected, atol=1e-12)


def test_wilson_of_nothing_is_undefined() -> None:
    assert np.isnan(intervals.wilson(0, 0)).all()


@settings(deadline=None)
@given(cells, cells)
def test_newcombe_equals_statsmodels(first: tuple[int, int], second: tuple[int, int]) -> None:
    expected = confint_proportions_2indep(*first, *second, method="newcomb", compare="diff")
    np.testing.assert_allclose(intervals.newcombe(*first, *second), expected, atol=1e-9)


@settings(deadline=None)
@given(st.lists(st.tuples(cells, st.floats(0.05, 1)), min_size=1, max_size=8))
def test_stratified_wilson_equals_the_slow_copy(strata: list) -> None:
    successes, n = (list(side) for side in zip(*(cell for cell, _ in strata), strict=True))
    weights = np.array([weight for _, weight in strata])
    weights /= weights.sum()
    value, interval = intervals.stratified_wilson(successes, n, weights)
    assert value == pytest.approx(float(np.dot(weights, np.divide(successes, n))))
    np.testing.assert_allclose(interval, slow.stratified_wilson(successes, n, list(weights)), atol=1e-9)
    assert interval.low <= value + 1e-12 and value <= interval.high + 1e-12


@settings(deadline=None)
@given(cells)
def test_one_stratum_is_plain_wilson(cell: tuple[int, int]) -> None:
    _, interval = intervals.stratified_wilson([cell[0]], [cell[1]], [1.0])
    np.testing.assert_allclose(interval, intervals.wilson(*cell), atol=1e-12)


@settings(deadline=None)
@given(cells, cells)
def test_the_ratio_interval_is_where_the_weighted_difference_is_nil(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    """Donner and Zou's limits: the r at which the interval of ``first - r * second`` ends at zero."""
    one, other = first[0] / first[1], second[0] / second[1]
    of_one, of_other = intervals.wilson(*first), intervals.wilson(*second)
    low, high = intervals.mover_ratio(one, of_one, other, of_other)
    if other == 0:
        assert np.isnan(low) and np.isnan(high)
        return
    assert low <= one / other * (1 + 1e-9) and high >= one / other * (1 - 1e-9)
    upper = one - low * other - np.hypot(one - of_one.low, low * (of_other.high - other))
    lower = one - high * other + np.hypot(of_one.high - one, high * (other - of_other.low))
    assert upper == pytest.approx(0, abs=1e-7)
    assert lower == pytest.approx(0, abs=1e-7)


small = st.integers(1, 6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@settings(deadline=None)
@given(st.lists(st.tuples(small, small), min_size=1, max_size=4))
def test_the_exact_test_equals_listing_every_table(strata: list) -> None:
    first, n_first, second, n_second = (
        [stratum[side][part] for stratum in strata] for side in (0, 1) for part in (0, 1)
    )
    p = intervals.mantel_haenszel(first, n_first, second, n_second)
    if np.isnan(p):
        assert all(x + y in (0, a + b) for x, a, y, b in zip(first, n_first, second, n_second, strict=True))
    else:
        assert p == pytest.approx(slow.stratified_exact(first, n_first, second, n_second), abs=1e-9)


def test_one_small_stratum_is_fishers_exact_test() -> None:
    assert intervals.mantel_haenszel([3], [10], [8], [12]) == pytest.approx(stats.fisher_exact([[3, 7], [8, 4]])[1])


def test_large_strata_equal_mantel_haenszel() -> None:
    rng = np.random.default_rng(1)
    tables = [rng.integers(40, 90, (2, 2)) for _ in range(5)]
    first, second = (np.array([table[row] for table in tables]) for row in (0, 1))
    p = intervals.mantel_haenszel(first[:, 0], first.sum(axis=1), second[:, 0], second.sum(axis=1))
    assert p == pytest.approx(StratifiedTable(tables).test_null_odds().pvalue, rel=1e-9)


@pytest.mark.parametrize("n", [1_000, 80_000, 3_000_000])
def test_products_of_large_counts_do_not_overflow(n: int) -> None:
    table = np.array([[n // 2, n // 2], [n // 2 - 300, n // 2 + 300]], dtype=np.float64)
    p = intervals.mantel_haenszel([n // 2], [n], [n // 2 - 300], [n])
    assert p == pytest.approx(StratifiedTable([table]).test_null_odds().pvalue, rel=1e-6)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjustments_equal_statsmodels(p_values: list[float]) -> None:
    with_gap = np.array([*p_values, np.nan])
    for adjust, method in ((intervals.holm, "holm"), (intervals.benjamini_hochberg, "fdr_bh")):
        adjusted = adjust(with_gap)
        np.testing.assert_allclose(adjusted[:-1], multipletests(p_values, method=method)[1], atol=1e-12)
        assert np.isnan(adjusted[-1])


def test_the_bootstrap_keeps_every_row_and_centres_on_the_table() -> None:
    table = np.array([[[40, 10, 0], [5, 5, 0], [0, 0, 0]]])
    drawn = intervals.bootstrap(table, 4000, np.random.default_rng(0))
    assert drawn.shape == (4000, 1, 3, 3)
    assert (drawn.sum(axis=-1) == table.sum(axis=-1)).all()
    np.testing.assert_allclose(drawn.mean(axis=0), table, atol=0.2)
    assert (drawn[..., 2] == 0).all()


def test_the_smallest_gap_is_found_four_times_in_five() -> None:
    gap = float(intervals.smallest_gap(800, 1200, 0.7))
    rng = np.random.default_rng(3)
    first, second = rng.binomial(800, 0.7 - gap / 2, 4000), rng.binomial(1200, 0.7 + gap / 2, 4000)
    low, high = intervals.newcombe(first, 800, second, 1200)
    assert ((low > 0) | (high < 0)).mean() == pytest.approx(0.8, abs=0.03)
