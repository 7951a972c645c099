"""Ids of what every page shares."""

from __future__ import annotations

from enum import StrEnum


class Shell(StrEnum):
    """Components around the pages."""

    URL = "url"
    THEME = "theme"
    NAV = "nav"
    MAIN = "main"
    TOGGLE = "theme-toggle"
    HELP = "help"


def control(name: str, default: str = "") -> dict[str, str]:
    """Id of an input whose value stands in the address under ``name``, left out where it is ``default``."""
    return {"control": name, "default": default}


def figure(name: str, to: str = "") -> dict[str, str]:
    """Id of a figure; a click on a mark goes to the page ``to`` with the mark's own names (empty: nowhere)."""
    return {"figure": name, "to": to}
