"""Taking a review out of the house and bringing one in: one name for each format."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from audit.review import exchange, export
from audit.review.domain import Key, Verdict
from audit.review.service import ReviewService
from faces.dataset import FaceDataset
from faces.errors import InputError

TASKS = 1000
"""Likely wrong labels that become Label Studio tasks."""


@dataclass(frozen=True)
class Wanted:
    """What to export: ``names`` keeps the reviewers' names; ``consensus`` is ``majority`` or ``dawid_skene``;
    ``dataset`` opens the run's pictures; ``image_url`` is where Label Studio finds them.
    """

    dataset: Callable[[], FaceDataset]
    names: bool = True
    consensus: str = "majority"
    image_url: str = "http://127.0.0.1:8050/media/{run}/image/{sample_id}"


def _corrected(service: ReviewService, verdicts: dict[Key, Verdict], wanted: Wanted, out: Path) -> str:
    return f"{export.corrected_csv(service.run, verdicts, out)} labels changed"


def _archive(service: ReviewService, verdicts: dict[Key, Verdict], wanted: Wanted, out: Path) -> str:
    return f"{export.corrected_archive(service.run, verdicts, wanted.dataset(), out)} pictures"


def _fer2013(service: ReviewService, verdicts: dict[Key, Verdict], wanted: Wanted, out: Path) -> str:
    return f"{export.fer2013_csv(service.run, verdicts, wanted.dataset(), out)} pictures"


def _diff(service: ReviewService, verdicts: dict[Key, Verdict], wanted: Wanted, out: Path) -> str:
    return f"{export.diff_csv(service.run, verdicts, service.log(), out, wanted.names)} labels changed"


def _decisions(service: ReviewService, verdicts: dict[Key, Verdict], wanted: Wanted, out: Path) -> str:
    return f"{exchange.decisions_csv(service.log(), out, wanted.names)} decisions"


def _label_studio(service: ReviewService, verdicts: dict[Key, Verdict], wanted: Wanted, out: Path) -> str:
    items = (service.item(name) for name in service.queue("likely_wrong", limit=TASKS))
    return f"{exchange.label_studio_tasks(items, wanted.image_url.replace('{run}', service.run.name), out)} tasks"


FORMATS: dict[str, Callable[[ReviewService, dict[Key, Verdict], Wanted, Path], str]] = {
    "corrected": _corrected,
    "archive": _archive,
    "fer2013": _fer2013,
    "diff": _diff,
    "decisions": _decisions,
    "label-studio": _label_studio,
}
"""Format -> writer, which says in words how much it wrote."""


def export_review(service: ReviewService, format: str, out: Path, wanted: Wanted) -> str:
    """Write one format to ``out``; returns a sentence. Raises InputError naming the formats there are."""
    if format not in FORMATS:
        raise InputError(f"There is no export {format!r}; the exports are {', '.join(FORMATS)}.")
    return f"{out}: {FORMATS[format](service, service.verdicts(wanted.consensus), wanted, Path(out))}."


def import_review(service: ReviewService, path: Path, reviewer: str | None = None) -> str:
    """Take in decisions from a CSV or a Label Studio export (.json); returns a sentence. Raises InputError."""
    path = Path(path)
    if path.suffix.lower() == ".json":
        read = exchange.read_label_studio(path, service.run)
    else:
        read = exchange.read_decisions(path, service.run, reviewer)
    new = service.add(read)
    return f"{path}: {new} decisions recorded, {len(read) - new} were there already."


def queue_lines(service: ReviewService, kind: str, limit: int, as_json: bool, **where: str | None) -> list[str]:
    """The first pictures of a queue, one a line: score, label, suggestion, sample, reason; or one JSON list."""
    filters = {name: value for name, value in where.items() if value is not None}
    items = [service.item(name) for name in service.queue(kind, limit=limit, **filters)]
    if as_json:
        fields = ("sample_id", "content_id", "label", "suggested", "score", "reason")
        return [json.dumps([{name: getattr(item, name) for name in fields} for item in items], ensure_ascii=False)]
    return [f"{i.score:.2f}  {i.label} -> {i.suggested}  {i.sample_id}  {i.reason}" for i in items]
