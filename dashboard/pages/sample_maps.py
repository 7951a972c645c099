"""The part of the sample page about its maps: the large one, methods side by side, regions, what checks say."""

from __future__ import annotations

import numpy as np
import pandas as pd
from dash import html
from dash.development.base_component import Component

from audit.saliency.regions import REGIONS, areas, shares, too_coarse
from audit.saliency.registry import METHODS
from dashboard import computed
from dashboard.components import controls, gallery, shell
from dashboard.components.attributes import data
from dashboard.components.charts import graph
from dashboard.components.export import export_buttons, exportable
from dashboard.components.gallery import Look
from dashboard.media import OWN, SHARED, array_address, face_address, map_address
from dashboard.selection import SHARE
from dashboard.state import View
from faces.errors import InputError
from reports import figures
from reports.saliency_words import faithfulness_verdict, method_title, result, unchecked

PATH = "/sample"


def look_of(view: View) -> Look:
    """The look that the address asks for; a method that is not stored counts where it can be computed."""
    return gallery.look_of(view, computed.offered(view.served))


def stack(view: View, look: Look, alt: str, thumbnail: bool = True) -> Component:
    """The face with its map: a stored one, or one that the browser asks for and waits for."""
    sample_id = view.query["id"]
    row, pictures = view.run.row_of[sample_id], view.served.pictures
    stored = look.method is None or look.method in view.run.saliency_methods
    readable = isinstance(view.run.samples["predicted"].iat[row], str)
    if not readable or (stored and (look.method is None or pictures.drawable(look.method, look.target, row))):
        return gallery.stack(view, sample_id, look, alt, thumbnail)
    face = face_address(view.served.slug, pictures, sample_id, thumbnail)
    address = map_address(view.served.slug, pictures, str(look.method), look.target, sample_id)
    layers = [
        html.Img(src=face, alt=alt, className="photo", draggable="false"),
        html.Img(alt="", className=gallery.map_class(look), draggable="false", **data(src=address)),
        html.Span(className="computing", role="status"),
    ]
    return html.Span(layers, className="stack")


def picture(view: View, look: Look, alt: str) -> Component:
    """The image, large, with one map, and what chooses the map."""
    stored, others = view.run.saliency_methods, computed.offered(view.served)
    methods = (*stored, *others)
    choices: list[Component] = []
    if methods:
        scales = ((OWN, "by itself"), (SHARED, "as all"))
        scaled = controls.segmented("scaling", "Scaled", scales, look.scaling, OWN)
        choices = [
            controls.select("method", "Method", gallery.titled(methods), look.method, methods[0]),
            *gallery.target_choices(view, look),
            *([scaled] if look.method in stored else []),
            controls.map_display(look.contrast),
        ]
    large = html.Div(stack(view, look, alt, thumbnail=False), className="large")
    words = html.P([gallery.sentence(view, look), *_range(view, look)], className="note")
    return shell.section(
        "Image and map",
        exportable("sample", large, words),
        html.Div(choices, className="controls"),
        *([_exports(view, look)] if look.method else []),
    )


def _range(view: View, look: Look) -> list[str]:
    """The raw values of a stored map, as words."""
    try:
        shown = view.served.pictures.map(str(look.method), look.target, view.query["id"], look.scaling)
    except InputError:
        return []
    low, high = float(shown.raw.min()), float(shown.raw.max())
    limit = f"{'−' if look.contrast else ''}{shown.limit:.3g}" if look.contrast else "0"
    return [
        f" Raw values from {low:.3g} to {high:.3g}, coloured from {limit} to {shown.limit:.3g}; "
        "point at the picture to read them.".replace("-", "−")
    ]


def _exports(view: View, look: Look) -> Component:
    slug, sample_id = view.served.slug, view.query["id"]
    address = map_address(slug, view.served.pictures, str(look.method), look.target, sample_id, look.scaling)
    alone = address.replace("as=values", "as=picture")
    values = array_address(slug, str(look.method), look.target, sample_id)
    links = [
        html.A("Map alone as PNG", href=alone, download="map.png", className="plain"),
        html.A("Raw values as .npy", href=values, download="map.npy", className="plain"),
    ]
    return html.Div([export_buttons("sample", "Save with its map:"), *links], className="exports-row")


def methods(view: View, look: Look) -> Component:
    """Every method for the chosen class: stored ones at once, others when asked for."""
    stored, others = view.run.saliency_methods, computed.offered(view.served)
    asked = set(view.query.get("also", "").split(","))
    tiles = [_tile(view, Look(name, look.target, OWN)) for name in (*stored, *(one for one in others if one in asked))]
    waiting = [name for name in others if name not in asked]
    words = f"For {look.words}; each map is scaled to its own largest value, negative evidence "
    words += "in orange." if look.contrast else "cut off."
    reason = computed.unavailable(view.served)
    more = [html.P(f"Other methods cannot be computed. {reason}", className="note")] if reason else []
    return shell.section(
        "Methods side by side",
        exportable("methods", html.P(words, className="note"), html.Div(tiles, className="row-of-faces")),
        export_buttons("methods"),
        *([_offers(view, asked, waiting)] if waiting else []),
        *more,
    )


def _tile(view: View, look: Look) -> Component:
    words = f"{look.title} for {look.words}"
    href = view.href(PATH, view.query, method=look.method)
    every = [] if METHODS[str(look.method)].targeted else [html.Em(" the same for every class")]
    caption = html.Span([look.title, *every], className="caption")
    return html.A([stack(view, look, words), caption], href=href, className="card small")


def _offers(view: View, asked: set[str], waiting: list[str]) -> Component:
    """Links that ask for methods which are not stored; they stand in the address, so a view can be shared."""

    def link(words: str, names: list[str]) -> Component:
        also = ",".join(sorted({*asked, *names} - {""}))
        return html.A(words, href=view.href(PATH, view.query, also=also), className="chip")

    chips = [link(method_title(name), [name]) for name in waiting]
    every = [link("all of them", waiting)] if len(waiting) > 1 else []
    label = html.Span("Compute, by running the model again:", className="note")
    return html.Div([label, *chips, *every], className="chips offers")


def regions(view: View, sample: pd.Series, look: Look) -> Component:
    """Where this map lies, beside the usual map of its class, and what blurring each region costs the class."""
    stored, title = view.run.saliency_methods, "Regions of the face"
    if not stored or too_coarse(*view.run.maps(stored[0]).resolution):
        reason = f"Could not be checked, because {unchecked(view.run, places=True)}."
        return shell.section(title, html.P(reason, className="note"))
    shown = Look(look.method if look.method in stored else stored[0], look.target, OWN)
    parts = [part for part in (_shares(view, sample, shown), _drops(view, sample)) if part]
    return shell.section(title, html.Div(parts, className="two"))


def _drops(view: View, sample: pd.Series) -> Component | None:
    """What blurring each region costs images of the sample's label."""
    drops = result(view.run, "saliency_ablation")
    if drops is None:
        reason = f"What regions are worth could not be checked, because {unchecked(view.run)}."
        return html.P(reason, className="note")
    own = drops[drops["class"] == sample["label"]]
    if own.empty:
        return None
    note = f"Over {int(own['n'].iloc[0])} images labelled {sample['label']}: the causal check, since a map only points."
    figure = figures.region_drops(own, theme=view.theme)
    return html.Div([graph("region-drops", figure), html.P(note, className="note")])


def _shares(view: View, sample: pd.Series, look: Look) -> Component | None:
    """How much of this map lies on each region."""
    try:
        raw = view.served.pictures.map(str(look.method), look.target, view.query["id"]).raw
    except InputError:
        return None
    found = shares(raw[None])[0]
    if not np.isfinite(found).all():
        return html.P("This map has no positive part, so it lies on no region.", className="note")
    usual, name = None, ""
    rows = view.run.samples
    if isinstance(sample["predicted"], str) and f"{SHARE}{REGIONS[0]}" in rows:
        alike = rows.loc[rows["predicted"] == sample["predicted"], [f"{SHARE}{region}" for region in REGIONS]]
        usual, name = alike.mean().tolist(), f"mean of maps predicted {sample['predicted']}"
    even = areas(*raw.shape).tolist()
    figure = figures.region_shares(REGIONS, found.tolist(), even, usual, name, theme=view.theme)
    note = f"{look.title} for {look.words}: shares of its positive part, by a template for registered crops."
    return html.Div([graph("region-shares", figure), html.P(note, className="note")])


def trust(view: View) -> Component:
    """How far the run's maps can be trusted, in two sentences and a figure; the trust page has the rest."""
    table = result(view.run, "faithfulness")
    more = html.A("All checks of the maps", href=view.href("/trust"))
    if table is None:
        reason = f"Faithfulness could not be checked, because {unchecked(view.run)}. "
        return shell.section("Can these maps be trusted?", html.P([reason, more], className="note"))
    figure = figures.faithfulness(table, theme=view.theme)
    sentence = f"{faithfulness_verdict(table)} "
    return shell.section(
        "Can these maps be trusted?", html.P([sentence, more], className="note"), graph("faithfulness", figure)
    )
