"""Two runs on the same images, B minus A: what moved in the confusion matrix, for whom, and how the gaps changed."""

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
    upright,
)
from reports.words import percent, probability, signed, signed_span, whole


def confusion_change(
    matrix_a: np.ndarray, matrix_b: np.ndarray, classes: Sequence[str], theme: str = "light"
) -> go.Figure:
    """Heat map of B minus A in shares of each label; both (K, K) integer, rows label, columns predicted.

    A click gives ``x`` predicted and ``y`` label.
    """
    look, classes = theme_named(theme), list(classes)
    before, after = (np.asarray(matrix) for matrix in (matrix_a, matrix_b))
    totals = before.sum(axis=1, keepdims=True)
    shares = np.divide(after - before, totals, out=np.zeros(before.shape), where=totals > 0)
    places = range(len(classes))
    widest = max(0.01, float(np.abs(shares).max()))
    traces = heat(
        look,
        columns=classes,
        rows=classes,
        values=shares.tolist(),
        text=[[signed(shares[i, j]) for j in places] for i in places],
        hover=[
            [
                f"labelled <b>{shown(classes[i])}</b>, predicted <b>{shown(classes[j])}</b><br>"
                f"{whole(before[i, j])} images in A, {whole(after[i, j])} in B ({signed(shares[i, j])} points)"
                for j in places
            ]
            for i in places
        ],
        customdata=[[{"label": label, "predicted": predicted} for predicted in classes] for label in classes],
        title="B minus A, share of label",
        tickformat="+.0%",
        span=(-widest, widest),
        diverging=True,
    )
    rows = [f"{shown(name)} (n = {whole(total)})" for name, total in zip(classes, totals[:, 0], strict=True)]
    return drawn(
        look,
        traces,
        height=max(320, 110 + 52 * min(len(classes), 14)),
        meta={"figure": "confusion_change"},
        xaxis={**category_axis(classes), **title("predicted"), "showgrid": False, "side": "top"},
        yaxis={**category_axis(classes, rows), **title("label"), "showgrid": False, "autorange": "reversed"},
    )


def changes(frame: pd.DataFrame, name: str, theme: str = "light") -> go.Figure:
    """Difference in accuracy, B minus A, of each class or group with its 95% interval.

    ``frame`` is a table of ``audit.compare.Comparison``; ``name`` its column of names (``class`` or ``group``), n,
    accuracy_a, accuracy_b, difference with ``_low`` and ``_high``, gained, lost, p_value.
    """
    rows = frame[frame["n"] > 0].reset_index(drop=True)
    if rows.empty:
        return empty("The runs share no image to compare.", theme)
    look = theme_named(theme)
    values, low, high = (rows[f"difference{end}"].astype(float).tolist() for end in ("", "_low", "_high"))
    key = "label" if name == "class" else name
    keep = [column for column in ("attribute", name) if column in rows]
    trace = {
        "type": "scatter",
        "x": values,
        "y": list(range(len(rows))),
        "mode": "markers",
        "marker": {"symbol": "diamond", "size": 10, "color": look.first},
        "error_x": error_bars(values, low, high, look.first),
        "hovertext": [_change_text(row, name) for row in rows.to_dict("records")],
        "hoverinfo": "text",
        "customdata": [
            {key if column == name else column: str(row[column]) for column in keep} for row in rows.to_dict("records")
        ],
    }
    labels = [f"{shown(row[name])} (n = {whole(row['n'])})" for row in rows.to_dict("records")]
    return drawn(
        look,
        [trace, upright(look, 0, len(rows))],
        height=90 + ROW * len(rows),
        meta={"figure": "changes", "by": name},
        xaxis={"tickformat": "+.0%", "zeroline": False, **title("accuracy of B minus A, with 95% interval")},
        yaxis=row_axis(labels),
        showlegend=False,
        margin={"l": 10, "r": 20, "t": 10, "b": 10},
    )


def _change_text(row: dict, name: str) -> str:
    bounds = signed_span(row["difference_low"], row["difference_high"])
    return (
        f"<b>{shown(row[name])}</b>, n = {whole(row['n'])}<br>"
        f"A {percent(row['accuracy_a'])}, B {percent(row['accuracy_b'])}<br>"
        f"difference {signed(row['difference'])} points (95% interval {bounds})<br>"
        f"{whole(row['gained'])} gained, {whole(row['lost'])} lost, p {probability(row['p_value'])}"
    )


def gaps_side_by_side(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """Each group's gap to the reference at the same label mix, in A and in B.

    ``frame`` is ``Comparison.gaps``: attribute, reference, group, standardised_gap_a, standardised_gap_b.
    """
    known = frame[["standardised_gap_a", "standardised_gap_b"]].notna().any(axis=1)
    rows = frame[known].reset_index(drop=True)
    if rows.empty:
        return empty("No gap is defined in either run.", theme)
    look = theme_named(theme)
    traces = [
        {
            "type": "scatter",
            "x": rows[f"standardised_gap_{side}"].astype(float).tolist(),
            "y": list(range(len(rows))),
            "mode": "markers",
            "name": f"run {side.upper()}",
            "marker": {"symbol": symbol, "size": 11, "color": colour, "line": {"width": 2, "color": colour}},
            "hovertext": [
                f"<b>{shown(row['group'])}</b> vs {shown(row['reference'])}<br>run {side.upper()}: "
                f"{signed(row[f'standardised_gap_{side}'])} points"
                for row in rows.to_dict("records")
            ],
            "hoverinfo": "text",
            "customdata": rows[["attribute", "group"]].astype(str).to_dict("records"),
        }
        for side, colour, symbol in (("a", look.second, "circle-open"), ("b", look.first, "diamond"))
    ]
    return drawn(
        look,
        [*traces, upright(look, 0, len(rows))],
        height=110 + ROW * len(rows),
        meta={"figure": "gaps_side_by_side"},
        xaxis={"tickformat": "+.0%", "zeroline": False, **title("gap to the reference at the same label mix")},
        yaxis=row_axis(
            [f"{shown(row['group'], 24)} vs {shown(row['reference'], 24)}" for row in rows.to_dict("records")]
        ),
    )
