"""Can the maps be trusted? Faithfulness beside a blob, dependence on the weights, stability."""

from __future__ import annotations

import pandas as pd
from dash import html
from dash.development.base_component import Component

from dashboard.components import shell
from dashboard.components.about_maps import tabs
from dashboard.components.charts import graph
from dashboard.components.tables import Column, table
from dashboard.state import View
from reports import figures, saliency_words
from reports.saliency_words import method_title, result, unchecked
from reports.words import decimal

PATH, TITLE, ICON = "/trust", "Can the maps be trusted?", ""
PARENT = "/saliency"


def layout(view: View) -> Component:
    """The three checks, each with its verdict, its figure, or why it could not be made."""
    lead = "A map that looks right may show nothing of the model. These checks ran the model again on some images."
    parts = (faithfulness, randomisation, stability)
    return shell.page(TITLE, lead, tabs(view, PATH), *[part(view) for part in parts])


def faithfulness(view: View) -> Component:
    """Insertion, deletion and ROAD of every stored method, beside a random map and a centred blob."""
    title, found = "Faithfulness", result(view.run, "faithfulness")
    if found is None:
        return _missing(view, title)
    note = (
        "Pixels are put in and taken away in the map's order: a faithful map makes the probability rise sooner "
        "and fall sooner. ROAD fills in what it takes away, so that the holes themselves tell nothing."
    )
    return shell.section(
        title,
        html.P(saliency_words.faithfulness_verdict(found), className="verdict"),
        graph("faithfulness", figures.faithfulness(found, theme=view.theme)),
        *_curves(view),
        table(view, PATH, found, COLUMNS, "Areas under the curves and their differences, means with 95% intervals"),
        note=note,
    )


def _curves(view: View) -> list[Component]:
    """The curves behind the figures, where the run keeps them."""
    found = result(view.run, "faithfulness_curves")
    if found is None:
        return []
    drawn = [graph(which, figures.curves(found, which, theme=view.theme)) for which in ("insertion", "deletion")]
    return [html.Div(drawn, className="two")]


def _span(low: str, high: str) -> Column:
    def words(row: dict) -> str:
        return f"{decimal(row[low])} to {decimal(row[high])}".replace("-", "−")

    return Column(low, "95% interval", words, True)


def _number(key: str, title: str) -> Column:
    return Column(key, title, lambda row: decimal(row[key]).replace("-", "−"), True)


COLUMNS = (
    Column("method", "Method", lambda row: method_title(row["method"])),
    Column("n", "Images", None, True),
    _number("insertion", "Insertion"),
    _number("deletion", "Deletion"),
    _number("gain", "Insertion − deletion"),
    _span("low", "high"),
    _number("over_blob", "Above the blob"),
    _span("over_blob_low", "over_blob_high"),
    _number("road", "ROAD"),
    _span("road_low", "road_high"),
)


def randomisation(view: View) -> Component:
    """Maps of the model with more and more of its layers drawn anew."""
    title, found = "Do the maps depend on what was learned?", result(view.run, "randomisation")
    if found is None:
        return _missing(view, title)
    names = [saliency_words.level(share) for share in found["level"]]
    note = "Layers are drawn anew from the output towards the input (Adebayo et al. 2018): maps should become others."
    return shell.section(
        title,
        html.P(saliency_words.randomisation_verdict(found), className="verdict"),
        graph("randomisation", figures.alike(names, found, theme=view.theme)),
        note=note,
    )


def stability(view: View) -> Component:
    """Maps of images that were moved a little, or have a little noise."""
    title, found = "Do they stay when nothing that matters changes?", result(view.run, "stability")
    if found is None:
        return _missing(view, title)
    names = [str(name) if name == "noise" else f"{name} by two pixels" for name in found["perturbation"]]
    return shell.section(
        title,
        html.P(saliency_words.stability_verdict(found), className="verdict"),
        graph("stability", figures.alike(names, pd.DataFrame(found), theme=view.theme)),
    )


def _missing(view: View, title: str) -> Component:
    return shell.section(title, html.P(f"Could not be checked, because {unchecked(view.run)}.", className="verdict"))
