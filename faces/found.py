"""Found: what a reader makes of a path, and how it becomes a FaceDataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from faces.dataset import FaceDataset, PixelSource, Provenance, statuses
from faces.emotions import LabelSet, canonical
from faces.errors import InputError

EXPECTED = (
    "a folder or archive laid out as SPLIT/LABEL/file or LABEL/file, a FER-2013 CSV, or a manifest CSV or Parquet "
    "with a path and a label column was expected"
)


@dataclass(frozen=True)
class Found:
    """What a reader makes of a path, before labels become classes.

    ``rows`` has ``sample_id``, ``path``, ``split`` and ``label`` as written (None where missing), ``unreadable`` (the
    file is known to be no image), then any columns of attributes, ``votes_*`` and ``subject_id``. ``classes`` are
    judged by where the layout carries no labels at all, ``published`` whatever labels were met; ``numbers`` is what
    labels that are numbers were read as.
    """

    kind: str
    path: Path
    rows: pd.DataFrame
    pixels: PixelSource
    fingerprint: str
    attributes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    published: tuple[str, ...] = ()

    def dataset(self, classes: LabelSet | None = None) -> FaceDataset:
        """The rows judged by ``classes``; by default ``published``, or the labels met. Raises InputError."""
        samples = self.rows.drop(columns="unreadable").reset_index(drop=True)
        if samples.empty:
            raise InputError(f"{self.path} holds no images; {EXPECTED}: check the path.")
        for name in ("split", "label"):
            samples[name] = pd.Series([clean(value) for value in samples[name]], dtype=object)
        spelling = {name: canonical(name) for name in samples["label"].dropna().unique()}
        samples["label"] = samples["label"].map(spelling).astype(object)
        samples["label"] = samples["label"].where(samples["label"].notna(), None)
        labels = classes or self._classes(set(spelling.values()))
        status = statuses(samples["label"], labels, self.rows["unreadable"].reset_index(drop=True))
        samples.insert(4, "status", status)
        provenance = Provenance(self.kind, self.path.resolve(), self.fingerprint, numbers=self.numbers)
        return FaceDataset(samples, labels, self.pixels, provenance, self.attributes, self.notes)

    def _classes(self, names: set[str]) -> LabelSet:
        if names and self.published:
            return LabelSet(self.published)
        if not names and self.classes:
            return LabelSet(self.classes)
        if len(names) < 2:
            read = f"{self.path} was read as {self.kind}"
            if names:
                raise InputError(
                    f"{read} and all its {len(self.rows)} images are labelled {names.pop()!r}; at least two classes "
                    "are needed: name all of them with --classes a,b,.., or give data with more labels."
                )
            raise InputError(f"{read} and none of its {len(self.rows)} images has a label; {EXPECTED}: check the path.")
        return LabelSet.of(names)


def clean(value: object) -> str | None:
    """A cell as stripped text; None where it is missing or empty."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return str(value).strip() or None
