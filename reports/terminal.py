"""What the command line prints for a person: findings and tables, as wide as the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

from audit.run import AuditRun
from audit.summary import summary

COLOURS = {"high": "bold red", "medium": "yellow", "low": "cyan", "info": "green", "unchecked": "dim"}


def print_run(run: AuditRun, console: Console | None = None) -> None:
    """Accuracy, findings, classes and groups of a run, every figure with its n."""
    console = console or Console()
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
                        _interval(row["accuracy"], row["low"], row["high"]),
                        _interval(row["standardised"], row["standardised_low"], row["standardised_high"]),
                    )
                    for row in groups
                ),
            )
        )


def print_findings(run: AuditRun, console: Console | None = None) -> None:
    """The findings of a run, most severe first."""
    console = console or Console()
    for finding in run.findings:
        console.print(
            f"[{COLOURS[finding.severity]}]{finding.severity:>9}[/] {finding.code} [bold]{finding.title}[/]",
            highlight=False,
        )
        console.print(f"{'':>9} {finding.detail}", highlight=False, markup=False)


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    table = Table(title=title, title_justify="left", header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number and column != "group" else "left", no_wrap=number > 1)
    for row in rows:
        table.add_row(*row)
    return table


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    return "–" if value is None else f"{_percent(value)} ({_percent(low)} to {_percent(high)})"
