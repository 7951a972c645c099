"""Weak slices that nobody named: where is the model worse than the labels alone explain?

Candidates are single conditions and pairs of them: an attribute's value, a third of a measured quality, a cluster of
embeddings. They are found on one half of the images and checked on the other, so what is reported is not what the
search was lucky with: Benjamini-Hochberg bounds the false discoveries in both halves, and every figure comes from the
half that was held back.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from audit.counts import Coded
from audit.intervals import benjamini_hochberg, ratio, wilson

MIN_SLICE = 30
"""A candidate has at least so many images in the half it is searched in."""
FALSE_DISCOVERIES = 0.05
NESTED = 0.01
"""A pair is news only where it is worse than the rest of each of its conditions at this level."""
CLUSTERS = 12
CLUSTER_SAMPLE = 4000
THIRDS = {
    "brightness": ("dark", "of medium brightness", "bright"),
    "contrast": ("of low contrast", "of medium contrast", "of high contrast"),
    "sharpness": ("blurred", "of medium sharpness", "sharp"),
}
COLUMNS = (
    "slice", "conditions", "kinds", "n", "error", "low", "high", "expected", "excess", "p_value", "p_adjusted",
    "confirmed", "n_searched", "error_searched",
)  # fmt: skip


@dataclass(frozen=True)
class Conditions:
    """Yes-or-no questions about images: ``holds`` bool (N, M); ``feature`` int (M,) says which exclude one another."""

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    feature: np.ndarray
    holds: np.ndarray


def conditions(coded: Coded, samples: pd.DataFrame, embeddings: np.ndarray | None, seed: int = 0) -> Conditions:
    """All conditions on the coded images: attributes' values, thirds of measured qualities, embedding clusters."""
    names: list[str] = []
    kinds: list[str] = []
    feature: list[int] = []
    holds: list[np.ndarray] = []

    def add(kind: str, labels: tuple[str, ...], codes: np.ndarray) -> None:
        at = feature[-1] + 1 if feature else 0
        for value, label in enumerate(labels):
            names.append(label)
            kinds.append(kind)
            feature.append(at)
            holds.append(codes == value)

    for attribute, (values, codes) in coded.values.items():
        add("attribute", tuple(f"{attribute.replace('_', ' ')} {value}" for value in values), codes)
    for quality, labels in THIRDS.items():
        if quality in samples and samples[quality].notna().any():
            values = samples[quality].to_numpy(dtype=np.float64)[coded.rows]
            add("quality", labels, np.searchsorted(np.nanquantile(values, [1 / 3, 2 / 3]), values, side="right"))
    if embeddings is not None and len(coded) >= CLUSTERS * MIN_SLICE:
        codes = clusters(embeddings, coded.rows, np.random.default_rng(seed))
        add("cluster", tuple(f"look-alikes {number + 1}" for number in range(CLUSTERS)), codes)
    table = np.stack(holds, axis=1) if holds else np.zeros((len(coded), 0), dtype=bool)
    return Conditions(tuple(names), tuple(kinds), np.array(feature, dtype=np.int64), table)


def clusters(embeddings: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """k-means of unit embeddings, int (len(rows),): centres from a sample, numbered by size, largest first."""
    chosen = np.sort(rng.choice(len(rows), min(CLUSTER_SAMPLE, len(rows)), replace=False))
    sample = _unit(embeddings, rows[chosen])
    centres = sample[np.sort(rng.choice(len(sample), CLUSTERS, replace=False))]
    for _ in range(20):
        nearest = (sample @ centres.T).argmax(axis=1)
        sums = np.stack([sample[nearest == at].sum(axis=0) for at in range(CLUSTERS)])
        size = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(size > 0, sums / np.maximum(size, 1e-12), centres)
    parts = np.array_split(rows, -(-len(rows) // 50_000))
    found = np.concatenate([(_unit(embeddings, part) @ centres.T).argmax(axis=1) for part in parts])
    rank = np.argsort(np.argsort(-np.bincount(found, minlength=CLUSTERS), kind="stable"))
    return rank[found]


def _unit(embeddings: np.ndarray, rows: np.ndarray) -> np.ndarray:
    values = np.asarray(embeddings[rows], dtype=np.float32)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def weak_slices(
    coded: Coded, samples: pd.DataFrame, embeddings: np.ndarray | None = None, seed: int = 0
) -> pd.DataFrame:
    """Slices whose error is higher than their labels explain, the clearest first; see COLUMNS.

    ``error`` with its Wilson interval, ``expected`` (the error that the same labels have elsewhere), ``excess`` and the
    p-values come from the held-back half; ``confirmed`` where it, too, keeps the false discoveries under 5%.
    """
    asked = conditions(coded, samples, embeddings, seed)
    rng = np.random.default_rng([seed, 1])
    searched = rng.permutation(len(coded)) < len(coded) // 2
    wrong = coded.label != coded.predicted
    singles: list[tuple[int, ...]] = [(at,) for at in range(len(asked.names))]
    pairs: list[tuple[int, ...]] = [
        pair for pair in combinations(range(len(asked.names)), 2) if asked.feature[pair[0]] != asked.feature[pair[1]]
    ]
    if not singles:
        return _table([])
    found = _search(_Half.of(asked, coded, wrong, searched), singles, pairs)
    held_back = _Half.of(asked, coded, wrong, ~searched)
    rows = [_row(slice_, asked, held_back, n, error) for slice_, n, error in found]
    return _table(rows)


@dataclass(frozen=True)
class _Half:
    """Images and errors by label of one half, and of every condition and pair in it: (K,), (M, M, K)."""

    n: np.ndarray
    wrong: np.ndarray
    pair_n: np.ndarray
    pair_wrong: np.ndarray

    @classmethod
    def of(cls, asked: Conditions, coded: Coded, wrong: np.ndarray, rows: np.ndarray) -> _Half:
        k = len(coded.classes)
        pair_n, pair_wrong = [], []
        for label in range(k):
            own = rows & (coded.label == label)
            holds = asked.holds[own].astype(np.float32)
            pair_n.append(holds.T @ holds)
            pair_wrong.append(holds.T @ (holds * wrong[own, None]))
        return cls(
            np.bincount(coded.label[rows], minlength=k),
            np.bincount(coded.label[rows & wrong], minlength=k),
            np.rint(np.stack(pair_n, axis=-1)).astype(np.int64),
            np.rint(np.stack(pair_wrong, axis=-1)).astype(np.int64),
        )

    def slices(self, chosen: list[tuple[int, ...]]) -> tuple[np.ndarray, np.ndarray]:
        """Images and errors by label, (C, K) each, of single conditions and pairs."""
        first, last = (np.array([slice_[end] for slice_ in chosen], dtype=np.int64) for end in (0, -1))
        return self.pair_n[first, last], self.pair_wrong[first, last]


def excess_p(n: np.ndarray, wrong: np.ndarray, of_n: np.ndarray, of_wrong: np.ndarray) -> np.ndarray:
    """One-sided Mantel-Haenszel p-values (C,): does a part (C, K) of a whole (C, K) err more than the rest?"""
    total = np.maximum(of_n, 1).astype(np.float64)
    expected = n * of_wrong / total
    variance = expected * (of_n - n) * (of_n - of_wrong) / (total * np.maximum(total - 1, 1))
    spread = np.sqrt(variance.sum(axis=-1))
    z = ratio((wrong - expected).sum(axis=-1), spread)
    return np.where(np.isnan(z), 1.0, stats.norm.sf(np.nan_to_num(z)))


def _search(
    half: _Half, singles: list[tuple[int, ...]], pairs: list[tuple[int, ...]]
) -> list[tuple[tuple[int, ...], int, float]]:
    """Slices discovered in a half with their images and error there; pairs only beyond both of their conditions."""
    chosen = [*singles, *pairs]
    n, wrong = half.slices(chosen)
    size = n.sum(axis=1)
    enough = (size >= MIN_SLICE) & (half.n.sum() - size >= MIN_SLICE)
    p = np.where(enough, excess_p(n, wrong, half.n[None], half.wrong[None]), np.nan)
    clear = benjamini_hochberg(p) <= FALSE_DISCOVERIES
    for end in (0, -1):
        of_n, of_wrong = half.slices([(slice_[end],) for slice_ in chosen])
        nested = excess_p(n, wrong, of_n, of_wrong) <= NESTED
        clear &= nested | np.array([len(slice_) == 1 for slice_ in chosen])
    order = np.flatnonzero(clear)[np.argsort(p[clear], kind="stable")]
    return [(chosen[at], int(size[at]), float(wrong[at].sum() / size[at])) for at in order]


def _row(slice_: tuple[int, ...], asked: Conditions, half: _Half, n_searched: int, error_searched: float) -> dict:
    n, wrong = (part[0] for part in half.slices([slice_]))
    size = n.sum()
    elsewhere = np.nan_to_num(ratio(half.wrong - wrong, half.n - n))
    expected = float(ratio((n * elsewhere).sum(), size))
    low, high = wilson(wrong.sum(), size)
    error = float(ratio(wrong.sum(), size))
    return {
        "slice": " and ".join(asked.names[at] for at in slice_),
        "conditions": [asked.names[at] for at in slice_],
        "kinds": [asked.kinds[at] for at in slice_],
        "n": int(size),
        "error": error,
        "low": float(low),
        "high": float(high),
        "expected": expected,
        "excess": error - expected,
        "p_value": float(excess_p(n[None], wrong[None], half.n[None], half.wrong[None])[0]),
        "n_searched": n_searched,
        "error_searched": error_searched,
    }


def _table(rows: list[dict]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[name for name in COLUMNS if name not in ("p_adjusted", "confirmed")])
    frame["p_adjusted"] = benjamini_hochberg(frame["p_value"].to_numpy(dtype=np.float64))
    frame["confirmed"] = frame["p_adjusted"] <= FALSE_DISCOVERIES
    order = frame.sort_values(["confirmed", "p_value"], ascending=[False, True], kind="stable")
    return order[list(COLUMNS)].reset_index(drop=True)


def members(asked: Conditions, names: list[str]) -> np.ndarray:
    """Which coded images a slice holds, bool (N,), from its ``conditions``."""
    return np.asarray(asked.holds[:, [asked.names.index(name) for name in names]].all(axis=1))
