"""Plotly figures on a page."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
from dash import dcc, html
from dash.development.base_component import Component

from dashboard.components.attributes import aria
from dashboard.components.ids import figure as figure_id

CONFIG: Any = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtons": [["toImage"]],
    "scrollZoom": False,
    "doubleClick": False,
}


def graph(name: str, figure: go.Figure, to: str = "", describe: str = "") -> Component:
    """A figure that can be saved as SVG; a click on a mark goes to the page ``to`` with the mark's own names."""
    height = figure.layout.height or 400
    image = {"toImageButtonOptions": {"format": "svg", "filename": name}}
    plot = dcc.Graph(id=figure_id(name, to), figure=figure, config=CONFIG | image, style={"height": f"{height}px"})
    label = {"role": "figure", **aria(label=describe)} if describe else {}
    return html.Div(plot, className="figure clickable" if to else "figure", style={"minHeight": f"{height}px"}, **label)
