"""The search: it tries as often as asked, resumes, and trains the best."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from faces.errors import InputError
from tests.integration.test_training_fit import recipe
from tests.unit.training_faces import quarters
from training import search as searching


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
