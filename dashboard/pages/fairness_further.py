"""Further sections of the Fairness page: what gaps are made of, other views, calibration, selection, weak slices."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from dash import html
from dash.development.base_component import Component

from dashboard.components import controls, shell
from dashboard.components.charts import graph
from dashboard.components.tables import Column, table
from dashboard.query import Query
from dashboard.state import View
from reports.words import decimal, known, percent, probability, signed, signed_span, spaced, span, whole

PATH = "/fairness"
MOST_LINES = 8
"""More groups than this cannot be told apart as reliability curves."""


def _rows(view: View, name: str, attribute: str) -> pd.DataFrame:
    frame = view.served.table(name)
    return frame[frame["attribute"] == attribute]


def _nothing(title: str, reason: str) -> Component:
    return shell.section(title, html.P(reason, className="note"))


def parts_of_gaps(view: View, attribute: str) -> Component:
    """Kitagawa's split of each raw gap, and the smallest gap that so many images could have shown."""
    frame = _rows(view, "decomposition", attribute)
    if frame.empty:
        return _nothing("What the raw gaps are made of", "There is only one group.")
    power = _rows(view, "power", attribute).set_index("group")["smallest_gap"]
    frame = frame.assign(smallest_gap=frame["group"].map(power))
    columns = [
        Column("group", "Group"),
        Column("difference", "Raw gap", lambda row: signed(row["difference"]), number=True),
        Column("composition", "From its label mix", lambda row: _part(row, "composition"), number=True),
        Column("performance", "From performance", lambda row: _part(row, "performance"), number=True),
        Column("smallest_gap", "Smallest gap to be seen", lambda row: percent(row["smallest_gap"]), number=True),
    ]
    note = (
        "Kitagawa's decomposition, in points with 95% intervals: a group that smiles more is recognised more often "
        "without being recognised better. The last column is the gap that this many images show in four of five audits."
    )
    caption = f"Raw gaps to {frame['reference'].iloc[0]}"
    return shell.section(
        "What the raw gaps are made of", table(view, PATH, frame, columns, caption, sort="parts"), note=note
    )


def _part(row: dict, name: str) -> str:
    return f"{signed(row[name])} ({signed_span(row[f'{name}_low'], row[f'{name}_high'])})"


def other_views(view: View, attribute: str) -> Component:
    """The same groups in other ways, so that one sees whether the conclusion moves."""
    frame = views_table(view)
    frame = frame[frame["attribute"] == attribute]
    kinds = frame["view"].drop_duplicates().tolist()
    wide = frame.assign(cell=[_viewed(row) for row in frame.to_dict("records")])
    wide = wide.pivot(index="group", columns="view", values="cell").reset_index()
    columns = [Column("group", "Group"), *(Column(kind, kind, number=True) for kind in kinds)]
    note = (
        "Accuracy, with the gap in points to the largest group. Image quality: the same mix of brightness and "
        "sharpness for every group. Labels are found wrong by evidence other than this model's own errors."
    )
    shown = table(view, PATH, wide, columns, "Accuracy in several views", sort="views")
    return shell.section("Does the conclusion move?", shown, note=note)


def views_table(view: View) -> pd.DataFrame:
    """The run's views; with those without labels that reviewers found wrong, once there are decisions."""
    decided = decided_labels(view)
    if not decided:
        return view.served.table("views")
    from audit.views import views_of

    return views_of(view.run, decided)


def decided_labels(view: View) -> dict[str, str | None]:
    """sample_id -> the label that reviewers settled on, None where it is no face; empty where nothing was decided."""
    if view.served.reviews is None and not (view.run.folder / "reviews.sqlite").is_file():
        return {}
    from audit.review.domain import NOT_A_FACE

    evidence, ids = view.served.review.evidence, view.run.samples["sample_id"]
    return {
        ids.iat[row]: None if verdict.label == NOT_A_FACE else verdict.label
        for key, verdict in view.served.review.verdicts().items()
        if verdict.label is not None
        for row in evidence.rows_of[key]
    }


def _viewed(row: dict) -> str:
    if not known(row["value"]):
        return "not defined"
    return percent(row["value"]) + (f" ({signed(row['difference'])})" if known(row["difference"]) else "")


def calibration(view: View, attribute: str) -> Component:
    """Reliability curves, one a group, or of the whole set where they are too many."""
    from reports import figures

    bins = view.served.table("calibration")
    own = bins[bins["attribute"] == attribute]
    if bins.empty:
        return _nothing("Confidence", "The run has predictions without probabilities.")
    of_groups = 0 < own["group"].nunique() <= MOST_LINES
    title = f"Confidence by {spaced(attribute)}" if of_groups else "Confidence of the whole set"
    frame = own if of_groups else bins[bins["attribute"] == ""]
    figure = figures.reliability(frame, theme=view.theme)
    _lead_to_images(figure, attribute if of_groups else "", frame["group"].drop_duplicates().tolist())
    note = "How often the model is right when it is so sure. Under the diagonal it is surer than it should be."
    return shell.section(title, graph("reliability", figure, "/saliency", title), note=note)


def _lead_to_images(figure: go.Figure, attribute: str, groups: list[str]) -> None:
    """Give the marks of reliability curves (one a group, after the diagonal) the selection they stand for."""
    curves = [trace for trace in figure.data if trace.customdata is not None]
    for trace, group in zip(curves, groups, strict=True):
        chosen = {"attribute": attribute, "group": group} if attribute else {}
        trace.customdata = [
            {"confidence": f"{bin_['low']:.4g}..{bin_['high']:.4g}", **chosen} for bin_ in trace.customdata
        ]


def favourable(view: View, attribute: str) -> Component:
    """Who is called a class how often, against the group called so most: only for a class that the user names."""
    choice = controls.select("favourable", "Favourable class", tuple(view.run.classes), view.query.get("favourable"))
    named = view.query.get("favourable", "")
    title = "Four-fifths line"
    note = "For uses in which being seen as one emotion is to a person's advantage; it says nothing about accuracy."
    if named not in view.run.classes:
        return shell.section(title, html.Div(choice, className="controls"), note=note)
    from audit.selection import impact_ratios
    from reports import figures

    frame = impact_ratios(view.served.counts(attribute), named)
    columns = [
        Column("group", "Group"),
        Column(
            "selected", f"Called {named}", lambda row: f"{whole(row['selected'])} of {whole(row['n'])}", number=True
        ),
        Column("selection_rate", "Selection rate", lambda row: percent(row["selection_rate"]), number=True),
        Column("impact_ratio", "Impact ratio", lambda row: decimal(row["impact_ratio"], 2), number=True),
        Column("impact_ratio_low", "95% interval", _ratio_span, number=True),
    ]
    return shell.section(
        title,
        html.Div(choice, className="controls"),
        graph(
            "four_fifths",
            figures.four_fifths(frame, theme=view.theme),
            "/saliency",
            "Impact ratios, as in the table",
        ),
        table(view, PATH, frame, columns, f"Selection as {named}", sort="selection"),
        note=note,
    )


def _ratio_span(row: dict) -> str:
    low, high = row["impact_ratio_low"], row["impact_ratio_high"]
    return f"{decimal(low, 2)} to {decimal(high, 2)}" if known(low) and known(high) else "–"


def weak_slices(view: View) -> Component:
    """Combinations nobody named in which the error is higher than their labels explain."""
    frame = view.served.table("slices")
    frame = frame[frame["confirmed"].astype(bool)]
    note = (
        "Combinations of attributes, image quality and look-alikes, found on one half of the images and checked on the "
        "other; the figures are those of the other half."
    )
    if frame.empty:
        return shell.section("Weak slices", html.P("None stood out.", className="note"), note=note)
    columns = [
        Column("slice", "Slice", lambda row: html.A(row["slice"], href=_images(view, row["slice"]))),
        Column("n", "Images", lambda row: whole(row["n"]), number=True),
        Column("error", "Error", lambda row: percent(row["error"]), number=True),
        Column("low", "95% interval", lambda row: span(row["low"], row["high"]), number=True),
        Column("expected", "Explained by labels", lambda row: percent(row["expected"]), number=True),
        Column("p_adjusted", "Adjusted p", lambda row: probability(row["p_adjusted"]), number=True),
    ]
    return shell.section("Weak slices", table(view, PATH, frame, columns, "Weak slices", sort="slices"), note=note)


def _images(view: View, name: str) -> str:
    return view.href("/saliency", Query({"slice": name, "correct": "wrong"}))
