"""Two runs on the same samples: which is better, for whom, and which images changed sides."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd
from dash import html
from dash.development.base_component import Component

from dashboard.components import controls, gallery, shell
from dashboard.components.charts import graph
from dashboard.components.tables import Column, table
from dashboard.state import Served, View
from faces.errors import InputError
from reports.words import percent, points, probability, signed, signed_span, spaced, whole

if TYPE_CHECKING:
    from audit.compare import Comparison

PATH, TITLE, ICON = "/compare", "Compare", "compare"
FLIPS, CELLS = 24, 10
TESTED = {"p_value": "p", "p_adjusted": "Adjusted p"}
FOR_WHOM = "Classes, and groups of single attributes, of 30 images or more; p-values adjusted by Holm over all of them."
NOTES = {
    "p_value": "p: McNemar's exact test of each class by itself.",
    "p_adjusted": "Adjusted p: McNemar's exact test of every group of single attributes, adjusted together (Holm).",
}


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
    pickers = [controls.select("with", "Run B", others, other_of(view).slug, others[0])]
    try:
        known = attributes(view.served.compared(other_of(view)))
    except InputError:  # the body says why; another run can still be chosen
        known = ()
    if known:
        names = [(name, spaced(name)) for name in known]
        pickers.append(controls.select("attribute", "Groups by", names, view.query.get("attribute"), known[0]))
    return html.Section(html.Div(pickers, className="controls wide"), className="section filters")


def body(view: View) -> Component:
    """The comparison. Raises InputError where the runs share no images or classes."""
    other = other_of(view)
    found = view.served.compared(other)
    return html.Div(
        [
            html.Div(tiles(found), className="tiles"),
            for_whom(found),
            changes(view, found, "Classes", found.per_class, "class", "classes"),
            *groups(view, found),
            *matrices(view, found),
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


def for_whom(found: Comparison) -> Component:
    """Which classes and groups gained and lost beyond chance, in words."""
    from audit.compare import changes_told

    sentences = [html.Li(sentence) for sentence in changes_told(found)]
    return shell.section("For whom", html.Ul(sentences, className="plain-list"), note=FOR_WHOM)


def changes(view: View, found: Comparison, title: str, frame: pd.DataFrame, key: str, sort: str) -> Component:
    """Accuracy in both runs and what changed, drawn and line by line."""
    from reports import figures

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
        Column(tested, TESTED[tested], lambda row: probability(row[tested]), number=True),
    ]
    caption = f"B minus A in points, on the same images; {found.name_b} against {found.name_a}"
    return shell.section(
        title,
        graph(f"changes_{sort}", figures.changes(frame, key, theme=view.theme), "/saliency", caption),
        table(view, PATH, frame, columns, caption, sort=sort),
        note=NOTES[tested],
    )


def _span(row: dict) -> str:
    return signed_span(row["difference_low"], row["difference_high"])


def attributes(found: Comparison) -> tuple[str, ...]:
    """Attributes and intersections that both runs have."""
    return tuple(found.groups["attribute"].drop_duplicates())


def groups(view: View, found: Comparison) -> list[Component]:
    """The groups of one attribute, and their gaps to the largest in both runs."""
    known = attributes(found)
    if not known:
        return []
    attribute = view.query.choice("attribute", known, known[0])
    frame = found.groups[found.groups["attribute"] == attribute]
    gap = found.gaps[found.gaps["attribute"] == attribute]
    return [changes(view, found, f"Groups of {spaced(attribute)}", frame, "group", "groups"), gaps(view, gap)]


def gaps(view: View, frame: pd.DataFrame) -> Component:
    """Each group's gap to the largest, side by side."""
    from reports import figures

    if frame.empty:
        return shell.section("Gaps side by side", html.P("There is only one group.", className="note"))
    columns = [
        Column("group", "Group"),
        *(
            Column(f"{kind}{name}", title, partial(_points, f"{kind}{name}"), number=True)
            for kind, words in (("", "raw"), ("standardised_", "standardised"))
            for name, title in (("gap_a", f"A, {words}"), ("gap_b", f"B, {words}"), ("change", f"Change, {words}"))
        ),
    ]
    reference = frame["reference"].iloc[0]
    caption = f"Gaps to {reference}, in points"
    return shell.section(
        "Gaps side by side",
        graph("gaps_side_by_side", figures.gaps_side_by_side(frame, theme=view.theme), "/saliency", caption),
        table(view, PATH, frame, columns, caption, sort="gaps"),
        note=f"The gap of each group to {reference}, as it is and at the same label mix; towards 0 is fairer.",
    )


def _points(name: str, row: dict) -> str:
    return signed(row[name])


def matrices(view: View, found: Comparison) -> list[Component]:
    """One confusion matrix against the other, and both side by side."""
    from audit.compare import changed_cells
    from reports import figures

    change = figures.confusion_change(found.confusion_a, found.confusion_b, found.classes, theme=view.theme)
    columns = [
        Column("label", "Label"),
        Column("predicted", "Predicted"),
        Column("n_a", "Images in A", lambda row: whole(row["n_a"]), number=True),
        Column("n_b", "Images in B", lambda row: whole(row["n_b"]), number=True),
        Column("change", "Change", lambda row: f"{row['change']:+,}".replace("-", "−"), number=True),
    ]
    cells = changed_cells(found)
    cells = cells[cells["change"] != 0].head(CELLS)
    against = shell.section(
        "One confusion matrix against the other",
        graph("confusion_change", change, "/saliency", "B minus A, in shares of each label"),
        table(view, PATH, cells, columns, "The cells that changed most", sort="cells"),
        note="B minus A, in points of each label's images; on the diagonal more is better, off it less.",
    )
    sections = []
    for name, matrix in ((f"A: {found.name_a}", found.confusion_a), (f"B: {found.name_b}", found.confusion_b)):
        figure = figures.confusion_matrix(matrix, found.classes, theme=view.theme)
        figure.update_traces(showscale=False, selector={"type": "heatmap"})
        sections.append(shell.section(name, graph(f"confusion_{name[0]}", figure, describe=f"Matrix of {name}")))
    return [against, html.Div(sections, className="two")]


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
