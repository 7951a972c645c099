"""Mean maps of cells and groups, as sums that add up, and tests of the difference of two.

Means are of raw maps. Tests read each map as shares of its own absolute sum, so that one confident image does not
outweigh the others, and take the largest statistic over all places, so that many places cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.run import AuditRun, MapStore
from audit.saliency.registry import MINUS, TWO_TARGETS
from faces.errors import InputError

PERMUTATIONS = 1000
BLOCK = 4096
"""Maps read at a time."""


@dataclass(frozen=True)
class MapSum:
    """The sum of some maps and how many they are; sums of disjoint parts add up. ``total`` float64 (h, w)."""

    total: np.ndarray
    n: int

    def __add__(self, other: MapSum) -> MapSum:
        return MapSum(self.total + other.total, self.n + other.n)

    @property
    def mean(self) -> np.ndarray:
        """float64 (h, w); NaN where there is no map."""
        return self.total / self.n if self.n else np.full_like(self.total, np.nan)


@dataclass(frozen=True)
class Difference:
    """Mean shares of a minus those of b, place by place.

    ``difference`` (h, w) in shares of a map's absolute sum; ``effect`` (h, w) the same over its standard deviation
    within strata; ``p_value`` (h, w) corrected for all places; ``n_a``, ``n_b`` maps that were compared. ``reason``
    says why nothing could be compared; the arrays are then NaN.
    """

    difference: np.ndarray
    effect: np.ndarray
    p_value: np.ndarray
    n_a: int
    n_b: int
    reason: str | None = None


def target_maps(run: AuditRun, rows: np.ndarray, target: str, method: str = "gradcam") -> np.ndarray:
    """float32 (len(rows), h, w): raw maps of some rows for a class, or for what ``predicted`` or ``label`` is of each.

    ``a-minus-b`` is a contrast of two classes. A row without such a map is NaN. Raises InputError for a target that
    the method has no maps of.
    """
    store, rows = run.maps(method), np.asarray(rows, dtype=np.int64)
    if MINUS in target:
        first, second = target.split(MINUS, 1)
        return target_maps(run, rows, first, method) - target_maps(run, rows, second, method)
    if target in store.targets:
        return store.raw(rows, store.targets.index(target))
    if target == "label" and store.targets == TWO_TARGETS:
        label, predicted = (run.samples[name].iloc[rows] for name in ("label", "predicted"))
        found = store.raw(rows, (label != predicted).to_numpy().astype(np.int64))
        found[~label.isin(run.classes.names).to_numpy()] = np.nan
        return found
    if target not in ("predicted", "label") or store.targets == TWO_TARGETS:
        known = ", ".join(store.targets)
        raise InputError(f"{method} has no maps of {target!r}; it has those of: {known}.")
    position = {name: index for index, name in enumerate(store.targets)}
    column = np.array([position.get(name, -1) for name in run.samples[target].iloc[rows]], dtype=np.int64)
    found = store.raw(rows, np.maximum(column, 0))
    found[column < 0] = np.nan
    return found


def map_sum(run: AuditRun, rows: np.ndarray, target: str, method: str = "gradcam") -> MapSum:
    """The sum of the raw maps of some rows, read in blocks; rows without a map are left out."""
    result = MapSum(np.zeros(run.maps(method).resolution), 0)
    for start in range(0, len(rows), BLOCK):
        maps = target_maps(run, rows[start : start + BLOCK], target, method)
        maps = maps[np.isfinite(maps).all(axis=(1, 2))]
        result += MapSum(maps.sum(axis=0, dtype=np.float64), len(maps))
    return result


def cell_sums(store: MapStore, label: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums float64 (K, K, T, h, w) of raw maps by label and predicted class, and how many (K, K).

    ``label``, ``predicted`` (N,) are class positions; rows with -1 in either are left out.
    """
    k = int(max(label.max(initial=-1), predicted.max(initial=-1), len(store.targets) - 1)) + 1
    total = np.zeros((k, k, len(store.targets), *store.resolution))
    for start in range(0, len(label), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(label)))
        rows = rows[(label[rows] >= 0) & (predicted[rows] >= 0)]
        values = np.asarray(store.values[rows], dtype=np.float32) * np.asarray(store.scale[rows])[..., None, None]
        np.add.at(total, (label[rows], predicted[rows]), values)
    known = (label >= 0) & (predicted >= 0)
    n = np.zeros((k, k), dtype=np.int64)
    np.add.at(n, (label[known], predicted[known]), 1)
    return total, n


def absolute_shares(maps: np.ndarray) -> np.ndarray:
    """float64 (N, h*w): each map over the sum of its absolute values; NaN rows where that is 0 or not known."""
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    total = np.abs(flat).sum(axis=1, keepdims=True)
    return np.divide(flat, total, out=np.full_like(flat, np.nan), where=total > 0)


def compare_maps(
    a: np.ndarray, b: np.ndarray, strata_a: np.ndarray | None = None, strata_b: np.ndarray | None = None, seed: int = 0
) -> Difference:
    """Two disjoint sets of maps (n, h, w): do they differ, and where?

    Membership is shuffled within ``strata`` (values that both sides have, such as the cell of label and predicted, so
    that a different mix of cells is no difference); without strata among all maps, as for two cells. The statistic is
    the difference of means over its standard error, the largest of all places (Westfall and Young 1993).
    """
    shape = a.shape[1:]
    maps = absolute_shares(np.concatenate([a, b]))
    member = np.arange(len(maps)) < len(a)
    stratum = np.zeros(len(maps), np.int64)
    if strata_a is not None and strata_b is not None:
        stratum = pd.factorize(np.concatenate([strata_a, strata_b]))[0]
    keep = np.isfinite(maps).all(axis=1) & _on_both_sides(stratum, member, np.isfinite(maps).all(axis=1))
    maps, member, stratum = maps[keep], member[keep], stratum[keep]
    n_a, n_b = int(member.sum()), int((~member).sum())
    if min(n_a, n_b) < 2:
        nothing = np.full(shape, np.nan)
        reason = f"too few maps to compare ({n_a} and {n_b} in cells that both have)"
        return Difference(nothing, nothing, nothing, n_a, n_b, reason)
    centred = maps - _stratum_means(maps, stratum)
    deviation = np.sqrt((centred**2).sum(axis=0) / max(1, len(maps) - stratum.max() - 1))
    deviation = np.where(deviation > 0, deviation, np.inf)
    rng = np.random.default_rng(seed)
    weight = _weights(member, stratum)
    difference = weight @ maps
    largest = np.empty(PERMUTATIONS)
    for draw in range(PERMUTATIONS):
        largest[draw] = np.abs(weight[_shuffled(stratum, rng)] @ centred / deviation).max()
    observed = np.abs(weight @ centred / deviation)
    p_value = (1 + (largest[:, None] >= observed - 1e-12).sum(axis=0)) / (PERMUTATIONS + 1)
    effect = difference / deviation
    return Difference(difference.reshape(shape), effect.reshape(shape), p_value.reshape(shape), n_a, n_b)


def compare_paired(a: np.ndarray, b: np.ndarray, seed: int = 0) -> Difference:
    """Maps of the same images by two models, (n, h, w) each: signs of the differences are flipped."""
    shape = a.shape[1:]
    gap = absolute_shares(a) - absolute_shares(b)
    gap = gap[np.isfinite(gap).all(axis=1)]
    if len(gap) < 2:
        nothing = np.full(shape, np.nan)
        return Difference(nothing, nothing, nothing, len(gap), len(gap), "too few images with maps in both runs")
    deviation = gap.std(axis=0, ddof=1)
    deviation = np.where(deviation > 0, deviation, np.inf)
    signs = np.random.default_rng(seed).choice((-1.0, 1.0), (PERMUTATIONS, len(gap)))
    largest = np.abs(signs @ gap / len(gap) / deviation).max(axis=1)
    mean = gap.mean(axis=0)
    p_value = (1 + (largest[:, None] >= np.abs(mean / deviation) - 1e-12).sum(axis=0)) / (PERMUTATIONS + 1)
    return Difference(
        mean.reshape(shape), (mean / deviation).reshape(shape), p_value.reshape(shape), len(gap), len(gap)
    )


def strata_of(samples: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """The cell of label and predicted that each row is in, as text."""
    chosen = samples.iloc[rows]
    return (chosen["label"].astype("str") + " as " + chosen["predicted"].astype("str")).to_numpy(dtype=object)


def _on_both_sides(stratum: np.ndarray, member: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which rows are in a stratum that has known maps on either side."""
    count = stratum.max(initial=0) + 1
    sides = [np.bincount(stratum[known & side], minlength=count) for side in (member, ~member)]
    return ((sides[0] > 0) & (sides[1] > 0))[stratum]


def _weights(member: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """float64 (N,): weights whose product with the maps is the mean over strata of a's mean minus b's.

    A stratum counts by the harmonic mean of its two sides, as it tells the more the more of both it has.
    """
    count = stratum.max() + 1
    inside, outside = (np.bincount(stratum[side], minlength=count) for side in (member, ~member))
    total = inside + outside
    share = np.divide(inside * outside, total, out=np.zeros(count), where=total > 0)
    share /= share.sum()
    inside, outside = np.maximum(inside, 1), np.maximum(outside, 1)
    return np.where(member, share[stratum] / inside[stratum], -share[stratum] / outside[stratum])


def _stratum_means(maps: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    count = stratum.max() + 1
    sums = np.zeros((count, maps.shape[1]))
    np.add.at(sums, stratum, maps)
    return (sums / np.maximum(np.bincount(stratum, minlength=count), 1)[:, None])[stratum]


def _shuffled(stratum: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A permutation that leaves every row in its stratum."""
    order = np.argsort(stratum, kind="stable")
    shuffled = np.lexsort((rng.random(len(stratum)), stratum))
    result = np.empty(len(stratum), dtype=np.int64)
    result[order] = shuffled
    return result
