"""Two runs on the same images, and the gate."""

from __future__ import annotations

import json
from dataclasses import replace
from shutil import copytree
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from audit.compare import changed_cells, changes_told, compare, paired_interval, summary_sentence
from audit.run import AuditRun
from faces.errors import InputError
from reports.gate import absolute, gate, load_policy
from tests.unit.stats_runs import CLASSES, predictions, run_of


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    table = predictions(300, 0.1)
    rng = np.random.default_rng(1)
    other = table.copy()
    better, worse = rng.random(len(table)) < 0.12, rng.random(len(table)) < 0.02
    other.loc[better, "predicted"] = other.loc[better, "label"]
    other.loc[worse, "predicted"] = np.where(other.loc[worse, "label"] == "sad", "fear", "sad")
    names = [f"prob_{name}" for name in CLASSES]
    return run_of(table.drop(columns=names), folder, "a"), run_of(other.drop(columns=names), folder, "b")


def test_mcnemar_equals_statsmodels_and_flips_are_both_ways(runs) -> None:
    result = compare(*runs)
    right = [run.samples["label"] == run.samples["predicted"] for run in runs]
    expected = mcnemar(pd.crosstab(*right), exact=True)
    assert result.overall["p_value"] == pytest.approx(expected.pvalue)
    assert result.overall["gained"] == (right[1] & ~right[0]).sum() == len(result.flips("b"))
    assert result.overall["lost"] == (right[0] & ~right[1]).sum() == len(result.flips("a"))
    assert result.overall["difference"] == pytest.approx(right[1].mean() - right[0].mean())
    assert result.overall["difference_low"] < result.overall["difference"] < result.overall["difference_high"]
    assert "b is better" in summary_sentence(result)


def test_exchanging_the_runs_turns_every_sign(runs) -> None:
    forth, back = compare(*runs), compare(*runs[::-1])
    np.testing.assert_allclose(forth.groups["difference"], -back.groups["difference"], atol=1e-12)
    np.testing.assert_allclose(forth.gaps["change"], -back.gaps["change"], atol=1e-12)
    assert forth.overall["p_value"] == back.overall["p_value"]
    assert forth.overall["difference_low"] == pytest.approx(-back.overall["difference_high"])


def test_a_run_compared_with_itself_does_not_differ(runs) -> None:
    result = compare(runs[0], runs[0])
    assert result.overall["difference"] == 0 and result.flips("a").empty and result.flips("b").empty
    assert (changed_cells(result)["change"] == 0).all()
    json.dumps(result.json(), allow_nan=False)


def test_runs_of_one_name_are_told_apart(runs, tmp_path) -> None:
    first, second = (AuditRun.open(copytree(run.folder, tmp_path / run.name / "run")) for run in runs)
    assert summary_sentence(compare(first, second)).endswith(": b/run is better.")


def test_it_is_told_for_whom_the_second_run_is_worse(runs) -> None:
    result = compare(*runs)
    fell = result.per_class.assign(difference=-0.1, p_value=1e-6, n=500)
    worse, better, *_ = changes_told(replace(result, per_class=fell))
    assert worse.startswith("b is worse for ") and all(name in worse for name in CLASSES)
    worse, better, *_ = changes_told(replace(result, per_class=fell.assign(difference=0.1)))
    assert worse == "For no class and no group is b worse beyond chance." and better.startswith("b is better for ")
    told = changes_told(replace(result, per_class=fell.assign(p_value=0.9)))
    assert told[2].startswith("The largest fall is for ") and "95% interval" in told[2]
    itself = changes_told(compare(runs[0], runs[0]))
    assert len(itself) == 2 and all(sentence.startswith("For no class and no group") for sentence in itself)


def test_the_paired_interval_equals_newcombes_example() -> None:
    """Newcombe 1998b, table II: 36, 12, 2, 0 gives 0.0569 to 0.3404 by method 10."""
    low, high = paired_interval(36, 12, 2, 50)
    assert (round(float(low), 4), round(float(high), 4)) == (0.0569, 0.3404)


def test_paired_intervals_cover() -> None:
    rng = np.random.default_rng(4)
    cells = rng.multinomial(150, [0.55, 0.15, 0.08, 0.22], 2000)
    held = [low <= 0.07 <= high for low, high in (paired_interval(*row[:3], 150) for row in cells.tolist())]
    assert np.mean(held) == pytest.approx(0.95, abs=0.015)


def test_runs_of_other_images_or_classes_are_refused(runs, tmp_path) -> None:
    other = predictions(20).assign(image=[f"other{row}" for row in range(60)])
    with pytest.raises(InputError, match="share no image"):
        compare(runs[0], run_of(other, tmp_path, "other"))
    fewer = predictions(20, probabilities=False)
    fewer = fewer[(fewer["label"] != "sad") & (fewer["predicted"] != "sad")]
    with pytest.raises(InputError, match="other classes"):
        compare(runs[0], run_of(fewer, tmp_path, "fewer"))


def _gate(run, text: str, folder):
    (folder / "policy.toml").write_text(text)
    return gate(run, load_policy(folder / "policy.toml"))


def test_a_policy_that_holds_falls_short_or_cannot_be_checked(runs, tmp_path) -> None:
    assert _gate(runs[1], '[floors]\naccuracy = 0.5\nrecall = { "*" = 0.3 }', tmp_path).exit_code == 0
    assert _gate(runs[1], "[floors]\naccuracy = 0.99", tmp_path).exit_code == 1
    assert _gate(runs[1], "[calibration]\nece = 0.1", tmp_path).exit_code == 2
    assert _gate(runs[1], "[calibration]\nece = 0.1\n[floors]\naccuracy = 0.99", tmp_path).exit_code == 1


def test_the_near_end_forgives_and_the_far_end_does_not(runs, tmp_path) -> None:
    disparity = runs[0].table("disparities")
    row = disparity[(disparity["metric"] == "accuracy") & (disparity["group"] == "b")].iloc[0]
    value, nearest, farthest = absolute(row["difference"], row["difference_low"], row["difference_high"])
    assert nearest < value < farthest
    between = (nearest + value) / 2
    for judge, limit, code in (
        ("near", between, 0),
        ("estimate", between, 1),
        ("estimate", (value + farthest) / 2, 0),
        ("far", (value + farthest) / 2, 1),
    ):
        text = f'judge = "{judge}"\n[gaps]\nattributes = ["race"]\naccuracy = {limit:.4f}'
        assert _gate(runs[0], text, tmp_path).exit_code == code, judge


def test_a_baseline_is_found_from_the_policys_folder(runs, tmp_path) -> None:
    baseline = f'[baseline]\nrun = "{runs[1].folder}"\naccuracy_drop = 0.0\nrecall_drop = 0.9\ngap_growth = 0.9'
    verdict = _gate(runs[0], baseline, tmp_path)
    outcome = {rule.name: rule.outcome for rule in verdict.rules}
    assert outcome["drop in accuracy since the baseline"] == "falls short"
    assert outcome["drop in recall of sad since the baseline"] == "holds"
    assert _gate(runs[1], baseline.replace(str(runs[1].folder), str(runs[0].folder)), tmp_path).exit_code == 0


def test_forbidden_findings(runs, tmp_path) -> None:
    verdict = _gate(runs[0], '[findings]\nforbidden = ["FV-M001", "FV-M003"]', tmp_path)
    assert [rule.outcome for rule in verdict.rules] == ["holds", "could not be checked"]
    codes = '["fv-d001", "FV-D005", "FV-D007", "FV-S003", "FV-L002"]'
    verdict = _gate(runs[0], f"[findings]\nforbidden = {codes}", tmp_path)
    assert [rule.outcome for rule in verdict.rules] == ["holds", *["could not be checked"] * 4]
    assert [rule.reason for rule in verdict.rules[1:4]] == ["the run has no pictures"] * 2 + ["the run has no maps"]


def test_junit_says_the_same_as_the_table(runs, tmp_path) -> None:
    verdict = _gate(runs[0], "[floors]\naccuracy = 0.99\nmacro_f1 = 0.1\n[calibration]\nece = 0.1", tmp_path)
    suite = ElementTree.fromstring(verdict.junit())
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    assert len(verdict.lines()) == 3 and "falls short" in verdict.lines()[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[floors]\naccurracy = 0.5", "floors.accurracy"),
        ("[floors]\naccuracy = 50", "floors.accuracy"),
        ("judge = 'far'", "asks nothing"),
        ("[floors]\njudge = 'far'", "asks nothing"),
        ("[baseline]\nrun = 'before'", "asks nothing"),
        ("[findings]\nforbidden = ['FV-X999']", "FV-X999 is no finding's code"),
        ("[floors", "no TOML"),
    ],
)
def test_a_policy_with_a_mistake_names_it(text: str, message: str, tmp_path) -> None:
    (tmp_path / "policy.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_policy(tmp_path / "policy.toml")


def test_names_a_run_does_not_know_are_refused(runs, tmp_path) -> None:
    with pytest.raises(InputError, match="bored"):
        _gate(runs[0], "[floors]\nrecall = { bored = 0.5 }", tmp_path)
    with pytest.raises(InputError, match="the attribute 'shoe'"):
        _gate(runs[0], '[gaps]\nattributes = ["shoe"]\naccuracy = 0.5', tmp_path)
