"""How well labels flipped by program are found on real faces: the evidence is chosen by this, never by votes.

    python -m benchmarks.planted_slips --runs RUN ...

RUN is an audit of PublicTest, best with a committee (`facevalue audit ... --committee mirror`). A tenth of its labels
is flipped in three ways: to any class, each class to one other, and into one class. Printed is the average precision
with which the flipped ones are ranked, mean over seeds, with and without neighbours and committee, and the share of the
flipped ones whose suggestion is the label as it was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score

from audit.labels import label_issues
from audit.run import AuditRun
from benchmarks.label_ranking import opinions

SHARE = 0.1
Flip = Callable[[np.ndarray, np.ndarray, int, int], np.ndarray]


def uniform(y: np.ndarray, rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Any other class."""
    return (y[rows] + np.random.default_rng(seed).integers(1, k, len(rows))) % k


def pairs(y: np.ndarray, rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Each class to one other."""
    return (y[rows] + 1 + seed % (k - 1)) % k


def into_one(y: np.ndarray, rows: np.ndarray, k: int, seed: int) -> np.ndarray:
    """All to one class, which its own keep."""
    return np.full(len(rows), seed % k)


FLIPS: dict[str, Flip] = {"uniform": uniform, "pairs": pairs, "into one class": into_one}


def found(run: AuditRun, flip: Flip, seed: int) -> dict[str, float]:
    """Average precision by what evidence was used, and the share of right suggestions."""
    labels = run.classes.encode(run.samples["label"]).astype(int)
    p, *committee = opinions(run)
    rows = np.random.default_rng(seed).permutation(np.flatnonzero(labels >= 0))[: round(SHARE * len(labels))]
    flipped = labels.copy()
    flipped[rows] = flip(labels, rows, len(run.classes), seed)
    seen = run.samples["seen_in_training"].to_numpy(dtype=bool)
    issues = label_issues(p, flipped, run.classes.names, run.embeddings, seen=seen)
    scores = {
        "confidence": 1 - p[np.arange(len(p)), np.maximum(flipped, 0)],
        "model": label_issues(p, flipped, run.classes.names).score,
        "model, neighbours": issues.score,
    }
    if committee:
        whole = label_issues(p, flipped, run.classes.names, run.embeddings, None, None, committee, seen)
        scores["model, neighbours, committee"] = whole.score
    judged = np.isfinite(scores["model"])
    truth = (flipped != labels)[judged]
    precision = {name: float(average_precision_score(truth, score[judged])) for name, score in scores.items()}
    moved = judged & (flipped != labels)
    return precision | {"suggestion right": float((issues.suggested[moved] == labels[moved]).mean())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, default=4)
    options = parser.parse_args()
    for run in (AuditRun.open(path) for path in options.runs):
        print(run.name)
        for name, flip in FLIPS.items():
            each = [found(run, flip, seed) for seed in range(options.seeds)]
            told = ", ".join(f"{key} {np.mean([one[key] for one in each]):.3f}" for key in each[0])
            print(f"  {name}: {told}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
