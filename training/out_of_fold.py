"""K networks, each judged on the fold that it was not trained on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from models import out_of_fold as answers
from models.classifier import Classifier, Preprocessing
from training import figures
from training.folds import grouped_folds
from training.loop import divided, run
from training.memory import Faces
from training.recipe import Recipe

RESULT = "result.npz"


def write_out_of_fold(
    recipe: Recipe, preprocessing: Preprocessing, faces: Faces, k: int, work: Path, progress: bool
) -> dict[str, object]:
    """Train ``k`` networks and write ``work/out_of_fold``; returns figures for the card.

    Exact duplicates and one person's pictures share a fold. Folds that are finished in ``work`` are not trained again.
    """
    fold = grouped_folds(faces.classes, faces.groups, k, recipe.learn.seed)
    parts = [_judged(recipe, preprocessing, faces, fold, index, work / f"fold-{index}", progress) for index in range(k)]
    probabilities = np.empty((len(faces), len(faces.labels)), dtype=np.float32)
    embeddings = np.empty((len(faces), parts[0]["embeddings"].shape[1]), dtype=np.float16)
    for index, part in enumerate(parts):
        probabilities[fold == index], embeddings[fold == index] = part["probabilities"], part["embeddings"]
    names = np.array(faces.labels.names, dtype=object)
    samples = pd.DataFrame(
        {
            "sample_id": faces.samples["sample_id"],
            "content_id": faces.content,
            "label": names[faces.classes],
            "fold": fold.astype(np.int16),
        }
    )
    answers.write(work, samples, probabilities, embeddings)
    return {"folds": k, **figures.accuracy(probabilities.argmax(axis=1) == faces.classes)}


def _judged(
    recipe: Recipe, preprocessing: Preprocessing, faces: Faces, fold: np.ndarray, index: int, work: Path, progress: bool
) -> dict[str, np.ndarray]:
    """Probabilities and embeddings of fold ``index`` by a network trained on the others."""
    if (work / RESULT).is_file():
        with np.load(work / RESULT) as stored:
            return dict(stored)
    work.mkdir(exist_ok=True)
    others = faces.take(np.flatnonzero(fold != index))
    network, _ = run(recipe, preprocessing, *divided(others, recipe), work, progress)
    classifier = Classifier(network.eval(), faces.labels, preprocessing)
    names = ("probabilities", "embeddings")
    found = dict(zip(names, figures.answers(classifier, faces.take(np.flatnonzero(fold == index)).images), strict=True))
    np.savez(work / f"part-{RESULT}", **found)
    (work / f"part-{RESULT}").replace(work / RESULT)
    return found
