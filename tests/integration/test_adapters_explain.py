"""`facevalue explain`: one PNG and nothing else; no face, no picture, no file are said so."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import facevalue
from audit.explain import explain, read_picture
from audit.explain_png import Panel, draw, overlay
from faces.detect import find_faces
from faces.errors import InputError
from faces.synthetic import draw as draw_faces
from models import catalogue
from models.classifier import Classifier
from models.load import load_classifier

CLASSES = "angry,disgust,fear,happy,sad,surprise,neutral"


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two drawn faces beside each other."""
    folder = tmp_path_factory.mktemp("explain")
    draw_faces(folder / "drawn", 30, 96, seed=4)
    read = [cv2.imread(str(path)) for path in sorted((folder / "drawn").rglob("*.png"))]
    faces = [face for face in read if face is not None and len(find_faces(face)) == 1][:2]
    sheet = np.full((240, 480, 3), 120, np.uint8)
    for number, face in enumerate(faces):
        sheet[50:190, 50 + 220 * number : 190 + 220 * number] = cv2.resize(face, (140, 140))
    cv2.imwrite(str(folder / "two.jpg"), sheet)
    return folder / "two.jpg"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "tiny.pt"
    torch.manual_seed(0)
    torch.save(catalogue.build("tiny", 7, 1).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def classifier(weights: Path) -> Classifier:
    return load_classifier(weights, CLASSES, "48x48,gray,0..1")


def test_every_face_is_explained_in_one_png(picture: Path, classifier: Classifier, tmp_path: Path) -> None:
    explained = explain(picture, classifier, tmp_path / "new" / "out.png")
    assert len(explained) == 2
    for face in explained:
        assert face.pixels.shape == (48, 48, 1) and face.method == "gradcam" and face.map.shape == (6, 6)
        assert face.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["out.png"]
    with Image.open(tmp_path / "new" / "out.png") as drawn:
        assert drawn.format == "PNG" and drawn.height > 500


def test_no_face_is_said_so(classifier: Classifier, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 300), 90, np.uint8))
    with pytest.raises(InputError, match=r"No face was found in .*wall\.png.*--no-crop"):
        explain(tmp_path / "wall.png", classifier, tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()
    (face,) = explain(tmp_path / "wall.png", classifier, tmp_path / "out.png", crop=False)
    whole = classifier.preprocessing.fit(read_picture(tmp_path / "wall.png"))  # as an audit takes it
    assert (face.face.side, face.face.height) == (300, 200) and np.array_equal(face.pixels, whole)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.png", None, "is not a file"),
        ("huge.png", b"0" * 300, "too large: 300 bytes, at most 200 are read"),
        ("text.png", b"hello", "cannot be read"),
        ("empty.png", b"", "empty file"),
    ],
)
def test_pictures_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None, message: str
) -> None:
    monkeypatch.setattr("audit.explain.MAX_FILE_BYTES", 200)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_picture(tmp_path / name)


def test_the_picture_itself_is_not_written_over(picture: Path, classifier: Classifier, tmp_path: Path) -> None:
    before = picture.read_bytes()
    (tmp_path / "link.png").symlink_to(picture)
    for out in (picture, picture.parent / ".." / picture.parent.name / picture.name, tmp_path / "link.png"):
        with pytest.raises(InputError, match="is the picture itself"):
            explain(picture, classifier, out)
    assert picture.read_bytes() == before and (tmp_path / "link.png").is_symlink()


def test_of_too_many_faces_the_largest_are_explained_and_it_is_said(
    picture: Path,
    classifier: Classifier,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("audit.explain.MOST_FACES", 1)
    largest = max(face.side for face in find_faces(read_picture(picture)))
    (face,) = explain(picture, classifier, tmp_path / "out.png")
    assert face.face.side == largest
    assert "the 1 largest of 2 faces in two.jpg" in caplog.text


def test_addresses_within_are_refused() -> None:
    with pytest.raises(InputError, match="not a public address"):
        read_picture("http://127.0.0.1:8050/media/run/image/1")


def test_a_model_without_gradients_is_explained_by_its_outputs(tmp_path: Path, picture: Path, weights: Path) -> None:
    network = load_classifier(weights, CLASSES, "48x48,gray,0..1").network
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network, torch.zeros(1, 1, 48, 48)).save(tmp_path / "net.pt")
    scripted = load_classifier(tmp_path / "net.pt", CLASSES, "48x48,gray,0..1")
    for face in explain(picture, scripted, tmp_path / "out.png"):
        assert face.method == "occlusion" and face.map.shape == (48, 48) and face.map.any()


def test_the_same_input_draws_the_same_picture() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (48, 48, 1), dtype=np.uint8)
    panel = Panel(pixels, np.array([0.2, 0.8], np.float32), np.array([[0.0, 1.0], [-1.0, 0.5]], np.float32), "Grad-CAM")
    assert draw([panel], ("sad", "happy"), "m", "x.png") == draw([panel], ("sad", "happy"), "m", "x.png")


def test_where_nothing_speaks_for_the_class_the_face_is_bare() -> None:
    pixels = np.full((48, 48, 1), 77, np.uint8)
    assert (overlay(pixels, np.full((6, 6), -1.0), 96) == 77).all()


def test_the_command(
    picture: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["explain", picture, "--model", weights, "--out", tmp_path / "out.png", "--classes", CLASSES]
    monkeypatch.setattr(sys, "argv", ["facevalue", *map(str, words), "--input", "48x48,gray,0..1"])
    with pytest.raises(SystemExit) as stopped:
        facevalue.main()
    assert not stopped.value.code and "face 2: " in capsys.readouterr().out
    assert (tmp_path / "out.png").is_file()
