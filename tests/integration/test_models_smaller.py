"""Smaller classifiers: exported, quantised and pruned ones answer as they should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from audit.scoring import score
from faces.emotions import LabelSet
from faces.errors import InputError
from facevalue import export_model
from models import catalogue, checkpoints
from models.adapters.onnx import RuntimeNetwork
from models.classifier import Classifier, Preprocessing
from models.load import load_classifier
from models.probe import images
from models.smaller import _Ranges, difference, export_onnx, prune, quantise

NAMES = LabelSet(("angry", "happy", "sad"))
PLAIN = Preprocessing(48, 48, 1)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    torch.manual_seed(0)
    network = catalogue.build("tiny", 3).eval()
    return Classifier(network, NAMES, Preprocessing(48, 48, 1, mean=(0.5,), std=(0.25,)), name="small")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 48, 48, 1), dtype=np.uint8)


def answers(classifier: Classifier, pixels: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return classifier.logits(classifier.network(classifier.preprocessing.tensor(pixels))).softmax(dim=1).numpy()


def opened(file: Path, told: str) -> Classifier:
    """The file as a person opens it, with the options that were told."""
    _, classes, _, given = told.split(" ")
    return load_classifier(file, classes, given)


def test_an_exported_file_gives_the_same_probabilities(
    classifier: Classifier, pixels: np.ndarray, tmp_path: Path
) -> None:
    told = export_onnx(classifier, tmp_path / "m.onnx")
    assert told == "--classes angry,happy,sad --input 48x48,gray,0..255"
    found = opened(tmp_path / "m.onnx", told)
    assert np.abs(answers(found, pixels) - answers(classifier, pixels)).max() < 1e-5
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("more", [{}, {"tilted": 9.0}, {"tilted": 9.0, "beside": ["test_efficientnet@64"]}])
def test_weights_that_several_views_share_keep_their_gradients(
    pixels: np.ndarray, tmp_path: Path, more: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    network = catalogue.build("tiny", 3, size=48, mirrored=True, **more).eval()
    classifier = Classifier(network, NAMES, Preprocessing(48, 48, 1), name="both", cam_layer="features")
    found = opened(tmp_path / "m.onnx", export_onnx(classifier, tmp_path / "m.onnx"))
    assert np.abs(answers(found, pixels) - answers(classifier, pixels)).max() < 1e-5
    ours, theirs = score(classifier, pixels[:4]).maps["gradcam"], score(found, pixels[:4]).maps["gradcam"]
    assert np.abs(ours - theirs).max() < 1e-4 * np.abs(ours).max()
    whole, read = (sum(weight.numel() for weight in one.parameters()) for one in (network, found.network))
    assert read < 1.1 * whole  # each weight once, however many nodes use it


def test_colour_and_value_range_go_into_the_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    plain = Preprocessing(48, 48, 3, low=-1, high=1)
    classifier = Classifier(catalogue.build("tiny", 3, 3).eval(), NAMES, plain, name="colour")
    told = export_onnx(classifier, tmp_path / "m.onnx")
    images = np.random.default_rng(1).integers(0, 256, (5, 48, 48, 3), dtype=np.uint8)
    assert np.abs(answers(opened(tmp_path / "m.onnx", told), images) - answers(classifier, images)).max() < 1e-5


def test_int8_is_smaller_and_answers_nearly_the_same(
    classifier: Classifier, pixels: np.ndarray, tmp_path: Path
) -> None:
    export_onnx(classifier, tmp_path / "m.onnx")
    told, compared = quantise(classifier, pixels, tmp_path / "m8.onnx").splitlines()
    assert (tmp_path / "m8.onnx").stat().st_size < 0.5 * (tmp_path / "m.onnx").stat().st_size
    found = answers(opened(tmp_path / "m8.onnx", told), pixels)
    gap = np.abs(found - answers(classifier, pixels)).max()
    assert gap < 0.1
    same = (found.argmax(axis=1) == answers(classifier, pixels).argmax(axis=1)).mean()
    assert compared == (
        f"int8 against the original: {same:.1%} of 64 faces in the same class, probabilities at most {gap:.3f} apart"
    )


def test_what_is_pruned_is_compared_with_the_original(
    classifier: Classifier, pixels: np.ndarray, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    original = replace(classifier, network=nn.Sequential(nn.Conv2d(1, 3, 48), nn.Flatten()), preprocessing=PLAIN)
    pruned = prune(original, 0.999)
    with pytest.raises(InputError, match=r"Made int8 and pruned, small .*of 64 faces.*; prune less, or"):
        quantise(pruned, pixels, tmp_path / "m8.onnx", original)
    _, compared = quantise(prune(original, 0.01), pixels, tmp_path / "m8.onnx", original).splitlines()
    assert compared.startswith("int8 against the original: ")

    seen = images(256, PLAIN)
    before, after = answers(original, seen), answers(pruned, seen)
    same, gap = (before.argmax(axis=1) == after.argmax(axis=1)).mean(), np.abs(before - after).max()
    assert difference(original, pruned) == (
        f"pruned against the original: {same:.1%} of 256 made-up pictures in the same class, probabilities at most "
        f"{gap:.3f} apart"
    )
    assert same < 1


def test_the_front_door_tells_how_pruning_changed_the_answers(
    classifier: Classifier, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints.save(classifier, tmp_path / "model", {"network": {"name": "tiny", "channels": 1}})
    export_model(str(tmp_path / "model"), tmp_path / "m.onnx", prune=0.9)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("facevalue audit DATA --out RUN --model ") and "--classes" in first
    assert second.startswith("pruned against the original: ") and "made-up pictures" in second


def test_int8_that_answers_otherwise_is_refused(
    classifier: Classifier, pixels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_Ranges, "get_next", black_once)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 48), nn.Flatten())
    with pytest.raises(InputError, match=r"Made int8, small answers otherwise .*of 64 faces.*at least 90%"):
        quantise(replace(classifier, network=network), pixels, tmp_path / "m8.onnx")
    assert not list(tmp_path.iterdir())


def black_once(self: Any) -> dict[str, np.ndarray] | None:
    """One batch of black pixels, by which no range is right."""
    batch = next(self.batches, None)
    self.batches = iter(())
    return None if batch is None else {"pixels": np.zeros((1, 1, 48, 48), np.float32)}


def test_pruning_zeroes_the_smallest_weights_and_leaves_the_original(classifier: Classifier) -> None:
    pruned = prune(classifier, 0.5)

    def wide(network: nn.Module) -> torch.Tensor:
        found = [m.weight.detach().flatten() for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        return torch.cat(found)

    before, after = wide(classifier.network), wide(pruned.network)
    gone = after == 0
    assert float(gone.float().mean()) == pytest.approx(0.5, abs=1e-3)
    assert float(before[gone].abs().max()) <= float(before[~gone].abs().min())
    assert torch.equal(after[~gone], before[~gone])
    assert pruned.fingerprint != classifier.fingerprint
    assert pruned.network.state_dict().keys() == classifier.network.state_dict().keys()
    with pytest.raises(InputError, match=r"The share 1\.0 of weights cannot be pruned"):
        prune(classifier, 1.0)


class Unwritable(nn.Module):
    """Does what no ONNX operator does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvals(x[:, 0, :3, :3]).real


def test_what_cannot_be_exported_says_so_and_leaves_no_file(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The network of small cannot be written as ONNX"):
        export_onnx(replace(classifier, network=Unwritable()), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


class Frozen(nn.Module):
    """Gives what tracing takes for constant."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3)) + torch.from_numpy(x.numpy().mean(axis=(2, 3))).repeat(1, 3)


def test_what_tracing_freezes_is_not_kept(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="answers otherwise than the network"):
        export_onnx(replace(classifier, network=Frozen()), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_black_boxes_are_neither_exported_nor_pruned(classifier: Classifier, tmp_path: Path) -> None:
    export_onnx(classifier, tmp_path / "m.onnx")
    box = replace(classifier, network=RuntimeNetwork(tmp_path / "m.onnx", one_by_one=False), fingerprint="box")
    with pytest.raises(InputError, match=r"cannot be written as ONNX \(onnxruntime runs it as a black box\)"):
        export_onnx(box, tmp_path / "again.onnx")
    with pytest.raises(InputError, match=r"cannot be pruned \(onnxruntime runs it as a black box\)"):
        prune(box, 0.5)
    with pytest.raises(InputError, match=r"shows no torch convolution or linear layer.*leave --prune out"):
        prune(replace(classifier, network=nn.Flatten()), 0.5)


def test_a_folder_that_is_not_there_is_named(classifier: Classifier, pixels: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone is not a folder"):
        export_onnx(classifier, tmp_path / "gone" / "m.onnx")
    with pytest.raises(InputError, match="gone is not a folder"):
        quantise(classifier, pixels, tmp_path / "gone" / "m.onnx")


def test_a_folder_is_no_file_to_write(classifier: Classifier, pixels: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "d.onnx").mkdir()
    with pytest.raises(InputError, match=r"d\.onnx is a folder, and a file to write was expected"):
        export_onnx(classifier, tmp_path / "d.onnx")
    with pytest.raises(InputError, match=r"d\.onnx is a folder, and a file to write was expected"):
        quantise(classifier, pixels, tmp_path / "d.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["d.onnx"]
