"""open_dataset: every layout of the foundation, and one clear sentence for what is none."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faces.emotions import LabelSet
from faces.errors import InputError, UnreadableImage
from faces.readers import open_dataset
from tests.unit.test_faces_trees import KINDS, write


def png(value: int = 0, size: int = 8) -> bytes:
    return cv2.imencode(".png", np.full((size, size), value, np.uint8))[1].tobytes()


def table(dataset) -> list[tuple]:
    columns = ["sample_id", "split", "label", "status"]
    return [tuple(row) for row in dataset.samples[columns].itertuples(index=False)]


SPLIT_FILES = {
    "train/happy/a.png": png(1),
    "train/Sadness/b.png": png(2),
    "test/happy/c.png": png(3),
    "test/Sadness/d.png": png(4),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("around", ["", "FER 2013 ü/"])
def test_split_label_file_is_read_alike_however_packed(tmp_path, kind, around):
    data = open_dataset(write(tmp_path / kind, {around + name: image for name, image in SPLIT_FILES.items()}))
    assert table(data) == [
        (around + "test/Sadness/d.png", "test", "sad", "ok"),
        (around + "test/happy/c.png", "test", "happy", "ok"),
        (around + "train/Sadness/b.png", "train", "sad", "ok"),
        (around + "train/happy/a.png", "train", "happy", "ok"),
    ]
    assert data.labels == LabelSet(("happy", "sad"))
    assert [int(image[0, 0, 0]) for _, image in data.stream([3, 0, 1, 2])] == [1, 4, 3, 2]
    assert data.provenance.kind == "image folder" and data.provenance.path.is_absolute()
    assert np.array_equal(pickle.loads(pickle.dumps(data)).read(0), data.read(0))


def test_label_file_has_no_split(tmp_path):
    data = open_dataset(write(tmp_path / "d", {"joy/a.png": png(), "anger/b.png": png()}))
    assert table(data) == [("anger/b.png", None, "angry", "ok"), ("joy/a.png", None, "happy", "ok")]
    assert data.splits == ()
    with pytest.raises(InputError, match="not divided"):
        data.select("train")


@pytest.mark.parametrize(
    ("name", "split", "label"),
    [
        ("train/{}/a.png", "train", "{}"),
        ("data/PublicTest/{}/a.png", "PublicTest", "{}"),
        ("fold 1/{}/a.png", None, None),
        ("{}/session 1/a.png", None, "{}"),
        ("validation/{}/deep/er/a.png", "validation", "{}"),
    ],
)
def test_which_folder_is_the_label(tmp_path, name, split, label):
    files = {name.format(emotion): png() for emotion in ("happy", "sad")}
    if label is None:
        files["fold 2/happy/b.png"] = png()
        split, label = "fold 1", "{}"
    data = open_dataset(write(tmp_path / "d", files))
    rows = data.samples[data.samples["path"].str.endswith("a.png")]
    assert list(rows["label"]) == ["happy", "sad"]
    assert set(rows["split"]) == {split}


def test_a_copy_of_the_data_a_folder_deeper_is_read_alike(tmp_path):
    """As jonathanoheix/face-expression-recognition-dataset is published: images/train and images/images/train."""
    files = {f"images/{at}{split}/{emotion}/a.png": png() for at in ("", "images/")
             for split in ("train", "validation") for emotion in ("happy", "sad")}  # fmt: skip
    data = open_dataset(write(tmp_path / "d", files))
    assert set(data.labels) == {"happy", "sad"} and set(data.splits) == {"train", "validation"}
    deeper = [f"fer/{place}/a.png" for place in ("test/sad", "train/happy", "train/sad")]
    stray = open_dataset(write(tmp_path / "e", dict.fromkeys(("samples/a.png", *deeper), png())))
    assert set(stray.labels) == {"happy", "sad"}


def test_images_beside_the_label_folders_have_no_label(tmp_path):
    data = open_dataset(write(tmp_path / "d", {**SPLIT_FILES, "train/x.png": png(), "cover.png": png()}))
    status = dict(zip(data.samples["sample_id"], data.samples["status"], strict=True))
    assert status["train/x.png"] == "unlabelled"
    assert "cover.png" not in status
    assert any("cover.png" in note for note in data.notes)


def test_what_is_no_image_is_quarantined_and_counted(tmp_path):
    bad = {
        "train/happy/notes.txt": b"retake this one",
        "train/happy/empty.png": b"",
        "train/happy/half.png": png(5, 64)[:50],
        "test/happy/page.jpg": b"<html>",
        "LICENSE": b"free",
        "labels.csv": b"a,b",
    }
    data = open_dataset(write(tmp_path / "d.zip", SPLIT_FILES | bad))
    status = dict(zip(data.samples["sample_id"], data.samples["status"], strict=True))
    assert set(status) == set(SPLIT_FILES) | {name for name in bad if "/" in name}
    assert status["train/happy/notes.txt"] == status["train/happy/empty.png"] == "unreadable"
    assert any(note.startswith("2 files among the images") for note in data.notes)
    reasons = {
        data.samples["sample_id"][row]: str(image)
        for row, image in data.stream(range(len(data)))
        if isinstance(image, UnreadableImage)
    }
    assert set(reasons) == {name for name in bad if "/" in name}
    assert "text" in reasons["train/happy/notes.txt"] and "empty" in reasons["train/happy/empty.png"]


def test_given_classes_decide_what_is_known(tmp_path):
    path = write(tmp_path / "d", {"happy/a.png": png(), "sad/b.png": png(), "odd/c.png": png(), "odd/d.png": b""})
    assert open_dataset(path).labels.names == ("happy", "odd", "sad")
    data = open_dataset(path, classes=LabelSet(("sad", "happy")))
    assert data.labels.names == ("sad", "happy")
    assert list(data.samples["status"]) == ["ok", "unknown label", "unreadable", "ok"]
    assert list(data.with_classes(LabelSet(("odd", "sad"))).samples["status"]) == [
        "unknown label",
        "ok",
        "unreadable",
        "ok",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_data_without_images_is_one_clear_error(tmp_path, kind):
    with pytest.raises(InputError, match=r"holds no images in a known layout.*SPLIT/LABEL/file"):
        open_dataset(write(tmp_path / kind, {"a/readme.txt": b"x"}))


def test_an_empty_folder_one_label_and_a_missing_path(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        open_dataset(tmp_path / "empty")
    one = write(tmp_path / "one", {"happy/a.png": png()})
    with pytest.raises(InputError, match="all its 1 images are labelled 'happy'; .* --classes a,b"):
        open_dataset(one)
    assert open_dataset(one, classes=LabelSet(("happy", "sad"))).samples["status"].tolist() == ["ok"]
    with pytest.raises(InputError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(InputError, match="is no table"):
        open_dataset(tmp_path / "one", label="emotion")


def test_select_knows_the_names_of_parts(tmp_path):
    data = open_dataset(write(tmp_path / "d", SPLIT_FILES))
    assert list(data.select("Training").samples["split"]) == ["train", "train"]
    assert list(data.select("PublicTest").samples["sample_id"]) == ["test/Sadness/d.png", "test/happy/c.png"]
    assert len(data.select(limit=3)) == 3 and len(data.select("test", limit=1)) == 1
    every = list(data.samples["sample_id"])
    assert list(data.select(limit=2).samples["sample_id"]) == every[::2]
    assert list(data.select(limit=99).samples["sample_id"]) == every
    with pytest.raises(InputError, match="its splits are: test, train"):
        data.select("holdout")
    with pytest.raises(InputError, match="limit 0"):
        data.select(limit=0)


# ---- the FER-2013 CSV


def fer_csv(path: Path, rows: list[tuple[object, str, str]], header: str = "emotion,pixels,Usage") -> Path:
    order = [name.strip().lower() for name in header.split(",")]
    lines = [header]
    for emotion, pixels, usage in rows:
        cells = {"emotion": str(emotion), "pixels": pixels, "usage": usage}
        lines.append(",".join(cells[name] for name in order))
    path.write_text("\n".join(lines) + "\n")
    return path


def cell(image: np.ndarray) -> str:
    return " ".join(map(str, image.ravel()))


def test_emotions_as_pandas_writes_them_beside_an_empty_one(tmp_path):
    pixels = cell(np.zeros((8, 8), np.uint8))
    rows = [(emotion, pixels, "Training") for emotion in ("0.0", "", "3.0", "6")]
    data = open_dataset(fer_csv(tmp_path / "a.csv", rows))
    assert data.samples["label"].where(data.samples["label"].notna(), None).tolist() == [
        "angry", None, "happy", "neutral"
    ]  # fmt: skip


@pytest.mark.parametrize("header", ["emotion,pixels,Usage", "emotion, Usage, pixels", "emotion,pixels"])
@pytest.mark.parametrize("quoted", [False, True])
def test_fer2013_csv(tmp_path, header, quoted):
    images = np.random.default_rng(0).integers(0, 256, (4, 48, 48)).astype(np.uint8)
    cells = [f'"{cell(image)}"' if quoted else cell(image) for image in images]
    rows = [
        (0, cells[0], "Training"),
        (6, cells[1], "PublicTest"),
        (3, cells[2], "PrivateTest"),
        (4, cells[3], "Training"),
    ]
    data = open_dataset(fer_csv(tmp_path / "fer2013.csv", rows, header))
    has_usage = "sage" in header
    assert table(data) == [
        ("0", "Training" if has_usage else None, "angry", "ok"),
        ("1", "PublicTest" if has_usage else None, "neutral", "ok"),
        ("2", "PrivateTest" if has_usage else None, "happy", "ok"),
        ("3", "Training" if has_usage else None, "sad", "ok"),
    ]
    assert data.samples["path"][1] == "fer2013.csv:1"
    assert np.array_equal(np.stack([image[:, :, 0] for _, image in data.stream(range(4))]), images)
    assert data.labels.names == ("angry", "happy", "sad", "neutral")
    assert np.array_equal(pickle.loads(pickle.dumps(data)).read(2), data.read(2))


def test_the_extended_cohn_kanade_csv_adds_contempt(tmp_path):
    rows = [(code, cell(np.zeros((48, 48), np.uint8)), "Training") for code in range(8)]
    data = open_dataset(fer_csv(tmp_path / "ckextended.csv", rows))
    assert list(data.samples["label"]) == [
        "angry",
        "disgust",
        "fear",
        "happy",
        "sad",
        "surprise",
        "neutral",
        "contempt",
    ]
    assert (data.samples["status"] == "ok").all()


def test_fer2013_csv_with_odd_rows(tmp_path):
    good = cell(np.zeros((48, 48), np.uint8))
    rows = [(0, good, "Training"), (9, good, "Training"), ("", good, "Training"), ("joy", good, "Training"),
            (1, "1 2 3", "Training"), (1, good.replace("0", "256", 1), "Training"), (1, "", "Training"),
            (1, good.replace("0", "x", 1), "Training")]  # fmt: skip
    data = open_dataset(fer_csv(tmp_path / "fer.csv", rows))
    assert list(data.samples["label"])[:4] == ["angry", "9", None, "happy"]
    status = open_dataset(tmp_path / "fer.csv", classes=LabelSet(("angry", "disgust", "happy"))).samples["status"]
    assert list(status)[:4] == ["ok", "unknown label", "unlabelled", "ok"]
    reasons = [str(image) for _, image in data.stream([4, 5, 6, 7])]
    assert reasons[0] == "3 pixels, which is no square picture"
    assert "'256', not 0 to 255" in reasons[1] and "0 pixels" in reasons[2] and "'x'" in reasons[3]


def test_fer2013_csv_that_is_broken_or_empty(tmp_path):
    (tmp_path / "a.csv").write_text("emotion,pixels,Usage\n0,1 2 3 4\n")
    with pytest.raises(InputError, match=r"Line 2 of .* has 2 cells and its header 3"):
        open_dataset(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("emotion,pixels,Usage\n")
    with pytest.raises(InputError, match="holds no rows"):
        open_dataset(tmp_path / "b.csv")


# ---- manifests


def manifest(folder: Path, columns: dict[str, list], name: str = "faces.csv") -> Path:
    write(folder, {f"pictures/{number} ä.png": png(number) for number in range(4)})
    path = folder / name
    frame = pd.DataFrame(columns)
    if name.endswith(".parquet"):
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep=";" if "semicolon" in name else ",")
    return path


FOUR = [f"pictures/{number} ä.png" for number in range(4)]
LABELS = ["happy", "Sadness", "joy", None]


@pytest.mark.parametrize("name", ["faces.csv", "faces.parquet", "semicolon.csv"])
@pytest.mark.parametrize("columns", [("path", "label", "split"), ("Image", "Emotion", "Usage")])
def test_a_manifest_names_files_beside_it(tmp_path, name, columns):
    ages, cells = [1, 25, 33, 80], [["train", "train", "test", "test"], ["x"] * 4]
    values = dict(zip(columns, (FOUR, LABELS, cells[0]), strict=True))
    data = open_dataset(
        manifest(tmp_path / "m", {**values, "age": ages, "votes_happy": [9, 1, 7, 0], "person": ["a"] * 4,
                                   "unreadable": [True, False, False, False]}, name)
    )  # fmt: skip
    assert list(data.samples["label"]) == ["happy", "sad", "happy", None]
    assert list(data.samples["status"]) == ["ok", "ok", "ok", "unlabelled"]
    assert "The column unreadable was left out" in data.notes[-1]
    assert list(data.samples["split"]) == cells[0]
    assert [int(image[0, 0, 0]) for _, image in data.stream(range(4))] == [0, 1, 2, 3]
    assert data.attributes == ("age",)
    assert list(data.samples["votes_happy"]) == [9, 1, 7, 0] and list(data.samples["subject_id"]) == ["a"] * 4


def test_years_become_bands_and_codes_of_bands_stay(tmp_path):
    data = open_dataset(manifest(tmp_path, {"path": FOUR, "label": LABELS, "age": [1, 25, 33, 80]}))
    assert list(data.samples["age"]) == ["0-2", "20-29", "30-39", "70+"]
    data = open_dataset(manifest(tmp_path, {"path": FOUR, "label": LABELS, "age": [0, 2, 2, 4]}))
    assert list(data.samples["age"]) == ["0", "2", "2", "4"]


def test_a_file_named_twice_keeps_both_rows(tmp_path):
    path = manifest(tmp_path, {"path": [FOUR[0], FOUR[1], FOUR[0]], "label": ["happy", "sad", "sad"]})
    data = open_dataset(path)
    assert list(data.samples["sample_id"]) == [FOUR[0], FOUR[1], FOUR[0] + "#2"]
    assert np.array_equal(data.read(0), data.read(2))


def test_absolute_backslashed_and_missing_paths(tmp_path):
    manifest(tmp_path, {"path": FOUR, "label": LABELS})
    rows = [str(tmp_path / FOUR[1]), FOUR[2].replace("/", "\\"), "pictures/none.png", "pictures"]
    path = manifest(tmp_path, {"path": rows, "label": ["happy", "sad", "sad", "sad"]})
    data = open_dataset(path)
    assert [int(data.read(row)[0, 0, 0]) for row in (0, 1)] == [1, 2]
    for row in (2, 3):
        with pytest.raises(UnreadableImage, match="cannot be opened"):
            data.read(row)


@pytest.mark.parametrize(
    ("columns", "label", "message"),
    [
        ({"label": LABELS}, None, "none that holds paths"),
        ({"path": FOUR}, None, "none that holds labels"),
        ({"path": FOUR, "label": LABELS}, "mood", "no column 'mood'; its columns are: path, label"),
        ({"path": ["a.png", "b.png"], "label": ["happy", "sad"]}, None, "None of the first files"),
        ({"path": ["a.png", None], "label": ["happy", "sad"]}, None, "Row 3 of .* has an empty 'path'"),
        ({"path": FOUR, "label": [0, 1, 2, 3]}, None, r"holds numbers \(0 to 3\)"),
        ({"path": FOUR, "label": [None] * 4}, None, "none of its 4 images has a label"),
        ({"path": [], "label": []}, None, "has no rows"),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(tmp_path, columns, label, message):
    with pytest.raises(InputError, match=message):
        open_dataset(manifest(tmp_path, columns), label=label)


def test_numbers_in_a_manifest_are_positions_in_the_classes_given(tmp_path):
    path = manifest(tmp_path, {"path": FOUR, "mood": [0, 1, 1, None]})
    data = open_dataset(path, label="mood", classes=LabelSet(("sad", "happy")))
    assert list(data.samples["label"]) == ["sad", "happy", "happy", None] and data.notes == ()
    assert list(data.samples["status"]) == ["ok", "ok", "ok", "unlabelled"]
    assert (data.provenance.label, data.provenance.numbers) == ("mood", ("sad", "happy"))
    other = open_dataset(path, label="mood", classes=data.labels, numbers=LabelSet(("happy", "sad")))
    assert list(other.samples["label"])[:2] == ["happy", "sad"] and other.labels == data.labels


THREE = LabelSet(("sad", "happy", "angry"))


def test_numbers_in_a_manifest_may_count_from_one(tmp_path):
    data = open_dataset(manifest(tmp_path, {"path": FOUR, "label": [1, 3, 1, None]}), classes=THREE)
    assert list(data.samples["label"]) == ["sad", "angry", "sad", None]
    assert "holds numbers counted from 1: 1 is sad." in data.notes[0]
    data = open_dataset(manifest(tmp_path, {"path": FOUR, "label": [1, 2, 1, 2]}), classes=THREE)
    assert list(data.samples["label"]) == ["happy", "angry"] * 2
    assert "holds numbers counted from 0: 1 is happy." in data.notes[0]


@pytest.mark.parametrize(
    ("numbers", "wrong"), [([0, 1, 7], "7"), ([0, 1, 3], "3"), ([1, 4], "4"), ([-1, 0], "-1"), ([0, 0.5], "0.5")]
)
def test_a_number_that_is_no_place_among_the_classes_is_refused(tmp_path, numbers, wrong):
    path = manifest(tmp_path, {"path": FOUR[: len(numbers)], "label": numbers})
    with pytest.raises(
        InputError, match=rf"'label' of .* holds the number {wrong}, and 3 names .* 0 to 2, or from 1 to 3"
    ):
        open_dataset(path, classes=THREE)


def test_classes_that_are_numbers_are_names(tmp_path):
    path = manifest(tmp_path, {"path": FOUR, "label": [10, 20, 20, 5]})
    data = open_dataset(path, classes=LabelSet(("20", "10")))
    assert list(data.samples["label"]) == ["10", "20", "20", "5"]
    assert list(data.samples["status"]) == ["ok", "ok", "ok", "unknown label"]


@pytest.mark.parametrize("kind", ["folder", "data.zip"])
def test_folders_of_numbers_are_named_in_their_order(tmp_path, kind):
    files = {f"train/{number}/{number}.png": png() for number in range(3)} | {"train/x.png": png()}
    path = write(tmp_path / kind, files)
    assert open_dataset(path).labels.names == ("0", "1", "2")
    assert open_dataset(path, classes=LabelSet(("2", "1", "0"))).samples["label"].tolist() == ["0", "1", "2", None]
    data = open_dataset(path, classes=THREE)
    assert list(data.samples["label"]) == ["sad", "happy", "angry", None] and data.provenance.numbers == THREE.names
    other = open_dataset(path, classes=LabelSet(("happy", "sad")), numbers=THREE)
    assert list(other.samples["status"]) == ["ok", "ok", "unknown label", "unlabelled"]
    with pytest.raises(InputError, match=r"folder in .* holds the number 2, and 2 names were given \(happy, sad\)"):
        open_dataset(path, classes=LabelSet(("happy", "sad")))
    ones = write(tmp_path / f"one {kind}", {f"train/{number}/{number}.png": png() for number in (1, 2, 3)})
    data = open_dataset(ones, numbers=THREE)
    assert list(data.samples["label"]) == ["sad", "happy", "angry"] and "counted from 1: 1 is sad" in data.notes[-1]


def test_kaggle_s_affectnet_table_names_its_paths_pth(tmp_path):
    table = {
        "": [0, 1, 2, 3],
        "pth": FOUR,
        "label": ["surprise", "anger", "fear", "anger"],
        "relFCs": [0.8, 0.9, 0.9, 0.7],
    }
    data = open_dataset(manifest(tmp_path, table, "labels.csv"))
    assert data.provenance.kind == "manifest" and list(data.samples["path"]) == FOUR
    assert list(data.samples["label"]) == ["surprise", "angry", "fear", "angry"]


@pytest.mark.parametrize("around", ["", "DATASET/"])
def test_a_table_beside_sorted_pictures_says_which_folder_to_open(tmp_path, around):
    table = b"image,label\ntrain_00001_aligned.jpg,5\ntrain_00002_aligned.jpg,4\n"
    folder = write(tmp_path / "raf", {"train_labels.csv": table})
    with pytest.raises(InputError, match=r"or open the folder that holds train/ and test/"):
        open_dataset(folder / "train_labels.csv")
    write(folder, {f"{around}{part}/5/{part}_00001_aligned.jpg": png() for part in ("train", "test")})
    with pytest.raises(InputError, match=rf"or open {folder / around}, which holds train/ and test/"):
        open_dataset(folder / "train_labels.csv")


def test_a_folder_may_be_called_like_a_table(tmp_path):
    data = open_dataset(write(tmp_path / "faces.csv", {"happy/a.png": png(), "sad/b.png": png()}))
    assert data.provenance.kind == "image folder" and len(data) == 2


@pytest.mark.parametrize("text", ["", "\0\1\2", 'path,label\n"a.png,happy\nb', "path,label,path\na,b,c"])
def test_a_table_that_cannot_be_read_is_one_clear_error(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError):
        open_dataset(tmp_path / "a.csv")
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(InputError, match="cannot be read"):
        open_dataset(tmp_path / "a.parquet")


NAMES = st.text("abcdefgh ä喜_-", min_size=1, max_size=8).map(str.strip).filter(bool)


@settings(max_examples=25, deadline=None)
@given(st.sets(NAMES, min_size=2, max_size=5), st.sets(st.sampled_from(["train", "test", "val"]), min_size=1))
def test_every_image_of_every_class_and_split_is_there_once(tmp_path_factory, labels, splits):
    wanted = {f"{split}/{label}/{n}.png": png(n) for split in splits for label in labels for n in range(2)}
    data = open_dataset(write(tmp_path_factory.mktemp("d") / "d.zip", wanted))
    assert set(data.samples["sample_id"]) == set(wanted)
    assert {tuple(row) for row in data.samples[["split", "label"]].itertuples(index=False)} == {
        (split, label) for split in splits for label in labels
    }
    assert set(data.labels) == labels
