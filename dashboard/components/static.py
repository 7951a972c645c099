"""Many small parts as one: HTML that the browser puts in place by itself (assets/static.js).

Dash takes some milliseconds of the browser's time for every component, a gallery of 60 maps has 700 of them, and none
needs what a component can do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from dash import html
from dash.development.base_component import Component

from dashboard.components.attributes import Child, data

NAMES = {"className": "class", "htmlFor": "for", "tabIndex": "tabindex"}
EMPTY = frozenset({"img", "br", "hr"})


def static(*children: Child, className: str = "") -> Component:
    """A block of HTML elements without callbacks, drawn at once."""
    return html.Div(className=className, **data(html="".join(markup(child) for child in children)))


def markup(part: Child | Sequence[Child]) -> str:
    """HTML elements as text; whatever they hold is shown as it stands."""
    if part is None:
        return ""
    if isinstance(part, list | tuple):
        return "".join(markup(one) for one in part)
    if not isinstance(part, Component):
        return escape(str(part))
    described = part.to_plotly_json()
    name, props = described["type"].lower(), described["props"]
    attributes = "".join(_attribute(key, value) for key, value in props.items() if key != "children")
    inner = "" if name in EMPTY else f"{markup(props.get('children'))}</{name}>"
    return f"<{name}{attributes}>{inner}"


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    text = _style(value) if isinstance(value, Mapping) else "" if value is True else str(value)
    return f' {NAMES.get(name, name)}="{escape(text)}"'


def _style(rules: Mapping[str, object]) -> str:
    """Rules as CSS; names are single words here, so that none needs a hyphen."""
    return ";".join(f"{name}:{value}" for name, value in rules.items())
