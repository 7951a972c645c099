"""The faces that a training learns from: the training parts of one data set or several, renamed and corrected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from faces.dataset import FaceDataset
from faces.emotions import LabelSet, canonical
from models.classifier import Preprocessing
from training.corrections import correct
from training.memory import Faces, in_memory, joined
from training.recipe import Recipe


def gathered(recipe: Recipe, datasets: Sequence[FaceDataset], labels: Path | None) -> tuple[Faces, dict[str, Any]]:
    """All faces of the training parts, of whatever class, with corrected targets, and what the card says of those."""
    named = [renamed(dataset, recipe.data.rename) for dataset in datasets]
    classes = named[0].labels if len(named) == 1 else LabelSet.of(name for dataset in named for name in dataset.labels)
    plain = Preprocessing(recipe.model.size, recipe.model.size, recipe.model.channels)
    first, *others = (in_memory(part_of(dataset, recipe.data.split), classes, plain) for dataset in named)
    notes = {}
    if labels is not None:
        corrected = correct(first, labels, recipe.data.rename)
        counts = {"changed": corrected.changed, "softened": corrected.softened, "dropped": corrected.dropped}
        first, notes = corrected.faces, {"corrections": {"file": labels.name, **counts}}
    return (joined([first, *others]) if others else first), notes


def wanted(faces: Faces, recipe: Recipe) -> Faces:
    """The faces of the recipe's classes."""
    return faces.only(LabelSet(recipe.data.classes)) if recipe.data.classes else faces


def renamed(dataset: FaceDataset, names: dict[str, str]) -> FaceDataset:
    """The data with labels called otherwise; a label whose new name is empty has none any more."""
    if not names:
        return dataset
    new = {canonical(old): canonical(name) or None for old, name in names.items()}
    told = [new.get(label, label) if isinstance(label, str) else None for label in dataset.samples["label"]]
    samples = dataset.samples.assign(label=pd.Series(told, dtype=object))
    kept = tuple(dict.fromkeys(name for label in dataset.labels if (name := new.get(label, label)) is not None))
    return replace(dataset, samples=samples, labels=LabelSet(kept))


def part_of(dataset: FaceDataset, split: str) -> FaceDataset:
    return dataset.select(split) if dataset.splits else dataset
