"""Findings: planted faults are named, clean data is not accused, what could not be checked says so."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from audit.classorder import class_order
from audit.confusion import confusable_pairs
from audit.counts import Counts
from audit.duplicates import exact_groups
from audit.findings import data_findings, label_findings, model_findings
from faces.emotions import PUBLISHED_ORDERS
from tests.unit.stats_runs import predictions, run_of

FER = PUBLISHED_ORDERS["FER-2013"]
ALPHABETICAL = PUBLISHED_ORDERS["alphabetical (image folders)"]


def _confusion(rng: np.random.Generator, n: int = 2000) -> np.ndarray:
    """A plausible seven-class matrix: recalls from 0.4 to 0.85, errors spread unevenly."""
    labelled = rng.multinomial(n, [0.14, 0.015, 0.14, 0.25, 0.165, 0.115, 0.175])
    recall = np.array([0.55, 0.45, 0.4, 0.85, 0.5, 0.75, 0.6])
    spread = rng.dirichlet(np.ones(7) * 2, 7)
    np.fill_diagonal(spread, 0)
    rates = spread / spread.sum(axis=1, keepdims=True) * (1 - recall)[:, None] + np.diag(recall)
    return np.stack([rng.multinomial(size, row) for size, row in zip(labelled, rates, strict=True)])


@pytest.mark.parametrize(
    "declared", [ALPHABETICAL, FER[::-1], ("happy", "angry", "disgust", "fear", "sad", "surprise", "neutral")]
)
def test_a_wrong_class_order_is_found_and_the_right_one_named(declared: tuple[str, ...]) -> None:
    """The outputs are in FER-2013's order; column k is read as ``declared[k]``."""
    for seed in range(20):
        matrix = _confusion(np.random.default_rng(seed))
        rows = [FER.index(name) for name in declared]
        order = class_order(matrix[rows], declared)
        assert order is not None
        assert order.classes == FER
        assert order.published == "FER-2013"
        assert order.accuracy_reordered > order.accuracy + 0.1


def test_two_swapped_classes_are_found() -> None:
    declared = ("angry", "disgust", "surprise", "happy", "sad", "fear", "neutral")
    for seed in range(20):
        rows = [FER.index(name) for name in declared]
        order = class_order(_confusion(np.random.default_rng(seed))[rows], declared)
        assert order is not None and order.classes == FER


def test_the_right_order_is_not_accused() -> None:
    for seed in range(200):
        assert class_order(_confusion(np.random.default_rng(seed), 500), FER) is None


def test_a_model_that_always_says_the_same_or_guesses_is_not_accused() -> None:
    constant = np.zeros((7, 7), dtype=np.int64)
    constant[:, 3] = [140, 15, 140, 250, 165, 115, 175]
    assert class_order(constant, FER) is None
    for seed in range(100):
        guesses = np.random.default_rng(seed).multinomial(140, np.ones(7) / 7, 7)
        assert class_order(guesses, FER) is None


def test_a_model_trained_on_other_names_gets_its_best_mapping() -> None:
    names = ("a", "b", "c")
    order = class_order(np.array([[2, 90, 8], [5, 5, 90], [88, 4, 8]]), names)
    assert order is not None and order.published is None
    assert order.classes == ("c", "a", "b")


def _samples(**changes: list) -> pd.DataFrame:
    n = 8
    columns = {
        "sample_id": [f"{row}.png" for row in range(n)],
        "content_id": [f"{row}" for row in range(n)],
        "split": ["train"] * 4 + ["test"] * 4,
        "label": ["happy", "sad"] * 4,
        "predicted": ["happy"] * n,
        "status": ["ok"] * n,
        "brightness": [120.0] * n,
        "contrast": [50.0] * n,
        "seen_in_training": [False] * n,
        "label_issue_score": [0.1] * n,
    }
    return pd.DataFrame(columns | changes)


def _codes(findings: list) -> dict[str, str]:
    return {one.code: one.severity for one in findings}


def test_clean_data_has_no_finding() -> None:
    samples = _samples()
    assert data_findings(samples, exact_groups(samples)) == []
    assert label_findings(samples, True) == []


def test_faults_of_the_data_are_named_and_counted() -> None:
    samples = _samples(
        content_id=["x", "1", "2", "2", "x", "5", None, "7"],
        status=["ok", "ok", "ok", "ok", "ok", "unlabelled", "unreadable", "unknown label"],
        label=["happy", "sad", "happy", "sad", "sad", None, "sad", "bored"],
        contrast=[50.0, 50.0, 50.0, 50.0, 50.0, 3.0, np.nan, 50.0],
    )
    found = data_findings(samples, exact_groups(samples))
    details = {one.code: one.detail for one in found}
    assert list(details) == ["FV-D001", "FV-D002", "FV-D003", "FV-D004", "FV-D005", "FV-D006"]
    assert "1 image of 8 could not be read" in details["FV-D001"] and "6.png" in details["FV-D001"]
    assert "bored" in details["FV-D003"]
    assert "1 picture in more than one split (2 images in all); for 1 of them the labels disagree" in details["FV-D004"]
    assert (
        "4 images are exact copies" in details["FV-D005"] and "2 groups with conflicting labels" in details["FV-D005"]
    )
    assert "1 almost without contrast" in details["FV-D006"]


def test_one_split_and_no_images_could_not_be_checked() -> None:
    samples = _samples(split=["test"] * 8)
    assert _codes(data_findings(samples, exact_groups(samples))) == {"FV-D004": "unchecked"}
    samples = _samples(content_id=[None] * 8).drop(columns=["brightness", "contrast"])
    assert _codes(data_findings(samples, exact_groups(samples))) == {"FV-D004": "unchecked", "FV-D006": "unchecked"}


def test_samples_seen_in_training_are_counted() -> None:
    counts = Counts("", ("all",), ("happy", "sad"), np.array([[[4, 0], [4, 0]]]))
    samples = _samples(seen_in_training=[True, True, True] + [False] * 5)
    found = {one.code: one for one in model_findings(counts, confusable_pairs(counts), None, samples, True)}
    assert found["FV-M002"].severity == "high"
    assert "trained on 3 images of 8" in found["FV-M002"].detail
    assert "of the 5 images it has not seen it gets 40.0% right" in found["FV-M002"].detail
    unknown = {one.code: one for one in model_findings(counts, confusable_pairs(counts), None, samples, False)}
    assert unknown["FV-M002"].severity == "unchecked"


def test_likely_wrong_labels_are_counted() -> None:
    samples = _samples(label_issue_score=[0.9, 0.2, 0.8, 0.1, 0.1, 0.1, np.nan, 0.1])
    (found,) = label_findings(samples, True)
    assert "2 images of 7 are likelier labelled wrong" in found.detail and "happy" in found.detail


def test_a_planted_gap_comes_first_and_a_clean_table_has_none(tmp_path) -> None:
    planted = run_of(predictions(1000, 0.12), tmp_path, "planted")
    fairness = [one for one in planted.findings if one.code.startswith("FV-F")]
    assert fairness[0].code == "FV-F001" and fairness[0].title == "Recognised less well: race b"
    assert "race=b" not in fairness[0].link and "attribute=race" in fairness[0].link
    clean = run_of(predictions(1000), tmp_path, "clean")
    assert [one for one in clean.findings if one.code.startswith("FV-F")] == []
    assert all(dataclasses.asdict(one)["detail"].endswith(".") for one in clean.findings)


def test_without_attributes_groups_could_not_be_compared(tmp_path) -> None:
    run = run_of(predictions(50).drop(columns=["race", "gender"]), tmp_path)
    assert [one.severity for one in run.findings if one.code == "FV-F001"] == ["unchecked"]
    assert run.table("groups").empty and run.table("disparities").empty
