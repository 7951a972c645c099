"""train(recipe, dataset, out): a recipe and labelled faces become a checkpoint folder."""

from __future__ import annotations

import datetime
import hashlib
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from faces.dataset import FaceDataset, split_name
from faces.emotions import LabelSet
from faces.errors import InputError
from models import checkpoints
from models.camlayer import find_cam_layer
from models.classifier import Classifier, Preprocessing
from models.out_of_fold import FOLDER
from training import figures
from training.corrections import correct
from training.curves import write_curves, write_dynamics
from training.loop import Outcome, divided, run
from training.memory import Faces, in_memory
from training.out_of_fold import write_out_of_fold
from training.recipe import Recipe

BEGUN = "begun.txt"
"""In the work folder: what the training was begun with."""


def train(
    recipe: Recipe,
    dataset: FaceDataset,
    out: Path | str,
    labels: Path | None = None,
    folds: int | None = None,
    resume: bool = False,
    progress: bool = True,
) -> Classifier:
    """Train by ``recipe`` on the training part of ``dataset`` and write the checkpoint folder ``out``.

    ``labels`` is a CSV of corrections (see training.corrections); ``folds`` also trains that many networks whose
    out-of-fold answers go to ``out/out_of_fold``. Epochs are chosen by a held-out share of the training part; the test
    part, where there is one, is measured once at the end. Until then everything lies in ``.NAME.training`` beside
    ``out``, from which ``resume`` goes on. Raises InputError where ``out`` is there already (with ``resume`` a
    finished one is returned as it is).
    """
    out = Path(out)
    if resume and (out / checkpoints.CARD).is_file():
        return checkpoints.load(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is already there; choose another --out, or remove it first.")
    if folds is not None and folds < 2:
        raise InputError(f"{folds} folds cannot be made; pass --folds 2 or more.")
    faces, notes = _faces(recipe, dataset, labels)
    work = _work_folder(out, _key(recipe, dataset, labels, folds), resume)
    classifier, outcome, training = _trained(recipe, faces, work, progress)
    results = {**classifier.card["figures"], **_tested(recipe, dataset, classifier, faces)}
    if folds is not None:
        results["out_of_fold"] = write_out_of_fold(recipe, classifier.preprocessing, faces, folds, work, progress)
    card = {"figures": results, "recipe": recipe.model_dump(mode="json"), "data": _data(dataset, faces) | notes}
    model = checkpoints.save(classifier, work / "model", card | _made())
    write_curves(outcome.curves, model)
    write_dynamics(training, outcome.margins, model)
    if folds is not None:
        (work / FOLDER).rename(model / FOLDER)
    checkpoints.put_in_place(model, out)
    shutil.rmtree(work)
    return checkpoints.load(out)


def _faces(recipe: Recipe, dataset: FaceDataset, labels: Path | None) -> tuple[Faces, dict[str, Any]]:
    """All faces of the training part, with corrected targets, and what the card says about the corrections."""
    part = dataset.select(recipe.data.split) if dataset.splits else dataset
    classes = LabelSet(recipe.data.classes) if recipe.data.classes else dataset.labels
    faces = in_memory(part, classes, Preprocessing(recipe.model.size, recipe.model.size, recipe.model.channels))
    if labels is None:
        return faces, {}
    corrected = correct(faces, labels)
    counts = {"changed": corrected.changed, "softened": corrected.softened, "dropped": corrected.dropped}
    return corrected.faces, {"corrections": {"file": labels.name, **counts}}


def _trained(recipe: Recipe, faces: Faces, work: Path, progress: bool) -> tuple[Classifier, Outcome, Faces]:
    """The chosen weights as a Classifier with its first figures, how it went, and the faces it learnt from."""
    training, validation = divided(faces, recipe)
    plain = Preprocessing(recipe.model.size, recipe.model.size, recipe.model.channels)
    preprocessing = normalising(plain, training.images)
    network, outcome = run(recipe, preprocessing, training, validation, work, progress)
    classifier = _classifier(network, recipe, preprocessing, faces)
    right = figures.probabilities(classifier, validation.images).argmax(axis=1) == validation.classes
    classifier.card["figures"] = {"validation": figures.accuracy(right), **_measured(network, outcome, training)}
    return classifier, outcome, training


def _classifier(network: nn.Module, recipe: Recipe, preprocessing: Preprocessing, faces: Faces) -> Classifier:
    """The network, rounded as it will be stored, with its CAM layer found."""
    network = checkpoints.rounded(network.eval())
    example = preprocessing.tensor(faces.images[:2].permute(0, 2, 3, 1).numpy())
    layer, reshape = find_cam_layer(network, example)
    return Classifier(
        network=network,
        labels=faces.labels,
        preprocessing=preprocessing,
        name=recipe.name,
        cam_layer=layer,
        reshape=reshape,
        trained_on=frozenset(bytes.fromhex(name)[: checkpoints.ID_BYTES] for name in faces.content),
        card={"network": {"name": recipe.model.network, "channels": recipe.model.channels}},
    )


def normalising(preprocessing: Preprocessing, images: torch.Tensor) -> Preprocessing:
    """``preprocessing`` with the mean and deviation of ``images`` uint8 (N, C, H, W), per channel over 0..1."""
    counts = [torch.bincount(images[:, c].flatten(), minlength=256).double() for c in range(images.shape[1])]
    levels = torch.arange(256, dtype=torch.float64) / 255
    means = [float((count * levels).sum() / count.sum()) for count in counts]
    spreads = [
        float(((count * (levels - m) ** 2).sum() / count.sum()).sqrt()) for count, m in zip(counts, means, strict=True)
    ]
    fields = {**vars(preprocessing), "mean": _rounded(means), "std": _rounded([max(s, 1e-3) for s in spreads])}
    return Preprocessing(**fields)


def _tested(recipe: Recipe, dataset: FaceDataset, classifier: Classifier, faces: Faces) -> dict[str, Any]:
    """Figures on the test part; empty where the data is not divided."""
    if split_name(recipe.data.test_split) not in {split_name(name) for name in dataset.splits}:
        return {}
    test = in_memory(dataset.select(recipe.data.test_split), faces.labels, classifier.preprocessing)
    return figures.measure(classifier, test, faces.content)


def _measured(network: nn.Module, outcome: Outcome, training: Faces) -> dict[str, Any]:
    return {
        "training_images": len(training),
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "epochs": len(outcome.curves),
        "chosen_epoch": outcome.chosen,
        "wall_seconds": round(outcome.seconds, 1),
        "test_time_augmentation": "none",
    }


def _data(dataset: FaceDataset, faces: Faces) -> dict[str, Any]:
    provenance = dataset.provenance
    counts = np.bincount(faces.classes, minlength=len(faces.labels))
    return {
        "kind": provenance.kind,
        "name": provenance.path.name,
        "fingerprint": provenance.fingerprint,
        "images": dict(zip(faces.labels, counts.tolist(), strict=True)),
        "left_out": faces.skipped,
    }


def _made() -> dict[str, Any]:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"made": now, "versions": {name: version(name) for name in ("torch", "lightning", "timm")}}


def _key(recipe: Recipe, dataset: FaceDataset, labels: Path | None, folds: int | None) -> str:
    """Changes whenever what a training is begun with does."""
    corrections = b"" if labels is None else labels.read_bytes()
    told = f"{recipe.model_dump_json()} {dataset.provenance.fingerprint} {folds} ".encode()
    return hashlib.sha256(told + corrections).hexdigest()


def _work_folder(out: Path, key: str, resume: bool) -> Path:
    work = out.resolve().with_name(f".{out.resolve().name}.training")
    begun = work / BEGUN
    if resume and begun.is_file() and begun.read_text() != key:
        raise InputError(
            f"The training in {work} was begun with another recipe or other data; resume with the same, or start "
            "again without --resume."
        )
    if not (resume and begun.is_file()):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        begun.write_text(key)
    return work


def _deviation(count: torch.Tensor, levels: torch.Tensor) -> float:
    mean = (count * levels).sum() / count.sum()
    return float(((count * (levels - mean) ** 2).sum() / count.sum()).sqrt())


def _rounded(values: list[float]) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in values)
