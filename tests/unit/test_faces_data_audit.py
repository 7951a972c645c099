"""inspect: planted faults of drawn faces are counted exactly, and tables are told from manifests."""

import pandas as pd
import pytest

from audit.data_audit import inspect, inspect_path
from faces.emotions import LabelSet
from faces.errors import InputError
from faces.readers import open_dataset
from faces.synthetic import draw
from tests.unit.test_faces_readers import fer_csv, manifest, png
from tests.unit.test_faces_trees import write


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "faces"
    return folder, draw(folder, n=140, size=48, seed=2, duplicates=9, unreadable=6)


def test_planted_faults_are_counted(drawn):
    folder, sheet = drawn
    found = inspect_path(folder, folder / "metadata.csv")
    assert found.n == 140 + 9 + 6
    assert set(found.unreadable) == set(sheet.unreadable) and all(found.unreadable.values())
    duplicates = found.duplicates
    assert (duplicates.groups, duplicates.images, duplicates.conflicting, duplicates.across_splits) == (9, 18, 3, 9)
    assert [entry.attribute for entry in found.representation] == [
        "apparent_age",
        "apparent_gender",
        "skin_tone",
        "glasses",
    ]
    assert found.composition["n"].sum() == 155
    assert found.composition.loc[found.composition["status"] == "unreadable", "n"].sum() == 6
    metadata = pd.read_csv(folder / "metadata.csv")
    gender = next(entry for entry in found.representation if entry.attribute == "apparent_gender")
    counts = metadata["apparent_gender"].value_counts()
    assert gender.imbalance_ratio == counts.max() / counts.min()
    assert found.json()["unreadable"] == 6 and "joined by file name" in found.json()["notes"][-1]


def test_attributes_can_be_chosen_and_wrong_ones_are_named(drawn):
    folder, _ = drawn
    data = open_dataset(folder, folder / "metadata.csv")
    assert [entry.attribute for entry in inspect(data, ["glasses"]).stereotypes] == ["glasses"]
    with pytest.raises(InputError, match="'hat' is not in .*apparent_age, apparent_gender, skin_tone, glasses"):
        inspect(data, ["hat"])
    assert inspect(open_dataset(folder)).local.empty


def test_the_same_picture_in_other_clothes_is_a_duplicate(tmp_path):
    import cv2
    import numpy as np

    image = np.random.default_rng(0).integers(0, 256, (20, 20), np.uint8)
    bmp = cv2.imencode(".bmp", np.dstack([image] * 3))[1].tobytes()
    files = {
        "happy/a.png": cv2.imencode(".png", np.dstack([image] * 3))[1].tobytes(),
        "sad/b.bmp": bmp,
        "sad/c.png": png(),
    }
    found = inspect_path(write(tmp_path / "d.zip", files))
    assert (found.duplicates.groups, found.duplicates.conflicting, found.duplicates.across_splits) == (1, 1, 0)


def test_a_table_whose_files_are_not_there_is_a_table(tmp_path):
    path = tmp_path / "people.csv"
    pd.DataFrame({"image": ["x.png", "y.png"], "label": ["happy", "sad"], "sex": ["f", "m"]}).to_csv(path, index=False)
    assert inspect_path(path, label="label", attributes=["sex"]).duplicates is None


def test_a_table_s_numbers_are_named_by_the_classes_given(tmp_path):
    path = tmp_path / "people.csv"
    pd.DataFrame({"label": [0, 1, 1, None], "sex": ["f", "m", "f", "m"]}).to_csv(path, index=False)
    found = inspect_path(path, classes=LabelSet(("sad", "happy")))
    assert found.classes == ("sad", "happy")
    assert found.composition.set_index("label")["n"].dropna().to_dict().items() >= {"sad": 1, "happy": 2}.items()
    pd.DataFrame({"label": [0, 1, 1, 5], "sex": ["f", "m", "f", "m"]}).to_csv(path, index=False)
    with pytest.raises(InputError, match="'label' of .* holds the number 5, and 2 names were given"):
        inspect_path(path, classes=LabelSet(("sad", "happy")))


@pytest.mark.parametrize("index", [None, "image"])
def test_a_shuffled_table_keeps_labels_beside_their_people(tmp_path, index):
    table = pd.DataFrame({"image": [f"{n}.png" for n in range(60)], "label": [0, 1] * 30, "sex": ["f", "m"] * 30})
    table = table.sample(frac=0.9, random_state=1)
    (table if index is None else table.set_index(index)).to_parquet(tmp_path / "people.parquet")
    found = inspect_path(tmp_path / "people.parquet", classes=LabelSet(("sad", "happy")), attributes=["sex"])
    assert found.stereotypes[0].cramers_v > 0.9


def test_a_table_without_rows_is_refused(tmp_path):
    (tmp_path / "people.csv").write_text("label,sex\n")
    with pytest.raises(InputError, match="has no rows below its header"):
        inspect_path(tmp_path / "people.csv")


def test_manifests_and_fer2013_csvs_are_read_with_their_pictures(tmp_path):
    path = manifest(
        tmp_path, {"path": ["pictures/0 ä.png", "pictures/1 ä.png"], "label": ["happy", "sad"], "sex": ["f", "m"]}
    )
    found = inspect_path(path)
    assert found.duplicates.groups == 0 and found.representation[0].attribute == "sex"
    pixels = " ".join(["7"] * 64)
    found = inspect_path(
        fer_csv(tmp_path / "fer.csv", [(0, pixels, "Training"), (3, pixels, "PublicTest"), (3, "1", "")])
    )
    assert found.duplicates.across_splits == found.duplicates.conflicting == 1 and found.json()["unreadable"] == 0
