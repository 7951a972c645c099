"""System 3's repeated k-fold, happy or sad, with a small and a large network.

    python -m benchmarks.folds [--minutes 0.2] [--images 2000] [--repeats 2] [--folds 5]

Small on purpose: few images and seconds of training a fold, so that two CPU cores bear it. Every figure is of networks
judged on images they were not trained on, exact duplicates kept together; the spread of the folds is what one division
of so few images can be off by.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._small import part, small
from training.fit import train
from training.recipe import load_recipe

RECIPES = ("system-3-cnn-small", "system-3-cnn-large")
PUBLISHED = 0.95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=0.2, help="of training, for each fold")
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--folds", type=int, default=5)
    options = parser.parse_args()
    dataset = part(("happy", "sad"), options.images, 1000)
    print(f"{options.images} images, {options.repeats} times {options.folds} folds, {options.minutes:g} min each")
    for name in RECIPES:
        recipe = small(load_recipe(name), options.minutes)
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"repeats": options.repeats})})
        with tempfile.TemporaryDirectory() as scratch:
            start = time.perf_counter()
            model = train(recipe, dataset, Path(scratch) / "model", folds=options.folds, progress=False)
        figures, seconds = model.card["figures"], time.perf_counter() - start
        folds = figures["out_of_fold"]
        each = np.array(folds["fold_accuracies"])
        print(
            f"{name}: {figures['parameters']:,} weights, {seconds:.0f} s\n"
            f"  folds: mean {each.mean():.1%}, standard deviation {each.std(ddof=1):.1%}, "
            f"lowest {each.min():.1%}, highest {each.max():.1%}\n"
            f"  mean of the repeats on all images: {folds['accuracy']:.1%} "
            f"({folds['low']:.1%} to {folds['high']:.1%}, n = {folds['n']})\n"
            f"  PublicTest: {figures['test']['accuracy']:.1%} ({figures['test']['low']:.1%} to "
            f"{figures['test']['high']:.1%}, n = {figures['test']['n']}); system 3 says {PUBLISHED:.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
