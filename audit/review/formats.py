"""What a review can be handed out as, and taken back from, by the name of the format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from audit.review.exchange import (
    decisions_csv,
    label_studio_config,
    label_studio_tasks,
    read_decisions,
    read_label_studio,
)
from audit.review.export import corrected_archive, corrected_csv, diff_csv, fer2013_csv, replacing
from audit.review.service import ReviewService
from faces.dataset import FaceDataset
from faces.errors import InputError

Opener = Callable[[], FaceDataset]
IMAGE_URL = "http://127.0.0.1:8050/media/{run}/image/{{sample_id}}.png"


def _label_studio(service: ReviewService, out: Path) -> int:
    """The tasks, and beside them (.xml) the labelling interface that they are made for."""
    with replacing(out.with_suffix(".xml")) as path:
        path.write_text(label_studio_config(service.run.classes), encoding="utf-8")
    items = (service.item(name) for name in service.queue())
    return label_studio_tasks(items, IMAGE_URL.format(run=service.run.name), out)


FORMATS: dict[str, Callable[[ReviewService, Opener, Path, bool], int]] = {
    "corrected": lambda service, faces, out, names: corrected_csv(service.run, service.verdicts(), out),
    "archive": lambda service, faces, out, names: corrected_archive(service.run, service.verdicts(), faces(), out),
    "fer2013": lambda service, faces, out, names: fer2013_csv(service.run, service.verdicts(), faces(), out),
    "diff": lambda service, faces, out, names: diff_csv(service.run, service.verdicts(), service.log(), out, names),
    "decisions": lambda service, faces, out, names: decisions_csv(service.log(), out, names),
    "label-studio": lambda service, faces, out, names: _label_studio(service, out),
}
"""Name -> what writes it: service, how to open the faces, the file, and whether reviewers' names go with it."""


def export(service: ReviewService, form: str, faces: Opener, out: Path, names: bool = True) -> int:
    """Write a review as one of FORMATS; returns how many lines or pictures. Raises InputError."""
    if form not in FORMATS:
        raise InputError(f"The format {form!r} is not known; use one of {', '.join(FORMATS)}.")
    return FORMATS[form](service, faces, out, names)


def take_in(service: ReviewService, file: Path, reviewer: str | None = None) -> int:
    """Record decisions from a CSV or Label Studio's JSON export; returns how many were new. Raises InputError."""
    if file.suffix.lower() == ".json":
        return service.add(read_label_studio(file, service.run))
    return service.add(read_decisions(file, service.run, reviewer))
