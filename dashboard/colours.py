"""Colour scales of saliency maps: one table each, used by the browser's filters and by downloaded pictures alike.

All of them read correctly with every common colour blindness. Single-class maps run from transparent to strong;
contrasts run from one colour through transparent (zero) to another.
"""

from __future__ import annotations

import numpy as np

SEQUENTIAL: dict[str, tuple[str, ...]] = {
    "inferno": ("#000004", "#1b0c41", "#4a0c6b", "#781c6d", "#a52c60", "#cf4446", "#ed6925", "#fb9b06", "#fcffa4"),
    "viridis": ("#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#fde725"),
    "cividis": ("#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#fee838"),
    "white": ("#ffffff", "#ffffff"),
}
DIVERGING: dict[str, tuple[str, ...]] = {
    "contrast": ("#ff7f0e", "#ff9d45", "#ffbe7f", "#f7f7f7", "#8cc7f2", "#4aa5e8", "#1487db"),
}
RISE = (0.0, 0.3, 0.55, 0.76, 0.9, 1.0)
"""Opacity along a sequential scale: little evidence is nearly transparent."""
VALLEY = (1.0, 0.93, 0.72, 0.0, 0.72, 0.93, 1.0)
"""Opacity along a diverging scale: none at zero."""


def _channels(stops: tuple[str, ...]) -> np.ndarray:
    return np.array([[int(stop[start : start + 2], 16) for start in (1, 3, 5)] for stop in stops]) / 255


def table(name: str) -> np.ndarray:
    """256 colours of a scale, uint8 (256, 4) RGBA, from the least to the greatest value."""
    stops, alpha = (SEQUENTIAL[name], RISE) if name in SEQUENTIAL else (DIVERGING[name], VALLEY)
    at = np.linspace(0, 1, 256)
    channels = [np.interp(at, np.linspace(0, 1, len(stops)), column) for column in _channels(stops).T]
    channels.append(np.interp(at, np.linspace(0, 1, len(alpha)), alpha))
    return np.round(np.stack(channels, axis=1) * 255).astype(np.uint8)


def css_gradient(name: str) -> str:
    """The scale as a CSS gradient, for legends."""
    return f"linear-gradient(90deg, {', '.join(SEQUENTIAL.get(name) or DIVERGING[name])})"


def svg_filters() -> str:
    """One SVG filter a scale, ``#scale-NAME``: a grey picture of values becomes coloured and transparent."""
    filters = "".join(_svg_filter(name) for name in (*SEQUENTIAL, *DIVERGING))
    return f'<svg class="scale-filters" width="0" height="0" aria-hidden="true" focusable="false">{filters}</svg>'


def _svg_filter(name: str) -> str:
    stops, alpha = (SEQUENTIAL[name], RISE) if name in SEQUENTIAL else (DIVERGING[name], VALLEY)
    colour = "".join(
        f'<feFunc{letter} type="table" tableValues="{" ".join(f"{value:.3f}" for value in column)}"/>'
        for letter, column in zip("RGB", _channels(stops).T, strict=True)
    )
    return (
        f'<filter id="scale-{name}" color-interpolation-filters="sRGB" x="0" y="0" width="1" height="1">'
        f'<feComponentTransfer in="SourceGraphic" result="coloured">{colour}</feComponentTransfer>'
        '<feColorMatrix in="SourceGraphic" type="matrix" values="0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1 0 0 0 0"/>'
        f'<feComponentTransfer result="veil"><feFuncA type="table" tableValues="{" ".join(map(str, alpha))}"/>'
        '</feComponentTransfer><feComposite in="coloured" in2="veil" operator="in"/></filter>'
    )
