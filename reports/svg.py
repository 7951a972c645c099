"""Figures as vector drawings, made by a Chromium that is found on the machine; equal figures give equal text."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from faces.errors import InputError

WIDTH = 680
"""Pixels of a figure as wide as the text of a page."""
TABS = 2
NO_BROWSER = (
    "The PDF needs a Chromium or Chrome to draw its figures and none was found; install one, or set BROWSER_PATH to "
    "its program, or leave report.pdf out of the formats."
)


def draw_svgs(figures: Sequence[go.Figure], width: int = WIDTH) -> list[str]:
    """One SVG a figure, all from one browser session. Raises InputError where there is no browser."""
    specs = [_vector_cells(figure) for figure in figures]
    return [_repeatable(raw.decode()) for raw in asyncio.run(_render(specs, width))] if specs else []


async def _render(specs: Sequence[dict], width: int) -> list[bytes]:
    # Kaleido takes a second to import and only the PDF needs it.
    from choreographer.errors import BrowserFailedError, ChromeNotFoundError
    from kaleido import Kaleido

    options = {"format": "svg", "width": width}
    try:
        async with Kaleido(n=min(TABS, len(specs)), mathjax=False) as browser:
            return await asyncio.gather(*(browser.calc_fig(spec, opts=options) for spec in specs))
    except (ChromeNotFoundError, BrowserFailedError, FileNotFoundError) as error:
        raise InputError(NO_BROWSER) from error


def _vector_cells(figure: go.Figure) -> dict:
    """The figure with the cells of its heat maps as rectangles, which Plotly would draw as one picture of pixels."""
    spec = figure.to_dict()
    maps = [trace for trace in spec["data"] if trace["type"] == "heatmap"]
    others = [trace for trace in spec["data"] if trace["type"] != "heatmap"]
    shapes = [cell for trace in maps for cell in _cells(trace)]
    layout = {**spec["layout"], "shapes": [*spec["layout"].get("shapes", []), *shapes]}
    return {"data": [*map(_colour_bar, maps), *others], "layout": layout}


def _colour_bar(trace: dict) -> dict:
    """The heat map's colour bar alone, on a mark that is nowhere."""
    marker = {"colorscale": trace["colorscale"], "cmin": trace["zmin"], "cmax": trace["zmax"], "color": [trace["zmin"]],
              "showscale": True, "colorbar": trace["colorbar"]}  # fmt: skip
    return {"type": "scatter", "x": [None], "y": [None], "mode": "markers", "marker": marker, "showlegend": False}


def _cells(trace: dict) -> list[dict]:
    low, high = trace["zmin"], trace["zmax"]
    cells = []
    for i, row in enumerate(trace["z"]):
        for j, value in enumerate(row):
            if value is None:
                continue
            place = min(max((value - low) / ((high - low) or 1), 0), 1)
            corners = {"x0": j - 0.48, "x1": j + 0.48, "y0": i - 0.48, "y1": i + 0.48}
            fill = sample_colorscale(trace["colorscale"], place)[0]
            cells.append({"type": "rect", **corners, "fillcolor": fill, "line": {"width": 0}, "layer": "below"})
    return cells


def _repeatable(svg: str) -> str:
    """Without what Plotly draws at random: the drawing's identifier in ids, the traces' in class names."""
    found = re.search(r'id="defs-([0-9a-f]{6})"', svg)
    drawing = found.group(1) if found else ""

    def tag(match: re.Match) -> str:
        bare = re.sub(r' class="[^"]*"', "", match.group())
        return bare.replace(drawing, "") if drawing else bare

    return re.sub(r"<[^>]+>", tag, svg)
