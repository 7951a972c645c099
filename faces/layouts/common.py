"""What the readers of published layouts share."""

from __future__ import annotations

import pandas as pd

from faces.errors import InputError, UnreadableImage
from faces.image_folder import IMAGE_ENDINGS, ending
from faces.trees import MAX_LIST_BYTES, Tree

ENOUGH = 0.8
"""The share of images whose names must fit a layout; every published set has a few that do not."""


def images(tree: Tree) -> list[str]:
    """Names of the files that end as images do."""
    return [name for name in tree.sizes if ending(name) in IMAGE_ENDINGS]


def base(name: str) -> str:
    """``b.jpg`` of ``a/b.jpg``."""
    return name.rsplit("/", 1)[-1]


def whole_list(tree: Tree, name: str) -> bytes:
    """The bytes of a list of labels, larger than any picture perhaps. Raises InputError where it cannot be read."""
    try:
        return tree.data(name, MAX_LIST_BYTES)
    except UnreadableImage as reason:
        raise InputError(
            f"The list {name} in {tree.path} cannot be read ({reason}), and it holds the labels; a whole file was "
            "expected: copy or download the data again."
        ) from None


def annotation(tree: Tree, name: str | None) -> bytes:
    """The bytes of what is noted of one image; none where there is no such file or it is damaged."""
    try:
        return tree.data(name) if name else b""
    except UnreadableImage:
        return b""


def lines(data: bytes) -> list[str]:
    """The lines of a text that are not blank."""
    return [line.strip() for line in data.decode("utf-8-sig", "replace").splitlines() if line.strip()]


def others(kind: str, names: list[str], what: str = "") -> tuple[str, ...]:
    """A note on the images whose names are not those of the data set, none where there are none."""
    first = ", ".join(base(name) for name in names[:3])
    return (f"{len(names)} images have names that are not {kind}'s{what}: {first}.",) if names else ()


def texts(values: list[str | None]) -> pd.Series:
    """A column of names, missing as None."""
    return pd.Series(values, dtype=object)
