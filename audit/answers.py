"""Planted faults against found ones: how well an audit of drawn faces did, by their answer sheet."""

from __future__ import annotations

from dataclasses import dataclass

from audit.data_audit import DataAudit
from audit.family import ALPHA, WIDEST
from audit.run import AuditRun
from faces.synthetic import AnswerSheet

SUGGESTIONS = 1.5
"""Flipped labels are looked for among this many times as many first suggestions."""


@dataclass(frozen=True)
class Graded:
    """One kind of planted fault: ``found`` of ``planted``, and where it was looked for."""

    fault: str
    planted: int
    found: int
    where: str


def grade(run: AuditRun, inspected: DataAudit, sheet: AnswerSheet) -> tuple[Graded, ...]:
    """Hold the audit ``run`` of a part, and the inspection of the whole data, to the answer sheet of the drawing."""
    return (*_labels(run, sheet), _duplicates(inspected, sheet), *_group(run, sheet), _unreadable(inspected, sheet))


def _labels(run: AuditRun, sheet: AnswerSheet) -> tuple[Graded, ...]:
    judged = run.samples[run.samples["label_issue_score"].notna()]
    planted = set(sheet.flipped) & set(judged["sample_id"])
    first = judged.sort_values("label_issue_score", ascending=False, kind="stable")["sample_id"]
    suggested = first.head(round(SUGGESTIONS * len(planted)))
    where = f"among the first {len(suggested)} of {len(judged)} suggestions"
    return (Graded("flipped labels", len(planted), len(planted & set(suggested)), where),) if planted else ()


def _duplicates(inspected: DataAudit, sheet: AnswerSheet) -> Graded:
    found = 0 if inspected.duplicates is None else inspected.duplicates.across_splits
    return Graded("duplicates across splits", len(sheet.duplicates), found, "by `facevalue inspect`")


def _group(run: AuditRun, sheet: AnswerSheet) -> tuple[Graded, ...]:
    if sheet.worse_group is None:
        return ()
    attribute, planted = sheet.worse_group
    ranges = run.table("ranges")
    widest = ranges[(ranges["attribute"] == attribute) & (ranges["kind"] == WIDEST)]
    found = bool(((widest["worst"] == planted) & (widest["p_adjusted"] < ALPHA)).any())
    return (Graded(f"worse group ({attribute} {planted})", 1, int(found), "as the worst of the widest gap"),)


def _unreadable(inspected: DataAudit, sheet: AnswerSheet) -> Graded:
    found = set(inspected.unreadable or {}) & set(sheet.unreadable)
    return Graded("unreadable files", len(sheet.unreadable), len(found), "by `facevalue inspect`")
