"""What is taken for what: the matrix, and the samples in any of its cells."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
import plotly.graph_objects as go
from dash import html
from dash.development.base_component import Component

from audit.counts import Counts
from dashboard.components import controls, gallery, shell
from dashboard.components.attributes import aria
from dashboard.components.charts import graph
from dashboard.pages.saliency import map_controls
from dashboard.selection import find
from dashboard.state import View
from reports.words import percent, whole

PATH, TITLE, ICON = "/confusions", "Confusions", "confusions"
READY = (("sad", "neutral"), ("fear", "surprise"))
WORST = 5
RATES, COUNTS = "label", "none"


class Ids(StrEnum):
    """Components of this page."""

    VIEWS = "confusions-views"
    MATRIX = "confusions-matrix"
    CELL = "confusions-cell"


def layout(view: View) -> Component:
    """Ready-made views; the matrix beside the samples of the chosen cell."""
    return shell.page(
        TITLE,
        "What each label is predicted as. Choose a cell to see the images in it.",
        *gallery.pictures_notice(view),
        html.Div(views(view), id=Ids.VIEWS),
        html.Div(
            [html.Div(matrix(view), id=Ids.MATRIX, className="sticky"), html.Div(cell(view), id=Ids.CELL)],
            className="side-by-side",
        ),
    )


def pairs(view: View) -> list[tuple[str, str]]:
    """The two classic confusions where the run has their classes, then its own worst."""
    classes = tuple(view.run.classes)
    frame = view.served.table("pairs").dropna(subset=["rate"]).head(WORST)
    worst = list(zip(frame["class_a"], frame["class_b"], strict=True))
    classic = [pair for pair in READY if set(pair) <= set(classes)]
    return [*classic, *[pair for pair in worst if set(pair) not in [set(known) for known in classic]]]


def views(view: View) -> Component:
    """Links to pairs of classes, both directions together."""
    chosen = set(view.query.get("label", "").split(","))
    links = [html.A("All", href=view.href(PATH), className="chip", **_current(chosen == {""}))]
    for first, second in pairs(view):
        href = view.href(PATH, label=f"{first},{second}", predicted=f"{first},{second}", correct="wrong")
        links.append(html.A(f"{first} / {second}", href=href, className="chip", **_current(chosen == {first, second})))
    return html.Nav(links, className="chips", **aria(label="Ready-made views"))


def _current(yes: bool) -> dict[str, Any]:
    return aria(current="true") if yes else {}


def matrix(view: View) -> Component:
    """The matrix, as rates or counts, with the chosen cells outlined."""
    from reports import figures

    normalise = view.query.choice("show", (RATES, COUNTS), RATES)
    counts = view.served.counts()
    figure = figures.confusion_matrix(counts.confusion, counts.classes, normalise, theme=view.theme)
    figure.update_traces(showscale=False, selector={"type": "heatmap"})
    outline(figure, chosen_cells(view, counts.classes), len(counts.classes))
    choice = controls.segmented("show", "Cells show", ((RATES, "rates"), (COUNTS, "counts")), normalise, RATES)
    return shell.section(
        "",
        choice,
        graph("confusion_matrix", figure, PATH, "Confusion matrix; the lists beside it choose a cell by key"),
    )


def chosen_cells(view: View, classes: tuple[str, ...]) -> list[tuple[int, int]]:
    """Positions (label, predicted) of the cells that the address selects; none where it names neither of them."""
    if not {"label", "predicted"} & set(view.query):
        return []
    rows, columns = (_positions(view.query.get(name), classes) for name in ("label", "predicted"))
    correct = view.query.get("correct", "")
    return [(i, j) for i in rows for j in columns if {"right": i == j, "wrong": i != j}.get(correct, True)]


def _positions(names: str | None, classes: tuple[str, ...]) -> list[int]:
    return [k for k, name in enumerate(classes) if names is None or name in names.split(",")]


def outline(figure: go.Figure, cells: list[tuple[int, int]], k: int) -> None:
    """Frame cells of a K x K heat map: a whole row or column as one, all of them not at all."""
    rows, columns = {i for i, _ in cells}, {j for _, j in cells}
    if len(cells) == k * k:
        return
    full = len(cells) == len(rows) * len(columns)
    if full and len(columns) == k:
        boxes = [(i, i, 0, k - 1) for i in rows]
    elif full and len(rows) == k:
        boxes = [(0, k - 1, j, j) for j in columns]
    else:
        boxes = [(i, i, j, j) for i, j in cells]
    for top, bottom, left, right in boxes:
        frame = {"x0": left - 0.5, "x1": right + 0.5, "y0": top - 0.5, "y1": bottom + 0.5}
        figure.add_shape(type="rect", line={"color": "#e69f00", "width": 3}, **frame)


def cell(view: View) -> Component:
    """The samples of the chosen cells, or the classes most often confused where none is chosen."""
    counts = view.served.counts()
    chosen = chosen_cells(view, counts.classes)
    choices = html.Div(
        [
            _picker("label", "Label", view, counts.classes),
            _picker("predicted", "Predicted", view, counts.classes),
            controls.segmented(
                "correct", "Prediction", (("", "all"), "right", "wrong"), view.query.get("correct", ""), ""
            ),
        ],
        className="controls",
    )
    if not {"label", "predicted"} & set(view.query):
        return html.Div(
            [shell.section("Choose a cell", choices, note="Here, or by a click in the matrix."), most_confused(view)]
        )
    look = gallery.look_of(view)
    found = find(view.served.samples, view.query.change(status="ok"), 60)
    head = [
        choices,
        html.Div(map_controls(view), className="controls"),
        html.P(gallery.sentence(view, look), className="note"),
        gallery.legend(view),
        *_mean_contrast(view, chosen, counts.classes),
    ]
    return html.Div(
        [
            shell.section(cell_title(view), *head, note=cell_share(counts, chosen), className="cell-head"),
            gallery.grid(view, found, look, PATH),
        ]
    )


def _mean_contrast(view: View, chosen: list[tuple[int, int]], classes: tuple[str, ...]) -> list[Component]:
    """A link to what decided between the two classes over a whole cell, where one wrong cell is chosen."""
    if len(chosen) != 1 or chosen[0][0] == chosen[0][1] or not view.run.saliency_methods:
        return []
    label, predicted = (classes[position] for position in chosen[0])
    href = view.href("/atlas", a_label=label, a_predicted=predicted, target=predicted, minus=label)
    words = f"What spoke for {predicted} rather than {label}, over all of them"
    return [html.P(html.A(words, href=href), className="note")]


def _picker(name: str, title: str, view: View, classes: tuple[str, ...]) -> Component:
    value = view.query.get(name)
    choices = [*classes, *([value] if value and value not in classes else [])]
    return controls.select(name, title, [(choice, choice.replace(",", " or ")) for choice in choices], value)


def cell_title(view: View) -> str:
    """The chosen cells in words."""
    names = [
        f"{verb} {view.query[name].replace(',', ' or ')}"
        for name, verb in (("label", "labelled"), ("predicted", "predicted"))
        if name in view.query
    ]
    words = ", ".join(names) + {"right": ", rightly", "wrong": ", wrongly"}.get(view.query.get("correct", ""), "")
    return words[0].upper() + words[1:]


def cell_share(counts: Counts, cells: list[tuple[int, int]]) -> str:
    """How many images the chosen cells hold, of those of their labels."""
    n = sum(int(counts.confusion[i, j]) for i, j in cells)
    of = int(counts.confusion[np.unique([i for i, _ in cells])].sum())
    return f"{whole(n)} of {whole(of)} images with that label ({percent(n / of if of else None)})"


def most_confused(view: View) -> Component:
    """The worst pairs as a figure whose bars lead to their images."""
    from reports import figures

    frame = view.served.table("pairs")
    figure = figures.confusable_pairs(frame[frame["n_ab"] + frame["n_ba"] > 0], theme=view.theme)
    return shell.section(
        "Most often confused",
        graph("confusable_pairs", figure, PATH, "Pairs most often confused; also in the links above"),
    )


REGIONS = {Ids.VIEWS: views, Ids.MATRIX: matrix, Ids.CELL: cell}
