"""Learning curves: the logged figures of every epoch as a CSV and as a drawing."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

WIDTH, HEIGHT, MARGIN = 420, 260, 44
COLOURS = {"train_loss": "#0072b2", "val_loss": "#d55e00", "val_accuracy": "#009e73"}


def epochs(metrics: Path) -> pd.DataFrame:
    """One row an epoch with train_loss, val_loss and val_accuracy, from Lightning's log."""
    logged = pd.read_csv(metrics)
    columns = [name for name in COLOURS if name in logged]
    table = logged.groupby("epoch")[columns].last().reset_index()
    return table.astype({"epoch": int})


def write_curves(metrics: Path, folder: Path) -> None:
    """Write ``curves.csv`` and ``curves.svg`` into ``folder``."""
    table = epochs(metrics)
    table.round(5).to_csv(folder / "curves.csv", index=False)
    losses = [name for name in ("train_loss", "val_loss") if name in table]
    panels = _panel(table, losses, "Loss", 0) + _panel(table, ["val_accuracy"], "Validation accuracy", WIDTH)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12"><rect width="100%" height="100%" fill="white"/>{panels}</svg>\n'
    )
    (folder / "curves.svg").write_text(svg, encoding="utf-8")


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
        rows = table[["epoch", name]].dropna()
        points = " ".join(place(epoch, value) for epoch, value in rows.itertuples(index=False))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"/>')
        x = left + WIDTH - MARGIN - 90 * (len(columns) - index)
        parts.append(f'<text x="{x + 90}" y="18" text-anchor="end" fill="{COLOURS[name]}">{name}</text>')
    return "".join(parts)
