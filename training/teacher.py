"""A checkpoint as teacher: its answers on the training images, to be learnt beside the labels."""

from __future__ import annotations

import torch

from faces.errors import InputError
from models import checkpoints
from models.classifier import Classifier
from training import figures
from training.memory import Faces


def opened(teacher: str) -> Classifier:
    """The checkpoint. Raises InputError where there is none."""
    folder = checkpoints.named(teacher)
    if folder is None:
        raise InputError(
            f"The teacher {teacher!r} is no checkpoint; give a checkpoint folder or the name of one that ships."
        )
    return checkpoints.load(folder)


def taught(teacher: str, training: Faces) -> torch.Tensor:
    """What the checkpoint ``teacher`` (a folder, or the name of one that ships) says of each image; float32 (N, K).

    Rows are probabilities over the training's classes alone; the teacher may know more. Raises InputError where there
    is no such checkpoint, it takes images of another size, or it lacks a class.
    """
    classifier = opened(teacher)
    takes, given = classifier.preprocessing, tuple(training.images.shape[1:])
    if (takes.channels, takes.height, takes.width) != given:
        raise InputError(
            f"The teacher {teacher} takes {takes.channels} x {takes.height} x {takes.width} images and the recipe has "
            f"{' x '.join(map(str, given))}; set model.size and model.channels as the teacher has them."
        )
    lacking = [name for name in training.labels if name not in classifier.labels]
    if lacking:
        raise InputError(
            f"The teacher {teacher} does not know {', '.join(lacking)}; it was expected to know every class that is "
            "learnt: choose another, or other data.classes."
        )
    columns = [classifier.labels.index(name) for name in training.labels]
    said = torch.from_numpy(figures.probabilities(classifier, training.images)[:, columns])
    return said / said.sum(dim=1, keepdim=True)
