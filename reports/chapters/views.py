"""Does the conclusion move? The same groups at the same label mix, at the same image quality, without wrong labels."""

from __future__ import annotations

from functools import partial

import pandas as pd

from audit.views import LABEL_MIX, QUALITY, RAW, WITHOUT
from reports import figures
from reports.document import Block, Bullets, Figure, table
from reports.words import known, listed, percent, points, signed, signed_span, spaced

MOST_MOVED = 5
NOTE = (
    "Accuracy, and the gap in points to {reference} with its 95% interval. Image quality: the same mix of brightness "
    "and sharpness for every group. Labels are found wrong by evidence other than this model's own errors: reviewed "
    "decisions, votes, or another model's out-of-fold answers, whichever there are."
)
SAID = {RAW: "as it is", LABEL_MIX: "at the same label mix", QUALITY: "at the same image quality"}


def section(views: pd.DataFrame, attribute: str) -> list[Block]:
    """Sentences, a figure and a table of one attribute's groups; nothing where there is one group or one view."""
    mine = views[views["attribute"] == attribute]
    kinds = mine["view"].drop_duplicates().tolist()
    if mine["group"].nunique() < 2:
        return []
    cells = {(row["group"], row["view"]): row for row in mine.to_dict("records")}
    rows = [[group, *(cell(cells.get((group, kind))) for kind in kinds)] for group in mine["group"].drop_duplicates()]
    name = spaced(attribute)
    return [
        Bullets(tuple(moves(mine))),
        Figure(
            f"views_{attribute}",
            f"Does the conclusion move? Gaps by {name} in every view",
            partial(figures.gaps_by_view, mine),
        ),
        table(
            f"Does the conclusion move? Accuracy by {name}, looked at in several ways",
            ["group", *(f"#{kind}" for kind in kinds)],
            rows,
            NOTE.format(reference=mine["reference"].iloc[0]),
        ),
    ]


def cell(row: dict | None) -> str:
    """One group in one view: its accuracy and its gap with the interval."""
    if row is None or not known(row["value"]):
        return "not defined"
    if not known(row["difference"]):
        return percent(row["value"])
    return (
        f"{percent(row['value'])}; {signed(row['difference'])} "
        f"({signed_span(row['difference_low'], row['difference_high'])})"
    )


def moves(frame: pd.DataFrame) -> list[str]:
    """For which groups, if large enough, another view tells another story than the raw gap; of one attribute."""
    judged = frame[~frame["too_small"].astype(bool) & frame["difference"].notna()]
    told = [_story(part.to_dict("records")) for _, part in judged.groupby("group", sort=False)]
    moved = [text for text in told if text]
    more = [f"So it does for {len(moved) - MOST_MOVED} more groups."] if len(moved) > MOST_MOVED else []
    if moved:
        return [*moved[:MOST_MOVED], *more]
    kinds = listed(said(kind) for kind in frame["view"].drop_duplicates())
    return [f"The conclusion moves for no group: {kinds}, every gap tells the same."]


def said(view: str) -> str:
    """A view in words."""
    return SAID.get(view, f"without labels found wrong by {view.removeprefix(WITHOUT)}")


def _story(rows: list[dict]) -> str | None:
    """The raw gap of a group, and the views that conclude otherwise; None where all agree."""
    first = next((row for row in rows if row["view"] == RAW), None)
    if first is None:
        return None
    other = [row for row in rows if conclusion(row) != conclusion(first)]
    if not other:
        return None
    gaps = listed(f"{said(row['view'])} it is {_gap(row)}" for row in other)
    return (
        f"The conclusion moves for {first['group']} against {first['reference']}: the raw gap is {_gap(first)}; {gaps}."
    )


def conclusion(row: dict) -> int:
    """1 where the group is surely ahead of the reference, -1 surely behind, 0 where the interval holds both."""
    return int(row["difference_low"] > 0) - int(row["difference_high"] < 0)


def _gap(row: dict) -> str:
    return f"{points(row['difference'])} (95% interval {signed_span(row['difference_low'], row['difference_high'])})"
