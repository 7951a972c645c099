"""Who is given a favourable prediction how often: four-fifths and New York's Local Law 144 ratios.

Only for a class that the user names as favourable, and only for selection rates, never for accuracy.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from audit.counts import Counts
from audit.intervals import mover_ratio, ratio, wilson
from faces.errors import InputError

FOUR_FIFTHS = 0.8
SMALL_SHARE = 0.02
"""Local Law 144's rules let an auditor leave out a category under 2% of the data; here it is marked, not left out."""


def impact_ratios(counts: Counts, favourable: str) -> pd.DataFrame:
    """Each group's selection rate over that of the most selected group.

    Columns: attribute, group, n, selected, selection_rate with ``_low`` and ``_high`` (Wilson), impact_ratio with
    ``_low`` and ``_high`` (to the most selected group; 1 without an interval for that group itself), under_four_fifths
    and under_2_percent (of all images). Ratios are NaN where nobody is selected. Raises InputError for an unknown
    class.
    """
    if favourable not in counts.classes:
        raise InputError(
            f"The favourable class {favourable!r} is not one of {', '.join(counts.classes)}; name one of those."
        )
    selected, n = counts.table[:, :, counts.classes.index(favourable)].sum(axis=1), counts.sizes
    rate, interval = ratio(selected, n), wilson(selected, n)
    best = int(np.nanargmax(rate)) if len(rate) else 0
    impact = ratio(rate, rate[best]) if len(rate) else rate
    low, high = mover_ratio(rate, interval, rate[best], type(interval)(interval.low[best], interval.high[best]))
    own = np.arange(len(rate)) == best
    high = np.where(np.isinf(high), np.nan, high)
    return pd.DataFrame(
        {
            "attribute": counts.attribute,
            "group": counts.groups,
            "n": n,
            "selected": selected,
            "selection_rate": rate,
            "selection_rate_low": interval.low,
            "selection_rate_high": interval.high,
            "impact_ratio": impact,
            "impact_ratio_low": np.where(own, impact, low),
            "impact_ratio_high": np.where(own, impact, high),
            "under_four_fifths": impact < FOUR_FIFTHS,
            "under_2_percent": n < SMALL_SHARE * counts.n,
        }
    )
