"""The parts of a training: faces in memory, folds, weights, schedule, corrections."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from torch import nn

from faces.emotions import LabelSet
from faces.errors import InputError
from models import catalogue
from models.classifier import Preprocessing
from tests.unit.training_faces import NAMES, quarters
from training.balance import class_weights, drawing_weights, group_weights
from training.corrections import correct
from training.figures import accuracy
from training.fit import normalising
from training.folds import grouped_folds, held_out
from training.gather import gathered, renamed, wanted
from training.layers import freeze, layers, rate_groups
from training.memory import Faces, in_memory
from training.recipe import Recipe
from training.schedule import FIRST, rate_share
from training.temperature import LARGEST, fitted, head

GREY = Preprocessing(48, 48, 1)


@pytest.fixture
def faces() -> Faces:
    return in_memory(quarters(), LabelSet(NAMES), GREY)


def test_faces_are_decoded_once_with_targets_and_identities(faces: Faces) -> None:
    assert faces.images.shape == (120, 1, 48, 48) and faces.images.dtype == torch.uint8
    assert faces.classes.tolist() == [i % 3 for i in range(120)]
    assert faces.content[0] == faces.content[90]
    assert faces.groups[0] == faces.groups[90]
    assert len(set(faces.groups)) == 119


def test_rows_with_other_labels_or_another_status_are_left_out_and_counted() -> None:
    dataset = quarters(30, 0)
    samples = dataset.samples.copy()
    samples.loc[0, "status"] = "unreadable"
    faces = in_memory(replace(dataset, samples=samples), LabelSet(("angry", "sad")), GREY)
    assert len(faces) == 19 and faces.skipped == 11
    with pytest.raises(InputError, match="no readable image labelled fear, surprise"):
        in_memory(dataset, LabelSet(("fear", "surprise")), GREY)


def test_a_person_and_a_copy_tie_pictures_together() -> None:
    faces = in_memory(quarters(30, 30, subjects=4), LabelSet(NAMES), GREY)
    groups, people = faces.groups, faces.samples["subject_id"].to_numpy()
    assert all(len(set(groups[people == person])) == 1 for person in set(people))
    assert groups[0] == groups[30]


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 6), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=30, max_size=80))
def test_folds_never_divide_a_group(k: int, rows: list[tuple[int, int]]) -> None:
    classes, groups = (np.array(column) for column in zip(*rows, strict=True))
    fold = grouped_folds(classes, groups, k, seed=1)
    assert set(fold) <= set(range(k))
    assert all(len(set(fold[groups == group])) == 1 for group in set(groups))


def test_folds_spread_classes_evenly() -> None:
    classes = np.repeat([0, 1, 2], [500, 100, 20])
    fold = grouped_folds(classes, np.arange(620), 5, seed=0)
    for name, share in ((0, 100), (1, 20), (2, 4)):
        assert np.bincount(fold[classes == name]).tolist() == [share] * 5
    aside = held_out(classes, np.arange(620), 0.1)
    assert aside.sum() == 62


def test_class_weights_average_to_one_over_the_images() -> None:
    counts = torch.tensor([700.0, 20.0, 280.0, 0.0])
    for kind in ("balanced", "effective"):
        weights = class_weights(counts, kind)
        assert weights is not None
        assert float((weights * counts).sum() / counts.sum()) == pytest.approx(1)
        assert weights[1] > weights[2] > weights[0] and weights[3] == 0
    balanced, effective = class_weights(counts, "balanced"), class_weights(counts, "effective")
    assert balanced is not None and effective is not None
    assert torch.allclose((balanced * counts)[:3], torch.full((3,), 1000 / 3))
    assert effective[1] / effective[0] < balanced[1] / balanced[0]
    assert class_weights(counts, "none") is None


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "constant"])
def test_the_rate_rises_once_and_never_rises_again(schedule: str) -> None:
    shares = [rate_share(step / 100, schedule, 0.2) for step in range(101)]
    assert shares[0] == pytest.approx(FIRST) and max(shares) == pytest.approx(1) == shares[20]
    assert all(a <= b for a, b in pairwise(shares[:21]))
    assert all(a >= b for a, b in pairwise(shares[20:]))
    assert shares[-1] == (1 if schedule == "constant" else pytest.approx(0))
    assert rate_share(0, schedule, 0) == 1


def test_normalising_takes_mean_and_deviation_of_each_channel() -> None:
    images = torch.randint(0, 256, (7, 3, 5, 5), dtype=torch.uint8)
    found = normalising(Preprocessing(48, 48, 3), images)
    values = images.double() / 255
    assert found.mean == pytest.approx(values.mean(dim=(0, 2, 3)).tolist(), abs=1e-4)
    assert found.std == pytest.approx(values.std(dim=(0, 2, 3), unbiased=False).tolist(), abs=1e-4)


def test_accuracy_carries_wilsons_interval() -> None:
    """The example of Newcombe (1998): 81 of 263 is 0.2553 to 0.3662."""
    found = accuracy(np.array([True] * 81 + [False] * 182))
    assert found == {"n": 263, "accuracy": 0.308, "low": 0.2553, "high": 0.3662}
    assert accuracy(np.array([], dtype=bool)) == {"n": 0, "accuracy": None, "low": None, "high": None}


def test_corrections_change_soften_and_drop(faces: Faces, tmp_path: Path) -> None:
    file = tmp_path / "corrected.csv"
    file.write_text(
        "sample_id,content_id,old_label,new_label,soft\n"
        f"gone.png,{faces.content[0]},angry,joy,\n"
        "001.png,,,not_a_face,\n"
        '002.png,,,,"{""sad"": 0.6, ""happy"": 0.4}"\n'
        "003.png,,,angry,\n"
        "elsewhere.png,,,sad,\n"
        "004.png,,,,\n"
    )
    corrected = correct(faces, file)
    assert (corrected.changed, corrected.softened, corrected.dropped) == (2, 1, 1)
    assert len(corrected.faces) == 119
    targets = dict(zip(corrected.faces.samples["sample_id"], corrected.faces.targets.tolist(), strict=True))
    assert targets["000.png"] == targets["090.png"] == [0, 1, 0]
    assert targets["002.png"] == pytest.approx([0, 0.4, 0.6])
    assert targets["003.png"] == [1, 0, 0] and targets["004.png"] == [0, 1, 0]
    assert "001.png" not in targets


def test_by_content_only_rows_with_the_old_label_are_reached(faces: Faces, tmp_path: Path) -> None:
    file = tmp_path / "corrected.csv"
    file.write_text(f"content_id,old_label,new_label\n{faces.content[0]},sad,happy\n{faces.content[1]},happy,sad\n")
    corrected = correct(faces, file)
    assert corrected.changed == 1
    assert corrected.faces.classes[[0, 90, 1]].tolist() == [0, 0, 2]


def test_a_name_that_stands_for_another_picture_is_not_believed(faces: Faces, tmp_path: Path) -> None:
    """Row numbers are names: of a file of the same pictures in another order, content tells which is which."""
    file = tmp_path / "corrected.csv"
    file.write_text(
        "sample_id,content_id,old_label,new_label\n"
        f"011.png,{faces.content[10]},happy,angry\n"  # 011 is another picture
        f"013.png,{'0' * 64},happy,sad\n"  # saved anew: other pixels, the same label
        f"014.png,{'0' * 64},angry,happy\n"  # of other data altogether: 014 is sad
    )
    corrected = correct(faces, file)
    assert corrected.changed == 2
    assert corrected.faces.classes[[10, 11, 13, 14]].tolist() == [0, 2, 2, 2]


def test_corrections_are_renamed_as_the_data_is(tmp_path: Path) -> None:
    recipe = Recipe.model_validate(
        {"name": "r", "model": {"network": "tiny"}, "data": {"rename": {"angry": "sad", "joy": "smile"}}}
    )
    file = tmp_path / "corrected.csv"
    file.write_text(
        "sample_id,old_label,new_label,soft\n000.png,angry,happy,\n001.png,happy,angry,\n"
        '002.png,sad,,"{""angry"": 0.5, ""happy"": 0.25, ""sad"": 0.25}"\n'
    )
    faces, notes = gathered(recipe, [quarters(30, 0)], file)
    assert faces.labels.names == ("sad", "smile")
    assert faces.targets[:3].tolist() == [[0, 1], [1, 0], [0.75, 0.25]]
    assert notes["corrections"] == {"file": "corrected.csv", "changed": 2, "softened": 1, "dropped": 0}
    dropping = recipe.model_copy(update={"data": recipe.data.model_copy(update={"rename": {"sad": ""}})})
    file.write_text("sample_id,new_label\n000.png,sad\n")
    _, notes = gathered(dropping, [quarters(30, 0)], file)
    assert notes["corrections"]["dropped"] == 1


def test_lines_that_nobody_changed_are_passed_over(faces: Faces, tmp_path: Path) -> None:
    names = faces.samples["sample_id"]
    lines = [f"{names[0]},contempt,contempt,False", f"{names[1]},sad,sad,False", "elsewhere.png,x,contempt,True"]
    (tmp_path / "c.csv").write_text("\n".join(["sample_id,old_label,label,changed", *lines]))
    found = correct(faces, tmp_path / "c.csv")
    assert (found.changed, found.softened, found.dropped) == (0, 0, 0)
    assert torch.equal(found.faces.targets, faces.targets)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,label\na,sad\n", "have the columns name, label; sample_id, or content_id and old_label, and new_label"),
        ("content_id,label\na,sad\n", "have the columns content_id, label; sample_id, or content_id and old_label"),
        ("sample_id,label\n001.png,fear\n", r"line 2 has the label 'fear', which is not one of angry, happy, sad"),
        ("sample_id,soft\n001.png,sad\n", "line 2 has the soft label 'sad'; JSON like"),
        ('sample_id,soft\n001.png,"{""sad"": 0.2}"\n', "that sum to 1 were expected"),
        ("sample_id,label\nnowhere.png,sad\n", "No row of .* is about an image of the training part"),
    ],
)
def test_corrections_that_cannot_be_used_are_named(faces: Faces, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "corrected.csv"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        correct(faces, file)
    with pytest.raises(InputError, match="are not there"):
        correct(faces, tmp_path / "none.csv")


def test_oversampling_evens_classes_out_as_far_as_asked() -> None:
    classes = np.repeat([0, 1], [90, 10])
    assert drawing_weights(classes) is None
    for share, expected in ((1.0, 0.5), (0.5, 10**0.5 / (90**0.5 + 10**0.5))):
        weights = drawing_weights(classes, share)
        assert weights is not None
        assert weights.sum() == pytest.approx(1) and weights[classes == 1].sum() == pytest.approx(expected)


def test_balanced_groups_are_independent_of_the_class_and_keep_the_margins() -> None:
    classes = np.repeat([0, 0, 1, 1], [60, 20, 5, 15])
    groups = pd.Series(np.repeat(["man", "woman", "man", None], [60, 20, 5, 15]), dtype=object)
    groups[80:] = np.repeat(["man", "woman"], [5, 15])
    weights = drawing_weights(classes, groups=groups)
    assert weights is not None
    joint = pd.Series(weights).groupby([classes, groups.to_numpy()]).sum().unstack()
    assert np.allclose(joint, np.outer([0.8, 0.2], [0.65, 0.35]))
    shares = group_weights(classes, groups)
    assert shares.mean() == pytest.approx(1) and np.allclose(shares / shares.sum(), weights)


def test_freezing_fixes_layers_from_the_input_on() -> None:
    network = catalogue.build("tiny", 3)
    fixed = freeze(network, 0.5)
    trainable = [any(weight.requires_grad for weight in group) for group in layers(network)]
    assert trainable == sorted(trainable)
    assert sum(trainable) == len(trainable) - round(0.5 * (len(trainable) - 1))
    assert network.features[0][0] in fixed and network.classify not in fixed
    everything = catalogue.build("tiny", 3)
    freeze(everything, 1)
    assert [name for name, weight in everything.named_parameters() if weight.requires_grad] == [
        "classify.weight",
        "classify.bias",
    ]


def test_rates_fall_from_the_head_to_the_input() -> None:
    network = catalogue.build("tiny", 3)
    groups = rate_groups(network, 0.1, 0.01, 0.5)
    rates = {id(weight): group["lr"] for group in groups for weight in group["params"]}
    assert rates[id(network.classify.weight)] == 0.1
    assert rates[id(network.features[0][0].weight)] == pytest.approx(0.001)
    assert len(rates) == len(list(network.parameters()))
    assert all(group["weight_decay"] == (0.5 if group["params"][0].ndim > 1 else 0) for group in groups)
    assert len(rate_groups(network, 0.1, 1, 0.5)) == 2


def test_labels_are_renamed_and_dropped() -> None:
    dataset = renamed(quarters(30, 0), {"joy": "surprise", "sad": ""})
    assert dataset.labels.names == ("angry", "surprise")
    assert dataset.samples["label"].tolist()[:4] == ["angry", "surprise", None, "angry"]


def test_two_data_sets_become_one_over_the_classes_asked_for() -> None:
    recipe = Recipe.model_validate(
        {"name": "two", "model": {"network": "tiny"}, "data": {"rename": {"sad": ""}, "classes": ["happy", "angry"]}}
    )
    everything, notes = gathered(recipe, [quarters(30, 6), quarters(60, 0, seed=1)], None)
    faces = wanted(everything, recipe)
    assert len(faces) == 60 and faces.labels.names == ("happy", "angry") and not notes
    assert faces.targets.sum(dim=0).tolist() == [30, 30]


@settings(max_examples=30, deadline=None)
@given(st.floats(0.2, 5), st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_the_temperature_makes_logits_as_sure_as_they_may_be(heat: float, k: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (4000, k))
    true = softmax(logits, axis=1)
    classes = (true.cumsum(axis=1) < random.random((4000, 1))).sum(axis=1).clip(max=k - 1)
    found = fitted(softmax(heat * logits, axis=1), classes)
    assert found == pytest.approx(heat, rel=0.15)
    assert fitted(softmax(heat * logits / found, axis=1), classes) == pytest.approx(1, abs=1e-3)


def test_a_temperature_is_bounded_and_needs_images() -> None:
    right, wrong = np.array([[0.6, 0.4]] * 5), np.zeros(5, dtype=int)
    assert fitted(right, wrong) == pytest.approx(1 / LARGEST, rel=1e-3)
    assert fitted(right, wrong + 1) == pytest.approx(LARGEST, rel=1e-3)
    assert fitted(np.zeros((0, 2)), np.zeros(0, dtype=int)) == 1


def test_a_network_without_a_linear_head_cannot_be_calibrated() -> None:
    with pytest.raises(InputError, match="'pair' does not end in one linear layer"):
        head(nn.Sequential(nn.Linear(2, 2)), "pair")
