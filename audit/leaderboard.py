"""Every run's accuracy beside the figure of the system that its task comes from, with the interval each deserves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from audit import intervals
from audit.run import AuditRun
from faces.emotions import LabelSet, vote_columns
from faces.errors import InputError


@dataclass(frozen=True)
class Published:
    """What one of the five student systems says of itself: accuracy 0..1, on how many images of which part, where it
    says so."""

    system: int
    accuracy: float
    images: int | None = None
    part: str = "test"

    @property
    def interval(self) -> tuple[float, float] | None:
        """95% Wilson: what that figure can mean on so many images; None where their number is not told."""
        return None if self.images is None else wilson(round(self.accuracy * self.images), self.images)

    def meaning(self) -> str:
        """What the figure can and cannot mean, in a sentence."""
        claim = f"System {self.system}'s {100 * self.accuracy:.4g}%"
        if self.interval is None:
            return f"{claim} ({self.part} set): on how many images is not told, so neither is how sure it is."
        low, high = self.interval
        return (
            f"{claim} on {self.images} images can mean anything from {low:.1%} to {high:.1%} (95% interval): it cannot "
            f"be told from {low + 0.005:.0%}, and another {self.images} images may well give either."
        )


SYSTEMS: dict[str, Published] = {
    "system-0-cnn": Published(0, 0.93, 128),
    "system-0-cnn-separable": Published(0, 0.695),
    "system-0-vgg16": Published(0, 0.51),
    "system-0-resnet101": Published(0, 0.305),
    "system-0-efficientnet-b2": Published(0, 0.25),
    "system-1-vggface": Published(1, 0.7494),
    "system-1-resnet50": Published(1, 0.653),
    "system-1-mobilenetv2": Published(1, 0.6823),
    "system-1-vgg16": Published(1, 0.6808),
    "system-1-cnn": Published(1, 0.5817),
    "system-2-cnn": Published(2, 0.6315),
    "system-2-ensemble": Published(2, 0.6315),
    "system-2-ensemble-unlike": Published(2, 0.6315),
    "system-2-merged": Published(2, 0.6315),
    "system-3-cnn-small": Published(3, 0.95),
    "system-3-cnn-large": Published(3, 0.95),
    "system-4-cnn": Published(4, 0.611, part="validation"),
    "system-4-resnet50v2": Published(4, 0.55, part="validation"),
}
"""The figure of the student system that a recipe stands for; one that ends in ``-frozen`` shares the other's."""

BEST = ("system-0-cnn", "system-1-vggface", "system-2-cnn", "system-3-cnn-small", "system-4-cnn")
"""The recipe that stands for each system's best figure."""

SEVEN = frozenset({"angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"})
CLASSES: dict[int, frozenset[str]] = {
    0: frozenset({"happy", "sad", "neutral", "surprise"}),
    1: frozenset({"angry", "fear", "happy", "sad", "surprise"}),
    2: SEVEN,
    3: frozenset({"happy", "sad"}),
    4: SEVEN,
}
"""The classes of each system's task: its figures say nothing of another's."""
TASKS: dict[frozenset[str], str] = {CLASSES[system]: recipe for system, recipe in enumerate(BEST) if system != 4}
"""The classes of a task and the recipe whose published figure is the best of it: for models of other recipes."""


@dataclass(frozen=True)
class Entry:
    """One run: how good, how sure, how large, how fast, and for whom it is worst. Nulls where the run does not say.

    ``votes`` is the share of predictions that onlookers' votes agree with, where there are any: context, nothing is
    ranked by it; ``unseen`` is the accuracy without images whose exact copies the model was trained on;
    ``augmentation`` what is done to a picture at test time, if anything; ``milliseconds`` an image, preprocessing
    aside, where the audit ran.
    """

    run: str
    path: str
    recipe: str
    classes: int
    n: int
    accuracy: float | None
    low: float | None
    high: float | None
    unseen: float | None
    votes: float | None
    published_system: int | None
    published_part: str | None
    published: float | None
    published_low: float | None
    published_high: float | None
    meaning: str | None
    parameters: int | None
    megabytes: float | None
    milliseconds: float | None
    augmentation: str | None
    calibration_error: float | None
    worst_group: str | None
    worst_group_accuracy: float | None


def leaderboard(runs: Sequence[Path | str], names: Sequence[str] | None = None) -> pd.DataFrame:
    """One row a run folder, by the number of classes, best accuracy first; columns are those of Entry.

    ``names`` are what the runs are called, their folders' by default. Raises InputError where a folder is no finished
    run or is damaged.
    """
    if not runs:
        raise InputError("No runs were given; pass the folders that `facevalue audit` wrote.")
    opened = [AuditRun.open(run) for run in runs]
    called = list(names or told_apart(opened))
    table = pd.DataFrame([asdict(entry(run, name)) for run, name in zip(opened, called, strict=True)])
    whole = ("parameters", "published_system")
    table = table.astype({**dict.fromkeys(whole, "Int64"), **dict.fromkeys(("accuracy", "low", "high"), "float64")})
    return table.sort_values(["classes", "accuracy"], ascending=[True, False]).reset_index(drop=True)


def told_apart(runs: Sequence[AuditRun]) -> list[str]:
    """The runs' folders; where two have one name, with the folder they lie in."""
    names = [run.name for run in runs]
    return [
        f"{run.folder.resolve().parent.name}/{name}" if names.count(name) > 1 else name
        for run, name in zip(runs, names, strict=True)
    ]


def entry(run: AuditRun, name: str | None = None) -> Entry:
    """A run as one row; accuracy and its interval are None where no image was judged."""
    judged = run.samples[run.samples["status"] == "ok"]
    right = judged["label"] == judged["predicted"]
    low, high = wilson(int(right.sum()), len(judged)) if len(judged) else (None, None)
    model = run.manifest["model"] or {"name": "predictions"}
    card = model.get("card") or {}
    figures = card.get("figures") or {}
    recipe = (card.get("recipe") or {}).get("name", model["name"])
    spent = 1000 * (run.timing.get("inference_s") or 0.0) / max(1, len(run.samples))
    augmentation = figures.get("test_time_augmentation")
    return Entry(
        run=name or run.name,
        path=str(run.folder),
        recipe=recipe,
        classes=len(run.classes),
        n=len(judged),
        accuracy=int(right.sum()) / len(judged) if len(judged) else None,
        low=low,
        high=high,
        unseen=_unseen(judged, right) if model.get("trained_on") else None,
        votes=agreement(judged, run.classes),
        parameters=figures.get("parameters"),
        megabytes=_megabytes(model, run.folder),
        milliseconds=spent or None,
        augmentation=augmentation if augmentation != "none" else None,
        calibration_error=_calibration_error(run),
        **_published(recipe, run.manifest["classes"]),
        **_worst_group(run),
    )


def published(recipe: str, classes: Sequence[str]) -> Published | None:
    """The figure to hold a run against: of its recipe, else the best of its recipe's system, else the best of a system
    with the same classes. None where there is none of these ``classes``."""
    own = re.match(r"system-(\d)-", recipe)
    if own and CLASSES.get(int(own[1])) == frozenset(classes):
        return SYSTEMS.get(recipe.removesuffix("-frozen")) or SYSTEMS[BEST[int(own[1])]]
    return SYSTEMS.get(TASKS.get(frozenset(classes), ""))


def _published(recipe: str, classes: Sequence[str]) -> dict[str, Any]:
    told = published(recipe, classes)
    if told is None:
        names = ("published_system", "published_part", "published", "published_low", "published_high", "meaning")
        return dict.fromkeys(names)
    low, high = told.interval or (None, None)
    return {
        "published_system": told.system,
        "published_part": told.part,
        "published": told.accuracy,
        "published_low": low,
        "published_high": high,
        "meaning": told.meaning(),
    }


def _unseen(judged: pd.DataFrame, right: pd.Series) -> float | None:
    if "seen_in_training" not in judged or judged["seen_in_training"].all():
        return None
    return float(right[~judged["seen_in_training"].astype(bool)].mean())


def agreement(judged: pd.DataFrame, classes: LabelSet) -> float | None:
    """Share of the predictions with as many votes (columns ``votes_CLASS``) as any other of the ``classes``.

    Images without a vote for one of these are left out; None where there are no votes at all.
    """
    columns = vote_columns(judged)
    if not set(classes) <= set(columns):
        return None
    votes = judged[[columns[name] for name in classes]].fillna(0).to_numpy(dtype=float)
    chosen = votes[np.arange(len(votes)), classes.encode(judged["predicted"])]
    voted = votes.sum(axis=1) > 0
    return float((chosen == votes.max(axis=1))[voted].mean()) if voted.any() else None


def _calibration_error(run: AuditRun) -> float | None:
    """None for a run of predictions without probabilities, which stores no calibration."""
    file = run.folder / "results" / "calibration.json"
    return run.result("calibration").get("ece") if file.is_file() else None


def _worst_group(run: AuditRun) -> dict[str, Any]:
    """The group, large enough to judge, with the lowest standardised accuracy; single attributes only."""
    groups = run.table("groups")
    single = groups[~groups["attribute"].str.contains(" × ", regex=False)].dropna(subset=["standardised"])
    single = single[~single["too_small"].astype(bool)]
    if single.empty:
        return {"worst_group": None, "worst_group_accuracy": None}
    worst = single.loc[single["standardised"].idxmin()]
    name = f"{worst['attribute']} {worst['group']}".strip()
    return {"worst_group": name, "worst_group_accuracy": float(worst["standardised"])}


def _megabytes(model: dict[str, Any], run: Path) -> float | None:
    """Size of the weights file, where the model is still in its place; code that makes a network has none."""
    spec, relative = str(model.get("card", {}).get("spec") or ""), model.get("relative_path")
    if spec.startswith("factory:"):
        named = re.search(r"\.py:[^:@]+@(.+)$", spec)
        weights = Path(named[1]) if named else None
        return weights.stat().st_size / 1e6 if weights and weights.is_file() else None
    places = [Path(place) for place in (model.get("path"), relative and run / relative) if place]
    for place in places:
        file = place / "weights.safetensors" if place.is_dir() else place
        if file.is_file():
            return file.stat().st_size / 1e6
    return None


def wilson(right: int, n: int) -> tuple[float, float]:
    """95% Wilson interval of ``right`` out of ``n``; 0..1 where n is 0."""
    if not n:
        return 0.0, 1.0
    interval = intervals.wilson(right, n)
    return float(interval.low), float(interval.high)
