"""AuditRun -> report.html, report.pdf, report.json and model_card.md, all from one document tree."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from audit.counts import OVERALL, Counts
from audit.run import AuditRun
from faces.errors import InputError
from reports.chapters import audited, calibration, confusions, data, fairness, labels, limits, saliency, summary
from reports.document import Block, Chapter, Document
from reports.html import render_html
from reports.json_report import render_json
from reports.model_card import render_model_card
from reports.pdf import render_pdf

FORMATS: dict[str, Callable[[AuditRun, Document], bytes]] = {
    "report.html": lambda run, document: render_html(document),
    "report.pdf": lambda run, document: render_pdf(document),
    "report.json": render_json,
    "model_card.md": render_model_card,
}
"""File name -> what makes it."""


def write_report(
    run: AuditRun, out: Path | str, faces: bool = False, formats: Iterable[str] | None = None, today: str | None = None
) -> list[Path]:
    """Write the report's files into folder ``out`` and return their paths.

    ``formats`` are file names of FORMATS, all unless given; ``faces`` shows pictures of people, which are left out
    otherwise; ``today`` is the date to print (ISO 8601). Every file is complete or absent. Raises InputError where
    ``out`` cannot be written or a format is not known.
    """
    wanted = list(FORMATS if formats is None else formats)
    unknown = [name for name in wanted if name not in FORMATS]
    if unknown:
        raise InputError(f"The format {unknown[0]!r} is not known; use one of {', '.join(FORMATS)}.")
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".report-") as temporary:
            document = build(run, today or datetime.now(UTC).date().isoformat(), faces)
            return [_write(Path(temporary), folder / name, FORMATS[name](run, document)) for name in wanted]
    except OSError as error:
        raise InputError(
            f"The report cannot be written to {folder} ({error.strerror or error}); name a folder that can be written."
        ) from None


def _write(temporary: Path, path: Path, content: bytes) -> Path:
    part = temporary / path.name
    part.write_bytes(content)
    part.replace(path)
    return path


def build(run: AuditRun, date: str, faces: bool = False) -> Document:
    """The document tree of a run."""
    table = run.table("counts")
    overall = Counts.from_frame(table, OVERALL, run.classes.names)
    by_attribute = {name: Counts.from_frame(table, name, run.classes.names) for name in run.attributes}
    by_attribute = {name: counts for name, counts in by_attribute.items() if counts.groups}
    chapters = (
        summary.chapter(run, overall),
        audited.chapter(run),
        data.chapter(run, overall, by_attribute),
        confusions.chapter(run, overall),
        fairness.chapter(run, overall, by_attribute),
        calibration.chapter(run),
        saliency.chapter(run),
        labels.chapter(run),
        limits.chapter(run),
        limits.uses(),
        _appendix(run, overall),
    )
    return Document(f"Audit of {_subject(run)}", f"Run {run.name}", date, chapters)


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
