"""The leaderboard: read from run folders, with the intervals that figures deserve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from audit.jsonsafe import records
from audit.leaderboard import CLASSES, SYSTEMS, TASKS, Entry, Published, agreement, entry, leaderboard, published
from audit.run import SCHEMA_VERSION, AuditRun
from faces.emotions import LabelSet
from faces.errors import InputError
from training.recipe import recipe_names

NAMES = ("angry", "happy", "sad", "fear")


def run_folder(
    folder: Path, recipe: str, right: int, n: int = 100, classes: int = 2, names: Sequence[str] = NAMES
) -> Path:
    """A run folder with the files that the leaderboard reads."""
    (folder / "results").mkdir(parents=True)
    (folder / "model").mkdir()
    (folder / "model" / "weights.safetensors").write_bytes(b"0" * 2_000_000)
    card = {"recipe": {"name": recipe}, "figures": {"parameters": 1000}}
    model = {"name": recipe, "path": "/gone", "relative_path": "model", "card": card, "trained_on": 9}
    facts = {"schema": SCHEMA_VERSION, "data": {}, "attributes": [], "saliency": {}, "options": {}, "seed": 0}
    told = {**facts, "classes": names[:classes], "model": model}
    (folder / "manifest.json").write_text(json.dumps(told))
    (folder / "findings.json").write_text("[]")
    np.save(folder / "probabilities.npy", np.zeros((n + 1, classes), np.float32))
    (folder / "timing.json").write_text(json.dumps({"inference_s": 0.2}))
    (folder / "results" / "calibration.json").write_text(json.dumps({"ece": 0.04}))
    predicted = ["angry"] * right + ["happy"] * (n - right) + ["angry"]
    status = ["ok"] * n + ["unreadable"]
    pd.DataFrame({"label": "angry", "predicted": predicted, "status": status}).to_parquet(folder / "samples.parquet")
    groups = {
        "attribute": ["age", "age", "age × gender", "gender", "gender"],
        "group": ["10-19", "20-29", "10-19 × man", "man", "woman"],
        "too_small": [False, False, False, False, True],
        "standardised": [0.6, None, 0.1, 0.7, 0.3],
    }
    pd.DataFrame(groups).to_parquet(folder / "results" / "groups.parquet")
    return folder


def entry_of(folder: Path) -> Entry:
    return entry(AuditRun.open(folder))


def test_runs_are_ranked_within_their_number_of_classes(tmp_path: Path) -> None:
    runs = [
        run_folder(tmp_path / "a", "system-3-cnn-small", 60, names=["happy", "sad"]),
        run_folder(tmp_path / "b", "mine", 80),
        run_folder(tmp_path / "c", "system-4-cnn", 70, classes=4),
    ]
    table = leaderboard(runs)
    assert table["run"].tolist() == ["b", "a", "c"]
    first = table.iloc[0]
    assert (first["n"], first["accuracy"], first["parameters"]) == (100, 0.8, 1000)
    assert first["low"] == pytest.approx(0.7112, abs=1e-4) and first["high"] == pytest.approx(0.8666, abs=1e-4)
    assert first["megabytes"] == 2 and first["milliseconds"] == pytest.approx(200 / 101)
    assert (first["calibration_error"], first["worst_group"], first["worst_group_accuracy"]) == (0.04, "age 10-19", 0.6)
    assert pd.isna(first["published"])
    assert table.iloc[1]["published"] == 0.95


def test_votes_that_agree_are_told_beside_and_rank_nothing() -> None:
    judged = pd.DataFrame(
        {"predicted": ["angry", "happy", "happy"], "votes_anger": [3, 5, 0], "votes_happiness": [6, 5, 0]}
    )
    assert agreement(judged, LabelSet(("angry", "happy"))) == 0.5
    assert agreement(judged, LabelSet(("angry", "sad"))) is None


def test_a_figure_on_few_images_has_the_interval_it_deserves() -> None:
    claimed = Published(0, 0.93, 128)
    low, high = claimed.interval or (0, 0)
    assert (low, high) == (pytest.approx(0.8720, abs=1e-3), pytest.approx(0.9628, abs=1e-3))
    assert "on 128 images can mean anything from 87.2% to 96.3%" in claimed.meaning()
    assert Published(0, 0.93).interval is None and "is not told" in Published(0, 0.93).meaning()


def test_every_published_figure_belongs_to_a_recipe() -> None:
    assert set(SYSTEMS) <= set(recipe_names())
    assert set(TASKS.values()) <= set(SYSTEMS)


def test_other_recipes_are_held_against_the_best_figure_of_their_task(tmp_path: Path) -> None:
    found = entry_of(run_folder(tmp_path / "a", "mine", 90, names=["sad", "happy"]))
    assert found.published == 0.95 and found.meaning is not None and "System 3" in found.meaning


def test_images_that_the_model_was_trained_on_are_left_out(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "a", "mine", 60)
    samples = pd.read_parquet(run / "samples.parquet")
    samples["seen_in_training"] = [True] * 50 + [False] * 51
    samples.to_parquet(run / "samples.parquet")
    assert entry_of(run).unseen == pytest.approx(10 / 50)


def test_a_run_of_predictions_has_no_model_to_measure(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "a", "mine", 60)
    manifest = json.loads((run / "manifest.json").read_text()) | {"model": None}
    (run / "manifest.json").write_text(json.dumps(manifest))
    found = entry_of(run)
    assert (found.recipe, found.parameters, found.megabytes) == ("predictions", None, None)


def test_folders_that_are_no_runs_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a finished audit run"):
        leaderboard([tmp_path])
    with pytest.raises(InputError, match="No runs were given"):
        leaderboard([])


def test_a_figure_is_of_its_own_system_and_its_own_classes() -> None:
    seven, four = sorted(CLASSES[2]), sorted(CLASSES[0])
    assert published("system-0-vgg16-frozen", four) == SYSTEMS["system-0-vgg16"]
    assert published("system-4-convnext", seven) == SYSTEMS["system-4-cnn"]
    assert published("system-0-cnn", seven) == SYSTEMS["system-2-cnn"]  # its 93% is of four classes
    assert published("mine", four) == SYSTEMS["system-0-cnn"]
    assert published("mine", ["happy", "angry"]) is None


def test_a_run_in_which_nothing_was_judged_has_no_accuracy(tmp_path: Path) -> None:
    table = leaderboard([run_folder(tmp_path / "a", "mine", 0, n=0), run_folder(tmp_path / "b", "other", 50)])
    assert table["run"].tolist() == ["b", "a"]
    (_, last) = records(table)
    assert last["n"] == 0 and last["accuracy"] is last["low"] is last["high"] is None


def test_runs_of_one_name_are_told_apart_and_weights_stay_whole_numbers(tmp_path: Path) -> None:
    runs = [run_folder(tmp_path / name / "run", "mine", 50) for name in "ab"]
    manifest = json.loads((runs[0] / "manifest.json").read_text()) | {"model": None}
    (runs[0] / "manifest.json").write_text(json.dumps(manifest))
    found = {row["run"]: row for row in records(leaderboard(runs))}
    assert set(found) == {"a/run", "b/run"} and found["b/run"]["path"] == str(runs[1].resolve())
    assert found["a/run"]["parameters"] is None and isinstance(found["b/run"]["parameters"], int)


def test_the_size_of_a_network_that_code_makes_is_that_of_its_weights(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "a", "mine", 50)
    (tmp_path / "net.py").write_text("code")
    (tmp_path / "w.pth").write_bytes(b"0" * 1_000_000)
    told = json.loads((run / "manifest.json").read_text())
    for weights, expected in ((f"@{tmp_path}/w.pth", 1.0), ("", None)):
        told["model"] |= {"path": str(tmp_path / "net.py"), "relative_path": "../net.py"}
        told["model"]["card"]["spec"] = f"factory:{tmp_path}/net.py:build{weights}"
        (run / "manifest.json").write_text(json.dumps(told))
        assert entry_of(run).megabytes == expected


@pytest.mark.parametrize("name", ["manifest.json", "samples.parquet", "results/groups.parquet"])
def test_a_damaged_run_is_one_sentence(tmp_path: Path, name: str) -> None:
    run = run_folder(tmp_path / "a", "mine", 50)
    (run / name).write_bytes(b"{damaged")
    with pytest.raises(InputError, match=name.rpartition("/")[2]):
        leaderboard([run])
