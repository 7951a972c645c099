"""The way between the pages about maps."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from dashboard.components.attributes import aria
from dashboard.state import View

TABS = (
    ("/saliency", "All images"),
    ("/regions", "Regions of the face"),
    ("/shortcuts", "Shortcuts"),
    ("/trust", "Can the maps be trusted?"),
)


def tabs(view: View, path: str) -> Component:
    """Links to the pages about maps, the present one marked."""
    links = [
        html.A(title, href=view.href(to), className="chip", **(aria(current="page") if to == path else {}))
        for to, title in TABS
    ]
    return html.Nav(links, className="chips about-maps", **aria(label="About the maps"))
