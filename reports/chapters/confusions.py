"""What is taken for what."""

from __future__ import annotations

from functools import partial

from audit.counts import Counts
from audit.run import AuditRun
from audit.summary import accuracy
from audit.summary import overall as overall_figures
from reports import figures
from reports.document import Block, Chapter, Faces, Figure, Paragraph, Table, table
from reports.faces_shown import Gallery
from reports.words import images, known, percent, span, whole

WIDEST_TABLE = 12
"""A confusion matrix of more classes is drawn, not tabled: it would not fit a page."""
WHOLE_SET = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy (mean recall of the classes)",
    "macro_f1": "macro F1 (mean F1 of the classes)",
    "top2_accuracy": "top-2 accuracy (the label is among the two likeliest classes)",
    "mean_confidence": "mean confidence",
    "ece": "calibration error",
    "ece_debiased": "calibration error, debiased",
    "vote_agreement": "agreement with votes (share of an image's votes that its prediction has)",
}
PAIRS = 10
PAIRS_SHOWN, EXAMPLES = 3, 10
"""Of so many pairs so many pictures each are shown where faces are asked for."""


def chapter(run: AuditRun, overall: Counts, gallery: Gallery | None = None) -> Chapter:
    """The confusion matrix, recall and precision of each class, and the pairs most often confused."""
    matrix, classes = overall.confusion, overall.classes
    per_class, pairs = run.table("per_class"), run.table("pairs")
    pairs = pairs[pairs["n_ab"] + pairs["n_ba"] > 0]
    blocks: list[Block] = [
        Paragraph(
            "Recall is the share of a class's images that the model recognises; precision is the share of its "
            "predictions of a class that are right; F1 is their harmonic mean. Intervals are Wilson's for recall and "
            "precision and the stratified bootstrap's for F1, all 95%."
        ),
        _whole_set(run, overall),
        _per_class(per_class.to_dict("records")),
        Figure("per_class", "Recall, precision and F1 of each class", partial(figures.per_class, per_class)),
        Figure(
            "confusion_matrix",
            "Confusion matrix: each row shows what the images of one label were predicted as",
            partial(figures.confusion_matrix, matrix, classes),
        ),
    ]
    if len(classes) <= WIDEST_TABLE:
        blocks.append(_matrix(overall))
    blocks += [
        _pairs(pairs.head(PAIRS).to_dict("records")),
        Figure(
            "confusable_pairs",
            "The pairs most often confused, in both directions",
            partial(figures.confusable_pairs, pairs, top=PAIRS),
        ),
    ]
    if gallery is not None:
        blocks += [_examples(run, gallery, row) for row in pairs.head(PAIRS_SHOWN).to_dict("records")]
    return Chapter("confusion", "What is confused with what", tuple(blocks))


def _examples(run: AuditRun, gallery: Gallery, pair: dict) -> Faces:
    """The most confident mistakes between two classes."""
    a, b, samples = pair["class_a"], pair["class_b"], run.samples
    mistaken = samples[(samples["label"] == a) & (samples["predicted"] == b)
                       | (samples["label"] == b) & (samples["predicted"] == a)]  # fmt: skip
    first = mistaken.sort_values("confidence", ascending=False, kind="stable").head(EXAMPLES)
    texts = [f"{label} as {predicted}" for label, predicted in zip(first["label"], first["predicted"], strict=True)]
    caption = f"{a} and {b}: the most confident mistakes (label, then prediction)"
    return gallery.block(caption, zip(first["sample_id"], texts, strict=True))


def _whole_set(run: AuditRun, counts: Counts) -> Table:
    facts: dict[str, float] = overall_figures(run)
    right = accuracy(counts.confusion)
    facts |= {"accuracy": right["value"], "accuracy_low": right["low"], "accuracy_high": right["high"]}
    rows = [
        [title, percent(facts[name]), span(facts.get(f"{name}_low"), facts.get(f"{name}_high"))]
        for name, title in WHOLE_SET.items()
        if known(facts[name])
    ]
    return table(f"The whole set, {images(counts.n)}", ["metric", "#value", "#95% interval"], rows)


def _per_class(rows: list[dict]) -> Table:
    return table(
        "Each class: share and 95% interval, in percent",
        ["class", "#images", "#recall", "#interval", "#predicted", "#precision", "#interval", "#F1", "#interval"],
        [
            [row["class"], whole(row["n"]), percent(row["recall"]), span(row["recall_low"], row["recall_high"]),
             whole(row["predicted_n"]), percent(row["precision"]), span(row["precision_low"], row["precision_high"]),
             percent(row["f1"]), span(row["f1_low"], row["f1_high"])]
            for row in rows
        ],
    )  # fmt: skip


def _matrix(counts: Counts) -> Table:
    heads = ["label", *(f"#as {name}" for name in counts.classes), "#all"]
    rows = [
        [name, *(whole(n) for n in row), whole(row.sum())]
        for name, row in zip(counts.classes, counts.confusion, strict=True)
    ]
    return table("Confusion matrix in images: rows label, columns predicted", heads, rows)


def _pairs(rows: list[dict]) -> Table:
    return table(
        "Pairs most often confused",
        ["classes", "#images of either", "#first as second", "#second as first", "#confused", "#95% interval"],
        [
            [f"{row['class_a']} / {row['class_b']}", whole(row["n"]), whole(row["n_ab"]), whole(row["n_ba"]),
             percent(row["rate"]), span(row["low"], row["high"])]
            for row in rows
        ],
        "Confused is the share of the images labelled either that were predicted as the other.",
    )  # fmt: skip


def appendix(overall: Counts) -> list[Block]:
    """The confusion matrix by number of images."""
    draw = partial(figures.confusion_matrix, overall.confusion, overall.classes, "none")
    return [Figure("confusion_matrix_images", "Confusion matrix in images", draw)]
