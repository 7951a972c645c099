"""Checkpoint folders: what is saved comes back, and what is damaged is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from faces.emotions import LabelSet
from faces.errors import InputError
from models import catalogue, checkpoints
from models.classifier import Classifier, Preprocessing
from models.inspect_model import inspect_model
from models.load import load_classifier


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    network = checkpoints.rounded(catalogue.build("tiny", 3))
    return Classifier(
        network=network.eval(),
        labels=LabelSet(("angry", "happy", "sad")),
        preprocessing=Preprocessing(48, 48, 1, mean=(0.5,), std=(0.25,)),
        name="small",
        cam_layer="features",
        trained_on=frozenset({b"12345678", b"abcdefgh"}),
        card={"network": {"name": "tiny", "channels": 1}, "figures": {"test": {"accuracy": 0.5}}},
    )


def test_a_classifier_comes_back_with_the_same_answers(classifier: Classifier, tmp_path: Path) -> None:
    folder = checkpoints.save(classifier, tmp_path / "m", {"made": "today"})
    loaded = checkpoints.load(folder)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 48, 48, 1), dtype=np.uint8)
    with torch.no_grad():
        expected = classifier.network(classifier.preprocessing.tensor(pixels))
        assert torch.equal(loaded.network(loaded.preprocessing.tensor(pixels)), expected)
    assert loaded.fingerprint == classifier.fingerprint == loaded.card["fingerprint"]
    assert (loaded.labels, loaded.preprocessing, loaded.trained_on, loaded.cam_layer) == (
        classifier.labels,
        classifier.preprocessing,
        classifier.trained_on,
        "features",
    )
    assert loaded.card["figures"]["test"]["accuracy"] == 0.5 and loaded.card["made"] == "today"
    assert not loaded.network.training


def test_half_precision_halves_the_file(classifier: Classifier, tmp_path: Path) -> None:
    folder = checkpoints.save(classifier, tmp_path / "m")
    weights = sum(weight.numel() for weight in classifier.network.parameters())
    assert (folder / checkpoints.WEIGHTS).stat().st_size < 2.3 * weights


def test_what_a_half_cannot_hold_is_kept_whole(classifier: Classifier, tmp_path: Path) -> None:
    with torch.no_grad():
        classifier.network.classify.bias[0] = 1e6
    loaded = checkpoints.load(checkpoints.save(classifier, tmp_path / "m"))
    assert float(loaded.network.classify.bias[0].detach()) == 1e6


def test_saving_again_replaces_the_folder_whole(classifier: Classifier, tmp_path: Path) -> None:
    checkpoints.save(classifier, tmp_path / "m")
    checkpoints.save(classifier, tmp_path / "m", {"second": True})
    assert checkpoints.read_card(tmp_path / "m")["second"]
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_damage_is_named(classifier: Classifier, tmp_path: Path) -> None:
    folder = checkpoints.save(classifier, tmp_path / "m")
    weights = folder / checkpoints.WEIGHTS
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    with pytest.raises(InputError, match=r"weights\.safetensors is damaged"):
        checkpoints.load(folder)
    weights.unlink()
    with pytest.raises(InputError, match=r"has no weights\.safetensors"):
        checkpoints.load(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 9}, "schema 9; 1 was expected"),
        ({"classes": None}, "'classes' = None"),
        ({"network": {}}, "names no weights file or no network"),
        ({"network": {"name": "tinny"}}, "'tinny' is neither ours nor timm's; did you mean tiny"),
        ({"network": {"name": "compact"}}, "do not belong to the network"),
        ({"classes": ["angry", "happy"]}, "do not belong to the network"),
        ({"preprocessing": {"side": 48}}, "preprocessing that is not understood"),
        ({"output": "odds"}, "output kind 'odds'"),
    ],
)
def test_a_card_that_is_wrong_names_its_field(
    classifier: Classifier, tmp_path: Path, change: dict, message: str
) -> None:
    folder = checkpoints.save(classifier, tmp_path / "m")
    card = json.loads((folder / checkpoints.CARD).read_text())
    (folder / checkpoints.CARD).write_text(json.dumps(card | change))
    with pytest.raises(InputError, match=message):
        checkpoints.load(folder)


def test_a_folder_that_is_no_checkpoint_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no card\.json"):
        checkpoints.load(tmp_path)
    (tmp_path / checkpoints.CARD).write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        checkpoints.load(tmp_path)
    (tmp_path / checkpoints.CARD).write_text("[]")
    with pytest.raises(InputError, match="has schema 'list'"):
        checkpoints.load(tmp_path)


def test_an_input_without_the_mean_that_was_trained_with_is_told(classifier: Classifier, tmp_path: Path) -> None:
    folder = checkpoints.save(classifier, tmp_path / "m")
    for told, noted in (("48x48,gray,0..1", True), ("48x48,gray,0..1,0.5/0.3", False), (None, False)):
        found = load_classifier(folder, input=told)
        notes = inspect_model(folder, told).notes
        assert ("trained on 48x48,gray,0..1,0.5/0.25" in "".join(notes)) is noted
        assert found.card.get("notes", []) == list(notes)
        assert found.preprocessing.mean == (None if noted else (0.5,))
