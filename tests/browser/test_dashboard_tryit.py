"""The try-it page: a camera of drawn faces, a picture chosen, pasted addresses refused, no face said so.

Answers that a server gives seldom are given by the tests themselves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import waitress
from playwright.sync_api import Page, Playwright, Route, expect

from audit.explain_bytes import Tried, TriedFace
from audit.run import AuditRun
from dashboard import access
from dashboard.app import create_app
from dashboard.trying import packed
from faces.fetch import MOST_BYTES
from tests.browser.conftest import FLAGS, PATIENCE
from tests.camera_film import camera_flags, detectable, scene, write_film
from tests.conftest import Drawn

pytestmark = pytest.mark.browser
KEEP = """() => {
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wish) => (window.kept = await ask(wish));
}"""
"""The page's camera streams, kept to be looked at."""
ENDED = "window.kept.getTracks().every((track) => track.readyState === 'ended')"
CARRYING = "document.getElementById('tryit').dataset.carrying || '0'"


@pytest.fixture(scope="module")
def address(drawn: Drawn) -> Iterator[str]:
    app = create_app([AuditRun.open(drawn.run)])
    access.protect(app.server)
    server = waitress.create_server(app.server, host="127.0.0.1", port=0, threads=8)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}/try"
    server.close()
    thread.join(timeout=5)
    app.server.config["SITE"].worker.close()


@pytest.fixture(scope="module")
def page(
    address: str, chromium: str, playwright: Playwright, drawn: Drawn, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """A browser whose camera shows drawn faces; the tests fail where a page reports an error."""
    film = write_film(detectable(drawn.data, 2), tmp_path_factory.mktemp("film") / "film.y4m")
    troubles: list[str] = []
    browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, *camera_flags(film)])
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    yield page
    browser.close()
    assert not troubles


@pytest.fixture
def desk(page: Page, address: str) -> Page:
    page.goto(address, wait_until="networkidle")
    expect(page.get_by_role("button", name="Start the camera")).to_be_visible()
    return page


def test_frames_of_the_camera_carry_a_prediction_and_a_map(desk: Page) -> None:
    desk.get_by_role("button", name="Start the camera").click()
    until = time.monotonic() + PATIENCE / 1000
    while int(desk.evaluate(CARRYING)) < 16 and time.monotonic() < until:
        desk.wait_for_timeout(200)
    assert int(desk.evaluate(CARRYING)) >= 16
    expect(desk.locator(".try-face .try-name")).to_contain_text("%")
    expect(desk.get_by_role("img", name="The last judged frame of the camera")).to_be_visible()
    expect(desk.get_by_role("article", name="Face 1").get_by_role("img", name="Grad-CAM for")).to_be_visible()
    expect(desk.get_by_role("status").filter(has_text="in view.")).to_be_visible()
    expect(desk.locator(".try-rate")).to_contain_text("frames a second")
    drawn = desk.locator(".try-face canvas").evaluate(
        "c => Math.max(...c.getContext('2d').getImageData(0,0,48,48).data)"
    )
    assert drawn == 255
    desk.get_by_role("button", name="Stop the camera").click()
    expect(desk.locator(".try-face")).to_have_count(0)


def test_every_face_of_a_chosen_picture_by_keys_alone(desk: Page, drawn: Drawn, tmp_path: Path) -> None:
    picture = np.concatenate([scene(face) for face in detectable(drawn.data, 2)], axis=1)
    cv2.imwrite(str(tmp_path / "two.png"), picture)
    with desk.expect_file_chooser() as chooser:
        desk.get_by_role("button", name="Choose a picture").press("Enter")
    chooser.value.set_files(tmp_path / "two.png")
    expect(desk.get_by_role("status").filter(has_text="2 faces found")).to_be_visible()
    card = desk.locator(".try-card").first
    card.get_by_role("button", name="surprise").click()
    expect(card).to_contain_text("Grad-CAM for surprise")
    assert desk.locator(".try-stage > img").evaluate("image => image.naturalWidth") == 1024


def test_no_face_is_said_and_the_picture_taken_whole(desk: Page, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 300), 90, np.uint8))
    with desk.expect_file_chooser() as chooser:
        desk.get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files(tmp_path / "wall.png")
    expect(desk.get_by_text("No face was found")).to_be_visible()
    desk.get_by_role("button", name="Take the whole picture as one face").click()
    expect(desk.get_by_text("1 face found")).to_be_visible()


def test_an_address_within_is_refused(desk: Page) -> None:
    desk.get_by_label("Address of a picture").fill("http://127.0.0.1:1/face.png")
    desk.keyboard.press("Enter")
    expect(desk.get_by_text("not a public address")).to_be_visible()


def told(faces: int, shares: tuple[float, ...] = (0.2, 0.3, 0.5), found: int = 0) -> bytes:
    """An answer about so many faces of the classes a, b and c, with the predicted one's map alone."""
    pixels, maps = np.zeros((4, 4, 1), np.uint8), np.ones((1, 2, 2), np.float32)
    values = np.array(shares, np.float32)
    face = TriedFace(0.2, 0.2, 0.4, 0.4, 0, pixels, values, maps, (int(values.argmax()),), "Grad-CAM")
    picture = cv2.imencode(".jpg", np.zeros((8, 8), np.uint8))[1].tobytes()
    return packed(Tried(8, 8, ("a", "b", "c"), (face,) * faces, max(faces, found), picture))


def choose(desk: Page, size: int = 100) -> None:
    with desk.expect_file_chooser() as chooser:
        desk.get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files({"name": "face.png", "mimeType": "image/png", "buffer": bytes(size)})


def test_shares_that_tie_once_rounded_are_drawn_for_the_class_that_was_predicted(desk: Page) -> None:
    desk.route("**/trying/*/picture", lambda route: route.fulfill(body=told(1, (0.3, 0.34998, 0.35002), found=27)))
    choose(desk)
    expect(desk.get_by_role("article", name="Face 1")).to_contain_text("Grad-CAM for c")
    expect(desk.locator(".try-name")).to_have_text("c 35%")
    expect(desk.get_by_role("status").filter(has_text="The 1 largest of 27 faces found.")).to_be_visible()
    desk.unroute("**/trying/*/picture")


def test_answers_that_come_late_change_nothing(desk: Page) -> None:
    held: list[Route] = []
    desk.route("**/trying/*/picture", lambda route: held.append(route))
    for _ in range(3):
        with desk.expect_request("**/trying/*/picture"):
            choose(desk)
    desk.wait_for_timeout(200)
    held[2].fulfill(body=told(1))
    expect(desk.get_by_text("1 face found.")).to_be_visible()
    held[0].fulfill(body=told(2))
    held[1].fulfill(status=400, json={"error": "an old complaint"})
    desk.wait_for_timeout(500)
    expect(desk.get_by_text("1 face found.")).to_be_visible()
    expect(desk.locator(".try-card")).to_have_count(1)
    desk.unroute("**/trying/*/picture")


def test_a_picture_too_large_is_not_sent(desk: Page) -> None:
    asked: list[Route] = []
    desk.route("**/trying/*/picture", lambda route: asked.append(route))
    choose(desk, MOST_BYTES + 1)
    expect(desk.get_by_text("The picture is larger than 10 MB; give a smaller one.")).to_be_visible()
    assert asked == []
    desk.unroute("**/trying/*/picture")


def test_a_server_that_is_gone_is_said(desk: Page) -> None:
    desk.route("**/trying/*/picture", lambda route: route.abort("connectionrefused"))
    choose(desk)
    expect(desk.get_by_text("The server does not answer: see that it still runs, then try again.")).to_be_visible()
    desk.unroute("**/trying/*/picture")


def test_a_camera_that_cannot_be_shown_is_let_go(desk: Page) -> None:
    desk.evaluate(KEEP)
    desk.evaluate("() => { HTMLMediaElement.prototype.play = () => Promise.reject(new Error('no picture')); }")
    desk.get_by_role("button", name="Start the camera").click()
    expect(desk.get_by_text("The camera cannot be used (no picture).")).to_be_visible()
    assert desk.evaluate(ENDED)


@pytest.mark.parametrize(
    ("happens", "sentence"),
    [
        ("window.kept.getTracks()[0].dispatchEvent(new Event('ended'))", "The camera has gone"),
        (
            "Object.defineProperty(document, 'hidden', { get: () => true });"
            "document.dispatchEvent(new Event('visibilitychange'))",
            "The camera was stopped while the page was hidden",
        ),
    ],
)
def test_a_camera_that_goes_or_is_not_looked_at_is_let_go(desk: Page, happens: str, sentence: str) -> None:
    desk.evaluate(KEEP)
    desk.get_by_role("button", name="Start the camera").click()
    expect(desk.get_by_role("button", name="Stop the camera")).to_be_visible()
    desk.evaluate(f"() => {{ {happens} }}")
    expect(desk.get_by_text(sentence)).to_be_visible()
    expect(desk.get_by_role("button", name="Start the camera")).to_be_visible()
    assert desk.evaluate(ENDED)
