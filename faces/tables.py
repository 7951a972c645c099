"""Tables of faces: the FER-2013 CSV, whose cells are the pixels, and manifests, whose cells are paths."""

from __future__ import annotations

import hashlib
import math
import mmap
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from faces.attributes import KEY_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS, attribute_columns, find_column, read_table
from faces.emotions import PUBLISHED_ORDERS, LabelSet
from faces.errors import InputError, UnreadableImage
from faces.found import Found, clean
from faces.numbers import named
from faces.pixels import TreePixels
from faces.trees import LooseFiles

PATH_COLUMNS = tuple(name for name in KEY_COLUMNS if name not in ("sample_id", "id"))
FIRST = 100
"""How many rows are looked at to tell whether a table's paths are right."""
WHOLE_NUMBER = re.compile(r"([0-9]+)(\.0*)?")
_GREY = {str(value).encode(): value for value in range(256)}


class CsvPixels:
    """The pixels of a FER-2013 CSV, parsed when they are asked for; a sample's id is its row, from 0.

    ``cells`` holds offset and length of every row's pixels in the file; ``rows`` is how many there are.
    """

    def __init__(self, path: Path, cells: np.ndarray) -> None:
        self.path = path
        self.cells = cells
        self.rows = len(cells)
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __reduce__(self) -> tuple[Any, ...]:
        return CsvPixels, (self.path, self.cells)

    def read(self, sample_id: str) -> np.ndarray:
        """uint8 (S, S, 1). Raises UnreadableImage where the cell is not a square number of values from 0 to 255."""
        offset, length = self.cells[int(sample_id)]
        values = self._map[offset : offset + length].split()
        try:
            pixels = bytes([_GREY[value] for value in values])
        except KeyError as error:
            raise UnreadableImage(f"a pixel is {error.args[0].decode(errors='replace')!r}, not 0 to 255") from None
        side = math.isqrt(len(pixels))
        if not pixels or side * side != len(pixels):
            raise UnreadableImage(f"{len(pixels)} pixels, which is no square picture")
        return np.frombuffer(pixels, np.uint8).reshape(side, side, 1)


def read_fer_csv(path: Path) -> Found | None:
    """``emotion,pixels,Usage`` in any order (``Usage`` may be missing); None where the table has no such columns.

    Emotions are FER-2013's numbers 0 to 6, 7 for contempt, or names. The rows are found without loading the pixels.
    """
    with path.open("rb") as file:
        header = [name.strip().strip('"').lower() for name in file.readline().decode("utf-8-sig", "replace").split(",")]
        if not {"emotion", "pixels"} <= set(header):
            return None
        emotion, pixels = header.index("emotion"), header.index("pixels")
        usage = header.index("usage") if "usage" in header else None
        labels, splits, cells = [], [], []
        offset = file.tell()
        for number, line in enumerate(file, start=2):
            parts = line.split(b",")
            if len(parts) == len(header):
                start = offset + sum(len(part) + 1 for part in parts[:pixels])
                cell = parts[pixels].strip().strip(b'"')
                cells.append((start + parts[pixels].find(cell), len(cell)))
                labels.append(_emotion(_text(parts[emotion])))
                splits.append(_text(parts[usage]) if usage is not None else None)
            elif line.strip():
                raise InputError(
                    f"Line {number} of {path} has {len(parts)} cells and its header {len(header)}; "
                    f"{','.join(header)} was expected: mend or remove that line."
                )
            offset += len(line)
    rows = pd.DataFrame(
        {
            "sample_id": [str(row) for row in range(len(cells))],
            "path": [f"{path.name}:{row}" for row in range(len(cells))],
            "split": pd.Series(splits, dtype=object),
            "label": pd.Series(labels, dtype=object),
            "unreadable": False,
        }
    ).astype({"sample_id": object, "path": object})
    if rows.empty:
        raise InputError(f"{path} holds no rows below its header; rows of emotion and pixels were expected.")
    source = CsvPixels(path, np.array(cells, dtype=np.int64))
    return Found("FER-2013 CSV", path, rows, source, file_hash(path))


def read_manifest(path: Path, table: pd.DataFrame, label: str | None, classes: LabelSet | None) -> Found:
    """A table with a path column (relative to the table's folder), a label column, perhaps a split, and attributes."""
    file_column, label_column = _path_column(path, table), find_label_column(path, table, label)
    split_column = find_column(table, SPLIT_COLUMNS)
    files = [clean(value) for value in table[file_column]]
    missing = next((row for row, value in enumerate(files) if value is None), None)
    if missing is not None:
        raise InputError(f"Row {missing + 2} of {path} has an empty {file_column!r}; a path was expected: fill it in.")
    names = [str(value).replace("\\", "/") for value in files]
    source = LooseFiles(path.parent)
    _check_some_exist(path, names)
    ids = unique_ids(names)
    columns, attributes, notes = attribute_columns(table.drop(columns=[label_column]))
    labels, counted = _labels(path, table[label_column], classes)
    rows = pd.DataFrame(
        {
            "sample_id": pd.Series(ids, dtype=object),
            "path": pd.Series(names, dtype=object),
            "split": table[split_column].astype(object).reset_index(drop=True) if split_column else None,
            "label": pd.Series(labels, dtype=object),
            "unreadable": False,
            **{name: values.reset_index(drop=True) for name, values in columns.items()},
        }
    )
    pixels = TreePixels(source, {key: name for key, name in zip(ids, names, strict=True) if key != name})
    numbers = classes.names if classes and pd.api.types.is_numeric_dtype(table[label_column]) else ()
    fingerprint = _manifest_hash(path, names)
    return Found("manifest", path, rows, pixels, fingerprint, attributes, (*counted, *notes), numbers=numbers)


def _path_column(path: Path, table: pd.DataFrame) -> str:
    column = find_column(table, PATH_COLUMNS)
    if column is None:
        raise InputError(
            f"The table {path} has the columns {', '.join(table.columns)} and none that holds paths; a column path (or "
            "image, file, filename) relative to the table's folder was expected: add or rename one."
        )
    return column


def names_images(path: Path) -> bool:
    """Whether a table brings pictures: FER-2013's pixels, AffectNet's lists, or paths one of which exists."""
    from faces.layouts.affectnet import lists_pictures  # which reads tables by this module

    if path.suffix.lower() == ".csv" and path.is_file() and lists_pictures(path):
        return True
    table = read_table(path, rows=FIRST)
    if find_column(table, ("pixels",)):
        return True
    column = find_column(table, PATH_COLUMNS)
    return column is not None and _some_exist(path, [str(name) for name in table[column]])


def find_label_column(path: Path, table: pd.DataFrame, label: str | None) -> str:
    """The label column, as named or found by its name. Raises InputError naming the columns there are."""
    if label is not None and label not in table.columns:
        raise InputError(f"The table {path} has no column {label!r}; its columns are: {', '.join(table.columns)}.")
    column = label or find_column(table, LABEL_COLUMNS)
    if column is None:
        raise InputError(
            f"The table {path} has the columns {', '.join(table.columns)} and none that holds labels; a column label "
            "or emotion was expected: name the right one with --label."
        )
    return column


def label_names(path: Path, values: pd.Series, classes: LabelSet | None) -> list[str | None]:
    """Label names; numbers are positions in ``classes`` (see faces.numbers), and refused where those were not given."""
    return _labels(path, values, classes)[0]


def _labels(path: Path, values: pd.Series, classes: LabelSet | None) -> tuple[list[str | None], tuple[str, ...]]:
    """The same, and notes for a person."""
    if not pd.api.types.is_numeric_dtype(values) or values.isna().all():
        return [clean(value) for value in values], ()
    if classes is None:
        raise InputError(
            f"The column {values.name!r} of {path} holds numbers ({values.min():g} to {values.max():g}), whose order "
            "is not known; names were expected: name the numbers in order with --label-names a,b,.. (inspect: "
            "--classes), or write names."
        )
    return named(f"The column {values.name!r} of {path}", values, classes)


def _some_exist(path: Path, names: list[str]) -> bool:
    return any((path.parent / name.replace("\\", "/")).exists() for name in names[:FIRST])


def _check_some_exist(path: Path, names: list[str]) -> None:
    if not _some_exist(path, names):
        raise InputError(
            f"None of the first files that {path} names exists (first: {path.parent / names[0]}); paths relative to "
            f"the table's own folder were expected: move the table, correct its paths, or open {_sorted_near(path)}."
            if names
            else f"The table {path} has no rows; one row an image was expected."
        )


def _sorted_near(path: Path) -> str:
    """What to open instead of a table that repeats the labels of pictures sorted into folders beside it."""
    for train in (path.parent / "train", *sorted(path.parent.glob("*/train"))):
        if train.is_dir() and (train.parent / "test").is_dir():
            return f"{train.parent}, which holds train/ and test/"
    return "the folder that holds train/ and test/ where the pictures are sorted"


def unique_ids(names: list[str]) -> list[str]:
    """Names made unique: the second row of a file is ``file#2``."""
    seen: dict[str, int] = {}
    ids = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        ids.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return ids


def _emotion(text: str | None) -> str | None:
    """The class of a number, also of 3.0, as pandas writes numbers beside an empty cell; anything else as it is."""
    order = (*PUBLISHED_ORDERS["FER-2013"], "contempt")
    number = WHOLE_NUMBER.fullmatch(text or "")
    return order[int(number[1])] if number and int(number[1]) < len(order) else text


def _text(cell: bytes) -> str | None:
    return clean(cell.decode("utf-8", "replace").strip().strip('"'))


def file_hash(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _manifest_hash(path: Path, names: list[str]) -> str:
    digest = hashlib.sha256(file_hash(path).encode())
    for name in names:
        file = path.parent / name
        digest.update(str(file.stat().st_size if file.exists() else -1).encode() + b",")
    return digest.hexdigest()
