"""open_dataset(path): one reader per layout, in plain dicts; the first that recognises the data reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from faces.attributes import join_metadata, read_table
from faces.dataset import FaceDataset
from faces.emotions import LabelSet
from faces.errors import InputError
from faces.found import EXPECTED, Found
from faces.layouts.affectnet import read_affectnet, read_affectnet_csv
from faces.layouts.ckplus import read_ckplus
from faces.layouts.coded_names import read_folders, read_jaffe, read_kdef, read_utkface
from faces.layouts.expw import read_expw
from faces.layouts.rafdb import read_rafdb
from faces.numbers import are_numbers, named
from faces.tables import read_fer_csv, read_manifest
from faces.trees import Tree, open_tree

TREE_READERS: dict[str, Callable[[Tree], Found | None]] = {
    "RAF-DB": read_rafdb,
    "AffectNet": read_affectnet,
    "CK+": read_ckplus,
    "ExpW": read_expw,
    "JAFFE": read_jaffe,
    "KDEF": read_kdef,
    "UTKFace": read_utkface,
    "image folder": read_folders,
}
"""For folders and archives, most particular first; a reader answers None where the layout is not its own."""

TABLES = (".csv", ".tsv", ".parquet")


def open_dataset(
    path: Path | str,
    metadata: Path | str | None = None,
    label: str | None = None,
    classes: LabelSet | None = None,
    numbers: LabelSet | None = None,
) -> FaceDataset:
    """Labelled faces from a folder, a .zip, .tar or .tar.gz, a FER-2013 CSV, or a manifest CSV or Parquet.

    ``metadata`` is a sidecar of attributes and votes to join (see faces.attributes.join_metadata); ``label`` names a
    manifest's label column where it is not label or emotion; ``classes`` are those to judge by (by default all labels
    met, or those that the layout publishes); ``numbers`` names labels that are numbers, a manifest's or all folders',
    in their order (by default ``classes``). No pixels are read. Raises InputError.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"The data {path} does not exist; {EXPECTED}: check the path.")
    if label is not None and (path.suffix.lower() not in TABLES or path.is_dir()):
        raise InputError(
            f"The label column {label!r} was named but {path} is no table; leave it out, or pass a manifest."
        )
    table = path.suffix.lower() in TABLES and not path.is_dir()
    order = numbers or classes
    found = _read_table(path, label, order) if table else _name_folders(_read_tree(path), order)
    dataset = found.dataset(classes)
    dataset = replace(dataset, provenance=replace(dataset.provenance, label=label))
    return dataset if metadata is None else join_metadata(dataset, metadata)


def _read_tree(path: Path) -> Found:
    tree = open_tree(path)
    for reader in TREE_READERS.values():
        found = reader(tree)
        if found is not None:
            return found
    raise InputError(f"{path} holds no images in a known layout; {EXPECTED}: check the path.")


def _name_folders(found: Found, numbers: LabelSet | None) -> Found:
    """An image folder whose labels are all numbers, with the names they stand for."""
    labels = found.rows["label"]
    met = set(labels.dropna())
    if numbers is None or found.kind != "image folder" or are_numbers(numbers):
        return found
    if not met or not all(label.isdecimal() for label in met):
        return found
    names, notes = named(f"The name of a folder in {found.path}", pd.to_numeric(labels), numbers)
    rows = found.rows.assign(label=pd.Series(names, dtype=object))
    return replace(found, rows=rows, notes=(*found.notes, *notes), numbers=numbers.names)


def _read_table(path: Path, label: str | None, numbers: LabelSet | None) -> Found:
    if label is None and path.suffix.lower() == ".csv":
        found = read_fer_csv(path) or read_affectnet_csv(path)
        if found is not None:
            return found
    return read_manifest(path, read_table(path), label, numbers)
