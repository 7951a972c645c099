"""AffectNet (Mollahosseini, Hasani and Mahoor 2017): CSV lists with face boxes, or an .npy file an image."""

from __future__ import annotations

import csv
import io
import re
import textwrap
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from faces.emotions import PUBLISHED_ORDERS
from faces.errors import InputError
from faces.found import Found
from faces.image_folder import rows_of
from faces.layouts.common import annotation, base, images, whole_list
from faces.pixels import Box, TreePixels
from faces.tables import FIRST, file_hash, unique_ids
from faces.trees import LooseFiles, Tree

EMOTIONS = PUBLISHED_ORDERS["AffectNet"]
LABELS = dict(enumerate((*EMOTIONS, "none", "uncertain", "non-face")))
COLUMNS = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks", "expression",
    "valence", "arousal",
)  # fmt: skip
READ = frozenset((*COLUMNS[:5], "expression"))
"""The landmarks are nine tenths of a list of 400 MB."""
LONGEST_LINE = 65_536
PARTS = {"training.csv": "train", "validation.csv": "val", "automatically_annotated.csv": "automatic"}
PICTURES = tuple(
    f"{folder}{how}_Annotated_Images"
    for how in ("Manually", "Automatically")
    for folder in (
        "", f"{how}_Annotated/", f"{how}_Annotated_compressed/", f"{how}_Annotated_compressed/{how}_Annotated/",
    )
)  # fmt: skip
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
        labels.append(_npy_label(annotation(tree, name)))
        unreadable.append(stem not in files)
    rows = rows_of(ids, splits, labels, unreadable)
    return Found("AffectNet", tree.path, rows, TreePixels(tree), tree.fingerprint(), notes=_missing(unreadable))


def _read_csv(tree: Tree) -> Found | None:
    """``training.csv`` and ``validation.csv`` (the latter also without a header): path, face box, ..., expression."""
    tables = []
    for name in tree.sizes:
        if base(name).lower() in PARTS:
            table = _table(io.BytesIO(whole_list(tree, name)), f"{name} in {tree.path}", name)
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
        table = _table(file, str(path), path.name)
    if table is None:
        return None
    names = _paths(table)
    folder = _near(path, names)
    if folder is None:
        raise InputError(
            f"None of the first pictures that {path} names was found (first: {names[0] if names else 'none'}); its "
            f"folder, or {PICTURES[0]} beside it, was expected to hold them: put the list beside the pictures, or open "
            "the folder or archive that holds both."
        )
    table["split"] = PARTS.get(path.name.lower())
    return _found(LooseFiles(folder), path, table, names, [not (folder / name).is_file() for name in names])


def lists_pictures(path: Path) -> bool:
    """Whether a .csv is one of the lists with its pictures near, or one without a header, which no other table is."""
    with path.open("rb") as file:
        table = _table(file, str(path), path.name, rows=FIRST)
        file.seek(0)
        return table is not None and (not _has_header(_first_line(file)) or _near(path, _paths(table)) is not None)


def _near(path: Path, names: list[str]) -> Path | None:
    """The folder where the pictures of a list are: its own, the one around it, or a published one in either."""
    around = (path.parent, path.parent.parent)
    places = [*around, *(folder / name for folder in around for name in PICTURES)]
    return next((place for place in places if any((place / name).is_file() for name in names[:FIRST])), None)


def _found(tree: Tree, path: Path, table: pd.DataFrame, names: list[str], unreadable: list[bool]) -> Found:
    ids = unique_ids(names)
    members = {key: name for key, name in zip(ids, names, strict=True) if key != name}
    boxes = {key: box for key, box in zip(ids, _boxes(table), strict=True) if box is not None}
    codes = pd.to_numeric(table["expression"], errors="coerce")
    labels = [None if np.isnan(code) else LABELS.get(int(code), f"{code:g}") for code in codes]
    rows = rows_of(ids, list(table["split"]), labels, unreadable)
    rows["path"] = pd.Series(names, dtype=object)
    fingerprint = tree.fingerprint() if path == tree.path else file_hash(path)
    notes = (*_missing(unreadable), *_no_emotions(labels))
    pixels = TreePixels(tree, members, boxes)
    return Found("AffectNet", path, rows, pixels, fingerprint, notes=notes, published=EMOTIONS)


def _paths(table: pd.DataFrame) -> list[str]:
    return [str(path).replace("\\", "/") for path in table[COLUMNS[0]]]


def _table(file: IO[bytes], what: str, name: str, rows: int | None = None) -> pd.DataFrame | None:
    """The columns READ of a list, or of its first ``rows``; None where it is none.

    Without a header a list is known by its name and nine cells. Raises InputError where one cannot be read.
    """
    cells = _first_line(file)
    has_header = _has_header(cells)
    nine = base(name).lower() in PARTS and len(cells) == len(COLUMNS) and cells[6].strip().isdecimal()
    if not has_header and not nine:
        return None
    file.seek(0)
    try:
        table = pd.read_csv(
            file, header=0 if has_header else None, names=None if has_header else list(COLUMNS),
            usecols=lambda column: column in READ, dtype=str, encoding="utf-8-sig", nrows=rows,
        )  # fmt: skip
    except ValueError as error:
        reason = textwrap.shorten(str(error), 160, placeholder=" ...")
        raise InputError(
            f"The list {what} cannot be read ({reason}); AffectNet's comma-separated lines of {', '.join(COLUMNS[:2])} "
            "and so on were expected: copy or download it again."
        ) from None
    return table if {"expression", COLUMNS[0]} <= set(table.columns) else None


def _first_line(file: IO[bytes]) -> list[str]:
    text = file.readline(LONGEST_LINE).decode("utf-8-sig", "replace").splitlines()[:1]
    return next(csv.reader(text), [])


def _has_header(cells: list[str]) -> bool:
    return bool(cells) and cells[0].strip().lower() == COLUMNS[0].lower()


def _boxes(table: pd.DataFrame) -> list[Box | None]:
    """Left, top, right, bottom; None where a row has no box."""
    if not set(COLUMNS[1:5]) <= set(table.columns):
        return [None] * len(table)
    numbers = table[list(COLUMNS[1:5])].apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    return [None if np.isnan(row).any() else _box(*row.astype(int).tolist()) for row in numbers]


def _box(x: int, y: int, width: int, height: int) -> Box | None:
    return (x, y, x + width, y + height) if width > 0 and height > 0 else None


def _npy_label(data: bytes) -> str | None:
    if not data.startswith(b"\x93NUMPY"):
        return None
    try:
        return LABELS.get(int(np.load(io.BytesIO(data), allow_pickle=False).item()))
    except Exception:  # numpy reads the header as Python: what a damaged one raises ends nowhere
        return None


def _missing(unreadable: list[bool]) -> tuple[str, ...]:
    missing = sum(unreadable)
    return (f"{missing} listed images are not there.",) if missing else ()


def _no_emotions(labels: list[str | None]) -> tuple[str, ...]:
    others = sum(label is not None and label not in EMOTIONS for label in labels)
    what = "labelled none, uncertain or non-face, which are no emotions and no classes unless they are named as such"
    return (f"{others} listed images are {what}.",) if others else ()
