"""Representation and stereotype metrics against hand-computed values, scipy, and copies from the definitions."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats.contingency import association, crosstab

from audit.data_audit import inspect_table
from audit.representation import local_stereotypes, representation, stereotype
from faces.errors import InputError
from tests.reference import bias_metrics

PEOPLE = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz")), min_size=1, max_size=60)


def counted(pairs: list[tuple[str, str]]) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    groups, classes = sorted({a for a, _ in pairs}), sorted({b for _, b in pairs})
    table = np.zeros((len(groups), len(classes)), dtype=np.int64)
    for a, b in pairs:
        table[groups.index(a), classes.index(b)] += 1
    return tuple(groups), tuple(classes), table


def test_representation_by_hand():
    found = representation("sex", np.array([60, 40]))
    assert found.richness == 2
    assert found.shannon == pytest.approx(-(0.6 * math.log(0.6) + 0.4 * math.log(0.4)))
    assert found.evenness == pytest.approx(0.9709505944546686)
    assert found.ens == pytest.approx(math.exp(0.6730116670092565))
    assert found.imbalance_ratio == 1.5 and found.berger_parker == 0.6
    assert found.nsd == pytest.approx(0.1 * 2 / 1)
    four = representation("race", np.array([70, 10, 10, 10, 0]))
    assert four.richness == 4 and four.imbalance_ratio == 7
    assert four.nsd == pytest.approx(np.std([0.7, 0.1, 0.1, 0.1]) * 4 / math.sqrt(3)) == pytest.approx(0.6)


def test_one_group_or_none():
    one = representation("sex", np.array([5]))
    assert (one.richness, one.shannon, one.evenness, one.ens) == (1, 0.0, None, 1.0)
    assert (one.imbalance_ratio, one.berger_parker, one.nsd) == (1.0, 1.0, None)
    none = representation("sex", np.array([], dtype=int))
    assert none.richness == 0 and none.ens is None and none.berger_parker is None
    assert stereotype("sex", np.array([[3, 4]])).cramers_v is None
    assert stereotype("sex", np.array([[3, 4]])).theils_u is None
    assert stereotype("sex", np.array([[3, 4]])).nmi == 0
    assert stereotype("sex", np.array([[7]])).nmi is None
    assert stereotype("sex", np.zeros((0, 3))).cramers_v is None


@settings(deadline=None)
@given(st.lists(st.integers(1, 500), min_size=1, max_size=9))
def test_representation_equals_its_definitions(counts):
    values = [str(group) for group, count in enumerate(counts) for _ in range(count)]
    found = representation("a", np.array(counts))
    assert found.richness == len(counts)
    assert found.shannon == pytest.approx(bias_metrics.entropy(values), abs=1e-12)
    assert found.ens == pytest.approx(math.exp(found.shannon)) and 1 - 1e-9 <= found.ens <= len(counts) + 1e-9
    assert found.imbalance_ratio == max(counts) / min(counts)
    assert found.berger_parker == pytest.approx(max(counts) / sum(counts))
    if len(counts) > 1:
        assert found.evenness == pytest.approx(found.shannon / math.log(len(counts)))
        assert -1e-9 <= found.nsd <= 1 + 1e-9


@settings(deadline=None)
@given(PEOPLE)
def test_stereotypes_equal_scipy_and_their_definitions(pairs):
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    *_, table = counted(pairs)
    found = stereotype("a", table)
    shared = bias_metrics.mutual_information(a, b)
    if min(table.shape) > 1:
        expected = association(crosstab(a, b).count, method="cramer", correction=True)
        assert found.cramers_v == pytest.approx(expected)
    else:
        assert found.cramers_v is None
    for value, whole in ((found.theils_u, bias_metrics.entropy(a)), (found.nmi, bias_metrics.entropy(pairs))):
        if whole < 1e-12:
            assert value is None
        else:
            assert value == pytest.approx(shared / whole, abs=1e-9)


@settings(deadline=None)
@given(PEOPLE)
def test_local_stereotypes_equal_their_definitions(pairs):
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    groups, classes, table = counted(pairs)
    frame = local_stereotypes("a", groups, classes, table)
    assert [(x, y) for x, y in zip(frame["group"], frame["class"], strict=True)] == [
        (x, y) for x in groups for y in classes
    ]
    for row in frame.itertuples():
        x, y = row.group, row[3]
        expected = bias_metrics.npmi(a, b, x, y)
        assert math.isnan(row.npmi) if expected is None else row.npmi == pytest.approx(expected, abs=1e-9)
        assert row.duchers_z == pytest.approx(bias_metrics.duchers_z(a, b, x, y), abs=1e-9)
        assert row.lewontins_d == pytest.approx(bias_metrics.lewontins_d(a, b, x, y), abs=1e-12)


def test_local_stereotypes_by_hand():
    # 100 people: 50 women, 30 happy, 25 of them women
    frame = local_stereotypes("sex", ("woman", "man"), ("happy", "sad"), np.array([[25, 25], [5, 45]]))
    first = frame.iloc[0]
    assert first["lewontins_d"] == pytest.approx(0.25 - 0.5 * 0.3)
    assert first["duchers_z"] == pytest.approx(0.10 / (0.3 - 0.15))
    assert first["npmi"] == pytest.approx(math.log(0.25 / 0.15) / -math.log(0.25))
    second = frame.iloc[1]
    assert second["duchers_z"] == pytest.approx(-0.10 / (0.35 - (0.5 + 0.7 - 1)))
    never = local_stereotypes("sex", ("woman", "man"), ("happy", "sad"), np.array([[0, 5], [5, 0]])).iloc[0]
    assert (never["npmi"], never["duchers_z"]) == (-1.0, -1.0)


@settings(deadline=None)
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 5))
def test_independent_attributes_show_no_stereotype(x, y, times):
    table = times * np.outer([x, 1, 2], [y, 3])
    assert stereotype("a", table).theils_u == pytest.approx(0, abs=1e-9)
    frame = local_stereotypes("a", ("p", "q", "r"), ("s", "t"), table)
    assert np.allclose(frame[["npmi", "duchers_z", "lewontins_d"]], 0, atol=1e-9)


# ---- a table without pictures


def write(path, columns):
    pd.DataFrame(columns).to_csv(path, index=False)
    return path


KEYS = {"n", "classes", "unreadable", "duplicates", "representation", "stereotypes", "local"}


def test_a_table_needs_no_pictures(tmp_path):
    path = write(
        tmp_path / "t.csv",
        {
            "image": ["a.png"] * 6,
            "label": ["joy", "sadness", "joy", "joy", None, "sadness"],
            "gender": ["woman", "man", "woman", "man", "man", None],
            "age": [3, 33, 44, 55, 66, 77],
            "race": ["a"] * 6,
        },
    )
    found = inspect_table(path, "label", ["gender", "race"]).json()
    assert found.keys() >= KEYS and json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["n"] == 6 and found["classes"] == ["happy", "sad"]
    assert found["unreadable"] is None and set(found["duplicates"].values()) == {None}
    assert [entry["attribute"] for entry in found["representation"]] == ["gender", "race"]
    assert found["representation"][0]["imbalance_ratio"] == 1.5
    assert found["representation"][1] == {
        "attribute": "race", "richness": 1, "shannon": 0.0, "evenness": None, "ens": 1.0, "imbalance_ratio": 1.0,
        "berger_parker": 1.0, "nsd": None,
    }  # fmt: skip
    known = [("woman", "happy"), ("man", "sad"), ("woman", "happy"), ("man", "happy")]
    a, b = [pair[0] for pair in known], [pair[1] for pair in known]
    local = {(row["group"], row["class"]): row for row in found["local"] if row["attribute"] == "gender"}
    assert local["woman", "happy"]["npmi"] == pytest.approx(bias_metrics.npmi(a, b, "woman", "happy"))
    assert local["woman", "sad"]["npmi"] == -1
    everything = inspect_table(path)
    assert [entry.attribute for entry in everything.representation] == ["gender", "age", "race"]
    ages = inspect_table(path, "label", ["age"])
    assert set(ages.local["group"]) == {"3-9", "30-39", "40-49", "50-59", "70+"}


@pytest.mark.parametrize(
    ("label", "attributes", "message"),
    [
        ("mood", None, "no column 'mood'"),
        ("label", ["height"], "'height' is not in .*; it has: label, sex"),
        (None, None, None),
    ],
)
def test_wrong_columns_are_named(tmp_path, label, attributes, message):
    path = write(tmp_path / "t.csv", {"label": ["happy", "sad"], "sex": ["f", "m"]})
    if message is None:
        assert inspect_table(path, label, attributes).n == 2
    else:
        with pytest.raises(InputError, match=message):
            inspect_table(path, label, attributes)


def test_one_class_and_no_attribute(tmp_path):
    found = inspect_table(write(tmp_path / "t.csv", {"emotion": ["happy"] * 3})).json()
    assert (found["classes"], found["representation"], found["local"]) == (["happy"], [], [])
    found = inspect_table(write(tmp_path / "u.csv", {"emotion": ["happy"] * 3, "sex": ["f", "m", None]}))
    assert found.stereotypes[0].cramers_v is None and found.local["npmi"].tolist() == [0.0, 0.0]
