"""What a view offers to be saved as: the browser redraws it as SVG or PNG, as it is seen (assets/maps.js)."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from dashboard.components.attributes import Child, data


def exportable(name: str, *children: Child, className: str = "") -> Component:
    """A part of a page that can be saved under ``name``."""
    return html.Div(list(children), className=className, **data(exportable=name))


def export_buttons(name: str, words: str = "Save this view:") -> Component:
    """Buttons that save the part called ``name``."""
    buttons = [
        html.Button(kind.upper(), className="page-link", type="button", **data(export=kind, of=name))
        for kind in ("png", "svg")
    ]
    return html.Span([html.Span(words, className="note"), *buttons], className="exports")
