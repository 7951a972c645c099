"""Corrected labels: a CSV of decisions changes the targets that a training learns from."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from faces.emotions import LabelSet, canonical
from faces.errors import InputError
from training.memory import Faces

NOT_A_FACE = "not_a_face"


@dataclass(frozen=True)
class Corrected:
    """The faces to learn from, and how many rows were ``changed``, ``softened`` or ``dropped`` (no face)."""

    faces: Faces
    changed: int
    softened: int
    dropped: int


def correct(faces: Faces, file: Path, renamed: Mapping[str, str] | None = None) -> Corrected:
    """Apply a CSV with ``sample_id`` or ``content_id`` or both, and ``new_label`` (else ``label``) or ``soft``.

    ``soft`` is JSON, class to share. A row finds its sample by ``sample_id``, unless its ``content_id`` says that it is
    about another picture; by ``content_id`` it reaches every image with those pixels whose label is ``old_label``.
    ``not_a_face`` drops an image. Rows about other images are passed over. ``renamed`` is a recipe's ``data.rename``,
    which the faces have been through and the file has not. Raises InputError naming the line where a value cannot be
    used, and where no row finds an image.
    """
    targets, dropped = faces.targets.clone(), np.zeros(len(faces), dtype=bool)
    changed: set[int] = set()
    softened: set[int] = set()
    index, found = _Index(faces), 0
    new = {canonical(old): canonical(name) or NOT_A_FACE for old, name in (renamed or {}).items()}
    for line, told in enumerate(_table(file), start=2):
        row = _renamed(told, new)
        rows = index.reached(row)
        found += len(rows)
        if not rows or _unchanged(row):
            continue
        target = _target(row, faces.labels, f"{file}, line {line}")
        if target is None:
            continue
        if isinstance(target, str):
            dropped[rows] = True
            continue
        (softened if target.max() < 1 else changed).update(r for r in rows if not torch.equal(targets[r], target))
        targets[torch.as_tensor(rows)] = target
    if not found:
        raise InputError(f"No row of {file} is about an image of the training part; pass one made from this data.")
    kept = replace(faces, targets=targets).take(np.flatnonzero(~dropped))
    return Corrected(replace(kept, skipped=faces.skipped), len(changed), len(softened), int(dropped.sum()))


class _Index:
    """Finds the rows that a correction is about."""

    def __init__(self, faces: Faces) -> None:
        self.sample = {name: row for row, name in enumerate(faces.samples["sample_id"])}
        self.pixels = faces.content
        self.content = pd.Series(range(len(faces))).groupby(faces.content).agg(list).to_dict()
        self.label = faces.samples["label"].to_list()

    def reached(self, row: dict[str, str]) -> list[int]:
        own, old = self.sample.get(row.get("sample_id", "")), row.get("old_label", "")
        if own is not None and not self._same(own, row.get("content_id", ""), old):
            own = None
        rows = [] if own is None else [own]
        if old:
            alike = self.content.get(row.get("content_id", ""), [])
            rows += [other for other in alike if other != own and self.label[other] == canonical(old)]
        return rows

    def _same(self, own: int, content: str, old: str) -> bool:
        """Whether the sample of that name is the row's picture: names of other data may be the same, as row numbers
        are. A picture saved anew has other pixels, and its label still."""
        if not content or self.pixels[own] == content:
            return True
        return content not in self.content and bool(old) and self.label[own] == canonical(old)


def _table(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        raise InputError(f"The corrected labels {file} are not there; pass a CSV written by `facevalue review export`.")
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as reason:
        raise InputError(f"The corrected labels {file} are not a CSV ({reason}).") from reason
    names = set(table.columns)
    if not ("sample_id" in names or {"content_id", "old_label"} <= names) or not names & {"new_label", "label", "soft"}:
        raise InputError(
            f"The corrected labels {file} have the columns {', '.join(table.columns)}; sample_id, or content_id and "
            "old_label, and new_label, label or soft were expected."
        )
    return table.to_dict("records")


def _renamed(row: dict[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """The row with its labels called as the data's are now; NOT_A_FACE for a class that is dropped."""
    if not new:
        return row
    told = {field: row[field] for field in ("old_label", "new_label", "label") if row.get(field)}
    row = row | {field: new.get(canonical(name), name) for field, name in told.items()}
    with contextlib.suppress(ValueError, TypeError, AttributeError):  # what is wrong with it is said where it is read
        shares: dict[str, float] = {}
        for name, share in json.loads(row.get("soft", "")).items():
            now = new.get(canonical(name), canonical(name))
            shares[now] = shares.get(now, 0.0) + share
        row["soft"] = json.dumps(shares)
    return row


def _unchanged(row: dict[str, str]) -> bool:
    """A line of all labels, as `review export` writes it, on which nobody decided otherwise."""
    return "changed" in row and not row.get("soft") and row.get("label") == row.get("old_label")


def _target(row: dict[str, str], labels: LabelSet, where: str) -> torch.Tensor | str | None:
    """float32 (K,), or NOT_A_FACE, or None where the row decides nothing."""
    if row.get("soft", ""):
        return _soft(row["soft"], labels, where)
    name = row.get("new_label") or ("" if "new_label" in row else row.get("label", ""))
    if name == NOT_A_FACE or not name:
        return name or None
    if name not in labels:
        raise InputError(f"{where} has the label {name!r}, which is not one of {', '.join(labels)}; correct it.")
    return torch.nn.functional.one_hot(torch.tensor(labels.index(name)), len(labels)).float()


def _soft(text: str, labels: LabelSet, where: str) -> torch.Tensor | str:
    try:
        shares = {canonical(name): float(share) for name, share in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError) as reason:
        raise InputError(
            f'{where} has the soft label {text!r}; JSON like {{"sad": 0.6, "fear": 0.4}} was expected.'
        ) from reason
    if shares.pop(NOT_A_FACE, 0.0) > 0.5:
        return NOT_A_FACE
    target = torch.tensor([shares.get(name, 0.0) for name in labels])
    strange = set(shares) - set(labels) or min(shares.values(), default=0) < 0
    if strange or not 0.49 <= float(target.sum()) <= 1.01:
        raise InputError(
            f"{where} has the soft label {text!r}; shares of {', '.join(labels)} that sum to 1 were expected."
        )
    return target / target.sum()
