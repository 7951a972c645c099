"""What decisions teach: rates, re-ranking, how many errors are left."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score

from audit.review.learning import LabelRate, Learner

CLASSES = ("fear", "happy", "sad")


def planted(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores that know nothing of the class, labels, and which are wrong: `fear` mostly, `happy` hardly ever."""
    rng = np.random.default_rng(seed)
    labels = np.array(CLASSES, dtype=object)[rng.integers(0, 3, n)]
    odds = rng.normal(0, 1.5, n)
    shift = pd.Series(labels).map({"fear": 1.8, "happy": -2.5, "sad": 0.0}).to_numpy()
    return expit(odds), labels, rng.random(n) < expit(odds + shift)


def learner(score: np.ndarray, labels: np.ndarray, groups: pd.DataFrame | None = None) -> Learner:
    suggested = np.where(labels == "sad", "fear", "sad").astype(object)
    return Learner(
        score, labels, suggested, pd.DataFrame(index=range(len(score))) if groups is None else groups, CLASSES
    )


def test_without_decisions_the_audits_scores_stay() -> None:
    score, labels, _ = planted(100, 0)
    score[3] = np.nan
    learned = learner(score, labels).learn(np.full(100, np.nan))
    np.testing.assert_allclose(learned.score, score)
    assert learned.sentences == ()
    assert learned.errors_left[0] == pytest.approx(np.nansum(score))


@pytest.mark.parametrize("seed", range(4))
def test_two_hundred_random_decisions_sharpen_the_ranking(seed: int) -> None:
    score, labels, wrong = planted(3000, seed)
    outcome = np.full(3000, np.nan)
    asked = np.random.default_rng(seed).permutation(3000)[:200]
    outcome[asked] = wrong[asked]
    learned = learner(score, labels).learn(outcome)
    rest = np.isnan(outcome)
    before, after = (average_precision_score(wrong[rest], s[rest]) for s in (score, learned.score))
    assert after > before + 0.08
    assert learned.errors_left[1] <= wrong[rest].sum() <= learned.errors_left[2]
    for rate in learned.rates:
        assert rate.low - 0.03 <= wrong[labels == rate.name].mean() <= rate.high + 0.03


def test_looking_at_the_doubtful_first_misleads_no_one() -> None:
    score, labels, wrong = planted(3000, 1)
    outcome = np.full(3000, np.nan)
    first = np.argsort(-score)[:400]
    outcome[first] = wrong[first]
    rates = {rate.name: rate for rate in learner(score, labels).learn(outcome).rates}
    truth = {name: wrong[labels == name].mean() for name in CLASSES}
    found = {name: wrong[first][labels[first] == name].mean() for name in CLASSES}
    assert found["sad"] > truth["sad"] + 0.2, "what was looked at is worse than the rest"
    assert abs(rates["sad"].rate - truth["sad"]) < 0.12
    assert rates["fear"].rate > rates["sad"].rate > rates["happy"].rate


def test_a_group_whose_labels_are_worse_is_learnt() -> None:
    rng = np.random.default_rng(0)
    score = np.full(2000, 0.3)
    groups = pd.DataFrame({"light": np.where(rng.random(2000) < 0.3, "dark", "bright")})
    groups.loc[5, "light"] = None
    wrong = rng.random(2000) < np.where(groups["light"] == "dark", 0.7, 0.2)
    labels = np.full(2000, "sad", dtype=object)
    outcome = np.full(2000, np.nan)
    outcome[:400] = wrong[:400]
    learned = learner(score, labels, groups).learn(outcome)
    after = learned.score
    told = {(rate.attribute, rate.name): rate for rate in learned.groups}
    for group in ("dark", "bright"):
        truth = wrong[(groups["light"] == group).to_numpy()].mean()
        assert told["light", group].low - 0.03 <= truth <= told["light", group].high + 0.03
    assert [line for line in learned.sentences if "light is dark hold in about 3 of 10" in line]
    assert learned.overall == pytest.approx(wrong.mean(), abs=0.05)
    assert (
        after[(groups["light"] == "dark").to_numpy()].mean()
        > after[(groups["light"] == "bright").to_numpy()].mean() + 0.2
    )


def test_the_order_of_decisions_and_repeats_do_not_matter() -> None:
    score, labels, wrong = planted(200, 0)
    outcome = np.where(np.arange(200) < 50, wrong, np.nan)
    one = learner(score, labels)
    first = one.learn(outcome)
    one.learn(np.full(200, np.nan))
    np.testing.assert_array_equal(one.learn(outcome).score, first.score)


def test_when_all_is_decided_nothing_is_left() -> None:
    score, labels, wrong = planted(60, 0)
    learned = learner(score, labels).learn(wrong.astype(float))
    assert learned.errors_left == (0.0, 0.0, 0.0)
    assert sum(rate.wrong for rate in learned.rates) == wrong.sum()
    assert [rate.rate for rate in learned.rates] == pytest.approx([wrong[labels == name].mean() for name in CLASSES])


@pytest.mark.parametrize(
    ("rate", "words"), [(0.8, "about 2 of 10 cases"), (0.99, "hardly any case"), (0.01, "nearly all cases")]
)
def test_a_rate_reads_as_a_sentence(rate: float, words: str) -> None:
    assert words in LabelRate("fear", 100, 12, 9, rate, 0, 1).sentence
    assert LabelRate("fear", 100, 12, 9, rate, 0, 1).sentence.startswith("labels `fear` hold in")


def test_a_class_without_labels_has_no_rate_to_speak_of() -> None:
    score, labels, _ = planted(30, 0)
    labels[labels == "happy"] = "sad"
    rates = {rate.name: rate for rate in learner(score, labels).learn(np.full(30, np.nan)).rates}
    assert (rates["happy"].total, rates["happy"].low, rates["happy"].high) == (0, 0.0, 1.0)
