"""Numbers as a reader meets them, the same in every figure, table and sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real

from audit.sentences import images, whole

__all__ = [
    "decimal", "images", "interval", "known", "listed", "percent", "points", "probability", "signed", "signed_span",
    "spaced", "span", "whole",
]  # fmt: skip


def known(value: object) -> bool:
    """Whether a figure is defined: neither missing nor NaN."""
    return isinstance(value, Real) and math.isfinite(value)


def percent(value: float | None, digits: int = 1) -> str:
    """``0.123`` as ``12.3%``; what is undefined as a dash."""
    return f"{100 * value:.{digits}f}%" if value is not None and known(value) else "–"


def points(value: float | None) -> str:
    """``-0.052`` as ``−5.2 points``."""
    return f"{signed(value)} points" if known(value) else "–"


def signed(value: float | None) -> str:
    """``-0.052`` as ``−5.2``, in percentage points; what rounds to nothing has no sign."""
    if value is None or not known(value):
        return "–"
    text = f"{100 * value:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text


def interval(low: float | None, high: float | None) -> str:
    """``95% interval 12.0% to 15.1%``, or that there is none."""
    return f"95% interval {percent(low)} to {percent(high)}" if known(low) and known(high) else "no interval"


def span(low: float | None, high: float | None) -> str:
    """``12.0 to 15.1``, in percent, for a column that names the unit."""
    return f"{100 * low:.1f} to {100 * high:.1f}" if _both(low, high) else "–"  # type: ignore[operator]


def signed_span(low: float | None, high: float | None) -> str:
    """``−5.2 to +1.0``, in percentage points."""
    return f"{signed(low)} to {signed(high)}" if _both(low, high) else "–"


def _both(low: float | None, high: float | None) -> bool:
    return known(low) and known(high)


def decimal(value: float | None, digits: int = 3) -> str:
    """``0.12345`` as ``0.123``; what is undefined as a dash."""
    return f"{value:.{digits}f}" if value is not None and known(value) else "–"


def probability(value: float | None) -> str:
    """A p-value: ``0.034``, ``under 0.001``, or ``not tested``."""
    if value is None or not known(value):
        return "not tested"
    return "under 0.001" if value < 0.001 else f"{value:.3f}"


def listed(names: Iterable[str], last: str = "and") -> str:
    """``a, b and c``."""
    *most, final = list(names) or [""]
    return f"{', '.join(most)} {last} {final}" if most else final


def spaced(name: str) -> str:
    """``apparent_gender`` as ``apparent gender``: a column's name as words."""
    return name.replace("_", " ")
