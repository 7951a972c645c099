"""What the card of a trained checkpoint says: figures, data, when and with what it was made."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from torch import nn

from faces.dataset import FaceDataset, Provenance, split_name
from faces.errors import InputError
from models.classifier import Classifier
from training import figures
from training.gather import renamed
from training.loop import Outcome
from training.memory import Faces, in_memory
from training.recipe import Recipe, load_recipe


def augmentation(mirrored: bool, tilted: float, closer: float) -> str:
    """Test-time augmentation in words."""
    if not mirrored:
        return "none"
    besides = f" and of both turned by {tilted:g} degrees either way" if tilted else ""
    besides += f" and of both {closer:g} times as large" if closer > 1 else ""
    return f"mean with the mirror image{besides}, inside the network"


def network(recipe: Recipe) -> dict[str, Any]:
    """What the catalogue needs to build the network again."""
    model = recipe.model
    told = {"name": model.network} | {
        field: getattr(model, field) for field in ("channels", "members", "mirrored", "tilted", "closer")
    }
    return told | ({"beside": [load_recipe(name).model.network for name in model.beside]} if model.beside else {})


def tested(recipe: Recipe, dataset: FaceDataset, classifier: Classifier, learnt: np.ndarray) -> dict[str, Any]:
    """Figures on the test part, and without what was ``learnt`` (content_ids); empty where nothing can be judged."""
    if split_name(recipe.data.test_split) not in {split_name(name) for name in dataset.splits}:
        return {}
    part = renamed(dataset.select(recipe.data.test_split), recipe.data.rename)
    try:
        test = in_memory(part, classifier.labels, classifier.preprocessing)
    except InputError:  # no labels, as in published test parts, or none readable: the training itself is done
        return {}
    return figures.measure(classifier, test, learnt)


def measured(network: nn.Module, outcome: Outcome, training: Faces, recipe: Recipe) -> dict[str, Any]:
    return {
        "training_images": len(training),
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "epochs": len(outcome.curves),
        "chosen_epoch": outcome.chosen,
        "wall_seconds": round(outcome.seconds, 1),
        "temperature": round(outcome.temperature, 4),
        "test_time_augmentation": augmentation(recipe.model.mirrored, recipe.model.tilted, recipe.model.closer),
    }


def data(datasets: Sequence[FaceDataset], faces: Faces) -> dict[str, Any]:
    counts = np.bincount(faces.classes, minlength=len(faces.labels))
    first, *others = (dataset.provenance for dataset in datasets)
    return {
        "kind": first.kind,
        "name": first.path.name,
        "fingerprint": first.fingerprint,
        **read_as(first),
        "also": [{"kind": other.kind, "name": other.path.name, "fingerprint": other.fingerprint} for other in others],
        "images": dict(zip(faces.labels, counts.tolist(), strict=True)),
        "left_out": faces.skipped,
        "by_subject": "subject_id" in faces.samples,
    }


def read_as(data: Provenance) -> dict[str, Any]:
    """What a person said of how to read the data, which its fingerprint does not hold: only what was said.

    The label column, what numbers mean, and the content of the sidecar (SHA-256).
    """
    joined = hashlib.sha256(data.metadata.read_bytes()).hexdigest() if data.metadata else None
    told = {"label": data.label, "numbers": list(data.numbers), "metadata": joined}
    return {name: value for name, value in told.items() if value}


def made() -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"made": now, "versions": {name: version(name) for name in ("torch", "lightning", "timm")}}
