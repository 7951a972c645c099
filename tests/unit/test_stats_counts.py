"""Counts and their sister tables: equal to counting one by one, and additive."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.counts import BINS, CROSS, Coded, Counts, attribute_sets, count
from faces.errors import InputError
from tests.reference import stats as slow
from tests.unit.stats_tables import CLASSES, tables


@settings(deadline=None)
@given(tables())
def test_counts_equal_counting_one_by_one(table: pd.DataFrame) -> None:
    for names in ((), ("race",), ("race", "gender")):
        counts = count(table, CLASSES, names)
        known = table.dropna(subset=list(names)) if names else table
        group = [CROSS.join(row[name] for name in names) or "all" for row in known.to_dict("records")]
        assert counts.groups == (tuple(sorted(set(group))) if names else ("all",))
        for name in counts.groups:
            rows = known[[one == name for one in group]]
            assert counts.group(name).tolist() == slow.counts(rows["label"], rows["predicted"], CLASSES)


@settings(deadline=None)
@given(tables(), tables())
def test_tables_of_parts_add_up_to_the_table_of_the_whole(first: pd.DataFrame, second: pd.DataFrame) -> None:
    whole = Coded.of(pd.concat([first, second], ignore_index=True), CLASSES, ("race", "gender"))
    parts = [Coded.of(part, CLASSES, ("race", "gender")) for part in (first, second)]
    for names in ((), ("race",), ("race", "gender")):
        total, left, right = (coded.counts(names) for coded in (whole, *parts))
        assert (left + right).groups == total.groups
        assert np.array_equal((left + right).table, total.table)
        assert np.array_equal((right + left).table, total.table)


@settings(deadline=None)
@given(tables(), st.integers(0, 2**32 - 1))
def test_sister_tables_add_up_and_agree_with_the_counts(table: pd.DataFrame, seed: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(len(CLASSES)), len(table)).astype(np.float32)
    table = table.assign(predicted=np.array(CLASSES)[probabilities.argmax(axis=1)])
    coded = Coded.of(table, CLASSES, ("race",), probabilities)
    half = np.arange(len(coded)) % 2 == 0
    for read in (Coded.ranks, Coded.bins):
        whole, parts = read(coded, ("race",)), [read(coded.where(keep), ("race",)) for keep in (half, ~half)]
        np.testing.assert_allclose((parts[0] + parts[1]).table, whole.table)
    counts, ranks, bins = coded.counts(("race",)), coded.ranks(("race",)), coded.bins(("race",))
    assert np.array_equal(ranks.table.sum(axis=2), counts.labelled)
    assert np.array_equal(ranks.table[..., 0], counts.correct)
    assert np.array_equal(bins.table[..., 0].sum(axis=1), counts.sizes)
    assert np.array_equal(bins.table[..., 1].sum(axis=1), counts.correct.sum(axis=1))
    assert bins.table.shape == (len(counts.groups), BINS, 3)


@settings(deadline=None)
@given(tables())
def test_a_frame_holds_the_whole_table(table: pd.DataFrame) -> None:
    counts = count(table, CLASSES, ("race",))
    frame = pd.concat([count(table, CLASSES).frame(), counts.frame()])
    again = Counts.from_frame(frame, "race", CLASSES)
    assert again.groups == counts.groups
    assert np.array_equal(again.table, counts.table)


@settings(deadline=None)
@given(tables(), st.permutations(CLASSES))
def test_the_order_of_classes_only_reorders_the_table(table: pd.DataFrame, order: list[str]) -> None:
    position = [CLASSES.index(name) for name in order]
    expected = count(table, CLASSES, ("race",)).table[:, position][:, :, position]
    assert np.array_equal(count(table, tuple(order), ("race",)).table, expected)


def test_rows_that_are_not_ok_or_have_no_group_are_left_out() -> None:
    table = pd.DataFrame(
        {
            "label": ["happy", "happy", "sad", None, "happy"],
            "predicted": ["happy", "sad", "sad", "sad", None],
            "race": ["a", None, "b", "a", "b"],
            "status": ["ok", "ok", "ok", "unlabelled", "unreadable"],
        }
    )
    assert count(table, ("happy", "sad")).n == 3
    assert count(table, ("happy", "sad"), ("race",)).groups == ("a", "b")
    assert count(table, ("happy", "sad"), ("race",)).n == 2


def test_tables_of_other_classes_or_attributes_do_not_add_up() -> None:
    table = pd.DataFrame({"label": ["happy"], "predicted": ["sad"], "race": ["a"]})
    counts = count(table, ("happy", "sad"), ("race",))
    with pytest.raises(ValueError, match="do not add up"):
        counts + count(table, ("happy", "sad"))
    with pytest.raises(InputError, match="its groups are: a"):
        counts.group("z")


def test_attributes_come_alone_and_in_pairs() -> None:
    assert attribute_sets(("a", "b", "c")) == (("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"))
