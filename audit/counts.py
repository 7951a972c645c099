"""Counts: the (group x label x predicted) table everything about confusion and fairness is read from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from faces.errors import InputError

OVERALL = ""
"""The name of the attribute whose single group is the whole set."""
CROSS = " × "
"""Joins attribute names, and group names, of an intersection: ``man × asian``."""


@dataclass(frozen=True)
class Counts:
    """``table[g, i, j]``: how many images of group g carry label i and were predicted j; int64 (G, K, K).

    Tables of the same attribute and classes add up: shards, machines and filters just sum them.
    """

    attribute: str
    groups: tuple[str, ...]
    classes: tuple[str, ...]
    table: np.ndarray

    def __post_init__(self) -> None:
        shape = (len(self.groups), len(self.classes), len(self.classes))
        if self.table.shape != shape:
            raise ValueError(f"Counts of {self.attribute!r}: table is {self.table.shape}, expected {shape}")

    @property
    def confusion(self) -> np.ndarray:
        """The matrix summed over groups; int64 (K, K), rows label, columns predicted."""
        return self.table.sum(axis=0)

    @property
    def n(self) -> int:
        return int(self.table.sum())

    def group(self, name: str) -> np.ndarray:
        """The (K, K) matrix of one group; raises InputError naming the groups there are."""
        if name not in self.groups:
            raise InputError(
                f"The group {name!r} is not a value of {self.attribute or 'the whole set'}; "
                f"its groups are: {', '.join(self.groups)}."
            )
        return self.table[self.groups.index(name)]

    def __add__(self, other: Counts) -> Counts:
        """Sum over the union of groups. Raises ValueError where attribute or classes differ."""
        if (self.attribute, self.classes) != (other.attribute, other.classes):
            raise ValueError(f"Counts of {self.attribute!r} and {other.attribute!r} do not add up")
        groups = tuple(sorted({*self.groups, *other.groups}))
        table = np.zeros((len(groups), len(self.classes), len(self.classes)), dtype=np.int64)
        for part in (self, other):
            table[[groups.index(name) for name in part.groups]] += part.table
        return Counts(self.attribute, groups, self.classes, table)

    def frame(self) -> pd.DataFrame:
        """The non-zero cells: attribute, group, label, predicted, n."""
        g, i, j = np.nonzero(self.table)
        classes = np.array(self.classes, dtype=object)
        return pd.DataFrame(
            {
                "attribute": self.attribute,
                "group": np.array(self.groups, dtype=object)[g],
                "label": classes[i],
                "predicted": classes[j],
                "n": self.table[g, i, j],
            }
        )


def count(samples: pd.DataFrame, classes: tuple[str, ...], attributes: tuple[str, ...] = ()) -> Counts:
    """Count ``ok`` rows by label, predicted and the values of ``attributes`` (none: the whole set).

    Rows whose value of any of the attributes is missing are left out of that attribute's table.
    """
    rows = samples[samples["status"] == "ok"] if "status" in samples else samples
    if attributes:
        rows = rows.dropna(subset=list(attributes))
        names = rows[attributes[0]].astype(str)
        for attribute in attributes[1:]:
            names = names + CROSS + rows[attribute].astype(str)
        groups = tuple(sorted(names.unique()))
        group = pd.Categorical(names, categories=groups).codes.astype(np.int64)
    else:
        groups = ("all",)
        group = np.zeros(len(rows), dtype=np.int64)
    k = len(classes)
    label = pd.Categorical(rows["label"], categories=classes).codes.astype(np.int64)
    predicted = pd.Categorical(rows["predicted"], categories=classes).codes.astype(np.int64)
    known = (label >= 0) & (predicted >= 0)
    flat = (group * k + label) * k + predicted
    table = np.bincount(flat[known], minlength=len(groups) * k * k).reshape(len(groups), k, k)
    return Counts(CROSS.join(attributes), groups, tuple(classes), table)
