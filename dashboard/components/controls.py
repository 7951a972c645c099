"""Inputs whose values stand in the address; the browser writes them there (assets/controls.js)."""

from __future__ import annotations

from collections.abc import Sequence

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard import colours
from dashboard.components.attributes import aria, data
from dashboard.components.ids import control

Option = str | tuple[str, str]
"""A value, or a value and what it is called."""


def options(choices: Sequence[Option]) -> list[dict[str, str]]:
    pairs = ((choice, choice) if isinstance(choice, str) else choice for choice in choices)
    return [{"value": value, "label": label} for value, label in pairs]


def select(
    name: str,
    label: str,
    choices: Sequence[Option],
    value: str | None,
    default: str = "",
    nothing: str = "all",
    **props: object,
) -> Component:
    """A list to choose one from; clearable where nothing chosen is a choice (no default), called ``nothing``."""
    return dmc.Select(
        id=control(name, default),
        label=label,
        data=options(choices),
        value=value or default or None,
        clearable=not default,
        allowDeselect=not default,
        searchable=len(choices) > 8,
        placeholder=None if default else nothing,
        size="xs",
        className="control",
        **props,
    )


def segmented(name: str, label: str, choices: Sequence[Option], value: str, default: str) -> Component:
    """A few choices side by side."""
    choice = dmc.SegmentedControl(id=control(name, default), data=options(choices), value=value, size="xs")
    return html.Div(
        [html.Span(label, className="control-label"), choice],
        className="control",
        role="group",
        **aria(label=label),
    )


def text(name: str, label: str, value: str, placeholder: str) -> Component:
    """A search box; its value counts when typing pauses."""
    return dmc.TextInput(
        id=control(name),
        label=label,
        value=value,
        placeholder=placeholder,
        debounce=300,
        size="xs",
        className="control search",
    )


def number(name: str, label: str, value: int, default: int, low: int, high: int) -> Component:
    """A whole number; its value counts when typing pauses."""
    return dmc.NumberInput(
        id=control(name, str(default)), label=label, value=value, min=low, max=high, allowDecimal=False,
        debounce=400, size="xs", className="control number",
    )  # fmt: skip


def percent_range(name: str, label: str, value: str, step: int = 5, disabled: bool = False) -> Component:
    """Both ends of a share, as ``low..high``."""
    low, high = _ends(value)
    slider = dmc.RangeSlider(
        id=control(name, "0..1"), value=[100 * low, 100 * high], min=0, max=100, step=step, minRange=step, size="sm",
        disabled=disabled, label={"function": "percent"},
        thumbFromLabel=f"{label} from", thumbToLabel=f"{label} to", updatemode="mouseup",
    )  # fmt: skip
    return html.Div([html.Span(label, className="control-label"), slider], className="control range")


def _ends(value: str) -> tuple[float, float]:
    low, _, high = value.partition("..")
    try:
        return float(low or 0), float(high or 1)
    except ValueError:
        return 0.0, 1.0


def map_display(contrast: bool = False) -> Component:
    """Strength and colours of the maps: changed in the browser alone, remembered there."""
    scales = [
        html.Button(
            html.Span(className="swatch", style={"background": colours.css_gradient(name)}),
            className="scale-button",
            title=f"Colours: {name}",
            **data(scale=name),
            **aria(label=f"Colour scale {name}"),
        )
        for name in colours.SEQUENTIAL
    ]
    slider = dmc.Slider(
        id="map-opacity", min=0, max=100, step=5, value=75, size="sm", thumbLabel="Strength of the maps",
        label={"function": "percent"}, updatemode="drag", persistence=True, persistence_type="local",
    )  # fmt: skip
    strength = html.Div([html.Span("Strength", className="control-label"), slider], className="opacity")
    choice = [] if contrast else [html.Div(scales, className="scales", role="group", **aria(label="Colour scale"))]
    return html.Div([strength, *choice], className="map-display")
