"""Two runs on the same samples: which is better, for whom, and which images changed sides."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import pandas as pd
from dash import html
from dash.development.base_component import Component

from dashboard.components import controls, gallery, shell
from dashboard.components.charts import graph
from dashboard.components.tables import Column, table
from dashboard.state import Served, View
from reports.words import percent, points, probability, signed, signed_span, spaced, whole

if TYPE_CHECKING:
    from audit.compare import Comparison

PATH, TITLE, ICON = "/compare", "Compare", "compare"
FLIPS = 24


class Ids(StrEnum):
    """Components of this page."""

    CHOICE = "compare-choice"
    BODY = "compare-body"


def offered(view: View) -> bool:
    """Whether there is another run to compare with."""
    return len(view.site.served) > 1


def layout(view: View) -> Component:
    """The choice of the other run, and the comparison."""
    lead = f"{view.served.slug} (A) against another run of the same images (B)."
    if not offered(view):
        reason = "One run is served; serve two of the same images: facevalue serve RUN_A RUN_B."
        return shell.page(TITLE, lead, shell.message("Nothing to compare with", reason))
    return shell.page(TITLE, lead, html.Div(choice(view), id=Ids.CHOICE), html.Div(body(view), id=Ids.BODY))


def other_of(view: View) -> Served:
    """The run that the address names under ``with``; the first other one where it names none."""
    others = [served for served in view.site.served if served is not view.served]
    return next((served for served in others if served.slug == view.query.get("with")), others[0])


def choice(view: View) -> Component:
    """Which run is B, and by which attribute groups are listed."""
    others = tuple(served.slug for served in view.site.served if served is not view.served)
    attributes = view.run.attributes
    pickers = [controls.select("with", "Run B", others, other_of(view).slug, others[0])]
    if attributes:
        names = [(name, spaced(name)) for name in attributes]
        pickers.append(controls.select("attribute", "Groups by", names, view.query.get("attribute"), attributes[0]))
    return html.Section(html.Div(pickers, className="controls wide"), className="section filters")


def body(view: View) -> Component:
    """The comparison. Raises InputError where the runs share no images or classes."""
    other = other_of(view)
    found = view.served.compared(other)
    return html.Div(
        [
            html.Div(tiles(found), className="tiles"),
            changes(view, found, "Classes", found.per_class, "class", "classes"),
            groups(view, found),
            matrices(view, found),
            flips(view, other, found, "b", "Gained: right only in B"),
            flips(view, other, found, "a", "Lost: right only in A"),
        ]
    )


def tiles(found: Comparison) -> list[Component]:
    """Accuracy of both, the difference with its interval, and what changed sides."""
    one = found.overall
    limits = signed_span(one["difference_low"], one["difference_high"])
    sides = f"{whole(one['gained'])} gained, {whole(one['lost'])} lost"
    rows = (
        (f"A: {found.name_a}", percent(one["accuracy_a"]), f"{whole(one['n'])} images"),
        (f"B: {found.name_b}", percent(one["accuracy_b"]), f"{whole(found.left_out)} images in one run alone"),
        (
            "B minus A",
            points(one["difference"]),
            f"95% interval {limits}",
        ),
        ("Changed sides", sides, f"McNemar's exact test: p {probability(one['p_value'])}"),
    )
    return [
        html.Div(
            [html.Span(title, className="tile-title"), html.Span(value, className="tile-value"), html.Span(words)],
            className="tile",
        )
        for title, value, words in rows
    ]


def changes(view: View, found: Comparison, title: str, frame: pd.DataFrame, key: str, sort: str) -> Component:
    """Accuracy in both runs and what changed, line by line."""
    tested = "p_adjusted" if "p_adjusted" in frame else "p_value"
    columns = [
        Column(key, key.capitalize()),
        Column("n", "Images", lambda row: whole(row["n"]), number=True),
        Column("accuracy_a", "A", lambda row: percent(row["accuracy_a"]), number=True),
        Column("accuracy_b", "B", lambda row: percent(row["accuracy_b"]), number=True),
        Column("difference", "Difference", lambda row: signed(row["difference"]), number=True),
        Column("difference_low", "95% interval", _span, number=True),
        Column("gained", "Gained", lambda row: whole(row["gained"]), number=True),
        Column("lost", "Lost", lambda row: whole(row["lost"]), number=True),
        Column(tested, spaced(tested), lambda row: probability(row[tested]), number=True),
    ]
    caption = f"B minus A in points, on the same images; {found.name_b} against {found.name_a}"
    return shell.section(title, table(view, PATH, frame, columns, caption, sort=sort))


def _span(row: dict) -> str:
    return signed_span(row["difference_low"], row["difference_high"])


def groups(view: View, found: Comparison) -> Component:
    """The groups of one attribute."""
    known = found.groups["attribute"].unique().tolist()
    if not known:
        return html.Div()
    attribute = view.query.choice("attribute", tuple(known), known[0])
    frame = found.groups[found.groups["attribute"] == attribute]
    return changes(view, found, f"Groups of {spaced(attribute)}", frame, "group", "groups")


def matrices(view: View, found: Comparison) -> Component:
    """Both confusion matrices side by side."""
    from reports import figures

    sections = []
    for name, matrix in ((f"A: {found.name_a}", found.confusion_a), (f"B: {found.name_b}", found.confusion_b)):
        figure = figures.confusion_matrix(matrix, found.classes, theme=view.theme)
        figure.update_traces(showscale=False, selector={"type": "heatmap"})
        sections.append(shell.section(name, graph(f"confusion_{name[0]}", figure, describe=f"Matrix of {name}")))
    return html.Div(sections, className="two")


def flips(view: View, other: Served, found: Comparison, side: str, title: str) -> Component:
    """Images that are right in one run alone, the most confident first."""
    frame = found.flips(side)
    if frame.empty:
        return shell.section(title, html.P("None.", className="note"))
    look = gallery.look_of(view)
    cards = [
        html.A(
            [
                gallery.stack(view, row["sample_id"], look, f"labelled {row['label']}"),
                html.Span(
                    f"{row['label']}: A {row['predicted_a']}, B {row['predicted_b']}", className="caption wrapped"
                ),
            ],
            href=view.href("/sample", id=row["sample_id"]),
            className="card",
            title=row["sample_id"],
        )
        for row in frame.head(FLIPS).to_dict("records")
    ]
    note = f"{whole(len(frame))} images; maps are of run A." if view.served is not other else None
    return shell.section(title, html.Div(cards, className="grid"), note=note)


REGIONS = {Ids.CHOICE: choice, Ids.BODY: body}
