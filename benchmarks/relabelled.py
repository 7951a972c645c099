"""What an hour of relabelling is worth: one recipe trained on the labels as given and on those a reviewer corrected.

    facevalue train fer2013-quick --data archive.zip --out MODEL --folds 5
    python -m benchmarks.relabelled --model MODEL --out FOLDER [--recipe fer2013-quick] [--seeds 3]

MODEL's out-of-fold answers rank the Training part, FER+ answers for a reviewer with 2,000 decisions, and its own
network counts as a training on the labels as given. What lies in FOLDER already is not trained again. The judge is
FER+'s majority on PublicTest, which no training saw. Bar: the corrected labels are worth 1.5 points, mean of the seeds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from audit.scoring import score
from benchmarks._real import faces_folder, public_test
from benchmarks.label_ranking import Judged, correct_by_votes
from faces.readers import open_dataset
from models.checkpoints import load, read_card
from models.classifier import Classifier
from training.fit import train
from training.recipe import Recipe, load_recipe

BAR = 0.015
BATCH = 256


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    return recipe.model_copy(update={"learn": recipe.learn.model_copy(update={"seed": seed})})


def trained(recipe: Recipe, out: Path, labels: Path | None) -> Classifier:
    dataset = open_dataset(faces_folder() / "archive.zip")
    return train(recipe, dataset, out, labels=labels, resume=True, progress=False)


def agreement(classifier: Classifier) -> float:
    """Share of PublicTest whose prediction no emotion has more votes than; pictures without votes are left out."""
    dataset = public_test()
    judged = Judged.of(dataset.samples, classifier.labels)
    pixels = np.stack([classifier.preprocessing.fit(image) for _, image in dataset.stream(range(len(dataset)))])
    parts = [pixels[at : at + BATCH] for at in range(0, len(pixels), BATCH)]
    said = np.concatenate([score(classifier, part, ()).probabilities.argmax(axis=1) for part in parts])
    voted = judged.votes.sum(axis=1) > 0
    return float(judged.right_suggestion(said)[voted].mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="fer2013-quick")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    labels = options.out / "corrected.csv"
    if not labels.is_file():
        correct_by_votes(options.model, labels)
    own = read_card(options.model)["recipe"]
    gains = []
    for seed in range(options.seeds):
        recipe = with_seed(load_recipe(options.recipe), seed)
        same = recipe.model_dump(mode="json") == own
        given = load(options.model) if same else trained(recipe, options.out / f"given-{seed}", None)
        corrected = trained(recipe, options.out / f"corrected-{seed}", labels)
        before, after = agreement(given), agreement(corrected)
        gains.append(after - before)
        print(f"seed {seed}: {before:.4f} as given, {after:.4f} corrected, {100 * gains[-1]:+.2f} points", flush=True)
    gain = float(np.mean(gains))
    held = gain >= BAR
    verdict = "holds" if held else "MISSED"
    print(f"mean of {options.seeds} seeds: {100 * gain:+.2f} points (at least {100 * BAR:+.1f}: {verdict})")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
