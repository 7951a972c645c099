"""The data alone: composition, unreadable files, duplicates, leakage, representation and stereotypes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from audit.counts import natural
from audit.duplicates import exact_groups
from audit.jsonsafe import plain, records
from audit.representation import Representation, Stereotype, local_stereotypes, representation, stereotype
from faces.attributes import attribute_columns, attribute_values, categories, read_table
from faces.dataset import OK, UNKNOWN_LABEL, UNLABELLED, UNREADABLE, FaceDataset
from faces.emotions import LabelSet, canonical
from faces.errors import InputError, UnreadableImage
from faces.pixels import content_id
from faces.readers import TABLES, open_dataset
from faces.tables import find_label_column, label_names, names_images


@dataclass(frozen=True)
class Duplicates:
    """Exact duplicates by decoded pixels: groups, images in them, groups whose labels differ or that cross splits."""

    groups: int
    images: int
    conflicting: int
    across_splits: int


@dataclass(frozen=True)
class DataAudit:
    """What is known of labelled faces before any classifier sees them.

    ``unreadable`` maps sample ids to reasons; it and ``duplicates`` are None where a table gave no pictures.
    ``composition`` counts images by split, label and status. ``local`` has one row a group and class.
    """

    n: int
    classes: tuple[str, ...]
    composition: pd.DataFrame
    unreadable: dict[str, str] | None
    duplicates: Duplicates | None
    representation: tuple[Representation, ...]
    stereotypes: tuple[Stereotype, ...]
    local: pd.DataFrame
    notes: tuple[str, ...] = ()

    def json(self) -> dict:
        """What ``facevalue inspect --json`` prints."""
        nothing = dict.fromkeys(Duplicates.__dataclass_fields__)
        return {
            "n": self.n,
            "classes": list(self.classes),
            "unreadable": None if self.unreadable is None else len(self.unreadable),
            "duplicates": nothing if self.duplicates is None else asdict(self.duplicates),
            "representation": [plain(asdict(entry)) for entry in self.representation],
            "stereotypes": [plain(asdict(entry)) for entry in self.stereotypes],
            "local": records(self.local),
            "composition": records(self.composition),
            "unreadable_files": self.unreadable or {},
            "notes": list(self.notes),
        }


def inspect_path(
    path: Path | str,
    metadata: Path | str | None = None,
    label: str | None = None,
    attributes: Sequence[str] | None = None,
    classes: LabelSet | None = None,
) -> DataAudit:
    """Inspect whatever ``path`` is: faces in any layout, or a table of labels and attributes without pictures.

    ``classes`` are those to judge by, in the order of their numbers where labels are numbers.
    Raises InputError as open_dataset and the two functions below do.
    """
    path = Path(path)
    if path.suffix.lower() in TABLES and path.is_file() and metadata is None and not names_images(path):
        return inspect_table(path, label, attributes, classes)
    return inspect(open_dataset(path, metadata, label, classes), attributes)


def inspect(dataset: FaceDataset, attributes: Sequence[str] | None = None) -> DataAudit:
    """Read every picture once. ``attributes`` are columns of the data set; by default all it has. Raises InputError."""
    samples = dataset.samples.copy()
    chosen = _chosen(attributes, dataset.attributes, str(dataset.provenance.path))
    ids: list[str | None] = []
    unreadable: dict[str, str] = {}
    for row, image in dataset.stream(range(len(dataset))):
        if isinstance(image, UnreadableImage):
            unreadable[samples["sample_id"].iat[row]] = str(image)
            ids.append(None)
        else:
            ids.append(content_id(image))
    samples["content_id"] = pd.Series(ids, dtype=object)
    samples.loc[samples["content_id"].isna(), "status"] = UNREADABLE
    return _describe(samples, dataset.labels.names, chosen, unreadable, _duplicates(samples), dataset.notes)


def inspect_table(
    path: Path | str,
    label: str | None = None,
    attributes: Sequence[str] | None = None,
    classes: LabelSet | None = None,
) -> DataAudit:
    """A .csv or .parquet with a label column and attribute columns; no pictures are needed.

    By default every column that reads as an attribute is taken, and every label met is a class. Raises InputError
    naming the columns there are.
    """
    path = Path(path)
    table = read_table(path)
    column = find_label_column(path, table, label)
    if attributes is None:
        found, chosen, notes = attribute_columns(table.drop(columns=[column]))
    else:
        chosen, notes = _chosen(attributes, list(table.columns), str(path)), ()
        found = {name: attribute_values(table[name]) for name in chosen}
    if table.empty:
        raise InputError(f"The table {path} has no rows below its header; one row an image was expected.")
    written = label_names(path, table[column], classes) if classes else categories(table[column])
    labels = pd.Series(written, dtype=object).map(lambda name: canonical(name) if name else None).astype(object)
    met = set(labels.dropna())
    names = classes.names if classes else LabelSet.of(met).names if len(met) > 1 else tuple(met)
    status = np.where(labels.isna(), UNLABELLED, np.where(labels.isin(names), OK, UNKNOWN_LABEL))
    samples = pd.DataFrame({"split": None, "label": labels, "status": status, **{name: found[name] for name in chosen}})
    return _describe(samples, names, chosen, None, None, notes)


def _chosen(wanted: Sequence[str] | None, known: Sequence[str], where: str) -> tuple[str, ...]:
    missing = [name for name in wanted or () if name not in known]
    if missing:
        raise InputError(
            f"The attribute {missing[0]!r} is not in {where}; it has: {', '.join(known) or 'none'}: name one of those, "
            "or join a table that has it with --metadata."
        )
    return tuple(dict.fromkeys(known if wanted is None else wanted))


def _duplicates(samples: pd.DataFrame) -> Duplicates:
    rows = exact_groups(samples)
    groups = rows.drop_duplicates("duplicate_group")
    return Duplicates(len(groups), len(rows), int(groups["conflicting"].sum()), int(groups["across_splits"].sum()))


def _describe(
    samples: pd.DataFrame,
    classes: tuple[str, ...],
    attributes: tuple[str, ...],
    unreadable: dict[str, str] | None,
    duplicates: Duplicates | None,
    notes: tuple[str, ...],
) -> DataAudit:
    seen = samples[samples["status"] != UNREADABLE]
    known = samples[samples["status"] == OK]
    present, together, local = [], [], []
    for name in attributes:
        present.append(representation(name, seen[name].value_counts().to_numpy()))
        groups = tuple(sorted(known[name].dropna().unique(), key=natural))
        table = _crosstab(known, name, groups, classes)
        together.append(stereotype(name, table))
        local.append(local_stereotypes(name, groups, classes, table))
    empty = local_stereotypes("", (), classes, np.zeros((0, len(classes)), dtype=np.int64))
    composition = samples.groupby(["split", "label", "status"], dropna=False, sort=True).size().reset_index(name="n")
    return DataAudit(
        n=len(samples),
        classes=classes,
        composition=composition.astype(dict.fromkeys(("split", "label", "status"), object)),
        unreadable=unreadable,
        duplicates=duplicates,
        representation=tuple(present),
        stereotypes=tuple(together),
        local=pd.concat(local, ignore_index=True) if local else empty,
        notes=notes,
    )


def _crosstab(samples: pd.DataFrame, attribute: str, groups: tuple[str, ...], classes: tuple[str, ...]) -> np.ndarray:
    """How many images by group and class; int64 (G, K)."""
    group = pd.Categorical(samples[attribute], categories=groups).codes.astype(np.int64)
    label = pd.Categorical(samples["label"], categories=classes).codes.astype(np.int64)
    both = (group >= 0) & (label >= 0)
    flat = group[both] * len(classes) + label[both]
    return np.bincount(flat, minlength=len(groups) * len(classes)).reshape(len(groups), len(classes))
