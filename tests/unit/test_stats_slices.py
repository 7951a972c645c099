"""Weak slices are found where they were planted and nowhere else; explorations of remedies."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import recall_score
from statsmodels.stats.contingency_tables import StratifiedTable

from audit.counts import Coded
from audit.findings import slice_findings
from audit.remedies import BEFORE, NEW_LAYER, ONE_THRESHOLD, REWEIGHED, explore, reweighing
from audit.run import AuditRun
from audit.slices import clusters, conditions, excess_p, members, weak_slices
from faces.errors import InputError
from tests.unit.stats_runs import CLASSES, predictions, run_of


def _faces(seed: int, weaker: float = 0.0) -> tuple[pd.DataFrame, np.ndarray]:
    """3,000 rows with measured qualities and embeddings in clumps; dark pictures of race b are ``weaker``."""
    rng = np.random.default_rng(seed)
    table = predictions(1000, seed=seed, probabilities=False).assign(status="ok")
    n = len(table)
    table["brightness"], table["sharpness"] = rng.normal(120, 30, n), rng.gamma(3, 100, n)
    hit = (table["race"] == "b") & (table["brightness"] < 105) & (rng.random(n) < weaker)
    table.loc[hit, "predicted"] = np.where(table.loc[hit, "label"] == "sad", "fear", "sad")
    clump = rng.integers(0, 6, n)
    return table, (3 * np.eye(6)[clump] + rng.normal(0, 0.5, (n, 6))).astype(np.float16)


def _found(table: pd.DataFrame, embeddings: np.ndarray | None, seed: int = 0) -> pd.DataFrame:
    return weak_slices(Coded.of(table, CLASSES, ("race", "gender")), table, embeddings, seed)


def test_a_planted_slice_is_found_first_and_told() -> None:
    right = 0
    for seed in range(10):
        table, embeddings = _faces(seed, 0.35)
        found = _found(table, embeddings, seed)
        right += bool(len(found)) and found["slice"][0] == "race b and dark" and bool(found["confirmed"][0])
    assert right >= 9
    (finding,) = slice_findings(found)
    assert finding.code == "FV-F004" and "race b and dark" in finding.title


def test_clean_pictures_have_no_weak_slice() -> None:
    confirmed = [int(_found(*_faces(seed), seed)["confirmed"].sum()) for seed in range(25)]
    assert sum(count > 0 for count in confirmed) <= 1


def test_figures_come_from_the_half_held_back() -> None:
    table, embeddings = _faces(3, 0.35)
    row = _found(table, embeddings).iloc[0]
    coded = Coded.of(table, CLASSES, ("race", "gender"))
    inside = members(conditions(coded, table, embeddings), row["conditions"])
    assert row["n"] + row["n_searched"] == inside.sum()
    errors = (coded.label != coded.predicted)[inside].sum()
    assert row["n"] * row["error"] + row["n_searched"] * row["error_searched"] == pytest.approx(errors)
    assert row["low"] < row["error"] < row["high"] and row["excess"] == pytest.approx(row["error"] - row["expected"])


def test_the_test_of_a_slice_is_one_sided_mantel_haenszel() -> None:
    n, of_n = np.array([40, 60]), np.array([200, 150])
    wrong, of_wrong = np.array([20, 15]), np.array([60, 25])
    tables = [[[w, a - w], [v - w, b - a - (v - w)]] for w, a, v, b in zip(wrong, n, of_wrong, of_n, strict=True)]
    expected = StratifiedTable([np.array(table) for table in tables]).test_null_odds().pvalue / 2
    assert excess_p(n[None], wrong[None], of_n[None], of_wrong[None])[0] == pytest.approx(expected)


def test_clusters_find_clumps_and_repeat() -> None:
    _, embeddings = _faces(0)
    rows = np.arange(len(embeddings))
    first, second = (clusters(embeddings, rows, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(first, second)
    clump = embeddings.argmax(axis=1)
    purity = sum(np.bincount(clump[first == at]).max() for at in np.unique(first)) / len(rows)
    assert purity > 0.9
    sizes = np.bincount(first)
    assert (np.diff(sizes) <= 0).all()


def test_without_conditions_there_are_no_slices() -> None:
    table = predictions(50, probabilities=False).assign(status="ok")
    found = weak_slices(Coded.of(table, CLASSES), table)
    assert found.empty and slice_findings(found) == []


def test_remedies_close_the_gap_in_recall_and_say_what_it_costs(tmp_path) -> None:
    table = predictions(1500, 0.2, seed=1)
    run = run_of(table, tmp_path)
    found = explore(run, "race", "happy")
    costs = found.costs.set_index("remedy")
    parity = costs.loc["true positive rate parity"]
    assert parity["gap"] < costs.loc[BEFORE, "gap"] and parity["gap_low"] <= parity["gap"] <= parity["gap_high"]
    assert {"false positive rate parity", "equalized odds", "demographic parity"} < set(costs.index)
    assert NEW_LAYER not in costs.index
    before = found.rates[found.rates["remedy"] == BEFORE].set_index("group")
    assert before.loc["all", "n"] == found.n == pytest.approx(len(table) / 2, abs=1)
    whole = recall_score(table["label"] == "happy", table["predicted"] == "happy")
    assert before.loc["all", "recall"] == pytest.approx(whole, abs=0.05)
    base = costs.loc[ONE_THRESHOLD]
    assert np.isnan(base["cost"])
    assert parity["cost"] == pytest.approx(base["balanced_accuracy"] - parity["balanced_accuracy"])


def test_a_new_last_layer_is_reweighed_where_there_are_embeddings(tmp_path) -> None:
    table = predictions(600, 0.2, seed=1)
    run = run_of(table, tmp_path)
    shown = np.stack([table["label"] == "happy", table["race"] == "b"], axis=1)
    noise = np.random.default_rng(0).normal(size=shown.shape)
    np.save(run.folder / "embeddings.npy", (shown + noise).astype(np.float16))
    costs = explore(AuditRun.open(run.folder), "race", "happy").costs.set_index("remedy")
    assert costs.loc[REWEIGHED, "against"] == NEW_LAYER and costs.loc[NEW_LAYER, "balanced_accuracy"] > 0.6


def test_reweighing_makes_label_and_group_independent() -> None:
    truth, group = np.array([True] * 5 + [False] * 7), np.array(list("aaaabaabbbbb"))
    weights = reweighing(truth, group)
    joint = pd.crosstab(truth, group, weights, aggfunc="sum").to_numpy()
    assert joint.sum() == pytest.approx(12)
    assert joint == pytest.approx(np.outer(joint.sum(axis=1), joint.sum(axis=0)) / 12)


def test_remedies_that_cannot_be_explored_say_why(tmp_path) -> None:
    run = run_of(predictions(20), tmp_path, "small")
    with pytest.raises(InputError, match="Fewer than two groups of race"):
        explore(run, "race", "happy")
    with pytest.raises(InputError, match="'shoe' was not audited"):
        explore(run, "shoe", "happy")
    bare = run_of(predictions(20, probabilities=False), tmp_path, "bare")
    with pytest.raises(InputError, match="has no probabilities"):
        explore(bare, "race", "happy")
