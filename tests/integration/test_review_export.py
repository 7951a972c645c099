"""Decisions and corrected labels out and back in."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest

from audit.review import exchange, export
from audit.review.service import ReviewService
from audit.review.store import ReviewStore
from faces.errors import InputError
from faces.pixels import content_id
from faces.readers import open_dataset
from tests.review_runs import CLASSES, make_run


@pytest.fixture
def reviewed(tmp_path: Path) -> Iterator[tuple]:
    """A service with one decision of each kind, its data, and the five samples decided."""
    run, dataset, _ = make_run(tmp_path)
    with ReviewStore.open(tmp_path / "reviews.sqlite") as store:
        service = ReviewService(run, store)
        names = service.queue("likely_wrong", "ann")[:6]
        service.decide(names[0], "relabel", "Ann Example", new_label=other(service, names[0]), reason="lips, brows")
        service.decide(names[1], "keep", "Ann Example", shown=("image",))
        service.decide(names[2], "not_a_face", "bob")
        service.decide(names[3], "soft", "bob", soft={"sad": 3, "neutral": 1})
        service.decide(names[4], "skip", "bob")
        service.decide(names[5], "accept", "bob")
        service.undo("bob")
        yield service, dataset, names


def other(service: ReviewService, name: str) -> str:
    return next(label for label in CLASSES if label != service.item(name).label)


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as file:
        return {line["sample_id"]: line for line in csv.DictReader(file)}


def test_the_corrected_csv_has_every_sample_and_its_verdict(reviewed: tuple, tmp_path: Path) -> None:
    service, _, names = reviewed
    out = tmp_path / "deep" / "corrected.csv"
    changed = export.corrected_csv(service.run, service.verdicts(), out)
    table = rows(out)
    assert len(table) == len(service.run.samples)
    old = {name: service.item(name).label for name in names}
    assert table[names[0]]["label"] == other(service, names[0])
    assert table[names[1]]["label"] == old[names[1]]
    assert table[names[2]]["label"] == "not_a_face"
    assert json.loads(table[names[3]]["soft"]) == {"neutral": 0.25, "sad": 0.75}
    assert table[names[3]]["label"] == "sad"
    for untouched in names[4:]:
        assert table[untouched]["label"] == table[untouched]["old_label"] == old[untouched]
    assert changed == sum(line["changed"] == "True" for line in table.values()) >= 3


def test_training_takes_the_corrected_csv(reviewed: tuple, tmp_path: Path) -> None:
    corrections = pytest.importorskip("training.corrections")
    service, _, names = reviewed
    out = tmp_path / "corrected.csv"
    export.corrected_csv(service.run, service.verdicts(), out)
    lines = {line["sample_id"]: line for line in corrections._table(out)}
    assert corrections._target(lines[names[2]], CLASSES, "here") == "not_a_face"
    assert corrections._target(lines[names[3]], CLASSES, "here").tolist() == [0, 0, 0.75, 0.25]


def test_the_corrected_archive_reads_back_with_new_labels_and_equal_pixels(reviewed: tuple, tmp_path: Path) -> None:
    service, dataset, _ = reviewed
    out = tmp_path / "corrected.zip"
    n = export.corrected_archive(service.run, service.verdicts(), dataset, out)
    again = open_dataset(out)
    table = export.corrected(service.run, service.verdicts())
    expected = table[table["content_id"].notna() & (table["label"] != "not_a_face")]
    assert n == len(again) == len(expected)
    found = sorted((content_id(again.read(row)), again.samples["label"].iat[row]) for row in range(n))
    assert found == sorted(zip(expected["content_id"], expected["label"], strict=True))
    first = out.read_bytes()
    export.corrected_archive(service.run, service.verdicts(), dataset, out)
    assert out.read_bytes() == first


def test_the_fer_csv_reads_back(reviewed: tuple, tmp_path: Path) -> None:
    service, dataset, _ = reviewed
    out = tmp_path / "fer.csv"
    n = export.fer2013_csv(service.run, service.verdicts(), dataset, out)
    again = open_dataset(out)
    table = export.corrected(service.run, service.verdicts())
    expected = table[table["content_id"].notna() & (table["label"] != "not_a_face")]
    assert n == len(again)
    assert again.samples["label"].tolist() == expected["label"].tolist()
    assert again.read(0).shape == (48, 48, 1)
    assert set(again.splits) == {"Training", "PublicTest"}


def test_a_class_fer_does_not_number_is_refused_and_no_file_is_left(reviewed: tuple, tmp_path: Path) -> None:
    service, dataset, _ = reviewed
    service.run.__dict__["classes"] = type(CLASSES)((*CLASSES.names, "contempt"))
    with pytest.raises(InputError, match="'contempt'"):
        export.fer2013_csv(service.run, {}, dataset, tmp_path / "fer.csv")
    assert not (tmp_path / "fer.csv").exists()


def test_the_diff_tells_who_when_why_and_what_was_shown(reviewed: tuple, tmp_path: Path) -> None:
    service, _, names = reviewed
    out = tmp_path / "diff.csv"
    n = export.diff_csv(service.run, service.verdicts(), service.log(), out)
    table = rows(out)
    assert n == len(table)
    assert set(table) >= {names[0], names[2], names[3]}
    assert not {names[1], names[4], names[5]} & set(table)
    line = table[names[0]]
    assert (line["reviewers"], line["reasons"], line["runs"]) == ("Ann Example", "lips, brows", "run")
    assert re.match(r"\d{4}-\d\d-\d\dT", line["times"])


def test_exports_can_leave_names_out(reviewed: tuple, tmp_path: Path) -> None:
    service, _, _ = reviewed
    export.diff_csv(service.run, service.verdicts(), service.log(), tmp_path / "diff.csv", names=False)
    exchange.decisions_csv(service.log(), tmp_path / "decisions.csv", names=False)
    for name in ("diff.csv", "decisions.csv"):
        text = (tmp_path / name).read_text()
        assert "Ann" not in text
        assert "bob" not in text
        assert "reviewer 1" in text


def test_decisions_go_out_and_come_back_the_same(reviewed: tuple, tmp_path: Path) -> None:
    service, _, _ = reviewed
    out = tmp_path / "decisions.csv"
    assert exchange.decisions_csv(service.log(), out) == 7
    with ReviewStore.open(tmp_path / "second.sqlite") as store:
        second = ReviewService(service.run, store)
        read = exchange.read_decisions(out, service.run)
        assert read == service.log()
        assert second.add(read) == 7
        assert second.add(exchange.read_decisions(out, service.run)) == 0
        assert second.verdicts() == service.verdicts()
    assert service.add(read) == 0


def test_a_plain_csv_of_labels_is_enough(reviewed: tuple, tmp_path: Path) -> None:
    service, _, names = reviewed
    label = service.item(names[5]).label
    new = other(service, names[5])
    plain = tmp_path / "plain.csv"
    plain.write_text(f"sample_id,label\n{names[5]},{new}\n{names[4]},not_a_face\n")
    read = exchange.read_decisions(plain, service.run, reviewer="eve")
    assert [(d.action, d.old_label) for d in read] == [
        ("relabel", label), ("not_a_face", service.item(names[4]).label),
    ]  # fmt: skip
    assert service.add(read) == 2
    assert service.add(exchange.read_decisions(plain, service.run, reviewer="eve")) == 0
    content = service.item(names[5]).content_id
    plain.write_text(f'content_id,soft\n{content},"{{""sad"": 1, ""fear"": 1}}"\n')
    soft = exchange.read_decisions(plain, service.run, reviewer="eve")[0]
    assert soft.soft == {"sad": 0.5, "fear": 0.5}
    plain.write_text(f"content_id,old_label,new_label\n{'f' * 64},sad,fear\n")
    assert exchange.read_decisions(plain, service.run, reviewer="eve")[0].old_label == "sad"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,mood\na,b\n", "columns mood, name"),
        ("sample_id,label\nnobody,sad\n", "line 2: nobody is no sample"),
        ("sample_id,label\nSAMPLE,bored\n", "line 2: .*'bored'"),
        ("sample_id,label,soft\nSAMPLE,,half sad\n", "line 2: the soft label 'half sad'"),
        ("sample_id,label,time\nSAMPLE,sad,yesterday\n", "line 2: the time 'yesterday'"),
        ("sample_id,label,shown\nSAMPLE,sad,horoscope\n", "line 2: .*'horoscope'"),
    ],
)
def test_a_bad_line_is_named(reviewed: tuple, tmp_path: Path, text: str, words: str) -> None:
    service, _, names = reviewed
    path = tmp_path / "bad.csv"
    path.write_text(text.replace("SAMPLE", names[0]))
    with pytest.raises(InputError, match=words):
        exchange.read_decisions(path, service.run, reviewer="eve")


def test_of_a_file_of_all_labels_the_edited_lines_are_read(reviewed: tuple, tmp_path: Path) -> None:
    service, _, names = reviewed
    out = tmp_path / "corrected.csv"
    export.corrected_csv(service.run, {}, out)
    old, new = service.item(names[5]).label, other(service, names[5])
    edited = [
        line.replace(f",{old},{old},", f",{old},{new},") if line.startswith(f"{names[5]},") else line
        for line in out.read_text().splitlines()
    ]
    out.write_text("\n".join(edited))
    (made,) = exchange.read_decisions(out, service.run, reviewer="eve")
    assert (made.sample_id, made.action, made.new_label) == (names[5], "relabel", new)


def test_what_is_recorded_is_not_changed_by_a_file(reviewed: tuple, tmp_path: Path) -> None:
    service = reviewed[0]
    out = tmp_path / "decisions.csv"
    exchange.decisions_csv(service.log(), out)
    out.write_text(out.read_text().replace(",keep,", ",not_a_face,"))
    with pytest.raises(InputError, match="recorded as keep and is not_a_face here; .* empty its id"):
        service.add(exchange.read_decisions(out, service.run))
    assert len(service.log()) == 7


@pytest.mark.parametrize(("column", "value"), [("label", None), ("label", "contempt"), ("content_id", None)])
def test_a_picture_that_cannot_be_decided_is_no_line(tmp_path: Path, column: str, value: str | None) -> None:
    run, _, _ = make_run(tmp_path)
    run.samples.loc[0, column] = value
    (tmp_path / "plain.csv").write_text(f"sample_id,label\n{run.samples['sample_id'][0]},sad\n")
    with pytest.raises(InputError, match="line 2: .* no readable picture with a label of this run's classes"):
        exchange.read_decisions(tmp_path / "plain.csv", run, reviewer="eve")


def test_label_studio_s_csv_is_refused(reviewed: tuple, tmp_path: Path) -> None:
    service, _, names = reviewed
    (tmp_path / "ls.csv").write_text(f"annotation_id,annotator,emotion,label,sample_id\n1,me,sad,happy,{names[0]}\n")
    with pytest.raises(InputError, match="Label Studio's CSV.* export the project as JSON"):
        exchange.read_decisions(tmp_path / "ls.csv", service.run, reviewer="eve")


def test_labels_without_a_number_are_left_out_of_fer2013(tmp_path: Path) -> None:
    run, dataset, _ = make_run(tmp_path)
    run.samples.loc[0, "label"] = "bored"
    n = export.fer2013_csv(run, {}, dataset, tmp_path / "fer.csv")
    assert n == len(export.corrected(run, {}).query("label != '' and content_id == content_id")) - 1


def test_an_import_without_a_reviewer_or_a_file_is_refused(reviewed: tuple, tmp_path: Path) -> None:
    service, _, names = reviewed
    path = tmp_path / "plain.csv"
    path.write_text(f"sample_id,label\n{names[0]},sad\n")
    with pytest.raises(InputError, match="reviewer's name is empty"):
        exchange.read_decisions(path, service.run)
    with pytest.raises(InputError, match="cannot be read"):
        exchange.read_decisions(tmp_path / "nothing.csv", service.run)


def annotated(tasks: list[dict], by: object = 7) -> list[dict]:
    """What Label Studio exports for these tasks: the first corrected, the second ambiguous, the third skipped."""
    picked = [["neutral"], ["sad", "fear"], []]
    return [
        task
        | {
            "annotations": [
                {
                    "id": 100 + number,
                    "completed_by": by,
                    "was_cancelled": not choices,
                    "updated_at": "2026-01-31T12:00:00.5Z",
                    "result": [{"type": "choices", "value": {"choices": choices}}] if choices else [],
                }
            ]
        }
        for number, (task, choices) in enumerate(zip(tasks, picked, strict=False))
    ]


def test_label_studio_there_and_back(reviewed: tuple, tmp_path: Path) -> None:
    service, _, names = reviewed
    out, back = tmp_path / "tasks.json", tmp_path / "export.json"
    url = "http://host/media/run/image/{sample_id}"
    assert exchange.label_studio_tasks((service.item(name) for name in names[:3]), url, out) == 3
    tasks = json.loads(out.read_text())
    assert tasks[0]["data"]["image"] == f"http://host/media/run/image/{names[0]}"
    assert tasks[0]["predictions"][0]["result"][0]["value"]["choices"] == [service.item(names[0]).suggested]
    back.write_text(json.dumps(annotated(tasks, {"email": "cid@example.org"})))
    read = exchange.read_label_studio(back, service.run)
    assert [d.reviewer for d in read] == ["label-studio:cid@example.org"] * 3
    assert [d.action for d in read][1:] == ["soft", "skip"]
    assert read[1].soft == {"sad": 0.5, "fear": 0.5}
    assert read[0].time == "2026-01-31T12:00:00.500000+00:00"
    assert service.add(read) == 3
    assert service.add(exchange.read_label_studio(back, service.run)) == 0


def test_the_label_studio_interface_offers_every_class() -> None:
    view = ElementTree.fromstring(exchange.label_studio_config(CLASSES))
    assert [choice.get("value") for choice in view.iter("Choice")] == [*CLASSES.names, "not_a_face"]


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "not a Label Studio export"), ("{}", "not a Label Studio export"), ('[{"annotations": [{}]}]', "task 1")],
)
def test_a_bad_label_studio_export_is_named(reviewed: tuple, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "export.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        exchange.read_label_studio(path, reviewed[0].run)


def test_an_image_url_without_a_place_for_the_sample_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no {sample_id}"):
        exchange.label_studio_tasks([], "http://host/image", tmp_path / "tasks.json")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("old")
    with pytest.raises(RuntimeError), export.replacing(out) as path:
        path.write_text("half")
        raise RuntimeError
    assert out.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["out.csv"]
    with pytest.raises(InputError, match="cannot be written"), export.replacing(out / "below.csv") as path:
        path.write_text("x")


def test_pictures_of_other_data_are_refused(reviewed: tuple, tmp_path: Path) -> None:
    service, dataset, _ = reviewed
    fewer = dataset.select(limit=3)
    with pytest.raises(InputError, match="has no sample"):
        export.corrected_archive(service.run, {}, fewer, tmp_path / "out.zip")


def test_samples_without_a_label_stay_as_they_are(reviewed: tuple) -> None:
    service, _, _ = reviewed
    samples = service.run.samples.copy()
    samples["label"] = pd.Series([None, *samples["label"][1:]], dtype=object)
    service.run.__dict__["samples"] = samples
    table = export.corrected(service.run, {})
    assert table["label"].iat[0] == ""
    assert not table["changed"].any()
