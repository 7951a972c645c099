"""An audit with no model at hand: a table of labels, predictions or probabilities, and attributes.

The run folder it writes is like any other, without pixels, embeddings and maps.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax

from audit.analyses import analyse
from audit.counts import Coded
from audit.jsonsafe import as_json
from audit.run import SCHEMA_VERSION, AuditRun
from audit.terms import Terms
from faces.attributes import (
    KEY_COLUMNS,
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    attribute_columns,
    find_column,
    read_table,
)
from faces.dataset import NO_PREDICTION, OK, UNKNOWN_LABEL, UNLABELLED
from faces.emotions import LabelSet, canonical
from faces.errors import InputError
from faces.numbers import are_numbers, counted_from
from faces.tables import find_label_column

TRUE_COLUMNS = ("label", "y_true", "true", "truth", "ground_truth", "actual", "gold", *LABEL_COLUMNS[1:])
PREDICTED_COLUMNS = ("predicted", "prediction", "pred", "y_pred", "predicted_label", "output")
LOGIT = "logit_"
PROBABILITY_PREFIXES = ("probability_", "prob_", "p_", "score_", LOGIT, "")
"""A column of probabilities is a class's name, or its number, behind one of these; logits go through softmax."""
ID_COLUMNS = ("sample_id", "id")
"""What is called so names each row once; other columns of names may repeat, and rows are numbered then."""
LIBRARIES = ("numpy", "pandas", "pyarrow", "scipy")


@dataclass(frozen=True)
class Predictions:
    """A table understood: ``samples`` as in a run (without what analyses add), ``probabilities`` (N, K) or all NaN."""

    samples: pd.DataFrame
    probabilities: np.ndarray
    labels: LabelSet
    attributes: tuple[str, ...]
    notes: tuple[str, ...]


def audit_predictions(
    path: Path | str,
    out: Path | str,
    classes: LabelSet | None = None,
    attributes: Sequence[str] | None = None,
    seed: int = 0,
    label_mix: Mapping[str, float] | None = None,
    references: Mapping[str, str] | None = None,
    min_group: int | None = None,
    crossed: int | None = None,
    label: str | None = None,
) -> AuditRun:
    """Audit the table at ``path`` (.csv or .parquet) into the folder ``out``, and open the finished run.

    ``label`` names the column of labels where it is called otherwise than usual; for the rest see read_predictions.

    Groups are standardised to ``label_mix`` (class to share; the whole set's unless given), compared with
    ``references`` (attribute to group; the largest unless named), and judged from ``min_group`` images on;
    intersections are of at most ``crossed`` attributes (1 to 3; 2 unless given).
    Raises InputError for a table that cannot be understood, unknown names and a folder that is in use.
    """
    started, path, out = time.perf_counter(), Path(path), Path(out)
    given = read_predictions(path, classes, attributes, label)
    terms = {"label_mix": label_mix, "references": references or None, "min_group": min_group,
             "crossed": crossed}  # fmt: skip
    Terms.of(Coded.of(given.samples, given.labels, given.attributes), terms)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists already; a new or empty folder was expected: pass another --out, or remove it.")
    manifest = _manifest(path, out, given, seed, {name: value for name, value in terms.items() if value is not None})
    if label is not None:
        manifest["data"]["label"] = label
    try:
        _write(out, given, manifest, seed, started)
    except OSError as error:
        shutil.rmtree(out, ignore_errors=True)
        raise InputError(
            f"The audit cannot be written to {out} ({error.strerror or error}); a folder with free space that you may "
            "write to was expected: make room or mend the permission, and try again."
        ) from error
    return AuditRun.open(out)


def _write(out: Path, given: Predictions, manifest: dict, seed: int, started: float) -> None:
    """The whole run folder, its manifest last."""
    out.mkdir(parents=True, exist_ok=True)
    given.samples.to_parquet(out / "samples.parquet", index=False)
    np.save(out / "probabilities.npy", given.probabilities)
    analyse(out, manifest, seed)
    timing = {"inference_s": None, "pass_s": None, "total_s": time.perf_counter() - started}
    (out / "timing.json").write_text(as_json(timing))
    (out / "manifest.json").write_text(as_json(manifest))


def read_predictions(
    path: Path, classes: LabelSet | None = None, attributes: Sequence[str] | None = None, label: str | None = None
) -> Predictions:
    """Understand a table of predictions.

    Columns, whatever their case: the label (TRUE_COLUMNS, or the one named); the prediction (PREDICTED_COLUMNS) or one
    column of probabilities a class (``prob_happy``, ``happy``), or both; a name or id (else the row number); a split;
    votes; and attributes. Numbers stand for ``classes`` in their order, where those are given and are no numbers.
    Raises InputError naming what is missing or out of range.
    """
    table = read_table(path)
    if table.empty:
        raise InputError(f"The table {path} has no rows; one row an image was expected: check the file.")
    label_column = _label_column(path, table, label)
    predicted_column = find_column(table, PREDICTED_COLUMNS)
    named = [table[name] for name in (label_column, predicted_column) if name is not None]
    first = _counted_from(named, classes)
    truth = _names(table[label_column], classes, first)
    predicted = None if predicted_column is None else _names(table[predicted_column], classes, first)
    columns = _probability_columns(path, table, classes, truth)
    if predicted is None and not columns:
        raise InputError(
            f"The table {path} has neither a column of predictions (called predicted or y_pred) nor one of "
            "probabilities for each class (called prob_happy or happy): add one of them."
        )
    labels = classes or LabelSet(tuple(columns)) if columns else classes or _classes_met(truth, predicted)
    probabilities = _probabilities(table, columns, labels, path, truth)
    samples, notes = _samples(path, table, labels, truth, predicted, probabilities)
    if first:
        notes += (f"Numbers were counted from {first}: {first} is {labels.names[0]}.",)
    if _are_logits(columns):
        notes += (f"The columns {LOGIT}.. were turned into probabilities by softmax.",)
    used = {label_column, predicted_column, *columns.values()}
    described, known, left_out = attribute_columns(table.drop(columns=[name for name in used if name is not None]))
    chosen = _chosen(known, attributes)
    keep = {name: values for name, values in described.items() if name in chosen or name not in known}
    samples = samples.assign(**{name: _text(values) if name in chosen else values for name, values in keep.items()})
    return Predictions(samples, probabilities, labels, chosen, (*notes, *left_out))


def _label_column(path: Path, table: pd.DataFrame, named: str | None) -> str:
    column = find_column(table, TRUE_COLUMNS) if named is None else find_label_column(path, table, named)
    if column is None:
        raise InputError(
            f"The table {path} has no column of labels among {', '.join(table.columns[:12])}; one called label or "
            "y_true was expected: name the right one with --label."
        )
    return column


def _counted_from(columns: list[pd.Series], classes: LabelSet | None) -> int:
    """1 where labels and predictions are numbers from 1 to the number of classes, else 0."""
    if classes is None or are_numbers(classes) or not all(pd.api.types.is_numeric_dtype(column) for column in columns):
        return 0
    met = pd.concat(columns)
    return counted_from(met.min(), met.max(), len(classes))


def _names(column: pd.Series, classes: LabelSet | None, first: int) -> pd.Series:
    """Canonical class names as str, missing where empty; numbers stand for ``classes``, else they are names."""
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    names = {value: _class_named(str(value), classes, first) or None for value in column.dropna().unique()}
    return _text(column.map(names))


def _class_named(text: str, classes: LabelSet | None, first: int) -> str:
    """A class's canonical name; a number is its place among ``classes``, unless those are numbers themselves."""
    name = canonical(text)
    if classes is None or not name.isdecimal() or name in classes.names:
        return name
    place = int(name) - first
    return classes.names[place] if place < len(classes) else name


def _text(values: pd.Series) -> pd.Series:
    return values.astype("str").where(values.notna(), None).astype("str")


def _classes_met(label: pd.Series, predicted: pd.Series | None) -> LabelSet:
    met = {*label.dropna().unique(), *(() if predicted is None else predicted.dropna().unique())}
    return LabelSet.of(met)


def _probability_columns(path: Path, table: pd.DataFrame, classes: LabelSet | None, label: pd.Series) -> dict[str, str]:
    """Class name -> column, in the table's order; the first prefix that covers all classes asked for, or met."""
    wanted = set(classes or label.dropna().unique())
    for prefix in PROBABILITY_PREFIXES:
        ends = {column: column[len(prefix) :] for column in table.columns if column.lower().startswith(prefix)}
        places = [int(end) for end in ends.values() if end.isdecimal()]
        first = counted_from(min(places), max(places), len(classes)) if places and classes else 0
        named = {_class_named(end, classes, first): column for column, end in ends.items()}
        found = {name: column for name, column in named.items() if name in wanted or (prefix and not classes)}
        numeric = {name: column for name, column in found.items() if pd.api.types.is_numeric_dtype(table[column])}
        if len(numeric) < 2 or not (wanted <= set(found) if classes or not prefix else wanted & set(found)):
            continue
        for name in found if prefix else ():
            if name in wanted and name not in numeric:
                _refuse_text(path, table[found[name]])
        if wanted <= set(numeric) or not classes:
            return numeric
    return {}


def _are_logits(columns: Mapping[str, str]) -> bool:
    return bool(columns) and all(column.lower().startswith(LOGIT) for column in columns.values())


def _refuse_text(path: Path, column: pd.Series) -> None:
    wrong = column.notna() & pd.to_numeric(column, errors="coerce").isna()
    row = int(wrong.to_numpy().argmax())
    raise InputError(
        f"The column {column.name!r} of {path} holds {str(column.iloc[row])!r} in row {row + 2}; numbers from 0 to 1 "
        "were expected: correct it, or leave the field empty."
    )


def _probabilities(
    table: pd.DataFrame, columns: dict[str, str], labels: LabelSet, path: Path, label: pd.Series
) -> np.ndarray:
    """float32 (N, K) in the classes' order; NaN rows where any is missing, all NaN where there are none."""
    if not columns:
        return np.full((len(table), len(labels)), np.nan, dtype=np.float32)
    values = table[[columns[name] for name in labels]].to_numpy(dtype=np.float64, copy=True)
    values[~np.isfinite(values).all(axis=1)] = np.nan
    if _are_logits(columns):
        values = softmax(values, axis=1)
    total = values.sum(axis=1)
    bad = ~np.isnan(total) & ((values < 0).any(axis=1) | (np.abs(total - 1) > 0.01))
    if bad.any():
        row = int(bad.argmax())
        absent = [name for name in label.dropna().unique() if name not in labels.names]
        remedy = (
            f"there is no column for {absent[0]}, which is a label: add it."
            if absent
            else "apply softmax to scores first."
        )
        raise InputError(
            f"The probabilities in row {row + 2} of {path} are {', '.join(f'{value:g}' for value in values[row])} and "
            f"sum to {total[row]:g}; numbers from 0 to 1 that sum to 1 were expected: {remedy}"
        )
    return (values / total[:, None]).astype(np.float32)


def _samples(
    path: Path,
    table: pd.DataFrame,
    labels: LabelSet,
    label: pd.Series,
    predicted: pd.Series | None,
    probabilities: np.ndarray,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    names = np.array(labels.names, dtype=object)
    best = np.sort(np.nan_to_num(probabilities), axis=1)
    likeliest = pd.Series(names[np.nan_to_num(probabilities).argmax(axis=1)], index=table.index, dtype="str")
    likeliest = likeliest.where(~np.isnan(probabilities[:, 0]), None)
    sample_id, notes = _sample_ids(path, table)
    if predicted is None:
        predicted = likeliest
    else:
        differ = int((predicted.notna() & likeliest.notna() & (predicted != likeliest)).sum())
        if differ:
            notes += (
                f"In {differ} rows the prediction is not the class of highest probability; it was taken as given.",
            )
    unknown = ~predicted.isin(labels.names)
    status = np.select(
        [unknown.to_numpy(), label.isna().to_numpy(), ~label.isin(labels.names).to_numpy()],
        [NO_PREDICTION, UNLABELLED, UNKNOWN_LABEL],
        OK,
    )
    blank = np.isnan(probabilities[:, 0])
    split = find_column(table, SPLIT_COLUMNS)
    samples = {
        "sample_id": sample_id,
        "content_id": pd.Series(None, index=table.index, dtype="str"),
        "path": sample_id,
        "split": pd.Series(None, index=table.index, dtype="str") if split is None else _text(table[split]),
        "label": label,
        "predicted": predicted.where(~unknown, None),
        "confidence": np.where(blank, np.nan, best[:, -1]).astype(np.float32),
        "margin": np.where(blank, np.nan, best[:, -1] - best[:, -2]).astype(np.float32),
        "status": pd.Series(status, index=table.index, dtype="str"),
        "reason": pd.Series(NO_PREDICTION, index=table.index, dtype="str").where(unknown, None),
    }
    return pd.DataFrame(samples), notes


def _sample_ids(path: Path, table: pd.DataFrame) -> tuple[pd.Series, tuple[str, ...]]:
    """A column that names each row once, else the row's number from 1 with a note that says why."""
    numbers = pd.Series(np.arange(1, len(table) + 1), index=table.index).astype("str")
    column = find_column(table, KEY_COLUMNS)
    if column is None:
        return numbers, ()
    if table[column].notna().all() and table[column].is_unique:
        return table[column].astype("str"), ()
    again = table[column][table[column].duplicated(keep=False)].dropna()
    if again.empty or column.lower() not in ID_COLUMNS:
        why = "names several rows alike" if len(again) else "is empty in some rows"
        return numbers, (f"The column {column} {why}, so rows go by their number.",)
    rows = np.flatnonzero((table[column] == again.iloc[0]).to_numpy())[:2] + 2
    raise InputError(
        f"The column {column!r} of {path} holds {str(again.iloc[0])!r} in rows {rows[0]} and {rows[1]}; a name that no "
        "other row has was expected: correct it, or leave the column out and rows go by their number."
    )


def _chosen(known: tuple[str, ...], wanted: Sequence[str] | None) -> tuple[str, ...]:
    for name in wanted or ():
        if name not in known:
            raise InputError(
                f"The attribute {name!r} is not in the table; its attributes are: {', '.join(known) or 'none'}."
            )
    return known if wanted is None else tuple(dict.fromkeys(wanted))


def _manifest(path: Path, out: Path, given: Predictions, seed: int, options: dict) -> dict:
    place = path.resolve()
    with place.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "schema": SCHEMA_VERSION,
        "data": {
            "kind": "predictions",
            "path": str(place),
            "relative_path": Path(os.path.relpath(place, out.resolve())).as_posix(),
            "fingerprint": digest,
            "n": len(given.samples),
            "metadata": None,
            "notes": list(given.notes),
        },
        "model": None,
        "classes": list(given.labels),
        "attributes": list(given.attributes),
        "options": options,
        "saliency": {},
        "seed": seed,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        "parts": [],
    }
