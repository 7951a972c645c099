"""Figures as vector drawings, made by a Chromium that is found on the machine; equal figures give equal text."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.io.json import to_json_plotly
from plotly.offline import get_plotlyjs

from faces.errors import InputError

WIDTH = 680
"""Pixels of a figure as wide as the text of a page."""
NO_BROWSER = (
    "The PDF needs a Chromium or Chrome to draw its figures and none could be started; install one, or set "
    "FACEVALUE_CHROMIUM to its program, or leave report.pdf out of the formats."
)
NOT_RANDOM = "let seed = 1; Math.random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;"
"""Plotly names parts of a drawing at random; with this the same drawings get the same names."""


def draw_svgs(figures: Sequence[go.Figure], width: int = WIDTH) -> list[str]:
    """One SVG a figure, all drawn on one page of one browser. Raises InputError where no browser can be started."""
    specs = [_vector_cells(figure) for figure in figures]
    if not specs:
        return []
    # On a thread of its own: the caller may have an event loop, as notebooks do.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(lambda: asyncio.run(_draw(specs, width))).result()


async def _draw(specs: Sequence[dict], width: int) -> list[str]:
    # Kaleido's own browser library is used without Kaleido, which loads Plotly anew for every figure: on 34 figures
    # that took four times as long.
    from choreographer import Browser, Tab
    from choreographer.errors import BrowserFailedError, ChromeNotFoundError

    async def evaluate(tab: Tab, expression: str) -> str:
        params = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        reply = await tab.send_command("Runtime.evaluate", params=params)
        if "error" in reply or "exceptionDetails" in reply["result"]:
            raise RuntimeError(f"the browser could not draw a figure: {str(reply)[:500]}")
        return reply["result"]["result"].get("value", "")

    try:
        async with Browser(path=browser_path(), headless=True) as browser:
            tab = await browser.create_tab("about:blank")
            await evaluate(tab, f"{NOT_RANDOM}\n{get_plotlyjs()}\n;''")
            return [await evaluate(tab, _drawing(spec, width)) for spec in specs]
    except (ChromeNotFoundError, BrowserFailedError, OSError) as error:
        raise InputError(NO_BROWSER) from error


def browser_path() -> str | None:
    """The Chromium that FACEVALUE_CHROMIUM names; None lets the browser library look in the usual places."""
    return os.environ.get("FACEVALUE_CHROMIUM")


def _drawing(spec: dict, width: int) -> str:
    size = f"width: {width}, height: {spec['layout']['height']}"
    return f"Plotly.toImage({to_json_plotly(spec)}, {{format: 'svg', {size}, imageDataOnly: true}})"


def _vector_cells(figure: go.Figure) -> dict:
    """The figure with the cells of its heat maps as rectangles, which Plotly would draw as one picture of pixels."""
    spec = figure.to_dict()
    maps = [trace for trace in spec["data"] if trace["type"] == "heatmap"]
    others = [trace for trace in spec["data"] if trace["type"] != "heatmap"]
    shapes = [cell for trace in maps for cell in _cells(trace)]
    layout = {**spec["layout"], "shapes": [*shapes, *spec["layout"].get("shapes", [])]}
    return {"data": [*map(_colour_bar, maps), *others], "layout": layout}


def _colour_bar(trace: dict) -> dict:
    """The heat map's colour bar alone, on a mark that is nowhere."""
    marker = {"colorscale": trace["colorscale"], "cmin": trace["zmin"], "cmax": trace["zmax"], "color": [trace["zmin"]],
              "showscale": trace.get("showscale", True), "colorbar": trace.get("colorbar", {})}  # fmt: skip
    axes = {axis: trace[axis] for axis in ("xaxis", "yaxis") if axis in trace}
    return {
        "type": "scatter",
        "x": [None],
        "y": [None],
        "mode": "markers",
        "marker": marker,
        "showlegend": False,
        **axes,
    }


def _cells(trace: dict) -> list[dict]:
    low, high = trace["zmin"], trace["zmax"]
    cells = []
    for i, row in enumerate(trace["z"]):
        for j, value in enumerate(row):
            if value is None:
                continue
            place = min(max((value - low) / ((high - low) or 1), 0), 1)
            axes = {"xref": trace.get("xaxis", "x"), "yref": trace.get("yaxis", "y")}
            corners = {**axes, "x0": j - 0.48, "x1": j + 0.48, "y0": i - 0.48, "y1": i + 0.48}
            fill = sample_colorscale(trace["colorscale"], place)[0]
            cells.append({"type": "rect", **corners, "fillcolor": fill, "line": {"width": 0}, "layer": "below"})
    return cells
