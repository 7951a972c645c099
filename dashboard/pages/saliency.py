"""Browse the maps of the whole set."""

from __future__ import annotations

from enum import StrEnum

from dash import dcc, html
from dash.development.base_component import Component

from dashboard.components import controls, gallery, shell
from dashboard.components.about_maps import tabs
from dashboard.components.attributes import Child, aria
from dashboard.components.export import export_buttons, exportable
from dashboard.media import OWN, SHARED
from dashboard.selection import SHARE, find
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
    DRAWN = "saliency-drawn"


def layout(view: View) -> Component:
    """Filters, and the samples they leave."""
    return shell.page(
        TITLE,
        "What the network looked at, for every image of the run.",
        tabs(view, PATH),
        *gallery.pictures_notice(view),
        html.Div(filters(view), id=Ids.FILTERS),
        html.Div(results(view), id=Ids.RESULTS),
        dcc.Store(id=Ids.DRAWN, data=view.query.sieve()),
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
        *_place_filters(view),
        *([controls.select("split", "Split", splits, query.get("split"))] if len(splits) > 1 else []),
        controls.text("q", "Name contains", query.get("q", ""), "part of a file's name"),
        controls.select("sort", "Order", orders(view), query.get("sort"), "row"),
    ]


def orders(view: View) -> list[tuple[str, str]]:
    """The orders to choose from; with a region also by its share."""
    column = f"{SHARE}{view.query.get('region')}"
    known = column in view.served.samples.columns
    return [*ORDERS, *([(f"-{column}", f"most on the {view.query['region']} first")] if known else [])]


def _place_filters(view: View) -> list[Component]:
    """Where the maps lie: the share on a region of the face, and the cluster; nothing where the run does not know."""
    query, samples = view.query, view.served.samples
    regions = [name.removeprefix(SHARE) for name in samples.columns if name.startswith(SHARE)]
    if not regions:
        return []
    region, cluster = query.get("region"), query.get("map_cluster")
    clusters = sorted(samples.values("map_cluster")) if "map_cluster" in samples.columns else []
    return [
        controls.select("region", "Region", _with(regions, region), region, nothing="any"),
        controls.percent_range("share", "Its share of the map", query.get("share", ""), 1, region not in regions),
        controls.select("map_cluster", "Maps like", _with(clusters, cluster), cluster),
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
    method = controls.select("method", "Method", gallery.titled(methods), look.method, methods[0])
    several = [method] if len(methods) > 1 else []
    return [
        *several,
        *gallery.target_choices(view, look),
        controls.segmented("scaling", "Scaled", ((OWN, "each by itself"), (SHARED, "all alike")), look.scaling, OWN),
        controls.map_display(look.contrast),
    ]


def results(view: View) -> Component:
    """The samples, with a word about what their maps show."""
    look = gallery.look_of(view)
    found = find(view.served.samples, view.query, view.query.number("size", SIZES[0], 1, 240))
    bar = [gallery.scale_bar(look, gallery.limit_of(view, look))] if look.method else []
    drawn: list[Child] = [gallery.sentence(view, look), " ", *bar]
    head = html.Div([html.P(drawn, className="note"), gallery.legend(view)], className="grid-head")
    save = [html.Div(export_buttons("saliency", "Save this page:"))] if found.total else []
    return html.Div([exportable("saliency", head, gallery.grid(view, found, look, PATH)), *save])


REGIONS = {Ids.RESULTS: results}
LATER = {Ids.FILTERS: filters}
