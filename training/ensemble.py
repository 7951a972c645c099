"""ensemble(models, dataset, out): trained checkpoints become one, whose answer is their mean, measured anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from faces.dataset import FaceDataset
from faces.emotions import LabelSet
from faces.errors import InputError
from models import catalogue, checkpoints, networks
from models.classifier import Classifier
from training import card, figures
from training.gather import gathered, wanted
from training.loop import divided
from training.recipe import CLOSEST, MOST_TILTED, Recipe
from training.temperature import calibrate


def ensemble(
    models: Sequence[Path | str],
    dataset: FaceDataset,
    out: Path,
    mirrored: bool = False,
    tilted: float = 0.0,
    closer: float = 1.0,
) -> Classifier:
    """Write ``out``: one network whose logits are the mean of those of the checkpoints ``models``.

    ``models`` are folders, or names of checkpoints that ship, trained on ``dataset``; ensembles among them count as
    their members. With ``mirrored``, or where one of them does, all look at every image both ways round; with
    ``tilted`` also turned by so many degrees to either side, with ``closer`` also at its middle, so many times as
    large. Where all held out the same images, one temperature is fitted on these (a mean of logits is less sure than
    its members). Accuracy is measured anew, on what was held out and on the test part. Raises InputError where the
    checkpoints do not go together, cannot be fused, were trained on other data, or ``out`` is there.
    """
    if not 0 <= tilted <= MOST_TILTED:
        raise InputError(f"--tilted {tilted:g} is no angle to look from; expected 0 to {MOST_TILTED} degrees.")
    if not 1 <= closer <= CLOSEST:
        raise InputError(f"--closer {closer:g} is no enlargement to look at; expected 1 to {CLOSEST:g} times.")
    if out.exists():
        raise InputError(f"{out} is already there; choose another --out, or remove it first.")
    given = [_opened(model, dataset) for model in models]
    first = given[0]
    for other in given[1:]:
        _check_alike(first, other)
    parts = [part for classifier in given for part in members(classifier, first.labels)]
    made = [classifier.card["network"] for classifier in given]
    tilted = max(tilted, *(float(network.get("tilted", 0)) for network in made))
    closer = max(closer, *(float(network.get("closer", 1)) for network in made))
    mirrored = mirrored or tilted > 0 or closer > 1 or any(network.get("mirrored") for network in made)
    whole = networks.fused(parts) if len(parts) > 1 else parts[0]
    whole = networks.mirrored(whole, tilted, closer) if mirrored else whole
    trainings = [member for one in given for member in _told_of(one)]
    recipe = Recipe.model_validate(trainings[0]["recipe"])
    everything, _ = gathered(recipe, [dataset], None)
    faces = wanted(everything, recipe)
    held_out = None
    first_by, *others_by = [_held_out_by(member) for member in trainings]
    if first_by is not None and all(by == first_by for by in others_by):
        _, held_out = divided(everything, recipe)
    temperature = calibrate(whole, out.name, first.preprocessing, held_out) if held_out else 1.0
    fused = replace(
        first,
        network=checkpoints.rounded(whole.eval()),
        name=out.name,
        cam_layer="features",
        reshape="nchw",
        fingerprint="",
        trained_on=frozenset[bytes]().union(*(classifier.trained_on for classifier in given)),
        card=_card(given, whole, {"mirrored": mirrored, "tilted": tilted, "closer": closer}),
    )
    results = fused.card["figures"]
    results["temperature"] = round(temperature, 4)
    if held_out:
        right = figures.probabilities(fused, held_out.images).argmax(axis=1) == held_out.classes
        results["validation"] = figures.accuracy(right)
    results |= card.tested(recipe, dataset, fused, faces.content)
    checkpoints.save(fused, out, card.made())
    return checkpoints.load(out)


def _opened(model: Path | str, dataset: FaceDataset) -> Classifier:
    folder = checkpoints.named(str(model))
    if folder is None:
        raise InputError(f"{model} is no checkpoint; give a checkpoint folder or the name of one that ships.")
    classifier = checkpoints.load(folder)
    learnt = classifier.card.get("data", {})
    if learnt.get("fingerprint") != dataset.provenance.fingerprint:
        raise InputError(f"{model} was trained on other data than {dataset.provenance.path}; pass the same.")
    _check_read_alike(model, learnt, dataset)
    network, side = classifier.network, classifier.preprocessing.height
    if not isinstance(network, networks.Pooled):
        network = catalogue.as_pooled(
            classifier.card["network"]["name"], network, classifier.preprocessing.channels, side
        )
    return replace(classifier, network=network)


def _check_read_alike(model: Path | str, learnt: dict[str, Any], dataset: FaceDataset) -> None:
    """Raises InputError where the same data is read otherwise than for the training: labels or people would differ.

    A sidecar that tells no people decides neither.
    """
    now = card.read_as(dataset.provenance)
    by_subject = learnt.get("by_subject") or "subject_id" in dataset.samples
    for field, option in (("label", "--label"), ("numbers", "--label-names"), ("metadata", "--metadata")):
        was = learnt.get(field)
        if was != now.get(field) and (field != "metadata" or by_subject):
            value = "" if not was or field == "metadata" else f": {was if isinstance(was, str) else ','.join(was)}"
            raise InputError(
                f"{model} was trained {'with' if was else 'without'} {option}, and {dataset.provenance.path} is read "
                f"otherwise now; pass what its training was given{value}."
            )


def _check_alike(one: Classifier, other: Classifier) -> None:
    if set(one.labels) != set(other.labels):
        raise InputError(
            f"{other.name} tells {', '.join(other.labels)} apart and {one.name} {', '.join(one.labels)}; the models of "
            "an ensemble were expected to have the same classes: leave one out."
        )
    if one.preprocessing != other.preprocessing:
        raise InputError(
            f"{other.name} takes {other.preprocessing.as_input()} and {one.name} {one.preprocessing.as_input()}; the "
            "models of an ensemble were expected to take the same input: leave one out."
        )


def members(classifier: Classifier, labels: LabelSet) -> list[networks.Pooled]:
    """The networks that a checkpoint is made of, with outputs in the order of ``labels``, as before its calibration."""
    temperature = classifier.card["figures"].get("temperature", 1.0)
    rows = [classifier.labels.index(name) for name in labels]
    parts = networks.members(cast(networks.Pooled, classifier.network))
    for part in parts:
        head = {name: value[rows] * temperature for name, value in part.classify.state_dict().items()}
        part.classify.load_state_dict(head)
    return parts


def _names(classifier: Classifier) -> list[str]:
    """The catalogue names of those networks."""
    told = classifier.card["network"]
    return [told["name"]] * told.get("members", 1) + list(told.get("beside", ()))


def _held_out_by(member: dict[str, Any]) -> tuple[Any, ...] | None:
    """What decides which images a training held out; None where more does than its recipe and this data."""
    learnt = member.get("data") or {}
    if learnt.get("also") or learnt.get("corrections"):
        return None
    recipe = Recipe.model_validate(member["recipe"])
    return recipe.data.split, recipe.data.rename, recipe.data.validation


def _told_of(classifier: Classifier) -> list[dict[str, Any]]:
    """What the card says of each of those networks' trainings."""
    own = {field: classifier.card.get(field) for field in ("name", "fingerprint", "recipe", "data", "figures")}
    return classifier.card.get("members", [own])


def _card(given: Sequence[Classifier], network: torch.nn.Module, views: dict[str, Any]) -> dict[str, Any]:
    name, *others = [name for classifier in given for name in _names(classifier)]
    channels = given[0].preprocessing.channels
    return {
        "network": {
            "name": name,
            "channels": channels,
            "members": 1,
            **views,
            "beside": others,
        },
        "members": [member for classifier in given for member in _told_of(classifier)],
        "data": given[0].card["data"],
        "figures": {
            "training_images": max(one.card["figures"]["training_images"] for one in given),
            "parameters": sum(weight.numel() for weight in network.parameters()),
            "test_time_augmentation": card.augmentation(**views),
        },
    }


def told(classifier: Classifier) -> str:
    """One line for people: how much the ensemble gets right."""
    names = {"test": "test images", "test_without_duplicates": "of these not in training", "validation": "held out"}
    found = classifier.card["figures"]
    return "; ".join(
        f"{part['accuracy']:.1%} ({part['low']:.1%} to {part['high']:.1%}) of {part['n']:,} {name}"
        for field, name in names.items()
        if (part := found.get(field)) and part["n"]
    )
