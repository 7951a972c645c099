"""FaceDataset: a table of labelled face images and a way to read their pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from faces.emotions import LabelSet
from faces.errors import InputError, UnreadableImage

OK, UNLABELLED, UNKNOWN_LABEL, UNREADABLE = "ok", "unlabelled", "unknown label", "unreadable"
NO_PREDICTION = "no prediction among the classes"
"""Values of the ``status`` column: only ``ok`` rows enter Counts; the others stay and are counted in a finding."""


class PixelSource(Protocol):
    """Reads one image by its ``sample_id``; safe to call from several threads."""

    def read(self, sample_id: str) -> np.ndarray:
        """uint8 (H, W, C), C = 1 (grey) or 3 (RGB). Raises UnreadableImage with the reason."""
        ...


@dataclass(frozen=True)
class Provenance:
    """Where the data came from: ``kind`` names the reader, ``fingerprint`` changes when the data changes.

    ``metadata`` is the sidecar that was joined, if any; it is not part of the fingerprint. ``label`` is the label
    column that a person named, ``numbers`` what its numbers mean, in order, where it holds numbers.
    """

    kind: str
    path: Path
    fingerprint: str
    metadata: Path | None = None
    label: str | None = None
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True)
class FaceDataset:
    """Labelled faces.

    ``samples`` has a RangeIndex and one row an image: ``sample_id`` (unique), ``path``, ``split`` (str or None),
    ``label`` (canonical name or None), ``status``, then one column for each name in ``attributes`` (categories as
    str, missing as None), then any ``votes_*`` columns, and ``subject_id`` where the layout knows it.
    ``notes`` are sentences a person should read (how many metadata rows matched, which columns were left out);
    ``limit`` is the number of rows it was cut down to, None where it was not.
    """

    samples: pd.DataFrame
    labels: LabelSet
    pixels: PixelSource
    provenance: Provenance
    attributes: tuple[str, ...] = ()
    notes: tuple[str, ...] = field(default=())
    limit: int | None = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the parts there are, in order of first appearance."""
        return tuple(name for name in self.samples["split"].dropna().unique())

    def select(self, split: str | None = None, limit: int | None = None) -> FaceDataset:
        """The rows of one part (case-insensitive; train/Training, test/PublicTest are the same), or ``limit`` of them.

        A limit takes rows evenly over the part, in order, since the first rows of a folder all bear one label.
        Raises InputError naming the parts there are.
        """
        samples = self.samples
        if split is not None:
            wanted = split_name(split)
            keep = samples["split"].map(lambda name: split_name(name) == wanted if isinstance(name, str) else False)
            if not keep.any():
                known = ", ".join(self.splits) or "none (the data is not divided)"
                raise InputError(
                    f"The split {split!r} is not in {self.provenance.path}; its splits are: {known}: pass one of them."
                )
            samples = samples[keep]
        if limit is not None:
            if limit < 1:
                raise InputError(f"The limit {limit} is not a number of images; pass 1 or more.")
            taken = min(limit, len(samples))
            samples = samples.iloc[np.arange(taken) * len(samples) // taken] if taken else samples
        return replace(self, samples=samples.reset_index(drop=True), limit=limit or self.limit)

    def with_classes(self, labels: LabelSet) -> FaceDataset:
        """The same rows judged by other classes: a label outside them has the status ``unknown label``."""
        samples = self.samples.copy()
        samples["status"] = statuses(samples["label"], labels, samples["status"] == UNREADABLE)
        return replace(self, samples=samples, labels=labels)

    def read(self, row: int) -> np.ndarray:
        """Pixels of one row: uint8 (H, W, C), C = 1 or 3 (RGB). Raises UnreadableImage."""
        return self.pixels.read(self.samples["sample_id"].iat[row])

    def stream(self, rows: Iterable[int]) -> Iterator[tuple[int, np.ndarray | UnreadableImage]]:
        """Decode rows ahead in threads and yield ``(row, pixels or the reason)`` in the order asked for."""
        from faces.pixels import decode_ahead

        yield from decode_ahead(self, rows)


def statuses(label: pd.Series, labels: LabelSet, unreadable: pd.Series) -> np.ndarray:
    """The ``status`` of each row, from its label (canonical or None) and whether its file is known to be no image."""
    known = np.where(label.isin(labels.names), OK, np.where(label.isna(), UNLABELLED, UNKNOWN_LABEL))
    return np.where(unreadable, UNREADABLE, known).astype(object)


SPLIT_ALIASES = {
    "training": "train",
    "publictest": "test",
    "testing": "test",
    "privatetest": "privatetest",
    "validation": "val",
    "valid": "val",
    "dev": "val",
}


def split_name(name: str) -> str:
    """One spelling for a part's name, for comparison: ``Training`` and ``train`` are ``train``."""
    lowered = name.strip().lower()
    return SPLIT_ALIASES.get(lowered, lowered)
