"""The try-it page: a camera of drawn faces, a picture chosen, pasted addresses refused, no face said so."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import waitress
from playwright.sync_api import Page, Playwright, expect

from audit.run import AuditRun
from dashboard import access
from dashboard.app import create_app
from tests.browser.conftest import FLAGS, PATIENCE
from tests.camera_film import camera_flags, detectable, scene, write_film
from tests.conftest import Drawn

pytestmark = pytest.mark.browser
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
