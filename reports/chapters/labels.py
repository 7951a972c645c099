"""Which labels look wrong."""

from __future__ import annotations

import pandas as pd

from audit.findings import LIKELY_WRONG
from audit.run import AuditRun
from reports.document import Block, Chapter, Paragraph, Table, table
from reports.words import decimal, images, percent, whole

TITLE = "Label quality"
LISTED = 25


def chapter(run: AuditRun) -> Chapter:
    """Likely label issues by class, and the likeliest ones."""
    samples = run.samples
    judged = samples[samples["label_issue_score"].notna()]
    if judged.empty:
        reason = Paragraph("Labels could not be checked, because the run has predictions without probabilities.")
        return Chapter("labels", TITLE, (reason,))
    suspected = judged[judged["label_issue_score"] > LIKELY_WRONG]
    blocks: list[Block] = [
        Paragraph(
            f"{images(len(suspected))} of {whole(len(judged))} ({percent(len(suspected) / len(judged))}) are likelier "
            "labelled wrong than right, going by the model's probabilities, the neighbours among the embeddings and "
            "exact copies with other labels. A score is a suspicion: only a person who looks decides. Every accuracy "
            "in this report is measured against the labels as given, so wrong labels lower it and may do so more in "
            "one group than in another."
        ),
        _by_class(judged, suspected, run.classes.names),
    ]
    if len(suspected):
        blocks.append(_likeliest(suspected))
    return Chapter("labels", TITLE, tuple(blocks))


def _by_class(judged: pd.DataFrame, suspected: pd.DataFrame, classes: tuple[str, ...]) -> Table:
    counts = [(name, int((judged["label"] == name).sum()), int((suspected["label"] == name).sum())) for name in classes]
    rows = [[name, whole(n), whole(wrong), percent(wrong / n if n else None)] for name, n, wrong in counts]
    return table("Labels that look wrong, by class", ["label", "#images", "#suspected", "#share"], rows)


def _likeliest(suspected: pd.DataFrame) -> Table:
    worst = suspected.sort_values("label_issue_score", ascending=False, kind="stable").head(LISTED)
    columns = zip(worst["sample_id"], worst["label"], worst["suggested"], worst["label_issue_score"], strict=True)
    rows = [[sample, label, suggested, decimal(float(score))] for sample, label, suggested, score in columns]
    heads = ["sample", "label", "suggested", "#score"]
    return table(f"The {len(rows)} likeliest wrong labels", heads, rows, "Up to 1,000 are listed in report.json.")
