"""Runs ranked by accuracy, each beside the figure that was published for its task."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go

from reports.figures.theme import drawn, empty, error_bars, row_axis, shown, theme_named, title
from reports.words import known, percent, span, whole

ROW = 44


def leaderboard(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """Accuracy with its 95% interval, and the published figure with the interval that its test set allows.

    ``frame`` is audit.leaderboard's: run, n, accuracy, low, high, published, published_low, published_high. A figure
    whose number of images was not told has no interval. A click gives ``run``.
    """
    if frame.empty:
        return empty("There is no run to rank.", theme)
    look = theme_named(theme)
    rows = frame.to_dict("records")
    ours = {
        "type": "scatter",
        "name": "this run, 95% interval",
        "x": frame["accuracy"].tolist(),
        "y": [place - 0.14 for place in range(len(rows))],
        "mode": "markers",
        "marker": {"symbol": "diamond", "size": 11, "color": look.first},
        "error_x": error_bars(frame["accuracy"].tolist(), frame["low"].tolist(), frame["high"].tolist(), look.first),
        "hovertext": [
            f"<b>{shown(row['run'])}</b>, n = {whole(row['n'])}<br>"
            f"accuracy {percent(row['accuracy'])} (95% interval {span(row['low'], row['high'])})"
            for row in rows
        ],
        "hoverinfo": "text",
        "customdata": [{"run": row["run"]} for row in rows],
    }
    labels = [f"{shown(row['run'])} ({row['classes']} classes, n = {whole(row['n'])})" for row in rows]
    return drawn(
        look,
        [ours, _published(rows, look.second)],
        height=110 + ROW * len(rows),
        meta={"figure": "leaderboard"},
        xaxis={"tickformat": ".0%", "zeroline": False, **title("accuracy")},
        yaxis=row_axis(labels),
    )


def _published(rows: list[dict], colour: str) -> dict:
    places = [place for place, row in enumerate(rows) if known(row["published"])]
    told = [rows[place] for place in places]
    values = [row["published"] for row in told]
    low, high = (
        [float(row[end]) if known(row[end]) else math.nan for row in told]
        for end in ("published_low", "published_high")
    )
    return {
        "type": "scatter",
        "name": "published figure, interval where the number of images is told",
        "x": values,
        "y": [place + 0.2 for place in places],
        "mode": "markers",
        "marker": {"symbol": "circle-open", "size": 10, "color": colour, "line": {"width": 2}},
        "error_x": {**error_bars(values, low, high, colour), "width": 0},
        "hovertext": [shown(row["meaning"]) for row in told],
        "hoverinfo": "text",
    }
