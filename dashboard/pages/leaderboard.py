"""Every served run beside the figure that was published for its task."""

from __future__ import annotations

from enum import StrEnum

from dash import html
from dash.development.base_component import Component

from audit.leaderboard import BEST, SYSTEMS, leaderboard
from dashboard.components import shell
from dashboard.components.charts import graph
from dashboard.components.tables import Column, table
from dashboard.state import View
from reports.words import decimal, known, percent, spaced, span, whole

PATH, TITLE, ICON = "/leaderboard", "Leaderboard", "leaderboard"


class Ids(StrEnum):
    """Components of this page."""

    BODY = "leaderboard-body"


def layout(view: View) -> Component:
    """The served runs, ranked."""
    lead = "Every served run, how sure its accuracy is, and the figure it is to be held against."
    return shell.page(TITLE, lead, html.Div(body(view), id=Ids.BODY))


def body(view: View) -> Component:
    """Figure, what published figures can mean, and the table."""
    from reports import figures

    served = view.site.served
    frame = leaderboard([one.run.folder for one in served], [one.slug for one in served])
    described = "Accuracy of every run with its interval, beside the published figure"
    plot = graph("leaderboard", figures.leaderboard(frame, theme=view.theme), describe=described)
    return html.Div(
        [
            shell.section("Accuracy", plot, note="Compare only runs with the same classes and images."),
            meanings(),
            shell.section(
                "Runs", table(view, PATH, frame, COLUMNS, "Best first within the same number of classes"), note=NOTE
            ),
        ]
    )


def meanings() -> Component:
    """What the best figure of each system can and cannot mean."""
    sentences = html.Ul([html.Li(SYSTEMS[recipe].meaning()) for recipe in BEST], className="plain-list")
    return shell.section("What the published figures can and cannot mean", sentences)


def _recipe(row: dict) -> str:
    return f"{row['recipe']} *" if isinstance(row["augmentation"], str) else str(row["recipe"])


def _accuracy(row: dict) -> str:
    if not known(row["accuracy"]):
        return "–"
    return f"{percent(row['accuracy'])} ({span(row['low'], row['high'])})"


def _published(row: dict) -> Component | str:
    limits = f" ({span(row['published_low'], row['published_high'])})" if known(row["published_low"]) else ""
    if not known(row["published"]):
        return "–"
    part = "" if row["published_part"] == "test" else f", {row['published_part']}"
    figure = f"{percent(row['published'], 2)}{limits}"
    return html.Div([figure, html.Div(f"system {row['published_system']}{part}", className="note")])


def _worst(row: dict) -> Component | str:
    worst = row["worst_group_accuracy"]
    if not known(worst):
        return "–"
    return html.Div([percent(worst), html.Div(spaced(row["worst_group"]), className="note wrapped")])


def _parameters(row: dict) -> str:
    return decimal(row["parameters"] / 1e6, 1) if known(row["parameters"]) else "–"


COLUMNS = (
    Column("run", "Run"),
    Column("recipe", "Recipe", _recipe),
    Column("classes", "Classes", number=True),
    Column("n", "Images", lambda row: whole(row["n"]), number=True),
    Column("accuracy", "Accuracy (95%)", _accuracy, number=True),
    Column("unseen", "Unseen", lambda row: percent(row["unseen"]), number=True),
    Column("votes", "Votes agree", lambda row: percent(row["votes"]), number=True),
    Column("published", "Published (95%)", _published, number=True),
    Column("parameters", "Weights", _parameters, number=True),
    Column("megabytes", "MB", lambda row: decimal(row["megabytes"], 1), number=True),
    Column("milliseconds", "ms", lambda row: decimal(row["milliseconds"], 1), number=True),
    Column("calibration_error", "ECE", lambda row: decimal(row["calibration_error"]), number=True),
    Column("worst_group_accuracy", "Worst group", _worst),
)
NOTE = (
    "*: with test-time augmentation, as its card says. Unseen: accuracy without images whose copies the model was "
    "trained on. Published: of the run's own system, or the best of a system with the same classes. Intervals take "
    "pictures as independent. Votes agree: share of predictions that onlookers' votes agree with, where there are "
    "any. Weights: in millions. ms: of an image where the audit ran. ECE: expected calibration error. Worst group: by "
    "standardised accuracy."
)
REGIONS = {Ids.BODY: body}
