"""Pictures that are there more than once: exactly (same decoded pixels)."""

from __future__ import annotations

import numpy as np
import pandas as pd

GROUP_COLUMNS = ("duplicate_group", "sample_id", "content_id", "split", "label", "n", "conflicting", "across_splits")


def exact_groups(samples: pd.DataFrame) -> pd.DataFrame:
    """Rows whose decoded pixels another row shares; one line a row, in sample order.

    ``samples`` needs ``sample_id, content_id, split, label``; rows without a content_id (unreadable) are in no
    group. Columns: ``duplicate_group`` (0.. in order of first appearance), ``sample_id``, ``content_id``, ``split``,
    ``label``, ``n`` (pictures in the group), ``conflicting`` (two of its labels differ), ``across_splits`` (it stands
    in two parts).
    """
    content = samples["content_id"]
    shared = content.notna() & content.duplicated(keep=False)
    rows = samples.loc[shared, ["sample_id", "content_id", "split", "label"]]
    return describe_groups(rows, pd.factorize(rows["content_id"])[0])


def group_column(samples: pd.DataFrame) -> pd.Series:
    """The exact group's number for every row of ``samples`` (nullable Int64, missing where the picture is alone)."""
    groups = exact_groups(samples)
    return groups["duplicate_group"].astype("Int64").reindex(samples.index)


def describe_groups(rows: pd.DataFrame, group: np.ndarray) -> pd.DataFrame:
    """The table of ``exact_groups`` for rows whose group numbers are known; keeps the index of ``rows``."""
    table = rows.assign(duplicate_group=np.asarray(group, dtype=np.int64))
    by_group = table.groupby("duplicate_group")
    table["n"] = by_group["sample_id"].transform("size").astype(np.int64)
    table["conflicting"] = by_group["label"].transform("nunique") > 1
    table["across_splits"] = by_group["split"].transform("nunique") > 1
    return table[list(GROUP_COLUMNS)]
