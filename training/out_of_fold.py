"""K networks, each judged on the fold that it was not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from models import out_of_fold as answers
from models.classifier import Classifier, Preprocessing
from training import figures
from training.folds import grouped_folds
from training.loop import divided, run_members
from training.memory import Faces
from training.recipe import Recipe

RESULT = "result.npz"


def write_out_of_fold(
    recipe: Recipe, preprocessing: Preprocessing, faces: Faces, k: int, work: Path, progress: bool
) -> dict[str, object]:
    """Train ``k`` networks and write ``work/out_of_fold``; returns figures for the card.

    Exact duplicates and one person's pictures share a fold. With ``data.repeats`` the images are divided that many
    times; probabilities are the mean, embeddings and folds the first time's. Folds that are finished in ``work`` are
    not trained again.
    """
    shape = (recipe.data.repeats, len(faces), len(faces.labels))
    probabilities, folds = np.empty(shape, dtype=np.float32), np.empty(shape[:2], dtype=np.int64)
    embeddings: dict[int, np.ndarray] = {}
    for turn in range(recipe.data.repeats):
        fold = folds[turn] = grouped_folds(faces.classes, faces.groups, k, recipe.learn.seed + turn)
        for index in range(k):
            part = _judged(recipe, preprocessing, faces, fold, index, work / f"fold-{turn}-{index}", progress)
            probabilities[turn, fold == index] = part["probabilities"]
            embeddings.setdefault(index, part["embeddings"])
    joined = np.empty((len(faces), embeddings[0].shape[1]), dtype=np.float16)
    for index, values in embeddings.items():
        joined[folds[0] == index] = values
    mean = probabilities.mean(axis=0)
    answers.write(work, _samples(faces, folds[0]), mean, joined)
    return {
        "folds": k,
        **figures.accuracy(mean.argmax(axis=1) == faces.classes),
        **_spread(probabilities, folds, faces),
    }


def _spread(probabilities: np.ndarray, folds: np.ndarray, faces: Faces) -> dict[str, object]:
    """Accuracy of every single network on its fold: how much the division and the seed move it."""
    right = probabilities.argmax(axis=2) == faces.classes
    each = [float(right[turn, fold == index].mean()) for turn, fold in enumerate(folds) for index in np.unique(fold)]
    return {
        "repeats": len(folds),
        "fold_accuracy_mean": round(float(np.mean(each)), 4),
        "fold_accuracies": np.round(each, 4).tolist(),
    }


def _samples(faces: Faces, fold: np.ndarray) -> pd.DataFrame:
    names = np.array(faces.labels.names, dtype=object)
    return pd.DataFrame(
        {
            "sample_id": faces.samples["sample_id"],
            "content_id": faces.content,
            "label": names[faces.classes],
            "fold": fold.astype(np.int16),
        }
    )


def _judged(
    recipe: Recipe, preprocessing: Preprocessing, faces: Faces, fold: np.ndarray, index: int, work: Path, progress: bool
) -> dict[str, np.ndarray]:
    """Probabilities and embeddings of fold ``index`` by a network trained on the others."""
    if (work / RESULT).is_file():
        with np.load(work / RESULT) as stored:
            return dict(stored)
    work.mkdir(exist_ok=True)
    others = faces.take(np.flatnonzero(fold != index))
    network, _ = run_members(recipe, preprocessing, *divided(others, recipe), work, progress)
    classifier = Classifier(network.eval(), faces.labels, preprocessing)
    names = ("probabilities", "embeddings")
    found = dict(zip(names, figures.answers(classifier, faces.take(np.flatnonzero(fold == index)).images), strict=True))
    np.savez(work / f"part-{RESULT}", probabilities=found["probabilities"], embeddings=found["embeddings"])
    (work / f"part-{RESULT}").replace(work / RESULT)
    return found
