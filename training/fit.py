"""train(recipe, dataset, out): a recipe and labelled faces become a checkpoint folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from faces.dataset import FaceDataset
from faces.errors import InputError
from models import checkpoints
from models.camlayer import find_cam_layer
from models.classifier import Classifier, Preprocessing
from models.out_of_fold import FOLDER
from training import card, figures
from training.curves import write_curves, write_dynamics
from training.gather import gathered, wanted
from training.loop import Outcome, check_networks, divided, recipes_of_members, run_members
from training.memory import Faces
from training.out_of_fold import write_out_of_fold
from training.recipe import Recipe, load_recipe
from training.votes import voted

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
    also: Sequence[FaceDataset] = (),
) -> Classifier:
    """Train by ``recipe`` on the training part of ``dataset`` and write the checkpoint folder ``out``.

    ``labels`` is a CSV of corrections (see training.corrections); ``folds`` also trains that many networks whose
    out-of-fold answers go to ``out/out_of_fold``; ``also`` are data sets whose training parts are learnt from too.
    Epochs are chosen by a held-out share of what is learnt from; the test part of ``dataset``, where there is one, is
    measured once at the end. Until then everything lies in ``.NAME.training`` beside ``out``, from which ``resume``
    goes on. Raises InputError where ``out`` is there already (with ``resume`` a finished one is returned as it is).
    """
    out = Path(out)
    if done := finished(out, resume):
        return done
    datasets = [dataset, *also]
    check(recipe, folds, datasets)
    everything, notes = gathered(recipe, datasets, labels)
    faces = wanted(everything, recipe)
    if folds is not None:
        check_nobody_knows(recipe, faces)
    work = _work_folder(out, _key(recipe, datasets, labels, folds), resume)
    learnt = card.data(datasets, faces) | notes
    classifier, outcome, training = _trained(recipe, faces, divided(everything, recipe), work, progress)
    results = classifier.card["figures"] | card.tested(recipe, dataset, classifier, faces.content)
    if folds is not None:
        results["out_of_fold"] = write_out_of_fold(recipe, classifier.preprocessing, faces, folds, work, progress)
    told = {"figures": results, "recipe": recipe.model_dump(mode="json"), "data": learnt}
    model = checkpoints.save(classifier, work / "model", told | card.made())
    write_curves(outcome.curves, model)
    write_dynamics(training, outcome.margins, model)
    if folds is not None:
        (work / FOLDER).rename(model / FOLDER)
    checkpoints.put_in_place(model, out)
    shutil.rmtree(work)
    return checkpoints.load(out)


def finished(out: Path, resume: bool) -> Classifier | None:
    """The checkpoint in ``out``, where there is one to go on with. Raises InputError where ``out`` is taken."""
    if resume and (out / checkpoints.CARD).is_file():
        return checkpoints.load(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is already there; choose another --out, or remove it first.")
    return None


def check(recipe: Recipe, folds: int | None, datasets: Sequence[FaceDataset]) -> None:
    """Raises InputError for what can be told to be wrong before any face is read."""
    if folds is not None and folds < 2:
        raise InputError(f"{folds} folds cannot be made; pass --folds 2 or more.")
    check_networks(recipe)
    if any(told.learn.votes_share for told in recipes_of_members(recipe)):
        voted(pd.concat([dataset.samples for dataset in datasets]))


def check_nobody_knows(recipe: Recipe, faces: Faces) -> None:
    """Raises InputError where a fold would be judged by a network that comes from one which learnt from it."""
    for name in _built_on(recipe):
        if _seen_by(name) & _ids(faces):
            raise InputError(
                f"{name}, which the recipe {recipe.name} builds on, was trained on these images, so that no fold would "
                "be judged by a network that has not seen it; leave out --folds, or choose a recipe without it."
            )


def _built_on(recipe: Recipe) -> list[str | None]:
    """What each of the recipe's networks begins on, and its teacher."""
    return [name for told in recipes_of_members(recipe) for name in (told.model.pretrained, told.learn.teacher)]


def _seen_by(name: str | None) -> frozenset[bytes]:
    """What a checkpoint was trained on; nothing where ``name`` is none."""
    folder = checkpoints.named(name)
    return checkpoints.load(folder).trained_on if folder else frozenset()


def _ids(faces: Faces) -> frozenset[bytes]:
    """What a checkpoint keeps of the images it was trained on."""
    return frozenset(bytes.fromhex(name)[: checkpoints.ID_BYTES] for name in faces.content)


def _trained(
    recipe: Recipe, faces: Faces, parts: tuple[Faces, Faces], work: Path, progress: bool
) -> tuple[Classifier, Outcome, Faces]:
    """The chosen weights as a Classifier with its first figures, how it went, and the faces it learnt from.

    ``parts`` are what is learnt from and what is held out of ``faces``.
    """
    training, validation = parts
    plain = Preprocessing(recipe.model.size, recipe.model.size, recipe.model.channels)
    preprocessing = normalising(plain, training.images)
    network, outcome = run_members(recipe, preprocessing, training, validation, work, progress)
    classifier = _classifier(network, recipe, preprocessing, faces)
    right = figures.probabilities(classifier, validation.images).argmax(axis=1) == validation.classes
    classifier.card["figures"] = {
        "validation": figures.accuracy(right),
        **card.measured(network, outcome, training, recipe),
    }
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
        trained_on=_ids(faces).union(*(_seen_by(name) for name in _built_on(recipe))),
        card={"network": card.network(recipe)},
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


def _key(recipe: Recipe, datasets: Sequence[FaceDataset], labels: Path | None, folds: int | None) -> str:
    """Changes whenever what a training is begun with does."""
    corrections = b"" if labels is None else labels.read_bytes()
    data = " ".join(dataset.provenance.fingerprint for dataset in datasets)
    told = [card.read_as(dataset.provenance) for dataset in datasets]
    data += json.dumps(told) if any(told) else ""
    plans = " ".join(one.model_dump_json() for one in (recipe, *map(load_recipe, recipe.model.beside)))
    return hashlib.sha256(f"{plans} {data} {folds} ".encode() + corrections).hexdigest()


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


def _rounded(values: list[float]) -> tuple[float, ...]:
    return tuple(round(value, 4) for value in values)
