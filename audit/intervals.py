"""Intervals and tests for proportions, vectorised: every argument may be an array, and they broadcast.

Undefined is NaN here and null once written. Levels are two-sided.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

LEVEL = 0.95


class Interval(NamedTuple):
    """Lower and upper limits, arrays of the same shape."""

    low: np.ndarray
    high: np.ndarray


def _z(level: float) -> float:
    return float(stats.norm.ppf((1 + level) / 2))


def ratio(top: ArrayLike, bottom: ArrayLike) -> np.ndarray:
    """``top / bottom`` as float64, NaN where the bottom is 0."""
    above, below = np.asarray(top, dtype=np.float64), np.asarray(bottom, dtype=np.float64)
    shape = np.broadcast_shapes(above.shape, below.shape)
    return np.divide(above, below, out=np.full(shape, np.nan), where=np.broadcast_to(below != 0, shape))


def wilson(successes: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Interval:
    """Wilson (1927) score interval of a proportion; NaN where n = 0."""
    return _wilson(successes, n, np.asarray(_z(level)))


def _wilson(successes: ArrayLike, images: ArrayLike, z: np.ndarray) -> Interval:
    n = np.asarray(images, dtype=np.float64)
    p = ratio(successes, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # Rounding must not push the limit of a perfect or empty cell past the estimate.
    return Interval(np.minimum(np.maximum(centre - half, 0), p), np.maximum(np.minimum(centre + half, 1), p))


def stratified_wilson(
    successes: ArrayLike, n: ArrayLike, weights: ArrayLike, level: float = LEVEL
) -> tuple[np.ndarray, Interval]:
    """Weighted mean of proportions over the last axis, and its stratified Wilson interval (Yan and Su 2010).

    ``weights`` sum to 1 over the last axis; strata of weight 0 may be empty. NaN where a weighted stratum is empty.
    """
    hits, images, share = np.broadcast_arrays(
        *(np.asarray(given, dtype=np.float64) for given in (successes, n, weights))
    )
    used = share > 0
    p = ratio(hits, images)
    spread = np.where(used, share * np.sqrt(ratio(p * (1 - p), images)), 0.0)
    # Where every stratum is perfect or empty nothing is known of their spreads but their sizes.
    blank = spread.sum(axis=-1, keepdims=True) == 0
    spread = np.where(blank, np.where(used, share * np.sqrt(ratio(1.0, images)), 0.0), spread)
    shrink = ratio(np.sqrt((spread**2).sum(axis=-1)), spread.sum(axis=-1))
    limits = _wilson(hits, images, (_z(level) * shrink)[..., None])
    value, low, high = (np.where(used, share * part, 0.0).sum(axis=-1) for part in (p, *limits))
    return value, Interval(low, high)


def mover_difference(first: np.ndarray, of_first: Interval, second: np.ndarray, of_second: Interval) -> Interval:
    """Interval of ``first - second`` for independent estimates from their own intervals (Zou and Donner 2008)."""
    difference = first - second
    low = difference - np.hypot(first - of_first.low, of_second.high - second)
    high = difference + np.hypot(of_first.high - first, second - of_second.low)
    return Interval(low, high)


def mover_ratio(first: np.ndarray, of_first: Interval, second: np.ndarray, of_second: Interval) -> Interval:
    """Interval of ``first / second`` for independent estimates from their own intervals (Donner and Zou 2012).

    NaN where ``second`` is 0; the upper limit is infinite where ``second`` may be 0.
    """
    product = first * second
    with np.errstate(divide="ignore", invalid="ignore"):
        bottom = of_second.high * (2 * second - of_second.high)
        inside = product**2 - of_first.low * (2 * first - of_first.low) * bottom
        # The lower limit's other form has no 0/0 where the upper limit of ``second`` is twice its estimate.
        low = of_first.low * (2 * first - of_first.low) / (product + np.sqrt(np.maximum(inside, 0)))
        bottom = of_second.low * (2 * second - of_second.low)
        inside = product**2 - of_first.high * (2 * first - of_first.high) * bottom
        high = (product + np.sqrt(np.maximum(inside, 0))) / bottom
    low = np.where((product == 0) & (second > 0), 0.0, low)
    undefined = ~(np.asarray(second) > 0)
    return Interval(np.where(undefined, np.nan, np.maximum(low, 0)), np.where(undefined, np.nan, high))


def newcombe(
    first: ArrayLike, n_first: ArrayLike, second: ArrayLike, n_second: ArrayLike, level: float = LEVEL
) -> Interval:
    """Interval of the difference of two independent proportions (Newcombe 1998, method 10); NaN where an n is 0."""
    return mover_difference(
        ratio(first, n_first), wilson(first, n_first, level), ratio(second, n_second), wilson(second, n_second, level)
    )


def bootstrap(table: np.ndarray, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Redraw a count table: for each row of its last axis a multinomial draw of that row's size.

    ``table`` int (..., K); the result is int64 (replicates, ..., K). The cost does not grow with the counts, and no
    row (a group's images of one label) can vanish from a replicate.
    """
    totals = table.sum(axis=-1)
    shares = np.where(totals[..., None] > 0, ratio(table, totals[..., None]), 1 / table.shape[-1])
    return rng.multinomial(totals, shares, size=(replicates, *totals.shape))


def percentile(draws: np.ndarray, level: float = LEVEL) -> Interval:
    """Percentile interval over the first axis of bootstrap replicates; NaN where a replicate is undefined."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return Interval(low, high)


def mantel_haenszel(first: ArrayLike, n_first: ArrayLike, second: ArrayLike, n_second: ArrayLike) -> float:
    """p-value of "equal proportions within each stratum", strata (K,): exact where few images can differ, else MH.

    Conditions on each stratum's totals. Exact: two-sided over the convolved hypergeometric distributions, used where
    the variance of the sum is under 25. NaN where no stratum has both groups and both outcomes.
    """
    x, a, y, b = (np.asarray(value, dtype=np.int64) for value in (first, n_first, second, n_second))
    total, wins = a + b, x + y
    telling = (a > 0) & (b > 0) & (wins > 0) & (wins < total)
    x, a, total, wins = x[telling], a[telling], total[telling], wins[telling]
    if not len(x):
        return float("nan")
    expected = a * wins / total
    size, share = total.astype(np.float64), a / total  # whole numbers of 64 bits end at 110,000 images
    variance = share * (1 - share) * wins * (size - wins) / (size - 1)
    if variance.sum() >= 25:
        return float(2 * stats.norm.sf(abs(x.sum() - expected.sum()) / np.sqrt(variance.sum())))
    density, start = np.ones(1), 0
    for size, of_first, winners in zip(total, a, wins, strict=True):
        support = np.arange(max(0, of_first + winners - size), min(of_first, winners) + 1)
        density = np.convolve(density, stats.hypergeom.pmf(support, size, winners, of_first))
        start += support[0]
    observed = density[x.sum() - start]
    return float(min(1.0, density[density <= observed * (1 + 1e-7)].sum()))


def holm(p_values: ArrayLike) -> np.ndarray:
    """Holm's step-down adjusted p-values; NaN entries are no members of the family and stay NaN."""
    return _step(p_values, lambda ordered, m: np.maximum.accumulate(ordered * np.arange(m, 0, -1)))


def benjamini_hochberg(p_values: ArrayLike) -> np.ndarray:
    """Benjamini-Hochberg adjusted p-values; NaN entries are left out and stay NaN."""
    return _step(p_values, lambda ordered, m: np.minimum.accumulate((ordered * m / np.arange(1, m + 1))[::-1])[::-1])


def _step(p_values: ArrayLike, adjust: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    given = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(given.shape, np.nan)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    if len(order):
        adjusted[order] = np.minimum(adjust(given[order], len(order)), 1.0)
    return adjusted


def smallest_gap(n_first: ArrayLike, n_second: ArrayLike, accuracy: float, power: float = 0.8) -> np.ndarray:
    """The smallest difference of two proportions near ``accuracy`` that samples of these sizes show with ``power``."""
    spread = np.sqrt(accuracy * (1 - accuracy) * (ratio(1.0, n_first) + ratio(1.0, n_second)))
    return (_z(LEVEL) + float(stats.norm.ppf(power))) * spread
