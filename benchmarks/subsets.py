"""The shipped seven-class checkpoint on the tasks of the five systems: FER-2013's PublicTest, their classes alone.

    python -m benchmarks.subsets [RUN]

RUN is a finished audit of PublicTest whose stored probabilities are read; without it the checkpoint is run anew. Of
each image labelled with one of a task's classes, the likeliest of these is taken: the other classes' probabilities
say nothing there. The bars stand for a system's own best figure, beaten; a network trained for the task may do better.
"""

from __future__ import annotations

import sys

import numpy as np

from audit.leaderboard import SYSTEMS, TASKS, wilson
from audit.run import AuditRun
from benchmarks._real import SEVEN, compact, public_test
from faces.emotions import LabelSet
from training.figures import probabilities
from training.memory import in_memory

BARS = {0: 0.82, 1: 0.78, 2: 0.66, 3: 0.955}


def stored(run: AuditRun) -> tuple[np.ndarray, np.ndarray, LabelSet]:
    """Label positions (N,), probabilities (N, K) and classes of a run."""
    judged = (run.samples["status"] == "ok").to_numpy()
    return run.classes.encode(run.samples.loc[judged, "label"]), run.probabilities[judged], run.classes


def anew() -> tuple[np.ndarray, np.ndarray, LabelSet]:
    """The same of the shipped checkpoint."""
    classifier = compact()
    faces = in_memory(public_test(), SEVEN, classifier.preprocessing)
    return faces.classes, probabilities(classifier, faces.images)[:, [classifier.labels.index(n) for n in SEVEN]], SEVEN


def main() -> int:
    label, given, classes = stored(AuditRun.open(sys.argv[1])) if len(sys.argv) > 1 else anew()
    missed = False
    for task, recipe in TASKS.items():
        columns = [classes.index(name) for name in classes if name in task]
        rows = np.isin(label, columns)
        chosen = np.array(columns)[given[np.ix_(rows, columns)].argmax(axis=1)]
        right, n = int((chosen == label[rows]).sum()), int(rows.sum())
        low, high = wilson(right, n)
        claim = SYSTEMS[recipe]
        bar = BARS[claim.system]
        missed |= right / n <= bar
        print(
            f"system {claim.system}, {len(columns)} classes: {right / n:.1%} ({low:.1%} to {high:.1%}) of {n:,}; "
            f"it says {claim.accuracy:.2%}{f' of {claim.images}' if claim.images else ''}; bar {bar:.1%}: "
            f"{'holds' if right / n > bar else 'missed'}"
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
