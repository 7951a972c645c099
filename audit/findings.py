"""What a person reads first: findings, each one sentence with its number, and a link to the evidence.

Codes are stable: FV-D data, FV-M model, FV-F fairness, FV-S saliency, FV-L labels. What could not be checked is a
finding of its own (severity ``unchecked``) and never a pass.
"""

from __future__ import annotations

from urllib.parse import urlencode

import numpy as np
import pandas as pd
from scipy import stats

from audit import sentences
from audit.calibration import debiased_calibration_error, expected_calibration_error
from audit.classorder import class_order
from audit.counts import CROSS, Counts, Tally
from audit.fairness import MIN_GROUP
from audit.family import ALPHA, CELL, WIDEST, Comparisons
from audit.run import Finding
from audit.sentences import counted, images, of_group, percent, points, whole
from faces.dataset import NO_PREDICTION, UNKNOWN_LABEL, UNLABELLED, UNREADABLE

MISCALIBRATED = 0.05
LIKELY_WRONG = 0.5
MOST_WRONG = 0.6
"""A larger share of labels than this is not wrong in any data set that one would audit: the model is."""
BEYOND = 0.01
"""An intersection is news only where it differs from the rest of each of its parts at this level."""
DARK, BRIGHT, FLAT = 30.0, 225.0, 10.0
"""Mean luma under DARK or over BRIGHT, or a contrast (standard deviation) under FLAT, of 255: hardly a picture."""


def data_findings(samples: pd.DataFrame, duplicates: pd.DataFrame) -> list[Finding]:
    """FV-D: unreadable images, missing and unknown labels, duplicates, leakage, unusable pictures."""
    return [*_status_findings(samples), *_duplicate_findings(samples, duplicates), *_quality_findings(samples)]


def _status_findings(samples: pd.DataFrame) -> list[Finding]:
    found = []
    by_status = samples["status"].value_counts()
    for status, code, severity, title, rest in (
        (UNREADABLE, "FV-D001", "medium", "Unreadable files", "could not be read as images and are left out"),
        (NO_PREDICTION, "FV-D001", "medium", "Rows without a prediction",
         "have no prediction among the classes and are left out"),
        (UNLABELLED, "FV-D002", "low", "Images without a label", "have no label and are left out of all figures"),
        (UNKNOWN_LABEL, "FV-D003", "medium", "Labels the model does not know",
         "carry a label that is none of the model's classes and are left out of all figures"),
    ):  # fmt: skip
        n = int(by_status.get(status, 0))
        if not n:
            continue
        rows = samples[samples["status"] == status]
        named = rows["label"].dropna().unique() if status == UNKNOWN_LABEL else rows["sample_id"].head(3)
        examples = ", ".join(str(name) for name in named[:8])
        detail = f"{images(n)} of {whole(len(samples))} {rest} ({'such as ' if n > len(named) else ''}{examples})."
        found.append(Finding(code, severity, title, detail, _link("/samples", status=status)))
    return found


def _duplicate_findings(samples: pd.DataFrame, duplicates: pd.DataFrame) -> list[Finding]:
    if samples["content_id"].isna().all():
        reason = "Duplicates and leakage across splits could not be checked, because the run has no images."
        return [Finding("FV-D004", "unchecked", "Duplicates could not be checked", reason)]
    found = []
    across = duplicates[duplicates["across_splits"]]
    if len(across):
        groups = across.groupby("duplicate_group")
        conflicting = int(groups["conflicting"].first().sum())
        extra = f"; for {whole(conflicting)} of them the labels disagree" if conflicting else ""
        detail = f"{counted(len(groups), 'picture')} in more than one split ({images(len(across))} in all){extra}."
        found.append(Finding("FV-D004", "high", "Leakage across splits", detail, "/samples?duplicate_group=*"))
    elif samples["split"].nunique() < 2:
        reason = (
            "Leakage across splits could not be checked, because only one split was audited; "
            "`facevalue inspect` looks at all of them."
        )
        found.append(Finding("FV-D004", "unchecked", "Leakage across splits could not be checked", reason))
    if len(duplicates):
        groups = duplicates.groupby("duplicate_group")
        conflicting = int(groups["conflicting"].first().sum())
        detail = (
            f"{images(len(duplicates))} are exact copies of one another ({counted(len(groups), 'group')}); "
            f"{counted(conflicting, 'group')} with conflicting labels."
        )
        severity = "medium" if conflicting else "low"
        found.append(Finding("FV-D005", severity, "Exact duplicates", detail, "/samples?duplicate_group=*"))
    return found


def near_copies_finding(copies: pd.DataFrame) -> list[Finding]:
    """FV-D007: pictures that are there again, altered; ``copies`` is the result table ``duplicates``."""
    altered = copies[copies["kind"].isin(["near", "mirrored"])]
    if altered.empty:
        return []
    groups = copies[copies["duplicate_group"].isin(altered["duplicate_group"])].groupby("duplicate_group")
    across, conflicting = (int(groups[name].first().sum()) for name in ("across_splits", "conflicting"))
    mirrored = int((altered["kind"] == "mirrored").sum())
    detail = (
        f"By their looks {whole(len(altered))} altered {'copy' if len(altered) == 1 else 'copies'} of other images "
        f"({whole(mirrored)} mirrored) in {counted(groups.ngroups, 'group')}; {counted(across, 'group')} across "
        f"splits, {counted(conflicting, 'group')} with conflicting labels."
    )
    severity = "medium" if across or conflicting else "low"
    return [Finding("FV-D007", severity, "Near and mirrored copies", detail, _link("/review", queue="duplicates"))]


def _quality_findings(samples: pd.DataFrame) -> list[Finding]:
    if "brightness" not in samples or samples["brightness"].isna().all():
        reason = "Image quality could not be checked, because the run has no images."
        return [Finding("FV-D006", "unchecked", "Image quality could not be checked", reason)]
    light, contrast = samples["brightness"], samples["contrast"]
    dark, bright, flat = light < DARK, light > BRIGHT, contrast < FLAT
    n = int((dark | bright | flat).sum())
    if not n:
        return []
    detail = (
        f"{images(n)} of {whole(len(samples))} hardly show a face: {whole(dark.sum())} nearly black, "
        f"{whole(bright.sum())} nearly white, {whole(flat.sum())} almost without contrast."
    )
    return [Finding("FV-D006", "low", "Images of low quality", detail, _link("/samples", contrast=f"..{FLAT:.0f}"))]


def model_findings(
    counts: Counts, pairs: pd.DataFrame, bins: Tally | None, samples: pd.DataFrame, trained_on_known: bool
) -> list[Finding]:
    """FV-M: classes in the wrong order, samples seen in training, confidence, the most confusable pair, no better
    than chance."""
    if not counts.n:
        reason = "No image has both a label among the model's classes and a prediction, so nothing could be compared."
        return [Finding("FV-M001", "unchecked", "The model could not be judged", reason)]
    order, chance = _order_finding(counts, samples), _chance_finding(counts)
    return [
        *order,
        *_seen_finding(samples, trained_on_known),
        *_calibration_finding(bins),
        *(() if chance else _pair_finding(pairs)),
        *(() if order else chance),
    ]


def hits_by_chance(counts: Counts) -> float:
    """How many predictions would be right if they were dealt out among the images (Cohen 1960)."""
    matrix = counts.confusion
    return float(matrix.sum(axis=1) @ matrix.sum(axis=0) / max(counts.n, 1))


def beats_chance(counts: Counts) -> bool:
    """Whether more predictions are right than dealing them out would give, by three standard deviations."""
    n, hits, chance = counts.n, float(np.trace(counts.confusion)), hits_by_chance(counts)
    seen = (counts.labelled.sum(axis=0) > 0).sum()
    return bool(seen < 2 or hits - chance > 3 * np.sqrt(chance * (1 - chance / max(n, 1))))


def _chance_finding(counts: Counts) -> list[Finding]:
    if beats_chance(counts):
        return []
    n, predicted = counts.n, counts.confusion.sum(axis=0)
    right = percent(np.trace(counts.confusion) / n)
    if predicted.max() == n:
        name = counts.classes[int(predicted.argmax())]
        detail = (
            f"All {images(n)} are predicted as {name}; {right} are right. Check the weights and the value range of "
            "--input."
        )
        return [Finding("FV-M005", "high", "The model says the same of every image", detail, "/confusions")]
    detail = (
        f"{right} of {images(n)} are right, where dealing the same predictions out would get "
        f"{percent(hits_by_chance(counts) / n)}. Check the weights, --classes, and the value range of --input."
    )
    return [Finding("FV-M005", "high", "The model is no better than chance", detail, "/confusions")]


def _order_finding(counts: Counts, samples: pd.DataFrame) -> list[Finding]:
    order = class_order(counts.confusion, counts.classes)
    if order is None:
        return []
    named = f" (the order published for {order.published})" if order.published else ""
    new, old = ",".join(order.classes), ",".join(counts.classes)
    if samples["content_id"].isna().all():  # a table of predictions, whose labels --classes would rename too
        remedy = f"in the table's predictions and columns of probabilities, not in its labels, write {new} for {old}"
    else:
        remedy = f"audit again with --classes {new} (and --label-names {old}, if labels are numbers that it named)"
    detail = (
        f"Reading the model's outputs as {new}{named} raises accuracy from {percent(order.accuracy)} to "
        f"{percent(order.accuracy_reordered)}: {remedy}"
    )
    return [Finding("FV-M001", "high", "The class order looks wrong", detail, "/confusions")]


def _seen_finding(samples: pd.DataFrame, known: bool) -> list[Finding]:
    if not known or "seen_in_training" not in samples:
        reason = (
            "Whether the model was trained on these images could not be checked, because it does not say which "
            "images it was trained on."
        )
        return [Finding("FV-M002", "unchecked", "Samples seen in training could not be checked", reason)]
    seen = samples["seen_in_training"].fillna(False).astype(bool)
    n = int(seen.sum())
    if not n:
        return []
    judged = samples["status"] == "ok"
    right = samples["label"] == samples["predicted"]
    unseen = judged & ~seen
    detail = f"The model was trained on {images(n)} of {whole(len(samples))} (equal pixels)"
    if unseen.any():
        detail += f"; of the {images(int(unseen.sum()))} it has not seen it gets {percent(right[unseen].mean())} right"
    severity = "high" if n > 0.05 * len(samples) else "medium"
    return [Finding("FV-M002", severity, "Samples seen in training", f"{detail}.", "/samples?seen_in_training=true")]


def _calibration_finding(bins: Tally | None) -> list[Finding]:
    if bins is None:
        reason = "Confidence could not be checked, because the run has predictions without probabilities."
        return [Finding("FV-M003", "unchecked", "Confidence could not be checked", reason)]
    table = bins.table.sum(axis=0)
    error, plain = float(debiased_calibration_error(table)), float(expected_calibration_error(table))
    if error < MISCALIBRATED:
        return []
    n, correct, confidence = table.sum(axis=0)
    side = "more" if confidence > correct else "less"
    detail = (
        f"The model is {side} confident than it is right: mean confidence {percent(confidence / n)} against accuracy "
        f"{percent(correct / n)}; calibration error {points(plain)} ({points(error)} after taking chance off)."
    )
    severity = "medium" if error >= 2 * MISCALIBRATED else "low"
    return [Finding("FV-M003", severity, "Confidence cannot be taken at face value", detail, "/fairness")]


def _pair_finding(pairs: pd.DataFrame) -> list[Finding]:
    if pairs.empty or not pairs["rate"].iloc[0] > 0:
        return []
    top = pairs.iloc[0]
    first, second = (top["class_a"], top["class_b"])
    label, predicted = (first, second) if top["n_ab"] >= top["n_ba"] else (second, first)
    detail = (
        f"{percent(top['rate'])} of the {images(top['n'])} labelled {first} or {second} are predicted as the other "
        f"({sentences.between(top['low'], top['high'])}; {whole(top['n_ab'])} {first} as {second}, "
        f"{whole(top['n_ba'])} {second} as {first})."
    )
    severity = "medium" if top["low"] > 0.1 else "info"
    link = _link("/confusions", label=label, predicted=predicted)
    return [Finding("FV-M004", severity, f"Most confused: {first} and {second}", detail, link)]


def fairness_findings(
    comparisons: Comparisons, attributes: tuple[str, ...], min_group: int = MIN_GROUP
) -> list[Finding]:
    """FV-F: the worst group, further gaps, the clearest (group, class) cell; nothing where no gap stands out."""
    if not attributes:
        reason = (
            "Groups could not be compared, because no attribute was audited; join a table with --metadata, or name "
            "attributes that the data has."
        )
        return [Finding("FV-F001", "unchecked", "Groups could not be compared", reason, "/fairness")]
    ranges = comparisons.ranges
    if ranges.empty and comparisons.disparities["p_value"].isna().all():
        why = f"no attribute has two groups of at least {images(min_group)}"
        alone = comparisons.groups[~comparisons.groups["attribute"].str.contains(CROSS, regex=False)]
        if (alone[alone["n"] >= min_group].groupby("attribute").size() > 1).any():
            why = "within each label every group is recognised always or never, which leaves nothing to test"
        reason = f"Groups could not be compared, because {why}."
        return [Finding("FV-F001", "unchecked", "Groups could not be compared", reason, "/fairness")]
    gaps = ranked_gaps(comparisons)
    found = [_gap_finding(row, "FV-F001" if place == 0 else "FV-F002", gaps[0]) for place, row in enumerate(gaps)]
    cells = ranges[(ranges["kind"] == CELL) & (ranges["p_adjusted"] < ALPHA)]
    found += [_cell_finding(row) for row in cells.to_dict("records")]
    return found


def ranked_gaps(comparisons: Comparisons) -> list[dict]:
    """Rows of ``ranges`` whose gap stands out after Holm's adjustment, the one to read first in front.

    An attribute stands out by its widest gap or by any of its groups against the reference. An intersection shows the
    gaps of its parts too: it comes first where it is worse than both of them explain, and is left out where one of
    them stands out already.
    """
    ranges, pairs = comparisons.ranges, comparisons.disparities
    pairs = pairs[(pairs["p_adjusted"] < ALPHA) & pairs["difference"].notna()]
    # Stable, so that among rows of one test the standardised one, where it is defined, stands first.
    pairs = pairs.sort_values("metric", ascending=False, kind="stable").sort_values("p_adjusted", kind="stable")
    widest = ranges[ranges["kind"] == WIDEST]
    widest = widest[widest["p_adjusted"] < ALPHA]
    other = pairs[~pairs["attribute"].isin(widest["attribute"])].drop_duplicates("attribute")
    rows = [*widest.to_dict("records"), *(_as_gap(row) for row in other.to_dict("records"))]
    alone = [row for row in rows if CROSS not in row["attribute"]]
    crossed = [row for row in rows if CROSS in row["attribute"]]
    wide = max((abs(row["difference"]) for row in alone), default=0.0)
    first = [row for row in crossed if row["p_beyond"] < BEYOND and abs(row["difference"]) > wide]
    shown = {row["attribute"] for row in alone}
    rest = [row for row in crossed if row not in first and not shown & set(row["attribute"].split(CROSS))]
    return [row for part in (first, alone, rest) for row in sorted(part, key=lambda row: -row["statistic"])]


def _as_gap(row: dict) -> dict:
    """A row of ``disparities`` in the columns of ``ranges``."""
    worst, best = ("group", "reference") if row["difference"] < 0 else ("reference", "group")
    ends = {
        f"{name}_{end}": row[f"{name}_{side}"]
        for end, side in (("worst", worst), ("best", best))
        for name in ("n", "value")
    }
    statistic = stats.norm.isf(row["p_value"] / 2)
    gap = {"worst": row[worst], "best": row[best], "difference": -abs(row["difference"]), "statistic": statistic}
    return row | ends | gap


def _gap_finding(row: dict, code: str, first: dict) -> Finding:
    worst, best = (of_group(row["attribute"], row[side]) for side in ("worst", "best"))
    start = "" if row.get("metric") == "accuracy" else "At the same label mix "
    detail = (
        f"{start}{percent(row['value_worst'])} of {worst} are recognised against "
        f"{percent(row['value_best'])} of {best} (difference {points(row['difference'])}, "
        f"{whole(row['n_worst'])} and {whole(row['n_best'])} images, adjusted p {_p(row['p_adjusted'])})."
    )
    # A wider gap that is less clear must not be listed before the clearest one.
    gap = min(abs(row["difference"]), abs(first["difference"]))
    severity = "high" if gap >= 0.1 else "medium" if gap >= 0.05 else "low"
    title = f"Recognised less well: {worst}"
    return Finding(code, severity, title, detail, _link("/fairness", attribute=row["attribute"], group=row["worst"]))


def _cell_finding(row: dict) -> Finding:
    group, name = of_group(row["attribute"], row["worst"]), row["class"]
    side = "less" if row["difference"] < 0 else "more"
    detail = (
        f"{name.capitalize()} is recognised in {percent(row['value_worst'])} of {group} against "
        f"{percent(row['value_best'])} of the other groups ({whole(row['n_worst'])} and {whole(row['n_best'])} images, "
        f"adjusted p {_p(row['p_adjusted'])})."
    )
    link = _link("/fairness", attribute=row["attribute"], group=row["worst"], label=name)
    return Finding("FV-F003", "medium", f"{name.capitalize()} recognised {side} often: {group}", detail, link)


def slice_findings(slices: pd.DataFrame) -> list[Finding]:
    """FV-F004: the clearest weak slice that no attribute names, found on one half of the images, held on the other."""
    unnamed = slices["kinds"].map(lambda kinds: any(kind != "attribute" for kind in kinds)).astype(bool)
    found = slices[slices["confirmed"] & unnamed]
    if found.empty:
        return []
    row = found.iloc[0]
    more = f" {counted(len(found) - 1, 'more slice')} held too." if len(found) > 1 else ""
    detail = (
        f"{percent(row['error'])} of the {images(row['n'])} {row['slice']} are predicted wrongly "
        f"({sentences.between(row['low'], row['high'])}), where their labels alone would explain "
        f"{percent(row['expected'])}; found on one half of the images, held on the other.{more}"
    )
    severity = "medium" if row["excess"] >= 0.1 else "low"
    return [Finding("FV-F004", severity, f"A weak slice: {row['slice']}", detail, "/fairness")]


def label_findings(samples: pd.DataFrame, judged: bool, counts: Counts | None = None) -> list[Finding]:
    """FV-L: how many labels look wrong; ``counts`` of the whole set say whether the model can tell at all."""
    if not judged:
        return _labels_unchecked("no image has both a label and probabilities")
    if counts is not None and counts.n and class_order(counts.confusion, counts.classes) is not None:
        return _labels_unchecked("the model's class order looks wrong")
    if counts is not None and counts.n and not beats_chance(counts):
        return _labels_unchecked("the model is no better than chance on these images")
    score = samples["label_issue_score"]
    wrong = samples[score > LIKELY_WRONG]
    if len(wrong) > MOST_WRONG * score.notna().sum():
        return _labels_unchecked(
            f"by this model {whole(len(wrong))} of {images(int(score.notna().sum()))} would be labelled wrong, which "
            "speaks against the model rather than the labels"
        )
    if wrong.empty:
        return []
    worst = wrong["label"].value_counts()
    shares = worst / samples.loc[score.notna(), "label"].value_counts().reindex(worst.index)
    name = shares.idxmax()
    detail = (
        f"{images(len(wrong))} of {whole(score.notna().sum())} are likelier labelled wrong than right; "
        f"most often those labelled {name} ({percent(shares[name])} of them)."
    )
    severity = "high" if len(wrong) > 0.1 * score.notna().sum() else "medium"
    return [Finding("FV-L001", severity, "Labels that look wrong", detail, "/review")]


def memory_finding(samples: pd.DataFrame, fresh: np.ndarray) -> list[Finding]:
    """FV-L002: labels that a network was asked about which had learnt them; ``fresh`` bool (N,) as in LabelIssues."""
    judged = samples["label_issue_score"].notna().to_numpy()
    seen = judged & samples.get("seen_in_training", pd.Series(False, samples.index)).to_numpy(dtype=bool)
    if not seen.any():
        return []
    n, learnt = int(seen.sum()), int((seen & ~fresh).sum())
    if not learnt:
        detail = (
            f"The model was trained on {images(n)} of {whole(judged.sum())}; their labels are judged by its "
            "out-of-fold answers, given by networks that had not seen them."
        )
        return [Finding("FV-L002", "info", "Labels judged out of fold", detail, "/review")]
    detail = (
        f"The model was trained on {images(learnt)} of {whole(judged.sum())} and has no out-of-fold answers for them: "
        "it has learnt their labels, right or wrong, so the ranking of likely wrong labels is worth less there. Train "
        "with `--folds 5` and audit again."
    )
    severity = "medium" if learnt > 0.05 * judged.sum() else "low"
    return [Finding("FV-L002", severity, "Labels judged by a model that has learnt them", detail, "/review")]


def _labels_unchecked(why: str) -> list[Finding]:
    return [
        Finding("FV-L001", "unchecked", "Labels could not be checked", f"Labels could not be checked, because {why}.")
    ]


def _p(value: float) -> str:
    return "under 0.001" if value < 0.001 else f"{value:.3f}"


def _link(path: str, **query: str) -> str:
    return f"{path}?{urlencode(query)}"
