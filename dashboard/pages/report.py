"""Make the report and take it away."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import dash_mantine_components as dmc
from dash import Dash, Input, Output, State, html
from dash.development.base_component import Component

from dashboard.components import shell
from dashboard.components.attributes import aria
from dashboard.components.ids import Shell
from dashboard.state import Served, Site, View, view_of
from faces.errors import InputError

if TYPE_CHECKING:
    from flask import Response

PATH, TITLE, ICON = "/report", "Report", "report"
ABOUT = {
    "report.html": ("Report to read", "One page that works offline, with the figures of these pages."),
    "report.pdf": ("Report to print", "The same as PDF, with numbered pages and tables."),
    "report.json": ("Figures for programs", "Everything the report states, as JSON."),
    "model_card.md": ("Model card", "Markdown with the Hugging Face metadata block."),
}
READING = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "sandbox allow-scripts allow-popups allow-downloads"
)
"""A report brings its own scripts: it may run them, apart from this site and with nothing to load."""


class Ids(StrEnum):
    """Components of this page."""

    FACES = "report-faces"
    FAVOURABLE = "report-favourable"
    REMEDIES = "report-remedies"
    MAKE = "report-make"
    MADE = "report-made"


def folder(served: Served) -> Path:
    """Where a run's reports are written."""
    return served.run.folder / "report"


def layout(view: View) -> Component:
    """What to make, the button, and what was made."""
    from reports.fairness_report import FORMATS

    listed = [
        html.Li([html.B(ABOUT.get(name, (name, ""))[0]), f" ({name}): {ABOUT.get(name, ('', ''))[1]}"])
        for name in FORMATS
    ]
    return shell.page(
        TITLE,
        "What was audited and found, with every denominator and interval, to hand on.",
        shell.section(
            "Make it",
            html.Ul(listed, className="plain-list"),
            html.Div(
                [
                    dmc.Checkbox(id=Ids.FACES, label="Show pictures of people in it", checked=False, radius="sm"),
                    _class_picker(Ids.FAVOURABLE, "Selection rates of a favourable class", view),
                    _class_picker(Ids.REMEDIES, "Remedies explored for a class", view),
                    dmc.Button("Make the report", id=Ids.MAKE, n_clicks=0),
                ],
                className="make",
            ),
        ),
        html.Div(made(view.served), id=Ids.MADE, **aria(live="polite")),
    )


def _class_picker(name: str, label: str, view: View) -> Component:
    return dmc.Select(
        id=name, label=label, data=list(view.run.classes), placeholder="none", clearable=True, size="xs",
        className="control",
    )  # fmt: skip


def made(served: Served, problems: tuple[str, ...] = ()) -> list[Component]:
    """The reports there are, and what could not be made."""
    failed = [shell.message("Not everything could be made", problem, "notice") for problem in problems]
    files = [folder(served) / name for name in ABOUT if (folder(served) / name).is_file()]
    if not files:
        return [*failed, shell.message("No report yet", "The button above makes it; that takes some seconds.")]
    return [*failed, html.Div([file_card(served, path) for path in files], className="tiles files")]


def file_card(served: Served, path: Path) -> Component:
    """One file that was made: open it or download it."""
    title, about = ABOUT[path.name]
    when = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M UTC")
    address = f"/report/{served.slug}/{path.name}"
    links = [html.A("Download", href=f"{address}?download=1", className="page-link plain", download=path.name)]
    if path.suffix in (".html", ".pdf"):
        links.insert(0, html.A("Open", href=address, className="page-link plain", target="_blank", rel="noopener"))
    words = [
        html.Span(title, className="tile-title"),
        html.Span(about),
        html.Span(f"{path.stat().st_size / 1000:,.0f} kB, made {when}"),
    ]
    return html.Section([*words, html.Div(links, className="pages")], className="tile")


def make(
    site: Site,
    clicks: int,
    faces: bool,
    search: str | None,
    favourable: str | None = None,
    remedies: str | None = None,
) -> list[Component]:
    """Write every format; one that fails does not keep the others from being made.

    ``favourable`` and ``remedies`` are classes to add sections on, as `facevalue report` takes them.
    """
    from reports.fairness_report import FORMATS, write_report

    view = view_of(site, search, None)
    if view is None or not clicks:
        return []
    problems = []
    for name in FORMATS:
        try:
            served = view.served
            write_report(
                served.run, folder(served), bool(faces), [name], data=served.data, reviews=served.reviews,
                favourable=favourable or None, remedies=remedies or None,
            )  # fmt: skip
        except InputError as error:
            problems.append(f"{name}: {error}")
    return made(view.served, tuple(problems))


def answer(site: Site, slug: str, name: str) -> Response:
    """One of the files that were made, to read or to download."""
    from flask import Response, request, send_file

    served = site.find(slug)
    path = folder(served) / name if served is not None and name in ABOUT else None
    if path is None or not path.is_file():
        return Response("There is no such report; make it on the Report page.\n", status=404, mimetype="text/plain")
    response = send_file(path, as_attachment="download" in request.args, max_age=0)
    if path.suffix == ".html":
        response.headers["Content-Security-Policy"] = READING
    return response


def register(app: Dash, site: Site) -> None:
    """The button's callback and the files' route."""
    app.callback(
        Output(Ids.MADE, "children"),
        Input(Ids.MAKE, "n_clicks"),
        State(Ids.FACES, "checked"),
        State(Shell.URL, "search"),
        State(Ids.FAVOURABLE, "value"),
        State(Ids.REMEDIES, "value"),
        running=[(Output(Ids.MAKE, "loading"), True, False)],
        prevent_initial_call=True,
    )(partial(make, site))
    app.server.add_url_rule("/report/<slug>/<path:name>", "report", partial(answer, site))
