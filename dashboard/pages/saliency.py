"""Browse the maps of the whole set."""

from __future__ import annotations

from enum import StrEnum

from dash import html
from dash.development.base_component import Component

from dashboard.components import controls, gallery, shell
from dashboard.components.attributes import aria
from dashboard.media import LABEL, MINUS, OWN, PREDICTED, SHARED
from dashboard.selection import find
from dashboard.state import View

PATH, TITLE, ICON = "/saliency", "Saliency", "saliency"
ALSO = ("/samples",)
SIZES = (60, 24, 120)
ORDERS = (
    ("row", "as in the data"),
    ("-label_issue_score", "likeliest wrong label first"),
    ("confidence", "least confident first"),
    ("-confidence", "most confident first"),
    ("margin", "narrowest margin first"),
)


class Ids(StrEnum):
    """Components of this page."""

    FILTERS = "saliency-filters"
    RESULTS = "saliency-results"


def layout(view: View) -> Component:
    """Filters, and the samples they leave."""
    return shell.page(
        TITLE,
        "What the network looked at, for every image of the run.",
        *gallery.pictures_notice(view),
        html.Div(filters(view), id=Ids.FILTERS),
        html.Div(results(view), id=Ids.RESULTS),
    )


def filters(view: View) -> Component:
    """Everything that narrows the samples or changes their maps."""
    rows = [html.Div(sample_filters(view), className="controls"), html.Div(map_controls(view), className="controls")]
    return html.Section(rows, className="section filters", **aria(label="Filters"))


def sample_filters(view: View) -> list[Component]:
    """Controls that narrow the samples."""
    query, samples, classes = view.query, view.served.samples, tuple(view.run.classes)
    splits = samples.values("split")
    return [
        controls.select("label", "Label", _with(classes, query.get("label")), query.get("label")),
        controls.select("predicted", "Predicted", _with(classes, query.get("predicted")), query.get("predicted")),
        controls.segmented("correct", "Prediction", (("", "all"), "right", "wrong"), query.get("correct", ""), ""),
        controls.percent_range("confidence", "Confidence", query.get("confidence", "")),
        *_group_filter(view),
        *([controls.select("split", "Split", splits, query.get("split"))] if len(splits) > 1 else []),
        controls.text("q", "Name contains", query.get("q", ""), "part of a file's name"),
        controls.select("sort", "Order", ORDERS, query.get("sort"), "row"),
    ]


def _group_filter(view: View) -> list[Component]:
    attributes = view.run.attributes
    if not attributes:
        return []
    attribute, group = view.query.get("attribute"), view.query.get("group")
    groups = view.served.samples.values(attribute) if attribute in attributes else []
    return [
        controls.select("attribute", "Attribute", _with(attributes, attribute), attribute),
        controls.select("group", "Group", _with(groups, group), group, disabled=not attribute),
    ]


def _with(choices: tuple[str, ...] | list[str], value: str | None) -> list[str]:
    """The choices, and the present value where a link brought one that is not among them."""
    return [*choices, *([value] if value and value not in choices else [])]


def map_controls(view: View) -> list[Component]:
    """Controls that change the maps drawn over the faces."""
    look = gallery.look_of(view)
    if look.method is None:
        return []
    methods = view.run.saliency_methods
    named = [(PREDICTED, "predicted class"), (LABEL, "label"), (f"{PREDICTED}{MINUS}{LABEL}", "predicted minus label")]
    targets = [*named, *view.run.classes]
    if look.contrast and look.target not in [target for target, *_ in targets]:
        targets.append((look.target, look.target.replace(MINUS, " minus ")))
    method = controls.select("method", "Method", gallery.titled(methods), look.method, methods[0])
    several = [method] if len(methods) > 1 else []
    return [
        *several,
        controls.select("target", "Map of", targets, look.target, PREDICTED),
        controls.segmented("scaling", "Scaled", ((OWN, "each by itself"), (SHARED, "all alike")), look.scaling, OWN),
        controls.map_display(look.contrast),
    ]


def results(view: View) -> Component:
    """The samples, with a word about what their maps show."""
    look = gallery.look_of(view)
    found = find(view.served.samples, view.query, view.query.number("size", SIZES[0], 1, 240))
    head = html.Div([html.P(look.sentence(), className="note"), gallery.legend(view)], className="grid-head")
    return html.Div([head, gallery.grid(view, found, look, PATH)])


REGIONS = {Ids.FILTERS: filters, Ids.RESULTS: results}
