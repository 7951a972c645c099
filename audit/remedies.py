"""What would help? Explorations of a remedy on a finished run, each with what it costs. Nothing here is advice to use.

Thresholds by group (fairlearn's ThresholdOptimizer) need the group of every person at the time of use, which may
itself be unlawful or unwise; the tables say what equal error rates would cost, no more.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.base import BaseEstimator, ClassifierMixin

from audit.counts import Coded
from audit.fairness import MIN_GROUP
from audit.run import AuditRun
from faces.errors import InputError

CONSTRAINTS = ("true_positive_rate_parity", "false_positive_rate_parity", "equalized_odds", "demographic_parity")
BEFORE = "as it is"


class _Stored(ClassifierMixin, BaseEstimator):
    """A fitted estimator whose probability is the stored one, handed over as the only feature."""

    def fit(self, x: np.ndarray, y: np.ndarray) -> _Stored:  # pragma: no cover - never called with prefit=True
        return self

    def predict_proba(self, x: np.ndarray) -> np.ndarray:
        own = np.asarray(x, dtype=np.float64).reshape(-1)
        return np.stack([1 - own, own], axis=1)


def thresholds_by_group(run: AuditRun, attribute: str, emotion: str, seed: int = 0) -> pd.DataFrame:
    """One emotion against the rest: rates of each group as it is and with thresholds by group, and what it costs.

    Thresholds are chosen on half of the images and judged on the other. Columns: constraint, group ("all" last), n,
    recall, false_positive_rate, selection_rate, accuracy (of this emotion against the rest). Raises InputError for a
    run without probabilities, an unknown attribute or emotion, and groups too small.
    """
    if attribute not in run.attributes:
        raise InputError(f"The attribute {attribute!r} was not audited; audited were: {', '.join(run.attributes)}.")
    position = run.classes.index(emotion)
    coded = Coded.of(run.samples, run.classes, (attribute,), run.probabilities)
    if coded.confidence is None:
        raise InputError(f"The run {run.name} has no probabilities, so thresholds cannot be explored.")
    names, codes = coded.grouping((attribute,))
    truth = (coded.label == position).astype(int)
    keep = _large_enough(codes, truth, len(names))
    if len(np.unique(codes[keep])) < 2:
        raise InputError(
            f"Fewer than two groups of {attribute} have {MIN_GROUP} images with and without {emotion}; choose another "
            "attribute or emotion."
        )
    scores = np.asarray(run.probabilities)[coded.rows[keep], position].reshape(-1, 1)
    group, truth = np.array(names, dtype=object)[codes[keep]], truth[keep]
    half = np.random.default_rng(seed).permutation(len(truth)) < len(truth) // 2
    own = coded.predicted[keep] == position
    parts = [_rates(BEFORE, truth[~half], own[~half], group[~half])]
    for constraint in CONSTRAINTS:
        chosen = _thresholds(constraint, scores, truth, group, half, seed)
        parts.append(_rates(constraint.replace("_", " "), truth[~half], chosen, group[~half]))
    return pd.concat(parts, ignore_index=True)


def _large_enough(codes: np.ndarray, truth: np.ndarray, groups: int) -> np.ndarray:
    known = codes >= 0
    positive = np.bincount(codes[known], truth[known], minlength=groups)
    size = np.bincount(codes[known], minlength=groups)
    fine = (positive >= MIN_GROUP) & (size - positive >= MIN_GROUP)
    return known & fine[np.maximum(codes, 0)]


def _thresholds(
    constraint: str, scores: np.ndarray, truth: np.ndarray, group: np.ndarray, half: np.ndarray, seed: int
) -> np.ndarray:
    optimiser = ThresholdOptimizer(
        estimator=_Stored(), constraints=constraint, objective="balanced_accuracy_score", prefit=True,
        predict_method="predict_proba",
    )  # fmt: skip
    with warnings.catch_warnings():
        # It asks whether the estimator is fitted by looking for attributes that a stored one does not have.
        warnings.simplefilter("ignore")
        optimiser.fit(scores[half], truth[half], sensitive_features=group[half])
        chosen = optimiser.predict(scores[~half], sensitive_features=group[~half], random_state=seed)
    return np.asarray(chosen).astype(bool)


def _rates(constraint: str, truth: np.ndarray, chosen: np.ndarray, group: np.ndarray) -> pd.DataFrame:
    rows = []
    for name in [*sorted(set(group)), "all"]:
        own = np.ones(len(truth), dtype=bool) if name == "all" else group == name
        yes = truth[own] == 1
        rows.append(
            {
                "constraint": constraint,
                "group": name,
                "n": int(own.sum()),
                "recall": chosen[own][yes].mean(),
                "false_positive_rate": chosen[own][~yes].mean(),
                "selection_rate": chosen[own].mean(),
                "accuracy": (chosen[own] == yes).mean(),
            }
        )
    return pd.DataFrame(rows)
