"""What a reviewer is shown of one picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from audit.duplicates import exact_groups
from audit.remembered import said_of_labels
from audit.review.domain import Decision
from audit.run import AuditRun
from audit.slips import TINY
from audit.strangeness import strangeness
from faces.emotions import vote_columns
from faces.errors import InputError

CONTROL = 200
"""Pictures in the random control sample."""
SPLIT_FROM = 0.5
"""The second choice must have at least this much of the first one's share for a picture to be called ambiguous."""
JUDGES = ("model", "votes")


@dataclass(frozen=True)
class ReviewItem:
    """One picture to judge.

    ``score`` the probability that the label is wrong, after what decisions taught, and ``suggestion_score`` that the
    suggestion is right; ``probabilities`` by class; ``votes`` counts by class where the data has them, else None (for
    display alone); ``ambiguous`` who is split over it, of JUDGES; ``copies`` other samples that show the same picture,
    and how: ``exact``, ``near`` or ``mirrored``; ``decisions`` the ones that hold.
    """

    row: int
    sample_id: str
    content_id: str
    label: str
    suggested: str | None
    score: float
    suggestion_score: float
    reason: str
    probabilities: dict[str, float]
    votes: dict[str, int] | None
    ambiguous: tuple[str, ...]
    copies: dict[str, str]
    decisions: tuple[Decision, ...]


class Evidence:
    """A run's columns in the form the review needs them, each computed once."""

    def __init__(self, run: AuditRun) -> None:
        self.run = run
        self.samples = run.samples

    @cached_property
    def labels(self) -> np.ndarray:
        """Class names (N,) as objects, None where there is no label of the run's classes."""
        values = self.samples["label"].astype(object)
        return values.where(values.isin(self.run.classes.names), None).to_numpy()

    @cached_property
    def suggested(self) -> np.ndarray:
        """Class names (N,) as objects, None where nothing is suggested."""
        values = self.samples["suggested"].astype(object)
        return values.where(values.notna(), None).to_numpy()

    @cached_property
    def suggestion_share(self) -> np.ndarray:
        """How likely the suggestion is right where the label is wrong, float (N,) in [0, 1], NaN where unscored and
        in runs made before suggestions had a score."""
        if "suggestion_score" not in self.samples:
            return np.full(len(self.samples), np.nan)
        score = self.samples["label_issue_score"].to_numpy(dtype=np.float64)
        both = self.samples["suggestion_score"].to_numpy(dtype=np.float64)
        return np.minimum(both / np.maximum(score, TINY), 1)

    @cached_property
    def content(self) -> np.ndarray:
        """content_id (N,) as objects, None where a picture could not be read."""
        values = self.samples["content_id"].astype(object)
        return values.where(values.notna() & (values != ""), None).to_numpy()

    @cached_property
    def reviewable(self) -> np.ndarray:
        """Rows with a picture and a label, in sample order."""
        known = [c is not None and y is not None for c, y in zip(self.content, self.labels, strict=True)]
        return np.arange(len(known))[np.array(known, dtype=bool)]

    @cached_property
    def control(self) -> np.ndarray:
        """Rows of the random control sample, in the order of a hash: the same each time for the same pictures."""
        rows = self.reviewable
        drawn = [hashlib.sha256(f"{self.content[row]}{self.labels[row]}".encode()).digest() for row in rows]
        return rows[sorted(range(len(rows)), key=lambda at: drawn[at])[:CONTROL]]

    @cached_property
    def rows_of(self) -> dict[tuple[str, str], list[int]]:
        """(content_id, label) -> the rows a decision about it reaches."""
        rows: dict[tuple[str, str], list[int]] = {}
        for row in self.reviewable.tolist():
            rows.setdefault((self.content[row], self.labels[row]), []).append(row)
        return rows

    @cached_property
    def said(self) -> np.ndarray:
        """The probabilities (N, K) that the labels were judged by, NaN where unscored: never those of a network that
        had learnt the label where there are others."""
        return said_of_labels(self.run.folder, self.run.probabilities)

    @cached_property
    def split(self) -> np.ndarray:
        """How split the model is: the second largest probability over the largest, float (N,), NaN where unscored."""
        ordered = np.sort(self.said, axis=1)
        return ordered[:, -2] / np.maximum(ordered[:, -1], 1e-12)

    @cached_property
    def strangeness(self) -> np.ndarray:
        """How unlike a face each picture is, float (N,) in [0, 1]; runs made before that was measured tell blank ones
        alone."""
        if "strangeness" in self.samples:
            return self.samples["strangeness"].to_numpy(dtype=np.float64)
        return strangeness(self.samples)

    @cached_property
    def copies_table(self) -> pd.DataFrame:
        """Groups of the same picture: the run's own table where it knows near copies too, else the exact ones."""
        stored = self._table("duplicates")
        table = exact_groups(self.samples) if stored is None or "kind" not in stored else stored
        row = table["sample_id"].map(self.run.row_of)
        return table.assign(row=row).dropna(subset=["row"]).astype({"row": np.int64})

    @cached_property
    def _group_of(self) -> dict[int, pd.DataFrame]:
        """Row -> the part of ``copies_table`` that shows the same picture."""
        groups = [group for _, group in self.copies_table.groupby("duplicate_group")]
        return {int(row): group for group in groups for row in group["row"]}

    @cached_property
    def vote_columns(self) -> dict[str, str]:
        """Class name -> column of its votes."""
        return vote_columns(self.samples)

    @cached_property
    def split_votes(self) -> np.ndarray:
        """The same of the votes; 0 where there are none."""
        if len(self.vote_columns) < 2:
            return np.zeros(len(self.samples))
        ordered = np.sort(self.samples[list(self.vote_columns.values())].fillna(0).to_numpy(dtype=np.float64), axis=1)
        return ordered[:, -2] / np.maximum(ordered[:, -1], 1)

    @cached_property
    def ambiguous(self) -> np.ndarray:
        """bool (N, 2): whether the model and whether the votes are split."""
        return np.stack([np.nan_to_num(self.split), self.split_votes], axis=1) >= SPLIT_FROM

    @cached_property
    def _unit(self) -> np.ndarray | None:
        if self.run.embeddings is None:
            return None
        rows = np.nan_to_num(np.asarray(self.run.embeddings, dtype=np.float32))
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)

    @cached_property
    def _reasons(self) -> pd.Series | None:
        stored = self._table("label_issues")
        return None if stored is None else stored.set_index("sample_id")["reason"]

    def _table(self, name: str) -> pd.DataFrame | None:
        try:
            return self.run.table(name)
        except InputError:
            return None

    def similar(self, row: int) -> np.ndarray:
        """All other rows, the most alike in the network's embeddings first; empty where there are no embeddings."""
        if self._unit is None:
            return np.zeros(0, dtype=np.int64)
        order = np.argsort(-(self._unit @ self._unit[row]), kind="stable")
        return order[order != row]

    def copies(self, row: int) -> dict[int, str]:
        """Other rows that show the same picture, whatever their label, and how: ``exact``, ``near`` or ``mirrored``."""
        group = self._group_of.get(row)
        if group is None:
            return {}
        kinds = dict(zip(group["row"].tolist(), group.get("kind", pd.Series("exact", group.index)), strict=True))

        def kind(other: int) -> str:
            if self.content[other] == self.content[row]:
                return "exact"
            return "mirrored" if (kinds[other] == "mirrored") != (kinds[row] == "mirrored") else "near"

        return {other: kind(other) for other in kinds if other != row}

    def votes(self, row: int) -> dict[str, int] | None:
        """Counts by class name; None where this picture has none."""
        values = {name: self.samples[column].iat[row] for name, column in self.vote_columns.items()}
        known = {name: int(value) for name, value in values.items() if pd.notna(value)}
        return known if sum(known.values()) else None

    def reason(self, row: int) -> str:
        """Why the label is doubted: the audit's sentence, or the two probabilities where it stored none."""
        sample = self.samples["sample_id"].iat[row]
        if self._reasons is not None and sample in self._reasons.index:
            return str(self._reasons[sample])
        label, other = self.labels[row], self.suggested[row]
        shares = self.probabilities(row)
        if label is None or other is None or label not in shares:
            return "No label to judge, or no probabilities to judge it by."
        return f"The model gives {label} {shares[label]:.0%} and {other} {shares[other]:.0%}."

    def probabilities(self, row: int) -> dict[str, float]:
        """By class, in the run's order; empty where the picture was not scored."""
        values = self.said[row]
        return dict(zip(self.run.classes.names, values.tolist(), strict=True)) if np.isfinite(values).all() else {}
