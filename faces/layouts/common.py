"""What the readers of published layouts share."""

from __future__ import annotations

import pandas as pd

from faces.image_folder import IMAGE_ENDINGS, ending
from faces.trees import Tree


def images(tree: Tree) -> list[str]:
    """Names of the files that end as images do."""
    return [name for name in tree.sizes if ending(name) in IMAGE_ENDINGS]


def base(name: str) -> str:
    """``b.jpg`` of ``a/b.jpg``."""
    return name.rsplit("/", 1)[-1]


def lines(tree: Tree, name: str) -> list[str]:
    """The lines of a text file that are not blank."""
    return [line.strip() for line in tree.data(name).decode("utf-8-sig", "replace").splitlines() if line.strip()]


def texts(values: list[str | None]) -> pd.Series:
    """A column of names, missing as None."""
    return pd.Series(values, dtype=object)
