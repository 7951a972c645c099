"""Tables at the edge: no labels, one row, one class, two classes, empty attributes, odd names."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from audit.run import AuditRun
from audit.summary import summary
from faces.emotions import LabelSet
from tests.unit.stats_runs import CLASSES, predictions, run_of


def _told(run: AuditRun) -> dict:
    return json.loads(json.dumps(summary(run), allow_nan=False))


def test_rows_without_any_label(tmp_path) -> None:
    table = predictions(20).assign(label=None)
    told = _told(run_of(table, tmp_path))
    assert told["n"] == 0 and told["accuracy"] == {"value": None, "low": None, "high": None}
    assert {"FV-D002", "FV-M001"} <= {one["code"] for one in told["findings"]}
    assert told["groups"] == [] and told["disparities"] == [] and told["label_issues"] == []


def test_one_row(tmp_path) -> None:
    told = _told(run_of(predictions(1).head(1), tmp_path))
    assert told["n"] == 1
    assert [row["too_small"] for row in told["groups"]] == [True, True, True]


def test_one_class_in_the_labels(tmp_path) -> None:
    table = predictions(60)
    told = _told(run_of(table[table["label"] == "sad"], tmp_path))
    assert sum(row["n"] for row in told["per_class"]) == told["n"]
    assert [row["recall"] is None for row in told["per_class"]] == [name != "sad" for name in CLASSES]


@pytest.mark.parametrize("swapped", [False, True])
def test_two_classes(tmp_path, swapped: bool) -> None:
    rng = np.random.default_rng(0)
    label = rng.choice(["happy", "sad"], 400)
    other = np.where(label == "happy", "sad", "happy")
    right = rng.random(400) < (0.15 if swapped else 0.85)
    table = pd.DataFrame(
        {"label": label, "predicted": np.where(right, label, other), "group": rng.choice(["a", "b"], 400)}
    )
    told = _told(run_of(table, tmp_path))
    order = [one for one in told["findings"] if "class order" in one["title"]]
    assert len(order) == swapped
    assert not swapped or "write sad,happy for happy,sad" in order[0]["detail"]


def test_an_attribute_of_one_group_and_one_that_is_mostly_missing(tmp_path) -> None:
    table = predictions(60).assign(gender="woman")
    table["race"] = np.where(np.arange(len(table)) < 5, table["race"], None)
    told = _told(run_of(table, tmp_path))
    assert {row["attribute"] for row in told["groups"]} == {"race", "gender", "race × gender"}
    assert [one["severity"] for one in told["findings"] if one["code"] == "FV-F001"] == ["unchecked"]


def test_names_with_the_crossing_sign_and_markup(tmp_path) -> None:
    table = predictions(200, 0.3)
    table["race"] = table["race"].map({"a": "a × b", "b": "<b>&", "c": "c,d"})
    told = _told(run_of(table, tmp_path))
    assert {"a × b", "<b>&", "c,d"} <= {row["group"] for row in told["groups"]}
    assert any("<b>&" in one["title"] for one in told["findings"])


def test_many_small_groups(tmp_path) -> None:
    rng = np.random.default_rng(0)
    table = predictions(300).assign(city=lambda frame: [f"city {n}" for n in rng.integers(0, 45, len(frame))])
    told = _told(run_of(table, tmp_path))
    small = [row for row in told["groups"] if row["attribute"] == "race × city"]
    assert 130 < len(small) <= 135 and all(row["too_small"] for row in small)


def test_classes_that_nobody_carries(tmp_path) -> None:
    from audit.predictions import audit_predictions

    predictions(60, probabilities=False).to_csv(tmp_path / "table.csv", index=False)
    run = audit_predictions(tmp_path / "table.csv", tmp_path / "run", classes=LabelSet((*CLASSES, "contempt")))
    told = _told(run)
    assert told["per_class"][-1] == {"class": "contempt", "n": 0, "recall": None, "precision": None, "f1": None}
    assert all(row["omitted"] == [] for row in told["groups"] if " × " not in row["attribute"])
