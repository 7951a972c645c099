"""Bar 1: training on FER-2013's Training part alone reaches 64% on PublicTest within 40 minutes on two cores.

    python -m benchmarks.train_fer2013 [--recipe fer2013-compact] [--out FOLDER]

Prints accuracy with and without test images that are duplicated in the training part, and the minutes; exits 1 where
the bar is missed. Give it the machine to itself: minutes are wall clock.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks._real import faces_folder
from faces.readers import open_dataset
from training.fit import train
from training.recipe import load_recipe

ACCURACY, MINUTES = 0.64, 40.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="fer2013-compact")
    parser.add_argument("--out", type=Path, help="keep the checkpoint here, and go on from what lies there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch) / "model"
        dataset = open_dataset(faces_folder() / "archive.zip")
        figures = train(load_recipe(options.recipe), dataset, out, resume=True).card["figures"]
    minutes = figures["wall_seconds"] / 60
    for name in ("validation", "test", "test_without_duplicates"):
        part = figures[name]
        print(f"{name:<26}{part['accuracy']:.4f}  ({part['low']:.4f} to {part['high']:.4f}, n = {part['n']})")
    print(f"{'epochs':<26}{figures['epochs']}, chosen {figures['chosen_epoch']}")
    print(f"{'minutes':<26}{minutes:.1f}")
    held = figures["test"]["accuracy"] >= ACCURACY and minutes <= MINUTES
    print(f"bar 1 (at least {ACCURACY:.0%} in at most {MINUTES:.0f} minutes): {'holds' if held else 'missed'}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
