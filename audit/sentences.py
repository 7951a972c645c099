"""Numbers in plain sentences, the same way everywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping

from audit.counts import CROSS


def percent(share: float) -> str:
    """``41.3%``: one decimal in every sentence, as in every table."""
    return f"{100 * share:.1f}%"


def points(difference: float) -> str:
    """``15.2 points``, without a sign."""
    return f"{100 * abs(difference):.1f} points"


def whole(n: float) -> str:
    """``1,234``."""
    return f"{int(n):,}"


def counted(n: int, thing: str) -> str:
    """``1 group``, ``2 groups``."""
    return f"{whole(n)} {thing}{'' if n == 1 else 's'}"


def images(n: int) -> str:
    """``1 image``, ``1,234 images``."""
    return counted(n, "image")


def between(low: float, high: float) -> str:
    """``95% interval 60.1% to 66.0%``."""
    return f"95% interval {percent(low)} to {percent(high)}"


def of_group(attribute: str, group: str) -> str:
    """``apparent gender woman``; an intersection as ``apparent gender woman and apparent race asian``."""
    pairs = zip(attribute.split(CROSS), group.split(CROSS), strict=False)
    return " and ".join(f"{name.replace('_', ' ')} {value}" for name, value in pairs)


MEASURES = {
    "accuracy": "the emotion is recognised in",
    "standardised_accuracy": "at the same label mix the emotion is recognised in",
    "recall": "{name} is recognised in",
    "precision": "the prediction {name} is right in",
    "false_positive_rate": "{name} is wrongly seen in",
    "selection_rate": "{name} is predicted for",
}


def disparity(row: Mapping) -> str:
    """One row of ``disparities`` as a sentence; the interval runs from the nearer to the farther end of the gap."""
    group, reference = (of_group(row["attribute"], row[side]) for side in ("group", "reference"))
    n = f"{whole(row['n_group'])} and {whole(row['n_reference'])} images"
    if row["metric"] == "equalised_odds":
        start = f"for {row['class']} the error rates of {group} and {reference} differ by up to {_gap(row, n)}"
        return f"{start[0].upper()}{start[1:]}."
    if _undefined(row["value_group"]) or _undefined(row["value_reference"]):
        return f"{group[0].upper()}{group[1:]} and {reference} could not be compared: too few images ({n})."
    start = MEASURES[row["metric"]].format(name=row["class"])
    sides = f"{percent(row['value_group'])} of {group} against {percent(row['value_reference'])} of {reference}"
    return f"{start[0].upper()}{start[1:]} {sides} (difference {_gap(row, n)})."


def _gap(row: Mapping, n: str) -> str:
    sign = -1 if row["difference"] < 0 else 1
    low, high = sorted((sign * row["difference_low"] * 100, sign * row["difference_high"] * 100))
    limits = f"{low:.1f} to {high:.1f}".replace("-", "−")
    return f"{points(row['difference'])}, 95% interval {limits}, {n}"


def _undefined(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
