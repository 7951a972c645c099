"""The search: it tries as often as asked, resumes, and trains the best."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from faces.errors import InputError
from models.out_of_fold import FOLDER
from tests.integration.test_training_fit import recipe
from tests.unit.training_faces import quarters
from training import search as searching
from training.recipe import Network


def test_a_search_tries_variants_resumes_and_trains_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    real = searching._tried

    def counted(*args: object) -> float:
        tried.append(1)
        if len(tried) == 2:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(searching, "_tried", counted)
    out = tmp_path / "model"
    short = recipe(epochs=1)
    with pytest.raises(KeyboardInterrupt):
        searching.search(short, quarters(), out, trials=2, progress=False)
    classifier = searching.search(short, quarters(), out, trials=2, resume=True, progress=False)
    table = pd.read_csv(out / searching.TRIALS)
    finished = table[table["state"] == "COMPLETE"]
    best = finished.loc[finished["value"].idxmax()]
    assert classifier.card["recipe"]["learn"]["rate"] == pytest.approx(best["params_learn.rate"])
    assert classifier.card["recipe"]["augment"]["shift"] == pytest.approx(best["params_augment.shift"])
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_no_trials_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 trials cannot be searched"):
        searching.search(recipe(), quarters(), tmp_path / "model", trials=0)


def test_what_is_wrong_is_told_before_anything_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "gathered", lambda *_: pytest.fail("faces were read"))
    taken = tmp_path / "model"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    theirs = recipe().model_copy(update={"model": Network(network="tiny", pretrained="elsewhere.pth")})
    for out, plan, folds, said in (
        (taken, recipe(), None, "is already there"),
        (tmp_path / "other", theirs, None, "elsewhere.pth are not there"),
        (tmp_path / "other", recipe(), 1, "1 folds cannot be made"),
    ):
        with pytest.raises(InputError, match=said):
            searching.search(plan, quarters(), out, trials=1, folds=folds, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failed_trial_does_not_count_and_the_winner_has_folds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = searching._tried

    def failing(*_: object) -> float:
        raise InputError("no luck")

    monkeypatch.setattr(searching, "_tried", failing)
    out = tmp_path / "model"
    with pytest.raises(InputError, match="no luck"):
        searching.search(recipe(epochs=1), quarters(), out, trials=1, folds=2, progress=False)
    monkeypatch.setattr(searching, "_tried", real)
    searching.search(recipe(epochs=1), quarters(), out, trials=1, folds=2, resume=True, progress=False)
    assert (out / FOLDER).is_dir() and list(pd.read_csv(out / searching.TRIALS)["state"]) == ["FAIL", "COMPLETE"]
    before = (out / searching.TRIALS).read_text()
    searching.search(recipe(epochs=1), quarters(), out, trials=3, folds=2, resume=True, progress=False)
    assert (out / searching.TRIALS).read_text() == before
