"""The data itself: who and what is in it, and how well it was photographed."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from reports.figures.heat import add_heat
from reports.figures.theme import ROW, canvas, category_axis, empty, shown
from reports.words import percent, whole


def composition(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """What share of each group's images carries each label; ``frame``: group, label, n. Rows add to 100%.

    A click gives ``x`` label and ``y`` group.
    """
    if frame.empty or not frame["n"].sum():
        return empty("No image has both a label and a group.", theme)
    numbers = frame.astype({"group": str, "label": str}).pivot_table(
        index="group", columns="label", values="n", aggfunc="sum", fill_value=0, sort=False
    )
    groups, labels = numbers.index.tolist(), numbers.columns.tolist()
    totals = numbers.sum(axis=1)
    shares = numbers.div(totals, axis=0)
    figure, look = canvas(theme, height=120 + 40 * len(groups))
    add_heat(
        figure,
        look,
        columns=labels,
        rows=groups,
        values=shares.to_numpy().tolist(),
        text=[[percent(value, 0) for value in row] for row in shares.to_numpy()],
        hover=[
            [
                f"<b>{shown(group)}</b>, <b>{shown(label)}</b><br>{whole(numbers.at[group, label])} of "
                f"{whole(totals[group])} images ({percent(shares.at[group, label])})"
                for label in labels
            ]
            for group in groups
        ],
        customdata=[[{"group": group, "label": label} for label in labels] for group in groups],
        title="share of group",
        tickformat=".0%",
        span=(0, float(shares.to_numpy().max())),
    )
    rows = [f"{shown(group)} (n = {whole(totals[group])})" for group in groups]
    figure.update_xaxes(category_axis(labels), showgrid=False, side="top")
    figure.update_yaxes(category_axis(groups, rows), showgrid=False, autorange="reversed")
    return figure.update_layout(meta={"figure": "composition"})


def label_mix(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """How many images carry each label; ``frame``: label, n."""
    if frame.empty:
        return empty("No image has a label.", theme)
    labels = frame["label"].astype(str).tolist()
    total = frame["n"].sum()
    figure, look = canvas(
        theme, height=70 + ROW * len(labels), showlegend=False, margin={"l": 10, "r": 90, "t": 10, "b": 10}
    )
    figure.add_bar(
        x=frame["n"].tolist(),
        y=labels,
        orientation="h",
        marker={"color": look.first},
        text=[f"{whole(n)} ({percent(n / total)})" for n in frame["n"]],
        textposition="outside",
        cliponaxis=False,
        hovertext=[f"<b>{shown(label)}</b>: {whole(n)} images" for label, n in zip(labels, frame["n"], strict=True)],
        hoverinfo="text",
        customdata=[{"label": label} for label in labels],
    )
    figure.update_xaxes(title_text="images")
    figure.update_yaxes(category_axis(labels), autorange="reversed")
    return figure.update_layout(meta={"figure": "label_mix"})


def image_quality(frame: pd.DataFrame, measure: str, theme: str = "light") -> go.Figure:
    """Box of one measured quality for each group; ``frame``: group, n, and the quantiles q05, q25, q50, q75, q95."""
    if frame.empty:
        return empty(f"{measure} was not measured.", theme)
    groups = frame["group"].astype(str).tolist()
    figure, look = canvas(theme, height=80 + round(ROW * 1.2 * len(groups)), showlegend=False)
    figure.add_box(
        y=groups,
        orientation="h",
        lowerfence=frame["q05"].tolist(),
        q1=frame["q25"].tolist(),
        median=frame["q50"].tolist(),
        q3=frame["q75"].tolist(),
        upperfence=frame["q95"].tolist(),
        marker={"color": look.first},
        line={"color": look.first, "width": 1.5},
        hoverinfo="x",
        customdata=[{"group": group} for group in groups],
    )
    rows = [f"{shown(group)} (n = {whole(n)})" for group, n in zip(groups, frame["n"], strict=True)]
    figure.update_xaxes(title_text=shown(measure))
    figure.update_yaxes(category_axis(groups, rows), autorange="reversed")
    return figure.update_layout(meta={"figure": "image_quality", "measure": measure})
