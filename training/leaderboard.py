"""Every recipe's accuracy beside the figure of the system that it stands for, read from audit runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from scipy.stats import binomtest

from faces.errors import InputError


@dataclass(frozen=True)
class Published:
    """What a system says of itself: accuracy 0..1, and on how many test images, where it says so."""

    accuracy: float
    images: int | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95% Wilson: what that figure can mean on so many images; None where their number is not told."""
        return None if self.images is None else wilson(round(self.accuracy * self.images), self.images)


SYSTEMS: dict[str, Published] = {
    "system-0-cnn": Published(0.93, 128),
    "system-0-cnn-separable": Published(0.695),
    "system-0-vgg16": Published(0.51),
    "system-0-resnet101": Published(0.305),
    "system-0-efficientnet-b2": Published(0.25),
    "system-1-vggface": Published(0.7494),
    "system-1-resnet50": Published(0.653),
    "system-1-mobilenetv2": Published(0.6823),
    "system-1-vgg16": Published(0.6808),
    "system-1-cnn": Published(0.5817),
    "system-2-cnn": Published(0.6315),
    "system-2-ensemble": Published(0.6315),
    "system-2-merged": Published(0.6315),
    "system-3-cnn-small": Published(0.95),
    "system-3-cnn-large": Published(0.95),
    "system-4-cnn": Published(0.611),
    "system-4-resnet50v2": Published(0.55),
}
"""The figure of the student system that a recipe stands for; one that ends in ``-frozen`` shares the other's."""


@dataclass(frozen=True)
class Entry:
    """One run: how good, how sure, how large, how fast, and for whom it is worst. Nulls where the run does not say."""

    run: str
    recipe: str
    classes: int
    n: int
    accuracy: float
    low: float
    high: float
    published: float | None
    published_low: float | None
    published_high: float | None
    parameters: int | None
    megabytes: float | None
    milliseconds: float | None
    calibration_error: float | None
    worst_group: str | None
    worst_group_accuracy: float | None


def leaderboard(runs: Sequence[Path | str]) -> pd.DataFrame:
    """One row a run folder, best accuracy first. Raises InputError where a folder is no finished run."""
    if not runs:
        raise InputError("No runs were given; pass the folders that `facevalue audit` wrote.")
    table = pd.DataFrame([asdict(entry(Path(run))) for run in runs])
    return table.sort_values(["classes", "accuracy"], ascending=[True, False]).reset_index(drop=True)


def entry(run: Path) -> Entry:
    """A run folder as one row. Raises InputError where it is no finished run."""
    if not (run / "manifest.json").is_file():
        raise InputError(
            f"{run} is not a finished audit run (it has no manifest.json); pass a folder of `facevalue audit`."
        )
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    samples = pd.read_parquet(run / "samples.parquet", columns=["label", "predicted", "status"])
    judged = samples[samples["status"] == "ok"]
    right = int((judged["label"] == judged["predicted"]).sum())
    low, high = wilson(right, len(judged))
    model = manifest["model"]
    card = model.get("card") or {}
    recipe = (card.get("recipe") or {}).get("name", model["name"])
    return Entry(
        run=run.name,
        recipe=recipe,
        classes=len(manifest["classes"]),
        n=len(judged),
        accuracy=right / max(1, len(judged)),
        low=low,
        high=high,
        parameters=(card.get("figures") or {}).get("parameters"),
        megabytes=_megabytes(model, run),
        milliseconds=1000 * _stored(run / "timing.json").get("inference_s", float("nan")) / max(1, len(samples)),
        calibration_error=_stored(run / "results" / "calibration.json").get("ece"),
        **_published(recipe),
        **_worst_group(run),
    )


def _published(recipe: str) -> dict[str, Any]:
    told = SYSTEMS.get(recipe.removesuffix("-frozen"))
    if told is None:
        return {"published": None, "published_low": None, "published_high": None}
    low, high = told.interval or (None, None)
    return {"published": told.accuracy, "published_low": low, "published_high": high}


def _worst_group(run: Path) -> dict[str, Any]:
    """The group, large enough to judge, with the lowest standardised accuracy; single attributes only."""
    groups = pd.read_parquet(run / "results" / "groups.parquet", columns=["attribute", "group", "standardised"])
    single = groups[~groups["attribute"].str.contains(" × ", regex=False)].dropna(subset=["standardised"])
    if single.empty:
        return {"worst_group": None, "worst_group_accuracy": None}
    worst = single.loc[single["standardised"].idxmin()]
    name = f"{worst['attribute']} {worst['group']}".strip()
    return {"worst_group": name, "worst_group_accuracy": float(worst["standardised"])}


def _megabytes(model: dict[str, Any], run: Path) -> float | None:
    """Size of the weights file, where the model is still in its place."""
    places = [
        Path(place) for place in (model["path"], model["relative_path"] and run / model["relative_path"]) if place
    ]
    for place in places:
        file = place / "weights.safetensors" if place.is_dir() else place
        if file.is_file():
            return file.stat().st_size / 1e6
    return None


def _stored(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def wilson(right: int, n: int) -> tuple[float, float]:
    """95% Wilson interval of ``right`` out of ``n``; 0..1 where n is 0."""
    if not n:
        return 0.0, 1.0
    interval = binomtest(right, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
