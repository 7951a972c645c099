"""For whom the model works less well, with every denominator."""

from __future__ import annotations

from functools import partial

import pandas as pd

from audit import confusion
from audit.counts import CROSS, Counts, natural
from audit.family import ALPHA, CELL, WIDEST
from audit.run import AuditRun
from audit.sentences import of_group
from audit.standardise import MIN_IMAGES
from reports import figures
from reports.chapters import remedies, selection, views
from reports.chapters.confusions import WIDEST_TABLE
from reports.document import Block, Bullets, Chapter, Figure, Heading, Paragraph, Table, table
from reports.words import (
    decimal,
    images,
    known,
    listed,
    percent,
    points,
    probability,
    signed,
    signed_span,
    spaced,
    span,
    whole,
)

TITLE = "Fairness: for whom"
RATES = {
    "precision": "the share of the predictions of a class that are right",
    "false_positive_rate": "the share of the images of other labels predicted as a class",
    "selection_rate": "the share of all images predicted as a class",
}
FURTHER = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "top2_accuracy": "top-2 accuracy",
    "mean_confidence": "mean confidence",
    "vote_agreement": "agreement with votes",
}
SLICES = 10
MOST_ODDS = 60
"""Of more groups and classes the widest are tabled."""
CLEAREST = 5
"""So many of the widest differences in recall are told as sentences; all of them are in report.json."""


def chapter(
    run: AuditRun,
    overall: Counts,
    by_attribute: dict[str, Counts],
    favourable: str | None = None,
    remedied: str | None = None,
    seen: pd.DataFrame | None = None,
) -> Chapter:
    """Accuracy of groups, raw and at the same label mix; gaps with intervals and tests; recall by class and group.

    With ``favourable``, a class, also how often each group is predicted to be it; with ``remedied``, a class, what
    would help it. ``seen`` are the views to show, the run's own unless given.
    """
    if not by_attribute:
        reason = "Groups could not be compared, because the data has no attributes of the people pictured."
        return Chapter("fairness", TITLE, (Paragraph(reason),))
    notes = run.result("fairness")
    blocks = [*_method(notes, overall)]
    for attribute, counts in by_attribute.items():
        blocks += _attribute(run, attribute, counts, float(confusion.accuracy(overall.confusion)), seen)
    blocks += _intersections(run)
    blocks += _weak_slices(run)
    if remedied is not None:
        blocks += remedies.section(run, remedied)
    if favourable is not None:
        blocks += selection.section(run, run.classes.names[run.classes.index(favourable)])
    return Chapter("fairness", TITLE, tuple(blocks))


def _method(notes: dict, overall: Counts) -> list[Block]:
    mix = listed(f"{name} {percent(share)}" for name, share in notes["mix"].items())
    return [
        Paragraph(
            "Raw accuracy misleads where groups carry different labels: a group pictured smiling more often looks "
            "better recognised only because happy is an easy label. Standardised accuracy answers with the same label "
            "mix for every group: recall of each class weighted by the whole set's mix. A class counts for a group "
            "with at least 5 images of it; where the classes left out carry more than 5% of the mix, the figure is "
            "not defined."
        ),
        Paragraph(
            f"The label mix used: {mix} ({images(overall.n)}). Intervals are 95%: Wilson for raw and stratified Wilson "
            "for standardised accuracy. Tests ask for equal recall within each label, so a gap that the label mix "
            f"explains raises no alarm; p-values are adjusted by Holm over the run's one family of {notes['family']} "
            "tests. A test weighs labels by how much they tell, the standardised difference by the mix, so the two can "
            f"disagree. Groups under {notes['min_group']} images are shown, not judged. {notes['independence']}"
        ),
    ]


def _attribute(
    run: AuditRun, attribute: str, counts: Counts, accuracy: float, seen: pd.DataFrame | None
) -> list[Block]:
    groups, ranges, pairs, parts, power = (
        frame[frame["attribute"] == attribute].reset_index(drop=True)
        for frame in map(run.table, ("groups", "ranges", "disparities", "decomposition", "power"))
    )
    classes = run.table("class_groups")
    by_class = classes[classes["attribute"] == attribute]
    name = spaced(attribute)
    blocks: list[Block] = [
        Heading(name),
        *_told(ranges, pairs, run.result("fairness")["min_group"]),
        _groups_table(groups, name),
        Figure(
            f"groups_{attribute}",
            f"Accuracy by {name}, raw and at the same label mix",
            partial(figures.group_accuracy, groups, accuracy),
        ),
    ]
    if len(parts):
        blocks += [_gaps_table(pairs, power, name), _parts_table(parts, name)]
    blocks += views.section(run.table("views") if seen is None else seen, attribute)
    if len(counts.classes) <= WIDEST_TABLE:
        blocks.append(_recall_table(counts, name))
    blocks += [
        Figure(
            f"recall_{attribute}",
            f"Recall of each class by {name}",
            partial(figures.class_by_group, by_class, "recall", run.result("fairness")["min_group"]),
        ),
    ]
    return blocks


def _told(ranges: pd.DataFrame, pairs: pd.DataFrame, least: int) -> list[Block]:
    """What stands out, the widest gap and the clearest cell; then the widest differences in recall."""
    items = [*clear_pairs(pairs)]
    items += [widest_sentence(row) for row in ranges[ranges["kind"] == WIDEST].to_dict("records")]
    items += [cell_sentence(row) for row in ranges[ranges["kind"] == CELL].to_dict("records")]
    large = pairs[["n_group", "n_reference"]].min(axis=1) >= least
    recall = pairs[(pairs["metric"] == "recall") & large & _apart(pairs)]
    order = recall["difference"].abs().sort_values(ascending=False, kind="stable").index
    blocks: list[Block] = [Bullets(tuple(items))] if items else []
    if len(order):
        lead = (
            f"The widest differences in recall of single classes with at least {least} images on both sides, whose "
            "intervals, not adjusted for their number, leave out zero:"
        )
        blocks += [Paragraph(lead), Bullets(tuple(recall.loc[order, "sentence"].head(CLEAREST)))]
    odds = pairs[(pairs["metric"] == "equalised_odds") & large & (pairs["difference_low"] > 0)]
    if len(odds):
        widest = odds.loc[odds["difference_low"].idxmax(), "sentence"]
        blocks.append(Bullets((f"Equalised odds, the clearest of all classes: {widest}",)))
    return blocks


def clear_pairs(pairs: pd.DataFrame) -> list[str]:
    """A sentence for every group that differs from the reference after adjustment, at the same label mix if defined."""
    found = []
    for row in pairs[(pairs["metric"] == "accuracy") & (pairs["p_adjusted"] < ALPHA)].to_dict("records"):
        same = (pairs["attribute"] == row["attribute"]) & (pairs["group"] == row["group"])
        standard = pairs[same & (pairs["metric"] == "standardised_accuracy") & pairs["difference"].notna()]
        told = standard["sentence"].iloc[0] if len(standard) else row["sentence"]
        found.append(f"Stands out (adjusted p {probability(row['p_adjusted'])}): {told}")
    return found


def _apart(pairs: pd.DataFrame) -> pd.Series:
    """Differences whose own interval, not adjusted for there being many, leaves out zero."""
    return (pairs["difference_low"] > 0) | (pairs["difference_high"] < 0)


def widest_sentence(row: dict) -> str:
    """The widest gap of one attribute, and whether it stands out."""
    worst, best = (of_group(row["attribute"], row[side]) for side in ("worst", "best"))
    stands_out = "" if row["p_adjusted"] < ALPHA else " and does not stand out"
    return (
        f"By {spaced(row['attribute'])}, the widest gap at the same label mix is "
        f"{points(row['difference'])}{stands_out}: "
        f"{percent(row['value_worst'])} of {worst} are recognised against {percent(row['value_best'])} of {best} "
        f"({whole(row['n_worst'])} and {whole(row['n_best'])} images, adjusted p {probability(row['p_adjusted'])})."
    )


def cell_sentence(row: dict) -> str:
    """The class and group whose recall stands out most from the other groups', and whether it does."""
    stands_out = "" if row["p_adjusted"] < ALPHA else ", which does not stand out"
    return (
        f"Clearest single class by {spaced(row['attribute'])}{stands_out}: {row['class']} is recognised in "
        f"{percent(row['value_worst'])} of "
        f"{of_group(row['attribute'], row['worst'])} against {percent(row['value_best'])} of all others "
        f"({whole(row['n_worst'])} and {whole(row['n_best'])} images, adjusted p {probability(row['p_adjusted'])})."
    )


def _groups_table(groups: pd.DataFrame, name: str) -> Table:
    heads = ["group", "#images", "#raw accuracy", "#95% interval", "#standardised", "#95% interval", "remark"]
    rows = [
        [row["group"], whole(row["n"]), _raw(row), span(row["low"], row["high"]),
         percent(row["standardised"]), span(row["standardised_low"], row["standardised_high"]), _remark(row)]
        for row in groups.to_dict("records")
    ]  # fmt: skip
    return table(f"Accuracy by {name}", heads, rows)


def _raw(row: dict) -> str:
    """Accuracy; of a group too small to judge its images, since one of one is no 100%."""
    return f"{round(row['accuracy'] * row['n'])}/{whole(row['n'])}" if row["too_small"] else percent(row["accuracy"])


def _remark(row: dict) -> str:
    remarks = ["too small to judge"] if row["too_small"] else []
    if isinstance(row["reason"], str):
        few = listed(row["omitted"]) if len(row["omitted"]) <= 3 else f"{len(row['omitted'])} classes"
        remarks.append(f"standardised not defined: under 5 images of {few}")
    elif len(row["omitted"]):
        remarks.append(f"without {listed(row['omitted'])}")
    return "; ".join(remarks)


def _gaps_table(pairs: pd.DataFrame, power: pd.DataFrame, name: str) -> Table:
    by_metric = {
        metric: pairs[pairs["metric"] == metric].set_index("group") for metric in ("accuracy", "standardised_accuracy")
    }
    rows = []
    for row in power.to_dict("records"):
        raw, standard = (frame.loc[row["group"]] for frame in by_metric.values())
        rows.append(
            [row["group"], whole(row["n_group"]), _gap(raw), _gap(standard), _ratio(standard),
             probability(raw["p_adjusted"]), signed(row["smallest_gap"]).lstrip("+")]
        )  # fmt: skip
    heads = ["group", "#images", "#raw gap", "#standardised gap", "#standardised ratio", "#adjusted p", "#smallest gap"]
    return table(
        f"Gaps by {name} against {_against(power)}, in points",
        heads,
        rows,
        "Gap: group minus reference, ratio: group over reference, each with its 95% interval. Smallest gap: the "
        "smallest that so many images show in four of five audits.",
    )


def _against(rows: pd.DataFrame) -> str:
    """The reference group and how many images it has."""
    return f"{rows['reference'].iloc[0]} ({images(rows['n_reference'].iloc[0])})"


def _gap(row: pd.Series | dict, name: str = "difference") -> str:
    if not known(row[name]):
        return "not defined"
    return f"{signed(row[name])} ({signed_span(row[f'{name}_low'], row[f'{name}_high'])})"


def _ratio(row: pd.Series) -> str:
    if not known(row["ratio"]):
        return "not defined"
    return f"{decimal(row['ratio'], 2)} ({decimal(row['ratio_low'], 2)} to {decimal(row['ratio_high'], 2)})"


def _parts_table(parts: pd.DataFrame, name: str) -> Table:
    rows = [
        [row["group"], whole(row["n_group"]), signed(row["difference"]), _gap(row, "composition"),
         _gap(row, "performance")]
        for row in parts.to_dict("records")
    ]  # fmt: skip
    return table(
        f"What the raw gaps by {name} against {_against(parts)} are made of, in points",
        ["group", "#images", "#raw gap", "#composition", "#performance"],
        rows,
        "Composition and performance add up to the raw gap (Kitagawa 1955): what the label mix explains, and what "
        "recall does, each with its 95% interval.",
    )


def _recall_table(counts: Counts, name: str) -> Table:
    recall, right, labelled = confusion.recall(counts.table), counts.correct, counts.labelled
    rows = [
        [group, *(_share(recall[g, k], right[g, k], labelled[g, k]) for k in range(len(counts.classes)))]
        for g, group in enumerate(counts.groups)
    ]
    heads = ["group", *(f"#{name}" for name in counts.classes)]
    note = f"Of under {MIN_IMAGES} images no share is given."
    return table(f"Recall of each class by {name}: share, and images recognised of images labelled", heads, rows, note)


def _share(value: float, right: int, of: int) -> str:
    if of < MIN_IMAGES:
        return f"{whole(right)}/{whole(of)}" if of else "no images"
    return f"{percent(value)} ({whole(right)}/{whole(of)})"


def _intersections(run: AuditRun) -> list[Block]:
    ranges = run.table("ranges")
    crossed = ranges[ranges["attribute"].str.contains(CROSS, regex=False) & (ranges["kind"] == WIDEST)]
    if crossed.empty:
        return []
    sentences = tuple(widest_sentence(row) for row in crossed.to_dict("records"))
    return [Heading("intersections"), Bullets(sentences), Paragraph("All intersections stand in the appendix.")]


def _weak_slices(run: AuditRun) -> list[Block]:
    slices = run.table("slices")
    found = slices[slices["confirmed"].astype(bool)].head(SLICES)
    text = (
        "Combinations of attributes, image qualities and look-alikes (clusters of embeddings) were searched on one "
        "half of the images for an error higher than their labels explain, and checked on the other half; figures are "
        "of that other half."
    )
    if found.empty:
        return [Heading("weak slices"), Paragraph(f"{text} None stood out.")]
    rows = [
        [row["slice"], whole(row["n"]), percent(row["error"]), span(row["low"], row["high"]), percent(row["expected"]),
         probability(row["p_adjusted"])]
        for row in found.to_dict("records")
    ]  # fmt: skip
    heads = ["slice", "#images", "#error", "#95% interval", "#explained by labels", "#adjusted p"]
    return [Heading("weak slices"), Paragraph(text), table("Weak slices that nobody named", heads, rows)]


def _further(groups: pd.DataFrame, name: str) -> Table:
    columns = [key for key in FURTHER if key in groups and groups[key].notna().any()]
    rows = [
        [row["group"], whole(row["n"]), *(_further_cell(row, key) for key in columns)]
        for row in groups.to_dict("records")
    ]
    heads = ["group", "#images", *(f"#{FURTHER[key]}" for key in columns)]
    note = "With its 95% interval where one is known. Of groups too small to judge no figure is given."
    return table(f"Further metrics by {name}", heads, rows, note)


def _further_cell(row: dict, key: str) -> str:
    if row["too_small"]:
        return "too small"
    limits = f" ({span(row[f'{key}_low'], row[f'{key}_high'])})" if f"{key}_low" in row else ""
    return f"{percent(row[key])}{limits}"


def _odds_table(pairs: pd.DataFrame, name: str, classes: tuple[str, ...]) -> Table:
    """Equalised odds of every group and class, the gaps it is the larger of, and the images of both sides."""
    keys = ["group", "class"]
    recall, alarms, odds = (
        pairs[pairs["metric"] == metric].set_index(keys)
        for metric in ("recall", "false_positive_rate", "equalised_odds")
    )
    widest = odds.sort_values("difference", ascending=False, kind="stable").head(MOST_ODDS).index
    cells = sorted(widest, key=lambda cell: (natural(cell[0]), classes.index(cell[1])))
    rows = [
        [*cell, f"{whole(recall.at[cell, 'n_group'])} / {whole(recall.at[cell, 'n_reference'])}",
         _gap(recall.loc[cell]), _gap(alarms.loc[cell]), _size(odds.loc[cell])]
        for cell in cells
    ]  # fmt: skip
    few = f" The {MOST_ODDS} largest of {whole(len(odds))}; report.json has all." if len(odds) > MOST_ODDS else ""
    return table(
        f"Equalised odds by {name} against {_against(odds)}, each class against the rest, in points",
        ["group", "class", "#images of the class", "#recall", "#false positive rate", "#equalised odds"],
        rows,
        "Images of the class: group / reference. Recall and false positive rate: group minus reference. Equalised "
        f"odds: the larger of the two without its sign, with an interval that holds for both together.{few}",
    )


def _size(row: pd.Series) -> str:
    if not known(row["difference"]):
        return "not defined"
    return " ".join([signed(row["difference"]).lstrip("+"), f"({span(row['difference_low'], row['difference_high'])})"])


def appendix(run: AuditRun) -> list[Block]:
    """Every intersection's groups, and the selection rates by group."""
    groups, classes, pairs = (run.table(name) for name in ("groups", "class_groups", "disparities"))
    least = run.result("fairness")["min_group"]
    blocks: list[Block] = []
    for attribute in run.attributes:
        part = classes[classes["attribute"] == attribute]
        if part.empty:
            continue
        blocks.append(_further(groups[groups["attribute"] == attribute], spaced(attribute)))
        own = pairs[pairs["attribute"] == attribute]
        blocks += [_odds_table(own, spaced(attribute), run.classes.names)] if len(own) else []
        blocks += [
            Figure(
                f"{metric}_{attribute}",
                f"{spaced(metric).capitalize()} by {spaced(attribute)}: {meaning}",
                partial(figures.class_by_group, part, metric, least),
            )
            for metric, meaning in RATES.items()
        ]
    for attribute in groups.loc[groups["attribute"].str.contains(CROSS, regex=False), "attribute"].unique():
        part = groups[groups["attribute"] == attribute].reset_index(drop=True)
        judged = part[~part["too_small"]]
        blocks += [
            Heading(spaced(attribute)),
            _groups_table(part, spaced(attribute)),
            Figure(
                f"groups_{attribute.replace(CROSS, '_x_')}",
                f"Accuracy by {spaced(attribute)}, groups large enough to judge",
                partial(figures.group_accuracy, judged, None),
            ),
        ]
    return blocks
