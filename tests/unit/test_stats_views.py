"""Views of the same groups, selection ratios and the plain sentences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from audit import sentences
from audit.counts import Coded, Counts, count
from audit.selection import impact_ratios
from audit.views import (
    LABEL_MIX,
    QUALITY,
    RAW,
    WITHOUT,
    group_views,
    quality_strata,
    views_of,
    votes_of,
    wrong_by_decisions,
    wrong_by_votes,
    wrong_out_of_fold,
)
from faces.emotions import LabelSet
from faces.errors import InputError
from tests.unit.stats_runs import predictions, run_of

CLASSES = ("happy", "sad")


def _samples(n: int = 4000) -> pd.DataFrame:
    """Group b is photographed dark, and dark pictures are judged worse; group itself does not matter."""
    rng = np.random.default_rng(0)
    group = rng.choice(["a", "b"], n)
    brightness = np.where(group == "a", rng.normal(130, 30, n), rng.normal(100, 30, n))
    label = rng.choice(CLASSES, n)
    right = rng.random(n) < np.where(brightness < 105, 0.5, 0.9)
    return pd.DataFrame(
        {
            "sample_id": [str(row) for row in range(n)],
            "label": label,
            "predicted": np.where(right, label, np.where(label == "happy", "sad", "happy")),
            "status": "ok",
            "group": group,
            "brightness": brightness,
            "sharpness": rng.normal(300, 50, n),
        }
    )


def _gap(views: pd.DataFrame, view: str) -> float:
    row = views[(views["view"] == view) & views["difference"].notna()]
    return abs(float(row["difference"].iloc[0]))


def test_a_gap_made_by_dark_pictures_shrinks_in_the_view_adjusted_for_quality() -> None:
    samples = _samples()
    views = group_views(Coded.of(samples, CLASSES, ("group",)), samples, ("group",))
    assert set(views["view"]) == {RAW, LABEL_MIX, QUALITY}
    assert _gap(views, RAW) > 0.1
    assert _gap(views, LABEL_MIX) == pytest.approx(_gap(views, RAW), abs=0.02)
    assert _gap(views, QUALITY) < 0.06


def test_the_raw_view_is_the_accuracy_and_intervals_hold_their_values() -> None:
    samples = _samples()
    views = group_views(Coded.of(samples, CLASSES, ("group",)), samples, ("group",))
    raw = views[views["view"] == RAW].set_index("group")["value"]
    right = samples["label"] == samples["predicted"]
    assert raw["a"] == pytest.approx(right[samples["group"] == "a"].mean())
    assert ((views["low"] < views["value"]) & (views["value"] < views["high"])).all()


def test_the_view_without_wrong_labels_is_offered_only_with_evidence() -> None:
    samples = _samples(400)
    coded = Coded.of(samples, CLASSES, ("group",))
    assert wrong_by_votes(samples, LabelSet(CLASSES)) is None
    wrong = (samples["label"] != samples["predicted"]).to_numpy()
    views = group_views(coded, samples, ("group",), {"votes": wrong})
    without = views[views["view"] == f"{WITHOUT}votes"]
    assert (without["value"] == 1).all()
    assert without["n"].sum() == (~wrong).sum()


def test_votes_find_a_label_wrong_only_where_another_class_has_more() -> None:
    samples = pd.DataFrame(
        {"label": ["happy", "happy", "sad", None], "votes_happy": [3, 5, None, 4], "votes_sad": [6, 5, None, 1]}
    )
    assert wrong_by_votes(samples, LabelSet(CLASSES)).tolist() == [True, False, False, False]
    assert votes_of(samples, LabelSet(CLASSES)).tolist() == [[3, 6], [5, 5], [0, 0], [4, 1]]
    ferplus = samples.rename(columns={"votes_happy": "votes_happiness", "votes_sad": "votes_sadness"})
    assert (votes_of(ferplus, LabelSet(CLASSES)) == votes_of(samples, LabelSet(CLASSES))).all()


def test_out_of_fold_evidence_and_decisions() -> None:
    samples = pd.DataFrame({"sample_id": list("wxyz"), "label": ["happy", "happy", "sad", "sad"]})
    beliefs = np.array([[0.1, 0.9], [0.8, 0.2], [np.nan, np.nan], [0.5, 0.5]])
    assert wrong_out_of_fold(samples, beliefs, LabelSet(CLASSES)).tolist() == [True, False, False, False]
    decided = {"w": "sad", "x": "happy", "z": None}
    assert wrong_by_decisions(samples, decided).tolist() == [True, False, False, True]


def test_what_reviewers_decided_is_one_more_view_of_a_run(tmp_path) -> None:
    run = run_of(predictions(100), tmp_path)
    assert "reviewed decisions" not in " ".join(views_of(run, {})["view"])
    wrong = run.samples.loc[run.samples["label"] != run.samples["predicted"]]
    views = views_of(run, dict(zip(wrong["sample_id"], wrong["predicted"], strict=True)))
    without = views[(views["view"] == f"{WITHOUT}reviewed decisions") & (views["attribute"] == "race")]
    assert (without["value"] == 1).all() and without["n"].sum() == len(run.samples) - len(wrong)


def test_pictures_without_measurements_or_variety_have_no_strata() -> None:
    samples = _samples(30)
    assert set(quality_strata(samples)) <= set(range(9))
    assert quality_strata(samples.drop(columns="brightness")) is None
    assert quality_strata(samples.assign(sharpness=1.0)) is None
    assert quality_strata(samples.assign(brightness=[np.nan, *samples["brightness"][1:]]))[0] == -1


def test_impact_ratios_are_to_the_most_selected_group() -> None:
    table = np.array([[[30, 20], [10, 40]], [[20, 30], [4, 46]], [[1, 0], [0, 1]]])
    frame = impact_ratios(Counts("race", ("a", "b", "c"), CLASSES, table), "happy").set_index("group")
    assert frame.loc["a", "selection_rate"] == 0.4 and frame.loc["b", "selection_rate"] == 0.24
    assert frame.loc["b", "impact_ratio"] == pytest.approx(0.24 / 0.5)
    assert frame["under_four_fifths"].tolist() == [False, True, False]
    assert frame["under_2_percent"].tolist() == [False, False, True]
    assert frame.loc["b", "impact_ratio_low"] < frame.loc["b", "impact_ratio"]
    with pytest.raises(InputError, match="'glad' is not one of happy, sad"):
        impact_ratios(Counts("race", ("a",), CLASSES, table[:1]), "glad")


def test_nobody_selected_leaves_the_ratio_undefined() -> None:
    frame = impact_ratios(Counts("race", ("a", "b"), CLASSES, np.array([[[0, 5], [0, 5]]] * 2)), "happy")
    assert frame["impact_ratio"].isna().all() and (frame["selection_rate"] == 0).all()


def test_a_disparity_reads_as_a_sentence() -> None:
    row = {
        "attribute": "apparent_gender × apparent_race", "group": "woman × asian", "reference": "man × white",
        "metric": "recall", "class": "fear", "n_group": 212, "n_reference": 1318, "value_group": 0.41,
        "value_reference": 0.56, "difference": -0.15, "difference_low": -0.24, "difference_high": -0.06,
    }  # fmt: skip
    assert sentences.disparity(row) == (
        "Fear is recognised in 41.0% of apparent gender woman and apparent race asian against 56.0% of apparent gender "
        "man and apparent race white (difference 15.0 points, 95% interval 6.0 to 24.0, 212 and 1,318 images)."
    )
    undefined = row | {"value_group": float("nan")}
    assert sentences.disparity(undefined).endswith("could not be compared: too few images (212 and 1,318 images).")


def test_mean_by_group_leaves_out_what_is_missing() -> None:
    samples = _samples(6).assign(group=list("aabbbc"))
    coded = Coded.of(samples, CLASSES, ("group",))
    means = coded.mean(np.array([1.0, np.nan, 2.0, 4.0, np.nan, np.nan]), ("group",))
    assert means[:2].tolist() == [1.0, 3.0] and np.isnan(means[2])
    assert coded.rows.tolist() == list(range(6))
    assert count(samples, CLASSES, ("group",)).groups == ("a", "b", "c")
