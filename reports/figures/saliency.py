"""What the model looked at, on the whole: mean maps side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from reports.figures.theme import Theme, drawn, empty, scale, shown, theme_named
from reports.words import percent, whole

COLUMNS = 4
TILE = 200
"""Pixels of one map's height, its name included."""
OUTLINE = ((0.5, 0.51, 0.41, 0.53), (0.31, 0.375, 0.15, 0.07), (0.69, 0.375, 0.15, 0.07), (0.5, 0.77, 0.23, 0.105))
"""Face, eyes and mouth of the canonical template for registered crops: centre and half axes, in shares of the crop."""


def mean_maps(
    maps: Sequence[tuple[str, np.ndarray, int]], theme: str = "light", figure: str = "mean_maps"
) -> go.Figure:
    """Small multiples of ``(name, map (h, w), number of images)``, negative parts cut off, each on its own scale.

    An outline of a face shows where eyes and mouth are in registered crops.
    """
    filled = [(name, np.maximum(values, 0), n) for name, values, n in maps if n]
    if not filled:
        return empty("No image has a map.", theme)
    look = theme_named(theme)
    columns = min(COLUMNS, len(filled))
    rows = math.ceil(len(filled) / columns)
    traces, layout, shapes, notes = [], {}, [], []
    for index, (name, values, n) in enumerate(filled):
        end = "" if index == 0 else str(index + 1)
        left, top = index % columns, index // columns
        width, height = 1 / columns, 1 / rows
        across = [left * width + 0.01, (left + 1) * width - 0.01]
        down = [1 - (top + 1) * height + 0.01, 1 - top * height - 34 / (rows * TILE)]
        hidden = {"visible": False, "fixedrange": True}
        layout[f"xaxis{end}"] = {**hidden, "domain": across, "anchor": f"y{end}", "constrain": "domain"}
        layout[f"yaxis{end}"] = {**hidden, "domain": down, "anchor": f"x{end}", "autorange": "reversed",
                                 "scaleanchor": f"x{end}", "constrain": "domain"}  # fmt: skip
        traces.append(_map(look, name, values, f"x{end}", f"y{end}"))
        shapes += _outline(look, values.shape, f"x{end}", f"y{end}")
        notes.append(
            {"text": f"<b>{shown(name)}</b> (n = {whole(n)})", "x": sum(across) / 2, "y": down[1], "xref": "paper",
             "yref": "paper", "xanchor": "center", "yanchor": "bottom", "showarrow": False}
        )  # fmt: skip
    axes = {key: layout.pop(key) for key in ("xaxis", "yaxis")}
    return drawn(
        look,
        traces,
        height=rows * TILE,
        meta={"figure": figure},
        **axes,
        **layout,
        shapes=shapes,
        annotations=notes,
        margin={"l": 10, "r": 10, "t": 5, "b": 5},
    )


def _map(look: Theme, name: str, values: np.ndarray, xaxis: str, yaxis: str) -> dict:
    strongest = float(values.max())
    share = values / strongest if strongest > 0 else values
    return {
        "type": "heatmap",
        "z": share.tolist(),
        "zmin": 0,
        "zmax": 1,
        "colorscale": scale(look.sequential),
        "showscale": False,
        "xaxis": xaxis,
        "yaxis": yaxis,
        "hovertext": [[f"<b>{shown(name)}</b>: {percent(cell, 0)} of its strongest" for cell in row] for row in share],
        "hoverinfo": "text",
        "customdata": [[{"label": name}] * values.shape[1]] * values.shape[0],
    }


def _outline(look: Theme, shape: tuple[int, ...], xref: str, yref: str) -> list[dict]:
    height, width = shape
    return [
        {"type": "circle", "xref": xref, "yref": yref, "x0": (x - a) * width - 0.5, "x1": (x + a) * width - 0.5,
         "y0": (y - b) * height - 0.5, "y1": (y + b) * height - 0.5, "line": {"color": look.second, "width": 1.2}}
        for x, y, a, b in OUTLINE
    ]  # fmt: skip
