"""Sidecars: how rows find their images, what becomes an attribute, and what is measured."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from faces.attributes import AGE_BANDS, FERPLUS_VOTES, age_band, join_metadata, measure, read_table
from faces.errors import InputError
from faces.readers import open_dataset
from tests.unit.test_faces_readers import cell, fer_csv, png
from tests.unit.test_faces_trees import write

FILES = {
    f"{split}/{label}/{split}{n}.png": png(n) for split in ("train", "test") for label in ("happy",) for n in (1, 2)
} | {"test/sad/test3.png": png(3)}


@pytest.fixture
def data(tmp_path):
    return open_dataset(write(tmp_path / "data.zip", FILES))


def sidecar(folder: Path, columns: dict[str, list], name: str = "people.csv") -> Path:
    pd.DataFrame(columns).to_csv(folder / name, index=False)
    return folder / name


@pytest.mark.parametrize(
    ("column", "rename", "how"),
    [
        ("sample_id", lambda name: name, "by sample id"),
        ("path", lambda name: "/mnt/disk/fer/" + name, "by the last three parts of the path"),
        ("path", lambda name: "C:\\faces\\" + "\\".join(name.split("/")[1:]), "by the last two parts of the path"),
        ("Image", lambda name: name.rsplit("/", 1)[1], "by file name"),
        ("name", lambda name: name.rsplit("/", 1)[1][:-4], "by file name without its ending"),
    ],
)
def test_rows_find_their_images(tmp_path, data, column, rename, how):
    names = ["test/happy/test1.png", "test/sad/test3.png", "train/happy/train2.png"]
    people = {column: [rename(name) for name in names] + ["other.png"], "gender": ["f", "m", " f ", "m"]}
    joined = join_metadata(data, sidecar(tmp_path, people))
    found = dict(zip(joined.samples["sample_id"], joined.samples["gender"], strict=True))
    assert found == {**dict.fromkeys(FILES), names[0]: "f", names[1]: "m", names[2]: "f"}
    assert joined.attributes == ("gender",)
    assert joined.notes[-1] == f"3 of 5 images have a row in people.csv (4 rows), joined {how} ({column})."
    assert joined.provenance.metadata == (tmp_path / "people.csv").resolve()
    assert "gender" not in data.samples


def test_what_becomes_an_attribute_and_what_does_not(tmp_path, data):
    names = [name.rsplit("/", 1)[1] for name in FILES]
    people = {
        "image": names,
        "label": ["sad"] * 5,
        "Usage": ["Training"] * 5,
        "apparent_age": [2, 15, 71, None, -4],
        "decade": ["20-29", "30-39", "", "20-29", "30-39"],
        "monk": [1.0, 2.0, None, 2.0, 10.0],
        "glasses": [True, False, True, False, True],
        "votes_happy": [10, 3, 0, None, 1],
        "subject": [7, 7, 8, 8, 9],
        "nothing": [None] * 5,
    }
    joined = join_metadata(data, sidecar(tmp_path, people))
    rows = joined.samples.set_index(joined.samples["sample_id"].str.rsplit("/", n=1).str[1]).loc[names]
    assert joined.attributes == ("apparent_age", "decade", "monk", "glasses")
    assert list(rows["apparent_age"]) == ["0-2", "10-19", "70+", None, None]
    assert list(rows["decade"]) == ["20-29", "30-39", None, "20-29", "30-39"]
    assert list(rows["monk"]) == ["1", "2", None, "2", "10"]
    assert list(rows["glasses"]) == ["yes", "no", "yes", "no", "yes"]
    assert str(rows["votes_happy"].dtype) == "Int64" and rows["votes_happy"].isna().sum() == 1
    assert list(rows["subject_id"]) == ["7", "7", "8", "8", "9"]
    assert list(data.samples["label"]) == list(joined.samples["label"])
    assert joined.notes[-1] == "The column nothing was left out: it is empty."


def test_what_an_audit_says_itself_is_no_attribute(tmp_path, data):
    names = [name.rsplit("/", 1)[1] for name in data.samples["sample_id"]]
    people = {"image": names, "predicted": ["sad"] * len(names), "Brightness": ["dark"] * len(names)}
    joined = join_metadata(data, sidecar(tmp_path, people))
    assert joined.attributes == () and "predicted" not in joined.samples
    assert joined.notes[-1] == (
        "The column Brightness was left out: an audit says that itself; rename it to compare groups by it."
    )


def test_none_may_be_a_group_and_names_keep_their_zeros(tmp_path):
    files = {f"{label}/00{n}.png": png() for n, label in enumerate(("happy", "sad", "happy", "sad"))}
    data = open_dataset(write(tmp_path / "d.zip", files))
    rows = ["000,None,None,1,NA", "001,sun,31,None,blue", "002,None,40,2,", "003,sun,8,0,blue"]
    (tmp_path / "people.csv").write_text("\n".join(["image,glasses,years,votes_sad,eyes", *rows]))
    joined = join_metadata(data, tmp_path / "people.csv")
    found = joined.samples.sort_values("sample_id", key=lambda ids: ids.str[-7:])
    assert list(found["glasses"]) == ["None", "sun", "None", "sun"]
    assert list(found["years"]) == [None, "31", "40", "8"]
    assert list(found["eyes"]) == [None, "blue", None, "blue"]
    assert found["votes_sad"].isna().tolist() == [False, True, False, False]
    (tmp_path / "list.csv").write_text("path,label\na.png,None\nb.png,sad\n")
    assert read_table(tmp_path / "list.csv")["label"].isna().tolist() == [True, False]


def test_free_text_and_measurements_are_left_out_with_a_note(tmp_path):
    files = {f"{label}/{n}.png": png() for label in ("happy", "sad") for n in range(40 if label == "sad" else 60)}
    renamed = {name.replace("/", "/" + name.split("/")[0]): image for name, image in files.items()}
    data = open_dataset(write(tmp_path / "d.zip", renamed))
    people = {"sample_id": list(renamed), "remark": [f"remark {n}" for n in range(100)], "blur": np.linspace(0, 1, 100)}
    joined = join_metadata(data, sidecar(tmp_path, people))
    assert joined.attributes == ()
    assert joined.notes[-2:] == (
        "The column remark was left out: it has 100 different values, and an attribute at most 50.",
        "The column blur was left out: it has 100 different values, and an attribute at most 50.",
    )


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": ["x.png", "y.png"], "age": [1, 2]}, "No row of .* belongs to an image.*'x.png'"),
        ({"who": ["test1.png"], "age": [1]}, "no column names files"),
        ({"image": ["test1.png", "test1.png"], "sex": ["f", "m"]}, "'test1.png' in rows 2 and 3 differently"),
        ({"image": ["test1.png"], "votes_happy": [1.5]}, "votes_happy holds something else"),
        ({"image": ["test1.png"], "votes_happy": ["many"]}, "votes_happy.*whole numbers"),
        ({"image": ["test1.png"], "status": ["x"], "split ": ["y"]}, None),
    ],
)
def test_a_sidecar_that_does_not_fit_is_one_clear_error(tmp_path, data, columns, message):
    path = sidecar(tmp_path, columns)
    if message is None:
        assert join_metadata(data, path).attributes == ()
    else:
        with pytest.raises(InputError, match=message):
            join_metadata(data, path)


def test_a_file_name_that_stands_for_two_images_is_refused(tmp_path):
    data = open_dataset(write(tmp_path / "d", {"happy/1.png": png(), "sad/1.png": png(), "sad/2.png": png()}))
    with pytest.raises(InputError, match=r"'1\.png', which stands for several images"):
        join_metadata(data, sidecar(tmp_path, {"image": ["1.png", "2.png"], "sex": ["f", "m"]}))
    joined = join_metadata(data, sidecar(tmp_path, {"image": ["2.png"], "sex": ["m"]}))
    assert list(joined.samples["sex"]) == [None, None, "m"]


def test_a_column_named_twice_is_refused(tmp_path, data):
    (tmp_path / "people.csv").write_text("image,age, age\ntest1.png,1,2\n")
    with pytest.raises(InputError, match="two columns 'age'"):
        join_metadata(data, tmp_path / "people.csv")
    (tmp_path / "people.csv").write_text("image,age,age\ntest1.png,1,2\n")
    with pytest.raises(InputError, match="two columns 'age'"):
        join_metadata(data, tmp_path / "people.csv")


def test_a_missing_sidecar_and_equal_repeated_rows(tmp_path, data):
    with pytest.raises(InputError, match="does not exist"):
        open_dataset(data.provenance.path, metadata=tmp_path / "none.csv")
    joined = join_metadata(data, sidecar(tmp_path, {"image": ["test1.png"] * 2, "sex": ["f"] * 2}))
    assert joined.samples["sex"].notna().sum() == 1


def test_a_column_that_the_data_already_has_is_refused(tmp_path):
    files = {f"AF0{n}{code}S.JPG": png() for n in (1, 2) for code in ("HA", "SA")}
    data = open_dataset(write(tmp_path / "kdef", files))
    with pytest.raises(InputError, match="a column 'subject_id', which the data already has"):
        join_metadata(data, sidecar(tmp_path, {"image": list(files), "subject": ["x"] * 4}))
    replaced = join_metadata(data, sidecar(tmp_path, {"image": list(files), "gender": ["f"] * 4, "hair": ["grey"] * 4}))
    assert replaced.attributes == ("gender", "view", "hair") and set(replaced.samples["gender"]) == {"f"}


def ferplus(folder: Path, n: int, names: list[str]) -> Path:
    votes = {column: [number] * n for number, column in enumerate(FERPLUS_VOTES)}
    return sidecar(folder, {"Usage": ["Training"] * n, "Image name": names, **votes}, "fer2013new.csv")


def test_ferplus_votes_join_a_fer2013_csv_by_row(tmp_path):
    pixels = cell(np.zeros((8, 8), np.uint8))
    data = open_dataset(fer_csv(tmp_path / "fer2013.csv", [(row, pixels, "Training") for row in range(4)]))
    joined = join_metadata(data.select(limit=3), ferplus(tmp_path, 4, ["fer0000000.png", "", "fer0000001.png", ""]))
    assert list(joined.samples["votes_not_a_face"]) == [9, 9, 9]
    assert [name for name in joined.samples if name.startswith("votes_")] == list(FERPLUS_VOTES.values())
    assert joined.attributes == () and joined.notes[-1].endswith("joined by row.")


def test_a_sidecar_of_row_numbers_joins_a_fer2013_csv_by_them_in_any_order(tmp_path):
    pixels = cell(np.zeros((8, 8), np.uint8))
    data = open_dataset(fer_csv(tmp_path / "fer2013.csv", [(row, pixels, "Training") for row in range(4)]))
    gender = ["man", "man", "woman", "woman"]
    told = join_metadata(data, sidecar(tmp_path, {"sample_id": [3, 2, 1, 0], "gender": gender}))
    assert list(told.samples["gender"]) == gender[::-1] and "by sample id" in told.notes[-1]
    for name, keys in (("image", ["fer0.png", "fer1.png", "fer2.png", "fer3.png"]), ("id", [1, 2, 3, 4])):
        told = join_metadata(data, sidecar(tmp_path, {name: keys, "gender": gender}))
        assert list(told.samples["gender"]) == gender and told.notes[-1].endswith("joined by row.")


def test_ferplus_votes_join_images_by_name(tmp_path):
    data = open_dataset(write(tmp_path / "d", {"happy/fer0000000.png": png(), "sad/fer0000002.png": png()}))
    joined = join_metadata(data, ferplus(tmp_path, 3, ["fer0000000.png", "fer0000001.png", "fer0000002.png"]))
    assert list(joined.samples["votes_happiness"]) == [1, 1]


@settings(deadline=None)
@given(st.integers(0, 120))
def test_an_age_lies_in_its_band(age):
    band = age_band(age)
    low, _, high = band.rstrip("+").partition("-")
    assert band in AGE_BANDS
    assert int(low) <= age <= int(high or 120)
    assert age_band(str(age)) == age_band(float(age)) == band


@pytest.mark.parametrize("value", [None, "", "old", -1, 121, float("nan"), float("inf"), "20-29"])
def test_what_is_no_age_has_no_band(value):
    assert age_band(value) is None


@settings(deadline=None)
@given(hnp.arrays(np.uint8, st.tuples(st.integers(3, 12), st.integers(3, 12), st.sampled_from([1, 3]))))
def test_measures_are_mean_deviation_and_variance_of_the_laplacian(image):
    grey = image[:, :, 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    brightness, contrast, sharpness = measure(image)
    assert brightness == pytest.approx(grey.mean(), abs=1e-6)
    assert contrast == pytest.approx(grey.std(), abs=1e-5)
    assert sharpness == pytest.approx(cv2.Laplacian(grey, cv2.CV_64F).var(), rel=1e-5, abs=1e-4)
    assert 0 <= brightness <= 255 and contrast >= 0 and sharpness >= 0


def test_blur_lowers_sharpness_and_light_raises_brightness():
    image = np.random.default_rng(0).integers(0, 200, (48, 48, 3)).astype(np.uint8)
    assert measure(cv2.GaussianBlur(image, (0, 0), 2))[2] < measure(image)[2]
    assert measure(image + np.uint8(40))[0] == pytest.approx(measure(image)[0] + 40, abs=1)
