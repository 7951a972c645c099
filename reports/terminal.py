"""What the command line prints for a person: findings and tables, as wide as the terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from audit.answers import Graded
from audit.compare import Comparison, changed_cells, changes_told, summary_sentence
from audit.counts import CROSS
from audit.data_audit import DataAudit
from audit.review.agreement import Agreement
from audit.review.service import ReviewService
from audit.run import AuditRun
from audit.summary import summary
from reports.words import probability

CELLS = 10
TEXTS = ("group", "where", "label", "suggested", "predicted", "in A", "in B")
COLOURS = {"high": "bold red", "medium": "yellow", "low": "cyan", "info": "green", "unchecked": "dim"}


UNBOUNDED = 100_000


def console_of(stream: TextIO) -> Console:
    """As wide as the terminal; into a file or a pipe nothing is wrapped, so that lines can be searched and copied."""
    return Console(file=stream) if stream.isatty() else Console(file=stream, width=UNBOUNDED)


def print_run(run: AuditRun, console: Console | None = None) -> None:
    """Accuracy, findings, classes and groups of a run, every figure with its n."""
    console = console or console_of(sys.stdout)
    facts = summary(run)
    accuracy = facts["accuracy"]
    console.print(
        f"[bold]{run.name}[/]: accuracy {_percent(accuracy['value'])} "
        f"(95% interval {_percent(accuracy['low'])} to {_percent(accuracy['high'])}), {facts['n']:,} images",
        highlight=False,
    )
    print_findings(run, console)
    console.print(
        _table(
            "Classes",
            ("class", "images", "recall", "precision", "F1"),
            (
                (row["class"], f"{row['n']:,}", *(_percent(row[name]) for name in ("recall", "precision", "f1")))
                for row in facts["per_class"]
            ),
        )
    )
    groups = [row for row in facts["groups"] if " × " not in row["attribute"]]
    if groups:
        console.print(
            _table(
                "Groups",
                ("attribute", "group", "images", "accuracy (95%)", "standardised (95%)"),
                (
                    (
                        row["attribute"],
                        row["group"],
                        f"{row['n']:,}",
                        _judged(row, row["accuracy"], row["low"], row["high"]),
                        _judged(row, row["standardised"], row["standardised_low"], row["standardised_high"]),
                    )
                    for row in groups
                ),
            )
        )


def print_findings(run: AuditRun, console: Console | None = None) -> None:
    """The findings of a run, most severe first."""
    console = console or console_of(sys.stdout)
    for finding in run.findings:
        console.print(
            f"[{COLOURS[finding.severity]}]{finding.severity:>9}[/] {finding.code} [bold]{finding.title}[/]",
            highlight=False,
        )
        console.print(f"{'':>9} {finding.detail}", highlight=False, markup=False, soft_wrap=True)


def print_inspection(found: DataAudit, console: Console | None = None) -> None:
    """What is known of the data: composition, unreadable files, duplicates, representation, stereotypes."""
    console = console or console_of(sys.stdout)
    facts = found.json()
    console.print(
        f"[bold]{found.n:,}[/] images of {len(found.classes)} classes: {', '.join(found.classes)}", highlight=False
    )
    for note in found.notes:
        console.print(note, highlight=False, markup=False)
    if found.unreadable is not None:
        console.print(f"{len(found.unreadable):,} unreadable files", highlight=False)
        for name, reason in list(found.unreadable.items())[:10]:
            console.print(f"  {name}: {reason}", highlight=False, markup=False)
    if found.duplicates is not None:
        same = found.duplicates
        console.print(
            f"{same.images:,} images in {same.groups:,} groups of exact duplicates; {same.conflicting:,} groups carry "
            f"conflicting labels, {same.across_splits:,} cross splits",
            highlight=False,
        )
    console.print(_composition(found.composition))
    for title, key in (("Representation", "representation"), ("Attribute and label", "stereotypes")):
        if facts[key]:
            columns = tuple(facts[key][0])
            rows = (tuple(_number(row[name]) for name in columns) for row in facts[key])
            console.print(_table(title, tuple(name.replace("_", " ") for name in columns), rows))
    strongest = sorted(facts["local"], key=lambda row: -abs(row["npmi"] or 0.0))[:CELLS]
    if strongest:
        names = tuple(strongest[0])
        shown = tuple(name.replace("_", " ") for name in names)
        ties = (tuple(_number(row[name]) for name in names) for row in strongest)
        console.print(_table("Strongest ties of a group and a class; all stand in --json", shown, ties))


def _composition(frame: pd.DataFrame) -> Table:
    """Images by label, and by split where there are several."""
    known = frame.assign(split=frame["split"].fillna(""), label=frame["label"].fillna("none"))
    wide = known.pivot_table("n", "label", "split", "sum", fill_value=0, sort=False)
    names = tuple(str(name) or "images" for name in wide.columns)
    rows = ((str(label), *(f"{int(n):,}" for n in row)) for label, row in zip(wide.index, wide.to_numpy(), strict=True))
    return _table("Labels", ("label", *names), rows)


def print_comparison(found: Comparison, console: Console | None = None) -> None:
    """Two runs side by side: the whole set, classes and groups, B minus A."""
    console = console or console_of(sys.stdout)
    for sentence in (summary_sentence(found), *changes_told(found)):
        console.print(sentence, highlight=False, markup=False)
    for title, frame, names in (
        ("Classes", found.per_class, ("class",)),
        ("Groups", _alone(found.groups), ("attribute", "group")),
    ):
        if len(frame):
            tested = "p_adjusted" if "p_adjusted" in frame else "p_value"
            columns = (*names, "images", found.name_a, found.name_b, "difference (95%)", tested.replace("_value", ""))
            rows = (
                (
                    *(str(row[name]) for name in names),
                    f"{row['n']:,}",
                    _percent(row["accuracy_a"]),
                    _percent(row["accuracy_b"]),
                    _interval(row["difference"], row["difference_low"], row["difference_high"]),
                    probability(row[tested]),
                )
                for row in frame.to_dict("records")
            )
            console.print(_table(title, columns, rows))

    _print_gaps(found, console)
    _print_changes(found, console)


def _print_gaps(found: Comparison, console: Console) -> None:
    """The gaps of single attributes side by side, raw and at the same label mix."""
    gaps = _alone(found.gaps)
    if gaps.empty:
        return
    figures = ("gap_a", "gap_b", "standardised_gap_a", "standardised_gap_b")
    rows = (
        (row["attribute"], f"{row['group']} to {row['reference']}", *(_points(row[name]) for name in figures))
        for row in gaps.to_dict("records")
    )
    titles = ("raw, A", "raw, B", "same label mix, A", "same label mix, B")
    console.print(_table("Gaps in points", ("attribute", "group", *titles), rows))


def _alone(frame: pd.DataFrame) -> pd.DataFrame:
    """Single attributes; intersections stand in the JSON and on the page."""
    return frame[~frame["attribute"].astype(str).str.contains(CROSS, regex=False)]


def _print_changes(found: Comparison, console: Console) -> None:
    """The cells that changed most, and the first images that changed sides."""
    cells = changed_cells(found)
    cells = cells[cells["change"] != 0].head(CELLS)
    rows = (
        (row["label"], row["predicted"], f"{row['n_a']:,}", f"{row['n_b']:,}", f"{row['change']:+,}")
        for row in cells.to_dict("records")
    )
    console.print(_table("Cells that changed most", ("label", "predicted", "A", "B", "change"), rows))
    for title, side in (("Gained: right only in B", "b"), ("Lost: right only in A", "a")):
        flips = found.flips(side)
        named = (
            tuple(row[name] for name in ("sample_id", "label", "predicted_a", "predicted_b"))
            for row in flips.head(CELLS).to_dict("records")
        )
        console.print(_table(f"{title}, {len(flips):,} images", ("sample", "label", "in A", "in B"), named))


def print_grades(grades: Iterable[Graded], console: Console | None = None) -> None:
    """Planted faults against found ones."""
    console = console or console_of(sys.stdout)
    rows = ((one.fault, str(one.planted), str(one.found), one.where) for one in grades)
    console.print(_table("Planted and found", ("fault", "planted", "found", "where"), rows))


def print_queue(service: ReviewService, kind: str, top: int, console: Console | None = None) -> None:
    """The first samples of a review queue and what the review has learned so far."""
    console = console or console_of(sys.stdout)
    items = (service.item(name) for name in service.queue(kind, limit=top))
    rows = (
        (one.sample_id, one.label, one.suggested or "", *map(_chance, (one.score, one.suggestion_score)))
        for one in items
    )
    console.print(_table(f"Queue {kind}", ("sample", "label", "suggested", "wrong", "suggestion right"), rows))
    progress = service.progress()
    console.print(f"{progress.decided:,} of {progress.total:,} decided", highlight=False)
    for sentence in progress.sentences:
        console.print(sentence, highlight=False, markup=False)


def _chance(share: float) -> str:
    return "unknown" if math.isnan(share) else f"{share:.3f}"


def print_agreement(found: Agreement, console: Console | None = None) -> None:
    """How far reviewers agree."""
    console = console or console_of(sys.stdout)
    rows = [
        ("pictures with several reviewers", f"{found.pictures:,}"),
        ("equal pairs of opinions", _figure(found.share)),
        ("Krippendorff's alpha", _figure(found.alpha)),
        (f"Fleiss' kappa ({found.fleiss_pictures:,} with {found.fleiss_reviewers})", _figure(found.fleiss)),
        *((f"alpha, {name} or not", _figure(alpha)) for name, alpha in found.alpha_per_class.items()),
        *((f"Cohen's kappa, {a} and {b} ({n:,})", _figure(kappa)) for (a, b), (kappa, n) in found.cohen.items()),
    ]
    console.print(_table("Agreement", ("figure", "value"), rows))


def _figure(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def print_leaderboard(table: pd.DataFrame, console: Console | None = None) -> None:
    """One line a run, best first; a published figure with the interval its number of test images allows."""
    console = console or console_of(sys.stdout)
    columns = (
        "run",
        "recipe",
        "classes",
        "images",
        "accuracy (95%)",
        "unseen",
        "published (95%)",
        "votes agree",
        "weights",
        "MB",
        "ms an image",
        "calibration error",
        "worst group",
    )
    rows = []
    for row in table.astype(object).where(table.notna(), None).to_dict("records"):
        figure = (row["published"], row["published_low"], row["published_high"])
        part = "" if row["published_part"] == "test" else f" {row['published_part']}"
        told = f"{figure[0]:.2%}" if figure[1] is None and figure[0] else _interval(*figure)
        worst = (
            "–"
            if row["worst_group"] is None
            else f"{escape(row['worst_group'])} {_percent(row['worst_group_accuracy'])}"
        )
        rows.append(
            (
                escape(row["run"]),
                escape(row["recipe"] if row["augmentation"] is None else f"{row['recipe']} *"),
                str(row["classes"]),
                f"{row['n']:,}",
                _interval(row["accuracy"], row["low"], row["high"]),
                _percent(row["unseen"]),
                "–" if figure[0] is None else f"system {row['published_system']}{part}: {told}",
                _percent(row["votes"]),
                "–" if row["parameters"] is None else f"{row['parameters']:,.0f}",
                "–" if row["megabytes"] is None else f"{row['megabytes']:.1f}",
                "–" if row["milliseconds"] is None else f"{row['milliseconds']:.1f}",
                _number(row["calibration_error"]),
                worst,
            )
        )
    console.print(_table("Leaderboard", columns, rows))
    if table["augmentation"].notna().any():
        console.print("* with test-time augmentation, as its card says", highlight=False)
    for sentence in table["meaning"].dropna().unique():
        console.print(sentence, highlight=False, markup=False, soft_wrap=True)


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number and column not in TEXTS else "left")
    for row in rows:
        table.add_row(*row)
    return table


def _number(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _points(value: float) -> str:
    return "–" if value != value else f"{100 * value:+.1f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _judged(row: Mapping[str, Any], value: float | None, low: float | None, high: float | None) -> str:
    """One of one is no 100%: of a group too small to judge only the interval is given."""
    if not row["too_small"]:
        return _interval(value, low, high)
    return "too small" if low is None else f"too small ({_percent(low)} to {_percent(high)})"


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    return "–" if value is None else f"{_percent(value)} ({_percent(low)} to {_percent(high)})"
