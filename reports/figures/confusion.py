"""What is taken for what: the confusion matrix, the figures per class, the pairs most often confused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reports.figures.theme import (
    ROW,
    canvas,
    category_axis,
    empty,
    error_bars,
    interval,
    percent,
    scale,
    shown,
    whole,
)

CELL_TEXT_UP_TO = 12
"""With more classes than this the numbers no longer fit their cells; the hover text still has them."""


def confusion_matrix(
    matrix: np.ndarray, classes: Sequence[str], normalise: str = "label", theme: str = "light"
) -> go.Figure:
    """Heat map of an integer (K, K) matrix, rows label, columns predicted.

    ``normalise`` "label" colours by the share of each label's images (rows add to 100%), "none" by number of images.
    A click gives ``x`` predicted and ``y`` label.
    """
    matrix = np.asarray(matrix)
    classes = list(classes)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    by_share = normalise == "label"
    figure, look = canvas(theme, height=max(320, 110 + 52 * min(len(classes), 14)))
    text = [[f"{100 * s:.0f}%" if by_share else whole(n) for s, n in zip(*row, strict=True)]
            for row in zip(shares, matrix, strict=True)]  # fmt: skip
    figure.add_heatmap(
        x=classes,
        y=classes,
        z=(shares if by_share else matrix).tolist(),
        zmin=0,
        zmax=1 if by_share else None,
        colorscale=scale(look.sequential),
        text=text,
        texttemplate="%{text}" if len(classes) <= CELL_TEXT_UP_TO else None,
        hovertext=[[_cell(classes, i, j, matrix, shares) for j in range(len(classes))] for i in range(len(classes))],
        hoverinfo="text",
        customdata=[[{"label": label, "predicted": predicted} for predicted in classes] for label in classes],
        xgap=1,
        ygap=1,
        colorbar={
            "title": {"text": "share of label" if by_share else "images", "side": "right"},
            "tickformat": ".0%" if by_share else ",d",
            "thickness": 14,
            "outlinewidth": 0,
        },
    )
    rows = [f"{shown(name)} (n = {whole(total)})" for name, total in zip(classes, totals[:, 0], strict=True)]
    figure.update_xaxes(category_axis(classes), title_text="predicted", showgrid=False, side="top")
    figure.update_yaxes(category_axis(classes, rows), title_text="label", showgrid=False, autorange="reversed")
    return figure.update_layout(meta={"figure": "confusion_matrix", "normalise": normalise})


def _cell(classes: list[str], i: int, j: int, matrix: np.ndarray, shares: np.ndarray) -> str:
    label, predicted = shown(classes[i]), shown(classes[j])
    return (
        f"labelled <b>{label}</b>, predicted <b>{predicted}</b><br>"
        f"{whole(matrix[i, j])} of {whole(matrix[i].sum())} images ({percent(shares[i, j])})"
    )


def per_class(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """Recall, precision and F1 of each class as dots; ``frame``: class, n, recall, precision, f1.

    Intervals are drawn for every metric whose ``METRIC_low`` and ``METRIC_high`` stand in the frame.
    """
    if frame.empty:
        return empty("No class has any images.", theme)
    names = frame["class"].astype(str).tolist()
    figure, look = canvas(theme, height=110 + ROW * 1.4 * len(names))
    looks = (("recall", look.first, "circle"), ("precision", look.second, "diamond"), ("f1", look.third, "square"))
    for place, (metric, colour, symbol) in enumerate(looks):
        values = frame[metric].astype(float).tolist()
        low, high = (_column(frame, f"{metric}_{end}") for end in ("low", "high"))
        figure.add_scatter(
            x=values,
            y=[index + 0.22 * (place - 1) for index in range(len(names))],
            mode="markers",
            name={"f1": "F1"}.get(metric, metric),
            marker={"color": colour, "symbol": symbol, "size": 9},
            error_x=error_bars(values, low, high, colour),
            hovertext=[
                f"<b>{shown(name)}</b> (n = {whole(n)})<br>{metric} {percent(value)}, {interval(a, b)}"
                for name, n, value, a, b in zip(names, frame["n"], values, low, high, strict=True)
            ],
            hoverinfo="text",
            customdata=[{"label": name} for name in names],
        )
    labels = [f"{shown(name)} (n = {whole(n)})" for name, n in zip(names, frame["n"], strict=True)]
    figure.update_xaxes(range=[-0.02, 1.02], tickformat=".0%", zeroline=False)
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=labels,
        range=[len(names) - 0.4, -0.6],
        zeroline=False,
    )
    return figure.update_layout(meta={"figure": "per_class"})


def _column(frame: pd.DataFrame, name: str) -> list[float]:
    return frame[name].astype(float).tolist() if name in frame else [float("nan")] * len(frame)


def confusable_pairs(frame: pd.DataFrame, top: int = 10, theme: str = "light") -> go.Figure:
    """The ``top`` first pairs of ``frame`` (class_a, class_b, n_ab, n_ba, n) as bars in both directions.

    ``n_ab`` counts images labelled a and predicted b; ``n`` images labelled a or b.
    """
    frame = frame.head(top)
    if frame.empty:
        return empty("No two classes were confused.", theme)
    pairs = [f"{a} / {b}" for a, b in zip(frame["class_a"], frame["class_b"], strict=True)]
    figure, look = canvas(theme, height=110 + ROW * 1.2 * len(pairs), barmode="stack")
    directions = (
        ("first taken for second", "class_a", "class_b", "n_ab", look.first, ""),
        ("second taken for first", "class_b", "class_a", "n_ba", look.second, "/"),
    )
    for name, label, predicted, number, colour, pattern in directions:
        figure.add_bar(
            x=frame[number].tolist(),
            y=pairs,
            orientation="h",
            name=name,
            marker={"color": colour, "pattern": {"shape": pattern, "solidity": 0.25}},
            text=[whole(n) for n in frame[number]],
            textposition="inside",
            insidetextanchor="middle",
            hovertext=[
                f"{whole(n)} images labelled <b>{shown(a)}</b> were predicted <b>{shown(b)}</b>"
                for a, b, n in zip(frame[label], frame[predicted], frame[number], strict=True)
            ],
            hoverinfo="text",
            customdata=[
                {"label": str(a), "predicted": str(b)} for a, b in zip(frame[label], frame[predicted], strict=True)
            ],
        )
    figure.update_xaxes(title_text="images")
    figure.update_yaxes(category_axis(pairs), autorange="reversed")
    return figure.update_layout(meta={"figure": "confusable_pairs"})


def probabilities(
    values: np.ndarray, classes: Sequence[str], label: str | None = None, theme: str = "light"
) -> go.Figure:
    """One image's probabilities (K,) as bars; the given label is named on the axis and drawn in its own colour."""
    values = np.asarray(values, dtype=float)
    classes = list(classes)
    figure, look = canvas(
        theme, height=60 + ROW * len(classes), showlegend=False, margin={"l": 10, "r": 50, "t": 10, "b": 10}
    )
    figure.add_bar(
        x=values.tolist(),
        y=classes,
        orientation="h",
        marker={
            "color": [look.second if name == label else look.first for name in classes],
            "pattern": {"shape": ["/" if name == label else "" for name in classes], "solidity": 0.25},
        },
        text=[percent(value) for value in values],
        textposition="outside",
        cliponaxis=False,
        hovertext=[f"<b>{shown(name)}</b> {percent(p)}" for name, p in zip(classes, values, strict=True)],
        hoverinfo="text",
        customdata=[{"predicted": name} for name in classes],
    )
    labels = [f"{shown(name)} (label)" if name == label else shown(name) for name in classes]
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(category_axis(classes, labels), autorange="reversed")
    return figure.update_layout(meta={"figure": "probabilities"})
