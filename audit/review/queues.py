"""Which pictures to look at, in which order. Each queue is a function from the evidence to row numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from audit.labels import descending
from audit.review.domain import Standing, verdict
from audit.review.items import Evidence
from audit.strangeness import stands_out
from faces.emotions import canonical
from faces.errors import InputError


@dataclass(frozen=True)
class Query:
    """A queue and its filters: ``label`` and ``predicted`` narrow to a cell of the confusion matrix, ``attribute`` and
    ``group`` to a group, ``text`` to sample ids, labels and predictions that contain it; ``split`` to one part."""

    kind: str = "likely_wrong"
    label: str | None = None
    predicted: str | None = None
    attribute: str | None = None
    group: str | None = None
    text: str | None = None
    split: str | None = None


def order(query: Query, evidence: Evidence, score: np.ndarray, standing: Standing) -> np.ndarray:
    """Row numbers in the order of the queue, before decided and claimed ones are left out.

    Raises InputError for a queue, class, attribute or group that is not there.
    """
    if query.kind not in KINDS:
        raise InputError(f"There is no queue {query.kind!r}; the queues are {', '.join(KINDS)}.")
    rows = KINDS[query.kind](query, evidence, score, standing)
    return rows[_kept(query, evidence)[rows]]


def _kept(query: Query, evidence: Evidence) -> np.ndarray:
    """bool (N,): rows that the filters leave and that can be reviewed."""
    samples = evidence.samples
    keep = np.zeros(len(samples), dtype=bool)
    keep[evidence.reviewable] = True
    for column, name in (("label", query.label), ("predicted", query.predicted)):
        if name is not None:
            wanted = evidence.run.classes.names[evidence.run.classes.index(name)]
            keep &= (samples[column] == wanted).to_numpy(dtype=bool, na_value=False)
    if query.split is not None:
        keep &= (samples["split"] == query.split).to_numpy(dtype=bool, na_value=False)
    if query.attribute is not None:
        keep &= _in_group(query, evidence)
    if query.text:
        text = query.text.strip().lower()
        columns = samples[["sample_id", "label", "predicted"]].astype("str")
        found = columns.apply(lambda values: values.str.lower().str.contains(text, regex=False))
        keep &= found.any(axis=1).to_numpy() | (samples["label"] == canonical(text)).to_numpy(
            dtype=bool, na_value=False
        )
    return keep


def _in_group(query: Query, evidence: Evidence) -> np.ndarray:
    if query.attribute not in evidence.run.attributes:
        known = ", ".join(evidence.run.attributes) or "none"
        raise InputError(f"The attribute {query.attribute!r} was not audited; audited: {known}.")
    values = evidence.samples[query.attribute].astype("str")
    inside = (values == query.group).to_numpy(dtype=bool, na_value=False)
    if not inside.any():
        known = ", ".join(sorted(evidence.samples[query.attribute].dropna().astype("str").unique()))
        raise InputError(f"{query.attribute} has no group {query.group!r}; its groups are: {known}.")
    return inside


def likely_wrong(query: Query, evidence: Evidence, score: np.ndarray, standing: Standing) -> np.ndarray:
    """By the probability that the label is wrong."""
    return descending(score)


def surest(query: Query, evidence: Evidence, score: np.ndarray, standing: Standing) -> np.ndarray:
    """By the probability that the label is wrong and the suggestion right."""
    if not np.isfinite(evidence.suggestion_share).any():
        raise InputError(
            f"The run {evidence.run.name} does not say how sure its suggestions are; audit again with this version, or "
            "take the queue likely_wrong."
        )
    return descending(score * evidence.suggestion_share)


def ambiguous(query: Query, evidence: Evidence, score: np.ndarray, standing: Standing) -> np.ndarray:
    """Pictures on which the model or the votes are split, by how split the model is."""
    return descending(evidence.split, np.flatnonzero(evidence.ambiguous.any(axis=1)))


def duplicates(query: Query, evidence: Evidence, score: np.ndarray, standing: Standing) -> np.ndarray:
    """Pictures that are there more than once, group by group; those whose labels differ first."""
    groups = evidence.copies_table
    doubt = np.nan_to_num(score[groups["row"].to_numpy()])
    worst = groups.assign(doubt=doubt).groupby("duplicate_group")["doubt"].transform("max")
    placed = groups.assign(worst=worst).sort_values(
        ["conflicting", "worst", "duplicate_group", "row"], ascending=[False, False, True, True], kind="stable"
    )
    return placed["row"].to_numpy(dtype=np.int64)


def control(query: Query, evidence: Evidence, score: np.ndarray, standing: Standing) -> np.ndarray:
    """A random sample, the same each time for the same data: it tells how many labels are wrong without looking where
    they are thought to be."""
    return evidence.control


def not_a_face(query: Query, evidence: Evidence, score: np.ndarray, standing: Standing) -> np.ndarray:
    """Blank pictures, then those that stand out as unlike the faces in the run, the strangest first."""
    return descending(evidence.strangeness, np.flatnonzero(stands_out(evidence.strangeness)))


def disagreements(query: Query, evidence: Evidence, score: np.ndarray, standing: Standing) -> np.ndarray:
    """Pictures that reviewers decided differently; the undecided ties first."""
    found: list[tuple[bool, int]] = []
    for key, rows in evidence.rows_of.items():
        given = verdict(standing, key)
        if given is not None and not given.agreed:
            found.append((given.settled, rows[0]))
    return np.array([row for _, row in sorted(found)], dtype=np.int64)


KINDS: dict[str, Callable[[Query, Evidence, np.ndarray, Standing], np.ndarray]] = {
    "likely_wrong": likely_wrong,
    "surest": surest,
    "ambiguous": ambiguous,
    "duplicates": duplicates,
    "confusion": likely_wrong,
    "group": likely_wrong,
    "search": likely_wrong,
    "control": control,
    "not_a_face": not_a_face,
    "disagreements": disagreements,
}
"""Name -> function. ``confusion``, ``group`` and ``search`` are the likely wrong ones within the query's filters."""
