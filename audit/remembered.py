"""What labels are judged by beside the run's own answers: what its checkpoint remembers of the images it was trained
on, and what a committee says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audit.labels import Folds, pool
from faces.emotions import LabelSet
from models import out_of_fold

OUT_OF_FOLD, DYNAMICS, COMMITTEE = "out_of_fold.npz", "training_dynamics.npy", "committee.npy"


@dataclass(frozen=True)
class Remembered:
    """``probabilities`` (N, K) and ``folds`` of the networks that were not trained on each image, and ``dynamics``

    (N,), each image's area under the margin; None what the model does not remember.
    """

    probabilities: np.ndarray | None = None
    folds: Folds | None = None
    dynamics: np.ndarray | None = None


def remember(model: Path, labels: LabelSet, content_ids: Sequence[str | None], run: Path) -> None:
    """Write into the folder ``run`` what the checkpoint folder ``model`` remembers of these images, if of any.

    Raises InputError where its files are damaged.
    """
    found = out_of_fold.answers(model, labels, content_ids)
    if found is not None and (found.fold >= 0).any():
        arrays = {"probabilities": found.probabilities, "embeddings": found.embeddings, "fold": found.fold}
        np.savez(run / OUT_OF_FOLD, **arrays)  # type: ignore[arg-type]  # numpy's stub misreads **arrays
    margins = out_of_fold.areas_under_margin(model, content_ids)
    if margins is not None and np.isfinite(margins).any():
        np.save(run / DYNAMICS, margins)


def recall(run: Path) -> Remembered:
    """What ``remember`` wrote."""
    file, log = run / OUT_OF_FOLD, run / DYNAMICS
    dynamics = np.load(log) if log.is_file() else None
    if not file.is_file():
        return Remembered(dynamics=dynamics)
    with np.load(file) as stored:
        return Remembered(stored["probabilities"], Folds(stored["embeddings"], stored["fold"]), dynamics)


def committee(run: Path) -> list[np.ndarray]:
    """The probabilities (N, K) of each member of the committee, if one was asked."""
    path = run / COMMITTEE
    return list(np.load(path).swapaxes(0, 1)) if path.is_file() else []


def said_of_labels(run: Path, probabilities: np.ndarray) -> np.ndarray:
    """The probabilities (N, K) that the labels of the run in folder ``run`` are judged by: out of fold where there are
    such answers, else the run's own, averaged with the committee's."""
    return pool(np.asarray(probabilities), recall(run).probabilities, committee(run))
