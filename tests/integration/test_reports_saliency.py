"""The report's chapter about maps: evidence of its findings, faces only where they are asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from audit.run import AuditRun
from faces.errors import InputError
from reports.chapters import saliency, saliency_again
from reports.document import Block, Bullets, Faces, Figure, Findings, Paragraph, Table
from reports.fairness_report import Wanted, build, write_report
from tests.dashboard_runs import make_run
from tests.integration.test_front_door import Done, facevalue

__all__ = ["facevalue"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> AuditRun:
    return make_run(tmp_path_factory.mktemp("reports"), n=90)


def chapter(run: AuditRun, wanted: Wanted | None = None) -> list[Block]:
    return next(list(one.blocks) for one in build(run, "2026-01-31", wanted).chapters if one.key == "saliency")


def words(blocks: list[Block]) -> str:
    return " ".join(block.text for block in blocks if isinstance(block, Paragraph))


def test_findings_come_with_their_evidence(run: AuditRun) -> None:
    blocks = chapter(run)
    first = blocks[0]
    assert isinstance(first, Findings) and {one.code for one in first.items} == {"FV-S001"}
    captions = [block.caption for block in blocks if isinstance(block, Table)]
    for start in ("Share of the maps", "Faithfulness", "Likeness", "Places outside the face"):
        assert any(caption.startswith(start) for caption in captions)
    keys = {block.key for block in blocks if isinstance(block, Figure)}
    assert {"mean_maps", "region_drops", "faithfulness"} <= keys and "mean_occlusion" not in keys
    bullets = [line for block in blocks if isinstance(block, Bullets) for line in block.items]
    assert any(line.startswith("What tells fear from surprise") for line in bullets)
    assert any(line.startswith("A shortcut: 20 images look at the lower right") for line in bullets)
    assert "they depend on what was learned" in words(blocks)


def test_mean_faces_are_faces(run: AuditRun) -> None:
    assert not any(isinstance(block, Faces) for block in chapter(run))
    shown = [block for block in chapter(run, Wanted(faces=True)) if isinstance(block, Faces)]
    assert [len(block.pictures) for block in shown] == [
        len(run.classes),
        len(run.table("shortcuts")["examples"].iloc[0]),
    ]
    assert shown[0].caption.startswith("Mean faces")


def test_what_was_not_checked_is_said(run: AuditRun, tmp_path: Path) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "bare")
    for name in ("faithfulness", "randomisation", "stability", "shortcuts", "saliency_ablation", "saliency_pairs"):
        (folder / "results" / f"{name}.parquet").unlink()
    said = words(chapter(AuditRun.open(folder)))
    assert said.count("ould not be checked, because the audit did not run the model again") == 5


def test_the_model_adds_maps_that_need_only_its_answers(run: AuditRun, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str]] = []

    class Answering:
        def saliency(self, folder: Path, sample_id: str, method: str, target: str, *place: object) -> object:
            asked.append((method, target, str(place[1])))
            return np.ones((4, 4), np.float32)

        def close(self) -> None:
            asked.append(("closed", "", ""))

    monkeypatch.setattr(saliency_again, "Worker", Answering)
    blocks = chapter(run, Wanted(model="elsewhere"))
    assert any(isinstance(block, Figure) and block.key == "mean_occlusion" for block in blocks)
    assert asked[-1][0] == "closed" and {(one[0], one[2]) for one in asked[:-1]} == {("occlusion", "elsewhere")}
    right = run.samples[run.samples["label"] == run.samples["predicted"]]
    each = right["label"].value_counts().clip(upper=saliency_again.EACH)
    assert {name: sum(one[1] == name for one in asked) for name in each.index} == each.to_dict()


def test_data_that_is_not_there_is_refused(run: AuditRun, tmp_path: Path, facevalue: Callable[..., Done]) -> None:
    with pytest.raises(InputError, match="/nowhere is not there"):
        write_report(run, tmp_path, data=Path("/nowhere"))
    for verb in (("report", run.folder, "--out", tmp_path), ("serve", run.folder, "--port", 8999)):
        assert "/nowhere is not there" in facevalue(*verb, "--data", "/nowhere", code=2).stderr


def test_a_run_without_maps_says_why(run: AuditRun) -> None:
    bare = AuditRun(run.folder, {**run.manifest, "saliency": {}})
    said = words(list(saliency.chapter(bare).blocks))
    assert "stores no saliency maps" in said


def test_places_of_moved_data_and_model_are_handed_on(
    run: AuditRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, facevalue: Callable[..., Done]
) -> None:
    seen: dict[str, object] = {}
    monkeypatch.setattr("dashboard.app.create_app", lambda *given: seen.update(served=given) or pytest.fail("served"))
    monkeypatch.setattr("reports.fairness_report.write_report", lambda *_, **given: seen.update(given) or [])
    facevalue("report", run.folder, "--out", tmp_path, "--data", tmp_path, "--model", "here")
    assert (seen["data"], seen["model"]) == (tmp_path, "here")
    with pytest.raises(pytest.fail.Exception):
        facevalue("serve", run.folder, "--data", tmp_path, "--model", "here", "--port", 8999)
    assert seen["served"][2:4] == (tmp_path, "here")  # type: ignore[index]
