"""One look for every figure: colour-blind-safe colours, fonts, number formats, and names made safe to show."""

from __future__ import annotations

import html
import math
import textwrap
from dataclasses import dataclass

import plotly.graph_objects as go

from faces.errors import InputError

FONT = "Inter, 'Liberation Sans', Arial, Helvetica, 'DejaVu Sans', sans-serif"
ROW = 30
"""Height of one row of a dot or bar plot, in pixels."""


@dataclass(frozen=True)
class Theme:
    """Colours of one theme. ``first`` to ``fourth`` are of Okabe and Ito's palette; ``pale`` is far lighter than
    ``first``, so that bars of the two differ in grey print too.

    ``sequential`` runs from the page's colour to the strongest; ``diverging`` has the page's colour at zero.
    """

    name: str
    text: str
    muted: str
    grid: str
    page: str
    first: str
    second: str
    third: str
    fourth: str
    pale: str
    sequential: tuple[str, ...]
    diverging: tuple[str, ...]


LIGHT = Theme(
    name="light",
    text="#1f2933",
    muted="#6b7684",
    grid="#e1e5ea",
    page="#ffffff",
    first="#0072b2",
    second="#d55e00",
    third="#009e73",
    fourth="#aa5c8f",
    pale="#e69f00",
    sequential=("#f5f9fd", "#c9dff0", "#8fbfe0", "#4795c8", "#1c6aa6", "#0b3c6b"),
    diverging=("#b34a00", "#e9a36b", "#f7f7f7", "#7fb6dc", "#00568a"),
)
DARK = Theme(
    name="dark",
    text="#e6e9ed",
    muted="#9aa5b1",
    grid="#3a4048",
    page="#1a1b1e",
    first="#56b4e9",
    second="#f0883e",
    third="#2fc49a",
    fourth="#d99ac4",
    pale="#ffd27a",
    sequential=("#20262d", "#1e4160", "#1f6291", "#3489c1", "#6bb5e5", "#c4e4fa"),
    diverging=("#ff9d57", "#a3592a", "#2a2f35", "#2f6f9f", "#7cc8f7"),
)
THEMES = {"light": LIGHT, "dark": DARK}


def theme_named(name: str) -> Theme:
    """Raises InputError naming the themes there are."""
    if name not in THEMES:
        raise InputError(f"The theme {name!r} is not known; use one of {', '.join(THEMES)}.")
    return THEMES[name]


def drawn(
    look: Theme,
    traces: list[dict],
    height: float,
    meta: dict,
    xaxis: dict | None = None,
    yaxis: dict | None = None,
    **layout: object,
) -> go.Figure:
    """A figure of ``traces`` in a theme, as wide as its place allows; ``meta`` says which figure it is.

    It is put together as plain dicts and handed to Plotly once: adding and updating piece by piece costs Plotly five
    times as long.
    """
    axis = {
        "gridcolor": look.grid,
        "linecolor": look.grid,
        "zerolinecolor": look.muted,
        "zerolinewidth": 1,
        "automargin": True,
        "ticks": "",
    }
    base = {
        "height": round(height),
        "autosize": True,
        "font": {"family": FONT, "size": 13, "color": look.text},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 10, "r": 20, "t": 40, "b": 10},
        "hoverlabel": {"bgcolor": look.page, "bordercolor": look.muted, "font": {"family": FONT, "color": look.text}},
        "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "traceorder": "normal"},
        "xaxis": {**axis, **(xaxis or {})},
        "yaxis": {**axis, **(yaxis or {})},
        "dragmode": False,
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": look.muted, "activecolor": look.text},
        "meta": meta,
    }
    return go.Figure({"data": traces, "layout": {**base, **layout}})


def title(text: str) -> dict:
    """An axis title."""
    return {"title": {"text": text, "standoff": 10, "font": {"size": 13}}}


def empty(message: str, theme: str = "light") -> go.Figure:
    """A figure that says why there is nothing to show."""
    look = theme_named(theme)
    note = {"text": shown(message, 80), "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "showarrow": False,
            "font": {"color": look.muted}}  # fmt: skip
    hidden = {"visible": False}
    return drawn(look, [], 120, {"figure": "empty"}, hidden, hidden, annotations=[note])


def shown(name: object, width: int = 30) -> str:
    """A name as text that no figure takes for markup, broken into lines of at most ``width`` characters."""
    lines = textwrap.wrap(str(name), width) or [""]
    return "<br>".join(html.escape(line, quote=False) for line in lines)


def scale(colours: tuple[str, ...]) -> list[list]:
    """Evenly spaced colours as a Plotly colour scale."""
    return [[index / (len(colours) - 1), colour] for index, colour in enumerate(colours)]


def category_axis(names: list[str], labels: list[str] | None = None) -> dict:
    """An axis with one place a name: the axis keeps the true names (clicks give them back), labels are safe text."""
    return {
        "type": "category",
        "categoryorder": "array",
        "categoryarray": names,
        "tickmode": "array",
        "tickvals": names,
        "ticktext": labels or [shown(name) for name in names],
        "automargin": True,
    }


def row_axis(labels: list[str]) -> dict:
    """A numeric axis that names rows 0, 1, ... from the top, so that marks of one row can stand side by side."""
    return {
        "tickmode": "array",
        "tickvals": list(range(len(labels))),
        "ticktext": labels,
        "range": [len(labels) - 0.4, -0.6],
        "zeroline": False,
        "automargin": True,
    }


def upright(look: Theme, x: float, rows: int, name: str | None = None) -> dict:
    """An upright line through all rows of a row axis, named in the legend where ``name`` is given."""
    return {
        "type": "scatter",
        "x": [x, x],
        "y": [-0.6, rows - 0.4],
        "mode": "lines",
        "name": name or "",
        "showlegend": name is not None,
        "line": {"dash": "dot" if name else "solid", "color": look.muted, "width": 1.5},
        "hoverinfo": "skip",
    }


def error_bars(values: list[float], low: list[float], high: list[float], colour: str) -> dict:
    """Intervals around ``values`` in Plotly's form (distances); missing bounds draw nothing."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [_distance(value, bound) for value, bound in zip(values, high, strict=True)],
        "arrayminus": [_distance(bound, value) for value, bound in zip(values, low, strict=True)],
        "color": colour,
        "thickness": 1.5,
        "width": 3,
    }


def _distance(start: float, end: float) -> float | None:
    return max(0.0, float(end) - float(start)) if math.isfinite(start) and math.isfinite(end) else None
