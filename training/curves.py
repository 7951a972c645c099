"""What a training left to look at: the figures of every epoch as a CSV and a drawing, and each image's margin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from training.memory import Faces

WIDTH, HEIGHT, MARGIN = 420, 260, 44
COLOURS = {"train_loss": "#0072b2", "val_loss": "#d55e00", "val_accuracy": "#009e73"}


def write_curves(table: pd.DataFrame, folder: Path) -> None:
    """Write ``curves.csv`` and ``curves.svg``: one row an epoch with train_loss, val_loss and val_accuracy.

    The members of an ensemble are drawn as their mean.
    """
    table.to_csv(folder / "curves.csv", index=False)
    table = table.groupby("epoch", as_index=False).mean()
    panels = _panel(table, ["train_loss", "val_loss"], "Loss", 0) + _panel(
        table, ["val_accuracy"], "Validation accuracy", WIDTH
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>{panels}</svg>\n'
    )
    (folder / "curves.svg").write_text(svg, encoding="utf-8")


def write_dynamics(training: Faces, margins: np.ndarray, folder: Path) -> None:
    """Write ``training_dynamics.parquet``: each training image's area under the margin, low where a label is doubtful.

    Pleiss et al. (2020): the logit of the label less the largest other, averaged over the epochs.
    """
    table = pd.DataFrame(
        {"sample_id": training.samples["sample_id"], "content_id": training.content, "area_under_margin": margins}
    )
    table.to_parquet(folder / "training_dynamics.parquet", index=False)


def _panel(table: pd.DataFrame, columns: list[str], title: str, left: int) -> str:
    low, high = float(table[columns].min().min()), float(table[columns].max().max())
    span, last = (high - low) or 1.0, max(1, int(table["epoch"].max()))

    def place(epoch: float, value: float) -> str:
        x = left + MARGIN + epoch / last * (WIDTH - 2 * MARGIN)
        return f"{x:.1f},{HEIGHT - MARGIN - (value - low) / span * (HEIGHT - 2 * MARGIN):.1f}"

    parts = [f'<text x="{left + MARGIN}" y="18" font-weight="bold">{title}</text>']
    for value in (low, high):
        x, y = place(0, value).split(",")
        parts.append(f'<text x="{float(x) - 6:.1f}" y="{y}" text-anchor="end">{value:.3g}</text>')
    parts.append(f'<text x="{left + WIDTH // 2}" y="{HEIGHT - 10}" text-anchor="middle">epoch, 0 to {last}</text>')
    for index, name in enumerate(columns):
        points = " ".join(place(epoch, value) for epoch, value in table[["epoch", name]].itertuples(index=False))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
        right = left + WIDTH - MARGIN - 90 * (len(columns) - index - 1)
        parts.append(f'<text x="{right}" y="18" text-anchor="end" fill="{COLOURS[name]}">{name}</text>')
    return "".join(parts)
