"""Every format a review can be handed out as, and taken back from, by name."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from audit.review.formats import FORMATS, export, take_in
from audit.review.service import ReviewService
from audit.review.store import ReviewStore
from audit.run import AuditRun
from faces.errors import InputError
from tests.conftest import Drawn


@pytest.fixture
def service(drawn: Drawn, tmp_path: Path) -> Iterator[ReviewService]:
    service = ReviewService(AuditRun.open(drawn.run), ReviewStore.open(tmp_path / "reviews.sqlite"))
    for sample_id in service.queue(limit=3):
        service.decide(sample_id, "accept", "ada")
    yield service
    service.store.close()


@pytest.mark.parametrize("form", list(FORMATS))
def test_every_format_is_written(service: ReviewService, tmp_path: Path, form: str) -> None:
    out = tmp_path / "out"
    number = export(service, form, service.run.dataset, out)
    assert number == (3 if form in ("corrected", "diff", "decisions") else number)
    assert number > 0
    assert out.stat().st_size > 0


def test_names_can_be_left_out(service: ReviewService, tmp_path: Path) -> None:
    export(service, "decisions", service.run.dataset, tmp_path / "named.csv")
    export(service, "decisions", service.run.dataset, tmp_path / "bare.csv", names=False)
    named, bare = (pd.read_csv(tmp_path / f"{name}.csv", dtype=str) for name in ("named", "bare"))
    assert (named == "ada").any(axis=None)  # as a cell: an id may have these letters in a row
    assert not (bare == "ada").any(axis=None)


def test_decisions_come_back_once(service: ReviewService, tmp_path: Path) -> None:
    export(service, "decisions", service.run.dataset, tmp_path / "decisions.csv")
    other = ReviewService(service.run, ReviewStore.open(tmp_path / "other.sqlite"))
    assert take_in(other, tmp_path / "decisions.csv") == 3
    assert take_in(other, tmp_path / "decisions.csv") == 0
    other.store.close()


def test_label_studio_tasks_name_their_pictures(service: ReviewService, tmp_path: Path) -> None:
    export(service, "label-studio", service.run.dataset, tmp_path / "tasks.json")
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert all("/media/" in task["data"]["image"] for task in tasks)


def test_corrected_labels_say_what_changed(service: ReviewService, tmp_path: Path) -> None:
    export(service, "corrected", service.run.dataset, tmp_path / "corrected.csv")
    with (tmp_path / "corrected.csv").open() as file:
        lines = list(csv.DictReader(file))
    changed = [line for line in lines if line["changed"] == "True"]
    assert len(changed) == 3
    assert all(line["label"] != line["old_label"] for line in changed)


def test_an_unknown_format_is_named(service: ReviewService, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="spreadsheet"):
        export(service, "spreadsheet", service.run.dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()
