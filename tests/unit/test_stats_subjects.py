"""Where the data says who is pictured, persons are resampled."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from audit.counts import Coded
from audit.family import compare_groups
from audit.standardise import label_mix
from audit.subjects import by_subject, resample_subjects, stretch, weaken
from tests.unit.stats_runs import CLASSES, run_of


def _pictures(seed: int, persons: int = 30, each: int = 20, spread: float = 0.2) -> pd.DataFrame:
    """Persons of two groups; each is recognised more or less well, with mean 0.7 in both groups."""
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(2 * persons), each)
    skill = np.clip(0.7 + spread * rng.choice([-1, 1], 2 * persons), 0, 1)
    label = rng.integers(0, len(CLASSES), len(person))
    right = rng.random(len(person)) < skill[person]
    predicted = np.where(right, label, (label + rng.integers(1, len(CLASSES), len(person))) % len(CLASSES))
    return pd.DataFrame(
        {
            "label": np.array(CLASSES)[label],
            "predicted": np.array(CLASSES)[predicted],
            "group": np.where(person % 2 == 0, "a", "b"),
            "subject_id": [f"p{number}" for number in person],
            "status": "ok",
        }
    )


def _both(samples: pd.DataFrame):
    coded = Coded.of(samples, CLASSES, ("group",))
    plain = compare_groups(coded, ("group",))
    mix = label_mix(coded.counts().labelled[0])
    return plain, by_subject(plain, coded, samples["subject_id"], mix, 0)


def test_intervals_cover_where_images_taken_for_independent_do_not() -> None:
    held = {"plain": [], "subjects": [], "gap": []}
    for seed in range(50):
        plain, subjects = _both(_pictures(seed))
        for name, found in (("plain", plain), ("subjects", subjects)):
            held[name] += list((found.groups["low"] <= 0.7) & (found.groups["high"] >= 0.7))
        row = subjects.disparities[subjects.disparities["metric"] == "accuracy"].iloc[0]
        held["gap"].append(row["difference_low"] <= 0 <= row["difference_high"])
    assert np.mean(held["plain"]) < 0.85
    assert np.mean(held["subjects"]) >= 0.9 and np.mean(held["gap"]) >= 0.9


def test_tests_are_weakened_and_adjusted_anew() -> None:
    plain, subjects = _both(_pictures(3))
    for frame in ("disparities", "ranges"):
        before, after = getattr(plain, frame)["p_value"].dropna(), getattr(subjects, frame)["p_value"].dropna()
        assert len(before) == len(after) and after.sum() > before.sum()
    assert (subjects.disparities["p_adjusted"].dropna() >= subjects.disparities["p_value"].dropna().min()).all()


def test_one_picture_a_person_changes_little() -> None:
    samples = _pictures(0, spread=0.0)
    samples["subject_id"] = [f"p{row}" for row in range(len(samples))]
    plain, subjects = _both(samples)
    np.testing.assert_allclose(plain.groups["low"], subjects.groups["low"], atol=0.005)
    unknown = _both(samples.assign(subject_id=None))[1]
    np.testing.assert_allclose(plain.groups["low"], unknown.groups["low"], atol=0.005)


def test_a_group_of_one_person_says_nothing_about_others() -> None:
    samples = _pictures(0)
    samples.loc[samples["subject_id"] == "p0", "group"] = "c"
    _, subjects = _both(samples)
    row = subjects.groups.set_index("group").loc["c"]
    assert (row["low"], row["high"]) == (0.0, 1.0)


def test_resampling_keeps_whole_persons() -> None:
    samples = pd.DataFrame({"label": ["happy"] * 4, "predicted": ["happy", "happy", "sad", "sad"], "status": "ok"})
    coded = Coded.of(samples, ("happy", "sad"))
    drawn = resample_subjects(coded, np.array([0, 0, 1, 1]), (), np.random.default_rng(0), 50)
    assert drawn.shape == (50, 1, 2, 2)
    assert set(drawn[:, 0, 0, 0]) == {0, 2, 4} and (drawn.sum(axis=(1, 2, 3)) == 4).all()


def test_stretching_and_weakening() -> None:
    low, high = stretch(
        pd.Series([0.5, np.nan]), pd.Series([0.4, np.nan]), pd.Series([0.7, 1]), np.array([2, 1]), 0, 0.8
    )
    np.testing.assert_allclose(low, [0.3, np.nan])
    np.testing.assert_allclose(high, [0.8, np.nan])
    assert weaken(pd.Series([0.05]), np.array([1.0]))[0] == pytest.approx(0.05)
    assert weaken(pd.Series([0.05]), np.array([2.0]))[0] == pytest.approx(0.327, abs=0.001)


def test_a_run_says_how_many_persons_it_resamples(tmp_path) -> None:
    run = run_of(_pictures(1).drop(columns="status"), tmp_path)
    assert "60 persons" in run.result("fairness")["independence"]
    assert run.attributes == ("group",)
