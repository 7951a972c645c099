"""A small part of FER-2013 for trainings that two CPU cores can bear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks._real import faces_folder
from faces.dataset import FaceDataset, split_name
from faces.readers import open_dataset
from training.recipe import Recipe


def part(classes: Sequence[str], train: int, test: int) -> FaceDataset:
    """``train`` images of Training and ``test`` of PublicTest with these labels, spread evenly over each."""
    dataset = open_dataset(faces_folder() / "archive.zip")
    of_task = dataset.samples["label"].isin(list(classes))
    splits = dataset.samples["split"].map(split_name)
    rows = []
    for split, number in (("train", train), ("test", test)):
        there = np.flatnonzero(of_task & (splits == split_name(split)))
        rows.append(there[np.linspace(0, len(there) - 1, min(number, len(there))).astype(int)])
    return replace(dataset, samples=dataset.samples.iloc[np.concatenate(rows)].reset_index(drop=True))


def small(recipe: Recipe, minutes: float, size: int = 48, pretrained: str | None = None) -> Recipe:
    """``recipe`` on images of ``size``, for at most so many minutes."""
    model = recipe.model.model_copy(update={"size": size, "pretrained": pretrained})
    learn = recipe.learn.model_copy(update={"minutes": minutes, "sizes": (), "batch": 32, "average": 0.98})
    return recipe.model_copy(update={"model": model, "learn": learn})
