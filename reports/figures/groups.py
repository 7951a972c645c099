"""For whom: accuracy of each group, recall of each class in each group, differences between groups."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reports.figures.heat import add_heat
from reports.figures.theme import (
    ROW,
    canvas,
    category_axis,
    empty,
    error_bars,
    interval,
    percent,
    row_axis,
    shown,
    whole,
)


def group_accuracy(
    frame: pd.DataFrame, overall: float | None = None, minimum: int = 0, theme: str = "light"
) -> go.Figure:
    """Forest plot of each group's raw and standardised accuracy with 95% intervals.

    ``frame``: attribute, group, n, accuracy, low, high, standardised, standardised_low, standardised_high, omitted.
    ``overall`` draws the whole set's accuracy. Groups under ``minimum`` images are marked as too small to judge.
    """
    if frame.empty:
        return empty("No attribute of the people pictured is known.", theme)
    rows = frame.reset_index(drop=True)
    several = rows["attribute"].nunique() > 1
    figure, look = canvas(theme, height=110 + round(ROW * 1.25 * len(rows)))
    small = (rows["n"] < minimum).tolist()
    for metric, name, colour, symbol, shift in (
        ("accuracy", "raw accuracy", look.second, "circle-open", -0.15),
        ("standardised", "standardised to the whole set's label mix", look.first, "diamond", 0.15),
    ):
        prefix = "" if metric == "accuracy" else "standardised_"
        values, low, high = (
            rows[column].astype(float).tolist() for column in (metric, f"{prefix}low", f"{prefix}high")
        )
        figure.add_scatter(
            x=values,
            y=[index + shift for index in range(len(rows))],
            mode="markers",
            name=name,
            marker={"symbol": symbol, "size": 10, "color": [look.muted if s else colour for s in small],
                    "line": {"width": 2, "color": [look.muted if s else colour for s in small]}},
            error_x=error_bars(values, low, high, colour),
            hovertext=[_group_text(row, minimum) for row in rows.to_dict("records")],
            hoverinfo="text",
            customdata=rows[["attribute", "group"]].astype(str).to_dict("records"),
        )  # fmt: skip
    labels = [_group_label(row, several, minimum) for row in rows.to_dict("records")]
    if overall is not None:
        figure.add_vline(
            x=overall,
            line={"dash": "dot", "color": look.muted, "width": 1.5},
            annotation={"text": f"all {percent(overall)}", "font": {"color": look.muted, "size": 12}, "yanchor": "top",
                        "y": 0, "xanchor": "left", "bgcolor": look.page},
        )  # fmt: skip
    figure.update_xaxes(
        tickformat=".0%", zeroline=False, range=_span(rows, overall), title_text="accuracy, with 95% interval"
    )
    figure.update_yaxes(row_axis(labels))
    return figure.update_layout(meta={"figure": "group_accuracy"})


def _group_label(row: dict, with_attribute: bool, minimum: int) -> str:
    name = f"{row['attribute']}: {row['group']}" if with_attribute else row["group"]
    small = ", too small" if row["n"] < minimum else ""
    return f"{shown(name)} (n = {whole(row['n'])}{small})"


def _group_text(row: dict, minimum: int) -> str:
    lines = [f"<b>{shown(row['group'])}</b> ({shown(row['attribute'])}), n = {whole(row['n'])}"]
    if row["n"] < minimum:
        lines.append(f"under {whole(minimum)} images: too small to judge")
    lines.append(f"raw {percent(row['accuracy'])}, {interval(row['low'], row['high'])}")
    standardised = f"{percent(row['standardised'])}, {interval(row['standardised_low'], row['standardised_high'])}"
    defined = row["standardised"] is not None and math.isfinite(row["standardised"])
    lines.append(f"standardised {standardised if defined else 'not defined: too few images of some classes'}")
    omitted = row.get("omitted")
    if omitted is not None and len(omitted):
        lines.append(f"without {', '.join(shown(name) for name in omitted)} (under 5 images)")
    return "<br>".join(lines)


def _span(rows: pd.DataFrame, overall: float | None) -> list[float]:
    """From just under the lowest to just over the highest bound, within 0 and 1."""
    columns = ["accuracy", "low", "high", "standardised", "standardised_low", "standardised_high"]
    values = rows[columns].to_numpy(dtype=float)
    values = np.append(values[np.isfinite(values)], [] if overall is None else [overall])
    if not len(values):
        return [0, 1]
    room = 0.05 * max(values.max() - values.min(), 0.1)
    return [max(-0.01, values.min() - room), min(1.01, values.max() + room)]


def class_by_group(frame: pd.DataFrame, metric: str = "recall", theme: str = "light") -> go.Figure:
    """Heat map of one metric by group (rows) and class (columns); ``frame``: group, class, n, and ``metric``.

    ``n`` is the number of images the metric is a share of; cells with none stay empty. A click gives ``x`` class
    and ``y`` group. With the columns ``low`` and ``high`` the hover text has the interval.
    """
    if frame.empty:
        return empty("No attribute of the people pictured is known.", theme)
    groups, classes = (frame[name].astype(str).drop_duplicates().tolist() for name in ("group", "class"))
    cells = {(row["group"], row["class"]): row for row in frame.astype({"group": str, "class": str}).to_dict("records")}
    figure, look = canvas(theme, height=120 + 40 * len(groups))
    table = [[cells.get((group, name)) for name in classes] for group in groups]
    add_heat(
        figure,
        look,
        columns=classes,
        rows=groups,
        values=[[_number(cell, metric) for cell in row] for row in table],
        text=[[percent(_number(cell, metric), 0) for cell in row] for row in table],
        hover=[[_class_text(g, c, metric, cells.get((g, c))) for c in classes] for g in groups],
        customdata=[[{"group": group, "label": name} for name in classes] for group in groups],
        title=shown(metric),
        tickformat=".0%",
        span=(0, 1),
    )
    figure.update_xaxes(category_axis(classes), showgrid=False, side="top")
    figure.update_yaxes(category_axis(groups), showgrid=False, autorange="reversed")
    return figure.update_layout(meta={"figure": "class_by_group", "metric": metric})


def _number(cell: dict | None, metric: str) -> float | None:
    value = None if cell is None else cell[metric]
    return None if value is None or not math.isfinite(value) else float(value)


def _class_text(group: str, name: str, metric: str, cell: dict | None) -> str:
    head = f"<b>{shown(group)}</b>, <b>{shown(name)}</b><br>"
    value = _number(cell, metric)
    if cell is None or value is None:
        return head + "no images"
    bounds = f", {interval(cell['low'], cell['high'])}" if "low" in cell else ""
    return head + f"{shown(metric)} {percent(value)}{bounds}, n = {whole(cell['n'])}"


def disparities(frame: pd.DataFrame, top: int = 20, alpha: float = 0.05, theme: str = "light") -> go.Figure:
    """Differences to the reference group with 95% intervals, the ``top`` first rows of ``frame``.

    ``frame``: attribute, metric, class, reference, group, difference, difference_low, difference_high, p_adjusted.
    Filled marks are significant at ``alpha`` after adjustment, hollow ones are not.
    """
    rows = frame[frame["difference"].notna()].head(top).reset_index(drop=True) if len(frame) else frame
    if rows.empty:
        return empty("There are no two groups large enough to compare.", theme)
    figure, look = canvas(theme, height=110 + round(ROW * 1.15 * len(rows)))
    clear = (rows["p_adjusted"].astype(float) <= alpha).to_numpy()
    for part, name, symbol, colour in (
        (clear, f"significant at {alpha:.0%} after adjustment", "diamond", look.second),
        (~clear, "not significant", "diamond-open", look.first),
    ):
        chosen = rows[part]
        values, low, high = (
            chosen[column].astype(float).tolist() for column in ("difference", "difference_low", "difference_high")
        )
        figure.add_scatter(
            x=values,
            y=chosen.index.tolist(),
            mode="markers",
            name=name,
            marker={"symbol": symbol, "size": 10, "color": colour, "line": {"width": 2, "color": colour}},
            error_x=error_bars(values, low, high, colour),
            hovertext=[_difference_text(row) for row in chosen.to_dict("records")],
            hoverinfo="text",
            customdata=[
                {"attribute": row["attribute"], "group": row["group"], "reference": row["reference"],
                 "label": row["class"] if isinstance(row["class"], str) else None}
                for row in chosen.to_dict("records")
            ],
        )  # fmt: skip
    figure.add_vline(x=0, line={"color": look.muted, "width": 1})
    figure.update_xaxes(
        tickformat="+.0%", title_text="difference to the reference group, with 95% interval", zeroline=False
    )
    figure.update_yaxes(row_axis([_difference_label(row) for row in rows.to_dict("records")]))
    return figure.update_layout(meta={"figure": "disparities"})


def _difference_label(row: dict) -> str:
    subject = f"{row['metric']} of {row['class']}" if isinstance(row["class"], str) and row["class"] else row["metric"]
    return f"{shown(row['group'], 24)} vs {shown(row['reference'], 24)}<br>{shown(subject)}"


def _difference_text(row: dict) -> str:
    p = row["p_adjusted"]
    adjusted = f"adjusted p = {p:.3g}" if p is not None and math.isfinite(p) else "not tested"
    return (
        f"{_difference_label(row)}<br>difference {percent(row['difference'])}, "
        f"{interval(row['difference_low'], row['difference_high'])}<br>{adjusted}"
    )
