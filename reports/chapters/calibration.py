"""How far the model's confidence can be believed."""

from __future__ import annotations

from functools import partial

from audit.counts import OVERALL
from audit.run import AuditRun
from reports import figures
from reports.document import Block, Chapter, Figure, Paragraph, table
from reports.words import percent, spaced, span, whole

MEASURED = ("accuracy", "mean_confidence", "ece", "ece_debiased")


def chapter(run: AuditRun) -> Chapter:
    """Reliability of the whole set, and calibration error by group."""
    bins = run.table("calibration")
    overall = bins[bins["attribute"] == OVERALL]
    if overall.empty:
        reason = Paragraph("Could not be checked, because the run has predictions without probabilities.")
        return Chapter("calibration", "Confidence and calibration", (reason,))
    rows = [
        [f"{percent(row['low'])} to {percent(row['high'])}", whole(row["n"]),
         percent(row["confidence"]), percent(row["accuracy"]), span(row["accuracy_low"], row["accuracy_high"])]
        for row in overall.to_dict("records")
    ]  # fmt: skip
    heads = ["confidence", "#images", "#mean confidence", "#accuracy", "#95% interval"]
    blocks: list[Block] = [
        Paragraph(
            "A model is calibrated if it is right in 70 of 100 images of which it is 70% confident. The calibration "
            "error is the mean distance between confidence and accuracy over bins of confidence; debiased, it is "
            "freed of what chance alone adds in bins of few images."
        ),
        Figure("reliability", "Reliability: accuracy by confidence", partial(figures.reliability, overall)),
        Figure("confidence", "How confident the model is", partial(figures.confidence, overall)),
        table("Accuracy by confidence", heads, rows),
    ]
    groups = run.table("groups")
    single = groups[groups["attribute"].isin(run.attributes)]
    if len(single):
        blocks.append(_by_group(single.to_dict("records")))
    return Chapter("calibration", "Confidence and calibration", tuple(blocks))


def _by_group(rows: list[dict]) -> Block:
    return table(
        "Confidence and calibration error by group",
        ["attribute", "group", "#images", "#accuracy", "#mean confidence", "#calibration error", "#debiased"],
        [
            [spaced(row["attribute"]), row["group"], whole(row["n"]),
             *(["too small"] * 4 if row["too_small"] else [percent(row[name]) for name in MEASURED])]
            for row in rows
        ],
    )  # fmt: skip


def group_figures(run: AuditRun) -> list[Figure]:
    """Reliability curves by group of every attribute, for the appendix."""
    bins = run.table("calibration")
    parts = [(name, bins[bins["attribute"] == name]) for name in run.attributes]
    return [
        Figure(
            f"reliability_{name}",
            f"Reliability by {spaced(name)}",
            partial(figures.reliability_by_group, part),
        )
        for name, part in parts
        if len(part)
    ]
