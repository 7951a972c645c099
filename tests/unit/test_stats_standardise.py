"""Standardisation, Kitagawa's split and the permutation test, against slow copies and their own laws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from audit.counts import Counts, count
from audit.ranges import clearest_cell, deal, widest_gap
from audit.standardise import (
    MIN_IMAGES,
    kitagawa,
    kitagawa_intervals,
    label_mix,
    standardised_accuracy,
    standardised_gap,
)
from tests.reference import stats as slow
from tests.unit.stats_tables import CLASSES, tables


@settings(deadline=None)
@given(tables(smallest=20))
def test_standardised_accuracy_equals_the_slow_copy(table: pd.DataFrame) -> None:
    counts = count(table, CLASSES, ("race",))
    mix = label_mix(count(table, CLASSES).labelled[0])
    figures = standardised_accuracy(counts.correct, counts.labelled, mix)
    for at, name in enumerate(counts.groups):
        own = table[table["race"] == name]
        expected = slow.standardised(own["label"], own["predicted"], dict(zip(CLASSES, mix, strict=True)))
        assert figures.value[at] == (
            pytest.approx(expected) if expected is not None else pytest.approx(np.nan, nan_ok=True)
        )
        assert np.isnan(figures.interval.low[at]) == (expected is None)


@settings(deadline=None)
@given(tables(smallest=20))
def test_the_whole_set_standardised_to_itself_is_its_accuracy(table: pd.DataFrame) -> None:
    counts = count(table, CLASSES)
    if ((counts.labelled == 0) | (counts.labelled >= MIN_IMAGES)).all():
        figure = standardised_accuracy(counts.correct, counts.labelled, label_mix(counts.labelled[0]))
        assert figure.value[0] == pytest.approx(counts.correct.sum() / counts.n)


def test_equal_recalls_under_other_label_mixes_have_no_standardised_gap() -> None:
    labelled = np.array([[900, 100], [100, 900]])
    correct = labelled * np.array([0.9, 0.4])
    mix = label_mix(labelled.sum(axis=0))
    gap = standardised_gap(correct[:1], labelled[:1], correct[1], labelled[1], mix)
    assert gap.difference[0] == pytest.approx(0)
    assert gap.ratio[0] == pytest.approx(1)
    assert correct[0].sum() / 1000 - correct[1].sum() / 1000 == pytest.approx(0.4)


def test_a_class_with_four_images_is_left_out_and_may_make_the_figure_undefined() -> None:
    mix = np.array([0.5, 0.46, 0.04])
    few = standardised_accuracy(np.array([[8, 6, 4]]), np.array([[10, 10, 4]]), mix)
    assert few.kept[0].tolist() == [True, True, False]
    assert few.value[0] == pytest.approx((0.5 * 0.8 + 0.46 * 0.6) / 0.96)
    assert few.omitted_share[0] == pytest.approx(0.04)
    many = standardised_accuracy(np.array([[8, 4, 6]]), np.array([[10, 4, 10]]), mix)
    assert np.isnan(many.value[0]) and np.isnan(many.interval.low[0])


@settings(deadline=None)
@given(tables(smallest=20, missing=False))
def test_composition_and_performance_equal_the_slow_copy_and_add_up(table: pd.DataFrame) -> None:
    counts = count(table, CLASSES, ("gender",))
    if len(counts.groups) < 2:
        return
    correct, labelled = counts.correct, counts.labelled
    split = kitagawa(correct[0], labelled[0], correct[1], labelled[1])
    long = table.assign(group=table["gender"], right=table["label"] == table["predicted"])
    np.testing.assert_allclose(split, slow.kitagawa(long, *counts.groups), atol=1e-9)
    accuracy = correct.sum(axis=1) / labelled.sum(axis=1)
    assert split.composition + split.performance == pytest.approx(accuracy[0] - accuracy[1])


def test_the_intervals_of_the_split_hold_its_values() -> None:
    correct, labelled = np.array([[300, 40], [250, 90]]), np.array([[400, 100], [300, 200]])
    sides = (correct[:1], labelled[:1], correct[1:], labelled[1:])
    split = kitagawa(*sides)
    for value, interval in zip(split, kitagawa_intervals(*sides, np.random.default_rng(0)), strict=True):
        assert interval.low[0] < value[0] < interval.high[0]
        assert interval.high[0] - interval.low[0] < 0.2


def _table(rng: np.random.Generator, n: int, gap: float) -> Counts:
    classes = ("angry", "happy", "sad")
    labelled = np.stack([rng.multinomial(n, mix) for mix in ([0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.3, 0.4, 0.3])])
    correct = rng.binomial(labelled, np.array([0.5, 0.9, 0.7]) - np.array([[gap], [0], [0]]))
    table = np.zeros((3, 3, 3), dtype=np.int64)
    for label in range(3):
        table[:, label, label] = correct[:, label]
        table[:, label, (label + 1) % 3] = labelled[:, label] - correct[:, label]
    return Counts("race", ("a", "b", "c"), classes, table)


def test_dealing_keeps_groups_labels_and_the_number_of_right_predictions() -> None:
    counts = _table(np.random.default_rng(0), 300, 0.0)
    dealt = deal(counts, 3000, np.random.default_rng(1))
    assert (dealt >= 0).all() and (dealt <= counts.labelled).all()
    assert (dealt.sum(axis=1) == counts.correct.sum(axis=0)).all()
    pooled = counts.correct.sum(axis=0) / counts.labelled.sum(axis=0)
    np.testing.assert_allclose(dealt.mean(axis=0), counts.labelled * pooled, atol=0.5)


@settings(deadline=None)
@given(tables(smallest=60, missing=False))
def test_the_widest_gap_equals_the_slow_copy(table: pd.DataFrame) -> None:
    counts = count(table, CLASSES, ("race",))
    mix = label_mix(counts.confusion.sum(axis=1))
    found = widest_gap(counts, mix, deal(counts, 10, np.random.default_rng(0)))
    expected = slow.widest_gap_statistic(
        table["label"] == table["predicted"], table["label"], table["race"], dict(zip(CLASSES, mix, strict=True))
    )
    assert (0.0 if found is None else found.statistic) == pytest.approx(expected)


def test_a_planted_gap_is_found_and_named() -> None:
    counts = _table(np.random.default_rng(2), 1500, 0.12)
    rng = np.random.default_rng(3)
    found = widest_gap(counts, label_mix(counts.labelled.sum(axis=0)), deal(counts, 2000, rng))
    assert found is not None and found.worst == "a" and found.p_value < 0.001 and found.difference < -0.05


def test_other_label_mixes_alone_are_no_gap() -> None:
    p_values = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        counts = _table(rng, 300, 0.0)
        found = widest_gap(counts, label_mix(counts.labelled.sum(axis=0)), deal(counts, 400, rng))
        assert found is not None
        p_values.append(found.p_value)
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.04)


def test_the_clearest_cell_is_the_planted_one() -> None:
    counts = _table(np.random.default_rng(4), 1500, 0.0)
    table = counts.table.copy()
    table[1, 1, 1], table[1, 1, 2] = table[1, 1, 1] - 100, table[1, 1, 2] + 100
    counts = Counts("race", counts.groups, counts.classes, table)
    cell = clearest_cell(counts, deal(counts, 1000, np.random.default_rng(5)))
    assert cell is not None and (cell.group, cell.class_name) == ("b", "happy")
    assert cell.p_value < 0.01 and cell.recall < cell.elsewhere


def test_the_clearest_cell_is_as_clear_however_many_images_there_are() -> None:
    counts = _table(np.random.default_rng(4), 300, 0.0)
    found = []
    for times in (1, 400):
        many = Counts("race", counts.groups, counts.classes, counts.table * times)
        cell = clearest_cell(many, np.zeros((1, *counts.labelled.shape)))
        assert cell is not None
        found.append((cell.group, cell.class_name, cell.statistic / times**0.5))
    assert found[0][:2] == found[1][:2] and found[1][2] == pytest.approx(found[0][2], rel=0.01)
