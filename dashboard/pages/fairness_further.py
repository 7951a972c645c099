"""Further sections of the Fairness page: parts of gaps, other views, confidence, selection, slices, remedies."""

from __future__ import annotations

import plotly.graph_objects as go
from dash import html
from dash.development.base_component import Component

from audit.counts import CROSS
from dashboard.components import controls, shell
from dashboard.components.charts import graph
from dashboard.components.tables import Column, table
from dashboard.groups import Chosen, rows
from dashboard.query import Query
from dashboard.state import View
from faces.errors import InputError
from reports.words import decimal, known, percent, probability, signed, signed_span, spaced, span, whole

PATH = "/fairness"


def _nothing(title: str, reason: str) -> Component:
    return shell.section(title, html.P(reason, className="note"))


def size(row: dict) -> str:
    """How many images a group has, and that they are too few where they are."""
    return whole(row["n"]) + (" (too small)" if row["too_small"] else "")


def parts_of_gaps(chosen: Chosen) -> Component:
    """Kitagawa's split of each raw gap, and the smallest gap that so many images could have shown."""
    frame = chosen.parts().rename(columns={"n_group": "n"})
    if frame.empty:
        return _nothing("What the raw gaps are made of", "There is only one group.")
    columns = [
        Column("group", "Group"),
        Column("n", "Images", size, number=True),
        Column("difference", "Raw gap", lambda row: signed(row["difference"]), number=True),
        Column("composition", "From its label mix", lambda row: _part(row, "composition"), number=True),
        Column("performance", "From performance", lambda row: _part(row, "performance"), number=True),
        Column("smallest_gap", "Smallest gap to be seen", lambda row: _unsigned(row["smallest_gap"]), number=True),
    ]
    note = (
        "Kitagawa's decomposition, in points with 95% intervals: a group that smiles more is recognised more often "
        "without being recognised better. The last column is the gap that this many images show in four of five audits."
    )
    shown = table(chosen.view, PATH, frame, columns, f"Raw gaps to {chosen.reference}", sort="parts")
    return shell.section("What the raw gaps are made of", shown, note=note)


def _unsigned(gap: float) -> str:
    return signed(gap).lstrip("+")


def _part(row: dict, name: str) -> str:
    return f"{signed(row[name])} ({signed_span(row[f'{name}_low'], row[f'{name}_high'])})"


def other_views(chosen: Chosen) -> Component:
    """The same groups in other ways, so that one sees whether the conclusion moves."""
    from reports import figures
    from reports.chapters import views

    frame = chosen.views()
    kinds = frame["view"].drop_duplicates().tolist()
    wide = frame.assign(cell=[views.cell(row) for row in frame.to_dict("records")])
    wide = wide.pivot(index="group", columns="view", values="cell").reset_index().fillna("no images")
    columns = [Column("group", "Group"), *(Column(kind, kind, number=True) for kind in kinds)]
    figure = figures.gaps_by_view(frame, theme=chosen.view.theme)
    return shell.section(
        "Does the conclusion move?",
        html.Ul([html.Li(sentence) for sentence in views.moves(frame)], className="plain-list"),
        graph("gaps_by_view", figure, "/saliency", "Gaps in every view; the table below has the same figures"),
        table(chosen.view, PATH, wide, columns, "Accuracy, and the gap with its interval", sort="views"),
        note=views.NOTE.format(reference=chosen.reference),
    )


def calibration(view: View, attribute: str) -> Component:
    """Reliability curves of every group."""
    from reports import figures

    bins = view.served.table("calibration")
    own = bins[bins["attribute"] == attribute]
    if bins.empty:
        return _nothing("Confidence", "The run has predictions without probabilities.")
    title = f"Confidence by {spaced(attribute)}"
    figure = figures.reliability_by_group(own, theme=view.theme)
    _lead_to_images(figure, attribute)
    note = (
        "How often the model is right when it is so sure. Under the diagonal it is surer than it should be. Debiased: "
        "without the error that chance alone adds to few images."
    )
    columns = [
        Column("group", "Group"),
        Column("n", "Images", lambda row: whole(row["n"]), number=True),
        Column("accuracy", "Accuracy", lambda row: percent(row["accuracy"]), number=True),
        Column("mean_confidence", "Mean confidence", lambda row: percent(row["mean_confidence"]), number=True),
        Column("ece", "Calibration error", lambda row: percent(row["ece"]), number=True),
        Column("ece_debiased", "Debiased", lambda row: percent(row["ece_debiased"]), number=True),
    ]
    groups = rows(view, "groups", attribute)
    return shell.section(
        title,
        graph("reliability", figure, "/saliency", title),
        table(view, PATH, groups, columns, f"Calibration by {spaced(attribute)}", sort="calibration"),
        note=note,
    )


def _lead_to_images(figure: go.Figure, attribute: str) -> None:
    """Give the marks of reliability curves the selection they stand for."""
    for trace in figure.data:
        if trace.customdata is not None:
            trace.customdata = [
                {"confidence": f"{bin_['low']:.4g}..{bin_['high']:.4g}", "attribute": attribute, "group": bin_["group"]}
                for bin_ in trace.customdata
            ]


def favourable(view: View, attribute: str) -> Component:
    """Who is called a class how often, against the group called so most: only for a class that the user names."""
    choice = controls.select(
        "favourable", "Favourable class", tuple(view.run.classes), view.query.get("favourable"), nothing="none"
    )
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


def remedies(view: View, attribute: str) -> Component:
    """What would help one emotion, and what it costs: only for an emotion and a single attribute that are chosen."""
    from reports.chapters.remedies import EXPLORATION

    choice = controls.select("explore", "Emotion", tuple(view.run.classes), view.query.get("explore"), nothing="none")
    named = view.query.get("explore", "")
    parts: list[Component] = [html.Div(choice, className="controls")]
    if named in view.run.classes:
        parts += _explored(view, attribute, named)
    return shell.section("What would help", *parts, note=EXPLORATION)


def _explored(view: View, attribute: str, emotion: str) -> list[Component]:
    from audit.remedies import explore
    from reports import figures
    from reports.chapters.remedies import RETRAIN, recipe, sentences

    if CROSS in attribute:
        return [html.P("Choose a single attribute above: an intersection is too thin to explore.", className="note")]
    try:
        found = explore(view.run, attribute, emotion, view.run.manifest["seed"])
    except InputError as reason:
        return [html.P(str(reason), className="note")]
    columns = [
        Column("remedy", "Remedy"),
        Column("gap", "Gap in recall", lambda row: _unsigned(row["gap"]), number=True),
        Column("gap_low", "95% interval", lambda row: signed_span(row["gap_low"], row["gap_high"]), number=True),
        Column("worst", "Lowest / highest", lambda row: f"{row['worst']} / {row['best']}"),
        Column("recall", "Recall", lambda row: percent(row["recall"]), number=True),
        Column("false_positive_rate", "False positives", lambda row: percent(row["false_positive_rate"]), number=True),
        Column("balanced_accuracy", "Balanced", lambda row: percent(row["balanced_accuracy"]), number=True),
        Column("cost", "Change", lambda row: signed(-row["cost"]) if known(row["cost"]) else "", number=True),
    ]
    caption = f"Remedies for {emotion} by {spaced(attribute)}, and what they cost, in points"
    return [
        html.Ul([html.Li(sentence) for sentence in sentences(found)], className="plain-list"),
        graph("trade_offs", figures.trade_offs(found.costs, theme=view.theme), describe=caption),
        table(view, PATH, found.costs, columns, caption, sort="remedies"),
        html.P(RETRAIN, className="note"),
        html.Pre(recipe(view.served.run, attribute), className="command"),
    ]
