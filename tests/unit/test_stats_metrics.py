"""Every metric equals fairlearn's MetricFrame over scikit-learn's functions."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pandas as pd
from fairlearn.metrics import MetricFrame, count, equalized_odds_difference, false_positive_rate, selection_rate
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)

from audit import calibration, confusion, fairness
from audit.counts import Coded, Counts
from audit.counts import count as count_table
from audit.standardise import label_mix
from tests.reference import stats as slow
from tests.unit.stats_tables import CLASSES, tables

NAN = float("nan")
CASES = int(os.environ.get("FACEVALUE_CASES", "100"))
"""benchmarks/metrics.py runs 1,000."""


def _macro_f1(y_true: pd.Series, y_pred: pd.Series) -> float:
    return f1_score(y_true, y_pred, average="macro", labels=sorted({*y_true, *y_pred}))


def _one_vs_rest(name: str, metric) -> object:
    return lambda y_true, y_pred: metric((y_true == name).astype(int), (y_pred == name).astype(int))


OVERALL_METRICS = {
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "macro_f1": _macro_f1,
    "n": count,
}


def by_group(table: pd.DataFrame, names: list[str], one: str) -> pd.DataFrame:
    """fairlearn's figures of every group that occurs, the rates for class ``one`` against the rest."""
    rates = {
        "selection_rate": _one_vs_rest(one, selection_rate),
        "false_positive_rate": _one_vs_rest(one, lambda y, p: false_positive_rate(y, p) if (y == 0).any() else NAN),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric_frame = MetricFrame(
            metrics=OVERALL_METRICS | rates,
            y_true=table["label"],
            y_pred=table["predicted"],
            sensitive_features=table[names],
        )
    return metric_frame.by_group.dropna(how="all")


@settings(max_examples=CASES, deadline=None)
@given(
    tables(smallest=5, largest=60, missing=False),
    st.sampled_from([["race"], ["gender"], ["race", "gender"]]),
    st.sampled_from(CLASSES),
)
def test_group_metrics_equal_fairlearn_and_scikit_learn(table: pd.DataFrame, names: list[str], one: str) -> None:
    expected = by_group(table, names, one)
    counts = count_table(table, CLASSES, tuple(names))
    order = [" × ".join(key) if isinstance(key, tuple) else key for key in expected.index]
    assert sorted(order) == list(counts.groups)
    matrices = counts.table[[counts.groups.index(name) for name in order]]
    np.testing.assert_array_equal(matrices.sum(axis=(1, 2)), expected["n"])
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        own = getattr(confusion, name)(matrices)
        np.testing.assert_allclose(own, expected[name].astype(float), atol=1e-12, err_msg=name)
    for name in ("selection_rate", "false_positive_rate"):
        own = getattr(confusion, name)(matrices)[:, CLASSES.index(one)]
        np.testing.assert_allclose(own, expected[name].astype(float), atol=1e-12, err_msg=name)


@settings(max_examples=CASES, deadline=None)
@given(tables(largest=80))
def test_per_class_figures_equal_scikit_learn(table: pd.DataFrame) -> None:
    frame = confusion.per_class(count_table(table, CLASSES), np.random.default_rng(0), replicates=20)
    precision, recall, f1, n = precision_recall_fscore_support(
        table["label"], table["predicted"], labels=list(CLASSES), zero_division=np.nan
    )
    np.testing.assert_array_equal(frame["n"], n)
    np.testing.assert_allclose(frame["precision"], precision, atol=1e-12)
    np.testing.assert_allclose(frame["recall"], recall, atol=1e-12)
    np.testing.assert_allclose(frame["f1"], f1, atol=1e-12)


@settings(max_examples=CASES // 2, deadline=None)
@given(tables(smallest=20, missing=False))
def test_equalised_odds_equal_fairlearns_for_two_groups(table: pd.DataFrame) -> None:
    counts = count_table(table, CLASSES, ("gender",))
    if len(counts.groups) < 2:
        return
    frame = fairness.disparities(counts, label_mix(counts.confusion.sum(axis=1)))
    for row in frame[frame["metric"] == "equalised_odds"].to_dict("records"):
        y, p = (table["label"] == row["class"], table["predicted"] == row["class"])
        if np.isnan(row["difference"]):
            continue
        expected = equalized_odds_difference(y.astype(int), p.astype(int), sensitive_features=table["gender"])
        assert abs(row["difference"] - expected) < 1e-12
        assert row["difference_low"] - 1e-12 <= row["difference"] <= row["difference_high"] + 1e-12


@settings(max_examples=CASES // 2, deadline=None)
@given(tables(smallest=20), st.integers(0, 2**32 - 1))
def test_top_two_accuracy_and_calibration_equal_image_by_image(table: pd.DataFrame, seed: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(len(CLASSES)), len(table))
    table = table.assign(predicted=np.array(CLASSES)[probabilities.argmax(axis=1)])
    coded = Coded.of(table, CLASSES, ("gender",), probabilities)
    counts = coded.counts(("gender",))
    mix = label_mix(coded.counts().labelled[0])
    ranks, bins = coded.ranks(("gender",)), coded.bins(("gender",))
    frame = fairness.group_figures(counts, mix, np.random.default_rng(0), ranks, bins)
    for row in frame.to_dict("records"):
        own = (table["gender"] == row["group"]).to_numpy()
        label = np.array([CLASSES.index(name) for name in table.loc[own, "label"]])
        scores, right = probabilities[own], (table["label"] == table["predicted"]).to_numpy()[own]
        expected = top_k_accuracy_score(label, scores, k=2, labels=range(len(CLASSES)))
        assert abs(row["top2_accuracy"] - expected) < 1e-12
        assert abs(row["mean_confidence"] - scores.max(axis=1).mean()) < 1e-9
        assert abs(row["ece"] - slow.calibration_error(scores.max(axis=1), right, 15)) < 1e-9
        assert 0 <= row["ece_debiased"] <= row["ece"] + 1e-12


@settings(deadline=None)
@given(tables())
def test_reordering_classes_moves_no_figure(table: pd.DataFrame) -> None:
    first, second = (count_table(table, tuple(order), ("race",)) for order in (CLASSES, CLASSES[::-1]))
    for metric in (confusion.accuracy, confusion.balanced_accuracy, confusion.macro_f1):
        np.testing.assert_allclose(metric(first.table), metric(second.table), atol=1e-12)
    for metric in (confusion.recall, confusion.precision, confusion.f1, confusion.selection_rate):
        np.testing.assert_allclose(metric(first.table), metric(second.table)[:, ::-1], atol=1e-12)


@settings(deadline=None)
@given(tables())
def test_merging_groups_is_adding_their_tables(table: pd.DataFrame) -> None:
    merged = table.assign(race=table["race"].replace({"a": "b"}))
    whole, parts = count_table(merged, CLASSES, ("race",)), count_table(table, CLASSES, ("race",))
    if "b" in whole.groups:
        own = [index for index, name in enumerate(parts.groups) if name in ("a", "b")]
        assert np.array_equal(whole.group("b"), parts.table[own].sum(axis=0))


def test_a_calibrated_model_has_no_error_after_taking_chance_off() -> None:
    rng = np.random.default_rng(5)
    errors = []
    for _ in range(200):
        confidence = rng.uniform(0.3, 1, 300)
        right = rng.random(300) < confidence
        which = np.minimum((confidence * 15).astype(int), 14)
        fields = [np.bincount(which, weight, 15) for weight in (None, right, confidence)]
        bins = np.stack(fields, axis=-1)
        errors.append((calibration.expected_calibration_error(bins), calibration.debiased_calibration_error(bins)))
    plain, debiased = np.mean(errors, axis=0)
    assert plain > 0.05
    assert debiased < 0.65 * plain


def test_a_miscalibrated_model_keeps_its_error() -> None:
    n = np.array([0, 400, 600])
    bins = np.stack([n, n * np.array([0, 0.5, 0.6]), n * np.array([0, 0.7, 0.8])], axis=-1)
    assert abs(float(calibration.expected_calibration_error(bins)) - 0.2) < 1e-12
    assert abs(float(calibration.debiased_calibration_error(bins)) - 0.2) < 1e-6


def test_pairs_are_ranked_by_the_share_confused() -> None:
    table = np.array([[[80, 20, 0], [5, 35, 10], [0, 10, 190]]])
    frame = confusion.confusable_pairs(Counts("", ("all",), ("angry", "fear", "happy"), table))
    assert frame[["class_a", "class_b"]].to_numpy().tolist() == [
        ["angry", "fear"],
        ["fear", "happy"],
        ["angry", "happy"],
    ]
    first = frame.iloc[0]
    assert (first["n_ab"], first["n_ba"], first["n"]) == (20, 5, 150)
    assert first["rate"] == 25 / 150 and first["low"] < first["rate"] < first["high"]
    assert first["share_of_errors"] == 25 / 45
