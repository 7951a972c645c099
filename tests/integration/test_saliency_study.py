"""An audit's study of its own maps: tables, columns, findings; equal after a kill, silent where it cannot tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from audit import AuditOptions, AuditRun, audit
from audit.saliency.analyses import saliency_findings, side_of
from audit.saliency.regions import REGIONS, shares
from audit.saliency.registry import STORED
from audit.saliency.study import mean_interval
from models.classifier import Classifier
from tests.audit_faces import Memory, noise_faces
from tests.audit_networks import SEVEN, Endings, classifier, made
from tests.integration.test_engine_audit import Killed, dies_after, digests

OPTIONS = AuditOptions(batch_size=64, progress=False)
TABLES = (
    "saliency_regions",
    "saliency_ablation",
    "saliency_pairs",
    "faithfulness",
    "faithfulness_curves",
    "randomisation",
    "stability",
    "shortcuts",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> AuditRun:
    return audit(noise_faces(), made("tiny"), OPTIONS, tmp_path_factory.mktemp("runs") / "run")


def test_every_table_is_there(run: AuditRun) -> None:
    for name in TABLES:
        run.table(name)
    assert {finding.severity for finding in run.findings if finding.code.startswith("FV-S")} <= {
        "high",
        "medium",
        "low",
        "info",
    }


def test_samples_say_where_their_map_lies(run: AuditRun) -> None:
    columns = [f"share_{name}" for name in REGIONS]
    found = run.samples[columns].to_numpy()
    expected = shares(np.stack([run.saliency(name).map for name in run.samples["sample_id"][:3]]))
    assert np.allclose(found[:3], expected, equal_nan=True)
    assert np.isnan(found[3]).all() and pd.isna(run.samples["map_cluster"][3])
    seen = run.samples["map_cluster"].dropna()
    assert all(name.rsplit(" ", 1)[0] in SEVEN for name in seen)


def test_the_atlas_adds_up_to_the_stored_maps(run: AuditRun) -> None:
    with np.load(run.folder / "results" / "atlas.npz") as atlas:
        assert set(atlas) == {"gradcam", "xgradcam", "hirescam", "n"}
        total, n = atlas["gradcam"], atlas["n"]
    good = (run.samples["status"] == "ok").to_numpy()
    assert n.sum() == good.sum()
    store = run.maps("gradcam")
    expected = store.raw(np.flatnonzero(good), 2).sum(axis=0)
    assert np.allclose(total[:, :, 2].sum(axis=(0, 1)), expected, atol=1e-3)


def test_faithfulness_has_every_method_and_what_it_must_beat(run: AuditRun) -> None:
    table = run.table("faithfulness").set_index("method")
    assert list(table.index) == [*STORED, "random", "blob"]
    assert table.loc["blob", "over_blob"] == 0
    assert np.allclose(table["gain"], table["insertion"] - table["deletion"])
    assert np.allclose(table.loc["gradcam"], table.loc["hirescam"])  # the same maps, as the head is pooled


def test_it_is_the_same_after_a_kill(run: AuditRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "runs" / "run"
    ends = dies_after(8, monkeypatch)
    with pytest.raises(Killed):
        audit(noise_faces(), made("tiny"), OPTIONS, out)
    ends()
    again = audit(noise_faces(), made("tiny"), replace(OPTIONS, resume=True), out)
    ours, theirs = digests(again.folder), digests(run.folder)
    del ours["manifest.json"], theirs["manifest.json"]
    assert ours == theirs


class Corner(nn.Module):
    """Happy where the lower right corner is bright; otherwise what the middle's brightness says."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.AvgPool2d(8)
        self.gain = nn.Parameter(torch.tensor(12.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        grid = self.features(x * 1.0)[:, 0]
        middle = (grid[:, 2:4, 2:4].mean(dim=(1, 2)) - 0.5)[:, None] * torch.linspace(-60, 60, 7)
        happy = torch.nn.functional.one_hot(torch.tensor(3), 7) * self.gain * grid[:, 5, 5][:, None] ** 2
        return middle + happy


@pytest.mark.parametrize("marked", [True, False])
def test_a_planted_shortcut_is_found_and_none_where_there_is_none(marked: bool, tmp_path: Path) -> None:
    dataset = noise_faces(280, unreadable=())
    dark = {name: (pixels // 4) for name, pixels in dataset.pixels.pixels.items()}
    levels = np.linspace(20, 235, 7)
    for row, (name, label) in enumerate(zip(dark, dataset.samples["label"], strict=True)):
        level = levels[SEVEN.names.index(label)] if label in SEVEN else 128
        dark[name][16:32, 16:32] = np.clip(level + np.random.default_rng(row).integers(-12, 12), 0, 255)
        if marked and label == "happy":
            dark[name][40:48, 40:48] = 255
    found = classifier(Corner(), layer="features")
    run = audit(replace(dataset, pixels=Memory(dark)), found, OPTIONS, tmp_path / "run")
    titles = [finding.title for finding in run.findings if finding.code == "FV-S001"]
    assert titles == (["A shortcut for happy, at the lower right"] if marked else [])


def test_without_gradients_saliency_could_not_be_checked(tmp_path: Path) -> None:
    run = audit(noise_faces(), replace(made("tiny"), cam_layer=None), OPTIONS, tmp_path / "run")
    (finding,) = [finding for finding in run.findings if finding.code.startswith("FV-S")]
    assert finding.severity == "unchecked" and "gives no gradients" in finding.detail


def coarse() -> Classifier:
    torch.manual_seed(0)
    found = Endings(nn.Identity())
    found.features = nn.Sequential(nn.Conv2d(1, 5, 3, stride=16), nn.ReLU())
    return classifier(found, layer="features")


def test_coarse_maps_say_that_regions_could_not_be_checked(tmp_path: Path) -> None:
    run = audit(noise_faces(), coarse(), OPTIONS, tmp_path / "run")
    titles = {finding.title: finding.severity for finding in run.findings if finding.code.startswith("FV-S")}
    assert titles["Regions and shortcuts could not be checked"] == "unchecked"
    assert "share_mouth" not in run.samples


def test_what_was_not_asked_for_is_not_passed(tmp_path: Path) -> None:
    run = audit(noise_faces(), made("tiny"), replace(OPTIONS, check_maps=False), tmp_path / "run")
    unchecked = [finding.code for finding in saliency_findings(run) if finding.severity == "unchecked"]
    assert unchecked == ["FV-S001", "FV-S005", "FV-S002", "FV-S003", "FV-S004"]


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0.8, 0.8, 1.0, 1.0), "at the lower right"),
        ((0.0, 0.0, 0.2, 0.2), "at the upper left"),
        ((0.4, 0.8, 0.6, 1.0), "at the right"),
        ((0.0, 0.4, 0.2, 0.6), "at the upper edge"),
        ((0.4, 0.4, 0.6, 0.6), "at the edge"),
    ],
)
def test_places_have_words(box: tuple[float, ...], words: str) -> None:
    assert side_of(pd.Series(box, index=["top", "left", "bottom", "right"])) == words


def test_intervals_of_means_are_students() -> None:
    mean, low, high = mean_interval(np.array([1.0, 2.0, 3.0]))
    assert (mean, low, high) == pytest.approx((2, 2 - 2.4841, 2 + 2.4841), abs=1e-3)
    assert np.isnan(mean_interval(np.array([1.0]))[1]) and np.isnan(mean_interval(np.array([]))[0])
