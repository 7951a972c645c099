"""For whom? Figures of every group, and disparities against a reference group, all read from Counts.

The null of every test here is equal recall within each label: a raw gap that composition explains is no alarm.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from audit import calibration, confusion
from audit.counts import CROSS, Counts, Tally
from audit.intervals import LEVEL, Interval, bootstrap, mantel_haenszel, percentile, ratio, wilson
from audit.standardise import MAX_OMITTED, Gap, gap, standardised_accuracy, standardised_gap

MIN_GROUP = 30
"""Groups with fewer images are shown as too small to judge and are not tested."""
REPLICATES = 2000
GROUPS_AT_ONCE = 32
"""Groups whose replicates are in memory together: some 25 MB for seven classes."""


def group_figures(
    counts: Counts,
    mix: np.ndarray,
    rng: np.random.Generator,
    ranks: Tally | None = None,
    bins: Tally | None = None,
    min_group: int = MIN_GROUP,
) -> pd.DataFrame:
    """One row a group: n, accuracy (Wilson), standardised accuracy (stratified Wilson) and the other group metrics.

    ``mix`` (K,) are the standardisation weights. Columns: attribute, group, n, too_small, accuracy, low, high,
    standardised, standardised_low, standardised_high, omitted (class names), omitted_share, reason; then
    balanced_accuracy and macro_f1 with ``_low`` and ``_high``; top2_accuracy, mean_confidence, ece, ece_debiased (NaN
    without probabilities).
    """
    table, n = counts.table, counts.sizes
    low, high = wilson(counts.correct.sum(axis=1), n)
    standard = standardised_accuracy(counts.correct, counts.labelled, mix)
    omitted = [_omitted(counts.classes, mix, kept) for kept in standard.kept]
    defined = ~np.isnan(standard.value)
    frame = pd.DataFrame(
        {
            "attribute": counts.attribute,
            "group": counts.groups,
            "n": n,
            "too_small": n < min_group,
            "accuracy": confusion.accuracy(table),
            "low": low,
            "high": high,
            "standardised": standard.value,
            "standardised_low": standard.interval.low,
            "standardised_high": standard.interval.high,
            "omitted": omitted,
            "omitted_share": standard.omitted_share,
            "reason": [
                None if known else _why_undefined(names, share)
                for known, names, share in zip(defined, omitted, standard.omitted_share, strict=True)
            ],
        }
    )
    metrics = {"balanced_accuracy": confusion.balanced_accuracy, "macro_f1": confusion.macro_f1}
    limits = bootstrap_intervals(table, tuple(metrics.values()), rng)
    for (name, metric), (low, high) in zip(metrics.items(), limits, strict=True):
        frame[name], frame[f"{name}_low"], frame[f"{name}_high"] = metric(table), low, high
    frame["top2_accuracy"] = np.nan if ranks is None else ratio(ranks.table[..., :2].sum(axis=(1, 2)), n)
    for name, measure in (
        ("mean_confidence", calibration.mean_confidence),
        ("ece", calibration.expected_calibration_error),
        ("ece_debiased", calibration.debiased_calibration_error),
    ):
        frame[name] = np.nan if bins is None else measure(bins.table)
    return frame


def bootstrap_intervals(
    table: np.ndarray, metrics: tuple[Callable[[np.ndarray], np.ndarray], ...], rng: np.random.Generator
) -> list[Interval]:
    """Stratified bootstrap intervals of metrics of (..., K, K) matrices for every group of ``table`` (G, K, K)."""
    parts = []
    for groups in np.array_split(table, -(-len(table) // GROUPS_AT_ONCE)):
        drawn = bootstrap(groups, REPLICATES, rng)
        parts.append([percentile(metric(drawn)) for metric in metrics])
    return [
        Interval(*(np.concatenate(ends) for ends in zip(*limits, strict=True))) for limits in zip(*parts, strict=True)
    ]


def _omitted(classes: tuple[str, ...], mix: np.ndarray, kept: np.ndarray) -> list[str]:
    return [name for name, share, keep in zip(classes, mix, kept, strict=True) if share > 0 and not keep]


def _why_undefined(omitted: list[str], share: float) -> str:
    return (
        f"fewer than 5 images of {', '.join(omitted)}, which carry {share:.1%} of the reference mix "
        f"(at most {MAX_OMITTED:.0%} may be left out)"
    )


RATES = ("recall", "precision", "false_positive_rate", "selection_rate")
"""Rates of one class against the rest."""


def rate_parts(table: np.ndarray, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator, int (..., K) each, of a rate of RATES for every class of ``table`` (..., K, K)."""
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    labelled, predicted, n = table.sum(axis=-1), table.sum(axis=-2), table.sum(axis=(-2, -1))[..., None]
    return {
        "recall": (hits, labelled),
        "precision": (hits, predicted),
        "false_positive_rate": (predicted - hits, n - labelled),
        "selection_rate": (predicted, np.broadcast_to(n, predicted.shape)),
    }[metric]


def class_figures(counts: Counts) -> pd.DataFrame:
    """One row a group and class: attribute, group, class, n (images of the label), and each of RATES with its

    ``_n``, ``_low`` and ``_high`` (Wilson).
    """
    groups, k = np.array(counts.groups, dtype=object), len(counts.classes)
    columns: dict[str, object] = {
        "attribute": counts.attribute,
        "group": np.repeat(groups, k),
        "class": list(counts.classes) * len(groups),
        "n": counts.labelled.ravel(),
    }
    for metric in RATES:
        hits, n = rate_parts(counts.table, metric)
        low, high = wilson(hits, n)
        parts = {"": ratio(hits, n), "_n": n, "_low": low, "_high": high}
        columns |= {f"{metric}{suffix}": np.asarray(values).ravel() for suffix, values in parts.items()}
    return pd.DataFrame(columns)


def reference_group(counts: Counts, named: str | None = None) -> str:
    """The group others are compared with: the largest (the first by name among equals), unless one is named.

    Raises InputError where the named group does not occur.
    """
    if named is not None:
        counts.group(named)
        return named
    return counts.groups[int(counts.sizes.argmax())]


def disparities(
    counts: Counts,
    mix: np.ndarray,
    reference: str | None = None,
    min_group: int = MIN_GROUP,
    every_rate: bool | None = None,
) -> pd.DataFrame:
    """Every group against the reference: difference (group minus reference) and ratio, with 95% intervals.

    Metrics: ``accuracy`` (Newcombe), ``standardised_accuracy`` (over the pair's common classes), and per class
    ``recall``, and with ``every_rate`` (for single attributes unless told) ``false_positive_rate``, ``selection_rate``
    and ``equalised_odds`` (the larger of the absolute differences in recall and false positive rate). ``p_value`` tests
    equal recall within each label (``recall``: within that label), exact or Mantel-Haenszel; NaN where a group is under
    ``min_group`` or the metric depends on the label mix. ``n_group`` and ``n_reference`` are the images each figure is
    a share of.
    """
    name = reference_group(counts, reference)
    others = [index for index, group in enumerate(counts.groups) if group != name]
    if not others:
        return _empty()
    own = counts.group(name)
    table = counts.table[others]
    groups = [counts.groups[index] for index in others]
    tested = (table.sum(axis=(1, 2)) >= min_group) & (own.sum() >= min_group)
    parts = [_accuracy_rows(table, own, mix, tested)]
    every_rate = CROSS not in counts.attribute if every_rate is None else every_rate
    metrics = ("recall", "false_positive_rate", "selection_rate") if every_rate else ("recall",)
    parts += [_rate_rows(table, own, metric, counts.classes, tested) for metric in metrics]
    if len(metrics) > 1:
        parts.append(_odds_rows(table, own, counts.classes))
    frame = pd.concat(parts, ignore_index=True)
    frame["group"] = [groups[index] for index in frame.pop("row")]
    frame.insert(0, "attribute", counts.attribute)
    frame["reference"] = name
    return frame[list(COLUMNS)]


COLUMNS = (
    "attribute", "metric", "class", "reference", "group", "n_reference", "n_group", "value_reference", "value_group",
    "difference", "difference_low", "difference_high", "ratio", "ratio_low", "ratio_high", "p_value",
)  # fmt: skip


def _empty() -> pd.DataFrame:
    texts = ("attribute", "metric", "class", "reference", "group")
    return pd.DataFrame({name: pd.Series(dtype=object if name in texts else float) for name in COLUMNS})


def _accuracy_rows(table: np.ndarray, own: np.ndarray, mix: np.ndarray, tested: np.ndarray) -> pd.DataFrame:
    correct, labelled = np.diagonal(table, axis1=1, axis2=2), table.sum(axis=2)
    of_correct, of_labelled = np.diagonal(own), own.sum(axis=1)
    hits, n = correct.sum(axis=1), labelled.sum(axis=1)
    of_hits, of_n = np.asarray(of_correct.sum()), np.asarray(of_labelled.sum())
    p = np.full(len(table), np.nan)
    for at in np.flatnonzero(tested):
        p[at] = mantel_haenszel(correct[at], labelled[at], of_correct, of_labelled)
    raw = _rate_gap(hits, n, of_hits, of_n)
    standard = standardised_gap(correct, labelled, of_correct, of_labelled, mix)
    row = np.arange(len(table))
    frames = [
        _rows("accuracy", None, row, n, of_n, raw, p),
        _rows("standardised_accuracy", None, row, n, of_n, standard, p),
    ]
    return pd.concat(frames, ignore_index=True)


def _rate_rows(
    table: np.ndarray, own: np.ndarray, metric: str, classes: tuple[str, ...], tested: np.ndarray
) -> pd.DataFrame:
    (hits, n), (of_hits, of_n) = rate_parts(table, metric), rate_parts(own, metric)
    row, label = np.indices(hits.shape).reshape(2, -1)
    hits, n, of_hits, of_n = hits.ravel(), n.ravel(), of_hits[label], of_n[label]
    p = np.full(len(row), np.nan)
    if metric == "recall":
        for at in np.flatnonzero(tested[row]):
            one = slice(at, at + 1)
            p[at] = mantel_haenszel(hits[one], n[one], of_hits[one], of_n[one])
    names = np.array(classes, dtype=object)[label]
    return _rows(metric, names, row, n, of_n, _rate_gap(hits, n, of_hits, of_n), p)


def _rate_gap(hits: np.ndarray, n: np.ndarray, of_hits: np.ndarray, of_n: np.ndarray, level: float = LEVEL) -> Gap:
    return gap(ratio(hits, n), wilson(hits, n, level), ratio(of_hits, of_n), wilson(of_hits, of_n, level))


def _odds_rows(table: np.ndarray, own: np.ndarray, classes: tuple[str, ...]) -> pd.DataFrame:
    """Of the two gaps it is the larger one, chosen after looking: each is given at 97.5% for 95% together."""
    sizes = []
    for metric in ("recall", "false_positive_rate"):
        one = _rate_gap(*rate_parts(table, metric), *rate_parts(own, metric), level=1 - (1 - LEVEL) / 2)
        low, high = one.difference_interval
        nearest = np.where(low * high <= 0, 0.0, np.minimum(np.abs(low), np.abs(high)))
        sizes.append((np.abs(one.difference), nearest + 0 * low, np.maximum(np.abs(low), np.abs(high))))
    value, low, high = (np.maximum(*pair).ravel() for pair in zip(*sizes, strict=True))
    row, label = np.indices(sizes[0][0].shape).reshape(2, -1)
    unknown = np.full(len(row), np.nan)
    odds = Gap(unknown, unknown, value, Interval(low, high), unknown, Interval(unknown, unknown))
    names = np.array(classes, dtype=object)[label]
    return _rows("equalised_odds", names, row, table.sum(axis=(1, 2))[row], np.asarray(own.sum()), odds, unknown)


def _rows(
    metric: str, names: np.ndarray | None, row: np.ndarray, n: np.ndarray, of_n: np.ndarray, of: Gap, p: np.ndarray
) -> pd.DataFrame:
    low, high = of.ratio_interval
    columns = {
        "row": row, "metric": metric, "class": names, "n_reference": of_n, "n_group": n,
        "value_reference": of.second, "value_group": of.first, "difference": of.difference,
        "difference_low": of.difference_interval.low, "difference_high": of.difference_interval.high,
        "ratio": of.ratio, "ratio_low": low, "ratio_high": np.where(np.isinf(high), np.nan, high), "p_value": p,
    }  # fmt: skip
    return pd.DataFrame(columns, index=range(len(row)))
