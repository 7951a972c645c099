"""Does the conclusion move, and what would help? Gaps in several views, and remedies with what they cost."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from reports.figures.theme import ROW, drawn, empty, error_bars, row_axis, shown, theme_named, title, upright
from reports.words import interval, known, percent, points, signed_span, spaced, whole

SYMBOLS = ("circle-open", "diamond", "square", "triangle-up", "cross", "x")


def gaps_by_view(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """Each group's gap to the reference in every view, with 95% intervals: marks that line up agree.

    ``frame`` is that of ``audit.views.group_views`` for one attribute: view, attribute, group, n, value, reference,
    difference, difference_low, difference_high, too_small.
    """
    rows = frame[frame["difference"].notna()]
    if rows.empty:
        return empty("There is no gap that two views could tell differently.", theme)
    look = theme_named(theme)
    groups, kinds = (rows[name].drop_duplicates().tolist() for name in ("group", "view"))
    colours = (look.second, look.first, look.third, look.fourth, look.pale, look.muted)
    step = 0.7 / max(len(kinds), 2)
    traces = [
        _marks(rows[rows["view"] == kind], groups, kind, colours[at % 6], SYMBOLS[at % 6],
               step * (at - (len(kinds) - 1) / 2))
        for at, kind in enumerate(kinds)
    ]  # fmt: skip
    sizes = frame[frame["view"] == kinds[0]].set_index("group")["n"]
    return drawn(
        look,
        [*traces, upright(look, 0, len(groups))],
        height=120 + max(ROW, 13 * len(kinds)) * len(groups),
        meta={"figure": "gaps_by_view"},
        xaxis={
            "tickformat": "+.0%",
            "zeroline": False,
            **title(f"gap to {shown(rows['reference'].iloc[0])}, with 95% interval"),
        },
        yaxis=row_axis([f"{shown(name)} (n = {whole(sizes.get(name, 0))})" for name in groups]),
    )


def _marks(rows: pd.DataFrame, groups: list[str], kind: str, colour: str, symbol: str, shift: float) -> dict:
    values, low, high = (rows[f"difference{end}"].astype(float).tolist() for end in ("", "_low", "_high"))
    return {
        "type": "scatter",
        "x": values,
        "y": [groups.index(group) + shift for group in rows["group"]],
        "mode": "markers",
        "name": kind,
        "marker": {"symbol": symbol, "size": 8, "color": colour, "line": {"width": 2, "color": colour}},
        "error_x": error_bars(values, low, high, colour),
        "hovertext": [_gap_text(row) for row in rows.to_dict("records")],
        "hoverinfo": "text",
        "customdata": rows[["attribute", "group"]].astype(str).to_dict("records"),
    }


def _gap_text(row: dict) -> str:
    return (
        f"<b>{shown(row['group'])}</b> against {shown(row['reference'])}, {shown(row['view'])}<br>"
        f"{points(row['difference'])} (95% interval {signed_span(row['difference_low'], row['difference_high'])}), "
        f"accuracy {percent(row['value'])} of {whole(row['n'])} images"
    )


def trade_offs(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """The widest gap in recall that each remedy leaves, with 95% intervals, and the balanced accuracy it has.

    ``frame`` is ``audit.remedies.Remedies.costs``: remedy, gap, gap_low, gap_high, worst, best, balanced_accuracy,
    cost.
    """
    if frame.empty:
        return empty("No remedy could be explored.", theme)
    look = theme_named(theme)
    rows = frame.to_dict("records")
    values, low, high = (frame[name].astype(float).tolist() for name in ("gap", "gap_low", "gap_high"))
    colours = [look.first if known(row["cost"]) else look.muted for row in rows]
    trace = {
        "type": "scatter",
        "x": values,
        "y": list(range(len(rows))),
        "mode": "markers",
        "marker": {"symbol": "diamond", "size": 10, "color": colours},
        "error_x": error_bars(values, low, high, look.first),
        "hovertext": [
            f"<b>{shown(row['remedy'])}</b><br>{shown(row['best'])} over {shown(row['worst'])} by "
            f"{points(row['gap']).lstrip('+')}, {interval(row['gap_low'], row['gap_high'])}"
            for row in rows
        ],
        "hoverinfo": "text",
    }
    labels = [
        f"{shown(spaced(row['remedy']))}<br>balanced accuracy {percent(row['balanced_accuracy'])}" for row in rows
    ]
    return drawn(
        look,
        [trace, upright(look, 0, len(rows))],
        height=90 + ROW * 1.3 * len(rows),
        meta={"figure": "trade_offs"},
        xaxis={"tickformat": ".0%", "zeroline": False, **title("widest gap in recall between groups")},
        yaxis=row_axis(labels),
        showlegend=False,
        margin={"l": 10, "r": 20, "t": 10, "b": 10},
    )
