"""A training part is judged by what the folds said of it, and copies of any kind are found, in a whole audit."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from audit import AuditOptions, AuditRun, audit
from audit.review.items import Evidence
from faces.dataset import FaceDataset
from models import checkpoints, out_of_fold
from tests.audit_faces import noise_faces
from tests.audit_networks import SEVEN, made

OPTIONS = AuditOptions(batch_size=8, shard_size=20, check_maps=False, progress=False)
N = 60


def smooth_faces(n: int = N, seed: int = 0) -> FaceDataset:
    """Pictures that are all different, but the second is the first mirrored and the third the first made darker."""
    dataset = noise_faces(n, seed, unreadable=())
    random = np.random.default_rng(seed)
    pixels = dataset.pixels.pixels  # type: ignore[attr-defined]
    for name in pixels:
        coarse = random.random((7, 7)).astype(np.float32)
        wide = cv2.resize(coarse, (48, 48), interpolation=cv2.INTER_CUBIC)
        pixels[name] = (40 + 160 * wide).clip(0, 255).astype(np.uint8)[..., None]
    names = list(pixels)
    pixels[names[1]] = pixels[names[0]][:, ::-1].copy()
    pixels[names[2]] = (0.6 * pixels[names[0]] + 20).astype(np.uint8)
    return dataset


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint trained on all but the last ten of the pictures, with answers out of fold for all but the first."""
    folder = tmp_path_factory.mktemp("memory") / "model"
    plain = audit(smooth_faces(), made("tiny"), OPTIONS, folder.parent / "plain")
    content = plain.samples["content_id"]
    seen = frozenset(bytes.fromhex(name)[: checkpoints.ID_BYTES] for name in content[:-10])
    trained = made("tiny")
    fields = {**vars(trained), "trained_on": seen, "card": {"network": {"name": "tiny", "channels": 1}}}
    checkpoints.save(type(trained)(**fields), folder)
    random = np.random.default_rng(1)
    known = pd.DataFrame({"sample_id": plain.samples["sample_id"], "content_id": content, "label": "sad"})[1:-10]
    known = known.assign(fold=(np.arange(len(known)) % 2).astype(np.int16))
    out_of_fold.write(folder, known, random.dirichlet(np.ones(7), len(known)), random.random((len(known), 8)))
    log = known[["sample_id", "content_id"]].assign(area_under_margin=-1.0)
    log.to_parquet(folder / out_of_fold.DYNAMICS, index=False)
    return folder


@pytest.fixture(scope="module")
def run(model: Path) -> AuditRun:
    return audit(smooth_faces(), checkpoints.load(model), OPTIONS, model.parent / "run")


def test_out_of_fold_answers_judge_what_the_model_has_seen(run: AuditRun, model: Path) -> None:
    found = run.table("label_issues").set_index("sample_id")
    samples = run.samples.set_index("sample_id")
    assert set(found.index) == set(samples.index[samples["label"].isin(SEVEN.names)])
    answers = out_of_fold.answers(model, SEVEN, samples["content_id"].tolist())
    assert answers is not None
    rows = [samples.index.get_loc(name) for name in found.index]
    labels = SEVEN.encode(found.index.map(samples["label"]))
    said = np.where(np.isfinite(answers.probabilities), answers.probabilities, run.probabilities)[rows, labels]
    assert found["self_confidence"].to_numpy() == pytest.approx(said, abs=1e-6)
    assert found.index[~found["fresh"]].tolist() == [samples.index[0]]
    assert (found["area_under_margin"] < 0).sum() == found["area_under_margin"].notna().sum() > 40
    assert found["neighbours_disagree"].notna().sum() == len(found) - 1, "all but the one that was learnt by heart"
    assert "stayed behind another class" in found["reason"].iloc[5]
    assert "was trained on this label" in found["reason"].iloc[0]
    assert np.allclose(samples.loc[found.index, "label_issue_score"], found["label_issue_score"])
    shown = Evidence(run).probabilities(rows[5])
    assert list(shown.values()) == pytest.approx(answers.probabilities[rows[5]], abs=1e-6), "as the score was made"


def test_a_ranking_that_is_worth_less_says_so(run: AuditRun, model: Path) -> None:
    codes = {finding.code: finding for finding in run.findings}
    assert codes["FV-L002"].severity == "low" and "trained on 1 image of" in codes["FV-L002"].detail
    bare = model.parent / "bare"
    checkpoints.save(checkpoints.load(model), bare)
    unaided = audit(smooth_faces(), checkpoints.load(bare), OPTIONS, model.parent / "unaided")
    codes = {finding.code: finding for finding in unaided.findings}
    assert codes["FV-L002"].severity == "medium" and "--folds 5" in codes["FV-L002"].detail
    assert not unaided.table("label_issues")["fresh"][:40].any()


def test_copies_of_every_kind_are_in_the_run(run: AuditRun) -> None:
    copies = run.table("duplicates")
    assert copies["kind"].tolist() == ["first", "mirrored", "near"]
    assert copies["duplicate_group"].nunique() == 1 and copies["conflicting"].all()
    assert run.samples["duplicate_group"].isna().all(), "that column tells exact copies"
    assert any(finding.code == "FV-D007" and "1 mirrored" in finding.detail for finding in run.findings)
    assert not (run.folder / "thumbnails.npy").exists()


def test_other_shards_give_the_same_copies_and_evidence(run: AuditRun, model: Path) -> None:
    options = AuditOptions(batch_size=8, shard_size=56, check_maps=False, progress=False)
    other = audit(smooth_faces(), checkpoints.load(model), options, model.parent / "other")
    for name in ("duplicates", "label_issues"):
        pd.testing.assert_frame_equal(other.table(name), run.table(name))


def test_the_mirrored_view_is_a_second_opinion(tmp_path: Path) -> None:
    from models.mirrored import mirrored_view

    dataset, network = smooth_faces(), made("tiny")
    asked = audit(dataset, network, OPTIONS, tmp_path / "asked", [mirrored_view(network)])
    said = np.load(asked.folder / "committee.npy")[:, 0]
    assert np.allclose(said[1], asked.probabilities[0], atol=1e-5), "the second picture is the first one mirrored"
    dissent = asked.table("label_issues")["committee_disagree"]
    assert set(dissent.unique()) <= {0.0, 0.5, 1.0}
    assert "of the models asked see something else" in asked.table("label_issues")["reason"].iloc[0]
