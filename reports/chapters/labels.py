"""Which labels look wrong, what people decided about them, and what that changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from audit.confusion import accuracy
from audit.counts import Coded, Counts
from audit.findings import LIKELY_WRONG
from audit.intervals import wilson
from audit.review.export import corrected
from audit.review.service import ReviewService
from audit.review.store import ReviewStore
from audit.run import AuditRun
from audit.views import decided_labels
from reports.document import Block, Bullets, Chapter, Heading, Paragraph, Table, table
from reports.faces_shown import Gallery
from reports.words import decimal, images, percent, spaced, span, whole

TITLE = "Label quality"
LISTED = 25
SHOWN = 20


def chapter(run: AuditRun, reviews: str | None = None, gallery: Gallery | None = None) -> Chapter:
    """Likely label issues by class, the likeliest ones, and the decisions of reviewers where there are any.

    ``reviews`` is the database of decisions, RUN/reviews.sqlite unless named.
    """
    samples = run.samples
    judged = samples[samples["label_issue_score"].notna()]
    if judged.empty:
        blocks: list[Block] = [
            Paragraph("Labels could not be checked, because the run has predictions without probabilities.")
        ]
    else:
        blocks = _suspected(run, judged, gallery)
    with _reviewed(run, reviews) as service:
        if service is not None:
            blocks += _decided(run, service)
    return Chapter("labels", TITLE, tuple(blocks))


def _suspected(run: AuditRun, judged: pd.DataFrame, gallery: Gallery | None) -> list[Block]:
    suspected = judged[judged["label_issue_score"] > LIKELY_WRONG]
    suspected = suspected.sort_values("label_issue_score", ascending=False, kind="stable")
    blocks: list[Block] = [
        Paragraph(
            f"{images(len(suspected))} of {whole(len(judged))} ({percent(len(suspected) / len(judged))}) are likelier "
            "labelled wrong than right, going by the model's probabilities, the neighbours among the embeddings and "
            "exact copies with other labels. A score is a suspicion: only a person who looks decides. Every accuracy "
            "in this report is measured against the labels as given, so wrong labels lower it and may do so more in "
            "one group than in another."
        ),
        *_memory(run),
        _by_class(judged, suspected, run.classes.names),
    ]
    if len(suspected):
        blocks.append(_likeliest(suspected.head(LISTED)))
    if gallery is not None and len(suspected):
        first = suspected.head(SHOWN)
        texts = [f"{label}, or {other}?" for label, other in zip(first["label"], first["suggested"], strict=True)]
        pictures = zip(first["sample_id"], texts, strict=True)
        blocks.append(gallery.block("The likeliest wrong labels: label, and what is suggested", pictures))
    return blocks


def _memory(run: AuditRun) -> list[Block]:
    """What it means for the ranking that the model was trained on some of the images."""
    return [Paragraph(finding.detail) for finding in run.findings if finding.code == "FV-L002"]


def _by_class(judged: pd.DataFrame, suspected: pd.DataFrame, classes: tuple[str, ...]) -> Table:
    counts = [(name, int((judged["label"] == name).sum()), int((suspected["label"] == name).sum())) for name in classes]
    rows = [[name, whole(n), whole(wrong), percent(wrong / n if n else None)] for name, n, wrong in counts]
    return table("Labels that look wrong, by class", ["label", "#images", "#suspected", "#share"], rows)


def _likeliest(worst: pd.DataFrame) -> Table:
    columns = zip(worst["sample_id"], worst["label"], worst["suggested"], worst["label_issue_score"], strict=True)
    rows = [[sample, label, suggested, decimal(float(score))] for sample, label, suggested, score in columns]
    heads = ["sample", "label", "suggested", "#score"]
    return table(f"The {len(rows)} likeliest wrong labels", heads, rows, "Up to 1,000 are listed in report.json.")


@contextmanager
def _reviewed(run: AuditRun, reviews: str | None) -> Iterator[ReviewService | None]:
    """The review of the run; None where nobody began one."""
    own = run.folder / "reviews.sqlite"
    if reviews is None and not own.is_file():
        yield None
        return
    with ReviewStore.open(Path(own) if reviews is None else reviews) as store:
        yield ReviewService(run, store)


def decided(run: AuditRun, reviews: str | None = None) -> dict[str, str | None]:
    """What reviewers settled on, by sample_id; see audit.views.decided_labels. Empty where nobody began a review."""
    with _reviewed(run, reviews) as service:
        return {} if service is None else decided_labels(service)


def _decided(run: AuditRun, service: ReviewService) -> list[Block]:
    progress = service.progress()
    if not progress.decided:
        return []
    left, low, high = progress.errors_left
    told = [
        f"{whole(progress.decided)} of {images(progress.total)} were decided; {whole(progress.errors_found)} labels "
        f"were found wrong, and about {left:.0f} more are expected among the rest (95% interval {low:.0f} to "
        f"{high:.0f}).",
        *progress.sentences,
        *_agreement(service),
    ]
    labels = corrected(run, service.verdicts())
    changed = labels[labels["changed"]]
    blocks: list[Block] = [Heading("what reviewers decided"), Bullets(tuple(told))]
    if changed.empty:
        return [*blocks, Paragraph("No label was changed.")]
    moves = (
        changed.groupby(["old_label", "label"]).size().sort_values(ascending=False, kind="stable").reset_index(name="n")
    )
    rows = [[old, new, whole(n)] for old, new, n in moves.itertuples(index=False)]
    blocks.append(table("Labels that reviewers changed", ["label", "became", "#images"], rows))
    blocks.append(_before_and_after(run, labels))
    return blocks


def _agreement(service: ReviewService) -> list[str]:
    """How far reviewers agree, where several decided the same pictures."""
    found = service.agreement()
    if not found.pictures or found.share is None:
        return []
    alpha = "undefined" if found.alpha is None else decimal(found.alpha)
    told = f"{images(found.pictures)} were decided by several reviewers, who agree in {percent(found.share)} of pairs"
    known = {name: value for name, value in found.alpha_per_class.items() if value is not None}
    least = min(known, key=lambda name: known[name], default=None)
    rest = "" if least is None else f", least on {spaced(least)} ({decimal(known[least])})"
    return [f"{told} (Krippendorff's alpha {alpha}{rest})."]


def _before_and_after(run: AuditRun, labels: pd.DataFrame) -> Table:
    """Accuracy against the labels as given and as reviewed, of the whole set and of every group."""
    reviewed = run.samples.assign(label=labels["label"])
    sides = [Coded.of(samples, run.classes, run.attributes) for samples in (run.samples, reviewed)]
    rows = []
    for names in ((), *((name,) for name in run.attributes)):
        before, after = (side.counts(names) for side in sides)
        for group in before.groups:
            name = f"{spaced(names[0])}: {group}" if names else "all"
            rows.append([name, *_accuracy(before, group), *_accuracy(after, group)])
    heads = ["group", "#images", "#as given", "#95% interval", "#images", "#as reviewed", "#95% interval"]
    note = "Reviewed labels stand where reviewers agreed; images found to show no face are left out of their figures."
    return table("Accuracy against the labels as given and as reviewed", heads, rows, note)


def _accuracy(counts: Counts, group: str) -> list[str]:
    if group not in counts.groups:
        return ["0", "–", "–"]
    matrix = counts.group(group)
    low, high = wilson(matrix.trace(), matrix.sum())
    return [whole(matrix.sum()), percent(float(accuracy(matrix))), span(float(low), float(high))]
