"""The run in plain words, on one page."""

from __future__ import annotations

from audit.counts import Counts
from audit.family import ALPHA, CELL, WIDEST
from audit.run import AuditRun
from audit.summary import accuracy
from reports.chapters.fairness import cell_sentence, clear_pairs, widest_sentence
from reports.document import Block, Bullets, Chapter, Findings, Heading, Paragraph
from reports.words import images, interval, percent


def chapter(run: AuditRun, overall: Counts) -> Chapter:
    """The answer in a few sentences, then every finding."""
    blocks: list[Block] = [Bullets(tuple(_sentences(run, overall)))]
    blocks.append(Heading("findings"))
    if run.findings:
        blocks.append(Findings(run.findings))
    else:
        blocks.append(Paragraph("No finding was raised."))
    return Chapter("summary", "Summary", tuple(blocks))


def _sentences(run: AuditRun, overall: Counts) -> list[str]:
    if not overall.n:
        return ["No image has both a label and a prediction, so nothing could be measured."]
    whole_set = accuracy(overall.confusion)
    found = [
        f"The model names the labelled emotion in {percent(whole_set['value'])} of {images(overall.n)} "
        f"({interval(whole_set['low'], whole_set['high'])})."
    ]
    per_class = run.table("per_class").dropna(subset=["recall"]).sort_values("recall", kind="stable")
    if len(per_class) > 1:
        worst, best = per_class.iloc[0], per_class.iloc[-1]
        found.append(
            f"It recognises {best['class']} best ({percent(best['recall'])} of {images(best['n'])}) and "
            f"{worst['class']} worst ({percent(worst['recall'])} of {images(worst['n'])})."
        )
    pairs = run.table("pairs")
    top = pairs[pairs["n_ab"] + pairs["n_ba"] > 0].head(1).to_dict("records")
    found += [
        f"It confuses {row['class_a']} and {row['class_b']} most: {percent(row['rate'])} of the {images(row['n'])} "
        f"labelled either are predicted as the other ({interval(row['low'], row['high'])})."
        for row in top
    ]
    return found + _group_sentences(run)


def _group_sentences(run: AuditRun) -> list[str]:
    """What stands out of every attribute; where nothing does, its widest gap."""
    ranges, pairs = run.table("ranges"), run.table("disparities")
    found = []
    for attribute in run.attributes:
        mine = ranges[ranges["attribute"] == attribute]
        clear = mine[mine["p_adjusted"] < ALPHA]
        told = clear_pairs(pairs[pairs["attribute"] == attribute])
        told += [widest_sentence(row) for row in clear[clear["kind"] == WIDEST].to_dict("records")]
        told += [cell_sentence(row) for row in clear[clear["kind"] == CELL].to_dict("records")]
        found += told or [widest_sentence(row) for row in mine[mine["kind"] == WIDEST].to_dict("records")]
    return found or ["Groups of people could not be compared."]
