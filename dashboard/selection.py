"""Which samples a page shows: a query string turned into one DuckDB question about samples.parquet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from audit.counts import CROSS
from dashboard.query import Query

RESERVED = ("q", "correct", "attribute", "group", "slice", "region", "share", "shortcut")
SHOWN = ("sample_id", "label", "predicted", "confidence", "status")
"""What a page of samples needs to know of each."""
SHARE = "share_"
"""Before a region's name: the column that holds the share of each map on it."""
_NUMBERS = ("BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT", "UBIGINT", "DOUBLE", "FLOAT", "DECIMAL")


class Samples:
    """samples.parquet in DuckDB's memory, with its row number as ``row``; safe to ask from several threads.

    ``columns`` maps each column to its DuckDB type; ``slices`` gives the rows of a weak slice by its name,
    ``shortcuts`` those of the examples of a suspected shortcut by its number.
    """

    def __init__(
        self,
        path: Path,
        slices: Callable[[str], list[int]] | None = None,
        shortcuts: Callable[[str], list[int]] | None = None,
    ) -> None:
        self._named = {"slice": slices, "shortcut": shortcuts}
        self._database = duckdb.connect()
        self._database.execute(
            "CREATE TABLE samples AS SELECT file_row_number AS row, * EXCLUDE (file_row_number) "
            "FROM read_parquet(?, file_row_number = true) ORDER BY file_row_number",
            [str(path)],
        )
        self._values: dict[str, list[str]] = {}
        described = self._database.execute("DESCRIBE samples").fetchall()
        self.columns: dict[str, str] = {name: kind for name, kind, *_ in described}

    def ask(self, sql: str, values: list[object]) -> pd.DataFrame:
        """Rows of one question, asked on a cursor of its own."""
        return self._database.cursor().execute(sql, values).df()

    def rows_named(self, kind: str, name: str) -> list[int]:
        """The rows of a ``slice`` or ``shortcut`` by its name; none where there is no such one."""
        find = self._named[kind]
        return find(name) if find else []

    def values(self, column: str) -> list[str]:
        """The different values of a text column, most frequent first."""
        if column not in self._values:
            known = f"{_name(column)} IS NOT NULL"
            sql = f"SELECT {_name(column)} FROM samples WHERE {known} GROUP BY 1 ORDER BY count(*) DESC, 1"
            self._values[column] = [str(value) for (value,) in self._database.cursor().execute(sql).fetchall()]
        return self._values[column]


@dataclass(frozen=True)
class Found:
    """One page of a selection: ``frame`` holds ``row`` and SHOWN of its samples, ``total`` counts all that fit."""

    frame: pd.DataFrame
    total: int
    page: int
    size: int

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.size))


def find(samples: Samples, query: Query, size: int = 60) -> Found:
    """The page ``page`` (from 1) of what the query selects, ordered by its ``sort``."""
    where, values = condition(samples, query)
    total = int(samples.ask(f"SELECT count(*) AS n FROM samples WHERE {where}", values)["n"][0])
    page = query.number("page", 1, 1, max(1, -(-total // size)))
    order = _order(samples, query.get("sort", ""))
    shown = ", ".join(name for name in SHOWN if name in samples.columns)
    sql = f"SELECT row, {shown} FROM samples WHERE {where} ORDER BY {order} LIMIT {size} OFFSET {(page - 1) * size}"
    return Found(samples.ask(sql, values), total, page, size)


def neighbours_in_order(samples: Samples, query: Query, row: int) -> tuple[str | None, str | None]:
    """The sample before and the one after ``row`` in the query's own order (None at the ends)."""
    where, values = condition(samples, query)
    sql = (
        f"SELECT * FROM (SELECT row, lag(sample_id) OVER w AS before, lead(sample_id) OVER w AS after "
        f"FROM samples WHERE {where} WINDOW w AS (ORDER BY {_order(samples, query.get('sort', ''))})) WHERE row = ?"
    )
    found = samples.ask(sql, [*values, row])
    return (None, None) if found.empty else (_text(found["before"][0]), _text(found["after"][0]))


def rows_of(samples: Samples, query: Query) -> np.ndarray:
    """Row numbers of everything the query selects, in its order; int64."""
    where, values = condition(samples, query)
    order = _order(samples, query.get("sort", ""))
    return samples.ask(f"SELECT row FROM samples WHERE {where} ORDER BY {order}", values)["row"].to_numpy(np.int64)


def condition(samples: Samples, query: Query) -> tuple[str, list[object]]:
    """The WHERE clause and its values.

    A name that is a column selects by it: ``label=fear``, ``label=fear,sad``, ``confidence=0.5..1`` (either end may
    be open), ``duplicate_group=*`` (any value). ``correct=right|wrong``, ``q`` (part of the name),
    ``attribute=a × b&group=x × y``, ``region=mouth&share=0.3..1`` (the share of the map on it), ``slice`` (a weak
    slice by name), ``shortcut`` (a suspected one's examples, by number). Names that are no column are for others and
    left alone.
    """
    parts: list[str] = []
    values: list[object] = []
    for column, text in query.items():
        if column in samples.columns and column not in RESERVED:
            part, found = _by_column(column, samples.columns[column], text)
            parts.append(part)
            values += found
    for part, found in (
        _by_group(samples, query),
        _by_search(query),
        _by_correctness(query),
        _by_region(samples, query),
        _by_name(samples, query, "slice"),
        _by_name(samples, query, "shortcut"),
    ):
        if part:
            parts.append(part)
            values += found
    return " AND ".join(parts) or "TRUE", values


def _by_column(column: str, kind: str, text: str) -> tuple[str, list[object]]:
    if text == "*":
        return f"{_name(column)} IS NOT NULL", []
    if kind.split("(")[0] in _NUMBERS and ".." in text:
        ends = [(">=", text.split("..", 1)[0]), ("<=", text.split("..", 1)[1])]
        used = [(sign, number) for sign, end in ends if (number := _number(end)) is not None]
        return " AND ".join(f"{_name(column)} {sign} ?" for sign, _ in used) or "TRUE", [number for _, number in used]
    wanted = text.split(",")
    return f"CAST({_name(column)} AS VARCHAR) IN ({', '.join('?' * len(wanted))})", list(wanted)


def _by_group(samples: Samples, query: Query) -> tuple[str, list[object]]:
    attributes, groups = query.get("attribute", "").split(CROSS), query.get("group", "").split(CROSS)
    if len(attributes) != len(groups) or not all(name in samples.columns for name in attributes):
        return "", []
    return " AND ".join(f"CAST({_name(name)} AS VARCHAR) = ?" for name in attributes), list(groups)


def _by_search(query: Query) -> tuple[str, list[object]]:
    return ("contains(lower(sample_id), lower(?))", [query["q"]]) if "q" in query else ("", [])


def _by_name(samples: Samples, query: Query, kind: str) -> tuple[str, list[object]]:
    if kind not in query:
        return "", []
    return "row IN (SELECT unnest(?))", [samples.rows_named(kind, query[kind])]


def _by_region(samples: Samples, query: Query) -> tuple[str, list[object]]:
    column = f"{SHARE}{query.get('region')}"
    if "share" not in query or column not in samples.columns:
        return "", []
    return _by_column(column, samples.columns[column], query["share"])


def _by_correctness(query: Query) -> tuple[str, list[object]]:
    sign = {"right": "=", "wrong": "<>"}.get(query.get("correct", ""))
    return (f"status = 'ok' AND label {sign} predicted", []) if sign else ("", [])


def _order(samples: Samples, sort: str) -> str:
    column = sort.removeprefix("-")
    if column not in samples.columns:
        return "row"
    return f"{_name(column)} {'DESC' if sort.startswith('-') else 'ASC'} NULLS LAST, row"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
