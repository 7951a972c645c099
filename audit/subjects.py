"""One person, many pictures: intervals and tests that resample persons instead of images.

Where the data says who is pictured, images of one person are right or wrong together, and figures that take them for
independent are too sure. Persons are redrawn with replacement; how much more a figure then varies than independent
images would (its design effect) stretches its interval and weakens its test. Never narrower than independent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import sparse, stats

from audit.confusion import accuracy
from audit.counts import CROSS, Coded
from audit.fairness import RATES, rate_parts
from audit.family import Comparisons, adjust, attribute_rng
from audit.intervals import ratio
from audit.standardise import MIN_IMAGES

REPLICATES = 500
AT_ONCE = 4_000_000
"""Drawn counts of persons in memory together."""


def resample_subjects(
    coded: Coded, subject: np.ndarray, names: tuple[str, ...], rng: np.random.Generator, replicates: int = REPLICATES
) -> np.ndarray:
    """Count tables (replicates, G, K, K) of an attribute with the persons redrawn; ``subject`` int (N,)."""
    groups, group = coded.grouping(names)
    k, persons = len(coded.classes), int(subject.max()) + 1
    known = group >= 0
    cell = ((group * k + coded.label) * k + coded.predicted)[known]
    ones = np.ones(known.sum(), dtype=np.float32)
    images = sparse.coo_matrix((ones, (subject[known], cell)), shape=(persons, len(groups) * k * k)).tocsr()
    parts = []
    for size in _portions(replicates, max(1, AT_ONCE // persons)):
        drawn = rng.multinomial(persons, np.full(persons, 1 / persons), size).astype(np.float32)
        parts.append(np.asarray(drawn @ images))
    return np.rint(np.concatenate(parts)).reshape(replicates, len(groups), k, k)


def _portions(total: int, most: int) -> list[int]:
    return [min(most, total - start) for start in range(0, total, most)]


def by_subject(comparisons: Comparisons, coded: Coded, subject: pd.Series, mix: np.ndarray, seed: int) -> Comparisons:
    """The same comparisons with intervals stretched, tests weakened and the family adjusted anew.

    ``subject`` (rows of the samples table) names the person, missing where unknown: such an image stands alone.
    """
    codes, _ = pd.factorize(subject.iloc[coded.rows])
    alone = codes < 0
    codes = np.where(alone, codes.max(initial=-1) + np.cumsum(alone), codes)
    tables: dict[str, list[pd.DataFrame]] = {"groups": [], "classes": [], "disparities": [], "ranges": [], "parts": []}
    for attribute in comparisons.groups["attribute"].unique():
        names = tuple(attribute.split(CROSS))
        effects = _declared(_Effects(coded, codes, names, mix, attribute_rng(seed, attribute)))
        tables["groups"].append(_groups(_of(comparisons.groups, attribute), effects))
        tables["classes"].append(_classes(_of(comparisons.classes, attribute), effects))
        tables["disparities"].append(_disparities(_of(comparisons.disparities, attribute), effects))
        tables["ranges"].append(_ranges(_of(comparisons.ranges, attribute), effects))
        tables["parts"].append(_parts(_of(comparisons.decomposition, attribute), effects))
    joined = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items() if parts}
    if not joined:
        return comparisons
    disparities, ranges = adjust(joined["disparities"], joined["ranges"])
    return replace(
        comparisons, groups=joined["groups"], classes=joined["classes"], disparities=disparities, ranges=ranges,
        decomposition=joined["parts"],
    )  # fmt: skip


def _of(frame: pd.DataFrame, attribute: str) -> pd.DataFrame:
    return frame[frame["attribute"] == attribute].reset_index(drop=True)


class _Effects:
    """How much further figures of one attribute's groups spread when persons are redrawn, as factors of at least 1."""

    def __init__(
        self, coded: Coded, subject: np.ndarray, names: tuple[str, ...], mix: np.ndarray, rng: np.random.Generator
    ) -> None:
        self.counts = coded.counts(names)
        self.mix = mix
        self._drawn = resample_subjects(coded, subject, names, rng)
        _, group = coded.grouping(names)
        self._persons = np.array([len(np.unique(subject[group == at])) for at in range(len(self.counts.groups))])
        self._position = {group: at for at, group in enumerate(self.counts.groups)}
        self._spreads: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def figure(self, name: str, of: Callable[[np.ndarray], np.ndarray], variance: np.ndarray) -> None:
        """Declare a figure ``of`` tables (..., G, K, K) and its ``variance`` (G, ...) if images were independent."""
        self._spreads[name] = of(self._drawn), variance

    def group(self, name: str, group: str, label: int | None = None) -> float:
        """The factor of one group's figure."""
        at = self._position[group]
        drawn, variance = self._spreads[name]
        index = (at,) if label is None else (at, label)
        return self._factor(drawn[(slice(None), *index)], variance[index], self._persons[at])

    def pair(self, name: str, first: str, second: str, label: int | None = None) -> float:
        """The factor of the difference of two groups' figures."""
        drawn, variance = self._spreads[name]
        ends = [
            (self._position[group],) if label is None else (self._position[group], label) for group in (first, second)
        ]
        gaps = drawn[(slice(None), *ends[0])] - drawn[(slice(None), *ends[1])]
        fewest = min(self._persons[end[0]] for end in ends)
        return self._factor(gaps, variance[ends[0]] + variance[ends[1]], fewest)

    @staticmethod
    def _factor(drawn: np.ndarray, variance: float, persons: int) -> float:
        """Root of the design effect, times Student's t over the normal for few persons; infinite for a single one."""
        if persons < 2:
            return np.inf
        known = drawn[~np.isnan(drawn)]
        effect = known.var() / variance if len(known) > 1 and variance > 0 else 1.0
        few = stats.t.isf(0.025, persons - 1) / stats.norm.isf(0.025)
        return float(np.sqrt(max(effect, 1.0)) * few)


def _declared(effects: _Effects) -> _Effects:
    """With the figures that the tables need."""
    counts, n = effects.counts, effects.counts.sizes
    p = accuracy(counts.table)
    effects.figure("accuracy", accuracy, p * (1 - p) / n)
    weights = np.where(counts.labelled >= MIN_IMAGES, effects.mix, 0.0)
    weights = np.nan_to_num(ratio(weights, weights.sum(axis=-1, keepdims=True)))

    def standardised(table: np.ndarray) -> np.ndarray:
        hits, images = rate_parts(table, "recall")
        return (np.nan_to_num(ratio(hits, images)) * weights).sum(axis=-1)

    recall = np.nan_to_num(ratio(*rate_parts(counts.table, "recall")))
    spread = np.nan_to_num(ratio(recall * (1 - recall), counts.labelled))
    effects.figure("standardised_accuracy", standardised, (weights**2 * spread).sum(axis=-1))
    for metric in RATES:
        hits, images = rate_parts(counts.table, metric)
        share = np.nan_to_num(ratio(hits, images))
        effects.figure(metric, _rate(metric), np.nan_to_num(ratio(share * (1 - share), images)))
    return effects


def _rate(metric: str) -> Callable[[np.ndarray], np.ndarray]:
    return lambda table: ratio(*rate_parts(table, metric))


def _groups(frame: pd.DataFrame, effects: _Effects) -> pd.DataFrame:
    for figure, name, low, high in (
        ("accuracy", "accuracy", "low", "high"),
        ("standardised_accuracy", "standardised", "standardised_low", "standardised_high"),
        ("standardised_accuracy", "balanced_accuracy", "balanced_accuracy_low", "balanced_accuracy_high"),
        ("standardised_accuracy", "macro_f1", "macro_f1_low", "macro_f1_high"),
    ):
        factor = np.array([effects.group(figure, group) for group in frame["group"]])
        frame[low], frame[high] = stretch(frame[name], frame[low], frame[high], factor, 0.0, 1.0)
    return frame


def _classes(frame: pd.DataFrame, effects: _Effects) -> pd.DataFrame:
    label = [effects.counts.classes.index(name) for name in frame["class"]]
    for metric in RATES:
        factor = [effects.group(metric, group, at) for group, at in zip(frame["group"], label, strict=True)]
        low, high = f"{metric}_low", f"{metric}_high"
        frame[low], frame[high] = stretch(frame[metric], frame[low], frame[high], np.array(factor), 0.0, 1.0)
    return frame


def _disparities(frame: pd.DataFrame, effects: _Effects) -> pd.DataFrame:
    factor = np.array([_pair_factor(row, effects) for row in frame.to_dict("records")])
    low, high = frame["difference_low"], frame["difference_high"]
    frame["difference_low"], frame["difference_high"] = stretch(frame["difference"], low, high, factor, -1.0, 1.0)
    value, low, high = (np.log(frame[name].where(frame[name] > 0)) for name in ("ratio", "ratio_low", "ratio_high"))
    low, high = stretch(value, low, high, factor, -np.inf, np.inf)
    frame["ratio_low"] = np.where(frame["ratio_low"] > 0, np.exp(low), frame["ratio_low"])
    frame["ratio_high"] = np.where(np.isfinite(high), np.exp(high), np.nan)
    frame["p_value"] = weaken(frame["p_value"], factor)
    return frame


def _pair_factor(row: dict, effects: _Effects) -> float:
    pair = row["group"], row["reference"]
    if row["metric"] in ("accuracy", "standardised_accuracy"):
        return effects.pair(row["metric"], *pair)
    label = effects.counts.classes.index(row["class"])
    if row["metric"] == "equalised_odds":
        return max(effects.pair(metric, *pair, label) for metric in ("recall", "false_positive_rate"))
    return effects.pair(row["metric"], *pair, label)


def _ranges(frame: pd.DataFrame, effects: _Effects) -> pd.DataFrame:
    factor = []
    for row in frame.to_dict("records"):
        if isinstance(row["best"], str):
            factor.append(effects.pair("standardised_accuracy", row["worst"], row["best"]))
        else:
            factor.append(effects.group("recall", row["worst"], effects.counts.classes.index(row["class"])))
    frame["statistic"] = frame["statistic"] / np.array(factor)
    for name in ("p_value", "p_beyond"):
        frame[name] = weaken(frame[name], np.array(factor))
    return frame


def _parts(frame: pd.DataFrame, effects: _Effects) -> pd.DataFrame:
    factor = np.array(
        [effects.pair("accuracy", *pair) for pair in zip(frame["group"], frame["reference"], strict=True)]
    )
    for name in ("composition", "performance"):
        low, high = f"{name}_low", f"{name}_high"
        frame[low], frame[high] = stretch(frame[name], frame[low], frame[high], factor, -1.0, 1.0)
    return frame


def stretch(
    value: pd.Series, low: pd.Series, high: pd.Series, factor: np.ndarray, least: float, most: float
) -> tuple[np.ndarray, np.ndarray]:
    """Limits ``factor`` times as far from the value, within ``least`` and ``most``; NaN stays NaN."""
    centre, below, above = (np.asarray(part, dtype=np.float64) for part in (value, low, high))
    with np.errstate(invalid="ignore"):
        lower, upper = centre - (centre - below) * factor, centre + (above - centre) * factor
    # A limit that lay on its value is infinitely stretched to nothing known.
    lower, upper = np.where(np.isinf(factor), least, lower), np.where(np.isinf(factor), most, upper)
    unknown = np.isnan(centre)
    return np.where(unknown, np.nan, np.maximum(lower, least)), np.where(unknown, np.nan, np.minimum(upper, most))


def weaken(p_value: pd.Series, factor: np.ndarray) -> np.ndarray:
    """Two-sided p-values whose statistic is divided by ``factor``."""
    given = np.asarray(p_value, dtype=np.float64)
    return 2 * stats.norm.sf(stats.norm.isf(given / 2) / factor)
