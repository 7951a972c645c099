"""Which labels are wrong: the laws the score keeps, and that it finds planted errors."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from audit import labels as module
from audit.labels import LabelIssues, label_issues, pool
from audit.slips import (
    PUREST,
    ROUNDS,
    calibrate,
    confident_joint,
    error_rates,
    refine_slips,
    slip_rates,
    wrong_in_all,
)
from faces.errors import InputError
from tests.reference import labels as reference

CLASSES = ("angry", "fear", "sad", "neutral")
K = len(CLASSES)


def drawn(n: int, seed: int, rate: float, uneven: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Overlapping classes and a well calibrated model of their (wrong) labels: probabilities, labels, truth, points.

    Uneven errors all go from ``sad`` to ``fear``; even ones from any class to any other.
    """
    rng = np.random.default_rng(seed)
    centres = np.eye(K) * 2.6
    truth = rng.integers(0, K, n)
    points = centres[truth] + rng.normal(size=(n, K))
    share = np.eye(K)
    if uneven:
        share[2] = [0, 3 * rate, 1 - 3 * rate, 0]
    else:
        share = (1 - rate) * share + rate * (1 - np.eye(K)) / (K - 1)
    labels = np.array([rng.choice(K, p=share[c]) for c in truth])
    density = np.exp(-0.5 * ((points[:, None] - centres) ** 2).sum(axis=2))
    posterior = density / density.sum(axis=1, keepdims=True) @ share
    return posterior, labels, truth, points


def found(issues: LabelIssues, wrong: np.ndarray, budget: float) -> float:
    """Share of the wrong labels among the first ``budget`` x as many suggestions."""
    return float(wrong[issues.order[: int(budget * wrong.sum())]].sum() / wrong.sum())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rate", [0.05, 0.15])
def test_flipped_labels_come_first(seed: int, rate: float) -> None:
    p, y, truth, points = drawn(1500, seed, rate, uneven=False)
    issues = label_issues(p, y, CLASSES, points)
    assert found(issues, y != truth, 1.5) >= 0.8


@pytest.mark.parametrize("seed", range(3))
def test_uneven_errors_are_found_far_better_than_by_confidence(seed: int) -> None:
    p, y, truth, points = drawn(1500, seed, 0.15, uneven=True)
    wrong = y != truth
    issues = label_issues(p, y, CLASSES, points)
    by_confidence = np.argsort(p[np.arange(len(y)), y])[: wrong.sum()]
    assert found(issues, wrong, 1.0) >= wrong[by_confidence].mean() + 0.2
    assert error_rates(issues.joint).argmax() == CLASSES.index("fear")
    suggested = issues.suggested[wrong & (issues.score > 0.5)]
    assert (suggested == CLASSES.index("sad")).mean() > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_the_surest_suggestions_are_right_more_often(seed: int) -> None:
    p, y, truth, points = drawn(1500, seed, 0.25, uneven=False)
    issues = label_issues(p, y, CLASSES, points)
    right = issues.suggested == truth
    few = int((y != truth).sum() // 2)
    assert right[issues.surest[:few]].mean() >= right[issues.order[:few]].mean()
    assert issues.suggestion_score.mean() == pytest.approx((right & (y != truth)).mean(), abs=0.08)


@pytest.mark.parametrize("uneven", [True, False])
def test_the_scores_add_up_to_the_estimated_number_of_errors(uneven: bool) -> None:
    p, y, truth, _ = drawn(2000, 0, 0.15, uneven)
    issues = label_issues(p, y, CLASSES)
    assert issues.score.mean() == pytest.approx(wrong_in_all(calibrate(p, y), y), abs=1e-6)
    assert issues.score.mean() == pytest.approx((y != truth).mean(), abs=0.06)
    assert issues.joint.sum(axis=1) == pytest.approx(np.bincount(y, minlength=K))


@settings(deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 12), st.just(K)), elements=st.floats(0, 1)),
    st.randoms(use_true_random=False),
)
def test_any_probabilities_give_scores_in_range(values: np.ndarray, random: object) -> None:
    p = (values + 1e-3) / (values + 1e-3).sum(axis=1, keepdims=True)
    y = np.array([random.randrange(-1, K) for _ in range(len(p))])  # type: ignore[attr-defined]
    issues = label_issues(p, y, CLASSES, embeddings=values, content=[str(i % 3) for i in range(len(p))])
    known = y >= 0
    assert ((issues.score[known] >= 0) & (issues.score[known] <= 1)).all()
    assert np.isnan(issues.score[~known]).all()
    assert (issues.suggestion_score[known] >= 0).all()
    assert (issues.suggestion_score[known] <= issues.score[known]).all()
    assert np.isnan(issues.suggestion_score[~known]).all()
    assert sorted(issues.surest) == sorted(issues.order)
    assert (issues.suggested[known] != y[known]).all()
    assert (issues.suggested[known] >= 0).all()
    assert sorted(issues.order) == np.flatnonzero(known).tolist()
    assert len(issues.frame()) == len(p)


@settings(deadline=None)
@given(st.permutations(range(K)), st.integers(0, 5))
def test_the_order_of_classes_and_samples_does_not_matter(order: list[int], seed: int) -> None:
    p, y, _, points = drawn(80, seed, 0.2, uneven=False)
    rows = np.random.default_rng(seed).permutation(len(y))
    plain = label_issues(p, y, CLASSES, points)
    names = [CLASSES[c] for c in order]
    moved = label_issues(p[rows][:, order], np.argsort(order)[y[rows]], names, points[rows])
    assert moved.score == pytest.approx(plain.score[rows], abs=1e-6)
    assert moved.suggested_names().tolist() == plain.suggested_names()[rows].tolist()


@settings(deadline=None)
@given(st.integers(0, 30))
def test_the_confident_joint_and_slip_rates_equal_their_slow_copies(seed: int) -> None:
    p, y, _, _ = drawn(60, seed, 0.2, uneven=seed % 2 == 0)
    assert confident_joint(p, y) == pytest.approx(reference.confident_joint(p, y))
    rates = slip_rates(p)
    assert rates == pytest.approx(reference.slip_rates(p, PUREST))
    assert refine_slips(rates, p, y) == pytest.approx(reference.refine_slips(rates, p, y, ROUNDS))


def test_an_overconfident_model_ranks_as_the_calibrated_one() -> None:
    p, y, _, _ = drawn(800, 0, 0.15, uneven=True)
    p = 0.9 * p + 0.1 / K
    sharp = p**3 / (p**3).sum(axis=1, keepdims=True)
    assert label_issues(sharp, y, CLASSES).score == pytest.approx(label_issues(p, y, CLASSES).score, abs=1e-3)


def test_copies_labelled_otherwise_raise_doubt_and_name_the_label() -> None:
    p, y, _, _ = drawn(400, 0, 0.1, uneven=False)
    p[:2], y[:3] = [0.45, 0.45, 0.05, 0.05], [0, 1, 0]
    content: list[str | None] = [str(i) for i in range(400)]
    content[1] = content[0]
    content[3] = None
    alone = label_issues(p, y, CLASSES)
    together = label_issues(p, y, CLASSES, content=content)
    assert together.score[0] > alone.score[0]
    assert together.score[1] > alone.score[1]
    assert together.suggested[:2].tolist() == [1, 0]
    assert together.duplicates[:2].tolist() == [1.0, 1.0]
    assert np.isnan(together.duplicates[2:]).all()
    assert "100% of the copies of this picture" in together.reason(0)
    assert together.score[4:] == pytest.approx(alone.score[4:], abs=1e-9)


def test_copies_with_the_same_label_say_nothing() -> None:
    p, y, _, _ = drawn(200, 0, 0.1, uneven=False)
    y[1] = y[0]
    content = ["same", "same", *map(str, range(198))]
    alike = label_issues(p, y, CLASSES, content=content)
    assert alike.score == pytest.approx(label_issues(p, y, CLASSES).score)
    assert alike.duplicates[:2].tolist() == [0.0, 0.0]
    assert "copies" not in alike.reason(0)


def test_out_of_fold_probabilities_replace_those_of_seen_samples() -> None:
    p, y, _, _ = drawn(300, 0, 0.15, uneven=False)
    learnt_by_heart = np.full_like(p, 0.01)
    learnt_by_heart[np.arange(300), y] = 0.97
    fold = p.copy()
    fold[200:] = np.nan
    pooled = pool(learnt_by_heart, fold, ())
    assert (pooled[:200] == p[:200]).all()
    assert (pooled[200:] == learnt_by_heart[200:]).all()
    whole = label_issues(learnt_by_heart, y, CLASSES, out_of_fold=p)
    assert whole.score == pytest.approx(label_issues(p, y, CLASSES).score)


def test_embeddings_that_learnt_the_labels_are_not_asked() -> None:
    p, y, _, points = drawn(300, 0, 0.15, uneven=False)
    by_heart = np.eye(K)[y] + points / 100
    whole = label_issues(p, y, CLASSES, by_heart, seen=np.ones(300, bool))
    assert whole.score == pytest.approx(label_issues(p, y, CLASSES).score)
    assert np.isnan(whole.neighbours).all()
    fold = np.where(np.arange(300)[:, None] < 100, p, np.nan)
    part = label_issues(p, y, CLASSES, by_heart, out_of_fold=fold)
    assert np.isnan(part.neighbours[:100]).all()
    assert np.isfinite(part.neighbours[100:]).all()


def test_a_committee_is_averaged() -> None:
    p, y, _, _ = drawn(300, 0, 0.15, uneven=False)
    q = p[:, ::-1]
    both = label_issues(p, y, CLASSES, committee=[q])
    assert both.score == pytest.approx(label_issues((p + q) / 2, y, CLASSES).score)


def test_neighbours_count_as_far_as_they_help() -> None:
    p, y, truth, points = drawn(900, 1, 0.2, uneven=False)
    vague = 0.9 / K + 0.1 * p
    wrong = y != truth
    with_neighbours = label_issues(vague, y, CLASSES, points * 3)
    assert found(with_neighbours, wrong, 1.0) >= found(label_issues(vague, y, CLASSES), wrong, 1.0)
    noise = np.random.default_rng(0).normal(size=(900, 6))
    useless = label_issues(p, y, CLASSES, noise)
    assert found(useless, wrong, 1.0) >= found(label_issues(p, y, CLASSES), wrong, 1.0) - 0.03
    assert "of the most similar faces" in useless.reason(int(useless.order[0]))


def test_rows_without_label_or_probabilities_are_left_out() -> None:
    p, y, _, points = drawn(50, 0, 0.2, uneven=False)
    p[3] = np.nan
    y[4] = -1
    issues = label_issues(p, y, CLASSES, points)
    assert np.isnan(issues.score[[3, 4]]).all()
    assert issues.suggested_names()[[3, 4]].tolist() == [None, None]
    assert issues.reason(3).startswith("No label to judge")
    assert np.isfinite(np.delete(issues.score, [3, 4])).all()


@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_samples_are_no_trouble(n: int) -> None:
    p, y, _, points = drawn(5, 0, 0.2, uneven=False)
    issues = label_issues(p[:n], y[:n], CLASSES, points[:n], content=["a"] * n)
    assert len(issues.score) == n
    assert (np.isfinite(issues.score)).all()
    assert issues.error_rates.shape == (K,)


def test_one_class_alone_and_certainty_are_no_trouble() -> None:
    p = np.zeros((20, K))
    p[:, 1] = 1
    issues = label_issues(p, np.ones(20, int), CLASSES)
    assert (issues.score < 0.1).all()
    assert issues.error_rates[1] < 0.1


def test_shapes_that_do_not_fit_are_named() -> None:
    p, y, _, _ = drawn(10, 0, 0.2, uneven=False)
    with pytest.raises(InputError, match=r"probabilities have shape \(9, 4\); \(10, 4\)"):
        label_issues(p[:9], y, CLASSES)
    with pytest.raises(InputError, match="committee member 2"):
        label_issues(p, y, CLASSES, committee=[p, p[:, :2]])
    with pytest.raises(InputError, match="out-of-fold"):
        label_issues(p, y, CLASSES, out_of_fold=p[:, :2])


def test_no_function_here_takes_votes() -> None:
    for _, function in inspect.getmembers(module, inspect.isfunction):
        assert not any("vote" in name for name in inspect.signature(function).parameters)
