"""Where a person said that something lies."""

from __future__ import annotations

from pathlib import Path


def place(text: Path | str) -> Path:
    """The path that was typed, ``~`` being a home; as it stands where nobody has that home."""
    path = Path(text)
    try:
        return path.expanduser()
    except RuntimeError:
        return path
