"""Shortcuts: maps that look alike, class by class, and places outside the face that the model leans on."""

from __future__ import annotations

from enum import StrEnum

import pandas as pd
from dash import html
from dash.development.base_component import Component

from audit.saliency.analyses import side_of
from dashboard import atlas
from dashboard.atlas import Side
from dashboard.components import controls, gallery, shell
from dashboard.components.about_maps import tabs
from dashboard.components.export import export_buttons, exportable
from dashboard.components.gallery import Look
from dashboard.media import OWN, PREDICTED
from dashboard.query import Query
from dashboard.selection import SHARE, find
from dashboard.state import View
from reports.saliency_words import result, shortcut_sentence, unchecked
from reports.words import percent, whole

PATH, TITLE, ICON = "/shortcuts", "Shortcuts", ""
PARENT = "/saliency"
EXAMPLES = 8
METHOD = "gradcam"


class Ids(StrEnum):
    """Components of this page."""

    BODY = "shortcuts-body"


def layout(view: View) -> Component:
    """What was suspected and checked, and every class's clusters."""
    lead = (
        "Maps of one predicted class, grouped by where they look (spectral relevance analysis). A group that looks "
        "outside the face is a suspicion; taking the place away tells whether the model leans on it."
    )
    return shell.page(TITLE, lead, tabs(view, PATH), *gallery.pictures_notice(view), html.Div(body(view), id=Ids.BODY))


def body(view: View) -> Component:
    """Suspicions and clusters, of one class where the address names one."""
    return html.Div([choice(view), suspicions(view), clusters(view)])


def choice(view: View) -> Component:
    """Which class is looked at, and how maps are drawn."""
    classes = tuple(view.run.classes)
    picked = controls.select("predicted", "Predicted", classes, view.query.get("predicted"))
    row = html.Div([picked, controls.map_display()], className="controls")
    return html.Section([row], className="section filters")


def look(view: View) -> Look:
    """The maps that were grouped."""
    stored = view.run.saliency_methods
    method = METHOD if METHOD in stored else next(iter(stored), None)
    return Look(method, PREDICTED, OWN)


def suspicions(view: View) -> Component:
    """Places outside the face, each with what it is worth to the model and its examples."""
    title, found = "Places outside the face", result(view.run, "shortcuts")
    if found is None:
        checked = (view.run.folder / "results" / "shortcuts.parquet").is_file()
        reason = unchecked(view.run, places=True)
        words = "No group of maps looks outside the face." if checked else f"Could not be checked, because {reason}."
        return shell.section(title, html.P(words, className="verdict"))
    chosen = found.reset_index(names="number")
    if "predicted" in view.query:
        chosen = chosen[chosen["class"] == view.query["predicted"]]
    chosen = chosen.sort_values(["is_shortcut", "drop"], ascending=False, kind="stable")
    real = int(found["is_shortcut"].sum())
    note = f"{whole(len(found))} places were taken away and the model asked again; {whole(real)} of them it leans on."
    rows = [_suspicion(view, row) for row in chosen.to_dict("records")]
    shown = exportable("places", *(rows or [html.P("None for this class.", className="note")]))
    return shell.section(title, shown, export_buttons("places"), note=note)


def _suspicion(view: View, row: dict) -> Component:
    """One place: verdict, link to its images, examples."""
    real = bool(row["is_shortcut"])
    mark = html.Span("shortcut" if real else "no shortcut", className="badge shortcut" if real else "badge")
    href = view.href("/saliency", shortcut=row["number"])
    group = f"group {row['cluster']}" if not str(row["cluster"]).endswith("a spot") else "a spot"
    place = f"Predicted {row['class']}: {group} {side_of(pd.Series(row))}"
    head = html.H3([place, mark, html.A("its images", href=href)])
    words = html.P(shortcut_sentence(row), className="note")
    examples = list(row["examples"])[:EXAMPLES]
    labels = view.run.samples["label"]
    titles = [str(labels.iat[view.run.row_of[one]]) for one in examples]
    side = Side(view.served, Query({"shortcut": str(row["number"])}))
    faces = gallery.strip_of(view, examples, look(view), titles)
    return html.Div([_mean(view, side, f"mean of {whole(len(row['examples']))}"), html.Div([head, words, faces])],
                    className="cluster")  # fmt: skip


def clusters(view: View) -> Component:
    """Every class's groups of maps: their mean, where they look, some of their images."""
    title, samples = "Groups of maps, class by class", view.run.samples
    if "map_cluster" not in samples:
        reason = unchecked(view.run, places=True)
        return shell.section(title, html.P(f"Could not be made, because {reason}.", className="verdict"))
    wanted = view.query.get("predicted")
    known = samples[samples["map_cluster"].notna()]
    known = known[known["predicted"] == wanted] if wanted else known
    rows = [
        _cluster(view, str(name), part)
        for label in view.run.classes
        for name, part in known[known["predicted"] == label].groupby("map_cluster", sort=True)
    ]
    note = f"{look(view).title} of the predicted class; each map is scaled to its own largest value."
    words = html.P(note if rows else "No map to group.", className="note")
    return shell.section(title, exportable("groups", words, *rows), export_buttons("groups"))


def _cluster(view: View, name: str, part: pd.DataFrame) -> Component:
    query = Query({"map_cluster": name})
    commonest = part["label"].value_counts(normalize=True)
    words = f"{whole(len(part))} images"
    if len(commonest):
        words += f", {percent(float(commonest.iloc[0]), 0)} of them labelled {commonest.index[0]}"
    outside = part[f"{SHARE}background"].mean()
    words += f"; {percent(float(outside), 0)} of their maps lie outside the face."
    found = find(view.served.samples, query, EXAMPLES)
    faces = gallery.strip_of(view, found.frame["sample_id"].tolist(), look(view), found.frame["label"].fillna("none"))
    head = html.H3([name, html.A("its images", href=view.href("/saliency", query))])
    return html.Div(
        [_mean(view, Side(view.served, query), "mean"), html.Div([head, html.P(words, className="note"), faces])],
        className="cluster",
    )


def _mean(view: View, side: Side, words: str) -> Component:
    """The mean map of a selection over its mean face."""
    drawn = look(view)
    layers = [html.Img(src=atlas.address("face", side), alt=f"Mean face: {words}", className="photo")]
    if drawn.method is not None:
        address = atlas.address("map", side, method=drawn.method, target=drawn.target)
        layers.append(html.Img(src=address, alt="", className="map"))
    return html.Figure([html.Span(layers, className="stack"), html.Figcaption(words)])


REGIONS = {Ids.BODY: body}
