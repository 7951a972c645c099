"""How far confidence can be believed."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from reports.figures.theme import drawn, empty, error_bars, shown, theme_named, title
from reports.words import interval, percent, whole

CLEAR_LINES = 4
"""More groups than this cannot be told apart as lines on one pair of axes."""
COLUMNS, PANELS = 3, 12


def reliability(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """Accuracy against mean confidence, bin by bin, with intervals; the diagonal is perfect calibration.

    ``frame`` is that of ``audit.calibration.reliability``: group, low and high (the bin's edges), n, confidence,
    accuracy, accuracy_low, accuracy_high; one line a group.
    """
    if frame.empty:
        return empty("No image has a confidence.", theme)
    look = theme_named(theme)
    traces: list[dict] = [
        {
            "type": "scatter",
            "x": [0, 1],
            "y": [0, 1],
            "mode": "lines",
            "name": "perfectly calibrated",
            "hoverinfo": "skip",
            "line": {"color": look.muted, "dash": "dot", "width": 1.5},
        }
    ]
    colours = (look.first, look.second, look.third, look.fourth)
    symbols = ("circle", "diamond", "square", "triangle-up")
    for index, (name, part) in enumerate(frame.groupby("group", sort=False)):
        colour, symbol = colours[index % 4], symbols[index % 4]
        accuracy = part["accuracy"].astype(float).tolist()
        trace = {
            "type": "scatter",
            "x": part["confidence"].astype(float).tolist(),
            "y": accuracy,
            "mode": "lines+markers",
            "name": shown(name),
            "line": {"color": colour, "width": 1.5, "dash": "solid" if index < 4 else "dash"},
            "marker": {"color": colour, "symbol": symbol, "size": 8},
            "error_y": error_bars(accuracy, part["accuracy_low"].tolist(), part["accuracy_high"].tolist(), colour),
            "hovertext": [_bin_text(str(name), row) for row in part.to_dict("records")],
            "hoverinfo": "text",
            "customdata": [
                {"group": str(name), "low": low, "high": high}
                for low, high in zip(part["low"].tolist(), part["high"].tolist(), strict=True)
            ],
        }
        traces.append(trace)
    axis = {"range": [0, 1.02], "tickformat": ".0%", "zeroline": False}
    return drawn(
        look,
        traces,
        height=420,
        meta={"figure": "reliability"},
        xaxis={**axis, **title("mean confidence")},
        yaxis={**axis, **title("accuracy")},
    )


def reliability_by_group(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """Reliability of every group: on one pair of axes while CLEAR_LINES can be told apart, else a panel a group.

    ``frame`` is as in :func:`reliability`. Of more than PANELS groups the largest are drawn.
    """
    size = frame.groupby("group", sort=False)["n"].sum()
    if len(size) <= CLEAR_LINES:
        return reliability(frame, theme)
    look = theme_named(theme)
    largest = size.sort_values(ascending=False, kind="stable").index[:PANELS]
    groups = [name for name in size.index if name in largest]
    rows = -(-len(groups) // COLUMNS)
    traces: list[dict] = []
    axes: dict[str, dict] = {}
    notes = []
    for place, name in enumerate(groups):
        line, column = divmod(place, COLUMNS)
        at = str(place + 1) if place else ""
        whole_panel = reliability(frame[frame["group"] == name], theme).to_dict()["data"]
        for trace in whole_panel:
            trace |= {"xaxis": f"x{at}", "yaxis": f"y{at}", "showlegend": False}
            trace.get("marker", {})["size"] = 5
        traces += whole_panel
        left, top = column / COLUMNS, 1 - line / rows
        axis = {"range": [0, 1.02], "tickformat": ".0%", "tickvals": [0, 0.5, 1], "zeroline": False,
                "gridcolor": look.grid, "linecolor": look.grid}  # fmt: skip
        right, foot = left + 1 / COLUMNS - 0.08, top - 1 / rows + 0.3 / rows
        axes[f"xaxis{at}"] = {**axis, "domain": [left, right], "anchor": f"y{at}"}
        axes[f"yaxis{at}"] = {**axis, "domain": [foot, top - 0.06 / rows], "anchor": f"x{at}"}
        text = f"{shown(name, 34)} (n = {whole(size[name])})"
        notes.append({"text": text, "x": left, "y": top, "xref": "paper", "yref": "paper", "xanchor": "left",
                      "yanchor": "middle", "showarrow": False, "font": {"size": 12}})  # fmt: skip
        if line == rows - 1 or place + COLUMNS >= len(groups):
            axes[f"xaxis{at}"] |= title("mean confidence")
        if not column:
            axes[f"yaxis{at}"] |= title("accuracy")
    figure = drawn(look, traces, height=30 + 210 * rows, meta={"figure": "reliability"}, annotations=notes)
    return figure.update_layout(axes, showlegend=False, margin={"l": 10, "r": 10, "t": 20, "b": 10})


def _bin_text(name: str, row: dict) -> str:
    return (
        f"<b>{shown(name)}</b>, confidence {percent(row['low'])} to {percent(row['high'])}<br>"
        f"mean confidence {percent(row['confidence'])}<br>"
        f"accuracy {percent(row['accuracy'])}, {interval(row['accuracy_low'], row['accuracy_high'])}<br>"
        f"n = {whole(row['n'])}"
    )


def confidence(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """How many images were right and wrong in each confidence bin; ``frame``: low, high, n, correct."""
    if frame.empty:
        return empty("No image has a confidence.", theme)
    look = theme_named(theme)
    low, high = frame["low"].tolist(), frame["high"].tolist()
    edges = list(zip(low, high, strict=True))
    traces = [
        {
            "type": "bar",
            "x": [(a + b) / 2 for a, b in edges],
            "y": numbers.tolist(),
            "width": [0.92 * (b - a) for a, b in edges],
            "name": name,
            "marker": {"color": colour},
            "hovertext": [
                f"confidence {percent(a)} to {percent(b)}: {whole(number)} {name}"
                for (a, b), number in zip(edges, numbers, strict=True)
            ],
            "hoverinfo": "text",
            "customdata": [{"low": a, "high": b, "correct": name == "right"} for a, b in edges],
        }
        for name, numbers, colour in (
            ("right", frame["correct"], look.first),
            ("wrong", frame["n"] - frame["correct"], look.pale),
        )
    ]
    return drawn(
        look,
        traces,
        height=320,
        meta={"figure": "confidence"},
        xaxis={"range": [0, 1], "tickformat": ".0%", **title("confidence")},
        yaxis=title("images"),
        barmode="stack",
    )
