"""The leaderboard: read from run folders, with the intervals that figures deserve."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from faces.errors import InputError
from training.leaderboard import SYSTEMS, Published, leaderboard
from training.recipe import recipe_names


def run_folder(folder: Path, recipe: str, right: int, n: int = 100, classes: int = 2) -> Path:
    """A run folder with the files that the leaderboard reads."""
    (folder / "results").mkdir(parents=True)
    (folder / "model").mkdir()
    (folder / "model" / "weights.safetensors").write_bytes(b"0" * 2_000_000)
    card = {"recipe": {"name": recipe}, "figures": {"parameters": 1000}}
    model = {"name": recipe, "path": "/gone", "relative_path": "model", "card": card}
    names = ["angry", "happy", "sad", "fear"][:classes]
    (folder / "manifest.json").write_text(json.dumps({"classes": names, "model": model}))
    (folder / "timing.json").write_text(json.dumps({"inference_s": 0.2}))
    (folder / "results" / "calibration.json").write_text(json.dumps({"ece": 0.04}))
    predicted = ["angry"] * right + ["happy"] * (n - right) + ["angry"]
    status = ["ok"] * n + ["unreadable"]
    pd.DataFrame({"label": "angry", "predicted": predicted, "status": status}).to_parquet(folder / "samples.parquet")
    groups = {
        "attribute": ["age", "age", "age × gender", "gender"],
        "group": ["10-19", "20-29", "10-19 × man", "man"],
        "standardised": [0.6, None, 0.1, 0.7],
    }
    pd.DataFrame(groups).to_parquet(folder / "results" / "groups.parquet")
    return folder


def test_runs_are_ranked_within_their_number_of_classes(tmp_path: Path) -> None:
    runs = [
        run_folder(tmp_path / "a", "system-0-vgg16-frozen", 60),
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
    assert table.iloc[1]["published"] == 0.51


def test_a_figure_on_few_images_has_the_interval_it_deserves() -> None:
    low, high = Published(0.93, 128).interval or (0, 0)
    assert (low, high) == (pytest.approx(0.8720, abs=1e-3), pytest.approx(0.9628, abs=1e-3))
    assert Published(0.93).interval is None


def test_every_published_figure_belongs_to_a_recipe() -> None:
    assert set(SYSTEMS) <= set(recipe_names())


def test_folders_that_are_no_runs_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a finished audit run"):
        leaderboard([tmp_path])
    with pytest.raises(InputError, match="No runs were given"):
        leaderboard([])
