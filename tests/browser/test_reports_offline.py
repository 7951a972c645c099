"""The report in a real Chromium with no network, and as a PDF."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from pdfminer.high_level import extract_pages, extract_text
from pdfminer.layout import LTChar, LTTextContainer, LTTextLine
from playwright.sync_api import Browser, Page

from audit.run import AuditRun
from faces.errors import InputError
from reports.fairness_report import build, write_report
from reports.pdf import render_pdf
from tests.dashboard_runs import make_run
from tests.integration.test_reports_report import ODD, odd_run

pytestmark = pytest.mark.browser
MARGIN = 2 / 2.54 * 72
"""Points of the page's side margins."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> AuditRun:
    return make_run(tmp_path_factory.mktemp("reports"))


@pytest.fixture(scope="module")
def report(run: AuditRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return write_report(run, folder, formats=["report.html"])[0]


@pytest.fixture(params=["light", "dark"])
def offline(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page without network; the test fails where a script fails or anything is asked for."""
    context = browser.new_context(viewport={"width": 900, "height": 900}, color_scheme=request.param, offline=True)
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append(f"dialog: {dialog.message}"))
    page.on("console", lambda line: troubles.append(line.text) if line.type in ("error", "warning") else None)
    page.on("request", lambda request: None if request.url.startswith("file:") else troubles.append(request.url))
    yield page
    context.close()
    assert not troubles


def test_all_figures_are_drawn_without_network(offline: Page, report: Path, run: AuditRun) -> None:
    offline.goto(report.as_uri())
    theme = offline.evaluate("document.documentElement.dataset.theme")
    offline.evaluate("plots.forEach(draw)")
    figures = len(list(build(run, "2026-01-31").figures()))
    assert offline.locator(".plot svg.main-svg").count() >= figures
    assert offline.locator(".plot[data-theme]").count() == figures
    assert offline.evaluate("document.documentElement.scrollWidth") <= 900
    offline.locator("#theme").click()
    other = {"light": "dark", "dark": "light"}[theme]
    assert offline.evaluate("document.documentElement.dataset.theme") == other
    assert offline.locator(f".plot[data-theme={other}]").count() == figures


def test_figures_far_below_wait_until_they_are_near(offline: Page, report: Path) -> None:
    offline.goto(report.as_uri())
    plots = offline.locator(".plot")
    last = plots.nth(plots.count() - 1)
    assert last.get_attribute("data-theme") is None
    last.scroll_into_view_if_needed()
    last.locator("svg.main-svg").first.wait_for()


def test_printing_draws_every_figure_on_white(offline: Page, report: Path) -> None:
    offline.goto(report.as_uri())
    offline.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert offline.locator(".plot[data-theme=light]").count() == offline.locator(".plot").count()


def test_odd_names_run_no_script(offline: Page, tmp_path: Path) -> None:
    page = write_report(odd_run(tmp_path), tmp_path / "report", formats=["report.html"])[0]
    offline.goto(page.as_uri())
    offline.evaluate("plots.forEach(draw)")
    assert ODD[0] in offline.locator("main").inner_text()
    assert offline.evaluate("document.documentElement.scrollWidth") <= 900
    assert offline.locator(".plot a, .plot img").count() == 0


@pytest.fixture(scope="module")
def pdf(run: AuditRun, chromium: str) -> bytes:
    return render_pdf(build(run, "2026-01-31"))


def test_pdf_has_selectable_text_contents_and_page_numbers(pdf: bytes, run: AuditRun) -> None:
    text = extract_text(io.BytesIO(pdf))
    document = build(run, "2026-01-31")
    for chapter in document.chapters:
        assert chapter.title in text
    assert "Contents" in text
    assert "Article 5(1)(f)" in text
    pages = len(list(extract_pages(io.BytesIO(pdf))))
    for number in (1, pages):
        assert f"{number} / {pages}" in text
    for kind in ("Table", "Figure"):
        assert f"{kind} 2" in text
    assert len(pdf) < 5_000_000


def test_equal_runs_give_equal_pdfs(pdf: bytes, run: AuditRun) -> None:
    assert render_pdf(build(run, "2026-01-31")) == pdf


def lines(element: object) -> Iterator[LTTextLine]:
    if isinstance(element, LTTextLine):
        yield element
    elif isinstance(element, LTTextContainer) or hasattr(element, "__iter__"):
        for part in element:  # type: ignore[attr-defined]
            yield from lines(part)


@pytest.mark.parametrize("odd", [False, True], ids=["drawn", "odd names"])
def test_nothing_on_a_page_is_overfull(odd: bool, pdf: bytes, chromium: str, tmp_path: Path) -> None:
    data = render_pdf(build(odd_run(tmp_path), "2026-01-31")) if odd else pdf
    for page in extract_pages(io.BytesIO(data)):
        for line in lines(page):
            seen = [char for char in line if isinstance(char, LTChar) and char.get_text().strip("\u200b ")]
            for char in seen:
                assert MARGIN - 1 <= char.x0 < char.x1 <= page.width - MARGIN + 1, line.get_text()
                assert 20 <= char.y0 < char.y1 <= page.height - 20, line.get_text()


def test_odd_names_are_text_in_the_pdf(chromium: str, tmp_path: Path) -> None:
    text = extract_text(io.BytesIO(render_pdf(build(odd_run(tmp_path), "2026-01-31")))).replace("\u200b", "")
    squeezed = "".join(text.split())
    for name in ODD:
        assert "".join(name.split()) in squeezed


def test_without_a_browser_only_the_pdf_is_missing(
    run: AuditRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import reports.svg

    monkeypatch.setattr(reports.svg, "browser_path", lambda: str(tmp_path / "no-such-program"))
    with pytest.raises(InputError, match="needs a Chromium"):
        write_report(run, tmp_path / "report")
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.html", "report.json", "model_card.md"}
