"""The terms that groups are compared on, as typed and as applied; when an intersection is news of its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from audit.counts import Coded, Counts
from audit.family import beyond_parts, compare_groups
from audit.terms import Terms, read_label_mix, read_references
from audit.views import LABEL_MIX, RAW, evidence_of, group_views
from faces.emotions import LabelSet
from faces.errors import InputError
from reports.chapters.views import moves

CLASSES = ("happy", "sad")


def test_a_label_mix_and_references_are_read_as_typed() -> None:
    assert read_label_mix("happy=0.4, sad = 3") == {"happy": 0.4, "sad": 3.0}
    assert read_references(["race=white", "gender x race=man x white"]) == {
        "race": "white", "gender × race": "man × white",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "happy", "happy=x", "=1", "happy=-1", "happy=nan", "happy=1,happy=2"])
def test_a_label_mix_that_is_none_says_what_is_wrong(text: str) -> None:
    with pytest.raises(InputError, match="label mix"):
        read_label_mix(text)


def test_references_that_are_none_say_so() -> None:
    with pytest.raises(InputError, match="'race' is no attribute with its group"):
        read_references(["race"])
    with pytest.raises(InputError, match="Two reference groups"):
        read_references(["race=a", "race=b"])


def _coded() -> Coded:
    """Group a is shown happy, which is easy; b is shown sad; each is recognised alike within a label."""
    label = np.array([0] * 90 + [1] * 10 + [0] * 10 + [1] * 90)
    right = np.array(
        [True] * 81 + [False] * 9 + [True] * 5 + [False] * 5 + [True] * 9 + [False] + [True] * 45 + [False] * 45
    )
    race = np.repeat([0, 1], 100)
    predicted = np.where(right, label, 1 - label)
    return Coded(CLASSES, label, predicted, {"race": (("a", "b"), race)}, rows=np.arange(200))


def test_the_same_label_mix_moves_a_conclusion_and_is_told() -> None:
    coded = _coded()
    views = group_views(coded, pd.DataFrame(index=range(200)), ("race",), terms=Terms.of(coded))
    gap = views[views["group"] == "b"].set_index("view")["difference"]
    assert gap[RAW] < -0.25 and gap[LABEL_MIX] == pytest.approx(0, abs=1e-9)
    told = " ".join(moves(views))
    assert told.startswith("The conclusion moves for b against a: the raw gap is −") and "at the same label mix" in told
    other = group_views(
        coded, pd.DataFrame(index=range(200)), ("race",), terms=Terms.of(coded, {"references": {"race": "b"}})
    )
    assert other[other["group"] == "a"].set_index("view").loc[RAW, "difference"] == pytest.approx(-gap[RAW])
    same = moves(views[views["view"] == LABEL_MIX].assign(view=RAW))
    assert same == ["The conclusion moves for no group: as it is, every gap tells the same."]


def test_another_model_is_evidence_where_it_was_asked() -> None:
    samples = pd.DataFrame({"label": ["happy", "sad"]})
    asked = np.array([[0.1, 0.9], [np.nan, np.nan]])
    assert evidence_of(samples, LabelSet(CLASSES)) == {}
    assert evidence_of(samples, LabelSet(CLASSES), np.full((2, 2), np.nan)) == {}
    assert evidence_of(samples, LabelSet(CLASSES), asked)["another model"].tolist() == [True, False]


@pytest.mark.parametrize(("worst", "news"), [(0.5, False), (0.2, True)])
def test_an_intersection_is_news_where_its_parts_do_not_add_up_to_it(worst: float, news: bool) -> None:
    """Recalls of 0.8, less 0.15 for each part: 0.5 is what both add up to."""
    recalls = {"man × a": 0.8, "man × b": 0.65, "woman × a": 0.65, "woman × b": worst}
    table = np.zeros((4, 2, 2), dtype=np.int64)
    for at, recall in enumerate(recalls.values()):
        table[at] = [[round(500 * recall), 500 - round(500 * recall)], [500 - round(500 * recall), round(500 * recall)]]
    counts = Counts("gender × race", tuple(recalls), CLASSES, table)
    assert (beyond_parts(counts, "woman × b") < 0.01) == news


def test_three_attributes_are_crossed_where_asked_and_move_no_test() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 900)
    predicted = np.where(rng.random(900) < 0.8, label, 1 - label)
    values = {name: (("a", "b"), rng.integers(0, 2, 900)) for name in ("race", "gender", "age")}
    coded = Coded(CLASSES, label, predicted, values, rows=np.arange(900))
    two, three, one = (
        compare_groups(coded, tuple(values), terms=Terms.of(coded, {"crossed": crossed})) for crossed in (None, 3, 1)
    )
    assert set(three.groups["attribute"]) - set(two.groups["attribute"]) == {"race × gender × age"}
    assert len(three.groups[three.groups["attribute"] == "race × gender × age"]) == 8
    assert set(one.groups["attribute"]) == set(values)
    pd.testing.assert_frame_equal(three.ranges, two.ranges, check_dtype=False)
    both = ["attribute", "metric", "class", "group"]
    crossed = three.disparities["attribute"] == "race × gender × age"
    assert three.disparities.loc[crossed, "p_adjusted"].isna().all()
    pd.testing.assert_frame_equal(
        three.disparities[~crossed].sort_values(both, ignore_index=True),
        two.disparities.sort_values(both, ignore_index=True),
    )
    with pytest.raises(InputError, match="4 attributes cannot be crossed"):
        Terms.of(coded, {"crossed": 4})
