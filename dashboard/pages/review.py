"""Decide on likely wrong labels, one picture after another; assets/review.js fills the desk and sends decisions."""

from __future__ import annotations

from enum import StrEnum
from typing import Any
from urllib.parse import quote

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard.components import controls, shell
from dashboard.components.attributes import Child, aria, data
from dashboard.components.gallery import pictures_notice
from dashboard.reviewing import EXPORTS
from dashboard.state import View

PATH, TITLE, ICON = "/review", "Review", "review"
QUEUES = (
    ("likely_wrong", "Likely wrong", "The labels most likely wrong, after all that was decided so far."),
    (
        "surest",
        "Surest corrections",
        "Labels whose suggestion is most likely right: most need no more than Enter. Take it when corrections are to "
        "be made quickly; Likely wrong when as many wrong labels as possible are to be found, whatever they should be.",
    ),
    (
        "ambiguous",
        "Ambiguous",
        "Pictures on which the model or the annotators are split: not an error, perhaps no single emotion.",
    ),
    ("duplicates", "Duplicates", "Pictures that are there more than once; those whose labels differ come first."),
    (
        "not_a_face",
        "Not a face",
        "Blank pictures, then those that stand out as unlike the faces in this data. Where it "
        "holds faces alone, these are drawings, odd crops and hidden faces.",
    ),
    ("confusion", "A cell", "The likely wrong ones of one cell of the confusion matrix."),
    ("group", "A group", "The likely wrong ones of one group."),
    ("search", "Search", "The likely wrong ones whose name or label contains a text."),
    ("control", "Control sample", "200 at random: the only queue that shows how many labels are wrong overall."),
    ("disagreements", "Disagreements", "Pictures that reviewers decided differently."),
)
KINDS = tuple(kind for kind, *_ in QUEUES)


class Ids(StrEnum):
    """Components of this page."""

    CHOICES = "review-choices"
    DESK = "review-desk"
    REVIEWER = "reviewer"
    BLIND = "review-blind"


def layout(view: View) -> Component:
    """Queue and filters, the desk, and how far the review is."""
    view.served.review  # noqa: B018  opens the database, so that a wrong address is said before anything is decided
    return shell.page(
        TITLE,
        "One picture after another: does its label hold? Every decision is saved at once and can be undone.",
        *pictures_notice(view),
        html.Div(choices(view), id=Ids.CHOICES),
        html.Div(
            [picture(), decision(view), standing(view)],
            id=Ids.DESK,
            className="desk",
            **data(review=view.served.slug, classes="|".join(view.run.classes)),
        ),
        look_alikes(view),
    )


def choices(view: View) -> Component:
    """Which queue, and what narrows it."""
    kind = view.query.choice("queue", KINDS, KINDS[0])
    keep = view.query.only("blind")
    links = [
        html.A(
            title,
            href=view.href(PATH, keep, queue=None if name == KINDS[0] else name),
            className="chip",
            title=about,
            **(aria(current="true") if name == kind else {}),
        )
        for name, title, about in QUEUES
    ]
    about = next(words for name, _, words in QUEUES if name == kind)
    filters = {"confusion": _cell_filter, "group": _group_filter, "search": _text_filter}
    narrowing = filters[kind](view) if kind in filters else []
    note = html.P(about, className="note")
    return html.Div(
        [html.Nav(links, className="chips", **aria(label="Queues")), note, html.Div(narrowing, className="controls")]
    )


def _cell_filter(view: View) -> list[Component]:
    names = tuple(view.run.classes)
    return [controls.select(name, name.capitalize(), names, view.query.get(name)) for name in ("label", "predicted")]


def _group_filter(view: View) -> list[Component]:
    attribute = view.query.get("attribute")
    groups = view.served.samples.values(attribute) if attribute in view.run.attributes else []
    return [
        controls.select("attribute", "Attribute", view.run.attributes, attribute),
        controls.select("group", "Group", groups, view.query.get("group"), disabled=not groups),
    ]


def _text_filter(view: View) -> list[Component]:
    return [
        controls.text("text", "Name or label contains", view.query.get("text", ""), "part of a name, or an emotion")
    ]


def picture() -> Component:
    """The image, large, with what can be laid over it."""
    return html.Section(
        [
            html.Div(
                [
                    html.Span([_img("face", "photo"), _img("map", "map")], className="stack", **data(part="stack")),
                    html.Div("", className="desk-done", **data(part="done")),
                ],
                className="desk-face",
            ),
            html.Div(
                [
                    html.Div(
                        className="row-of-faces", role="group", **aria(label="Map over the face"), **data(part="maps")
                    ),
                    controls.map_display(),
                ],
                className="desk-maps",
            ),
            html.P("", className="sample-id", **data(part="id")),
        ],
        className="section",
        **aria(label="Picture"),
    )


def _img(part: str, kind: str) -> Component:
    return html.Img(alt="", className=kind, draggable="false", **data(part=part))


def decision(view: View) -> Component:
    """What is known of the label, and the buttons that decide."""
    labels = [
        html.Button(
            [html.Kbd(str(k + 1)) if k < 9 else "", html.Span(name)],
            className="label-button",
            **data(act="relabel", label=name),
        )
        for k, name in enumerate(view.run.classes)
    ]
    acts = (("accept", "Enter", "Accept suggestion"), ("keep", "K", "Keep label"), ("not_a_face", "X", "Not a face"),
            ("soft", "L", "Soft label"), ("skip", "S", "Skip"), ("undo", "U", "Undo"))  # fmt: skip
    buttons = [
        html.Button([html.Kbd(key), html.Span(words)], className=f"act-button act-{act}", **data(act=act))
        for act, key, words in acts
    ]
    return html.Section(
        [
            html.Div([_named("Label", "label"), _named("Suggested", "suggested")], className="desk-labels"),
            html.P(
                "Blind: what the picture is called, what is suggested and where the model looked stay hidden.",
                className="note blind-note",
            ),
            html.P("", className="desk-ambiguous", hidden=True, **data(part="ambiguous")),
            html.P("", className="note desk-reason", **data(part="reason")),
            html.Div(className="desk-bars", **data(part="probabilities")),
            html.Div(buttons[:2], className="desk-acts main-acts"),
            html.Div(labels, className="desk-acts labels", role="group", **aria(label="Give a label")),
            soft_label(),
            html.Div(buttons[2:], className="desk-acts"),
            html.Div(className="desk-why", **data(part="why")),
            html.P("", className="desk-saved", role="status", **data(part="saved")),
            html.Details(
                [html.Summary("Votes of annotators"), html.P("", **data(part="votes"))], **data(part="votes-box")
            ),
            _faces("The same picture", "copies"),
            _faces("Most alike", "neighbours"),
        ],
        className="section",
        **aria(label="Decision"),
    )


def soft_label() -> Component:
    """Several emotions at once, each with its share."""
    buttons = [
        html.Button([html.Kbd(key), html.Span(words)], className=f"act-button act-{act}", **data(act=act))
        for act, key, words in (("soft-save", "Enter", "Save soft label"), ("soft-leave", "Esc", "Leave"))
    ]
    words = html.P("", className="desk-soft-words", role="status", **data(part="soft-words"))
    hint = html.P("Each press adds a part; Backspace takes the last one back.", className="note")
    parts = [words, hint, html.Div(buttons, className="desk-acts")]
    return html.Div(parts, className="desk-soft", hidden=True, **data(part="soft"))


def _faces(title: str, part: str) -> Component:
    faces = html.Div(className="row-of-faces", **data(part=part))
    return html.Div([html.H3(title), faces], **data(part=f"{part}-box"))


def _named(title: str, part: str) -> Component:
    return html.Div([html.Span(title, className="control-label"), html.Strong("", **data(part=part))])


def standing(view: View) -> Component:
    """Who reviews, how, and how far it is."""
    kept: dict[str, Any] = {"persistence": True, "persistence_type": "local", "size": "xs"}
    learned = [html.H3("Learned so far"), html.Ul(className="plain-list", **data(part="learned"))]
    return html.Section(
        [
            dmc.TextInput(id=Ids.REVIEWER, label="Your name or initials", value="me", **kept),
            html.Div(dmc.Switch(id=Ids.BLIND, label="Blind: show nothing but the picture", **kept), className="blind"),
            html.Div("", className="progress-bar", **data(part="bar")),
            html.Dl("", className="facts", **data(part="progress")),
            html.Div(learned, **data(part="learned-box")),
            html.Div(exports(view), className="take-away"),
        ],
        className="section standing",
        **aria(label="Progress"),
    )


def exports(view: View) -> list[Component]:
    """Where the decisions can be taken from."""
    address = f"/reviewed/{quote(view.served.slug)}"
    links = [
        html.Li(html.A(title, href=f"{address}/{name}?names=0", className="plain", download=name))
        for name, (_, title) in EXPORTS.items()
    ]
    names: list[Child] = ["Reviewers' names are left out; ", html.Code("facevalue review export"), " can put them in."]
    note = html.P(names, className="note")
    return [html.H3("Download"), html.Ul(links, className="plain-list"), note]


def look_alikes(view: View) -> Component:
    """Decide on many alike at once."""
    about = "Undecided pictures most like this one, with the same label. Choose some and give them one label."
    labels = [html.Button(name, className="label-button", **data(batch=name)) for name in view.run.classes]
    buttons = [
        html.Button("Keep the label", className="act-button", **data(batch="keep")),
        *labels,
        html.Button("Not a face", className="act-button", **data(batch="not_a_face")),
        html.Button("Skip", className="act-button", **data(batch="skip")),
    ]
    grid = html.Div(className="grid", **data(part="batch"))
    return shell.section(
        "Look-alikes", grid, html.Div(buttons, className="desk-acts"), note=about, id="look-alikes", hidden=True
    )


REGIONS = {Ids.CHOICES: choices}
