"""Whole audits of faces in memory: what the folder holds, what is refused, and that a killed run goes on."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from audit import AuditOptions, AuditRun, audit
from audit import shards as audit_shards
from audit.saliency.registry import STORED, TWO_TARGETS
from audit.scoring import score
from faces.dataset import FaceDataset
from faces.emotions import LabelSet
from faces.errors import InputError
from faces.pixels import content_id
from faces.readers import open_dataset
from models.classifier import Classifier
from tests.audit_faces import Memory, noise_faces
from tests.audit_networks import SEVEN, Twice, classifier, made

ROOT = Path(__file__).parents[2]
OPTIONS = AuditOptions(batch_size=8, shard_size=20, check_maps=False, progress=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> AuditRun:
    return audit(noise_faces(), made("tiny"), OPTIONS, tmp_path_factory.mktemp("runs") / "run")


def digests(folder: Path) -> dict[str, str]:
    """A checksum of every file but those that hold times."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "timing.json"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_folder_holds_what_the_design_says(finished: AuditRun) -> None:
    assert {path.name for path in finished.folder.iterdir()} == {
        "manifest.json", "samples.parquet", "probabilities.npy", "embeddings.npy", "saliency", "results",
        "findings.json", "timing.json",
    }  # fmt: skip
    assert finished.classes == SEVEN
    assert finished.attributes == ("apparent_gender",)
    assert finished.saliency_methods == STORED
    assert set(finished.timing) == {"inference_s", "pass_s", "total_s", "finished_at"}
    assert 0 < finished.timing["inference_s"] < finished.timing["pass_s"] < finished.timing["total_s"]
    assert [(part["start"], part["stop"]) for part in finished.manifest["parts"]] == [(0, 20), (20, 40), (40, 50)]


def test_rows_are_what_the_pass_gives_for_their_own_pixels(finished: AuditRun) -> None:
    dataset, network = noise_faces(), made("tiny")
    for row in (0, 21, 49):
        pixels = network.preprocessing.fit(dataset.read(row))[None]
        labels = network.labels.encode([dataset.samples["label"][row]])
        alone = score(network, pixels, STORED, labels)
        assert np.allclose(finished.probabilities[row], alone.probabilities[0], atol=1e-6)
        assert np.allclose(finished.embeddings[row], alone.embeddings[0], atol=2e-3)
        for name in STORED:
            store = finished.maps(name)
            assert store.targets == (TWO_TARGETS if alone.maps[name].shape[1] == 2 else SEVEN.names)
            for target in range(len(store.targets)):
                expected = alone.maps[name][0, target]
                assert np.allclose(store.raw(row, target), expected, atol=1e-3 * np.abs(expected).max())


def test_unreadable_images_stay_with_their_reason_and_no_numbers(finished: AuditRun) -> None:
    samples = finished.samples
    unread = samples[samples["status"] == "unreadable"]
    assert unread.index.tolist() == [3, 17]
    assert unread["reason"].tolist() == ["empty file", "empty file"]
    assert unread[["content_id", "predicted", "confidence", "margin", "brightness"]].isna().all(axis=None)
    assert np.isnan(finished.probabilities[[3, 17]]).all()
    assert not finished.maps("gradcam").raw(np.array([3, 17]), 0).any()
    assert samples["reason"].notna().sum() == 2


def test_the_table_of_samples_has_its_columns(finished: AuditRun) -> None:
    samples = finished.samples
    dataset = noise_faces()
    assert samples["content_id"][0] == content_id(dataset.read(0))
    assert samples["content_id"][4] == samples["content_id"][5]
    assert samples["status"][8] == "unlabelled" and samples["status"][9] == "unknown label"
    assert samples["predicted"][8] in SEVEN and samples["predicted"][9] in SEVEN
    best = np.sort(finished.probabilities[0])
    assert samples["confidence"][0] == pytest.approx(best[-1])
    assert samples["margin"][0] == pytest.approx(best[-1] - best[-2])
    assert samples["brightness"][0] == pytest.approx(dataset.read(0).mean(), abs=1e-3)
    assert {"contrast", "sharpness", "apparent_gender", "votes_happy", "seen_in_training"} <= set(samples)
    assert not samples["seen_in_training"].any()


def test_images_that_the_model_was_trained_on_are_marked(tmp_path: Path) -> None:
    dataset = noise_faces()
    seen = bytes.fromhex(content_id(dataset.read(4)))[:8]
    run = audit(dataset, replace(made("tiny"), trained_on=frozenset({seen})), OPTIONS, tmp_path / "run")
    assert np.flatnonzero(run.samples["seen_in_training"]).tolist() == [4, 5]


def test_the_folder_depends_on_neither_time_nor_place(finished: AuditRun, tmp_path: Path) -> None:
    again = audit(noise_faces(), made("tiny"), OPTIONS, tmp_path / "elsewhere")
    ours, theirs = digests(finished.folder), digests(again.folder)
    del ours["manifest.json"], theirs["manifest.json"]  # it names the data relative to the folder
    assert ours == theirs


class Killed(BaseException):
    """As good as SIGKILL: nothing in the engine catches it."""


@pytest.mark.parametrize("step", range(0, 16, 1))
def test_a_run_that_dies_at_any_step_and_is_resumed_is_the_same(
    step: int, finished: AuditRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "runs" / "run"
    done = dies_after(step, monkeypatch)
    with suppress(Killed):
        audit(noise_faces(), made("tiny"), OPTIONS, out)
    done()
    run = audit(noise_faces(), made("tiny"), replace(OPTIONS, resume=True), out)
    ours, theirs = digests(run.folder), digests(finished.folder)
    del ours["manifest.json"], theirs["manifest.json"]
    assert ours == theirs
    assert run.manifest["parts"] == finished.manifest["parts"]


def dies_after(step: int, monkeypatch: pytest.MonkeyPatch):
    """Let ``step`` renames and array writes happen, and half of the next one; gives what ends this."""
    left = [step]
    original, rows = Path.replace, audit_shards.write_rows

    def replace_or_die(self: Path, target: Path) -> Path:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        return original(self, target)

    def write_or_die(file: Path, blocks, dtype, shape) -> None:
        if left[0] == 0:
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(b"half")
            raise Killed
        left[0] -= 1
        rows(file, blocks, dtype, shape)

    monkeypatch.setattr(Path, "replace", replace_or_die)
    monkeypatch.setattr("audit.merging.write_rows", write_or_die)
    return monkeypatch.undo


def test_a_real_kill_is_survived(finished: AuditRun, tmp_path: Path) -> None:
    out = tmp_path / "runs" / "run"
    program = textwrap.dedent(
        f"""
        import time
        import audit.engine as engine
        from audit import AuditOptions, audit
        from tests.audit_faces import noise_faces
        from tests.audit_networks import made
        scored = engine.score
        def slowly(*arguments):
            time.sleep(0.3)
            return scored(*arguments)
        engine.score = slowly
        options = AuditOptions(batch_size=8, shard_size=20, check_maps=False, progress=False)
        audit(noise_faces(), made("tiny"), options, {str(out)!r})
        """
    )
    child = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    while not (out / "parts" / "00000.json").exists():
        assert child.poll() is None
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    assert not (out / "manifest.json").exists()
    run = audit(noise_faces(), made("tiny"), replace(OPTIONS, resume=True), out)
    ours, theirs = digests(run.folder), digests(finished.folder)
    del ours["manifest.json"], theirs["manifest.json"]
    assert ours == theirs


def test_resuming_does_not_score_a_finished_shard_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    dies = dies_after(5, monkeypatch)
    with pytest.raises(Killed):
        audit(noise_faces(), made("tiny"), OPTIONS, out)
    dies()
    scored: list[int] = []

    def counting(found: Classifier, pixels: np.ndarray, *rest):
        scored.append(len(pixels))
        return score(found, pixels, *rest)

    monkeypatch.setattr("audit.engine.score", counting)
    audit(noise_faces(), made("tiny"), replace(OPTIONS, resume=True), out)
    assert sum(scored) == 10


def test_resume_starts_what_is_not_there_and_leaves_alone_what_is_finished(tmp_path: Path) -> None:
    out = tmp_path / "run"
    resuming = replace(OPTIONS, resume=True)
    run = audit(noise_faces(), made("tiny"), resuming, out)
    (out / "parts").mkdir()
    before = digests(out)
    again = audit(noise_faces(), made("tiny"), resuming, out)
    assert digests(out) == before and again.manifest == run.manifest
    assert not (out / "parts").exists()


def test_a_run_is_never_overwritten(finished: AuditRun, tmp_path: Path) -> None:
    before = digests(finished.folder)
    with pytest.raises(InputError, match=r"holds a finished audit; .* --resume"):
        audit(noise_faces(), made("tiny"), OPTIONS, finished.folder)
    (tmp_path / "notes.txt").write_text("mine")
    for resume in (False, True):
        with pytest.raises(InputError, match="exists and holds no audit"):
            audit(noise_faces(), made("tiny"), replace(OPTIONS, resume=resume), tmp_path)
        with pytest.raises(InputError, match="exists and holds no audit"):
            audit(noise_faces(), made("tiny"), replace(OPTIONS, resume=resume), tmp_path / "notes.txt")
    assert digests(finished.folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({"dataset": noise_faces(seed=1)}, r"data \(fingerprint\)"),
        ({"dataset": noise_faces().select(limit=30)}, r"data \(samples\)"),
        ({"classifier": made("tiny", seed=1)}, r"model \(fingerprint\)"),
        ({"classifier": made("tiny").with_classes(LabelSet(SEVEN.names[::-1]))}, r"model \(classes\)"),
        ({"options": replace(OPTIONS, batch_size=9)}, r"options \(batch size\)"),
        ({"options": replace(OPTIONS, seed=1)}, r"seed \(0, now 1\)"),
        ({"options": replace(OPTIONS, attributes=())}, r"choice of attributes"),
    ],
)
def test_resuming_with_something_else_is_refused(other: dict, difference: str, finished: AuditRun) -> None:
    what = {"dataset": noise_faces(), "classifier": made("tiny"), "options": OPTIONS, **other}
    options = replace(what["options"], resume=True)
    with pytest.raises(InputError, match=f"begun with another {difference}"):
        audit(what["dataset"], what["classifier"], options, finished.folder)


def test_an_unfinished_run_is_not_started_over_without_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end = dies_after(3, monkeypatch)
    with pytest.raises(Killed):
        audit(noise_faces(), made("tiny"), OPTIONS, tmp_path / "run")
    end()
    with pytest.raises(InputError, match=r"holds an unfinished audit; .* --resume to go on"):
        audit(noise_faces(), made("tiny"), OPTIONS, tmp_path / "run")


def test_a_full_disk_ends_in_one_sentence_and_can_be_gone_on_with(
    finished: AuditRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "runs" / "run"

    def full(self: Path, target: Path) -> Path:
        if self.name == "00001.npz.part":
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(self, target)

    original = Path.replace
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match=r"\(No space left on device\) after 20 of 50 images"):
        audit(noise_faces(), made("tiny"), OPTIONS, out)
    monkeypatch.undo()
    run = audit(noise_faces(), made("tiny"), replace(OPTIONS, resume=True), out)
    assert run.manifest["parts"] == finished.manifest["parts"]


@pytest.mark.parametrize(
    ("dataset", "found", "options", "sentence"),
    [
        (
            noise_faces(),
            made("tiny"),
            replace(OPTIONS, attributes=("age",)),
            r"'age' is not in the data; its attributes are: apparent_gender",
        ),
        (
            noise_faces(),
            made("tiny").with_classes(LabelSet(tuple("abcdefg"))),
            OPTIONS,
            r"None of the labels of memory \(angry, .*\) is a class of the model \(a, b, c",
        ),
        (noise_faces(20), classifier(Twice(), layer="again"), OPTIONS, r"called more than once"),
    ],
)
def test_what_cannot_be_audited_is_refused(
    dataset: FaceDataset, found: Classifier, options: AuditOptions, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        audit(dataset, found, options, tmp_path / "run")


def test_images_none_of_which_can_be_read_are_refused(tmp_path: Path) -> None:
    dataset = noise_faces()
    nothing = replace(dataset, pixels=Memory(dict.fromkeys(dataset.samples["sample_id"], "empty file")))
    with pytest.raises(InputError, match=r"None of the 50 images of memory could be read \(empty file\)"):
        audit(nothing, made("tiny"), OPTIONS, tmp_path / "run")


def test_a_shard_of_unreadable_images_alone_is_no_obstacle(tmp_path: Path) -> None:
    run = audit(noise_faces(unreadable=tuple(range(20))), made("tiny"), OPTIONS, tmp_path / "run")
    assert np.isnan(run.probabilities[:20]).all() and np.isfinite(run.probabilities[20:]).all()


def test_a_classifier_without_gradients_is_audited_without_maps(tmp_path: Path) -> None:
    run = audit(noise_faces(), replace(made("tiny"), cam_layer=None), OPTIONS, tmp_path / "run")
    assert run.saliency_methods == () and not (run.folder / "saliency").exists()


def test_a_layer_of_zero_gradients_is_refused_with_a_better_one(tmp_path: Path) -> None:
    found = made("transformer")
    last = replace(found, cam_layer="blocks.2.mlp.fc2")
    with pytest.raises(InputError, match=r"'blocks\.2\.mlp\.fc2' gives zero gradients.*--cam-layer blocks\.2\.norm1"):
        audit(noise_faces(), last, replace(OPTIONS, saliency=("layercam",)), tmp_path / "run")


def test_one_attribute_more_does_not_move_the_others(finished: AuditRun, tmp_path: Path) -> None:
    dataset = noise_faces()
    samples = dataset.samples.assign(glasses=[("yes", "no")[i % 2] for i in range(len(dataset))])
    more = replace(dataset, samples=samples, attributes=("apparent_gender", "glasses"))
    run = audit(more, made("tiny"), OPTIONS, tmp_path / "run")
    for name in ("counts", "groups"):
        ours, theirs = run.table(name), finished.table(name)
        same = ours[ours["attribute"].isin(theirs["attribute"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(same, theirs)


def test_the_manifest_names_data_and_model_from_the_folder(finished: AuditRun) -> None:
    manifest = json.loads((finished.folder / "manifest.json").read_text())
    data = manifest["data"]
    assert (finished.folder / data["relative_path"]).resolve() == Path(data["path"])
    assert manifest["model"]["fingerprint"] == made("tiny").fingerprint
    assert manifest["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_data_whose_labels_are_numbers_is_found_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    names = [f"{number}.png" for number in range(24)]
    for name in names:
        cv2.imwrite(str(tmp_path / name), rng.integers(0, 256, (48, 48), dtype=np.uint8))
    table = pd.DataFrame({"path": names, "label": np.arange(24) % 8})
    table.to_csv(tmp_path / "list.csv", index=False)
    eight = LabelSet((*SEVEN, "contempt"))  # one more than the model's classes
    faces = open_dataset(tmp_path / "list.csv", classes=LabelSet(tuple(SEVEN)), numbers=eight)
    run = audit(faces, made("tiny"), OPTIONS, tmp_path / "run")
    assert list(run.dataset().samples["label"]) == list(run.samples["label"])
