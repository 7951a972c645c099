"""For whom: accuracy of each group, recall of each class in each group, differences between groups."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from reports.figures.heat import add_heat
from reports.figures.theme import ROW, canvas, category_axis, empty, error_bars, row_axis, shown
from reports.words import interval, known, percent, probability, whole


def group_accuracy(frame: pd.DataFrame, overall: float | None = None, theme: str = "light") -> go.Figure:
    """Forest plot of each group's raw and standardised accuracy with 95% intervals.

    ``frame`` is that of ``audit.fairness.group_figures``: attribute, group, n, too_small, accuracy, low, high,
    standardised, standardised_low, standardised_high, omitted, reason. ``overall`` draws the whole set's accuracy.
    Groups that are too small to judge are shown in grey and say so.
    """
    if frame.empty:
        return empty("No attribute of the people pictured is known.", theme)
    rows = frame.reset_index(drop=True)
    several = rows["attribute"].nunique() > 1
    figure, look = canvas(theme, height=110 + round(ROW * 1.25 * len(rows)))
    small = rows["too_small"].tolist()
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
            hovertext=[_group_text(row) for row in rows.to_dict("records")],
            hoverinfo="text",
            customdata=rows[["attribute", "group"]].astype(str).to_dict("records"),
        )  # fmt: skip
    labels = [_group_label(row, several) for row in rows.to_dict("records")]
    if overall is not None:
        figure.add_scatter(
            x=[overall, overall],
            y=[-0.6, len(rows) - 0.4],
            mode="lines",
            name=f"whole set {percent(overall)}",
            line={"dash": "dot", "color": look.muted, "width": 1.5},
            hoverinfo="skip",
        )
    figure.update_xaxes(
        tickformat=".0%", zeroline=False, range=_span(rows, overall), title_text="accuracy, with 95% interval"
    )
    figure.update_yaxes(row_axis(labels))
    return figure.update_layout(meta={"figure": "group_accuracy"})


def _group_label(row: dict, with_attribute: bool) -> str:
    name = f"{row['attribute']}: {row['group']}" if with_attribute else row["group"]
    small = ", too small" if row["too_small"] else ""
    return f"{shown(name)} (n = {whole(row['n'])}{small})"


def _group_text(row: dict) -> str:
    lines = [f"<b>{shown(row['group'])}</b> ({shown(row['attribute'])}), n = {whole(row['n'])}"]
    if row["too_small"]:
        lines.append("too small to judge")
    lines.append(f"raw {percent(row['accuracy'])}, {interval(row['low'], row['high'])}")
    if known(row["standardised"]):
        bounds = interval(row["standardised_low"], row["standardised_high"])
        lines.append(f"standardised {percent(row['standardised'])}, {bounds}")
        if len(row["omitted"]):
            lines.append(f"without {shown(', '.join(row['omitted']), 60)} (under 5 images)")
    else:
        lines.append(f"standardised: not defined, {shown(row['reason'], 60)}")
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
    """Heat map of one metric by group (rows) and class (columns).

    ``frame`` is that of ``audit.fairness.class_figures``: group, class, ``METRIC``, ``METRIC_n`` (the images it is a
    share of), ``METRIC_low``, ``METRIC_high``. Cells without images stay empty. A click gives ``x`` class and ``y``
    group.
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
        title=metric.replace("_", " "),
        tickformat=".0%",
        span=(0, 1),
    )
    figure.update_xaxes(category_axis(classes), showgrid=False, side="top")
    figure.update_yaxes(category_axis(groups), showgrid=False, autorange="reversed")
    return figure.update_layout(meta={"figure": "class_by_group", "metric": metric})


def _number(cell: dict | None, metric: str) -> float | None:
    value = None if cell is None else cell[metric]
    return float(value) if value is not None and known(value) else None


def _class_text(group: str, name: str, metric: str, cell: dict | None) -> str:
    head = f"<b>{shown(group)}</b>, <b>{shown(name)}</b><br>"
    value = _number(cell, metric)
    if cell is None or value is None:
        return head + "no images"
    bounds = interval(cell[f"{metric}_low"], cell[f"{metric}_high"])
    return head + f"{metric.replace('_', ' ')} {percent(value)}, {bounds}, n = {whole(cell[f'{metric}_n'])}"


def disparities(frame: pd.DataFrame, top: int = 20, alpha: float = 0.05, theme: str = "light") -> go.Figure:
    """Differences to the reference group with 95% intervals, the ``top`` first rows of ``frame``.

    ``frame``: attribute, metric, class, reference, group, n_reference, n_group, value_reference, value_group,
    difference, difference_low, difference_high, p_adjusted.
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


def _subject(row: dict) -> str:
    metric = row["metric"].replace("_", " ")
    return f"{metric} of {row['class']}" if isinstance(row["class"], str) else metric


def _difference_label(row: dict) -> str:
    return f"{shown(row['group'], 24)} vs {shown(row['reference'], 24)}<br>{shown(_subject(row))}"


def _difference_text(row: dict) -> str:
    sides = (
        f"{shown(row[side])}: {percent(row[f'value_{name}'])} of {whole(row[f'n_{name}'])} images"
        for side, name in (("group", "group"), ("reference", "reference"))
    )
    return "<br>".join(
        [
            f"<b>{shown(_subject(row))}</b>",
            *sides,
            f"difference {percent(row['difference'])}, {interval(row['difference_low'], row['difference_high'])}",
            f"adjusted p {probability(row['p_adjusted'])}",
        ]
    )
