"""The try-it page's routes: faces in pictures, at addresses and in frames; nothing of a picture is kept."""

from __future__ import annotations

import http.client
import json
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from dash import Dash
from flask.testing import FlaskClient

from audit.explain_bytes import WHOLE, Tried, TriedFace, explain_bytes
from audit.run import AuditRun
from audit.worker import WAITING
from dashboard.app import THREADS, create_app, server_of
from dashboard.trying import FETCHES, FRAMES, LARGEST_BODY, Places, answer, packed
from faces.fetch import MOST_BYTES
from faces.pixels import decode
from tests.camera_film import detectable, scene
from tests.conftest import Drawn
from tests.integration.test_front_door import Done, facevalue

__all__ = ["facevalue"]


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
    assert head["found"] == 2
    left, right = head["faces"]
    assert left["left"] < 0.5 <= right["left"]
    for face in head["faces"]:
        assert sum(face["probabilities"]) == pytest.approx(1, abs=1e-3) and face["method"] == "Grad-CAM"
        assert face["targets"] == list(range(7)) and face["pixels"] == [48, 48, 1]
    one = 48 * 48 + 7 * np.prod(left["maps"])
    assert len(content) == 2 * one + head["picture"]
    assert cv2.imdecode(np.frombuffer(content[2 * one :], np.uint8), cv2.IMREAD_COLOR).shape == (384, 1024, 3)
    assert max(content[48 * 48 : one]) == 255


def test_the_class_is_told_where_the_rounded_shares_tie() -> None:
    shares = np.array([0.3, 0.34998, 0.35002], np.float32)
    face = TriedFace(
        0, 0, 1, 1, 0, np.zeros((2, 2, 1), np.uint8), shares, np.ones((1, 2, 2), np.float32), (2,), "Grad-CAM"
    )
    (told,) = unpacked(packed(Tried(4, 4, ("a", "b", "c"), (face,), 1, b"")))[0]["faces"]
    assert told["probabilities"] == [0.3, 0.35, 0.35] and told["predicted"] == 2


def test_of_too_many_faces_the_largest_are_told(drawn: Drawn, two: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.explain_bytes.MOST_FACES", 1)
    found = explain_bytes(drawn.run, two)
    assert (len(found.faces), found.found) == (1, 2)


@pytest.mark.parametrize("shape", [(1, 3000), (3000, 1), (100, 33_000)])
def test_a_strip_is_taken_whole(drawn: Drawn, shape: tuple[int, int]) -> None:
    found = explain_bytes(drawn.run, encoded(np.full(shape, 90, np.uint8)), WHOLE)
    assert len(found.faces) == 1 and max(decode(found.picture).shape) == 1024
    assert explain_bytes(drawn.run, encoded(np.full(shape, 90, np.uint8))).faces == ()


def test_a_frame_brings_the_predicted_class_s_map_alone(client: FlaskClient, two: bytes) -> None:
    head, content = unpacked(client.post("/trying/run/frame", data=two).data)
    for face in head["faces"]:
        assert face["targets"] == [face["predicted"]] == [int(np.argmax(face["probabilities"]))]
    assert head["faces"] and head["picture"] == 0
    assert len(content) == len(head["faces"]) * (48 * 48 + np.prod(head["faces"][0]["maps"]))


def test_a_picture_without_a_face_may_be_taken_whole(client: FlaskClient) -> None:
    wall = encoded(np.full((200, 300), 90, np.uint8))
    assert unpacked(client.post("/trying/run/picture", data=wall).data)[0]["faces"] == []
    (face,) = unpacked(client.post("/trying/run/whole", data=wall).data)[0]["faces"]
    assert (face["side"], face["height"]) == (1, 1)


def test_a_small_picture_comes_back_as_it_is(drawn: Drawn) -> None:
    """The page sends it again to be taken whole: what a JPEG loses would be another answer than the audit's."""
    noise = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    found = explain_bytes(drawn.run, encoded(noise), WHOLE)
    assert np.array_equal(decode(found.picture)[:, :, 0], noise)


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
    places = Places()
    for _ in range(FRAMES):
        places.frames.acquire()
    with client.application.test_request_context(method="POST", data=b""):
        assert answer(site, places, "run", "frame").status_code == 429


def test_pictures_are_fetched_a_few_at_once(client: FlaskClient) -> None:
    site, places = client.application.config["SITE"], Places()
    for _ in range(FETCHES):
        places.fetches.acquire()
    with client.application.test_request_context(method="POST", data=b"http://good.example/a.png"):
        refused = answer(site, places, "run", "address")
    assert refused.status_code == 429 and "are being fetched" in refused.get_json()["error"]


def test_a_frame_that_finds_the_line_full_is_dropped(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client.application.config["SITE"].worker, "_places", threading.BoundedSemaphore(1))
    client.application.config["SITE"].worker._places.acquire()
    assert client.post("/trying/run/frame", data=b"").status_code == 429


def test_slow_maps_and_slow_addresses_leave_threads_for_pages() -> None:
    assert WAITING + FETCHES < THREADS


@pytest.fixture
def served(client: FlaskClient) -> Iterator[int]:
    """The port of a server as `facevalue serve` runs it."""
    app = SimpleNamespace(server=client.application)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = server_of(cast(Dash, app), listener)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        server.close()
        thread.join(5)


def posted(port: int, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/trying/run/picture", body)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_what_passes_through_the_server_stays_in_memory(served: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def tried(*_: Any) -> bytes:
        return bytes(20 * 1024 * 1024)

    def newfile(_: Any) -> Any:
        files.append("a temporary file")
        return TemporaryFile("w+b")

    files: list[str] = []
    monkeypatch.setattr("dashboard.trying.tried", tried)
    monkeypatch.setattr("waitress.buffers.TempfileBasedBuffer.newfile", newfile)
    status, answered = posted(served, bytes(MOST_BYTES))
    assert (status, len(answered)) == (200, 20 * 1024 * 1024) and files == []
    status, answered = posted(served, bytes(MOST_BYTES + 1))
    assert status == 400 and b"larger than 10 MB" in answered and files == []


def test_a_body_beyond_what_is_held_is_refused_by_its_length(served: int) -> None:
    with socket.create_connection(("127.0.0.1", served), timeout=60) as line:
        line.sendall(f"POST /trying/run/picture HTTP/1.1\r\nHost: x\r\nContent-Length: {LARGEST_BODY}\r\n\r\n".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 413 ")


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


def test_a_pickled_model_is_asked_again_where_the_server_was_told_that_it_may(
    drawn: Drawn, two: bytes, tmp_path: Path, facevalue: Callable[..., Done]
) -> None:
    layers = [torch.nn.Conv2d(1, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 7)]
    torch.save(torch.nn.Sequential(*layers), tmp_path / "net.pt")
    classes = ",".join(AuditRun.open(drawn.run).classes)
    told = ("--classes", classes, "--input", "48x48,gray,0..1", "--limit", 40, "--allow-pickle")
    facevalue("audit", drawn.data, "--model", tmp_path / "net.pt", *told, "--out", tmp_path / "run")
    run = AuditRun.open(tmp_path / "run")
    for allowed, status in ((False, 400), (True, 200)):
        app = create_app([run], allow_pickle=allowed)
        found = app.server.test_client().post("/trying/run/picture", data=two)
        app.server.config["SITE"].worker.close()
        assert found.status_code == status and (b"--allow-pickle" in found.data) != allowed
