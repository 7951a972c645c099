"""Label sets: one spelling for each emotion, orders that are kept, and what is no class list."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faces.dataset import split_name
from faces.emotions import ALIASES, PUBLISHED_ORDERS, LabelSet, canonical
from faces.errors import InputError

ANY_NAME = st.sampled_from([name for known, aliases in ALIASES.items() for name in (known, *aliases)])


@settings(deadline=None)
@given(ANY_NAME, st.sampled_from([str.upper, str.title, str.lower, " {} ".format]))
def test_aliases_have_one_spelling(name, write):
    assert canonical(write(name)) == canonical(name) in ALIASES
    assert canonical(canonical(name)) == canonical(name)


@settings(deadline=None)
@given(st.permutations(list(ALIASES)), st.integers(2, 8))
def test_order_is_kept_and_positions_are_found(names, k):
    labels = LabelSet.parse(",".join(names[:k]))
    assert labels.names == tuple(names[:k]) and len(labels) == k
    assert [labels.index(name) for name in labels] == list(range(k))
    assert np.array_equal(labels.encode([*names[:k], None, "bored"]), [*range(k), -1, -1])
    assert LabelSet.of(reversed(names[:k])) == LabelSet.of(names[:k])


def test_published_orders_are_label_sets():
    for names in PUBLISHED_ORDERS.values():
        assert LabelSet(names).names == names
    assert LabelSet.of(PUBLISHED_ORDERS["FER+"]).names == (*PUBLISHED_ORDERS["FER-2013"], "contempt")
    assert LabelSet.of(["zen", "happy", "bored"]).names == ("bored", "happy", "zen")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("happy", "at least two"),
        ("", "at least two"),
        ("happy,joy", "'happy' more than once"),
        ("a,,b,a", "'a' more than once"),
    ],
)
def test_what_is_no_class_list(text, message):
    with pytest.raises(InputError, match=message):
        LabelSet.parse(text)
    with pytest.raises(InputError, match="'bored' is not one of happy, sad"):
        LabelSet(("happy", "sad")).index("bored")


def test_splits_have_one_spelling():
    assert split_name(" Training ") == split_name("train") == "train"
    assert split_name("PublicTest") == split_name("test") == "test"
    assert split_name("PrivateTest") != split_name("PublicTest")
    assert split_name("Fold 3") == "fold 3"
