"""Heat maps with a number in every cell that can be read on its colour."""

from __future__ import annotations

from collections.abc import Sequence

from plotly.colors import hex_to_rgb

from reports.figures.theme import Theme, scale

CELL_TEXT_UP_TO = 12
"""With more columns than this the numbers no longer fit their cells; the hover text still has them."""
DARK_INK, LIGHT_INK = "#10161d", "#ffffff"


def heat(
    look: Theme,
    columns: Sequence[str],
    rows: Sequence[str],
    values: list[list[float | None]],
    text: list[list[str]],
    hover: list[list[str]],
    customdata: list[list[dict]],
    title: str,
    tickformat: str,
    span: tuple[float, float],
    diverging: bool = False,
) -> list[dict]:
    """Traces that draw ``values[row][column]``, coloured over ``span`` (low, high), with ``text`` in the cells.

    ``diverging`` colours need a span that is even about zero. The first trace is the heat map; its ``x`` and ``y`` are
    the true names.
    """
    colours = look.diverging if diverging else look.sequential
    cells = {
        "type": "heatmap",
        "x": list(columns),
        "y": list(rows),
        "z": values,
        "zmin": span[0],
        "zmax": span[1],
        "colorscale": scale(colours),
        "hovertext": hover,
        "hoverinfo": "text",
        "customdata": customdata,
        "xgap": 1,
        "ygap": 1,
        "colorbar": {
            "title": {"text": title, "side": "top", "font": {"size": 13}},
            "tickformat": tickformat,
            "thickness": 14,
            "outlinewidth": 0,
        },
    }
    if len(columns) > CELL_TEXT_UP_TO:
        return [cells]
    places = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
    numbers = {
        "type": "scatter",
        "x": [columns[j] for _, j in places],
        "y": [rows[i] for i, _ in places],
        "mode": "text",
        "text": [text[i][j] for i, j in places],
        "textfont": {"color": [_ink(values[i][j], span, colours, look) for i, j in places]},
        "hoverinfo": "skip",
        "showlegend": False,
    }
    return [cells, numbers]


def _ink(value: float | None, span: tuple[float, float], colours: tuple[str, ...], look: Theme) -> str:
    """The text colour with more contrast on the colour that ``value`` has."""
    if value is None:
        return look.muted
    low, high = span
    place = min(max((value - low) / ((high - low) or 1), 0), 1) * (len(colours) - 1)
    lower = min(int(place), len(colours) - 2)
    start, end = hex_to_rgb(colours[lower]), hex_to_rgb(colours[lower + 1])
    mixed = [a + (place - lower) * (b - a) for a, b in zip(start, end, strict=True)]
    light = _luminance(mixed)
    return max(DARK_INK, LIGHT_INK, key=lambda ink: _contrast(light, _luminance(hex_to_rgb(ink))))


def _luminance(rgb: Sequence[float]) -> float:
    """Relative luminance as WCAG 2 defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in rgb)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a: float, b: float) -> float:
    return (max(a, b) + 0.05) / (min(a, b) + 0.05)
