"""AuditRun -> report.html, report.pdf, report.json and model_card.md, all from one document tree."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from audit.counts import OVERALL, Counts
from audit.run import AuditRun, check_place
from audit.views import views_of
from faces.errors import InputError
from reports.chapters import (
    audited,
    calibration,
    confusions,
    data,
    fairness,
    labels,
    limits,
    saliency,
    saliency_again,
    summary,
)
from reports.document import Block, Chapter, Document
from reports.faces_shown import Gallery
from reports.html import render_html
from reports.json_report import render_json
from reports.model_card import render_model_card
from reports.pdf import render_pdf

PDF = "report.pdf"
FORMATS: dict[str, Callable[[AuditRun, Document], bytes]] = {
    "report.html": lambda run, document: render_html(document),
    PDF: lambda run, document: render_pdf(document),
    "report.json": render_json,
    "model_card.md": render_model_card,
}
"""File name -> what makes it."""


@dataclass(frozen=True)
class Wanted:
    """What a report shows beyond the usual.

    ``faces``: pictures of people, read from ``data`` where the images have moved. ``favourable``: a class whose
    selection rates are compared (Local Law 144). ``reviews``: the database of review decisions, RUN/reviews.sqlite
    unless named. ``remedies``: a class for which remedies and their costs are explored. ``model``: the run's model, to
    be asked again for maps that need only its answers; with ``allow_pickle`` its file may run code as it loads.
    """

    faces: bool = False
    data: Path | None = None
    favourable: str | None = None
    reviews: str | None = None
    remedies: str | None = None
    model: str | None = None
    allow_pickle: bool = False


def write_report(
    run: AuditRun,
    out: Path | str,
    faces: bool = False,
    formats: Iterable[str] | None = None,
    today: str | None = None,
    data: Path | None = None,
    favourable: str | None = None,
    reviews: str | None = None,
    remedies: str | None = None,
    model: str | None = None,
    allow_pickle: bool = False,
) -> list[Path]:
    """Write the report's files into folder ``out`` and return their paths.

    ``formats`` are file names of FORMATS, all unless given; ``today`` is the date to print (ISO 8601); for the rest
    see Wanted. Every file is complete or absent. Raises InputError where ``out`` cannot be written, a format or a
    class is not known, the faces or the model asked for are gone, or, with the other formats written, no browser draws
    the PDF.
    """
    names = list(FORMATS if formats is None else formats)
    unknown = [name for name in names if name not in FORMATS]
    if unknown:
        raise InputError(f"The format {unknown[0]!r} is not known; use one of {', '.join(FORMATS)}.")
    # The PDF alone needs a browser: it comes last, so that without one the rest is there.
    names.sort(key=lambda name: name == PDF)
    check_place(data)
    wanted = Wanted(faces, data, favourable, reviews, remedies, model, allow_pickle)
    document = build(run, today or datetime.now(UTC).date().isoformat(), wanted)
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".report-") as temporary:
            return [_write(Path(temporary), folder / name, FORMATS[name](run, document)) for name in names]
    except OSError as error:
        raise InputError(
            f"The report cannot be written to {folder} ({error.strerror or error}); name a folder that can be written."
        ) from None


def _write(temporary: Path, path: Path, content: bytes) -> Path:
    part = temporary / path.name
    part.write_bytes(content)
    part.replace(path)
    return path


def build(run: AuditRun, date: str, wanted: Wanted | None = None) -> Document:
    """The document tree of a run."""
    wanted = wanted or Wanted()
    gallery = Gallery(run, wanted.data) if wanted.faces else None
    again = saliency_again.blocks(run, wanted.data, wanted.model, wanted.allow_pickle) if wanted.model else ()
    table = run.table("counts")
    overall = Counts.from_frame(table, OVERALL, run.classes.names)
    by_attribute = {name: Counts.from_frame(table, name, run.classes.names) for name in run.attributes}
    by_attribute = {name: counts for name, counts in by_attribute.items() if counts.groups}
    chapters = (
        summary.chapter(run, overall),
        audited.chapter(run),
        data.chapter(run, overall, by_attribute),
        confusions.chapter(run, overall, gallery),
        fairness.chapter(run, overall, by_attribute, wanted.favourable, wanted.remedies, _views(run, wanted)),
        calibration.chapter(run),
        saliency.chapter(run, gallery, again),
        labels.chapter(run, wanted.reviews, gallery),
        limits.chapter(run),
        limits.uses(),
        _appendix(run, overall),
    )
    return Document(f"Audit of {_subject(run)}", f"Run {run.name}", date, chapters)


def _views(run: AuditRun, wanted: Wanted) -> pd.DataFrame:
    """The run's views; with those without labels that reviewers found wrong, where decisions are."""
    decided = labels.decided(run, wanted.reviews)
    return views_of(run, decided) if decided else run.table("views")


def _subject(run: AuditRun) -> str:
    model = run.manifest["model"]
    data = Path(run.manifest["data"]["path"]).name
    return f"{audited.model_name(model)} on {data}" if model else data


def _appendix(run: AuditRun, overall: Counts) -> Chapter:
    blocks: list[Block] = [
        *confusions.appendix(overall),
        *data.quality_figures(run),
        *calibration.group_figures(run),
        *fairness.appendix(run),
    ]
    return Chapter("appendix", "Appendix: further figures and tables", tuple(blocks))
