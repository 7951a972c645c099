"""A served run of drawn faces and a browser page to walk it with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import waitress
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, expect, sync_playwright

from audit.run import AuditRun
from dashboard import access
from dashboard.app import create_app
from tests.dashboard_runs import make_run

PATIENCE = 30_000
"""Milliseconds to wait for what must come: machines that run tests can be busy."""
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage")


@dataclass(frozen=True)
class Site:
    """The served runs and their address."""

    address: str
    runs: tuple[AuditRun, ...]


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two runs of the same drawn faces, served on a free port."""
    folder = tmp_path_factory.mktemp("site")
    runs = (make_run(folder, name="drawn"), make_run(folder, seed=1, name="other"))
    app = create_app(runs)
    access.protect(app.server)
    server = waitress.create_server(app.server, host="127.0.0.1", port=0, threads=8)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield Site(f"http://127.0.0.1:{server.effective_port}", runs)
    server.close()
    thread.join(timeout=5)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """There can be but one in a process."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(chromium: str, playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
    yield browser
    browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a context of its own; the test fails where the page reports an error or asks another host."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda line: troubles.append(line.text) if _trouble(line) else None)
    page.on("request", lambda request: _foreign(request.url, troubles))
    yield page
    context.close()
    assert not troubles


def _trouble(line: ConsoleMessage) -> bool:
    """An error that no test made itself by cutting the connection."""
    return line.type == "error" and "net::ERR_FAILED" not in line.text


def _foreign(url: str, troubles: list[str]) -> None:
    if not url.startswith(("http://127.0.0.1", "data:", "blob:")):
        troubles.append(f"asked {url}")
