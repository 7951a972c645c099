"""What is taken for what: the confusion matrix, the figures per class, the pairs most often confused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reports.figures.heat import heat
from reports.figures.theme import (
    ROW,
    category_axis,
    drawn,
    empty,
    error_bars,
    row_axis,
    shown,
    theme_named,
    title,
)
from reports.words import interval, percent, whole


def confusion_matrix(
    matrix: np.ndarray, classes: Sequence[str], normalise: str = "label", theme: str = "light"
) -> go.Figure:
    """Heat map of an integer (K, K) matrix, rows label, columns predicted.

    ``normalise`` "label" colours by the share of each label's images (rows add to 100%), "none" by number of images.
    A click gives ``x`` predicted and ``y`` label.
    """
    look, matrix, classes = theme_named(theme), np.asarray(matrix), list(classes)
    totals = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, totals, out=np.zeros(matrix.shape), where=totals > 0)
    by_share = normalise == "label"
    indices = range(len(classes))
    traces = heat(
        look,
        columns=classes,
        rows=classes,
        values=(shares if by_share else matrix).tolist(),
        text=[[percent(shares[i, j], 0) if by_share else whole(matrix[i, j]) for j in indices] for i in indices],
        hover=[[_cell(classes, i, j, matrix, shares) for j in indices] for i in indices],
        customdata=[[{"label": label, "predicted": predicted} for predicted in classes] for label in classes],
        title="share of label" if by_share else "images",
        tickformat=".0%" if by_share else ",d",
        span=(0, 1) if by_share else (0, max(1, int(matrix.max()))),
    )
    rows = [f"{shown(name)} (n = {whole(total)})" for name, total in zip(classes, totals[:, 0], strict=True)]
    return drawn(
        look,
        traces,
        height=max(320, 110 + 52 * min(len(classes), 14)),
        meta={"figure": "confusion_matrix", "normalise": normalise},
        xaxis={**category_axis(classes), **title("predicted"), "showgrid": False, "side": "top"},
        yaxis={**category_axis(classes, rows), **title("label"), "showgrid": False, "autorange": "reversed"},
    )


def _cell(classes: list[str], i: int, j: int, matrix: np.ndarray, shares: np.ndarray) -> str:
    label, predicted = shown(classes[i]), shown(classes[j])
    return (
        f"labelled <b>{label}</b>, predicted <b>{predicted}</b><br>"
        f"{whole(matrix[i, j])} of {whole(matrix[i].sum())} images ({percent(shares[i, j])})"
    )


def per_class(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """Recall, precision and F1 of each class as dots with intervals.

    ``frame`` is that of ``audit.confusion.per_class``: class, n, and recall, precision, f1 with ``_low``, ``_high``.
    """
    if frame.empty:
        return empty("No class has any images.", theme)
    look, names = theme_named(theme), frame["class"].astype(str).tolist()
    looks = (("recall", look.first, "circle"), ("precision", look.second, "diamond"), ("f1", look.third, "square"))
    traces = []
    for place, (metric, colour, symbol) in enumerate(looks):
        values, low, high = (frame[f"{metric}{end}"].astype(float).tolist() for end in ("", "_low", "_high"))
        trace = {
            "type": "scatter",
            "x": values,
            "y": [index + 0.22 * (place - 1) for index in range(len(names))],
            "mode": "markers",
            "name": {"f1": "F1"}.get(metric, metric),
            "marker": {"color": colour, "symbol": symbol, "size": 9},
            "error_x": error_bars(values, low, high, colour),
            "hovertext": [
                f"<b>{shown(name)}</b> (n = {whole(n)})<br>{metric} {percent(value)}, {interval(a, b)}"
                for name, n, value, a, b in zip(names, frame["n"], values, low, high, strict=True)
            ],
            "hoverinfo": "text",
            "customdata": [{"label": name} for name in names],
        }
        traces.append(trace)
    labels = [f"{shown(name)} (n = {whole(n)})" for name, n in zip(names, frame["n"], strict=True)]
    return drawn(
        look,
        traces,
        height=110 + ROW * 1.4 * len(names),
        meta={"figure": "per_class"},
        xaxis={"range": [-0.02, 1.02], "tickformat": ".0%", "zeroline": False, **title("share, with 95% interval")},
        yaxis=row_axis(labels),
    )


def confusable_pairs(frame: pd.DataFrame, top: int = 10, theme: str = "light") -> go.Figure:
    """The ``top`` first pairs as bars in both directions, as shares of the images that bear either label.

    ``frame`` is that of ``audit.confusion.confusable_pairs``: class_a, class_b, n_ab (images labelled a and predicted
    b), n_ba and n, the images that bear either label.
    """
    frame = frame.head(top)
    if frame.empty:
        return empty("No two classes were confused.", theme)
    look = theme_named(theme)
    pairs = [f"{a} / {b}" for a, b in zip(frame["class_a"], frame["class_b"], strict=True)]
    traces = [
        {
            "type": "bar",
            "x": (frame[number] / frame["n"]).tolist(),
            "y": pairs,
            "orientation": "h",
            "name": name,
            "marker": {"color": colour},
            "hovertext": [
                f"{whole(n)} images labelled <b>{shown(a)}</b> were predicted <b>{shown(b)}</b><br>"
                f"{percent(n / both)} of the {whole(both)} that bear either label"
                for a, b, n, both in zip(frame[label], frame[predicted], frame[number], frame["n"], strict=True)
            ],
            "hoverinfo": "text",
            "customdata": [
                {"label": str(a), "predicted": str(b)} for a, b in zip(frame[label], frame[predicted], strict=True)
            ],
        }
        for name, label, predicted, number, colour in (
            ("first predicted as second", "class_a", "class_b", "n_ab", look.first),
            ("second predicted as first", "class_b", "class_a", "n_ba", look.pale),
        )
    ]
    return drawn(
        look,
        traces,
        height=110 + ROW * 1.2 * len(pairs),
        meta={"figure": "confusable_pairs"},
        xaxis={"tickformat": ".0%", **title("share of the images that bear either label")},
        yaxis={**category_axis(pairs), "autorange": "reversed"},
        barmode="stack",
    )


def probabilities(
    values: np.ndarray, classes: Sequence[str], label: str | None = None, theme: str = "light"
) -> go.Figure:
    """One image's probabilities (K,) as bars; the given label is named on the axis and drawn in its own colour."""
    look, classes = theme_named(theme), list(classes)
    values = np.asarray(values, dtype=float)
    trace = {
        "type": "bar",
        "x": values.tolist(),
        "y": classes,
        "orientation": "h",
        "marker": {"color": [look.pale if name == label else look.first for name in classes]},
        "text": [percent(value) for value in values],
        "textposition": "outside",
        "cliponaxis": False,
        "hovertext": [f"<b>{shown(name)}</b> {percent(p)}" for name, p in zip(classes, values, strict=True)],
        "hoverinfo": "text",
        "customdata": [{"predicted": name} for name in classes],
    }
    labels = [f"{shown(name)} (label)" if name == label else shown(name) for name in classes]
    return drawn(
        look,
        [trace],
        height=60 + ROW * len(classes),
        meta={"figure": "probabilities"},
        xaxis={"range": [0, 1], "tickformat": ".0%", **title("probability")},
        yaxis={**category_axis(classes, labels), "autorange": "reversed"},
        showlegend=False,
        margin={"l": 10, "r": 60, "t": 10, "b": 10},
    )
