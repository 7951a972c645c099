"""A table of predictions is understood whatever its columns are called, or refused in one sentence."""

from __future__ import annotations

import errno

import numpy as np
import pandas as pd
import pytest

from audit.predictions import audit_predictions, read_predictions
from faces.dataset import NO_PREDICTION
from faces.emotions import LabelSet
from faces.errors import InputError
from tests.unit.stats_runs import CLASSES, predictions, run_of


def _read(table: pd.DataFrame, tmp_path, **options):
    table.to_csv(tmp_path / "table.csv", index=False)
    return read_predictions(tmp_path / "table.csv", **options)


def test_probabilities_in_columns_named_like_the_classes(tmp_path) -> None:
    table = predictions(30).drop(columns="predicted").rename(columns=lambda name: name.removeprefix("prob_"))
    found = _read(table.rename(columns={"happy": "Joy", "label": "y_true"}), tmp_path)
    assert found.labels.names == CLASSES
    assert found.attributes == ("race", "gender")
    np.testing.assert_allclose(found.probabilities, table[list(CLASSES)], atol=1e-6)
    assert found.samples["predicted"].tolist() == table[list(CLASSES)].idxmax(axis=1).tolist()
    assert found.samples["sample_id"].iloc[0] == "00000.png"


def test_predictions_alone_leave_probabilities_undefined(tmp_path) -> None:
    run = run_of(predictions(60, probabilities=False), tmp_path)
    assert np.isnan(run.probabilities).all()
    assert run.samples["confidence"].isna().all() and run.samples["label_issue_score"].isna().all()
    unchecked = {one.code for one in run.findings if one.severity == "unchecked"}
    assert unchecked >= {"FV-M003", "FV-L001", "FV-D006", "FV-M002"}
    assert run.manifest["model"] is None


def test_rows_without_label_or_prediction_stay_with_their_status(tmp_path) -> None:
    table = predictions(20, probabilities=False)
    table.loc[0, "label"], table.loc[1, "predicted"] = None, None
    table.loc[2, "label"] = "bored"
    found = _read(table, tmp_path, classes=LabelSet(CLASSES))
    assert found.samples["status"].head(4).tolist() == ["unlabelled", NO_PREDICTION, "unknown label", "ok"]


def test_a_prediction_that_is_not_the_likeliest_class_is_taken_as_given(tmp_path) -> None:
    table = predictions(20)
    table.loc[0, "predicted"] = next(name for name in CLASSES if name != table.loc[0, "predicted"])
    found = _read(table, tmp_path)
    assert found.samples["predicted"][0] == table.loc[0, "predicted"]
    assert "In 1 rows" in found.notes[0]


def test_ages_are_banded_and_attributes_chosen(tmp_path) -> None:
    table = predictions(20).assign(age=np.tile([8, 25, 64], 20))
    assert set(_read(table, tmp_path).samples["age"]) == {"3-9", "20-29", "60-69"}
    assert _read(table, tmp_path, attributes=["age"]).attributes == ("age",)
    assert "race" not in _read(table, tmp_path, attributes=["age"]).samples
    with pytest.raises(InputError, match="'shoe' is not in the table; its attributes are: race, gender, age"):
        _read(table, tmp_path, attributes=["shoe"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="label"), "no column of labels"),
        (lambda table: table[["label", "race"]], "neither a column of predictions"),
        (lambda table: table.head(0), "has no rows"),
        (lambda table: table.assign(prob_sad=3.0), r"row 2 .* sum to .*; numbers from 0 to 1 that sum to 1"),
        (lambda table: table.drop(columns="prob_sad"), "no column for sad, which is a label: add it"),
        (lambda table: table.assign(prob_sad=["x", *table["prob_sad"][1:]]), "'prob_sad' of .* holds 'x' in row 2"),
        (
            lambda table: table.assign(sample_id="a"),
            "'sample_id' of .* holds 'a' in rows 2 and 3; a name that no other",
        ),
    ],
)
def test_what_is_no_table_of_predictions_is_refused(change, message: str, tmp_path) -> None:
    with pytest.raises(InputError, match=message):
        _read(change(predictions(10)), tmp_path)


def test_numbers_stand_for_the_classes_named_in_order(tmp_path) -> None:
    table = predictions(20)
    numbered = table.rename(columns={f"prob_{name}": f"prob_{at}" for at, name in enumerate(CLASSES)})
    numbered[["label", "predicted"]] = numbered[["label", "predicted"]].apply(lambda one: one.map(CLASSES.index))
    found, named = _read(numbered, tmp_path, classes=LabelSet(CLASSES)), _read(table, tmp_path)
    assert found.samples["label"].tolist() == table["label"].tolist()
    assert found.samples["predicted"].tolist() == table["predicted"].tolist()
    np.testing.assert_array_equal(found.probabilities, named.probabilities)


def test_logits_go_through_softmax_and_a_note_says_so(tmp_path) -> None:
    table = predictions(20).drop(columns="predicted")
    columns = [f"prob_{name}" for name in CLASSES]
    logits = table.assign(**{name: np.log(table[name]) + 3 for name in columns})
    logits = logits.rename(columns={name: name.replace("prob", "logit") for name in columns})
    found = _read(logits, tmp_path)
    np.testing.assert_allclose(found.probabilities, table[columns], atol=1e-6)
    assert "softmax" in found.notes[0]


def test_the_column_of_labels_can_be_named_and_names_that_repeat_are_numbered(tmp_path) -> None:
    table = predictions(20).rename(columns={"label": "said"}).assign(image="a.png")
    found = _read(table, tmp_path, label="said")
    assert found.samples["label"].tolist() == table["said"].tolist()
    assert found.samples["sample_id"].tolist()[:2] == ["1", "2"]
    assert found.notes == ("The column image names several rows alike, so rows go by their number.",)


def test_a_folder_in_use_is_refused(tmp_path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "something").write_text("x")
    predictions(10).to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(InputError, match="exists already"):
        audit_predictions(tmp_path / "table.csv", tmp_path / "run")


def test_a_parquet_table_of_probabilities_is_audited_like_its_csv(tmp_path) -> None:
    table = pd.DataFrame(
        {
            "label": ["happy", "sad", "sad", "happy"] * 10,
            "p_happy": [0.9, 0.2, 0.6, 0.7] * 10,
            "p_sad": [0.1, 0.8, 0.4, 0.3] * 10,
        }
    )
    table.to_csv(tmp_path / "p.csv", index=False)
    table.to_parquet(tmp_path / "p.parquet", index=False)
    first, second = (audit_predictions(tmp_path / f"p.{kind}", tmp_path / kind) for kind in ("csv", "parquet"))
    assert np.array_equal(first.probabilities, second.probabilities)


def test_a_full_disk_is_one_sentence_and_leaves_no_half_a_run(tmp_path, monkeypatch) -> None:
    def full(*given: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    predictions(20).to_csv(tmp_path / "table.csv", index=False)
    with pytest.raises(InputError, match=r"cannot be written to .*run \(No space left on device\)"):
        audit_predictions(tmp_path / "table.csv", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_numbers_from_one_to_the_number_of_classes_are_counted_from_one(tmp_path):
    file = tmp_path / "numbers.csv"
    file.write_text("image,label,predicted\na,1,1\nb,2,1\nc,3,2\nd,3,2\n")
    given = read_predictions(file, LabelSet(("happy", "sad", "angry")))
    assert given.samples["label"].tolist() == ["happy", "sad", "angry", "angry"]
    assert given.samples["predicted"].tolist() == ["happy", "happy", "sad", "sad"]  # none of 3: the labels tell
    assert any("counted from 1: 1 is happy" in note for note in given.notes)
