"""Whether maps can be trusted, and what regions of the face count: marks with intervals, one row each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reports.figures.theme import ROW, Theme, drawn, empty, error_bars, row_axis, shown, theme_named, title, upright
from reports.saliency_words import BASELINES, method_title
from reports.words import decimal, percent, points

DASHES = {False: ("solid", "dash", "longdash"), True: ("dashdot", "dot", "dot")}
"""Lines of methods and of baselines."""


def faithfulness(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """Insertion minus deletion and ROAD of each method, with 95% intervals, beside a random map and a centred blob.

    ``frame`` is ``results/faithfulness``: method, n, gain, low, high, road, road_low, road_high. The dotted line is
    the blob's gain.
    """
    if frame.empty:
        return empty("No method was checked.", theme)
    look = theme_named(theme)
    names = [method_title(name) for name in frame["method"]]
    gain, road = frame[["gain", "low", "high"]], frame[["road", "road_low", "road_high"]]
    traces = [
        _marks(look.first, "diamond", -0.14, "insertion minus deletion", names, gain, decimal),
        _marks(look.second, "circle-open", 0.14, "ROAD", names, road, decimal),
    ]
    blob = frame.loc[frame["method"] == "blob", "gain"]
    if len(blob):
        traces.append(upright(look, float(blob.iloc[0]), len(frame), "the blob's gain"))
    return _rows(look, traces, names, "faithfulness", "probability gained, with 95% interval")


def curves(frame: pd.DataFrame, which: str, theme: str = "light") -> go.Figure:
    """The probability as pixels are put in (``which`` insertion) or taken away (deletion), one line a method.

    ``frame`` is ``results/faithfulness_curves``: method, share, and ``which`` with ``_low`` and ``_high``. Methods of
    one order of pixels lie on one another; the baselines are dotted.
    """
    look = theme_named(theme)
    colours = (look.first, look.second, look.third, look.fourth, look.pale)
    words = "put in" if which == "insertion" else "taken away"
    traces = []
    for index, (name, rows) in enumerate(frame.groupby("method", sort=False)):
        title_of, base = method_title(str(name)), name in BASELINES
        hover = [
            f"<b>{shown(title_of)}</b><br>{percent(row['share'], 0)} {words}: probability {decimal(row[which])}, 95% "
            f"interval {decimal(row[f'{which}_low'])} to {decimal(row[f'{which}_high'])}"
            for row in rows.to_dict("records")
        ]
        line = {"color": look.muted if base else colours[index % 5], "width": 2.5, "dash": DASHES[base][index % 3]}
        traces.append({"type": "scatter", "mode": "lines", "x": rows["share"].tolist(), "y": rows[which].tolist(),
                       "name": title_of, "line": line, "hovertext": hover, "hoverinfo": "text"})  # fmt: skip
    axes = {"tickformat": ".0%", "range": [0, 1], "fixedrange": True}
    return drawn(
        look,
        traces,
        height=340,
        meta={"figure": "curves", "which": which},
        xaxis={**axes, **title(f"share of the pixels {words}")},
        yaxis={"rangemode": "tozero", "fixedrange": True, **title("probability of the class")},
    )


def alike(names: Sequence[str], frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """How alike maps stay: rank correlations with 95% intervals. ``frame``: n, alike, low, high, one row a name."""
    if frame.empty:
        return empty("Nothing was checked.", theme)
    look = theme_named(theme)
    marks = _marks(look.first, "diamond", 0, "rank correlation", names, frame[["alike", "low", "high"]], decimal)
    lines = [upright(look, 0, len(frame))]
    figure = _rows(look, [*lines, marks], names, "alike", "rank correlation of the maps, 1 is the same", legend=False)
    least = float(np.nanmin([*frame["low"], *frame["alike"], 0]))
    return figure.update_layout(xaxis_range=[max(-1.0, least) - 0.05, 1.05])


def region_shares(
    regions: Sequence[str],
    bars: Sequence[float],
    even: Sequence[float],
    usual: Sequence[float] | None = None,
    usual_name: str = "",
    theme: str = "light",
) -> go.Figure:
    """Share of one map, or mean share of many, on each region: bars; ticks for an even map, circles for ``usual``."""
    look = theme_named(theme)
    rows = list(range(len(regions)))
    compared = [] if usual is None else [float(value) for value in usual]
    hover = [
        f"<b>{shown(name)}</b><br>{percent(share)} of the map, an even map {percent(area)}"
        + (f"<br>{shown(usual_name)} {percent(compared[k])}" if compared else "")
        for k, (name, share, area) in enumerate(zip(regions, bars, even, strict=True))
    ]
    traces: list[dict] = [
        {"type": "bar", "orientation": "h", "x": [float(v) for v in bars], "y": rows, "name": "share of the map",
         "marker": {"color": look.first}, "hovertext": hover, "hoverinfo": "text", "width": 0.62},
        {"type": "scatter", "mode": "markers", "x": [float(v) for v in even], "y": rows, "name": "an even map",
         "marker": {"symbol": "line-ns", "size": 22, "line": {"width": 2.5, "color": look.second}},
         "hoverinfo": "skip"},
    ]  # fmt: skip
    if compared:
        traces.append(
            {"type": "scatter", "mode": "markers", "x": compared, "y": rows, "name": usual_name, "hoverinfo": "skip",
             "marker": {"symbol": "circle", "size": 9, "color": look.pale, "line": {"width": 1, "color": look.text}}}
        )  # fmt: skip
    return _rows(look, traces, regions, "region_shares", "share of the map's positive part", ".0%", "tozero")


def region_drops(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """What blurring each region takes off the label's probability, with 95% intervals.

    ``frame`` is one class of ``results/saliency_ablation``: region, n, drop, low, high.
    """
    return _blurred(frame, "drop", "fall of the probability, region blurred", points, theme, ".0%")


def region_tells(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """What blurring each region takes off the log-odds of the label against the other class of a pair.

    ``frame`` is one pair of ``results/saliency_pairs``: region, n, effect, low, high.
    """
    return _blurred(frame, "effect", "log-odds taken off by blurring it", decimal, theme)


def _blurred(
    frame: pd.DataFrame,
    column: str,
    axis: str,
    words: Callable[[float | None], str],
    theme: str,
    tickformat: str = "",
) -> go.Figure:
    """What blurring each region does: ``column`` of ``frame`` with its low and high, one row a region."""
    if frame.empty:
        return empty("No region was blurred.", theme)
    look, names = theme_named(theme), frame["region"].tolist()
    marks = _marks(look.first, "diamond", 0, column, names, frame[[column, "low", "high"]], words)
    zero = upright(look, 0, len(frame))
    return _rows(look, [zero, marks], names, f"region_{column}", axis, tickformat, legend=False)


def _marks(
    colour: str,
    symbol: str,
    shift: float,
    name: str,
    rows: Sequence[str],
    values: pd.DataFrame,
    words: Callable[[float | None], str],
) -> dict:
    """Marks with intervals, one a row; ``values`` has three columns: value, low and high."""
    middle, low, high = (values.iloc[:, position].astype(float).tolist() for position in range(3))
    hover = [
        f"<b>{shown(row)}</b><br>{name} {words(value)}, 95% interval {words(least)} to {words(most)}"
        for row, value, least, most in zip(rows, middle, low, high, strict=True)
    ]
    return {
        "type": "scatter",
        "x": middle,
        "y": [index + shift for index in range(len(middle))],
        "mode": "markers",
        "name": name,
        "marker": {"symbol": symbol, "size": 10, "color": colour, "line": {"width": 2, "color": colour}},
        "error_x": error_bars(middle, low, high, colour),
        "hovertext": hover,
        "hoverinfo": "text",
    }


def _rows(
    look: Theme,
    traces: list[dict],
    names: Sequence[str],
    figure: str,
    words: str,
    tickformat: str = "",
    rangemode: str = "normal",
    legend: bool = True,
) -> go.Figure:
    xaxis = {"zeroline": False, "rangemode": rangemode, "fixedrange": True, **title(words)}
    if tickformat:
        xaxis["tickformat"] = tickformat
    return drawn(
        look,
        traces,
        height=(105 if legend else 65) + ROW * len(names),
        meta={"figure": figure},
        xaxis=xaxis,
        yaxis={**row_axis([shown(name) for name in names]), "fixedrange": True},
        showlegend=legend,
        margin={"l": 10, "r": 20, "t": 40 if legend else 8, "b": 10},
    )
