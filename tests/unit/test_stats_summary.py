"""show --json: the shape the design fixes, figures that agree, and nothing that is no JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, top_k_accuracy_score

from audit.predictions import audit_predictions
from audit.run import AuditRun
from audit.summary import summary
from faces.errors import InputError
from tests.unit.stats_runs import CLASSES, predictions, run_of


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> AuditRun:
    table = predictions(200, 0.1)
    few = table["race"] == "c"
    table.loc[few & (table["label"] == "fear"), "race"] = None
    return run_of(table, tmp_path_factory.mktemp("summary"))


def test_the_summary_has_the_keys_of_the_design(run: AuditRun) -> None:
    text = json.dumps(summary(run), allow_nan=False)
    value = json.loads(text)
    assert value["schema"] == 1 and value["classes"] == list(CLASSES)
    assert set(value) >= {
        "schema", "n", "classes", "accuracy", "per_class", "confusion", "groups", "disparities", "label_issues",
        "findings", "timing",
    }  # fmt: skip
    assert set(value["accuracy"]) == {"value", "low", "high"}
    assert set(value["per_class"][0]) == {"class", "n", "recall", "precision", "f1"}
    assert set(value["groups"][0]) >= {
        "attribute", "group", "n", "accuracy", "low", "high", "standardised", "standardised_low", "standardised_high",
        "omitted",
    }  # fmt: skip
    assert set(value["disparities"][0]) >= {
        "attribute", "metric", "class", "reference", "group", "difference", "difference_low", "difference_high",
        "ratio", "ratio_low", "ratio_high", "p_value", "p_adjusted",
    }  # fmt: skip
    assert set(value["label_issues"][0]) == {"sample_id", "score", "label", "suggested"}
    assert set(value["findings"][0]) == {"code", "severity", "title", "detail"}
    assert set(value["timing"]) == {"inference_s", "pass_s", "total_s"}


def test_further_metrics_of_the_whole_set_equal_scikit_learn(run: AuditRun) -> None:
    label, predicted = (run.samples[name].tolist() for name in ("label", "predicted"))
    value = summary(run)["overall"]
    assert value["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(label, predicted))
    assert value["macro_f1"] == pytest.approx(f1_score(label, predicted, average="macro"))
    codes = [CLASSES.index(name) for name in label]
    assert value["top2_accuracy"] == pytest.approx(top_k_accuracy_score(codes, run.probabilities, k=2))
    assert value["mean_confidence"] == pytest.approx(np.max(run.probabilities, axis=1).mean())
    assert value["vote_agreement"] is None


def test_every_result_of_groups_stands_in_the_summary(run: AuditRun) -> None:
    value = summary(run)
    assert {"top2_accuracy", "ece_debiased", "vote_agreement", "macro_f1_low"} <= set(value["groups"][0])
    assert {"composition_low", "performance_high"} <= set(value["decomposition"][0])
    assert len(value["class_groups"]) == len(value["groups"]) * len(CLASSES)
    for name in ("power", "ranges", "views", "slices"):
        assert len(value[name]) == len(run.table(name))


def test_figures_agree_with_the_table_they_come_from(run: AuditRun) -> None:
    value = summary(run)
    right = (run.samples["label"] == run.samples["predicted"]).mean()
    assert value["accuracy"]["value"] == pytest.approx(right)
    assert value["accuracy"]["low"] < right < value["accuracy"]["high"]
    assert np.trace(value["confusion"]) / np.sum(value["confusion"]) == pytest.approx(right)
    scores = [one["score"] for one in value["label_issues"]]
    assert scores == sorted(scores, reverse=True)


def test_an_undefined_figure_is_null_and_names_what_was_left_out(run: AuditRun) -> None:
    group = next(one for one in summary(run)["groups"] if one["group"] == "c")
    assert group["standardised"] is None and group["standardised_low"] is None
    assert group["omitted"] == ["fear"] and "fear" in group["reason"]
    crossed = [one for one in summary(run)["groups"] if one["attribute"] == "race × gender"]
    assert {one["group"] for one in crossed} >= {"a × man", "b × woman"}


def test_equal_input_gives_equal_results(tmp_path) -> None:
    table = predictions(100, 0.1)
    first, second = (run_of(table, tmp_path, name) for name in ("one", "two"))
    for path in sorted((first.folder / "results").iterdir()):
        assert path.read_bytes() == (second.folder / "results" / path.name).read_bytes(), path.name
    assert (first.folder / "findings.json").read_bytes() == (second.folder / "findings.json").read_bytes()


def test_naming_one_more_attribute_moves_no_figure_of_another(tmp_path) -> None:
    table = predictions(100, 0.1)
    both = run_of(table, tmp_path, "both")
    alone = run_of(table.drop(columns="gender"), tmp_path, "alone")
    for name in ("groups", "class_groups", "decomposition", "power", "calibration"):
        wide, narrow = both.table(name), alone.table(name)
        wide = wide[wide["attribute"].isin(set(narrow["attribute"]))].reset_index(drop=True)
        assert wide.equals(narrow), name


def test_terms_of_comparison_may_be_given(tmp_path) -> None:
    predictions(100, 0.1).to_csv(tmp_path / "table.csv", index=False)
    mix = {"happiness": 3, "sad": 1}
    run = audit_predictions(
        tmp_path / "table.csv", tmp_path / "run", label_mix=mix, references={"race": "c"}, min_group=120
    )
    notes = run.result("fairness")
    assert notes["mix"] == {"angry": 0, "fear": 0, "happy": 0.75, "sad": 0.25, "neutral": 0}
    assert notes["references"]["race"] == "c" and notes["min_group"] == 120
    groups = run.table("groups").set_index("group")
    own = run.samples[run.samples["race"] == "a"]
    recall = (own["label"] == own["predicted"]).groupby(own["label"]).mean()
    assert groups.loc["a", "standardised"] == pytest.approx(0.75 * recall["happy"] + 0.25 * recall["sad"])
    assert groups.loc["a", "too_small"] and not groups.loc["man", "too_small"]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"label_mix": {"bored": 1}}, "names 'bored'"),
        ({"label_mix": {"happy": -1}}, "is none"),
        ({"references": {"shoe": "a"}}, "which was not audited"),
        ({"references": {"race": "z"}}, "its groups are: a, b, c"),
        ({"min_group": -3}, "1 image or more"),
    ],
)
def test_terms_that_make_no_sense_are_refused(terms: dict, message: str, tmp_path) -> None:
    predictions(20).to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(InputError, match=message):
        audit_predictions(tmp_path / "table.csv", tmp_path / "run", **terms)
    assert not (tmp_path / "run").exists()
