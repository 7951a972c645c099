"""Findings say nothing that a degenerate model or data set makes untrue."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.analyses import analyse
from audit.counts import natural
from audit.run import AuditRun
from faces.errors import InputError

CLASSES = ("angry", "fear", "happy", "sad")
N = 240


def samples(label: np.ndarray, predicted: np.ndarray) -> pd.DataFrame:
    """N images, half of them of women, in three bands of age."""
    names = np.array(CLASSES, dtype=object)
    row = np.arange(len(label))
    return pd.DataFrame(
        {
            "sample_id": [f"{number}.png" for number in row],
            "content_id": [f"{number:064x}" for number in row],
            "split": "test",
            "label": names[label],
            "predicted": names[predicted],
            "status": "ok",
            "age": np.array(["10-19", "3-9", "70+"], dtype=object)[row // 4 % 3],
            "gender": np.array(["man", "woman"], dtype=object)[row // 8 % 2],
            "votes_sadness": row % 10,
            "votes_neutral": 10 - row % 10,
        }
    )


def analysed(folder: Path, frame: pd.DataFrame, probabilities: np.ndarray, attributes: tuple[str, ...]) -> AuditRun:
    folder.mkdir()
    frame.to_parquet(folder / "samples.parquet", index=False)
    np.save(folder / "probabilities.npy", probabilities.astype(np.float32))
    manifest = {"schema": 1, "classes": list(CLASSES), "attributes": list(attributes), "model": None, "options": {}}
    analyse(folder, manifest, 0)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return AuditRun.open(folder)


def of_scores(folder: Path, probabilities: np.ndarray, attributes: tuple[str, ...] = ("age", "gender")) -> AuditRun:
    return analysed(folder, samples(LABEL, probabilities.argmax(axis=1)), probabilities, attributes)


LABEL = np.arange(N) % len(CLASSES)


def sharp(predicted: np.ndarray, seed: int = 0) -> np.ndarray:
    scores = 0.1 * np.random.default_rng(seed).random((N, 4)) + np.eye(4)[predicted]
    return scores / scores.sum(axis=1, keepdims=True)


def texts(run: AuditRun) -> dict[str, tuple[str, str]]:
    return {one.code: (one.severity, one.detail) for one in run.findings}


def test_a_model_that_always_says_the_same_judges_no_label_and_no_group(tmp_path: Path) -> None:
    found = texts(of_scores(tmp_path / "run", np.tile([0.1, 0.1, 0.7, 0.1], (N, 1))))
    assert found["FV-M005"] == (
        "high", "All 240 images are predicted as happy; 25.0% are right. Check the weights and the value range of "
        "--input.",
    )  # fmt: skip
    assert found["FV-L001"][0] == "unchecked" and "no better than chance" in found["FV-L001"][1]
    assert found["FV-F001"][0] == "unchecked" and "within each label" in found["FV-F001"][1]
    assert "FV-M004" not in found and "FV-M001" not in found


def test_a_model_that_guesses_is_told_so(tmp_path: Path) -> None:
    guessed = np.random.default_rng(3).integers(0, 4, N)
    run = of_scores(tmp_path / "run", sharp(guessed))
    found = texts(run)
    assert found["FV-M005"][0] == "high" and "dealing the same predictions out" in found["FV-M005"][1]
    assert found["FV-L001"][0] == "unchecked"
    assert run.findings[0].code == "FV-M005"


def test_a_wrong_class_order_is_read_first_and_judges_no_label(tmp_path: Path) -> None:
    run = of_scores(tmp_path / "run", sharp((LABEL + 1) % 4))
    assert run.findings[0].code == "FV-M001"
    assert "class order" in run.findings[0].title
    found = texts(run)
    assert found["FV-L001"][0] == "unchecked" and "class order" in found["FV-L001"][1]
    assert "FV-M005" not in found
    told = (
        "audit again with --classes sad,angry,fear,happy (and --label-names angry,fear,happy,sad, if labels are numbers"
    )
    assert told in found["FV-M001"][1]


def test_the_columns_of_a_table_whose_class_order_is_wrong_are_to_be_renamed(tmp_path: Path) -> None:
    """Labels that are numbers go by --classes too, so another order of it would change nothing."""
    probabilities = sharp((LABEL + 1) % 4)
    frame = samples(LABEL, probabilities.argmax(axis=1)).assign(content_id=None)
    detail = texts(analysed(tmp_path / "run", frame, probabilities, ()))["FV-M001"][1]
    assert "columns of probabilities, not in its labels, write sad,angry,fear,happy for angry,fear,happy,sad" in detail
    assert "--classes" not in detail


def test_a_good_model_is_not_accused(tmp_path: Path) -> None:
    predicted = np.where(np.arange(N) % 9 == 0, (LABEL + 1) % 4, LABEL)
    found = texts(of_scores(tmp_path / "run", sharp(predicted)))
    assert "FV-M005" not in found and "FV-M001" not in found
    assert found["FV-L001"][0] != "unchecked"


def test_why_groups_could_not_be_compared_is_the_real_reason(tmp_path: Path) -> None:
    nothing = texts(of_scores(tmp_path / "none", sharp(LABEL), ()))
    assert "no attribute was audited" in nothing["FV-F001"][1]
    frame = samples(LABEL, LABEL).assign(gender="woman")
    alone = texts(analysed(tmp_path / "one", frame, sharp(LABEL), ("gender",)))
    assert "no attribute has two groups of at least 30 images" in alone["FV-F001"][1]


def test_votes_change_neither_scores_nor_suggestions(tmp_path: Path) -> None:
    """Votes are judges, not evidence: without them both columns are the same."""
    predicted = np.where(np.arange(N) % 9 == 0, (LABEL + 1) % 4, LABEL)
    frame = samples(LABEL, predicted)
    bare = frame.drop(columns=["votes_sadness", "votes_neutral"])
    columns = ["label_issue_score", "suggested"]
    with_votes, without = (
        analysed(tmp_path / name, table, sharp(predicted), ("gender",)).samples[columns]
        for name, table in (("votes", frame), ("bare", bare))
    )
    assert with_votes["label_issue_score"].notna().all()
    pd.testing.assert_frame_equal(with_votes, without, check_exact=True)


def test_bands_of_age_stand_in_their_natural_order(tmp_path: Path) -> None:
    groups = of_scores(tmp_path / "run", sharp(LABEL)).table("groups")
    assert groups.loc[groups["attribute"] == "age", "group"].tolist() == ["3-9", "10-19", "70+"]
    crossed = groups.loc[groups["attribute"] == "age × gender", "group"].tolist()
    assert [name.partition(" ")[0] for name in crossed] == ["3-9", "3-9", "10-19", "10-19", "70+", "70+"]
    assert sorted(["b10", "b9", "a", "03", "3", "3-9"], key=natural) == ["03", "3", "3-9", "a", "b9", "b10"]


@pytest.mark.parametrize("part", ["findings.json", "samples.parquet", "results/groups.parquet", "probabilities.npy"])
def test_a_damaged_run_is_named_in_one_sentence(tmp_path: Path, part: str) -> None:
    run = of_scores(tmp_path / "run", sharp(LABEL))
    (run.folder / part).write_bytes(b"{")
    with pytest.raises(InputError, match=part.rpartition("/")[2]) as told:
        again = AuditRun.open(run.folder)  # samples and probabilities are told here, before anything is served
        _ = (again.findings, again.samples, again.table("groups"), again.probabilities)
    assert "\n" not in str(told.value)


def test_a_run_without_its_samples_or_facts_is_refused(tmp_path: Path) -> None:
    run = of_scores(tmp_path / "run", sharp(LABEL))
    (run.folder / "samples.parquet").unlink()
    with pytest.raises(InputError, match=r"not whole \(it has no samples.parquet\)"):
        AuditRun.open(run.folder)
    for text, says in (("[]", "holds no manifest"), ('{"schema": 1}', "samples.parquet"), ("{", "not valid JSON")):
        (run.folder / "manifest.json").write_text(text)
        with pytest.raises(InputError, match=says):
            AuditRun.open(run.folder)
