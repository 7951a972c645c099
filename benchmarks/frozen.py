"""System 0's table: its networks frozen and unfrozen, and our own, on happy, sad, neutral and surprise.

    python -m benchmarks.frozen [--minutes 0.9] [--train 2000] [--test 1000] [--pretrained timm]

Small on purpose: few images of 48 pixels and under a minute of training a network, so that two CPU cores bear it. By
default the networks begin with random weights (ImageNet's need a download: --pretrained timm), so that a frozen one is
a linear head on random features; what it shows is the table, its intervals, and what freezing costs there.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from audit.leaderboard import published
from benchmarks._small import part, small
from training.fit import train
from training.recipe import load_recipe

BACKBONES = ("vgg16", "resnet101", "efficientnet-b2")
OWN = ("system-0-cnn", "system-0-cnn-separable")
RECIPES = (*OWN, *(f"system-0-{name}{frozen}" for name in BACKBONES for frozen in ("-frozen", "")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=0.9, help="of training, for each network")
    parser.add_argument("--train", type=int, default=2000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--pretrained", help="timm, where its download can be reached")
    options = parser.parse_args()
    dataset = part(load_recipe(OWN[0]).data.classes or (), options.train, options.test)
    print(f"{options.train} training and {options.test} test images of 48 pixels, {options.minutes:g} min each")
    print(f"{'recipe':<34}{'weights':>12}{'epochs':>8}{'seconds':>9}{'accuracy':>10}  95% interval    system 0")
    for name in RECIPES:
        recipe = load_recipe(name)
        weights = None if name in OWN else options.pretrained
        with tempfile.TemporaryDirectory() as scratch:
            start = time.perf_counter()
            model = train(small(recipe, options.minutes, 48, weights), dataset, Path(scratch) / "model", progress=False)
            print(line(name, model.card["figures"], model.labels.names, time.perf_counter() - start), flush=True)


def line(name: str, figures: dict[str, Any], classes: tuple[str, ...], seconds: float) -> str:
    """One network's line of the table."""
    test, claim = figures["test"], published(name, classes)
    told = "" if claim is None else f"{claim.accuracy:.1%}{f' of {claim.images}' if claim.images else ''}"
    return (
        f"{name:<34}{figures['parameters']:>12,}{figures['epochs']:>8}{seconds:>9.0f}{test['accuracy']:>10.1%}  "
        f"{test['low']:.1%} to {test['high']:.1%}  {told}"
    )


if __name__ == "__main__":
    main()
