"""Labelled faces decoded once and held as one uint8 array, with soft targets and identities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from faces.dataset import FaceDataset
from faces.emotions import LabelSet
from faces.errors import InputError, UnreadableImage
from faces.pixels import content_id
from models.classifier import Preprocessing


@dataclass(frozen=True)
class Faces:
    """``images`` uint8 (N, C, H, W); ``targets`` float32 (N, K), rows summing to 1; ``samples`` the N table rows.

    ``content`` holds the N content_ids (hex). ``skipped`` counts rows that were left out: without a usable label or
    unreadable.
    """

    images: torch.Tensor
    targets: torch.Tensor
    content: np.ndarray
    samples: pd.DataFrame
    labels: LabelSet
    skipped: int

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: np.ndarray) -> Faces:
        """The given rows, in that order."""
        index = torch.from_numpy(np.asarray(rows, dtype=np.int64))
        samples = self.samples.iloc[rows].reset_index(drop=True)
        return Faces(self.images[index], self.targets[index], self.content[rows], samples, self.labels, 0)

    def only(self, labels: LabelSet) -> Faces:
        """The rows whose likeliest class is in ``labels``, with targets over those classes alone.

        Raises InputError naming a class that there is not.
        """
        columns = [self.labels.index(name) for name in labels]
        rows = np.flatnonzero(np.isin(self.classes, columns))
        kept = self.take(rows)
        targets = kept.targets[:, columns] / kept.targets[:, columns].sum(dim=1, keepdim=True)
        return replace(kept, targets=targets, labels=labels, skipped=self.skipped + len(self) - len(rows))

    @property
    def classes(self) -> np.ndarray:
        """The likeliest class of each target; int64 (N,)."""
        return self.targets.argmax(dim=1).numpy()

    @property
    def groups(self) -> np.ndarray:
        """int64 (N,): equal for images that must stay on one side: same content, or same ``subject_id``."""
        columns = [self.content]
        if "subject_id" in self.samples:
            rows = self.samples["subject_id"]
            columns.append(np.where(rows.isna(), [f"row {i}" for i in range(len(rows))], rows.astype(str)))
        return _linked(columns)


def in_memory(dataset: FaceDataset, labels: LabelSet, preprocessing: Preprocessing) -> Faces:
    """Decode every usable row of ``dataset`` to the input's size; the soft target of a row is one-hot.

    Rows whose label is not in ``labels`` are left out. Raises InputError where nothing is left.
    """
    codes = labels.encode(dataset.samples["label"])
    rows = np.flatnonzero((codes >= 0) & (dataset.samples["status"] == "ok").to_numpy())
    size = (len(rows), preprocessing.height, preprocessing.width, preprocessing.channels)
    pixels = np.empty(size, dtype=np.uint8)
    content: list[str] = []
    kept: list[int] = []
    for row, image in dataset.stream(rows):
        if isinstance(image, UnreadableImage):
            continue
        pixels[len(kept)] = preprocessing.fit(image)
        content.append(content_id(image))
        kept.append(row)
    if not kept:
        raise InputError(
            f"{dataset.provenance.path} has no readable image labelled {', '.join(labels)}; check labels and split."
        )
    images = torch.from_numpy(pixels[: len(kept)]).permute(0, 3, 1, 2).contiguous()
    targets = torch.nn.functional.one_hot(torch.from_numpy(codes[kept].astype(np.int64)), len(labels)).float()
    samples = dataset.samples.iloc[kept].reset_index(drop=True)
    return Faces(images, targets, np.array(content), samples, labels, len(dataset) - len(kept))


def joined(parts: Sequence[Faces]) -> Faces:
    """Faces of several data sets with the same labels, one after the other."""
    return Faces(
        torch.cat([part.images for part in parts]),
        torch.cat([part.targets for part in parts]),
        np.concatenate([part.content for part in parts]),
        pd.concat([part.samples for part in parts], ignore_index=True),
        parts[0].labels,
        sum(part.skipped for part in parts),
    )


def _linked(columns: list[np.ndarray]) -> np.ndarray:
    """Components of rows that share a value in any column; int64 (N,)."""
    n = len(columns[0])
    rows, values, offset = [], [], n
    for column in columns:
        codes, unique = pd.factorize(column)
        rows.append(np.arange(n))
        values.append(codes + offset)
        offset += len(unique)
    row, value = np.concatenate(rows), np.concatenate(values)
    graph = coo_array((np.ones(len(row), dtype=np.int8), (row, value)), shape=(offset, offset))
    return connected_components(graph, directed=False)[1][:n].astype(np.int64)
