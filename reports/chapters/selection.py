"""How often each group is predicted to be a class that somebody calls favourable: four-fifths and Local Law 144."""

from __future__ import annotations

from functools import partial

import pandas as pd

from audit.counts import CROSS, Counts, attribute_sets
from audit.run import AuditRun
from audit.selection import FOUR_FIFTHS, impact_ratios
from reports import figures
from reports.document import Block, Figure, Heading, Paragraph, Table, table
from reports.words import decimal, percent, spaced, span, whole


def section(run: AuditRun, favourable: str) -> list[Block]:
    """Selection rates and impact ratios of every attribute and two-way intersection."""
    counts = run.table("counts")
    blocks: list[Block] = [
        Heading(f"selection rates of {favourable}"),
        Paragraph(
            f"The selection rate of a group is the share of its images predicted {favourable}, which was named as the "
            "favourable outcome; the impact ratio divides it by that of the most selected group, as New York City's "
            "Local Law 144 asks for categories of sex and race and their intersections. Under "
            f"{FOUR_FIFTHS:g} the four-fifths rule of thumb of US employment law speaks of adverse impact. It says "
            "nothing about whether predictions are right, and it is no finding of this audit."
        ),
    ]
    for names in attribute_sets(run.attributes):
        attribute = CROSS.join(names)
        ratios = impact_ratios(Counts.from_frame(counts, attribute, run.classes.names), favourable)
        if ratios.empty:
            continue
        name = spaced(attribute)
        blocks.append(_table(ratios, f"Selection rates and impact ratios of {favourable} by {name}"))
        if len(names) == 1:
            caption = f"Impact ratio of {favourable} by {name}; the line is four fifths"
            blocks.append(Figure(f"impact_{attribute}", caption, partial(figures.four_fifths, ratios)))
    return blocks


def _table(ratios: pd.DataFrame, caption: str) -> Table:
    rows = [
        [row["group"], whole(row["n"]), whole(row["selected"]), percent(row["selection_rate"]),
         span(row["selection_rate_low"], row["selection_rate_high"]), decimal(row["impact_ratio"], 2),
         f"{decimal(row['impact_ratio_low'], 2)} to {decimal(row['impact_ratio_high'], 2)}", _remark(row)]
        for row in ratios.to_dict("records")
    ]  # fmt: skip
    heads = [
        "group",
        "#images",
        "#selected",
        "#selection rate",
        "#95% interval",
        "#impact ratio",
        "#95% interval",
        "remark",
    ]
    return table(caption, heads, rows)


def _remark(row: dict) -> str:
    remarks = ["under four fifths"] if row["under_four_fifths"] else []
    if row["under_2_percent"]:
        remarks.append("under 2% of the data")
    return ", ".join(remarks)
