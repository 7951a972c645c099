"""What would help? Explorations of remedies on a finished run, each with what it costs. Nothing here is advice to use.

For one emotion against the rest. Thresholds by group (fairlearn's ThresholdOptimizer) need the group of every person
at the time of use, which may itself be unlawful or unwise. Reweighing (Kamiran and Calders 2012) does not: here a new
last layer is fitted to the stored embeddings; the recipe option ``data.balance_groups`` retrains the whole network.
Everything is chosen on one half of the images and judged on the other.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from audit.counts import Coded
from audit.fairness import MIN_GROUP
from audit.intervals import newcombe, ratio, wilson
from audit.run import AuditRun
from faces.errors import InputError

CONSTRAINTS = ("true_positive_rate_parity", "false_positive_rate_parity", "equalized_odds", "demographic_parity")
BEFORE = "as it is"
ONE_THRESHOLD = "one threshold for all"
NEW_LAYER, REWEIGHED = "new last layer", "new last layer, reweighed"
BASELINES = {REWEIGHED: NEW_LAYER}
"""What a remedy's cost is measured against, where that is not ONE_THRESHOLD."""
MOST = 40_000
"""Of larger runs so many images, drawn by chance, are explored."""


@dataclass(frozen=True)
class Remedies:
    """Remedies for one ``emotion`` and ``attribute``, judged on the held-back half of ``n`` images.

    ``rates``: remedy, group ("all" last), n, labelled (images of the emotion), recall with ``_low`` and ``_high``
    (Wilson), false_positive_rate, selection_rate. ``costs``: remedy, against (the baseline it is compared with), gap
    (the widest difference in recall between groups) with ``_low`` and ``_high`` (Newcombe), worst, best,
    false_positive_gap, recall, false_positive_rate and balanced_accuracy of everybody, and cost, the balanced accuracy
    lost against the baseline (NaN for baselines).
    """

    emotion: str
    attribute: str
    n: int
    rates: pd.DataFrame
    costs: pd.DataFrame


class _Stored(ClassifierMixin, BaseEstimator):
    """A fitted estimator whose probability is the stored one, handed over as the only feature."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> _Stored:  # pragma: no cover - never called with prefit=True
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        own = np.asarray(x, dtype=np.float64).reshape(-1)
        return np.stack([1 - own, own], axis=1)


@dataclass(frozen=True)
class _Faces:
    """The images explored: rows of the run, whether each shows the emotion, its group, and which half it is in."""

    rows: np.ndarray
    truth: np.ndarray
    group: np.ndarray
    half: np.ndarray
    chosen: np.ndarray
    score: np.ndarray


def explore(run: AuditRun, attribute: str, emotion: str, seed: int = 0) -> Remedies:
    """Every remedy that the run allows, as it is and the baselines first.

    Raises InputError for a run without probabilities, an unknown attribute or emotion, and groups too small.
    """
    faces = _faces(run, attribute, emotion, seed)
    chosen = {BEFORE: faces.chosen[~faces.half], ONE_THRESHOLD: _one_threshold(faces)}
    chosen |= {name.replace("_", " "): _thresholds(name, faces, seed) for name in CONSTRAINTS}
    chosen |= _new_layers(run, faces)
    truth, group = faces.truth[~faces.half], faces.group[~faces.half]
    rates = pd.concat([_rates(name, truth, found, group) for name, found in chosen.items()], ignore_index=True)
    return Remedies(emotion, attribute, int((~faces.half).sum()), rates, _costs(rates))


def _faces(run: AuditRun, attribute: str, emotion: str, seed: int) -> _Faces:
    if attribute not in run.attributes:
        raise InputError(f"The attribute {attribute!r} was not audited; audited were: {', '.join(run.attributes)}.")
    position = run.classes.index(emotion)
    coded = Coded.of(run.samples, run.classes, (attribute,), run.probabilities)
    if coded.confidence is None:
        raise InputError(f"The run {run.name} has no probabilities, so remedies cannot be explored.")
    rng = np.random.default_rng(seed)
    if len(coded) > MOST:
        coded = coded.where(rng.permutation(len(coded)) < MOST)
    names, codes = coded.grouping((attribute,))
    truth = coded.label == position
    keep = _large_enough(codes, truth, len(names))
    if len(np.unique(codes[keep])) < 2:
        raise InputError(
            f"Fewer than two groups of {attribute} have {MIN_GROUP} images with and without {emotion}; choose another "
            "attribute or emotion."
        )
    rows = coded.rows[keep]
    half = rng.permutation(len(rows)) < len(rows) // 2
    score = np.asarray(run.probabilities)[rows, position].astype(np.float64)
    group = np.array(names, dtype=object)[codes[keep]]
    return _Faces(rows, truth[keep], group, half, coded.predicted[keep] == position, score)


def _large_enough(codes: np.ndarray, truth: np.ndarray, groups: int) -> np.ndarray:
    known = codes >= 0
    positive = np.bincount(codes[known], truth[known], minlength=groups)
    size = np.bincount(codes[known], minlength=groups)
    fine = (positive >= MIN_GROUP) & (size - positive >= MIN_GROUP)
    return known & fine[np.maximum(codes, 0)]


def _one_threshold(faces: _Faces) -> np.ndarray:
    """The single threshold of the best balanced accuracy: what thresholds by group must be measured against."""
    return faces.score[~faces.half] >= _best_threshold(faces.score[faces.half], faces.truth[faces.half])


def _best_threshold(score: np.ndarray, truth: np.ndarray) -> float:
    order = np.argsort(-score, kind="stable")
    hits, alarms = np.cumsum(truth[order]), np.cumsum(~truth[order])
    gain = ratio(hits, truth.sum()) - ratio(alarms, (~truth).sum())
    return float(score[order][int(np.nanargmax(gain))])


def _thresholds(constraint: str, faces: _Faces, seed: int) -> np.ndarray:
    half, score = faces.half, faces.score[:, None]
    optimiser = ThresholdOptimizer(
        estimator=_Stored(), constraints=constraint, objective="balanced_accuracy_score", prefit=True,
        predict_method="predict_proba",
    )  # fmt: skip
    with warnings.catch_warnings():
        # It asks whether the estimator is fitted by looking for attributes that a stored one does not have.
        warnings.simplefilter("ignore")
        optimiser.fit(score[half], faces.truth[half].astype(int), sensitive_features=faces.group[half])
        chosen = optimiser.predict(score[~half], sensitive_features=faces.group[~half], random_state=seed)
    return np.asarray(chosen).astype(bool)


def _new_layers(run: AuditRun, faces: _Faces) -> dict[str, np.ndarray]:
    """A last layer fitted anew to the embeddings, as they come and reweighed; nothing where there are none."""
    if run.embeddings is None:
        return {}
    values = np.asarray(run.embeddings[faces.rows], dtype=np.float32)
    spread = values[faces.half].std(axis=0)
    values = (values - values[faces.half].mean(axis=0)) / np.where(spread > 0, spread, 1)
    weights = reweighing(faces.truth[faces.half], faces.group[faces.half])
    found = {}
    for name, weight in ((NEW_LAYER, None), (REWEIGHED, weights)):
        layer = LogisticRegression(C=0.01, max_iter=500)
        layer.fit(values[faces.half], faces.truth[faces.half], sample_weight=weight)
        score = layer.decision_function(values)
        found[name] = score[~faces.half] >= _best_threshold(score[faces.half], faces.truth[faces.half])
    return found


def reweighing(truth: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Weights (N,) that make label and group independent: P(label) P(group) / P(label, group)."""
    joint = pd.crosstab(truth, group)
    expected = np.outer(joint.sum(axis=1), joint.sum(axis=0)) / len(truth)
    row, column = joint.index.get_indexer(truth), joint.columns.get_indexer(group)
    return (expected / joint.to_numpy())[row, column]


def _rates(remedy: str, truth: np.ndarray, chosen: np.ndarray, group: np.ndarray) -> pd.DataFrame:
    rows = []
    for name in [*sorted(set(group)), "all"]:
        own = np.ones(len(truth), dtype=bool) if name == "all" else group == name
        hits, labelled = int((chosen & truth & own).sum()), int((truth & own).sum())
        low, high = wilson(hits, labelled)
        rows.append(
            {
                "remedy": remedy,
                "group": name,
                "n": int(own.sum()),
                "labelled": labelled,
                "recall": float(ratio(hits, labelled)),
                "recall_low": float(low),
                "recall_high": float(high),
                "false_positive_rate": float(ratio((chosen & ~truth & own).sum(), (~truth & own).sum())),
                "selection_rate": float(chosen[own].mean()),
            }
        )
    return pd.DataFrame(rows)


def _costs(rates: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for remedy in rates["remedy"].drop_duplicates():
        mine = rates[rates["remedy"] == remedy]
        groups, everybody = mine.iloc[:-1], mine.iloc[-1]
        worst, best = (groups.loc[at] for at in (groups["recall"].idxmin(), groups["recall"].idxmax()))
        ends = [(round(end["recall"] * end["labelled"]), end["labelled"]) for end in (best, worst)]
        low, high = newcombe(*ends[0], *ends[1])
        spread = groups["false_positive_rate"]
        balanced = (everybody["recall"] + 1 - everybody["false_positive_rate"]) / 2
        rows.append(
            {
                "remedy": remedy,
                "against": BASELINES.get(remedy, ONE_THRESHOLD),
                "gap": best["recall"] - worst["recall"],
                "gap_low": float(low),
                "gap_high": float(high),
                "worst": worst["group"],
                "best": best["group"],
                "false_positive_gap": spread.max() - spread.min(),
                "recall": everybody["recall"],
                "false_positive_rate": everybody["false_positive_rate"],
                "balanced_accuracy": balanced,
            }
        )
    frame = pd.DataFrame(rows)
    baseline = frame.set_index("remedy")["balanced_accuracy"].reindex(frame["against"]).to_numpy()
    no_remedy = frame["remedy"].isin([BEFORE, ONE_THRESHOLD, NEW_LAYER])
    return frame.assign(cost=(baseline - frame["balanced_accuracy"]).where(~no_remedy))
