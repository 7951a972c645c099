"""Who is in the pictures: a sidecar of demographics joined to the samples, ages in bands, measured qualities."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from faces.dataset import FaceDataset
from faces.errors import InputError

KEY_COLUMNS = (
    "sample_id", "image", "image_name", "image name", "file", "filename", "file_name", "filepath", "file_path",
    "path", "image_path", "pth", "subdirectory_filepath", "img", "name", "id",
)  # fmt: skip
LABEL_COLUMNS = ("label", "emotion", "expression", "target", "class")
SPLIT_COLUMNS = ("split", "usage", "partition", "subset", "set")
SUBJECT_COLUMNS = ("subject_id", "subject", "person", "person_id", "identity")
NOT_ATTRIBUTES = frozenset({*KEY_COLUMNS, *LABEL_COLUMNS, *SPLIT_COLUMNS, *SUBJECT_COLUMNS, "pixels", "status"})
RUN_COLUMNS = frozenset({
    "content_id", "predicted", "confidence", "margin", "reason", "brightness", "contrast", "sharpness",
    "seen_in_training", "label_issue_score", "suggested", "suggestion_score", "duplicate_group", "strangeness",
    "unreadable",
})  # fmt: skip
"""What an audit itself says of each image: a column of that name would stand in its place."""
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "NULL", "null", "#N/A", "#NA", "<NA>")
"""What an empty cell is written as. ``None`` only where names, labels and numbers are told: glasses may be None."""
FERPLUS_VOTES = {
    "neutral": "votes_neutral", "happiness": "votes_happiness", "surprise": "votes_surprise",
    "sadness": "votes_sadness", "anger": "votes_anger", "disgust": "votes_disgust", "fear": "votes_fear",
    "contempt": "votes_contempt", "unknown": "votes_unknown", "NF": "votes_not_a_face",
}  # fmt: skip
"""The columns of fer2013new.csv and what they are called here."""
MAX_GROUPS = 50
AGE_STARTS = (0, 3, 10, 20, 30, 40, 50, 60, 70)
AGE_BANDS = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")
"""The bands of FairFace (Karkkainen and Joo 2021), which the field's reports use."""


def measure(image: np.ndarray) -> tuple[float, float, float]:
    """Brightness (mean luma, 0..255), contrast (its standard deviation) and sharpness (variance of its Laplacian)."""
    grey = image[:, :, 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    mean, deviation = cv2.meanStdDev(grey)
    edges = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F))[1]
    return float(mean[0, 0]), float(deviation[0, 0]), float(edges[0, 0] ** 2)


def age_band(value: object) -> str | None:
    """The band of an age in years, such as ``20-29``; None for what is no age from 0 to 120."""
    try:
        age = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    if not 0 <= age <= 120:
        return None
    return AGE_BANDS[sum(age >= start for start in AGE_STARTS) - 1]


def join_metadata(dataset: FaceDataset, csv: Path | str) -> FaceDataset:
    """The data set with the columns of a sidecar (.csv or .parquet) added to its samples.

    Rows are joined by sample id, by the end of the path, or by file name, whichever matches most; a table with
    FER+'s votes joins a FER-2013 CSV by row, and so does any as long as it that does not tell its row numbers. How many
    rows matched, and which columns were left out and why, is said in the notes. Raises InputError where nothing matches
    or a name stands for several images.
    """
    path = Path(csv)
    table = read_table(path).rename(columns=FERPLUS_VOTES if _is_ferplus(path) else {})
    alike = dataset.provenance.kind == "FER-2013 CSV" and len(table) == _rows_of_file(dataset)
    if alike and (_is_ferplus(path) or not _tells_row_numbers(table)):
        rows = dataset.samples["sample_id"].astype(int).to_numpy()
        how = "by row"
    else:
        rows, how = _match(dataset, table, path)
    matched = int((rows >= 0).sum())
    note = f"{matched} of {len(dataset)} images have a row in {path.name} ({len(table)} rows), joined {how}."
    columns, attributes, left_out = attribute_columns(table)
    clash = next((name for name in columns if name in dataset.samples and name not in dataset.attributes), None)
    if clash:
        raise InputError(f"{path} has a column {clash!r}, which the data already has: rename it in one of them.")
    samples = dataset.samples.copy()
    for name, values in columns.items():
        samples[name] = _take(values, rows)
    names = tuple(dict.fromkeys((*dataset.attributes, *attributes)))
    provenance = replace(dataset.provenance, metadata=path.resolve())
    return replace(
        dataset, samples=samples, attributes=names, provenance=provenance, notes=(*dataset.notes, note, *left_out)
    )


def read_table(path: Path, rows: int | None = None) -> pd.DataFrame:
    """A .csv (comma, semicolon or tab) or .parquet table, header stripped; the first ``rows`` of it, or all.

    Raises InputError naming what is wrong.
    """
    if not path.is_file():
        raise InputError(f"The table {path} does not exist; a .csv or .parquet file was expected: check the path.")
    try:
        if path.suffix.lower() == ".parquet":
            table = _plain_rows(pd.read_parquet(path))
            table = table if rows is None else table.head(rows)
        else:
            comma = _separator(path)
            first = pd.read_csv(path, sep=comma, encoding="utf-8-sig", header=None, nrows=1, dtype=str).iloc[0].dropna()
            _no_name_twice(path, first)
            names = {name for name in first if name.strip().lower() in KEY_COLUMNS}
            table = pd.read_csv(
                path, sep=comma, encoding="utf-8-sig", low_memory=False, nrows=rows,
                dtype=dict.fromkeys(names, str), keep_default_na=False, na_values=list(MISSING),
            )  # fmt: skip
            table = table.apply(_without_none)
    except (ValueError, OSError, UnicodeError) as error:
        reason = textwrap.shorten(str(error), 160, placeholder=" ...")
        raise InputError(
            f"The table {path} cannot be read ({reason}); a UTF-8 .csv with a header line, or a .parquet, was expected."
        ) from None
    table.columns = [str(name).strip() for name in table.columns]
    _no_name_twice(path, table.columns.to_series())
    return table


def _plain_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Rows numbered anew, since tables are joined by their order; an index that has a name is a column of it."""
    named = [name for name in table.index.names if name is not None and name not in table.columns]
    return table.reset_index(drop=not named)


def _without_none(column: pd.Series) -> pd.Series:
    """``None`` is a missing value where the others are numbers, and where names, labels or parts are told."""
    none = column == "None"
    if not none.any():
        return column
    others = column[~none].dropna()
    numbers = pd.to_numeric(others, errors="coerce")
    if len(others) and numbers.notna().all():
        return pd.to_numeric(column.where(~none))
    return column.where(~none) if str(column.name).strip().lower() in NOT_ATTRIBUTES else column


def _no_name_twice(path: Path, names: pd.Series) -> None:
    """Raises InputError for a name that stands twice, which pandas would number on its own."""
    stripped = names.str.strip()
    repeated = stripped[stripped.duplicated()]
    if len(repeated):
        raise InputError(
            f"The table {path} has two columns {repeated.iloc[0]!r}; each name must stand once: rename one."
        )


def attribute_columns(table: pd.DataFrame) -> tuple[dict[str, pd.Series], tuple[str, ...], tuple[str, ...]]:
    """What of a table describes the people in it: columns to add, which of them are attributes, notes on the rest.

    Ages become bands; ``votes_*`` become whole numbers and a subject column ``subject_id``, neither an attribute; a
    column of free text, identifiers or measurements (over MAX_GROUPS values) is left out with a note.
    """
    columns: dict[str, pd.Series] = {}
    attributes: list[str] = []
    notes: list[str] = []
    for name in table.columns:
        lowered = name.lower()
        if lowered.startswith("votes_"):
            columns[lowered] = _votes(table[name], name)
        elif lowered in SUBJECT_COLUMNS:
            columns.setdefault("subject_id", categories(table[name]))
        elif lowered in RUN_COLUMNS:
            notes.append(
                f"The column {name} was left out: an audit says that itself; rename it to compare groups by it."
            )
        elif lowered not in NOT_ATTRIBUTES and not lowered.startswith("unnamed:"):
            values = attribute_values(table[name])
            groups = values.nunique()
            if 0 < groups <= MAX_GROUPS:
                columns[name] = values
                attributes.append(name)
            else:
                what = "is empty" if groups == 0 else f"has {groups} different values, and an attribute at most"
                notes.append(f"The column {name} was left out: it {what}{f' {MAX_GROUPS}' if groups else ''}.")
    return columns, tuple(attributes), tuple(notes)


def attribute_values(column: pd.Series) -> pd.Series:
    """A column's groups: bands where it holds ages in years, otherwise its categories."""
    return _bands(column) if _is_age(str(column.name).lower(), column) else categories(column)


def categories(values: pd.Series) -> pd.Series:
    """Values as str, missing as None; whole numbers are written without a fraction, truth values as yes and no."""
    if pd.api.types.is_bool_dtype(values):
        return values.map({True: "yes", False: "no"}).astype(object)
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return _each(values, lambda value: str(value).strip() or None)


def find_column(table: pd.DataFrame, names: Iterable[str]) -> str | None:
    """The first column whose name, whatever its case, is among ``names`` (in the order of ``names``)."""
    known = {str(column).lower(): column for column in reversed(table.columns)}
    return next((known[name] for name in names if name in known), None)


def _separator(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline()
    return max(",;\t", key=header.count)


def _is_ferplus(path: Path) -> bool:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = {name.strip() for name in file.readline().split(",")}
    return set(FERPLUS_VOTES) <= header


def _is_age(lowered: str, values: pd.Series) -> bool:
    """Years, and not the codes 0, 1, 2, ... of bands that somebody made already."""
    return "age" in lowered.split("_") and pd.api.types.is_numeric_dtype(values) and values.max() >= len(AGE_BANDS)


def _bands(values: pd.Series) -> pd.Series:
    return _each(values, age_band)


def _each(values: pd.Series, convert: Callable[[object], str | None]) -> pd.Series:
    """Every value converted, missing as None; asked once for each different value, since a million rows have few."""
    codes, different = pd.factorize(values)
    converted = np.array([*(convert(value) for value in different), None], dtype=object)
    return pd.Series(converted[codes], index=values.index, dtype=object)


def _votes(values: pd.Series, name: str) -> pd.Series:
    numbers = pd.to_numeric(values, errors="coerce")
    if (numbers.isna() & values.notna()).any() or (numbers < 0).any() or (numbers.dropna() % 1 != 0).any():
        raise InputError(f"The column {name} holds something else than numbers of votes; whole numbers were expected.")
    return numbers.astype("Int64")


def _take(values: pd.Series, rows: np.ndarray) -> pd.Series:
    """``values`` at ``rows``, missing where a row is -1."""
    taken = values.reset_index(drop=True).reindex(rows).reset_index(drop=True)
    return taken if values.dtype != object else taken.astype(object).where(taken.notna(), None)


def _rows_of_file(dataset: FaceDataset) -> int:
    rows: int = dataset.pixels.rows  # type: ignore[attr-defined]  # only asked of a FER-2013 CSV
    return rows


def _tells_row_numbers(table: pd.DataFrame) -> bool:
    """Whether a column holds every row's number, 0, 1, ..., which are a FER-2013 CSV's sample ids, in any order."""
    ids = set(map(str, range(len(table))))
    return any({_slashes(key) for key in table[name]} == ids for name in table if name.lower() in KEY_COLUMNS)


def _match(dataset: FaceDataset, table: pd.DataFrame, path: Path) -> tuple[np.ndarray, str]:
    """For each sample the row of the table that describes it, or -1; and how it was found, in words."""
    ids = [str(value) for value in dataset.samples["sample_id"]]
    best: tuple[int, str, str, Any] | None = None
    for column in (name for name in table.columns if name.lower() in KEY_COLUMNS):
        keys = [_slashes(value) for value in table[column].tolist()]
        parts = max((key.count("/") for key in keys), default=0) + 1
        for needed, how, shorten in _WAYS:
            if needed > parts:
                continue
            wanted = {shorten(value) for value in ids}
            matched = len(wanted & {shorten(key) for key in keys if key})
            if matched and (best is None or matched > best[0]):
                best = matched, column, how, shorten
            if matched == len(ids):
                break
    if best is None:
        named = [name for name in table.columns if name.lower() in KEY_COLUMNS]
        what = (
            f"its column {named[0]!r} holds names like {_first(table[named[0]])!r}"
            if named
            else "no column names files"
        )
        raise InputError(
            f"No row of {path} belongs to an image of {dataset.provenance.path}: {what} and the images are named like "
            f"{ids[0]!r}; a column sample_id, image or path with those names, or their last part, was expected."
        )
    _, column, how, shorten = best
    return _rows(ids, [_slashes(value) for value in table[column].tolist()], shorten, table, path), f"{how} ({column})"


def _rows(ids: Sequence[str], keys: Sequence[str], shorten: Any, table: pd.DataFrame, path: Path) -> np.ndarray:
    row_of: dict[str, int] = {}
    for row, key in enumerate(keys):
        if not key:
            continue
        first = row_of.setdefault(shorten(key), row)
        if first != row and not table.iloc[first].equals(table.iloc[row]):
            raise InputError(
                f"{path} describes {key!r} in rows {first + 2} and {row + 2} differently; one row an image was "
                "expected: remove one of them."
            )
    met: dict[str, str] = {}
    for sample_id in ids:
        other = met.setdefault(shorten(sample_id), sample_id)
        if other != sample_id and shorten(sample_id) in row_of:
            raise InputError(
                f"{path} names {shorten(sample_id)!r}, which stands for several images ({other} and {sample_id}); "
                "a name for one image each was expected: give their paths inside the data in a column sample_id."
            )
    return np.array([row_of.get(shorten(sample_id), -1) for sample_id in ids], dtype=np.int64)


def _slashes(value: object) -> str:
    if value is None or value is pd.NA or value != value:
        return ""
    return str(value).strip().replace("\\", "/").removeprefix("./")


def _last(parts: int) -> Any:
    return lambda name: "/".join(name.rsplit("/", parts)[-parts:])


def _stem(name: str) -> str:
    return name.rsplit("/", 1)[-1].rsplit(".", 1)[0]


_WAYS: tuple[tuple[int, str, Any], ...] = (
    (1, "by sample id", lambda name: name),
    (3, "by the last three parts of the path", _last(3)),
    (2, "by the last two parts of the path", _last(2)),
    (1, "by file name", _last(1)),
    (1, "by file name without its ending", _stem),
)
"""How many parts a name needs, the way in words, and what is compared, from the strictest way to the loosest.

A looser way is taken only where it matches more.
"""


def _first(values: pd.Series) -> str:
    return next((_slashes(value) for value in values if _slashes(value)), "")
