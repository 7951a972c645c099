"""Regions of the face: where the maps of each class lie, what blurring each region costs, what tells pairs apart."""

from __future__ import annotations

from enum import StrEnum

from dash import html
from dash.development.base_component import Component

from dashboard.components import controls, shell
from dashboard.components.about_maps import tabs
from dashboard.components.charts import graph
from dashboard.state import View
from reports import figures
from reports.saliency_words import result, tells, unchecked
from reports.words import whole

PATH, TITLE, ICON = "/regions", "Regions of the face", ""
PARENT = "/saliency"


class Ids(StrEnum):
    """Components of this page."""

    BODY = "regions-body"


def layout(view: View) -> Component:
    """Shares, ablation and pairs, of one class where the address names one."""
    lead = "Where the maps lie on the face, and, since a map only points, what the model loses without each part."
    return shell.page(TITLE, lead, tabs(view, PATH), html.Div(body(view), id=Ids.BODY))


def body(view: View) -> Component:
    """What is known of the regions, or why nothing is."""
    if result(view.run, "saliency_regions") is None:
        reason = unchecked(view.run, places=True)
        return shell.section("", html.P(f"Regions could not be checked, because {reason}.", className="verdict"))
    picked = controls.select("class", "Class", tuple(view.run.classes), view.query.get("class"))
    return html.Div(
        [
            html.Section([html.Div([picked], className="controls")], className="section filters"),
            html.Div([_shares(view), _drops(view)], className="two"),
            _pairs(view),
        ]
    )


def _shares(view: View) -> Component:
    name = view.query.get("class", "")
    found = view.served.table("saliency_regions")
    own = found[found["class"] == name]
    figure = figures.region_shares(
        own["region"].tolist(), own["share"].tolist(), own["area"].tolist(), theme=view.theme
    )
    what = f"predicted {name}" if name else "of the whole set"
    note = f"Mean over {whole(own['n'].iloc[0] if len(own) else 0)} maps {what}; the ticks are a map that is even."
    return shell.section("Where the maps lie", graph("region-shares", figure), note=note)


def _drops(view: View) -> Component:
    title, name = "What each region is worth", view.query.get("class", "")
    found = result(view.run, "saliency_ablation")
    if found is None:
        return _missing(view, title)
    own = found[found["class"] == name]
    what = f"labelled {name}" if name else "of all labels"
    note = f"Each region blurred in {whole(own['n'].iloc[0] if len(own) else 0)} images {what}."
    return shell.section(title, graph("region-drops", figures.region_drops(own, theme=view.theme)), note=note)


def _pairs(view: View) -> Component:
    """What tells two classes apart, for the pairs most often confused."""
    title, found = "What tells two classes apart", result(view.run, "saliency_pairs")
    if found is None:
        return _missing(view, title)
    wanted = view.query.get("class")
    parts = []
    for (first, second), rows in found.groupby(["class_a", "class_b"], sort=False):
        if wanted in (None, first, second):
            figure = graph(f"tells-{first}-{second}", figures.region_tells(rows.dropna(), theme=view.theme))
            contrast = view.href("/saliency", label=f"{first},{second}", target=first, minus=second)
            link = html.A(f"Maps of {first} against {second}", href=contrast)
            words = html.P([tells(rows, str(first), str(second)), " ", link], className="note")
            parts.append(html.Div([html.H3(f"{first} or {second}"), words, figure]))
    empty = [html.P("No such pair was looked at.", className="note")]
    note = "What blurring a region takes off the log-odds of the label against the other class, with 95% intervals."
    return shell.section(title, html.Div(parts or empty, className="two"), note=note)


def _missing(view: View, title: str) -> Component:
    return shell.section(title, html.P(f"Could not be checked, because {unchecked(view.run)}.", className="verdict"))


REGIONS = {Ids.BODY: body}
