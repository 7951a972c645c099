"""Checkpoints become one: what it answers, what its card says, and what does not go together."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch

from faces.emotions import LabelSet
from faces.errors import InputError
from models import catalogue, checkpoints
from models.classifier import Classifier, Preprocessing
from tests.unit.training_faces import NAMES, quarters
from training.ensemble import ensemble, told
from training.fit import train
from training.memory import in_memory
from training.recipe import Recipe


def trained(folder: Path, seed: int = 0, classes: tuple[str, ...] = NAMES, **model: object) -> Path:
    fields = {"epochs": 2, "batch": 16, "average": 0.5, "seed": seed}
    data = {"validation": 0.2, "classes": classes}
    parts = {"model": {"network": "tiny", **model}, "data": data, "learn": fields}
    train(Recipe.model_validate({"name": "small", **parts}), quarters(), folder, progress=False)
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("members")
    return [trained(folder / "one"), trained(folder / "other", seed=1)]


def logits(model: Classifier, mirrored: bool = False) -> np.ndarray:
    images = in_memory(quarters(), LabelSet(NAMES), Preprocessing(48, 48, 1)).images.permute(0, 2, 3, 1).numpy()
    images = images[:, :, ::-1] if mirrored else images
    with torch.no_grad():
        given = model.network(model.preprocessing.tensor(images)).numpy()
    return given * model.card["figures"]["temperature"]  # as they were before


def test_an_ensemble_answers_with_the_mean_of_the_logits(two: list[Path], tmp_path: Path) -> None:
    whole = ensemble(two, quarters(), tmp_path / "whole")
    members = [checkpoints.load(folder) for folder in two]
    expected = np.mean([logits(member) for member in members], axis=0)
    np.testing.assert_allclose(logits(whole), expected, atol=5e-3)  # weights are stored in half precision
    assert whole.name == "whole" and whole.cam_layer == "features" and whole.labels == members[0].labels
    assert whole.trained_on == members[0].trained_on
    assert [member["fingerprint"] for member in whole.card["members"]] == [one.fingerprint for one in members]
    figures = whole.card["figures"]
    assert figures["temperature"] != 1
    assert (figures["test"]["n"], figures["test_without_duplicates"]["n"], figures["validation"]["n"]) == (30, 29, 18)
    assert figures["parameters"] == pytest.approx(2 * members[0].card["figures"]["parameters"], abs=3)
    assert told(whole).startswith(f"{figures['test']['accuracy']:.1%} (") and "of 30 test images; " in told(whole)


def test_an_ensemble_among_the_models_counts_as_its_members(two: list[Path], tmp_path: Path) -> None:
    both = ensemble(two, quarters(), tmp_path / "both", mirrored=True)
    again = ensemble([two[0], tmp_path / "both"], quarters(), tmp_path / "three")
    assert again.card["network"]["beside"] == ["tiny", "tiny"] and again.card["network"]["mirrored"]
    one, other = (checkpoints.load(folder) for folder in two)
    ways = [logits(model, way) for model in (one, one, other) for way in (False, True)]
    np.testing.assert_allclose(logits(again), np.mean(ways, axis=0), atol=5e-3)
    assert "mirror image" in both.card["figures"]["test_time_augmentation"]


def test_one_checkpoint_can_look_both_ways_round(two: list[Path], tmp_path: Path) -> None:
    whole = ensemble(two[:1], quarters(), tmp_path / "mirrored", mirrored=True)
    ways = [logits(checkpoints.load(two[0]), way) for way in (False, True)]
    np.testing.assert_allclose(logits(whole), np.mean(ways, axis=0), atol=5e-3)
    assert "the mirror image, inside" in whole.card["figures"]["test_time_augmentation"]
    tilted = ensemble(two[:1], quarters(), tmp_path / "tilted", tilted=9)
    again = ensemble([tmp_path / "tilted"], quarters(), tmp_path / "again")
    np.testing.assert_allclose(logits(again), logits(tilted), atol=5e-3)
    assert again.card["network"]["tilted"] == 9
    assert "turned by 9 degrees either way" in again.card["figures"]["test_time_augmentation"]


def test_unlike_networks_go_together(two: list[Path], tmp_path: Path) -> None:
    other = trained(tmp_path / "other", network="test_resnet")
    whole = ensemble([two[0], other], quarters(), tmp_path / "whole")
    assert whole.card["network"]["name"] == "tiny" and whole.card["network"]["beside"] == ["test_resnet"]
    expected = np.mean([logits(checkpoints.load(folder)) for folder in (two[0], other)], axis=0)
    np.testing.assert_allclose(logits(whole), expected, atol=2e-2)


def test_a_network_that_enlarges_goes_with_one_that_does_not(two: list[Path], tmp_path: Path) -> None:
    other = trained(tmp_path / "other", network="test_efficientnet@64")
    whole = ensemble([two[0], other], quarters(), tmp_path / "whole", tilted=9, closer=1.2)
    assert whole.card["network"]["beside"] == ["test_efficientnet@64"] and whole.card["network"]["closer"] == 1.2
    assert "either way and of both 1.2 times as large" in whole.card["figures"]["test_time_augmentation"]
    again = checkpoints.load(tmp_path / "whole")
    np.testing.assert_allclose(logits(again), logits(whole), atol=1e-5)
    assert len(catalogue.networks.members(again.network)) == 2


def test_nothing_is_judged_by_images_that_may_have_been_learnt(two: list[Path], tmp_path: Path) -> None:
    """With corrected labels or more data, other images were held out than the recipe alone tells."""
    card = json.loads((two[1] / "card.json").read_text())
    for index, more in enumerate(({"corrections": {"file": "c.csv"}}, {"also": [{"name": "more.zip"}]})):
        told = copytree(two[1], tmp_path / f"told-{index}") / "card.json"
        told.write_text(json.dumps({**card, "data": {**card["data"], **more}}))
        whole = ensemble([two[0], told.parent], quarters(), tmp_path / f"whole-{index}")
        again = ensemble([tmp_path / f"whole-{index}"], quarters(), tmp_path / f"again-{index}")
        for made in (whole, again):
            assert "validation" not in made.card["figures"] and made.card["figures"]["temperature"] == 1


def test_data_that_is_read_otherwise_than_for_the_training_is_refused(two: list[Path], tmp_path: Path) -> None:
    """The fingerprint is of the files: what their numbers mean, and who is in them, a person says beside."""
    (tmp_path / "people.csv").write_text("sample_id,subject_id")
    told = {"numbers": NAMES, "label": "emotion", "metadata": tmp_path / "people.csv"}
    for field, value in told.items():
        data = quarters(subjects=9 if field == "metadata" else 0)
        other = replace(data, provenance=replace(data.provenance, **{field: value}))
        option = {"numbers": "--label-names"}.get(field, f"--{field}")
        with pytest.raises(InputError, match=f"was trained without {option}, and quarters is read otherwise"):
            ensemble(two, other, tmp_path / "none")
    card = json.loads((two[0] / "card.json").read_text())
    read_so = {"numbers": NAMES[::-1]}, {"metadata": "0" * 64, "by_subject": True}
    for was, sentence in zip(read_so, ("--label-names, and .* given: sad,happy,angry", "--metadata"), strict=True):
        own = copytree(two[0], tmp_path / sentence[2:7])
        (own / "card.json").write_text(json.dumps({**card, "data": {**card["data"], **was}}))
        with pytest.raises(InputError, match=f"was trained with {sentence}"):
            ensemble([own], quarters(), tmp_path / "none")
    attributes = replace(quarters().provenance, metadata=tmp_path / "people.csv")
    ensemble(two, replace(quarters(), provenance=attributes), tmp_path / "whole")  # who is in them is told by none


def test_what_does_not_go_together_is_refused(two: list[Path], tmp_path: Path) -> None:
    def refused(sentence: str, *models: Path | str, seed: int = 0, out: str = "none") -> None:
        with pytest.raises(InputError, match=sentence):
            ensemble(models, quarters(seed=seed), tmp_path / out)
        assert not (tmp_path / "none").exists()

    refused("nobody is no checkpoint; give a checkpoint folder or the name of one that ships", "nobody")
    with pytest.raises(InputError, match="--tilted 50 is no angle to look from; expected 0 to 45 degrees"):
        ensemble(two, quarters(), tmp_path / "none", tilted=50)
    for closer in (0.5, 3, float("nan")):
        with pytest.raises(
            InputError, match=f"--closer {closer:g} is no enlargement to look at; expected 1 to 2 times"
        ):
            ensemble(two, quarters(), tmp_path / "none", closer=closer)
    refused("was trained on other data than quarters; pass the same", *two, seed=1)
    refused("was trained on other data", *two, *catalogue.shipped())
    refused(r"is already there; choose another --out", *two, out="")
    narrow = trained(tmp_path / "narrow", classes=("sad", "angry"))
    refused("expected to have the same classes", two[0], narrow)
    small = trained(tmp_path / "small", size=32)
    refused("expected to take the same input", two[0], small)
    plain = trained(tmp_path / "plain", network="vit_tiny_patch16_224")
    refused("'vit_tiny_patch16_224' can be neither fused, mirrored nor enlarged", two[0], plain)
