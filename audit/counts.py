"""Counts: the (group x label x predicted) table everything about confusion and fairness is read from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import pandas as pd

from faces.errors import InputError

OVERALL = ""
"""The name of the attribute whose single group is the whole set."""
CROSS = " × "
"""Joins attribute names, and group names, of an intersection: ``man × asian``."""
CROSSED = 2
"""So many attributes are crossed at most, unless a run asks for more."""
RANKS = ("1", "2", "3+")
"""The last axis of a rank table: where the label stands among the probabilities of its image."""
BIN_FIELDS = ("n", "correct", "confidence")
"""The last axis of a bin table: images, images predicted right, and the sum of their confidences."""
BINS = 15


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sorts group names as people do, numbers by their size: ``3-9`` before ``10-19``; no two names are equal."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return [*((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts), (-1, 0, name)]


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

    @property
    def sizes(self) -> np.ndarray:
        """Images in each group; int64 (G,)."""
        return self.table.sum(axis=(1, 2))

    @property
    def correct(self) -> np.ndarray:
        """Images predicted as labelled, by group and label; int64 (G, K)."""
        return np.diagonal(self.table, axis1=1, axis2=2)

    @property
    def labelled(self) -> np.ndarray:
        """Images by group and label; int64 (G, K)."""
        return self.table.sum(axis=2)

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
        groups, table = _add(self.groups, self.table, other.groups, other.table)
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

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, attribute: str, classes: tuple[str, ...]) -> Counts:
        """The inverse of :meth:`frame`, from a frame that may hold other attributes too (``results/counts``)."""
        rows = frame[frame["attribute"] == attribute]
        groups = tuple(sorted(rows["group"].unique(), key=natural))
        table = np.zeros((len(groups), len(classes), len(classes)), dtype=np.int64)
        cells = [
            pd.Categorical(rows[name], categories=names).codes
            for name, names in (("group", groups), ("label", classes), ("predicted", classes))
        ]
        np.add.at(table, tuple(cells), rows["n"].to_numpy())
        return cls(attribute, groups, tuple(classes), table)


@dataclass(frozen=True)
class Tally:
    """A sister of Counts: sums by group over any further axes, ``table`` (G, ...), that add up the same way."""

    attribute: str
    groups: tuple[str, ...]
    table: np.ndarray

    def __add__(self, other: Tally) -> Tally:
        """Sum over the union of groups. Raises ValueError where attribute or the further axes differ."""
        if self.attribute != other.attribute or self.table.shape[1:] != other.table.shape[1:]:
            raise ValueError(f"Tallies of {self.attribute!r} and {other.attribute!r} do not add up")
        return Tally(self.attribute, *_add(self.groups, self.table, other.groups, other.table))


def _add(
    first: tuple[str, ...], left: np.ndarray, second: tuple[str, ...], right: np.ndarray
) -> tuple[tuple[str, ...], np.ndarray]:
    groups = tuple(sorted({*first, *second}, key=natural))
    table = np.zeros((len(groups), *left.shape[1:]), dtype=np.result_type(left, right))
    for names, part in ((first, left), (second, right)):
        table[[groups.index(name) for name in names]] += part
    return groups, table


@dataclass(frozen=True)
class Coded:
    """The countable rows of a samples table as integers, so that many tables are counted without reading names again.

    Row i of every array is the same image. ``label`` and ``predicted`` int (N,) are class positions; ``values`` maps
    an attribute to its group names and an int (N,) of positions, -1 where missing; ``rank`` int (N,) is 0, 1 or 2
    (see RANKS); ``confidence`` float (N,) is 0..1; both are None where there are no probabilities. ``rows`` int (N,)
    are positions in the samples table.
    """

    classes: tuple[str, ...]
    label: np.ndarray
    predicted: np.ndarray
    values: dict[str, tuple[tuple[str, ...], np.ndarray]]
    rank: np.ndarray | None = None
    confidence: np.ndarray | None = None
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @classmethod
    def of(
        cls,
        samples: pd.DataFrame,
        classes: Iterable[str],
        attributes: Iterable[str] = (),
        probabilities: np.ndarray | None = None,
    ) -> Coded:
        """Encode the rows whose status is ``ok`` and whose label and prediction are among ``classes``.

        ``probabilities`` (N, K) has a row for each row of ``samples``; all-NaN means that there are none.
        """
        classes = tuple(classes)
        label, predicted = (pd.Index(classes).get_indexer(samples[name]) for name in ("label", "predicted"))
        keep = (label >= 0) & (predicted >= 0)
        if "status" in samples:
            keep &= (samples["status"] == "ok").to_numpy(dtype=bool)
        values = {attribute: _encode(samples[attribute], keep) for attribute in attributes}
        rank = confidence = None
        if probabilities is not None and np.isfinite(probabilities[keep]).all() and keep.any():
            scores = np.asarray(probabilities)[keep]
            rank = label_rank(scores, label[keep], predicted[keep])
            confidence = scores.max(axis=1).astype(np.float64)
        return cls(classes, label[keep], predicted[keep], values, rank, confidence, np.flatnonzero(keep))

    def __len__(self) -> int:
        return len(self.label)

    def where(self, keep: np.ndarray) -> Coded:
        """The rows of a boolean mask (N,); groups keep their names, so tables of parts add up."""
        return Coded(
            self.classes,
            self.label[keep],
            self.predicted[keep],
            {name: (groups, codes[keep]) for name, (groups, codes) in self.values.items()},
            None if self.rank is None else self.rank[keep],
            None if self.confidence is None else self.confidence[keep],
            self.rows[keep] if len(self.rows) else self.rows,
        )

    def grouping(self, attributes: tuple[str, ...] = ()) -> tuple[tuple[str, ...], np.ndarray]:
        """Group names that occur, in natural order, and each row's position among them (-1: a value is missing)."""
        if not attributes:
            return ("all",), np.zeros(len(self), dtype=np.int64)
        names, codes = self.values[attributes[0]]
        for attribute in attributes[1:]:
            more, extra = self.values[attribute]
            names = tuple(f"{left}{CROSS}{right}" for left in names for right in more)
            codes = np.where((codes < 0) | (extra < 0), -1, codes * len(more) + extra)
        present = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(names)))
        order = sorted(present, key=lambda position: natural(names[position]))
        position = np.full(len(names) + 1, -1, dtype=np.int64)
        position[order] = np.arange(len(order))
        return tuple(names[index] for index in order), position[codes]

    def counts(self, attributes: tuple[str, ...] = ()) -> Counts:
        """The Counts of one attribute, or of the intersection of several (none: the whole set)."""
        k = len(self.classes)
        groups, table = self._sum(attributes, self.label * k + self.predicted, k * k)
        return Counts(CROSS.join(attributes), groups, self.classes, table.reshape(-1, k, k))

    def ranks(self, attributes: tuple[str, ...] = ()) -> Tally | None:
        """int64 (G, K, 3): images by group, label and the label's rank; None without probabilities."""
        if self.rank is None:
            return None
        groups, table = self._sum(attributes, self.label * len(RANKS) + self.rank, len(self.classes) * len(RANKS))
        return Tally(CROSS.join(attributes), groups, table.reshape(-1, len(self.classes), len(RANKS)))

    def bins(self, attributes: tuple[str, ...] = (), bins: int = BINS) -> Tally | None:
        """float64 (G, bins, 3): images, correct and summed confidence in equal-width bins of the confidence."""
        if self.confidence is None:
            return None
        which = np.minimum((self.confidence * bins).astype(np.int64), bins - 1)
        correct = (self.label == self.predicted).astype(np.float64)
        fields = [self._sum(attributes, which, bins, weight) for weight in (None, correct, self.confidence)]
        return Tally(CROSS.join(attributes), fields[0][0], np.stack([table for _, table in fields], axis=-1))

    def mean(self, values: np.ndarray, attributes: tuple[str, ...] = ()) -> np.ndarray:
        """Mean of ``values`` float (N,) by group, leaving out NaN; float64 (G,), NaN where there is none."""
        groups, group = self.grouping(attributes)
        known = (group >= 0) & ~np.isnan(values)
        n = np.bincount(group[known], minlength=len(groups))
        total = np.bincount(group[known], values[known], minlength=len(groups))
        return np.divide(total, n, out=np.full(len(groups), np.nan), where=n > 0)

    def _sum(
        self, attributes: tuple[str, ...], cell: np.ndarray, cells: int, weight: np.ndarray | None = None
    ) -> tuple[tuple[str, ...], np.ndarray]:
        groups, group = self.grouping(attributes)
        known = group >= 0
        flat = group[known] * cells + cell[known]
        weights = None if weight is None else weight[known]
        return groups, np.bincount(flat, weights, minlength=len(groups) * cells).reshape(len(groups), cells)


def _encode(column: pd.Series, keep: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    codes, names = pd.factorize(column[keep], sort=False)
    return tuple(str(name) for name in names), codes.astype(np.int64)


def label_rank(probabilities: np.ndarray, label: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Where each label stands among its image's probabilities (N, K): 0 first, 1 second, 2 third or later.

    Ties go to the class that stands first, and the predicted class is always first.
    """
    own = np.take_along_axis(probabilities, label[:, None], axis=1)
    earlier = np.arange(probabilities.shape[1])[None, :] < label[:, None]
    above = ((probabilities > own) | ((probabilities == own) & earlier)).sum(axis=1)
    above = np.where(label == predicted, 0, np.maximum(above, 1))
    return np.minimum(above, len(RANKS) - 1)


def count(samples: pd.DataFrame, classes: tuple[str, ...], attributes: tuple[str, ...] = ()) -> Counts:
    """Count ``ok`` rows by label, predicted and the values of ``attributes`` (none: the whole set).

    Rows whose value of any of the attributes is missing are left out of that attribute's table.
    """
    return Coded.of(samples, classes, attributes).counts(attributes)


def attribute_sets(attributes: Iterable[str], order: int = CROSSED) -> tuple[tuple[str, ...], ...]:
    """Each attribute alone, then each intersection of up to ``order`` of them, in the order given."""
    names = tuple(attributes)
    return tuple(chosen for size in range(1, order + 1) for chosen in combinations(names, size))
