"""JSON that any reader can parse: undefined is null, numbers are plain."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd


def as_json(value: object) -> str:
    """Text of a JSON document; NaN becomes null, numpy numbers plain ones; equal input gives equal text."""
    return json.dumps(plain(value), indent=1, ensure_ascii=False, allow_nan=False)


def plain(value: object) -> object:
    """The same value in JSON's own types: NaN, infinities and missing values become None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value


def records(frame: pd.DataFrame) -> list[dict]:
    """The rows of a table as JSON-safe dicts."""
    return [plain(row) for row in frame.to_dict("records")]  # type: ignore[misc]
