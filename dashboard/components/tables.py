"""Plain tables: sorted by links in their heads, so that the order is in the address and keys reach everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
from dash import html
from dash.development.base_component import Component

from dashboard.components.attributes import Child, aria
from dashboard.state import View


@dataclass(frozen=True)
class Column:
    """One column: the frame's ``key``, its ``title``, how a row's ``cell`` reads (as text unless given), its side."""

    key: str
    title: str
    cell: Callable[[dict], Child] | None = None
    number: bool = False


def table(
    view: View,
    path: str,
    frame: pd.DataFrame,
    columns: Sequence[Column],
    caption: str,
    rows: int = 200,
    sort: str = "order",
) -> Component:
    """A table of the first ``rows`` lines, ordered by the address's ``sort`` parameter: a key, with ``-`` downwards."""
    asked = view.query.get(sort, "")
    key = asked.removeprefix("-")
    if key in frame.columns and key in {column.key for column in columns}:
        frame = frame.sort_values(key, ascending=not asked.startswith("-"), kind="stable", na_position="last")
    head = html.Tr([_head(view, path, column, asked, sort) for column in columns])
    body = [html.Tr([_cell(column, row) for column in columns]) for row in frame.head(rows).to_dict("records")]
    more = [html.P(f"{len(frame) - rows:,} more lines are not shown.", className="note")] if len(frame) > rows else []
    parts = [html.Caption(caption), html.Thead(head), html.Tbody(body)]
    place = html.Div(
        html.Table(parts, className="table"), className="table-place", role="region", tabIndex=0, **aria(label=caption)
    )
    return html.Div([place, *more])


def _head(view: View, path: str, column: Column, asked: str, sort: str) -> Component:
    downwards = asked != f"-{column.key}"
    href = view.href(path, view.query, **{sort: f"-{column.key}" if downwards else column.key})
    state = {column.key: "ascending", f"-{column.key}": "descending"}.get(asked)
    mark = {"ascending": " ▲", "descending": " ▼", None: ""}[state]
    return html.Th(
        html.A([column.title, mark], href=href),
        className="number" if column.number else "",
        scope="col",
        **(aria(sort=state) if state else {}),
    )


def _cell(column: Column, row: dict) -> Component:
    value = column.cell(row) if column.cell else str(row[column.key])
    return html.Td(value, className="number" if column.number else "")
