"""The run in one JSON-safe dict: what ``facevalue show --json`` prints and ``report.json`` holds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from audit.counts import OVERALL, Coded, Counts
from audit.fairness import group_figures
from audit.family import attribute_rng
from audit.intervals import ratio, wilson
from audit.jsonsafe import plain, records
from audit.run import SCHEMA_VERSION, AuditRun
from audit.standardise import label_mix
from audit.views import vote_agreement

FURTHER = (
    "balanced_accuracy", "balanced_accuracy_low", "balanced_accuracy_high", "macro_f1", "macro_f1_low", "macro_f1_high",
    "top2_accuracy", "mean_confidence", "ece", "ece_debiased", "vote_agreement",
)  # fmt: skip
GROUP_KEYS = (
    "attribute", "group", "n", "accuracy", "low", "high", "standardised", "standardised_low", "standardised_high",
    "omitted", "reason", "too_small", *FURTHER,
)  # fmt: skip
DISPARITY_KEYS = (
    "attribute", "metric", "class", "reference", "group", "difference", "difference_low", "difference_high", "ratio",
    "ratio_low", "ratio_high", "p_value", "p_adjusted", "n_group", "n_reference",
)  # fmt: skip
MAX_LABEL_ISSUES = 1000
TABLES = ("class_groups", "decomposition", "power", "ranges", "views", "slices")
"""Result tables that stand whole in the summary."""


def summary(run: AuditRun) -> dict:
    """Figures of a run as the design fixes them; null where undefined, never NaN."""
    counts = Counts.from_frame(run.table("counts"), OVERALL, run.classes.names)
    matrix = counts.confusion
    per_class = run.table("per_class")[["class", "n", "recall", "precision", "f1"]]
    result = {
        "schema": SCHEMA_VERSION,
        "n": counts.n,
        "classes": list(run.classes.names),
        "accuracy": accuracy(matrix),
        "per_class": records(per_class),
        "confusion": matrix.tolist(),
        "overall": overall(run),
        "groups": records(run.table("groups")[list(GROUP_KEYS)]),
        "disparities": records(run.table("disparities")[list(DISPARITY_KEYS)]),
        "label_issues": label_issues(run.samples),
        "findings": [
            {"code": one.code, "severity": one.severity, "title": one.title, "detail": one.detail}
            for one in run.findings
        ],
        "timing": {name: run.timing.get(name) for name in ("inference_s", "pass_s", "total_s")},
        "calibration": run.result("calibration"),
        **{name: records(run.table(name)) for name in TABLES},
    }
    return plain(result)  # type: ignore[return-value]


def accuracy(matrix: np.ndarray) -> dict[str, float]:
    """Accuracy of a confusion matrix (K, K) with its Wilson interval."""
    hits, n = np.trace(matrix), matrix.sum()
    low, high = wilson(hits, n)
    return {"value": float(ratio(hits, n)), "low": float(low), "high": float(high)}


def overall(run: AuditRun) -> dict[str, float]:
    """FURTHER of the whole set, NaN where undefined."""
    coded = Coded.of(run.samples, run.classes, probabilities=np.asarray(run.probabilities))
    counts = coded.counts()
    rng = attribute_rng(int(run.manifest["seed"]), OVERALL)
    figures = group_figures(counts, label_mix(counts.labelled[0]), rng, coded.ranks(), coded.bins()).iloc[0]
    agreement = vote_agreement(run.samples, coded)
    known = np.nan if agreement is None else float(coded.mean(agreement)[0])
    return {name: float(figures[name]) for name in FURTHER[:-1]} | {"vote_agreement": known}


def label_issues(samples: pd.DataFrame, top: int = MAX_LABEL_ISSUES) -> list[dict]:
    """The likeliest wrong labels, best first."""
    judged = samples[samples["label_issue_score"].notna()]
    worst = judged.sort_values("label_issue_score", ascending=False, kind="stable").head(top)
    columns = worst[["sample_id", "label_issue_score", "label", "suggested"]]
    return records(columns.rename(columns={"label_issue_score": "score"}))
