"""A whole training: what it writes, that it learns, and that being killed costs nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from faces.dataset import FaceDataset
from faces.emotions import LabelSet
from faces.errors import InputError
from models import catalogue, checkpoints, out_of_fold
from models.classifier import Classifier, Preprocessing
from tests.unit.training_faces import NAMES, quarters
from training.figures import probabilities
from training.fit import train
from training.learner import Learner, Order
from training.loop import divided, recipes_of_members, run
from training.memory import in_memory
from training.recipe import Data, Network, Recipe, load_recipe
from training.schedule import Clock
from training.teacher import taught
from training.temperature import fitted
from training.votes import voted

OTHERS = ("fear", "happy", "sad")


def recipe(**learn: object) -> Recipe:
    fields = {"epochs": 6, "batch": 16, "average": 0.5, "sizes": [32, 48], **learn}
    parts = {"data": {"validation": 0.2}, "augment": {"flip": 0}, "learn": fields}
    return Recipe.model_validate({"name": "small", "model": {"network": "tiny"}, **parts})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "model"
    train(recipe(), quarters(), out, folds=2, progress=False)
    return out


def test_a_training_writes_a_checkpoint_that_says_what_it_is(trained: Path) -> None:
    classifier = checkpoints.load(trained)
    card = classifier.card
    assert classifier.labels.names == NAMES and classifier.cam_layer == "features"
    assert card["recipe"]["learn"]["epochs"] == 6
    figures = card["figures"]
    assert figures["validation"]["n"] + figures["training_images"] == 90
    assert figures["test"]["n"] == 30
    assert figures["test_without_duplicates"]["n"] == 29
    assert figures["test_images_duplicated_in_training"] == 1
    assert figures["test"]["low"] <= figures["test"]["accuracy"] <= figures["test"]["high"]
    assert figures["test"]["accuracy"] > 0.8
    assert len(classifier.trained_on) == 90
    assert card["data"]["images"] == {"angry": 30, "happy": 30, "sad": 30}
    assert not list(trained.parent.glob(".*"))


def test_learning_curves_and_dynamics_lie_beside_the_weights(trained: Path) -> None:
    curves = pd.read_csv(trained / "curves.csv")
    assert curves["epoch"].tolist() == list(range(6))
    assert curves[["train_loss", "val_loss", "val_accuracy"]].notna().all(axis=None)
    assert (trained / "curves.svg").read_text().count("<polyline") == 3
    dynamics = pd.read_parquet(trained / "training_dynamics.parquet")
    assert len(dynamics) == json.loads((trained / "card.json").read_text())["figures"]["training_images"]
    assert dynamics["area_under_margin"].notna().mean() > 0.9


def test_out_of_fold_answers_are_matched_by_content(trained: Path) -> None:
    samples = pd.read_parquet(trained / "out_of_fold" / "samples.parquet")
    assert len(samples) == 90 and samples["fold"].value_counts().tolist() == [45, 45]
    ids = [*samples["content_id"].iloc[[5, 3]], "not there"]
    found = out_of_fold.answers(trained, LabelSet(NAMES), ids)
    stored = np.load(trained / "out_of_fold" / "probabilities.npy")
    assert found is not None
    assert np.array_equal(found.probabilities[:2], stored[[5, 3]]) and np.isnan(found.probabilities[2]).all()
    assert found.fold.tolist() == [*samples["fold"].iloc[[5, 3]], -1]
    assert found.embeddings[:2].any() and not found.embeddings[2].any()
    with pytest.raises(InputError, match=r"have shape \(90, 3\) where \(90, 2\) was expected"):
        out_of_fold.answers(trained, LabelSet(("happy", "sad")), ids)
    assert out_of_fold.answers(trained.parent, LabelSet(NAMES), ids) is None


def test_corrections_are_learnt_from_and_told_on_the_card(tmp_path: Path) -> None:
    file = tmp_path / "corrected.csv"
    file.write_text("sample_id,new_label\n000.png,sad\n001.png,not_a_face\n")
    classifier = train(recipe(epochs=1), quarters(), tmp_path / "model", labels=file, progress=False)
    told = classifier.card["data"]["corrections"]
    assert told == {"file": "corrected.csv", "changed": 1, "softened": 0, "dropped": 1}
    assert classifier.card["data"]["images"] == {"angry": 29, "happy": 29, "sad": 31}


def test_a_folder_that_is_there_is_never_overwritten_and_a_finished_one_is_resumed_as_it_is(trained: Path) -> None:
    with pytest.raises(InputError, match="is already there; choose another --out"):
        train(recipe(), quarters(), trained, progress=False)
    again = train(recipe(), quarters(), trained, resume=True, progress=False)
    assert again.fingerprint == checkpoints.load(trained).fingerprint


def test_one_fold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 folds cannot be made"):
        train(recipe(), quarters(), tmp_path / "model", folds=1)


def test_minutes_end_a_training_in_time(tmp_path: Path) -> None:
    classifier = train(recipe(epochs=5000, minutes=0.02), quarters(), tmp_path / "model", progress=False)
    assert classifier.card["figures"]["epochs"] < 100


def test_patience_ends_a_training_that_stopped_improving(tmp_path: Path) -> None:
    patient = recipe(epochs=60, patience=2, sizes=[])
    figures = train(patient, quarters(), tmp_path / "model", progress=False).card["figures"]
    assert figures["epochs"] == figures["chosen_epoch"] + 3 < 60


def test_members_are_fused_and_folds_repeated(tmp_path: Path) -> None:
    two = recipe(epochs=1).model_copy(
        update={"model": Network(network="tiny", members=2), "data": Data(validation=0.2, repeats=2)}
    )
    classifier = train(two, quarters(60, 0), tmp_path / "model", folds=2, progress=False)
    network = {"name": "tiny", "channels": 1, "members": 2, "mirrored": False, "tilted": 0, "closer": 1}
    assert classifier.card["network"] == network
    assert classifier.network.classify.in_features == 128
    assert "test" not in classifier.card["figures"]
    folds = classifier.card["figures"]["out_of_fold"]
    assert (folds["folds"], folds["repeats"], len(folds["fold_accuracies"])) == (2, 2, 4)
    assert pd.read_csv(tmp_path / "model" / "curves.csv")["member"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            {"network": "vit_tiny_patch16_224", "size": 32, "mirrored": True},
            "can be neither fused, mirrored nor enlarged",
        ),
        ({"network": "tinny"}, "'tinny' is neither ours nor timm's"),
        ({"network": "tiny", "pretrained": "elsewhere.pth"}, "elsewhere.pth are not there"),
    ],
)
def test_networks_are_refused_before_anything_is_read_or_written(tmp_path: Path, model: dict, said: str) -> None:
    theirs = recipe().model_copy(update={"model": Network(**model)})
    with pytest.raises(InputError, match=said):
        train(theirs, quarters(), tmp_path / "model", progress=False)
    assert not list(tmp_path.iterdir())


def test_two_devices_share_every_batch(tmp_path: Path) -> None:
    plan = recipe(epochs=2, devices=2, minutes=5)
    classifier = train(plan, quarters(), tmp_path / "model", progress=False)
    figures = classifier.card["figures"]
    assert figures["epochs"] == 2 and figures["validation"]["n"] == 18
    assert pd.read_csv(tmp_path / "model" / "curves.csv")["epoch"].tolist() == [0, 1]
    dynamics = pd.read_parquet(tmp_path / "model" / "training_dynamics.parquet")
    assert dynamics["area_under_margin"].notna().mean() > 0.9
    orders = [list(Order(50, 9, 0, rank=rank, world=2)) for rank in (0, 1)]
    assert [len(batch) for batch in orders[0]] == [4] * 6 == [len(batch) for batch in orders[1]]
    assert len({int(row) for order in orders for batch in order for row in batch}) == 48


def test_unlike_networks_are_trained_by_their_own_recipes_and_fused(tmp_path: Path) -> None:
    (tmp_path / "wide.toml").write_text("[model]\nnetwork = 'test_convnext'\nchannels = 3\n[learn]\nepochs = 1")
    (tmp_path / "small.toml").write_text(
        "[model]\nnetwork = 'test_resnet'\nchannels = 3\nsize = 64\n[learn]\nepochs = 2\nsizes = [32, 64]"
    )

    def beside(name: str) -> Recipe:
        model = Network(network="tiny", beside=(str(tmp_path / name),))
        return recipe(epochs=1).model_copy(update={"model": model})

    with pytest.raises(InputError, match="'test_convnext' can be neither fused, mirrored nor enlarged"):
        train(beside("wide.toml"), quarters(60, 0), tmp_path / "model", progress=False)
    classifier = train(beside("small.toml"), quarters(60, 0), tmp_path / "model", progress=False)
    assert classifier.card["network"]["beside"] == ["test_resnet"] and classifier.cam_layer == "features"
    curves = pd.read_csv(tmp_path / "model" / "curves.csv")
    assert curves["member"].tolist() == [0, 1, 1]


def test_groups_to_balance_must_be_a_column(tmp_path: Path) -> None:
    data = Data(validation=0.2, balance_groups="age")
    with pytest.raises(InputError, match="balances the groups of 'age', which is no column of the data"):
        train(recipe().model_copy(update={"data": data}), quarters(), tmp_path / "model", progress=False)


@pytest.mark.parametrize("way", ["sampling", "loss"])
def test_groups_are_balanced_by_sampling_or_in_the_loss(tmp_path: Path, way: str) -> None:
    faces = quarters()
    columns = faces.samples.assign(side=np.where(np.arange(len(faces)) % 3, "left", "right"))
    data = Data(validation=0.2, balance_groups="side", balance_by=way)
    plan = recipe().model_copy(update={"data": data})
    classifier = train(plan, replace(faces, samples=columns), tmp_path / way, progress=False)
    assert classifier.card["recipe"]["data"]["balance_by"] == way
    assert classifier.card["figures"]["validation"]["accuracy"] > 0.5


SCRIPT = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.integration.test_training_fit import recipe
from tests.unit.training_faces import quarters
from training.fit import train
train(recipe(epochs=6), quarters(), Path(sys.argv[1]), resume=True, progress=False)
"""


def test_a_killed_training_leaves_nothing_and_resumes_to_the_same_weights(tmp_path: Path) -> None:
    script = SCRIPT.format(root=str(Path(__file__).parents[2]))
    out, last = tmp_path / "model", tmp_path / ".model.training" / "last.ckpt"
    with subprocess.Popen([sys.executable, "-c", script, str(out)]) as process:
        while not last.is_file() and process.poll() is None:
            time.sleep(0.01)
        process.kill()
    assert not out.exists()
    with pytest.raises(InputError, match="begun with another recipe"):
        train(recipe(epochs=7), quarters(), out, resume=True, progress=False)
    resumed = train(recipe(epochs=6), quarters(), out, resume=True, progress=False)
    whole = train(recipe(epochs=6), quarters(), tmp_path / "whole", progress=False)
    assert resumed.fingerprint == whole.fingerprint
    assert pd.read_csv(out / "curves.csv")["epoch"].tolist() == list(range(6))


def test_a_training_goes_on_from_a_checkpoint_with_more_classes(trained: Path, tmp_path: Path) -> None:
    before = checkpoints.load(trained)
    told = recipe(epochs=1, rate=1e-9, average=0, sizes=[48])
    model = Network(network="tiny", pretrained=str(trained), mirrored=True)
    narrowed = told.model_copy(update={"model": model, "data": Data(validation=0.2, classes=("sad", "angry"))})
    after = train(narrowed, quarters(), tmp_path / "two", progress=False)
    assert after.labels.names == ("sad", "angry")
    head, of = after.network.classify.weight, before.network.classify.weight
    for name in after.labels:
        np.testing.assert_allclose(
            head[after.labels.index(name)].detach(), of[before.labels.index(name)].detach(), atol=1e-3
        )
    again = train(
        told.model_copy(update={"model": Network(network="tiny", pretrained=str(tmp_path / "two"))}),
        quarters(),
        tmp_path / "three",
        progress=False,
    )
    assert again.labels.names == NAMES  # the one that the checkpoint does not know is drawn
    assert after.trained_on == before.trained_on  # also of the class that was left out


def test_another_network_cannot_go_on_from_a_checkpoint(trained: Path, tmp_path: Path) -> None:
    other = recipe().model_copy(update={"model": Network(network="separable", pretrained=str(trained))})
    with pytest.raises(InputError, match=r"is of the network 'tiny', which is another"):
        train(other, quarters(), tmp_path / "other", progress=False)


def test_the_same_images_are_held_out_whatever_the_classes_and_the_seed() -> None:
    faces = in_memory(quarters(), LabelSet(NAMES), Preprocessing(48, 48, 1))
    two = recipe().model_copy(update={"data": Data(validation=0.2, classes=("sad", "angry"))})
    all_learnt, _ = divided(faces, recipe())
    learnt, held = divided(faces, two)
    assert set(learnt.content) <= set(all_learnt.content) and not set(held.content) & set(all_learnt.content)
    assert learnt.labels.names == held.labels.names == ("sad", "angry")
    again, _ = divided(faces, recipe(seed=7))
    assert again.content.tolist() == all_learnt.content.tolist()


def taught_by(teacher: Path | str, share: float = 1.0, **learn: object) -> Recipe:
    return recipe(teacher=str(teacher), teacher_share=share, label_smoothing=0, **learn)


def test_a_teacher_is_learnt_from_beside_the_labels(trained: Path, tmp_path: Path) -> None:
    learnt, held = divided(in_memory(quarters(), LabelSet(NAMES), Preprocessing(48, 48, 1)), recipe())
    said = taught(str(trained), learnt)
    teacher = checkpoints.load(trained)
    expected = teacher.network(teacher.preprocessing.tensor(learnt.images.permute(0, 2, 3, 1).numpy())).softmax(dim=1)
    np.testing.assert_allclose(said, expected.detach(), atol=1e-6)
    two = taught(str(trained), learnt.only(LabelSet(("sad", "angry"))))
    np.testing.assert_allclose(two.sum(dim=1), 1, atol=1e-6)

    wrong = replace(learnt, targets=learnt.targets.roll(1, dims=1))  # the teacher knows better
    right = []
    for share in (0.0, 1.0):
        (work := tmp_path / str(share)).mkdir()
        network, _ = run(taught_by(trained, share), teacher.preprocessing, wrong, held, work, progress=False)
        said = probabilities(Classifier(network.eval(), learnt.labels, teacher.preprocessing), learnt.images)
        right.append((said.argmax(axis=1) == learnt.classes).mean())
    assert right[0] < 0.5 and right[1] > 0.9


def rated(votes: dict[str, list[int]]) -> FaceDataset:
    """The quarters with raters' votes, one list a class of labels: a column each."""
    data = quarters()
    classes = [NAMES.index(label) for label in data.samples["label"]]
    told = {f"votes_{name}": [row[index] for index in classes] for name, row in votes.items()}
    return replace(data, samples=data.samples.assign(**told))


def test_votes_shape_the_features_and_leave_the_classes_to_the_labels(tmp_path: Path) -> None:
    """Raters who see the pictures otherwise: the answers stay the labels', the features tell what raters see too."""
    seen = {"surprise": [10, 0, 0], "happy": [0, 7, 10], "not_a_face": [0, 3, 0]}
    model = train(recipe(votes_share=0.5, epochs=8), rated(seen), tmp_path / "model", progress=False)
    assert model.labels.names == NAMES and model.network.classify.out_features == 3
    assert model.card["figures"]["test"]["accuracy"] > 0.8
    again = checkpoints.load(tmp_path / "model")
    assert again.network.classify.weight.shape[0] == 3


def test_the_votes_share_of_the_loss_is_the_mean_of_both_losses(tmp_path: Path) -> None:
    learnt, held = divided(
        in_memory(rated({"happy": [1, 3, 0], "sad": [1, 1, 0]}), LabelSet(NAMES), Preprocessing(48, 48, 1)), recipe()
    )
    votes = voted(learnt.samples)
    of_class = np.array([[0.5, 0.5], [0.75, 0.25], [0, 0]])  # nobody rated the third
    np.testing.assert_allclose(votes, of_class[learnt.classes])
    network = catalogue.build("tiny", 5)
    plan = recipe(votes_share=0.25, label_smoothing=0)
    learner = Learner(network, plan, Preprocessing(48, 48, 1), learnt, held, Clock(), None, votes)
    outputs = torch.randn(len(learnt), 5, generator=torch.Generator().manual_seed(0))
    logs = [outputs[:, :3].log_softmax(dim=1).numpy(), outputs[:, 3:].log_softmax(dim=1).numpy()]
    expected = [-0.75 * logs[0][i, k] - 0.25 * (of_class[k] * logs[1][i]).sum() for i, k in enumerate(learnt.classes)]
    np.testing.assert_allclose(learner._loss(outputs, learner.known), expected, rtol=1e-5)


def test_votes_that_are_not_there_and_heads_that_cannot_be_cut_are_refused(tmp_path: Path) -> None:
    for data in (quarters(), rated({"happy": [0, 0, 0], "sad": [0, 0, 0]})):
        with pytest.raises(
            InputError, match=r"learns from raters' votes \(learn.votes_share\), and the data has none; join"
        ):
            train(recipe(votes_share=0.5), data, tmp_path / "model", progress=False)
        assert not list(tmp_path.iterdir())
    distilled = Network(network="levit_128s", size=224, channels=3)
    plan = recipe(votes_share=0.5, sizes=[]).model_copy(update={"model": distilled})
    with pytest.raises(InputError, match=r"does not end in one linear layer, which learn.votes_share was expected to"):
        train(plan, rated({"happy": [0, 1, 0], "sad": [0, 0, 1]}), tmp_path / "model", progress=False)


def test_votes_of_two_data_sets_that_name_them_otherwise_are_one_answer() -> None:
    samples = pd.DataFrame({"votes_happy": [3, None], "votes_sad": [1, 1], "votes_joy": [None, 1]})
    assert voted(samples).tolist() == [[0.75, 0.25], [0.5, 0.5]]


def test_too_few_pictures_to_hold_any_out_are_refused(tmp_path: Path) -> None:
    for data in (quarters(3, 0), quarters(subjects=1)):
        with pytest.raises(InputError, match="cannot be divided into a part to learn from and one to hold out"):
            train(recipe(), data, tmp_path / "model", progress=False)


def test_what_a_network_beside_begins_on_counts_as_seen(trained: Path, tmp_path: Path) -> None:
    """A fold that it was trained on would not be out of fold, and its images are none of unseen ones."""
    (tmp_path / "go.toml").write_text(f'[model]\nnetwork = "tiny"\npretrained = "{trained}"\n[learn]\nepochs = 1\n')
    beside = recipe(epochs=1).model_copy(update={"model": Network(network="tiny", beside=(str(tmp_path / "go.toml"),))})
    with pytest.raises(InputError, match="was trained on these images, so that no fold would"):
        train(beside, quarters(), tmp_path / "model", folds=2, progress=False)
    model = train(beside, quarters(n=60, test=0, seed=1), tmp_path / "model", progress=False)
    assert model.trained_on > checkpoints.load(trained).trained_on


def test_devices_and_precision_are_those_of_every_network(tmp_path: Path) -> None:
    plan = load_recipe("system-2-ensemble-unlike").told({"devices": 4, "precision": "bf16-mixed"})
    assert {(one.learn.devices, one.learn.precision) for one in recipes_of_members(plan)} == {(4, "bf16-mixed")}


def test_a_pooled_network_goes_on_from_a_plain_one_of_the_same_name(tmp_path: Path) -> None:
    card = {"network": {"name": "test_resnet", "channels": 1}}
    plain = catalogue.build("test_resnet", 3).eval()
    checkpoints.save(
        Classifier(plain, LabelSet(NAMES), Preprocessing(48, 48, 1), "plain", card=card), tmp_path / "plain"
    )
    network = catalogue.pooled("test_resnet", 3, 1, 48)
    checkpoints.go_on_from(tmp_path / "plain", network, LabelSet(NAMES))
    image, before = torch.rand(2, 1, 48, 48), checkpoints.load(tmp_path / "plain").network
    torch.testing.assert_close(network.eval()(image), before(image), atol=1e-4, rtol=0)


def test_what_a_network_beside_lacks_is_told_before_any_is_trained(trained: Path, tmp_path: Path) -> None:
    for table, sentence in (
        (f'network = "compact"\npretrained = "{trained}"', "of the network 'tiny', which is another than the recipe's"),
        ('network = "tiny"\n[learn]\nteacher = "nowhere"', "The teacher 'nowhere' is no checkpoint"),
    ):
        (tmp_path / "bad.toml").write_text(f"[model]\n{table}\n")
        plan = recipe().model_copy(update={"model": Network(network="tiny", beside=(str(tmp_path / "bad.toml"),))})
        with pytest.raises(InputError, match=sentence):
            train(plan, quarters(), tmp_path / "model", progress=False)
        assert not list(tmp_path.glob(".*"))


def turned(faces: FaceDataset, names: dict[str, str]) -> FaceDataset:
    return replace(faces, samples=faces.samples.assign(label=faces.samples["label"].map(names)))


def test_teachers_that_cannot_teach_are_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The teacher 'nobody' is no checkpoint"):
        train(taught_by("nobody"), quarters(), tmp_path / "model", progress=False)
    smaller = taught_by(trained, sizes=[]).model_copy(update={"model": Network(network="tiny", size=32)})
    with pytest.raises(InputError, match=r"takes 1 x 48 x 48 images and the recipe has 1 x 32 x 32"):
        train(smaller, quarters(), tmp_path / "model", progress=False)
    other = replace(turned(quarters(), {"angry": "fear", "happy": "happy", "sad": "sad"}), labels=LabelSet(OTHERS))
    with pytest.raises(InputError, match="does not know fear"):
        train(taught_by(trained), other, tmp_path / "model", progress=False)
    begun = recipe().model_copy(update={"model": Network(network="tiny", pretrained=str(trained))})
    for plan in (taught_by(trained), begun):
        with pytest.raises(InputError, match="was trained on these images, so that no fold would"):
            train(plan, quarters(), tmp_path / "model", folds=2, progress=False)


def test_a_network_is_calibrated_on_what_was_held_out(trained: Path, tmp_path: Path) -> None:
    plan = recipe(calibrate=True).model_copy(update={"model": Network(network="tiny", mirrored=True)})
    model = train(plan, quarters(), tmp_path / "model", progress=False)
    _, held = divided(in_memory(quarters(), LabelSet(NAMES), Preprocessing(48, 48, 1)), recipe())
    said = probabilities(model, held.images)
    assert fitted(said, held.classes) == pytest.approx(1, abs=0.02) != model.card["figures"]["temperature"]
    assert checkpoints.load(trained).card["figures"]["temperature"] == 1


def test_a_test_part_without_labels_costs_no_training(tmp_path: Path) -> None:
    data = quarters()
    samples = data.samples.assign(label=data.samples["label"].where(data.samples["split"] == "train", None))
    samples.loc[samples["split"] == "test", "status"] = "unlabelled"
    figures = train(recipe(epochs=1), replace(data, samples=samples), tmp_path / "model", progress=False).card[
        "figures"
    ]
    assert "test" not in figures and figures["validation"]["n"] > 0
