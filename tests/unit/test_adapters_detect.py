"""Faces in a picture: found, counted, levelled, cropped; drawn faces stand in for people."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from faces.detect import MOST_FACES, Face, crop_face, find_faces, whole
from faces.synthetic import draw


@pytest.fixture(scope="module")
def drawn_faces(tmp_path_factory: pytest.TempPathFactory) -> list[np.ndarray]:
    """RGB faces of 96x96 that the cascade knows for faces; it finds about three of four drawn ones."""
    folder = tmp_path_factory.mktemp("faces") / "drawn"
    draw(folder, 30, 96, seed=4)
    read = [cv2.imread(str(path)) for path in sorted(folder.rglob("*.png"))]
    images = [cv2.cvtColor(image, cv2.COLOR_BGR2RGB) for image in read if image is not None]
    found = [image for image in images if len(find_faces(image)) == 1]
    assert len(found) >= len(images) / 2
    return found


def scene(faces: list[np.ndarray], side: int = 140) -> np.ndarray:
    """A wide grey picture with the faces side by side, each ``side`` pixels wide, 60 pixels apart."""
    picture = np.full((side + 120, 60 + (side + 60) * len(faces), 3), 120, np.uint8)
    for number, face in enumerate(faces):
        left = 60 + number * (side + 60)
        picture[60 : 60 + side, left : left + side] = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
    return picture


def test_a_tight_crop_is_one_face(drawn_faces: list[np.ndarray]) -> None:
    for image in drawn_faces[:5]:
        (face,) = find_faces(image)
        assert 0.4 * 96 < face.side < 1.2 * 96
        assert abs(face.left + face.side / 2 - 48) < 16


def test_several_faces_are_found_where_they_are(drawn_faces: list[np.ndarray]) -> None:
    picture = scene(drawn_faces[:3])
    found = find_faces(picture)
    places = sorted((face.left + face.side / 2 - 130) / 200 for face in found)
    assert 2 <= len(found) <= 3
    assert all(abs(place - round(place)) < 0.15 for place in places)
    assert [face.side for face in found] == sorted((face.side for face in found), reverse=True)


def test_grey_pictures_work_alike(drawn_faces: list[np.ndarray]) -> None:
    grey = cv2.cvtColor(drawn_faces[0], cv2.COLOR_RGB2GRAY)[:, :, None]
    assert find_faces(grey) == find_faces(drawn_faces[0])


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 300, 1), (48, 48, 1), (700, 900, 3)])
def test_where_there_is_no_face_none_is_found(shape: tuple[int, int, int]) -> None:
    ramp = np.linspace(0, 255, shape[1], dtype=np.uint8)
    assert find_faces(np.broadcast_to(ramp[None, :, None], shape).copy()) == ()


def test_less_work_for_live_pictures_still_finds_the_large_face(drawn_faces: list[np.ndarray]) -> None:
    picture = scene(drawn_faces[:1], side=400)
    (face,) = find_faces(picture, longest=320, smallest=0.2)
    assert abs(face.left + face.side / 2 - 260) < 60


def test_a_crop_is_the_square_itself() -> None:
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    np.testing.assert_array_equal(crop_face(image, Face(10, 20, 30)), image[20:50, 10:40])


def test_a_crop_turns_the_eyes_level() -> None:
    """A line as steep as the eyes comes out level."""
    image = np.zeros((200, 200, 1), np.uint8)
    cv2.line(image[:, :, 0], (60, 90), (140, 120), 255, 3)
    tilt = float(np.degrees(np.arctan2(30, 80)))
    rows = np.argwhere(crop_face(image, Face(40, 40, 120, tilt))[:, :, 0] > 128)[:, 0]
    assert rows.max() - rows.min() <= 6


def test_a_crop_beyond_the_edge_repeats_it() -> None:
    image = np.full((20, 20, 1), 7, np.uint8)
    assert (crop_face(image, Face(-10, -10, 40)) == 7).all()


@pytest.mark.parametrize("shape", [(100, 33_000, 3), (33_000, 100, 1), (1, 40_000, 3)])
def test_the_middle_of_a_picture_beyond_what_opencv_warps(shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    side = min(shape[:2])
    top, left = ((length - side) // 2 for length in shape[:2])
    face = Face(left, top, side)
    expected = image[top : top + side, left : left + side]
    assert crop_face(image, face).shape == (side, side, shape[2])
    if side > 1:
        np.testing.assert_array_equal(crop_face(image, face), expected)


@pytest.mark.parametrize("face", [Face(-40, 10, 90, 20.0), Face(300, 150, 80, -25.0), Face(60, 20, 120, 7.5)])
def test_a_turned_crop_needs_nothing_from_afar(face: Face) -> None:
    """As taken from the whole picture at once."""
    image = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (200, 340), dtype=np.uint8), (0, 0), 3)
    centre = (face.left + face.side / 2, face.top + face.side / 2)
    turn = cv2.getRotationMatrix2D(centre, face.angle, 1)
    turn[:, 2] += face.side / 2 - np.array(centre)
    size = (int(face.side), int(face.side))
    at_once = cv2.warpAffine(image, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(crop_face(image[:, :, None], face)[:, :, 0].astype(int) - at_once).max() <= 2


def test_no_face_is_dropped(drawn_faces: list[np.ndarray]) -> None:
    row = np.concatenate([scene(drawn_faces[:1], 96)] * 6, axis=1)
    assert len(find_faces(np.concatenate([row] * 5, axis=0), longest=2000, smallest=0.02)) > MOST_FACES


def test_the_whole_picture_is_itself() -> None:
    image = np.random.default_rng(0).integers(0, 255, (30, 50, 1), dtype=np.uint8)
    assert whole(image) == Face(0, 0, 50, height=30)
    assert crop_face(image, whole(image)) is image


@pytest.mark.realdata
def test_most_real_faces_are_found(fer2013: Path) -> None:
    """FER-2013's crops have no margin; four of five are found, none twice, and the box is the crop itself."""
    from faces.readers import open_dataset

    dataset = open_dataset(fer2013 / "archive.zip").select("test")
    found = [find_faces(dataset.read(row)) for row in range(0, len(dataset), len(dataset) // 60)]
    sides = [faces[0].side for faces in found if faces]
    assert np.mean([len(faces) == 1 for faces in found]) >= 0.7
    assert max(map(len, found)) == 1
    assert 0.85 < np.median(sides) / 48 < 1.1
