"""The shipped seven-class checkpoints on the tasks of the five systems: FER-2013's PublicTest, their classes alone.

    python -m benchmarks.subsets [RUN ...]

RUN is a finished audit of PublicTest whose stored probabilities are read; without one the shipped checkpoints are run
anew. Where there are several runs, the mean of their probabilities is judged too. Of each image labelled with one of
a task's classes, the likeliest of these is taken: the other classes' probabilities say nothing there. The bars stand
for a system's own best figure, beaten; a network trained for the task may do better.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from audit.leaderboard import SYSTEMS, TASKS, wilson
from audit.run import AuditRun
from benchmarks._real import SEVEN, public_test
from faces.emotions import LabelSet
from models.catalogue import shipped
from models.checkpoints import load
from training.figures import probabilities
from training.memory import in_memory

BARS = {0: 0.82, 1: 0.78, 2: 0.66, 3: 0.955}


def stored(run: AuditRun) -> tuple[np.ndarray, np.ndarray, LabelSet]:
    """Label positions (N,), probabilities (N, K) and classes of a run."""
    judged = (run.samples["status"] == "ok").to_numpy()
    return run.classes.encode(run.samples.loc[judged, "label"]), run.probabilities[judged], run.classes


def anew(folder: Path) -> tuple[np.ndarray, np.ndarray, LabelSet]:
    """The same of a checkpoint."""
    classifier = load(folder)
    faces = in_memory(public_test(), SEVEN, classifier.preprocessing)
    return faces.classes, probabilities(classifier, faces.images)[:, [classifier.labels.index(n) for n in SEVEN]], SEVEN


def missed(label: np.ndarray, given: np.ndarray, classes: LabelSet) -> bool:
    """Print every task's figure; whether any bar was missed."""
    any_missed = False
    for task, recipe in TASKS.items():
        columns = [classes.index(name) for name in classes if name in task]
        rows = np.isin(label, columns)
        chosen = np.array(columns)[given[np.ix_(rows, columns)].argmax(axis=1)]
        right, n = int((chosen == label[rows]).sum()), int(rows.sum())
        low, high = wilson(right, n)
        claim = SYSTEMS[recipe]
        bar = BARS[claim.system]
        any_missed |= right / n <= bar
        print(
            f"system {claim.system}, {len(columns)} classes: {right / n:.1%} ({low:.1%} to {high:.1%}) of {n:,}; "
            f"it says {claim.accuracy:.2%}{f' of {claim.images}' if claim.images else ''}; bar {bar:.1%}: "
            f"{'holds' if right / n > bar else 'missed'}"
        )
    return any_missed


def main() -> int:
    runs = sys.argv[1:]
    found = {run: stored(AuditRun.open(run)) for run in runs} or {n: anew(folder) for n, folder in shipped().items()}
    results = []
    for name, (label, given, classes) in found.items():
        print(name)
        results.append(missed(label, given, classes))
    if runs and len({(classes, label.tobytes()) for label, _, classes in found.values()}) == 1 < len(found):
        (label, _, classes), *_ = found.values()
        print(f"the {len(found)} together")
        results.append(missed(label, np.mean([given for _, given, _ in found.values()], axis=0), classes))
    return int(any(results))


if __name__ == "__main__":
    sys.exit(main())
