"""HTML attributes whose names Python cannot spell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dash.development.base_component import Component

Child = str | int | float | Component | None
Children = Child | Sequence[Child]
"""What a component can hold."""


def aria(**values: str) -> dict[str, Any]:
    """``aria(label="Pages")`` as ``aria-label``, to be passed on with ``**``."""
    return {f"aria-{name}": value for name, value in values.items()}


def data(**values: str) -> dict[str, Any]:
    """``data(scale="viridis")`` as ``data-scale``, to be passed on with ``**``."""
    return {f"data-{name}": value for name, value in values.items()}
