"""Mean maps over mean faces: every cell of the confusion matrix, and the difference of any two selections."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from dash import html
from dash.development.base_component import Component

from audit.saliency.atlas import Difference
from dashboard import atlas
from dashboard.atlas import Side
from dashboard.components import controls, gallery, shell
from dashboard.components.gallery import Look
from dashboard.media import LABEL, MINUS, PREDICTED
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
    chosen = gallery.look_of(view)
    whole_sets = [name for name in view.run.saliency_methods if set(view.run.maps(name).targets) >= {*view.run.classes}]
    method = chosen.method if chosen.method in whole_sets or not whole_sets else whole_sets[0]
    single = chosen.target if MINUS not in chosen.target or PREDICTED not in chosen.target else PREDICTED
    return Look(method, single, "own")


def choices(view: View) -> Component:
    """Method, target, and the two sides of the difference."""
    drawn = look(view)
    targets = [(PREDICTED, "predicted class"), (LABEL, "label"), *view.run.classes]
    if drawn.contrast:
        targets.append((drawn.target, drawn.target.replace(MINUS, " minus ")))
    methods = gallery.titled(view.run.saliency_methods)
    first = [
        controls.select("method", "Method", methods, drawn.method, methods[0][0]),
        controls.select("target", "Map of", targets, drawn.target, PREDICTED),
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
        tiles += _difference_tiles(a, found)
    return shell.section(title, html.Div(tiles, className="atlas-tiles"), html.P(verdict(found), className="note"))


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
    if np.isfinite(mean).all():
        address = atlas.address("map", side, method=drawn.method, target=drawn.target)
        layers.append(html.Img(src=address, alt="", className="map map-contrast" if drawn.contrast else "map"))
    return html.Figure([html.Span(layers, className="stack"), html.Figcaption(f"{words} ({whole(n)} maps)")])


def _difference_tiles(a: Side, found: Difference) -> list[Component]:
    every = np.ones(found.difference.shape, dtype=bool)
    parts = (("A minus B", every), ("where p is under 5%", found.p_value < atlas.LEVEL))
    return [
        html.Figure(
            [
                html.Span(
                    [
                        html.Img(src=atlas.address("face", a), alt="", className="photo"),
                        html.Img(
                            src=atlas.difference_picture(found.difference, shown),
                            alt=words,
                            className="map map-contrast",
                        ),
                    ],
                    className="stack",
                ),
                html.Figcaption(f"{words}: blue more in A, orange more in B"),
            ]
        )
        for words, shown in parts
    ]


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
    note = (
        f"{drawn.title} of {drawn.target.replace(MINUS, ' minus ')}, raw means with negative evidence cut off; each is "
        "scaled to its own largest value. A click puts a cell on side A, and what was A on side B."
    )
    table = html.Table([html.Thead(head), html.Tbody(rows)], className="atlas-matrix")
    return shell.section("Every cell", html.Div(table, className="table-place"), note=note)


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
            className="map map-contrast" if drawn.contrast else "map",
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
