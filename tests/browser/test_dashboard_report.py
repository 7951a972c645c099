"""Use two: make a report and take it away, by mouse and by keyboard."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site

pytestmark = pytest.mark.browser


@pytest.fixture
def report_page(page: Page, site: Site, request: pytest.FixtureRequest) -> Page:
    page.goto(f"{site.address}/report?run={site.runs[request.param].name}")
    expect(page.get_by_role("heading", level=1, name="Report")).to_be_visible()
    return page


@pytest.mark.parametrize("report_page", [0], indirect=True)
def test_made_by_mouse_downloaded_and_read(report_page: Page, site: Site, tmp_path: Path) -> None:
    expect(report_page.get_by_text("No report yet")).to_be_visible()
    report_page.get_by_role("button", name="Make the report").click()
    tile = report_page.locator(".tile", has_text="Figures for programs")
    expect(tile).to_be_visible(timeout=180_000)
    with report_page.expect_download() as started:
        tile.get_by_role("link", name="Download").click()
    started.value.save_as(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["n"] == int(
        (site.runs[0].samples["status"] == "ok").sum()
    )
    with report_page.context.expect_page() as opened:
        report_page.locator(".tile", has_text="Report to read").get_by_role("link", name="Open").click()
    written = opened.value
    expect(written.get_by_role("heading", level=1)).to_be_visible()
    written.locator(".plot").first.scroll_into_view_if_needed()
    expect(written.locator(".js-plotly-plot").first).to_be_visible()


@pytest.mark.parametrize("report_page", [1], indirect=True)
def test_made_by_keys_alone(report_page: Page, site: Site) -> None:
    report_page.get_by_role("button", name="Make the report").focus()
    report_page.keyboard.press("Enter")
    expect(report_page.locator(".tile", has_text="Report to read")).to_be_visible(timeout=180_000)
    report_page.keyboard.press("Tab")
    expect(report_page.get_by_role("link", name="Open").first).to_be_focused()
