"""Agreement between reviewers, and their joint verdicts, against slow copies and published numbers."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from audit.review.agreement import agreement, dawid_skene, krippendorff_alpha, ratings
from audit.review.domain import NOT_A_FACE, RELABEL, SKIP, SOFT, Decision, Standing
from tests.reference import labels as reference

opinions = st.lists(st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["fear", "sad", "happy"])), max_size=15)


def table(answers: list[dict[str, str]]) -> pd.DataFrame:
    made = [
        Decision(f"{i}.png", f"c{i}", "run", name, "fear", RELABEL, label)
        for i, given in enumerate(answers)
        for name, label in given.items()
    ]
    return ratings(Standing(made))


def test_alpha_of_krippendorffs_own_example() -> None:
    """Krippendorff 2011, section C: four observers, twelve units, nominal alpha 0.743."""
    published = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = np.array(published, dtype=object).T
    counts = np.array([[sum(value == v for value in unit) for v in range(1, 6)] for unit in units])
    assert krippendorff_alpha(counts) == pytest.approx(0.743, abs=5e-4)


@settings(deadline=None)
@given(opinions)
def test_alpha_and_share_equal_the_slow_copy(answers: list[dict[str, str]]) -> None:
    found = agreement(table(answers))
    units = [list(given.values()) for given in answers if len(given) >= 2]
    values = {value for unit in units for value in unit}
    assert found.pictures == len(units)
    if len(values) < 2:
        assert found.alpha is None
        return
    assert found.alpha == pytest.approx(reference.krippendorff_alpha(units))
    for name in values:
        binary = [["yes" if value == name else "no" for value in unit] for unit in units]
        assert found.alpha_per_class[name] == pytest.approx(reference.krippendorff_alpha(binary))


def test_cohen_and_fleiss_of_two_reviewers() -> None:
    rng = random.Random(0)
    answers = [{"ann": rng.choice("xyz"), "bob": rng.choice("xyz")} for _ in range(60)]
    found = agreement(table([*answers, {"ann": "x"}, {"eve": "x"}]))
    kappa, pictures = found.cohen["ann", "bob"]
    assert kappa == pytest.approx(cohen_kappa_score([a["ann"] for a in answers], [a["bob"] for a in answers]))
    assert (pictures, found.fleiss_pictures, found.fleiss_reviewers) == (60, 60, 2)
    assert found.cohen["ann", "eve"] == (None, 0)
    assert found.fleiss == pytest.approx(kappa, abs=0.05)


def test_perfect_agreement_is_one_and_no_choice_is_undefined() -> None:
    same = agreement(table([{"ann": v, "bob": v} for v in "xyxyz"]))
    assert (same.alpha, same.fleiss, same.share) == (1.0, 1.0, 1.0)
    only = agreement(table([{"ann": "x", "bob": "x"}] * 3))
    assert (only.alpha, only.fleiss, only.share, only.cohen["ann", "bob"][0]) == (None, None, 1.0, None)
    nobody = agreement(table([]))
    assert (nobody.pictures, nobody.share, nobody.alpha, nobody.fleiss) == (0, None, None, None)


@settings(deadline=None)
@given(opinions.filter(lambda answers: any(answers)), st.integers(1, 6))
def test_dawid_skene_equals_the_slow_copy(answers: list[dict[str, str]], rounds: int) -> None:
    given = [answer for answer in answers if answer]
    expected = reference.dawid_skene(given, rounds)
    found = dawid_skene(table(given), rounds=rounds, tolerance=0)
    assert len(found) == len(given)
    for at, shares in enumerate(expected):
        opinion = found[f"c{at}", "fear"].opinion
        assert {name: opinion.get(name, 0.0) for name in shares} == pytest.approx(shares, abs=1e-9)


def test_dawid_skene_trusts_the_reliable() -> None:
    rng = random.Random(1)
    truth = [rng.choice(["fear", "sad", "angry"]) for _ in range(300)]
    wrong = {"ann": 0.05, "bob": 0.6, "eve": 0.6}
    answers = [
        {name: t if rng.random() > rate else rng.choice(["fear", "sad", "angry"]) for name, rate in wrong.items()}
        for t in truth
    ]
    verdicts = dawid_skene(table(answers))
    right = np.mean([verdicts[f"c{i}", "fear"].label == t for i, t in enumerate(truth)])
    assert right > 0.9
    assert dawid_skene(table([])) == {}


def test_skips_are_no_opinion_and_soft_labels_count_as_their_largest_share() -> None:
    made = [
        Decision("a", "c", "run", "ann", "fear", SOFT, soft={"sad": 0.7, "fear": 0.3}),
        Decision("a", "c", "run", "bob", "fear", SKIP),
        Decision("a", "c", "run", "eve", "fear", NOT_A_FACE),
    ]
    assert ratings(Standing(made)).to_dict("records") == [{"ann": "sad", "eve": NOT_A_FACE}]
