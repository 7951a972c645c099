"""Every recipe of the five systems takes a few steps on drawn faces: that it can be trained, not how well.

    python -m benchmarks.recipes [NAME ...]

Networks begin with random weights, as nothing is downloaded; ImageNet's or VGGFace's come with the recipe as it is.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from faces.dataset import FaceDataset
from faces.readers import open_dataset
from faces.synthetic import draw
from training.fit import train
from training.recipe import Recipe, load_recipe, recipe_names

DRAWN, USED, BATCH = 400, 90, 16


def quick(recipe: Recipe) -> Recipe:
    """One epoch of small batches, from random weights."""
    model = recipe.model.model_copy(update={"pretrained": None, "beside": ()})
    return recipe.model_copy(update={"model": model}).told({"epochs": 1, "batch": BATCH})


def some(faces: FaceDataset, recipe: Recipe) -> FaceDataset:
    """USED faces of the recipe's classes, a third of them to be tested on."""
    wanted = recipe.data.classes or tuple(faces.labels)
    rows = np.flatnonzero(faces.samples["label"].isin(list(wanted)) & (faces.samples["status"] == "ok"))[:USED]
    split = np.where(np.arange(len(rows)) % 3, "train", "test")
    return replace(faces, samples=faces.samples.iloc[rows].assign(split=split).reset_index(drop=True))


def main() -> int:
    names = sys.argv[1:] or [name for name in recipe_names() if name.startswith("system-")]
    with tempfile.TemporaryDirectory() as scratch:
        draw(Path(scratch) / "faces", n=DRAWN)
        faces = open_dataset(Path(scratch) / "faces")
        for name in names:
            recipe, begun = load_recipe(name), time.perf_counter()
            made = train(quick(recipe), some(faces, recipe), Path(scratch) / name, progress=False)
            weights = made.card["figures"]["parameters"]
            print(
                f"{name:<34}{weights:>12,} weights, maps from {made.cam_layer}, {time.perf_counter() - begun:.0f} s",
                flush=True,
            )
    print(f"{len(names)} recipes trained")
    return 0


if __name__ == "__main__":
    sys.exit(main())
