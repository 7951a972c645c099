"""Mean maps over mean faces: every cell of the confusion matrix, and the difference of any two selections."""

from __future__ import annotations

import json
from enum import StrEnum

import numpy as np
from dash import html
from dash.development.base_component import Component

from audit.saliency.atlas import Difference
from dashboard import atlas
from dashboard.atlas import Side
from dashboard.components import controls, gallery, shell
from dashboard.components.attributes import data
from dashboard.components.export import export_buttons, exportable
from dashboard.components.gallery import Look
from dashboard.components.static import static
from dashboard.media import OWN
from dashboard.query import Query
from dashboard.state import View
from reports.words import decimal, probability, spaced, whole

PATH, TITLE, ICON = "/atlas", "Atlas", "atlas"
MOST_CLASSES = 9
"""A matrix of more classes would be too small to look at."""


class Ids(StrEnum):
    """Components of this page."""

    CHOICES = "atlas-choices"
    MATRIX = "atlas-matrix"
    DIFFERENCE = "atlas-difference"


def offered(view: View) -> bool:
    """Whether the run has maps."""
    return bool(view.run.saliency_methods)


def layout(view: View) -> Component:
    """What is averaged, the matrix of means, and a difference."""
    lead = "What the network looks at on average: mean raw maps over mean faces, and where two selections differ."
    if not offered(view):
        return shell.page(TITLE, lead, shell.message("No maps", "The classifier of this run gives no gradients."))
    return shell.page(
        TITLE,
        lead,
        *gallery.pictures_notice(view),
        html.Div(choices(view), id=Ids.CHOICES),
        html.Div(difference(view), id=Ids.DIFFERENCE),
        html.Div(matrix(view), id=Ids.MATRIX),
    )


def look(view: View) -> Look:
    """Method and target; only methods that keep every class can be averaged over cells."""
    chosen, whole_sets = gallery.look_of(view), averaged(view)
    return Look(chosen.method if chosen.method in whole_sets else whole_sets[0], chosen.target, OWN)


def averaged(view: View) -> tuple[str, ...]:
    """The stored methods that keep every class; all of them where none does."""
    stored = view.run.saliency_methods
    return tuple(name for name in stored if set(view.run.maps(name).targets) >= {*view.run.classes}) or stored


def choices(view: View) -> Component:
    """Method, target, and the two sides of the difference."""
    drawn = look(view)
    methods = gallery.titled(averaged(view))
    first = [
        controls.select("method", "Method", methods, drawn.method, methods[0][0]),
        *gallery.target_choices(view, drawn),
        controls.map_display(drawn.contrast),
    ]
    rows = [html.Div(first, className="controls")]
    rows += [html.Div(_side_choices(view, name), className="controls") for name in ("a", "b")]
    return html.Section(rows, className="section filters")


def _side_choices(view: View, name: str) -> list[Component]:
    classes = tuple(view.run.classes)
    groups = [
        (f"{attribute}={group}", f"{spaced(attribute)}: {group}")
        for attribute in view.run.attributes
        for group in view.served.samples.values(attribute)
    ]
    pickers = [
        html.Strong(name.upper(), className="side-name"),
        controls.select(f"{name}_label", "Label", classes, view.query.get(f"{name}_label")),
        controls.select(f"{name}_predicted", "Predicted", classes, view.query.get(f"{name}_predicted")),
    ]
    if groups:
        pickers.append(controls.select(f"{name}_group", "Group", groups, view.query.get(f"{name}_group")))
    others = tuple(served.slug for served in view.site.served if served is not view.served)
    if name == "b" and others:
        pickers.append(controls.select("b_run", "Run", others, view.query.get("b_run")))
    return pickers


def side_of(view: View, name: str) -> Side:
    """One side as the address gives it."""
    attribute, _, group = view.query.get(f"{name}_group", "").partition("=")
    chosen = Query().change(
        label=view.query.get(f"{name}_label"),
        predicted=view.query.get(f"{name}_predicted"),
        attribute=attribute or None,
        group=group or None,
    )
    other = view.site.find(view.query.get("b_run")) if name == "b" and "b_run" in view.query else None
    return Side(other or view.served, chosen)


def difference(view: View) -> Component:
    """Both sides and where they differ, once two different ones are chosen."""
    a, b = side_of(view, "a"), side_of(view, "b")
    title = "Difference of two"
    if (a.served, a.query) == (b.served, b.query):
        note = "Choose two different sides above, or two cells below, to see where their maps differ."
        return shell.section(title, html.P(note, className="note"))
    drawn = look(view)
    found = atlas.differ(a, b, str(drawn.method), drawn.target)
    tiles = [_tile(a, drawn, f"A: {a.words()}"), _tile(b, drawn, f"B: {b.words()}")]
    if found.reason is None:
        tiles.append(_difference_tile(a, found))
    words = f"{drawn.title} of {drawn.words}. {verdict(found)}"
    part = exportable("difference", html.Div(tiles, className="atlas-tiles"), html.P(words, className="note"))
    return shell.section(title, part, export_buttons("difference"))


def verdict(found: Difference) -> str:
    """The test in one sentence."""
    if found.reason is not None:
        return f"Could not be compared: {found.reason}."
    places = int((found.p_value < atlas.LEVEL).sum())
    strongest = float(found.effect.flat[np.abs(found.effect).argmax()])
    return (
        f"{whole(found.n_a)} maps of A and {whole(found.n_b)} of B, each as shares of its own absolute sum. "
        f"{places} of {found.p_value.size} places differ at the 5% level after correction for all places "
        f"(smallest p {probability(float(found.p_value.min()))}); the largest difference is "
        f"{decimal(strongest, 2)} standard deviations. Maps are shuffled within cells of label and prediction "
        "where both sides have the same ones."
    )


def _tile(side: Side, drawn: Look, words: str) -> Component:
    mean, n = atlas.mean_map(side, str(drawn.method), drawn.target)
    layers = [html.Img(src=atlas.address("face", side), alt=f"Mean face: {words}", className="photo")]
    caption = f"{words} ({whole(n)} maps)"
    if np.isfinite(mean).all():
        address = atlas.address("map", side, method=drawn.method, target=drawn.target)
        layers.append(html.Img(src=address, alt="", className=gallery.map_class(drawn)))
        caption += f", raw means from {mean.min():.3g} to {mean.max():.3g}, scaled to the largest".replace("-", "−")
    return html.Figure([html.Span(layers, className="stack"), html.Figcaption(caption)])


def _difference_tile(a: Side, found: Difference) -> Component:
    """A minus B over the mean face of A, with rings where the test finds a difference; values and p on hover."""
    values = json.dumps({"rows": found.difference.tolist(), "p": found.p_value.tolist()})
    largest = float(np.abs(found.difference).max())
    layers = [
        html.Img(src=atlas.address("face", a), alt="", className="photo"),
        html.Img(
            src=atlas.difference_picture(found.difference),
            alt="A minus B",
            className="map map-contrast",
            **data(values=values),
        ),
        html.Img(src=atlas.rings(found.p_value < atlas.LEVEL), alt="", className="rings"),
    ]
    caption = (
        f"A minus B, in shares of a map's absolute sum: blue more in A, orange more in B, strongest at {largest:.3g}; "
        "rings where p is under 5% after correction for all places"
    )
    return html.Figure([html.Span(layers, className="stack"), html.Figcaption(caption)])


def matrix(view: View) -> Component:
    """The mean map of every cell; a click makes it side A, and what was A side B."""
    classes, drawn = tuple(view.run.classes), look(view)
    if len(classes) > MOST_CLASSES:
        classes = classes[:MOST_CLASSES]
    counts = view.served.counts()
    head = html.Tr([html.Th("label ↓  predicted →"), *[html.Th(name, scope="col") for name in classes]])
    rows = [
        html.Tr([html.Th(label, scope="row"), *[_cell(view, drawn, counts.confusion, label, name) for name in classes]])
        for label in classes
    ]
    sign = "blue for and orange against" if drawn.contrast else "negative evidence cut off"
    words = f"{drawn.title} of {drawn.words}, raw means, {sign}; each is scaled to its own largest value."
    table = html.Table([html.Thead(head), html.Tbody(rows)], className="atlas-matrix")
    part = exportable("atlas", html.P(words, className="note"), static(table, className="table-place"))
    note = "A click puts a cell on side A, and what was A on side B."
    return shell.section("Every cell", part, export_buttons("atlas"), note=note)


def _cell(view: View, drawn: Look, confusion: np.ndarray, label: str, predicted: str) -> Component:
    names = view.run.classes.names
    n = int(confusion[names.index(label), names.index(predicted)])
    if not n:
        return html.Td(html.Span("none", className="note"))
    side = Side(view.served, Query({"label": label, "predicted": predicted}))
    layers = [
        html.Img(src=atlas.address("face", side), alt=f"labelled {label}, predicted {predicted}", className="photo"),
        html.Img(
            src=atlas.address("map", side, method=drawn.method, target=drawn.target),
            alt="",
            className=gallery.map_class(drawn),
        ),
    ]
    before = {"b_label": view.query.get("a_label"), "b_predicted": view.query.get("a_predicted")}
    href = view.href(PATH, view.query, a_label=label, a_predicted=predicted, a_group=None, **_set(before))
    return html.Td(
        html.A([html.Span(layers, className="stack"), html.Span(whole(n))], href=href, className="card small")
    )


def _set(values: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


REGIONS = {Ids.CHOICES: choices, Ids.DIFFERENCE: difference, Ids.MATRIX: matrix}
