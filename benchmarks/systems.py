"""Recipes trained in full, audited on FER-2013's PublicTest and ranked beside the figures of the five systems.

    python -m benchmarks.systems [--out FOLDER] [RECIPE ...]

Without names: the own networks of every system, which take no weights from elsewhere. What lies finished in FOLDER
(RECIPE/model, RECIPE/run) is not done again, so that it goes on where it was stopped. Prints a table; exits 1 where the
best of a system's recipes that were named does not beat the figure that the system was to be beaten by.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import pandas as pd

from audit import AuditOptions, audit
from audit.leaderboard import leaderboard
from benchmarks._real import faces_folder, public_test
from benchmarks.subsets import BARS
from faces.readers import open_dataset
from reports.words import known, percent, span
from training.fit import train
from training.recipe import load_recipe

OWN = (
    *("system-0-cnn", "system-0-cnn-separable", "system-1-cnn", "system-2-cnn", "system-2-ensemble"),
    *("system-3-cnn-small", "system-3-cnn-large", "system-4-cnn", "system-4-cnn-mixed", "system-4-cnn-weighted"),
)
"""Recipes whose networks are drawn, not begun from others' weights."""


def run(name: str, folder: Path) -> Path:
    """The finished run of a recipe's network on the images of its classes."""
    recipe = load_recipe(name)
    model = train(recipe, open_dataset(faces_folder() / "archive.zip"), folder / "model", resume=True)
    out = folder / "run"
    if not (out / "manifest.json").is_file():
        audit(public_test(), model, AuditOptions(), out)
    return out


def row(entry: pd.Series) -> str:
    claim = "–"
    if known(entry["published"]):
        part = "" if entry["published_part"] == "test" else f" ({entry['published_part']})"
        limits = f" ({span(entry['published_low'], entry['published_high'])})" if known(entry["published_low"]) else ""
        claim = f"{percent(entry['published'], 2)}{part}{limits}"
    reached = f"{percent(entry['accuracy'])} ({span(entry['low'], entry['high'])}) of {entry['n']:,}"
    cells = (
        *(f"`{entry['recipe']}`", entry["classes"], reached, percent(entry["unseen"]), percent(entry["votes"])),
        *(claim, entry["augmentation"] or "none"),
    )
    return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="RECIPE", default=OWN)
    parser.add_argument("--out", type=Path, help="keep checkpoints and runs here, and go on from what lies there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.out or Path(scratch)
        table = leaderboard([run(name, folder / name) for name in options.names])
    print("| recipe | classes | accuracy (95%) | copies left out | votes agree | the system says | at test time |")
    print("|---|---|---|---|---|---|---|")
    for _, entry in table.iterrows():
        print(row(entry))
    best = table.groupby(table["recipe"].str.extract(r"system-(\d)")[0].astype(float))["accuracy"].max()
    bars = {**BARS, 4: BARS[2]}
    for system, reached in best.items():
        print(f"system {system:.0f}: {reached:.1%}, bar {bars[int(system)]:.1%}")
    return int(any(reached <= bars[int(system)] for system, reached in best.items()))


if __name__ == "__main__":
    sys.exit(main())
