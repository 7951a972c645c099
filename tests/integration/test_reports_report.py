"""A report of a run: what it holds, that it repeats, and that nothing in a name can break it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml
from markdown_it import MarkdownIt

from audit.counts import Counts
from audit.representation import representation, stereotype
from audit.review.service import ReviewService
from audit.review.store import ReviewStore
from audit.run import AuditRun
from audit.summary import summary
from faces.errors import InputError
from reports import fairness_report
from reports.document import Faces, Figure, Table
from reports.fairness_report import Wanted, build, write_report
from reports.json_report import schema
from tests.dashboard_runs import make_run
from tests.unit.stats_runs import predictions, run_of

TEXT_FORMATS = ("report.html", "report.json", "model_card.md")
ODD = (
    "</script><script>alert(1)</script>",
    '"#set text(red)" $x$ \\ `y` [z](javascript:alert(1)) *b* _i_ | <img src=x onerror=alert(1)>',
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> AuditRun:
    """A run with pictures, maps, groups and unreadable files."""
    return make_run(tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="module")
def written(run: AuditRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    write_report(run, folder, formats=TEXT_FORMATS, today="2026-01-31")
    return folder


def read_json(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_json_follows_the_published_schema_and_the_summary(run: AuditRun, written: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    report = read_json(written)
    jsonschema.validate(report, schema())
    document = report.pop("document")
    assert report == json.loads(json.dumps(summary(run)))
    assert document["date"] == "2026-01-31"
    assert str(run.folder) not in json.dumps(document)


def test_the_same_run_gives_the_same_report(run: AuditRun, written: Path, tmp_path: Path) -> None:
    copied = shutil.copytree(run.folder, tmp_path / run.name)
    write_report(AuditRun.open(copied), tmp_path / "again", formats=TEXT_FORMATS, today="2026-01-31")
    write_report(run, tmp_path / "later", formats=TEXT_FORMATS, today="2027-12-01")
    for name in TEXT_FORMATS:
        first = (written / name).read_bytes()
        assert (tmp_path / "again" / name).read_bytes() == first
        later = (tmp_path / "later" / name).read_bytes()
        assert later != first
        assert later.replace(b"2027-12-01", b"2026-01-31") == first


def test_every_chapter_is_there_in_every_format(run: AuditRun, written: Path) -> None:
    titles = [chapter.title for chapter in build(run, "2026-01-31").chapters]
    assert len(titles) == len(set(titles)) == 11
    html = (written / "report.html").read_text(encoding="utf-8")
    for title in titles:
        assert "</h2>" in html and f" {title}</h2>" in html
    assert [chapter["title"] for chapter in read_json(written)["document"]["chapters"]] == titles


def test_prohibited_uses_are_named_in_every_format(written: Path) -> None:
    for name in TEXT_FORMATS:
        text = (written / name).read_text(encoding="utf-8").replace("\\", "")
        for words in ("Article 5(1)(f)", "Annex III", "workplace and education", "Local Law 144"):
            assert words in text, (name, words)


def test_every_group_has_its_denominator(run: AuditRun, written: Path) -> None:
    blocks = [block for chapter in read_json(written)["document"]["chapters"] for block in chapter["blocks"]]
    tables = {block["caption"]: block for block in blocks if block["type"] == "table"}
    groups = run.table("groups")
    for attribute in run.attributes:
        table = next(t for caption, t in tables.items() if caption == f"Accuracy by {attribute.replace('_', ' ')}")
        mine = groups[groups["attribute"] == attribute]
        assert {(row[0], row[1]) for row in table["rows"]} == {
            (row.group, f"{row.n:,}") for row in mine.itertuples(index=False)
        }
    assert any(block["type"] == "figure" for block in blocks)


def test_numbers_of_tables_and_figures_run_through(run: AuditRun, written: Path) -> None:
    html = (written / "report.html").read_text(encoding="utf-8")
    blocks = [block for chapter in read_json(written)["document"]["chapters"] for block in chapter["blocks"]]
    for kind in ("table", "figure"):
        numbers = [block["number"] for block in blocks if block["type"] == kind]
        assert numbers == list(range(1, len(numbers) + 1))
        assert f"{kind.capitalize()} {numbers[-1]}. " in html
    keys = [figure.key for figure in build(run, "2026-01-31").figures()]
    assert len(keys) == len(set(keys))


def test_no_face_is_shown_unless_asked(written: Path) -> None:
    html = (written / "report.html").read_text(encoding="utf-8")
    page = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert "<img" not in page
    assert "data:image" not in page


def test_html_asks_for_nothing(written: Path) -> None:
    html = (written / "report.html").read_text(encoding="utf-8")
    page = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src 'none'" in page
    assert "<link" not in page


def test_model_card_metadata_is_yaml_and_true(run: AuditRun, written: Path) -> None:
    card = (written / "model_card.md").read_text(encoding="utf-8")
    _, front, body = card.split("---\n", 2)
    metadata = yaml.safe_load(front)
    assert metadata["pipeline_tag"] == "image-classification"
    result = metadata["model-index"][0]["results"][0]
    accuracy = next(one["value"] for one in result["metrics"] if one["type"] == "accuracy")
    assert accuracy == pytest.approx(summary(run)["accuracy"]["value"], abs=5e-5)
    assert result["dataset"]["split"] == "test"
    for heading in ("Uses that are prohibited or high-risk", "Evaluation by group", "Bias, risks and limits"):
        assert f"## {heading}\n" in body


def odd_run(folder: Path) -> AuditRun:
    table = predictions(60)
    names = {"happy": ODD[0], "sad": ODD[1]}
    for column in ("label", "predicted"):
        table[column] = table[column].replace(names)
    table = table.rename(columns={f"prob_{old}": f"prob_{new}" for old, new in names.items()})
    table["race"] = table["race"].replace({"a": ODD[1], "b": "x" * 150, "c": "Ünïcödé 😀"})
    return run_of(table, folder)


def test_odd_names_are_shown_as_text(tmp_path: Path) -> None:
    write_report(odd_run(tmp_path), tmp_path / "report", formats=TEXT_FORMATS)
    html = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert ODD[0] not in html
    assert "&lt;/script&gt;" in html
    assert "<img src=x" not in html
    assert html.count("<script") == 3
    card = (tmp_path / "report" / "model_card.md").read_text(encoding="utf-8")
    shown = MarkdownIt("commonmark", {"html": True}).enable("table").render(card.split("---\n", 2)[2])
    assert not re.search(r"<(script|img|a) ?", shown)
    tables = re.findall(r"<table>.*?</table>", shown, flags=re.DOTALL)
    assert tables
    for table in tables:
        assert len({row.count("</t") for row in re.findall(r"<tr>.*?</tr>", table, flags=re.DOTALL)}) == 1
    assert ODD[0] in read_json(tmp_path / "report")["classes"]


@pytest.mark.parametrize(
    ("keep", "rows"),
    [
        (["label", "predicted"], slice(None)),
        (["label", "predicted", "race"], slice(0, 60)),
        (["label", "predicted", "race", "gender"], slice(0, 8)),
    ],
    ids=["no attributes", "one group", "tiny"],
)
def test_poor_runs_are_written_up_too(tmp_path: Path, keep: list[str], rows: slice) -> None:
    table = predictions(60, probabilities=False)[keep].iloc[rows]
    write_report(run_of(table, tmp_path), tmp_path / "report", formats=TEXT_FORMATS)
    report = read_json(tmp_path / "report")
    jsonschema.validate(report, schema())
    assert "could not be compared" in json.dumps(report)


def test_two_classes(tmp_path: Path) -> None:
    table = predictions(80)
    table = table[table["label"].isin(["happy", "sad"]) & table["predicted"].isin(["happy", "sad"])]
    table = table[["label", "predicted", "race"]]
    write_report(run_of(table, tmp_path), tmp_path / "report", formats=TEXT_FORMATS)
    jsonschema.validate(read_json(tmp_path / "report"), schema())


def test_many_classes_leave_out_the_tables_that_would_not_fit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = np.array([f"class {i:02d}" for i in range(20)])
    label = rng.integers(0, 20, 800)
    predicted = np.where(rng.random(800) < 0.7, label, rng.integers(0, 20, 800))
    table = pd.DataFrame({"label": names[label], "predicted": names[predicted], "sex": rng.choice(["a", "b"], 800)})
    write_report(run_of(table, tmp_path), tmp_path / "report", formats=TEXT_FORMATS)
    captions = json.dumps(read_json(tmp_path / "report")["document"])
    assert "Confusion matrix in images: rows label" not in captions
    assert "Confusion matrix: each row shows" in captions


def test_a_place_that_cannot_be_written_is_named(run: AuditRun, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InputError, match="cannot be written to .*taken"):
        write_report(run, tmp_path / "taken", formats=["report.json"])


def test_an_unknown_format_is_named(run: AuditRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'report.docx' is not known; use one of report.html"):
        write_report(run, tmp_path, formats=["report.docx"])


def test_a_failed_report_leaves_the_old_one_whole(
    run: AuditRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_report(run, tmp_path, formats=["report.json"], today="2026-01-31")
    before = (tmp_path / "report.json").read_bytes()

    def fail(run: AuditRun, document: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(fairness_report.FORMATS, "report.json", fail)
    with pytest.raises(InputError, match="No space left"):
        write_report(run, tmp_path, formats=["report.json"])
    assert (tmp_path / "report.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def blocks_of(run: AuditRun, **wanted: object) -> list:
    return list(build(run, "2026-01-31", Wanted(**wanted)).blocks())  # type: ignore[arg-type]


def test_gaps_have_every_interval_and_both_sizes(run: AuditRun) -> None:
    tables = {block.caption: block for block in blocks_of(run) if isinstance(block, Table)}
    name = run.attributes[0].replace("_", " ")
    span = r" \(.+ to .+\)"
    parts = next(table for caption, table in tables.items() if caption.startswith(f"What the raw gaps by {name}"))
    gaps = next(table for caption, table in tables.items() if caption.startswith(f"Gaps by {name} against"))
    odds = next(table for caption, table in tables.items() if caption.startswith(f"Equalised odds by {name}"))
    assert all(re.search(span, cell) for row in parts.rows for cell in row[3:])
    assert all(re.search(span, row[2]) for row in gaps.rows) and "standardised ratio" in gaps.columns
    assert len(odds.rows) == len(gaps.rows) * len(run.classes)
    assert all(re.fullmatch(r"[\d,]+ / [\d,]+", row[2]) for row in odds.rows)


def test_the_data_itself_is_measured_as_by_inspect(run: AuditRun) -> None:
    tables = {block.caption: block for block in blocks_of(run) if isinstance(block, Table)}
    attribute = run.attributes[0]
    counts = Counts.from_frame(run.table("counts"), attribute, run.classes.names)
    own = next(row for row in tables["How evenly groups are represented"].rows if row[0] == attribute.replace("_", " "))
    found = representation(attribute, counts.sizes)
    assert own[1:3] == (str(found.richness), f"{found.shannon:.3f}")
    tied = next(row for row in tables["How far groups and labels go together"].rows if row[0] == own[0])
    assert tied[1] == f"{stereotype(attribute, counts.labelled).cramers_v:.3f}"
    assert 0 < len(tables["The strongest ties of a group and a label"].rows) <= 10


def test_faces_are_shown_when_asked(run: AuditRun, tmp_path: Path) -> None:
    write_report(run, tmp_path, faces=True, formats=["report.html", "report.json"])
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    galleries = [block for block in blocks_of(run, faces=True) if isinstance(block, Faces)]
    assert html.count("<figure><img src=") == sum(len(block.pictures) for block in galleries) > 0
    image = cv2.imdecode(np.frombuffer(galleries[0].pictures[0][0], np.uint8), cv2.IMREAD_UNCHANGED)
    assert max(image.shape[:2]) <= 160
    jsonschema.validate(read_json(tmp_path), schema())
    assert not any(isinstance(block, Faces) for block in blocks_of(run))


def test_faces_that_are_gone_are_named(run: AuditRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        write_report(run, tmp_path, faces=True, formats=["report.json"], data=tmp_path / "nowhere")


def test_selection_ratios_only_on_request(run: AuditRun) -> None:
    attribute = run.attributes[0]
    assert not any("impact ratio" in getattr(block, "caption", "") for block in blocks_of(run))
    blocks = blocks_of(run, favourable="joy")
    table = next(
        b for b in blocks if isinstance(b, Table) and b.caption.startswith("Selection rates and impact ratios")
    )
    counts = Counts.from_frame(run.table("counts"), attribute, run.classes.names)
    selected = counts.table[:, :, run.classes.index("happy")].sum(axis=1)
    assert [row[2] for row in table.rows] == [str(n) for n in selected]
    assert "1.00" in [row[5] for row in table.rows]
    figure = next(b for b in blocks if isinstance(b, Figure) and b.key == f"impact_{attribute}").draw(theme="dark")
    assert list(figure.data[1].x) == [0.8, 0.8]
    with pytest.raises(InputError, match="'glee' is not one of"):
        blocks_of(run, favourable="glee")


def test_decisions_of_reviewers_are_written_up(run: AuditRun, tmp_path: Path) -> None:
    suspected = run.samples.sort_values("label_issue_score", ascending=False).head(6)
    database = f"sqlite:///{tmp_path / 'decisions.sqlite'}"
    with ReviewStore.open(database) as store:
        service = ReviewService(run, store)
        for sample in suspected["sample_id"].head(4):
            service.decide(sample, "accept", "ann")
        service.decide(suspected["sample_id"].iat[4], "keep", "ann")
        service.decide(suspected["sample_id"].iat[5], "not_a_face", "ann")
    blocks = blocks_of(run, reviews=database)
    changed = next(b for b in blocks if isinstance(b, Table) and b.caption == "Labels that reviewers changed")
    assert sum(int(row[2]) for row in changed.rows) == 5
    moved = set(zip(suspected["label"].head(4), suspected["suggested"].head(4), strict=True))
    assert {(row[0], row[1]) for row in changed.rows} == moved | {(suspected["label"].iat[5], "not_a_face")}
    both = next(b for b in blocks if isinstance(b, Table) and b.caption.startswith("Accuracy against the labels"))
    given, reviewed = (int(both.rows[0][at].replace(",", "")) for at in (1, 4))
    assert given - reviewed == 1
    assert not (run.folder / "reviews.sqlite").exists()
    assert "Labels that reviewers changed" not in [getattr(block, "caption", "") for block in blocks_of(run)]


def test_mean_maps_are_those_of_the_stored_maps(run: AuditRun) -> None:
    figure = next(b for b in blocks_of(run) if isinstance(b, Figure) and b.key == "mean_maps").draw(theme="light")
    store, name = run.maps("gradcam"), run.classes.names[0]
    rows = np.flatnonzero((run.samples["label"] == name).to_numpy())
    maps = np.stack([store.raw(int(row), 0) for row in rows])
    mean = np.maximum(maps[np.isfinite(maps).all(axis=(1, 2))].mean(axis=0), 0)
    np.testing.assert_allclose(np.array(figure.data[0].z, dtype=float), mean / mean.max(), rtol=1e-5)
    assert name in figure.layout.annotations[0].text


def test_regions_of_an_even_map_add_up(run: AuditRun) -> None:
    table = next(b for b in blocks_of(run) if isinstance(b, Table) and "region of the face" in b.caption)
    for row in table.rows:
        assert sum(float(cell.rstrip("%")) for cell in row[2:]) == pytest.approx(100, abs=0.5)
