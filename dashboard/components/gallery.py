"""Samples as pictures: cards with face, map and probabilities, in a grid with pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from dash import html
from dash.development.base_component import Component

from dashboard import colours
from dashboard.components import controls
from dashboard.components.attributes import aria
from dashboard.components.shell import message
from dashboard.components.static import static
from dashboard.media import LABEL, MINUS, OWN, PREDICTED, SCALINGS, SHARED, face_address, map_address
from dashboard.selection import Found
from dashboard.state import View
from faces.dataset import UNREADABLE
from reports.saliency_words import method_title

CALLED = {PREDICTED: "predicted class", LABEL: "label"}
CLASS_COLOURS = (
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#0072b2",
    "#56b4e9",
    "#999999",
    "#f0e442",
    "#7a5195",
    "#4d4d4d",
)
"""Okabe and Ito's palette and a few more: one a class, in class order."""


@dataclass(frozen=True)
class Look:
    """Which maps lie over the faces: a stored method (None: no maps), a target, and how they are scaled."""

    method: str | None
    target: str
    scaling: str

    @property
    def contrast(self) -> bool:
        return MINUS in self.target

    @property
    def title(self) -> str:
        """The method's name as people write it."""
        return method_title(self.method or "")

    @property
    def words(self) -> str:
        """The target in words: ``the label``, ``sad``, ``sad minus the label``."""
        return " minus ".join(_called(part) for part in self.target.split(MINUS))

    def sentence(self, limit: float | None = None) -> str:
        """What is drawn and how it was scaled, in words; ``limit`` is the raw value that all maps are scaled to."""
        if self.method is None:
            return "This run stores no saliency maps."
        shared = f" ({limit:.3g}, the 99th percentile of the run's peaks)" if limit is not None else ""
        span = "its own largest value" if self.scaling == OWN else f"one limit for all{shared}"
        if self.contrast:
            first, second = (_called(part) for part in self.target.split(MINUS, 1))
            return f"{self.title}: blue spoke for {first}, orange for {second}; each map is scaled to {span}."
        return f"{self.title} for {self.words}, negative evidence cut off; each map is scaled to {span}."


def _called(target: str) -> str:
    return f"the {CALLED[target]}" if target in CALLED else target


def titled(methods: tuple[str, ...]) -> list[tuple[str, str]]:
    """Methods to choose from, with their titles."""
    return [(name, method_title(name)) for name in methods]


def look_of(view: View, others: tuple[str, ...] = ()) -> Look:
    """The look that the address asks for; unknown methods and targets fall back to what there is.

    ``target=sad&minus=neutral`` is the contrast ``sad-minus-neutral``. ``others`` are methods besides the stored ones.
    """
    stored = view.run.saliency_methods
    usual = (*stored, *others)[:1]
    method = view.query.choice("method", (*stored, *others), usual[0]) if usual else None
    scaling = view.query.choice("scaling", SCALINGS, OWN) if method in stored else OWN
    return Look(method, target_of(view), scaling)


def target_of(view: View) -> str:
    """The class, or contrast of two, that the address asks for; the predicted class where it asks for none there is."""
    target, minus = view.query.get("target", PREDICTED), view.query.get("minus")
    asked = f"{target}{MINUS}{minus}" if minus and MINUS not in target else target
    known = (PREDICTED, LABEL, *view.run.classes)
    parts = asked.split(MINUS)
    valid = asked in known or (len(parts) == 2 and all(part in known for part in parts) and parts[0] != parts[1])
    return asked if valid else PREDICTED


def target_choices(view: View, look: Look) -> list[Component]:
    """Controls that say which class the maps speak for, and against which other one."""
    named = [*CALLED.items(), *view.run.classes]
    asked = view.query.get("target", PREDICTED)
    whole = MINUS in asked and asked == look.target
    targets = [*named, *([(asked, look.words)] if whole else [])]
    target = asked if whole else look.target.split(MINUS)[0]
    minus = None if whole else look.target.partition(MINUS)[2] or None
    return [
        controls.select("target", "Map of", targets, target, PREDICTED),
        controls.select("minus", "Against", named, minus, nothing="nothing", disabled=whole),
    ]


def sentence(view: View, look: Look) -> str:
    """What the maps show and how they are scaled, with the raw value they share where they share one."""
    return look.sentence(limit_of(view, look))


def limit_of(view: View, look: Look) -> float | None:
    """The raw value that all maps are scaled to; None where each is scaled by itself."""
    if look.method is None or look.scaling != SHARED:
        return None
    return view.served.pictures.shared_limit(look.method, look.target)


def stack(view: View, sample_id: str, look: Look, alt: str, thumbnail: bool = True) -> Component:
    """A face with its map on top."""
    pictures, slug = view.served.pictures, view.served.slug
    row = view.run.row_of[sample_id]
    if pictures.class_of(PREDICTED, row) is None and view.run.samples["status"].iat[row] == UNREADABLE:
        return html.Span(className="stack unreadable", title="This file could not be read as an image.")
    face = html.Img(
        src=face_address(slug, pictures, sample_id, thumbnail), alt=alt, className="photo", draggable="false"
    )
    if look.method is None or not pictures.drawable(look.method, look.target, row):
        return html.Span([face], className="stack")
    address = map_address(slug, pictures, look.method, look.target, sample_id, look.scaling)
    over = html.Img(src=address, alt="", className=map_class(look), draggable="false")
    return html.Span([face, over], className="stack")


def map_class(look: Look) -> str:
    """The CSS classes of a map's picture, which say how it is coloured."""
    return "map map-contrast" if look.contrast else "map"


def card(view: View, sample: Mapping[str, Any], look: Look, href: str) -> Component:
    """One sample: face, map, probabilities, label and prediction. The whole card leads to ``href``."""
    label, predicted = sample["label"], sample["predicted"]
    judged = isinstance(label, str) and isinstance(predicted, str)
    state = ("right" if label == predicted else "wrong") if judged else "unjudged"
    words = f"labelled {_word(label)}, predicted {_word(predicted)} {share(sample['confidence'])}"
    caption = [
        html.Span(_word(label), className="given"),
        *([html.Span(_word(predicted), className="guess")] if state == "wrong" else []),
    ]
    sure = html.Span(share(sample["confidence"]), className="sure")
    probabilities = view.run.probabilities[int(sample["row"])]
    return html.A(
        [
            stack(view, str(sample["sample_id"]), look, words),
            html.Span([probability_strip(view, probabilities), sure], className="measure"),
            html.Span(caption, className="caption"),
        ],
        href=href,
        className=f"card {state}",
        title=f"{sample['sample_id']}: {words}",
    )


def probability_strip(view: View, values: np.ndarray) -> Component:
    """All probabilities of one sample as one strip, in class order and class colours; the numbers are its title."""
    if not np.isfinite(values).all():
        return html.Span(className="strip")
    ends = np.cumsum(values) * 100
    starts = [0.0, *ends[:-1]]
    parts = [f"{colour(k)} {start:.1f}% {end:.1f}%" for k, (start, end) in enumerate(zip(starts, ends, strict=True))]
    ranked = sorted(zip(values, view.run.classes, strict=True), reverse=True)
    words = ", ".join(f"{name} {share(value)}" for value, name in ranked if value >= 0.005)
    return html.Span(
        className="strip", title=words, style={"background": f"linear-gradient(90deg, {', '.join(parts)})"}
    )


def colour(k: int) -> str:
    """The colour of class k."""
    return CLASS_COLOURS[k % len(CLASS_COLOURS)]


def scale_bar(look: Look, limit: float | None = None) -> Component:
    """The colours of the maps from the least to the greatest value, with what the ends mean."""
    most = f"{limit:.3g}" if limit is not None else "its largest"
    least = f"−{most}" if limit is not None else "minus its largest"
    names = ("contrast",) if look.contrast else tuple(colours.SEQUENTIAL)
    swatches = [
        html.Span(className=f"swatch swatch-{name}", style={"background": colours.css_gradient(name)}) for name in names
    ]
    return html.Span([least if look.contrast else "0", *swatches, most], className="scale-bar")


def legend(view: View) -> Component:
    """Which colour of the strips is which class."""
    return html.Ul(
        [
            html.Li([html.Span(className="dot", style={"background": colour(k)}), name])
            for k, name in enumerate(view.run.classes)
        ],
        className="legend",
        **aria(label="Colours of the classes in the probability strips"),
    )


def grid(view: View, found: Found, look: Look, path: str) -> Component:
    """A page of cards with its count and pager; or in words why there are none."""
    if not found.total:
        return message(
            "No sample fits", "No sample of this run has all of these properties; take one of the filters away."
        )
    keep = {name: value for name, value in view.query.items() if name not in ("page", "id", "run")}
    cards = [
        card(view, sample, look, view.href("/sample", **{**keep, "id": sample["sample_id"]}))
        for sample in found.frame.to_dict("records")
    ]
    return html.Div([pager(view, found, path), static(*cards, className="grid"), pager(view, found, path, below=True)])


def pager(view: View, found: Found, path: str, below: bool = False) -> Component:
    """How many there are, and the pages as links."""
    first = (found.page - 1) * found.size + 1
    count = html.Span(
        [html.B(f"{found.total:,}"), f" samples, showing {first:,} to {first + len(found.frame) - 1:,}"],
        className="count",
        role=None if below else "status",
    )
    if found.pages == 1:
        return html.Div([] if below else [count], className="pager")
    links = [_page_link(view, path, found, found.page - 1, "Previous", "prev")]
    links += [_page_link(view, path, found, number, f"{number:,}") for number in page_numbers(found.page, found.pages)]
    links += [_page_link(view, path, found, found.page + 1, "Next", "next")]
    return html.Div([count, html.Nav(links, className="pages", **aria(label="Pages of samples"))], className="pager")


def page_numbers(page: int, pages: int) -> list[int]:
    """The numbers worth offering: the ends and those around the present page."""
    return sorted({1, pages, *range(max(1, page - 2), min(pages, page + 2) + 1)})


def _page_link(view: View, path: str, found: Found, number: int, words: str, rel: str = "") -> Component:
    if not 1 <= number <= found.pages:
        return html.Span(words, className="page-link off", **aria(disabled="true"))
    extra = aria(current="page") if number == found.page and not rel else {}
    if rel:
        extra["rel"] = rel
    href = view.href(path, view.query, page=number if number > 1 else None)
    return html.A(words, href=href, className="page-link", **extra)


def share(value: object) -> str:
    """``0.523`` as ``52%``; nothing where it is unknown."""
    return f"{100 * float(value):.0f}%" if isinstance(value, Real) and math.isfinite(value) else ""


def _word(value: object) -> str:
    return value if isinstance(value, str) else "none"


def pictures_notice(view: View) -> list[Component]:
    """Why faces are missing, where they are."""
    reason = view.served.pictures.reason
    return [message("The images cannot be shown", reason, "notice")] if reason else []


def strip_of(view: View, ids: Sequence[str], look: Look, titles: Sequence[str]) -> Component:
    """A row of small linked faces."""
    links = [
        html.A(
            [stack(view, sample, look, title), html.Span(title, className="caption")],
            href=view.href("/sample", id=sample),
            className="card small",
        )
        for sample, title in zip(ids, titles, strict=True)
    ]
    return static(*links, className="row-of-faces")
