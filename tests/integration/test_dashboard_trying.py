"""The try-it page's routes: faces in pictures, at addresses and in frames; nothing of a picture is kept."""

from __future__ import annotations

import json
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from flask.testing import FlaskClient

from audit.run import AuditRun
from dashboard.app import create_app
from dashboard.trying import FRAMES, answer
from faces.fetch import MOST_BYTES
from tests.camera_film import detectable, scene
from tests.conftest import Drawn


@pytest.fixture(scope="module")
def client(drawn: Drawn) -> Iterator[FlaskClient]:
    app = create_app([AuditRun.open(drawn.run)])
    yield app.server.test_client()
    app.server.config["SITE"].worker.close()


def encoded(image: np.ndarray, form: str = ".png") -> bytes:
    return cv2.imencode(form, image)[1].tobytes()


@pytest.fixture(scope="module")
def two(drawn: Drawn) -> bytes:
    """Two drawn faces side by side."""
    return encoded(np.concatenate([scene(face) for face in detectable(drawn.data, 2)], axis=1))


def unpacked(data: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack(">I", data[:4])
    return json.loads(data[4 : 4 + length]), data[4 + length :]


def test_every_face_of_a_picture_is_told_with_a_map_a_class(client: FlaskClient, two: bytes) -> None:
    head, content = unpacked(client.post("/trying/run/picture", data=two).data)
    assert (head["width"], head["height"], len(head["faces"]), len(head["classes"])) == (1280, 480, 2, 7)
    left, right = head["faces"]
    assert left["left"] < 0.5 <= right["left"]
    for face in head["faces"]:
        assert sum(face["probabilities"]) == pytest.approx(1, abs=1e-3) and face["method"] == "Grad-CAM"
        assert face["targets"] == list(range(7)) and face["pixels"] == [48, 48, 1]
    one = 48 * 48 + 7 * np.prod(left["maps"])
    assert len(content) == 2 * one + head["picture"]
    assert cv2.imdecode(np.frombuffer(content[2 * one :], np.uint8), cv2.IMREAD_COLOR).shape == (384, 1024, 3)
    assert max(content[48 * 48 : one]) == 255


def test_a_frame_brings_the_predicted_class_s_map_alone(client: FlaskClient, two: bytes) -> None:
    head, content = unpacked(client.post("/trying/run/frame", data=two).data)
    for face in head["faces"]:
        assert face["targets"] == [int(np.argmax(face["probabilities"]))]
    assert head["faces"] and head["picture"] == 0
    assert len(content) == len(head["faces"]) * (48 * 48 + np.prod(head["faces"][0]["maps"]))


def test_a_picture_without_a_face_may_be_taken_whole(client: FlaskClient) -> None:
    wall = encoded(np.full((200, 300), 90, np.uint8))
    assert unpacked(client.post("/trying/run/picture", data=wall).data)[0]["faces"] == []
    (face,) = unpacked(client.post("/trying/run/whole", data=wall).data)[0]["faces"]
    assert face["side"] == pytest.approx(200 / 300)


@pytest.mark.parametrize(
    ("what", "body", "sentence"),
    [
        ("picture", b"hello", "The picture cannot be read"),
        ("picture", b"", "empty file"),
        ("frame", b"\x89PNG\r\n\x1a\n", "cannot be read"),
        ("picture", b"0" * (MOST_BYTES + 1), "larger than 10 MB"),
        ("address", b"picture.png", "no address of a picture"),
        ("address", b"http://127.0.0.1/picture.png", "not a public address"),
        ("address", b"http://169.254.169.254/latest", "not a public address"),
    ],
)
def test_what_cannot_be_tried_is_said(client: FlaskClient, what: str, body: bytes, sentence: str) -> None:
    refused = client.post(f"/trying/run/{what}", data=body)
    assert refused.status_code == 400 and sentence in refused.get_json()["error"]


def test_unknown_runs_and_questions_are_not_there(client: FlaskClient) -> None:
    assert client.post("/trying/other/picture", data=b"").status_code == 404
    assert client.post("/trying/run/else", data=b"").status_code == 404


def test_frames_beyond_the_queue_are_dropped(client: FlaskClient) -> None:
    site = client.application.config["SITE"]
    places = threading.BoundedSemaphore(FRAMES)
    for _ in range(FRAMES):
        places.acquire()
    with client.application.test_request_context(method="POST", data=b""):
        assert answer(site, places, "run", "frame").status_code == 429


def test_nothing_of_a_picture_is_kept(
    client: FlaskClient, drawn: Drawn, two: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def files() -> set[Path]:
        return {path for root in (drawn.run, tmp_path) for path in root.rglob("*")}

    before = files()
    client.post("/trying/run/picture", data=two)
    client.post("/trying/run/frame", data=two)
    assert files() == before
