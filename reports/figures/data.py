"""The data itself: who and what is in it, and how well it was photographed."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from reports.figures.heat import heat
from reports.figures.theme import ROW, category_axis, drawn, empty, shown, theme_named, title
from reports.words import percent, whole


def composition(frame: pd.DataFrame, classes: Sequence[str], theme: str = "light") -> go.Figure:
    """What share of each group's images carries each label; ``frame``: group, label, n. Rows add to 100%.

    ``classes`` gives the order of the columns. A click gives ``x`` label and ``y`` group.
    """
    if frame.empty or not frame["n"].sum():
        return empty("No image has both a label and a group.", theme)
    look = theme_named(theme)
    numbers = frame.astype({"group": str, "label": str}).pivot_table(
        index="group", columns="label", values="n", aggfunc="sum", fill_value=0, sort=False
    )
    numbers = numbers.reindex(columns=list(classes), fill_value=0)
    groups, labels = numbers.index.tolist(), numbers.columns.tolist()
    totals = numbers.sum(axis=1)
    shares = numbers.div(totals, axis=0).to_numpy()
    traces = heat(
        look,
        columns=labels,
        rows=groups,
        values=shares.tolist(),
        text=[[percent(value, 0) for value in row] for row in shares],
        hover=[
            [
                f"<b>{shown(group)}</b>, <b>{shown(label)}</b><br>{whole(numbers.at[group, label])} of "
                f"{whole(totals[group])} images ({percent(shares[i, j])})"
                for j, label in enumerate(labels)
            ]
            for i, group in enumerate(groups)
        ],
        customdata=[[{"group": group, "label": label} for label in labels] for group in groups],
        title="share of group",
        tickformat=".0%",
        span=(0, float(shares.max())),
    )
    rows = [f"{shown(group)} (n = {whole(totals[group])})" for group in groups]
    return drawn(
        look,
        traces,
        height=120 + 40 * len(groups),
        meta={"figure": "composition"},
        xaxis={**category_axis(labels), "showgrid": False, "side": "top"},
        yaxis={**category_axis(groups, rows), "showgrid": False, "autorange": "reversed"},
    )


def label_mix(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """How many images carry each label; ``frame``: label, n."""
    if frame.empty:
        return empty("No image has a label.", theme)
    look, labels = theme_named(theme), frame["label"].astype(str).tolist()
    total = max(1, int(frame["n"].sum()))
    trace = {
        "type": "bar",
        "x": frame["n"].tolist(),
        "y": labels,
        "orientation": "h",
        "marker": {"color": look.first},
        "text": [f"{whole(n)} ({percent(n / total)})" for n in frame["n"]],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertext": [f"<b>{shown(label)}</b>: {whole(n)} images" for label, n in zip(labels, frame["n"], strict=True)],
        "hoverinfo": "text",
        "customdata": [{"label": label} for label in labels],
    }
    return drawn(
        look,
        [trace],
        height=70 + ROW * len(labels),
        meta={"figure": "label_mix"},
        xaxis=title("images"),
        yaxis={**category_axis(labels), "autorange": "reversed"},
        showlegend=False,
        margin={"l": 10, "r": 90, "t": 10, "b": 10},
    )


def image_quality(frame: pd.DataFrame, measure: str, theme: str = "light") -> go.Figure:
    """Box of one measured quality for each group; ``frame``: group, n, and the quantiles q05, q25, q50, q75, q95."""
    if frame.empty:
        return empty(f"{measure} was not measured.", theme)
    look, groups = theme_named(theme), frame["group"].astype(str).tolist()
    quantiles = {"lowerfence": "q05", "q1": "q25", "median": "q50", "q3": "q75", "upperfence": "q95"}
    trace = {
        "type": "box",
        "y": groups,
        "orientation": "h",
        **{name: frame[column].tolist() for name, column in quantiles.items()},
        "marker": {"color": look.first},
        "line": {"color": look.first, "width": 1.5},
        "hoverinfo": "x",
        "customdata": [{"group": group} for group in groups],
    }
    rows = [f"{shown(group)} (n = {whole(n)})" for group, n in zip(groups, frame["n"], strict=True)]
    return drawn(
        look,
        [trace],
        height=80 + ROW * 1.2 * len(groups),
        meta={"figure": "image_quality", "measure": measure},
        xaxis=title(shown(measure, 80)),
        yaxis={**category_axis(groups, rows), "autorange": "reversed"},
        showlegend=False,
        margin={"l": 10, "r": 20, "t": 10, "b": 10},
    )
