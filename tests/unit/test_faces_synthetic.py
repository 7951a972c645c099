"""Drawn faces: what is planted is where the answer sheet says, and expressions are what their units make them."""

import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faces.action_units import EMOTIONS, UNITS, express, shape
from faces.attributes import measure
from faces.drawing import MONK, person, render, shot
from faces.errors import InputError, UnreadableImage
from faces.pixels import content_id
from faces.readers import open_dataset
from faces.synthetic import CLASSES, GROUPS, MARK_COLOUR, AnswerSheet, draw

REST = {"brow_y": -0.37, "lids": 0.065, "mouth_width": 0.27, "mouth_y": 0.56, "lips": 0.055}


def made(*units: int, at: float = 1.0):
    return shape({unit: at if unit in units else 0.0 for unit in UNITS}, **REST)


def test_each_unit_moves_what_its_name_says():
    rest = made()
    assert made(1).brow[0, 1] < rest.brow[0, 1] and made(1).brow[2, 1] == pytest.approx(rest.brow[2, 1], abs=0.02)
    assert made(2).brow[2, 1] < rest.brow[2, 1]
    assert (made(4).brow[:, 1] > rest.brow[:, 1]).all() and made(4).brow[0, 0] < rest.brow[0, 0]
    assert made(5).upper_lid > rest.upper_lid > made(7).upper_lid
    assert made(6).lower_lid < rest.lower_lid
    assert made(9).upper_lip < rest.upper_lip and made(9).brow[0, 1] > rest.brow[0, 1]
    assert made(12).corner[0] > rest.corner[0] and made(12).corner[1] < rest.corner[1]
    assert made(15).corner[1] > rest.corner[1]
    assert made(16).lower_lip > rest.lower_lip
    assert made(20).corner[0] > rest.corner[0]
    assert made(23).lips < rest.lips
    assert made(26).gap > made(25).gap > rest.gap and made(26).chin > rest.chin


@settings(deadline=None)
@given(st.sampled_from(CLASSES), st.floats(0.2, 1), st.integers(0, 1000))
def test_an_emotion_shows_its_own_units_at_about_its_intensity(emotion, intensity, seed):
    action = express(emotion, intensity, np.random.default_rng(seed))
    assert set(action) == set(UNITS) and all(0 <= value <= 1 for value in action.values())
    for unit in EMOTIONS[emotion]:
        assert 0.74 * intensity <= action[unit] <= 1.26 * intensity
    others = {unit for unit in UNITS if unit not in EMOTIONS[emotion] and unit != 25}
    assert all(action[unit] <= 0.12 for unit in others)


def rendered(emotion: str, intensity: float, seed: int = 0, **changes) -> np.ndarray:
    """The same person in the same shot, resting but for the emotion; no noise."""
    rng = np.random.default_rng(seed)
    who = replace(person(rng, tone=3, age=30, woman=False, glasses=False), beard=0.0, **changes)
    how = replace(shot(rng), yaw=0.0, noise=0.0, blur=0.0)
    action = {unit: intensity if unit in EMOTIONS[emotion] else 0.0 for unit in UNITS}
    return render(who, action, how, 64, rng).astype(float)


@pytest.mark.parametrize(("first", "second"), [("sad", "neutral"), ("fear", "surprise")])
def test_confusable_pairs_grow_alike_as_they_weaken(first, second):
    apart = [np.abs(rendered(first, at) - rendered(second, at)).mean() for at in (0.2, 0.6, 1.0)]
    assert apart[0] < 0.6 * apart[2] and apart[0] < apart[1] < apart[2]


@given(st.integers(0, 10_000), st.sampled_from([48, 64, 96]), st.integers(1, 10), st.integers(5, 79), st.booleans())
@settings(max_examples=30, deadline=None)
def test_any_person_can_be_drawn_and_the_same_twice(seed, size, tone, age, woman):
    def picture():
        rng = np.random.default_rng(seed)
        who = person(rng, tone, age, woman, glasses=seed % 2 == 0)
        emotion = CLASSES[seed % len(CLASSES)]
        return render(who, express(emotion, 0.8, rng), shot(rng), size, rng)

    image = picture()
    assert image.shape == (size, size, 3) and image.dtype == np.uint8 and image.std() > 5
    assert np.array_equal(image, picture())


def test_skin_follows_the_monk_scale():
    assert len(MONK) == 10
    brightness = [rendered("neutral", 0, tone=tone)[30:40, 20:26].mean() for tone in (1, 5, 7, 9)]
    assert brightness == sorted(brightness, reverse=True) and brightness[0] > 1.6 * brightness[-1]


PLANTED = {
    "n": 280, "size": 48, "seed": 5, "flipped": 0.1, "worse_group": ("skin_tone", "dark"), "marked": 0.8,
    "duplicates": 12, "unreadable": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "faces"
    sheet = draw(folder, **PLANTED)
    return folder, sheet, open_dataset(folder, folder / "metadata.csv")


def images(data) -> dict[str, np.ndarray | UnreadableImage]:
    return {data.samples["sample_id"][row]: image for row, image in data.stream(range(len(data)))}


def test_the_sheet_is_kept_beside_the_faces(drawn):
    folder, sheet, _ = drawn
    assert AnswerSheet.load(folder) == sheet


def test_the_faces_open_with_their_metadata(drawn):
    _, _, data = drawn
    assert len(data) == 280 + 12 + 8
    assert set(data.labels) == set(CLASSES) and set(data.splits) == {"train", "test"}
    assert data.attributes == ("apparent_age", *GROUPS)
    assert data.samples["apparent_age"].notna().sum() == 292
    for name, groups in GROUPS.items():
        assert set(data.samples[name].dropna()) == set(groups)
    assert len(data.select("test")) == pytest.approx(0.3 * 280 + 12 + 4, abs=1)


def test_flipped_labels_are_where_the_sheet_says(drawn):
    _, sheet, data = drawn
    copies = {second for _, second, differ in sheet.duplicates if differ}
    assert len(sheet.flipped) == 28 + len(copies) and copies <= set(sheet.flipped)
    assert all(name.split("/")[1] != emotion for name, emotion in sheet.flipped.items())
    assert set(sheet.flipped) <= set(data.samples["sample_id"])
    drawn_as = Counter(sheet.flipped.get(name, name.split("/")[1]) for name in sheet.intensity)
    assert set(drawn_as.values()) == {280 // 7}


def test_duplicates_across_splits_are_exactly_those_of_the_sheet(drawn):
    _, sheet, data = drawn
    found = {}
    for name, image in images(data).items():
        if not isinstance(image, UnreadableImage):
            found.setdefault(content_id(image), []).append(name)
    pairs = {tuple(sorted(names)) for names in found.values() if len(names) > 1}
    assert pairs == {tuple(sorted((first, second))) for first, second, _ in sheet.duplicates}
    for first, second, differ in sheet.duplicates:
        assert first.startswith("train/") and second.startswith("test/")
        assert (first.split("/")[1] != second.split("/")[1]) == differ
    assert sum(differ for *_, differ in sheet.duplicates) == 4


def test_unreadable_files_are_exactly_those_of_the_sheet(drawn):
    _, sheet, data = drawn
    assert {name for name, image in images(data).items() if isinstance(image, UnreadableImage)} == set(sheet.unreadable)
    assert len(sheet.unreadable) == 8


def test_the_mark_is_in_the_corner_of_one_class_alone(drawn):
    _, sheet, data = drawn
    copies = {second: first for first, second, _ in sheet.duplicates}
    for name, image in images(data).items():
        if not isinstance(image, UnreadableImage):
            has_mark = (image[-4:-1, -4:-1] == MARK_COLOUR).all()
            assert has_mark == (copies.get(name, name) in sheet.marked)
    assert sheet.marked_class == "happy"
    assert all(name.split("/")[1] == "happy" for name in sheet.marked)
    happy = sum(name.split("/")[1] == "happy" for name in sheet.intensity)
    assert 0.6 * happy < len(sheet.marked) < 0.95 * happy


def test_the_worse_group_is_darker_and_less_sharp(tmp_path):
    kept = {"n": 200, "size": 48, "seed": 1}
    for folder, worse in (("fair", None), ("unfair", ("glasses", "no"))):
        draw(tmp_path / folder, worse_group=worse, **kept)
    rows = {}
    for folder in ("fair", "unfair"):
        data = open_dataset(tmp_path / folder, tmp_path / folder / "metadata.csv")
        table = pd.DataFrame(
            [measure(data.read(row)) for row in range(len(data))], columns=["light", "contrast", "sharp"]
        )
        rows[folder] = table.groupby(data.samples["glasses"]).median()
    assert rows["unfair"]["light"]["no"] < 0.75 * rows["fair"]["light"]["no"]
    assert rows["unfair"]["light"]["yes"] == pytest.approx(rows["fair"]["light"]["yes"], rel=0.2)
    assert rows["unfair"]["sharp"]["no"] < 0.75 * rows["fair"]["sharp"]["no"]


def test_without_faults_nothing_is_planted_and_equal_calls_draw_equal_files(tmp_path):
    first, second = draw(tmp_path / "a", n=21, size=48, seed=3), draw(tmp_path / "b", n=21, size=48, seed=3)
    assert first == second
    assert not (first.flipped or first.worse_group or first.marked or first.duplicates or first.unreadable)
    files = [sorted(path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*.*")) for name in "ab"]
    assert files[0] == files[1]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files[0])
    draw(tmp_path / "c", n=21, size=48, seed=4)
    assert (tmp_path / "a/metadata.csv").read_bytes() != (tmp_path / "c/metadata.csv").read_bytes()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": 3}, "at least 7"),
        ({"size": 200}, "48 to 96"),
        ({"flipped": 1.5}, "flipped=1.5"),
        ({"marked": -1}, "marked=-1"),
        ({"worse_group": ("skin_tone", "blue")}, "skin_tone: light, medium, dark"),
        ({"marked_class": "bored"}, "'bored'"),
        ({"duplicates": 100}, "at most a quarter"),
    ],
)
def test_wrong_arguments_say_what_was_expected(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        draw(tmp_path / "x", **{"n": 21, **changes})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    with pytest.raises(InputError, match="is not empty"):
        draw(tmp_path / "full")


def test_three_hundred_faces_are_drawn_a_second(tmp_path):
    start = time.process_time()
    draw(tmp_path / "d", n=300, size=64)
    assert time.process_time() - start < 2.0
