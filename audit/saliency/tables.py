"""The result tables about maps: one row type each, whatever the values. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

TEXTS = ("class", "region", "class_a", "class_b", "method", "layer", "perturbation", "cluster")
WHOLE = ("n", "size")
KINDS = {"is_shortcut": pa.bool_(), "examples": pa.list_(pa.string())}


def write_saliency_table(folder: Path, name: str, rows: Sequence[tuple], columns: tuple[str, ...]) -> None:
    """Write ``results/NAME.parquet``; types depend on the columns' names alone."""
    arrays = [pa.array([row[position] for row in rows], _kind(column)) for position, column in enumerate(columns)]
    pq.write_table(pa.table(arrays, names=list(columns)), folder / "results" / f"{name}.parquet")


def _kind(column: str) -> pa.DataType:
    if column in TEXTS:
        return pa.string()
    return KINDS.get(column) or (pa.int64() if column in WHOLE else pa.float64())
