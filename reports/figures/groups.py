"""For whom: accuracy of each group, recall of each class in each group, differences between groups."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from audit.fairness import MIN_GROUP
from audit.selection import FOUR_FIFTHS
from audit.standardise import MIN_IMAGES
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
from reports.words import decimal, interval, known, percent, probability, signed, signed_span, spaced, whole

NAMES = {
    "ece": "calibration error",
    "ece_debiased": "calibration error, debiased",
    "macro_f1": "macro F1",
    "top2_accuracy": "top-2 accuracy",
    "vote_agreement": "agreement with votes",
}
"""Metrics that are called otherwise than their columns."""
NO_GROUPS = "No attribute of the people pictured is known."


def group_accuracy(frame: pd.DataFrame, overall: float | None = None, theme: str = "light") -> go.Figure:
    """Forest plot of each group's raw and standardised accuracy with 95% intervals.

    ``frame`` is that of ``audit.fairness.group_figures``: attribute, group, n, too_small, accuracy, low, high,
    standardised, standardised_low, standardised_high, omitted, reason. ``overall`` draws the whole set's accuracy.
    Groups that are too small to judge are shown in grey and say so.
    """
    if frame.empty:
        return empty(NO_GROUPS, theme)
    look = theme_named(theme)
    columns = ["accuracy", "low", "high", "standardised", "standardised_low", "standardised_high"]
    traces = [
        _dots(frame, columns[:3], "raw", look.second, look.muted, "circle-open", -0.15, _group_text),
        _dots(frame, columns[3:], "at the whole set's label mix", look.first, look.muted, "diamond", 0.15,
              _group_text),
    ]  # fmt: skip
    if overall is not None:
        traces.append(upright(look, overall, len(frame), f"whole set {percent(overall)}"))
    return drawn(
        look,
        traces,
        height=110 + ROW * 1.25 * len(frame),
        meta={"figure": "group_accuracy"},
        xaxis={
            "tickformat": ".0%",
            "zeroline": False,
            "range": _span(frame[columns], overall),
            **title("accuracy, with 95% interval"),
        },
        yaxis=row_axis(_group_labels(frame)),
    )


def group_metric(frame: pd.DataFrame, metric: str, theme: str = "light") -> go.Figure:
    """One other metric of each group, such as ``balanced_accuracy``, ``macro_f1``, ``top2_accuracy`` or ``ece``.

    ``frame`` is that of ``audit.fairness.group_figures``; ``METRIC_low`` and ``METRIC_high`` are drawn where they are.
    """
    if frame.empty or frame[metric].isna().all():
        return empty(f"{NAMES.get(metric, spaced(metric)).capitalize()} is not known for any group.", theme)
    look = theme_named(theme)
    columns, name = [metric, f"{metric}_low", f"{metric}_high"], NAMES.get(metric, spaced(metric))
    values = frame.reindex(columns=[*frame.columns, *(name for name in columns if name not in frame)])

    def text(row: dict) -> str:
        bounds = f", {interval(row[columns[1]], row[columns[2]])}" if columns[1] in frame else ""
        return f"{_group_head(row)}<br>{name} {percent(row[metric])}{bounds}"

    return drawn(
        look,
        [_dots(values, columns, name, look.first, look.muted, "diamond", 0, text)],
        height=90 + ROW * len(frame),
        meta={"figure": "group_metric", "metric": metric},
        xaxis={"tickformat": ".0%", "zeroline": False, "range": _span(values[columns]), **title(name)},
        yaxis=row_axis(_group_labels(frame)),
        showlegend=False,
        margin={"l": 10, "r": 20, "t": 10, "b": 10},
    )


def _dots(
    frame: pd.DataFrame,
    columns: list[str],
    name: str,
    colour: str,
    muted: str,
    symbol: str,
    shift: float,
    text: Callable[[dict], str],
) -> dict:
    """Marks with intervals, one a group; ``columns`` are value, low and high."""
    values, low, high = (frame[column].astype(float).tolist() for column in columns)
    colours = [muted if small else colour for small in frame["too_small"]]
    return {
        "type": "scatter",
        "x": values,
        "y": [index + shift for index in range(len(frame))],
        "mode": "markers",
        "name": name,
        "marker": {"symbol": symbol, "size": 10, "color": colours, "line": {"width": 2, "color": colours}},
        "error_x": error_bars(values, low, high, colour),
        "hovertext": [text(row) for row in frame.to_dict("records")],
        "hoverinfo": "text",
        "customdata": frame[["attribute", "group"]].astype(str).to_dict("records"),
    }


def _group_labels(frame: pd.DataFrame) -> list[str]:
    several = frame["attribute"].nunique() > 1
    labels = []
    for row in frame.to_dict("records"):
        name = f"{row['attribute']}: {row['group']}" if several else row["group"]
        small = ", too small" if row["too_small"] else ""
        labels.append(f"{shown(name)} (n = {whole(row['n'])}{small})")
    return labels


def _group_head(row: dict) -> str:
    small = "<br>too small to judge" if row["too_small"] else ""
    return f"<b>{shown(row['group'])}</b> ({shown(spaced(row['attribute']))}), n = {whole(row['n'])}{small}"


def _group_text(row: dict) -> str:
    lines = [_group_head(row), f"raw {percent(row['accuracy'])}, {interval(row['low'], row['high'])}"]
    if known(row["standardised"]):
        bounds = interval(row["standardised_low"], row["standardised_high"])
        lines.append(f"standardised {percent(row['standardised'])}, {bounds}")
        if len(row["omitted"]):
            lines.append(f"without {shown(', '.join(row['omitted']), 60)} (under 5 images)")
    else:
        lines.append(f"standardised: not defined, {shown(row['reason'], 60)}")
    return "<br>".join(lines)


def _span(values: pd.DataFrame, also: float | None = None) -> list[float]:
    """From just under the lowest to just over the highest value, within 0 and 1."""
    numbers = values.to_numpy(dtype=float)
    numbers = np.append(numbers[np.isfinite(numbers)], [] if also is None else [also])
    if not len(numbers):
        return [0, 1]
    room = 0.05 * max(numbers.max() - numbers.min(), 0.1)
    return [float(max(-0.01, numbers.min() - room)), float(min(1.01, numbers.max() + room))]


def class_by_group(
    frame: pd.DataFrame, metric: str = "recall", least: int = MIN_GROUP, theme: str = "light"
) -> go.Figure:
    """Heat map of one metric by group (rows) and class (columns).

    ``frame`` is that of ``audit.fairness.class_figures``: group, class, ``METRIC``, ``METRIC_n`` (the images it is a
    share of), ``METRIC_low``, ``METRIC_high``, selection_rate_n (the group's images). Groups under ``least`` images,
    and shares of under MIN_IMAGES, have numbers of images and no colour: one of one is no 100%. A click gives ``x``
    class and ``y`` group.
    """
    if frame.empty:
        return empty(NO_GROUPS, theme)
    look = theme_named(theme)
    groups, classes = (frame[name].astype(str).drop_duplicates().tolist() for name in ("group", "class"))
    cells = {(row["group"], row["class"]): row for row in frame.astype({"group": str, "class": str}).to_dict("records")}
    table = [[cells.get((group, name)) for name in classes] for group in groups]
    values = [[_judged(cell, metric, least) for cell in row] for row in table]
    size = frame.astype({"group": str}).drop_duplicates("group").set_index("group")["selection_rate_n"]
    labels = [
        f"{shown(group)} (n = {whole(size[group])}{', too small' if size[group] < least else ''})" for group in groups
    ]
    widest = max((value for row in values for value in row if value is not None), default=0.0)
    traces = heat(
        look,
        columns=classes,
        rows=groups,
        values=values,
        text=[[_cell_text(cell, metric, least) for cell in row] for row in table],
        hover=[[_class_text(g, c, metric, cells.get((g, c))) for c in classes] for g in groups],
        customdata=[[{"group": group, "label": name} for name in classes] for group in groups],
        title=spaced(metric),
        tickformat=".0%",
        span=(0, 1 if metric in ("recall", "precision") else max(0.05, widest)),
    )
    return drawn(
        look,
        traces,
        height=120 + 40 * len(groups),
        meta={"figure": "class_by_group", "metric": metric},
        xaxis={**category_axis(classes), "showgrid": False, "side": "top"},
        yaxis={**category_axis(groups, labels), "showgrid": False, "autorange": "reversed"},
    )


def _judged(cell: dict | None, metric: str, least: int) -> float | None:
    """The share of a cell; None where there are too few images to judge it."""
    few = cell is None or cell["selection_rate_n"] < least or cell[f"{metric}_n"] < MIN_IMAGES
    return None if few else _number(cell, metric)


def _cell_text(cell: dict | None, metric: str, least: int) -> str:
    value = _judged(cell, metric, least)
    if cell is None or value is not None or not cell[f"{metric}_n"]:
        return percent(value, 0)
    return f"{round(cell[metric] * cell[f'{metric}_n'])}/{whole(cell[f'{metric}_n'])}"


def _number(cell: dict | None, metric: str) -> float | None:
    value = None if cell is None else cell[metric]
    return float(value) if value is not None and known(value) else None


def _class_text(group: str, name: str, metric: str, cell: dict | None) -> str:
    head = f"<b>{shown(group)}</b>, <b>{shown(name)}</b><br>"
    value = _number(cell, metric)
    if cell is None or value is None:
        return head + "no images"
    bounds = interval(cell[f"{metric}_low"], cell[f"{metric}_high"])
    return head + f"{spaced(metric)} {percent(value)}, {bounds}, n = {whole(cell[f'{metric}_n'])}"


def disparities(frame: pd.DataFrame, top: int = 20, alpha: float = 0.05, theme: str = "light") -> go.Figure:
    """Differences to the reference group with 95% intervals, the ``top`` first rows of ``frame``.

    ``frame`` is that of ``audit.family.compare_groups``: attribute, metric, class, reference, group, n_reference,
    n_group, value_reference, value_group, difference, difference_low, difference_high, p_adjusted. Filled marks are
    significant at ``alpha`` after adjustment, hollow ones are not.
    """
    rows = frame[frame["difference"].notna()].head(top).reset_index(drop=True)
    if rows.empty:
        return empty("There are no two groups large enough to compare.", theme)
    look = theme_named(theme)
    clear = (rows["p_adjusted"].astype(float) <= alpha).to_numpy()
    traces = [
        _gaps(rows[clear], f"significant at {alpha:.0%} after adjustment", "diamond", look.second),
        _gaps(rows[~clear], "not significant, or not tested", "diamond-open", look.first),
        upright(look, 0, len(rows)),
    ]
    return drawn(
        look,
        traces,
        height=110 + ROW * 1.15 * len(rows),
        meta={"figure": "disparities"},
        xaxis={"tickformat": "+.0%", "zeroline": False, **title("difference to the reference group")},
        yaxis=row_axis([_gap_label(row) for row in rows.to_dict("records")]),
    )


def _gaps(rows: pd.DataFrame, name: str, symbol: str, colour: str) -> dict:
    columns = ("difference", "difference_low", "difference_high")
    values, low, high = (rows[column].astype(float).tolist() for column in columns)
    records = rows.to_dict("records")
    return {
        "type": "scatter",
        "x": values,
        "y": rows.index.tolist(),
        "mode": "markers",
        "name": name,
        "marker": {"symbol": symbol, "size": 10, "color": colour, "line": {"width": 2, "color": colour}},
        "error_x": error_bars(values, low, high, colour),
        "hovertext": [_gap_text(row) for row in records],
        "hoverinfo": "text",
        "customdata": [
            {**{key: row[key] for key in ("attribute", "group", "reference")},
             "label": row["class"] if isinstance(row["class"], str) else None}
            for row in records
        ],
    }  # fmt: skip


def _subject(row: dict) -> str:
    metric = spaced(row["metric"])
    return f"{metric} of {row['class']}" if isinstance(row["class"], str) else metric


def _gap_label(row: dict) -> str:
    return f"{shown(row['group'], 24)} vs {shown(row['reference'], 24)}<br>{shown(_subject(row))}"


def _gap_text(row: dict) -> str:
    sides = (
        f"{shown(row[side])}: {percent(row[f'value_{name}'])} of {whole(row[f'n_{name}'])} images"
        for side, name in (("group", "group"), ("reference", "reference"))
    )
    bounds = signed_span(row["difference_low"], row["difference_high"])
    return "<br>".join(
        [
            f"<b>{shown(_subject(row))}</b>",
            *sides,
            f"difference {signed(row['difference'])} points (95% interval {bounds})",
            f"adjusted p {probability(row['p_adjusted'])}",
        ]
    )


def four_fifths(frame: pd.DataFrame, theme: str = "light") -> go.Figure:
    """Impact ratios with 95% intervals and the line at four fifths.

    ``frame`` is that of ``audit.selection.impact_ratios``: attribute, group, n, selected, selection_rate, impact_ratio
    with ``_low`` and ``_high``, under_four_fifths.
    """
    if frame.empty or frame["impact_ratio"].isna().all():
        return empty("Nobody is selected.", theme)
    look = theme_named(theme)
    columns = ["impact_ratio", "impact_ratio_low", "impact_ratio_high"]
    rows = frame.assign(too_small=False)

    def text(row: dict) -> str:
        rate = f"{whole(row['selected'])} of {whole(row['n'])} selected ({percent(row['selection_rate'])})"
        ratio = f"impact ratio {decimal(row['impact_ratio'], 2)}"
        return f"<b>{shown(row['group'])}</b><br>{rate}<br>{ratio}"

    highest = float(np.nanmax(frame[columns].to_numpy(dtype=float)))
    return drawn(
        look,
        [_dots(rows, columns, "impact ratio", look.first, look.muted, "diamond", 0, text),
         upright(look, FOUR_FIFTHS, len(frame), "four fifths")],
        height=110 + ROW * len(frame),
        meta={"figure": "four_fifths"},
        xaxis={"range": [0, max(1.05, 1.02 * highest)], "zeroline": False, **title("impact ratio, with 95% interval")},
        yaxis=row_axis(_group_labels(rows)),
    )  # fmt: skip
