"""AffectNet (Mollahosseini, Hasani and Mahoor 2017): CSV lists with face boxes, or an .npy file an image."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pandas as pd

from faces.emotions import PUBLISHED_ORDERS
from faces.errors import InputError, UnreadableImage
from faces.found import Found
from faces.image_folder import rows_of
from faces.layouts.common import base, images
from faces.pixels import Box, TreePixels
from faces.tables import file_hash, unique_ids
from faces.trees import LooseFiles, Tree

LABELS = dict(enumerate((*PUBLISHED_ORDERS["AffectNet"], "none", "uncertain", "non-face")))
COLUMNS = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks", "expression",
    "valence", "arousal",
)  # fmt: skip
PARTS = {"training.csv": "train", "validation.csv": "val", "automatically_annotated.csv": "automatic"}
PICTURES = ("Manually_Annotated_Images", "Automatically_Annotated_Images")
ANNOTATION = re.compile(r"^(?:(?P<folder>.*)/)?annotations/(?P<image>[^/]+)_exp\.npy$")


def read_affectnet(tree: Tree) -> Found | None:
    """Either form of the data set, see the two readers below; None where it is neither."""
    return _read_npy(tree) or _read_csv(tree)


def _read_npy(tree: Tree) -> Found | None:
    """``train_set/images/0.jpg`` with ``train_set/annotations/0_exp.npy``; pictures are cropped already."""
    found = [(name, match) for name in tree.sizes if (match := ANNOTATION.match(name))]
    if not found:
        return None
    files = {name.rsplit(".", 1)[0]: name for name in images(tree)}
    ids, splits, labels, unreadable = [], [], [], []
    for name, match in found:
        folder = match["folder"] or ""
        stem = f"{folder}/images/{match['image']}".lstrip("/")
        ids.append(files.get(stem, stem + ".jpg"))
        splits.append(base(folder).lower().removesuffix("_set") or None)
        labels.append(_npy_label(tree.data(name)))
        unreadable.append(stem not in files)
    rows = rows_of(ids, splits, labels, unreadable)
    return Found("AffectNet", tree.path, rows, TreePixels(tree), tree.fingerprint(), notes=_notes(unreadable))


def _read_csv(tree: Tree) -> Found | None:
    """``training.csv`` and ``validation.csv`` (the latter also without a header): path, face box, ..., expression."""
    tables = []
    for name in tree.sizes:
        if base(name).lower() in PARTS:
            table = _table(tree.data(name))
            if table is not None:
                tables.append(table.assign(split=PARTS[base(name).lower()]))
    if not tables:
        return None
    rows = pd.concat(tables, ignore_index=True)
    by_end = {"/".join(name.split("/")[-2:]): name for name in images(tree)}
    names = [by_end.get("/".join(path.split("/")[-2:]), path) for path in _paths(rows)]
    return _found(tree, tree.path, rows, names, [name not in tree.sizes for name in names])


def read_affectnet_csv(path: Path) -> Found | None:
    """One of the lists by itself, beside the pictures or in a folder beside theirs; None where it is no such list."""
    with path.open("rb") as file:
        if COLUMNS[0].lower().encode() not in file.read(1000).lower():
            return None
    table = _table(path.read_bytes())
    if table is None:
        return None
    names = _paths(table)
    folder = next((folder for folder in _near(path) if any((folder / name).is_file() for name in names[:100])), None)
    if folder is None:
        raise InputError(
            f"None of the first pictures that {path} names was found (first: {names[0]}); its folder, or "
            f"{PICTURES[0]} beside it, was expected to hold them: put the list beside the pictures."
        )
    table["split"] = PARTS.get(path.name.lower())
    return _found(LooseFiles(folder), path, table, names, [not (folder / name).is_file() for name in names])


def _near(path: Path) -> list[Path]:
    """Folders where the pictures of a list may be."""
    around = (path.parent, path.parent.parent)
    return [*around, *(folder / name for folder in around for name in PICTURES)]


def _found(tree: Tree, path: Path, table: pd.DataFrame, names: list[str], unreadable: list[bool]) -> Found:
    ids = unique_ids(names)
    members = {key: name for key, name in zip(ids, names, strict=True) if key != name}
    boxes = {key: box for key, box in zip(ids, _boxes(table), strict=True) if box is not None}
    codes = pd.to_numeric(table["expression"], errors="coerce")
    labels = [None if np.isnan(code) else LABELS.get(int(code), f"{code:g}") for code in codes]
    rows = rows_of(ids, list(table["split"]), labels, unreadable)
    rows["path"] = pd.Series(names, dtype=object)
    fingerprint = tree.fingerprint() if path == tree.path else file_hash(path)
    return Found("AffectNet", path, rows, TreePixels(tree, members, boxes), fingerprint, notes=_notes(unreadable))


def _paths(table: pd.DataFrame) -> list[str]:
    return [str(path).replace("\\", "/") for path in table[COLUMNS[0]]]


def _table(data: bytes) -> pd.DataFrame | None:
    has_header = data.lstrip(b"\xef\xbb\xbf").lower().startswith(COLUMNS[0].lower().encode())
    try:
        table = pd.read_csv(io.BytesIO(data), header=0 if has_header else None, dtype=str, encoding="utf-8-sig")
    except ValueError:
        return None
    if not has_header and len(table.columns) != len(COLUMNS):
        return None
    if not has_header:
        table.columns = list(COLUMNS)
    return table if {"expression", COLUMNS[0]} <= set(table.columns) else None


def _boxes(table: pd.DataFrame) -> list[Box | None]:
    """Left, top, right, bottom; None where a row has no box."""
    if not set(COLUMNS[1:5]) <= set(table.columns):
        return [None] * len(table)
    numbers = table[list(COLUMNS[1:5])].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    return [None if np.isnan(row).any() else _box(*row.astype(int).tolist()) for row in numbers]


def _box(x: int, y: int, width: int, height: int) -> Box | None:
    return (x, y, x + width, y + height) if width > 0 and height > 0 else None


def _npy_label(data: bytes) -> str | None:
    try:
        return LABELS.get(int(np.load(io.BytesIO(data), allow_pickle=False).item()))
    except (ValueError, OSError, EOFError, UnreadableImage):
        return None


def _notes(unreadable: list[bool]) -> tuple[str, ...]:
    missing = sum(unreadable)
    return (f"{missing} listed images are not there.",) if missing else ()
