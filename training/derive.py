"""A checkpoint made from another one without training, measured again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from faces.dataset import FaceDataset
from faces.errors import InputError
from models import checkpoints, networks
from models.classifier import Classifier
from training import card, figures
from training.gather import gathered, wanted
from training.loop import divided
from training.recipe import Recipe


def derive(
    model: Path, change: Callable[[Classifier], Classifier], told: str, dataset: FaceDataset, out: Path
) -> Classifier:
    """Write ``out``: the checkpoint ``model`` after ``change``, with validation and test figures measured anew.

    ``change`` gives a classifier whose card names its network as the catalogue builds it; ``told`` says on the card
    what was done. ``dataset`` is what ``model`` was trained on. Raises InputError where it is not, or ``out`` is there.
    """
    before = checkpoints.load(model)
    if out.exists():
        raise InputError(f"{out} is already there; choose another folder, or remove it first.")
    if before.card["data"]["fingerprint"] != dataset.provenance.fingerprint:
        raise InputError(f"{model} was trained on other data than {dataset.provenance.path}; pass the same.")
    recipe = Recipe.model_validate(before.card["recipe"])
    faces, _ = gathered(recipe, [dataset], None)
    _, validation = divided(faces, recipe)
    after = change(before)
    checkpoints.rounded(after.network)
    right = figures.probabilities(after, validation.images).argmax(axis=1) == validation.classes
    results = {**before.card["figures"], **after.card["figures"], "validation": figures.accuracy(right)}
    results |= card.tested(recipe, dataset, after, wanted(faces, recipe))
    made_from = {"name": before.name, "fingerprint": before.fingerprint, "change": told}
    checkpoints.save(after, out, {"figures": results, "derived_from": made_from})
    return checkpoints.load(out)


def mirrored(classifier: Classifier) -> Classifier:
    """A change for :func:`derive`: the network looks at every image both ways round (see models.networks.mirrored).

    Raises InputError where it is none of our networks.
    """
    if not isinstance(classifier.network, networks.Pooled):
        raise InputError(f"The network of {classifier.name} is none of ours and cannot be mirrored; choose another.")
    told = {
        "network": {**classifier.card["network"], "mirrored": True},
        "figures": {"test_time_augmentation": card.MIRRORED},
    }
    network = networks.mirrored(classifier.network)
    return replace(classifier, network=network, cam_layer="features", fingerprint="", card={**classifier.card, **told})
