"""One sample: the image, its maps for every class, probabilities, attributes and its neighbours."""

from __future__ import annotations

from enum import StrEnum
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from dash import html
from dash.development.base_component import Component

from dashboard.components import gallery, shell
from dashboard.components.attributes import aria
from dashboard.components.charts import graph
from dashboard.components.export import export_buttons, exportable
from dashboard.components.gallery import Look
from dashboard.media import MINUS, OWN
from dashboard.neighbours import nearest
from dashboard.pages import sample_maps
from dashboard.selection import SHARE, neighbours_in_order
from dashboard.state import View
from faces.errors import InputError
from reports import figures
from reports.words import spaced

PATH, TITLE, ICON = "/sample", "Sample", ""
FIRST = ("label", "predicted", "confidence", "margin", "label_issue_score", "suggested", "status", "split")
TITLES = {
    "margin": "lead over runner-up",
    "label_issue_score": "chance label is wrong",
    "suggested": "suggested label",
    "map_cluster": "map like those of",
}
"""What columns are called here, where their names say too little."""
HIDDEN = ("content_id", "sample_id", "path", "row")


class Ids(StrEnum):
    """Components of this page."""

    BODY = "sample-body"


def layout(view: View) -> Component:
    """The sample that ``id`` names."""
    return html.Div(body(view), id=Ids.BODY)


def body(view: View) -> Component:
    """The whole sample. Raises InputError where the run has no such sample."""
    sample_id = view.query.get("id", "")
    row = view.run.row_of.get(sample_id)
    if row is None:
        raise InputError(f"The run {view.run.name} has no sample {sample_id!r}; pick one on the Saliency page.")
    sample, look = view.run.samples.iloc[row], sample_maps.look_of(view)
    return shell.page(
        sample_id.rsplit("/", 1)[-1],
        [summary(sample), html.Span(sample_id, className="sample-id")],
        *gallery.pictures_notice(view),
        steps(view, row),
        html.Div([html.Div(pictures(view, sample, look)), evidence(view, sample, row)], className="two"),
        *(about_maps(view, sample, look) if _has_maps(sample, look) else []),
        neighbours(view, row, look),
    )


def pictures(view: View, sample: pd.Series, look: Look) -> list[Component]:
    """The large picture, and the methods side by side."""
    large = sample_maps.picture(view, look, summary(sample))
    return [large, *([sample_maps.methods(view, look)] if _has_maps(sample, look) else [])]


def _has_maps(sample: pd.Series, look: Look) -> bool:
    return look.method is not None and isinstance(sample["predicted"], str)


def about_maps(view: View, sample: pd.Series, look: Look) -> list[Component]:
    """Classes side by side, regions, and how far maps can be trusted."""
    return [
        classes(view, sample, look),
        sample_maps.regions(view, sample, look),
        sample_maps.trust(view),
    ]


def summary(sample: pd.Series) -> str:
    """Label and prediction in one sentence."""
    label = f"Labelled {sample['label']}" if isinstance(sample["label"], str) else "Not labelled"
    predicted = f"predicted {sample['predicted']} ({gallery.share(sample['confidence'])})"
    return f"{label}, {predicted}." if isinstance(sample["predicted"], str) else f"{label}; {sample['status']}."


def steps(view: View, row: int) -> Component:
    """To the previous and the next sample of the selection this one was opened from, and back to it."""
    selection = view.query.change(id=None, page=None)
    ends = zip(
        neighbours_in_order(view.served.samples, selection, row), (("Previous", "prev"), ("Next", "next")), strict=True
    )
    links = [
        html.A(words, href=view.href(PATH, selection, id=to), className="page-link", rel=rel)
        if to
        else html.Span(words, className="page-link off")
        for to, (words, rel) in ends
    ]
    back = html.A("All of this selection", href=view.href("/saliency", selection), className="page-link")
    review = html.A("Review its label", href=view.href("/review", id=view.query["id"]), className="page-link")
    return html.Div([html.Nav([*links, back, review], className="pages", **aria(label="Samples"))], className="pager")


def evidence(view: View, sample: pd.Series, row: int) -> Component:
    """Probabilities and everything known of the sample."""
    label = sample["label"] if isinstance(sample["label"], str) else None
    figure = figures.probabilities(view.run.probabilities[row], tuple(view.run.classes), label, theme=view.theme)
    names = [
        *FIRST,
        *[name for name in sample.index if name not in (*FIRST, *HIDDEN) and not name.startswith(("votes_", SHARE))],
    ]
    facts = [
        (TITLES.get(name, spaced(name)), text) for name in names if name in sample and (text := _fact(sample[name]))
    ]
    return html.Div(
        [
            shell.section("Probabilities", graph("sample-probabilities", figure)),
            shell.section(
                "Facts",
                html.Dl([part for name, text in facts for part in (html.Dt(name), html.Dd(text))], className="facts"),
                *_votes(sample),
            ),
        ]
    )


def _fact(value: Any) -> str:
    if pd.isna(value):
        return ""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not isinstance(value, Real):
        return str(value)
    number = float(value)
    return f"{number:,.0f}" if abs(number) >= 100 or number.is_integer() else f"{number:.3g}"


def _votes(sample: pd.Series) -> list[Component]:
    votes = [
        (name.removeprefix("votes_"), int(sample[name]))
        for name in sample.index
        if name.startswith("votes_") and sample[name] > 0
    ]
    if not votes:
        return []
    words = ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in sorted(votes, key=lambda vote: -vote[1]))
    return [html.P([html.B("Annotators' votes: "), words, " (shown only; no score uses them)"], className="note")]


def classes(view: View, sample: pd.Series, look: Look) -> Component:
    """The map for every class side by side; each leads to that map, large."""
    stored = look.method in view.run.saliency_methods
    targets = view.run.maps(str(look.method)).targets if stored else ()
    if not set(view.run.classes) <= set(targets):
        return html.Div()
    tiles = [_class_tile(view, sample, Look(look.method, name, look.scaling)) for name in view.run.classes]
    contrast = None
    if (
        isinstance(sample["label"], str)
        and sample["label"] != sample["predicted"]
        and isinstance(sample["predicted"], str)
    ):
        contrast = _class_tile(
            view, sample, Look(look.method, f"{sample['predicted']}{MINUS}{sample['label']}", look.scaling)
        )
    scaled = "its own largest value" if look.scaling == OWN else "one limit for all"
    note = f"{look.title} of each class, and what decided between the prediction and the label; scaled to {scaled}."
    row = html.Div([*tiles, *([contrast] if contrast else [])], className="row-of-faces")
    part = exportable("classes", html.P(note, className="note"), row)
    return shell.section("Every class", part, export_buttons("classes"))


def _class_tile(view: View, sample: pd.Series, look: Look) -> Component:
    words = look.target.replace(MINUS, " minus ")
    roles = [role for role in ("label", "predicted") if sample[role] == look.target]
    target, _, minus = look.target.partition(MINUS)
    href = view.href(PATH, view.query, target=target, minus=minus)
    caption = html.Span([words, *[html.Em(f" ({' and '.join(roles)})") for _ in roles[:1]]], className="caption")
    return html.A(
        [gallery.stack(view, view.query["id"], look, f"map for {words}"), caption], href=href, className="card small"
    )


def neighbours(view: View, row: int, look: Look) -> Component:
    """The faces most like this one to the network."""
    if view.run.embeddings is None:
        return html.Div()
    rows, cosines = nearest(view.run.embeddings, row, 10)
    samples = view.run.samples.iloc[rows]
    titles = [f"{label} {cosine:.2f}" for label, cosine in zip(samples["label"].fillna("none"), cosines, strict=True)]
    stored = view.run.saliency_methods
    look = look if look.method in stored else Look(stored[0] if stored else None, look.target, look.scaling)
    note = "Nearest by the cosine of the network's embeddings, with their labels."
    return shell.section("Most alike", gallery.strip_of(view, samples["sample_id"].tolist(), look, titles), note=note)


REGIONS = {Ids.BODY: body}
