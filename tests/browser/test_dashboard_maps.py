"""Use one: browse the maps, by mouse and by keyboard."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site

pytestmark = pytest.mark.browser
CARD = "main a.card"


def query(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def open_page(page: Page, site: Site, path: str, title: str) -> None:
    page.goto(site.address + path)
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()


def wait_for_count(page: Page, number: int) -> None:
    expect(page.locator(".pager .count b").first).to_have_text(f"{number:,}")


def choose(page: Page, label: str, value: str) -> None:
    page.get_by_role("textbox", name=label, exact=True).click()
    page.get_by_role("option", name=value, exact=True).click()


def wrong(site: Site, label: str, predicted: str) -> int:
    rows = site.runs[0].samples
    return int(((rows["label"] == label) & (rows["predicted"] == predicted)).sum())


def test_findings_lead_to_their_evidence(page: Page, site: Site) -> None:
    open_page(page, site, "/", "Overview")
    finding = page.locator(".finding", has_text="Most confused")
    finding.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1, name="Confusions")).to_be_visible()
    assert query(page).keys() == {"label", "predicted"}
    expect(page.locator(CARD).first).to_be_visible()


def test_a_click_on_a_cell_shows_its_images(page: Page, site: Site) -> None:
    open_page(page, site, "/confusions", "Confusions")
    heat = page.locator(".js-plotly-plot").first
    expect(heat.locator(".heatmaplayer image")).to_be_attached()
    box = heat.locator(".heatmaplayer image").bounding_box()
    assert box is not None
    names = site.runs[0].classes.names
    row, column = names.index("sad"), names.index("neutral")
    step = box["width"] / len(names), box["height"] / len(names)
    page.mouse.click(box["x"] + (column + 0.5) * step[0], box["y"] + (row + 0.5) * step[1])
    wait_for_count(page, wrong(site, "sad", "neutral"))
    assert query(page) == {"label": "sad", "predicted": "neutral"}
    assert page.locator(CARD).count() == wrong(site, "sad", "neutral")
    expect(page.locator(f"{CARD} .map").first).to_have_js_property("complete", True)
    assert page.locator(f"{CARD} .map").first.evaluate("image => image.naturalWidth") == 48


def test_a_ready_made_view_shows_both_directions_and_back_leaves_it(page: Page, site: Site) -> None:
    open_page(page, site, "/confusions", "Confusions")
    page.get_by_role("link", name="fear / surprise", exact=True).click()
    wait_for_count(page, wrong(site, "fear", "surprise") + wrong(site, "surprise", "fear"))
    page.go_back()
    expect(page.get_by_role("heading", name="Choose a cell")).to_be_visible()
    page.go_forward()
    expect(page.locator(CARD).first).to_be_visible()


def test_filters_narrow_the_gallery_and_stand_in_the_address(page: Page, site: Site) -> None:
    open_page(page, site, "/saliency", "Saliency")
    rows = site.runs[0].samples
    wait_for_count(page, len(rows))
    choose(page, "Label", "sad")
    wait_for_count(page, int((rows["label"] == "sad").sum()))
    page.get_by_text("wrong", exact=True).click()
    expected = int(((rows["label"] == "sad") & (rows["predicted"] != "sad") & (rows["status"] == "ok")).sum())
    wait_for_count(page, expected)
    assert query(page) == {"label": "sad", "correct": "wrong"}
    page.reload()
    wait_for_count(page, expected)
    expect(page.get_by_role("textbox", name="Label", exact=True)).to_have_value("sad")
    page.go_back()
    wait_for_count(page, int((rows["label"] == "sad").sum()))
    page.go_back()
    wait_for_count(page, len(rows))
    expect(page.get_by_role("textbox", name="Label", exact=True)).to_have_value("")


def test_search_and_paging(page: Page, site: Site) -> None:
    open_page(page, site, "/saliency?size=24", "Saliency")
    assert page.locator(CARD).count() == 24
    page.get_by_role("link", name="Next").first.click()
    expect(page.get_by_text(re.compile("showing 25 to 48")).first).to_be_visible()
    name = site.runs[0].samples["sample_id"].iloc[100].rsplit("/", 1)[1]
    page.get_by_label("Name contains").fill(name)
    wait_for_count(page, 1)
    assert query(page) == {"size": "24", "q": name}


def test_no_sample_is_said_in_words(page: Page, site: Site) -> None:
    open_page(page, site, "/saliency?q=nobody", "Saliency")
    expect(page.get_by_text("No sample fits")).to_be_visible()


def test_strength_and_colours_change_without_the_server(page: Page, site: Site) -> None:
    open_page(page, site, "/saliency", "Saliency")
    page.wait_for_load_state("networkidle")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    layer = page.locator(f"{CARD} .map").first
    page.get_by_role("button", name="Colour scale viridis").click()
    expect(layer).to_have_css("filter", 'url("#scale-viridis")')
    slider = page.get_by_role("slider", name="Strength of the maps")
    slider.focus()
    slider.press("Home")
    expect(layer).to_have_css("opacity", "0")
    slider.press("End")
    expect(layer).to_have_css("opacity", "1")
    assert not asked
    page.reload()
    expect(layer).to_have_css("filter", 'url("#scale-viridis")')
    expect(layer).to_have_css("opacity", "1")


def test_a_contrast_is_drawn_in_two_colours_and_says_so(page: Page, site: Site) -> None:
    open_page(page, site, "/saliency?target=sad-minus-neutral", "Saliency")
    expect(page.get_by_text("blue spoke for sad, orange for neutral")).to_be_visible()
    expect(page.locator(f"{CARD} .map").first).to_have_css("filter", 'url("#scale-contrast")')


def test_a_sample_by_keys_alone(page: Page, site: Site) -> None:
    open_page(page, site, "/saliency?label=fear", "Saliency")
    first, second = page.locator(CARD).nth(0), page.locator(CARD).nth(1)
    first.focus()
    page.keyboard.press("ArrowRight")
    expect(second).to_be_focused()
    chosen = second.get_attribute("title").split(":")[0]
    page.keyboard.press("Enter")
    expect(page.locator(".sample-id")).to_have_text(chosen)
    assert query(page)["label"] == "fear"
    page.keyboard.press("n")
    expect(page.locator(".sample-id")).not_to_have_text(chosen)
    page.keyboard.press("p")
    expect(page.locator(".sample-id")).to_have_text(chosen)
    expect(page.get_by_role("heading", name="Most alike")).to_be_visible()
    page.keyboard.press("m")
    expect(page.locator(".large .map")).to_have_css("visibility", "hidden")


def test_pages_and_help_by_keys(page: Page, site: Site) -> None:
    open_page(page, site, "/", "Overview")
    for key, title in (("c", "Confusions"), ("f", "Fairness"), ("s", "Saliency"), ("p", "Report"), ("o", "Overview")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("give that label")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).not_to_be_visible()


def test_skipping_to_the_content(page: Page, site: Site) -> None:
    open_page(page, site, "/", "Overview")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_a_group_leads_to_its_images(page: Page, site: Site) -> None:
    open_page(page, site, "/fairness?attribute=apparent_gender", "Fairness")
    page.locator(".table").first.get_by_role("link", name="woman", exact=True).click()
    rows = site.runs[0].samples
    wait_for_count(page, int((rows["apparent_gender"] == "woman").sum()))


def test_the_theme_is_kept(page: Page, site: Site) -> None:
    open_page(page, site, "/", "Overview")
    root = page.locator("html")
    expect(root).to_have_attribute("data-mantine-color-scheme", "light")
    page.get_by_role("button", name="Toggle color scheme").click()
    expect(root).to_have_attribute("data-mantine-color-scheme", "dark")
    page.reload()
    expect(page.get_by_role("heading", level=1, name="Overview")).to_be_visible()
    expect(root).to_have_attribute("data-mantine-color-scheme", "dark")


def test_switching_to_another_run(page: Page, site: Site) -> None:
    open_page(page, site, "/", "Overview")
    page.locator(".switcher summary").click()
    page.get_by_role("menuitem", name="other").click()
    expect(page.locator(".run-name")).to_have_text("other")
    page.get_by_role("link", name="Saliency").first.click()
    expect(page.get_by_role("heading", level=1, name="Saliency")).to_be_visible()
    assert query(page) == {"run": "other"}
    assert "/media/other/" in str(page.locator(f"{CARD} .photo").first.get_attribute("src"))


@pytest.mark.parametrize("path", ["/nowhere", "/saliency?run=nothing", "/sample?id=nobody", "/confusions?label=joy"])
def test_wrong_addresses_are_answered_in_words(page: Page, site: Site, path: str) -> None:
    page.goto(site.address + path)
    expect(page.locator("main .message h2").first).to_be_visible()


def test_maps_are_chosen_by_where_they_lie(page: Page, site: Site) -> None:
    open_page(page, site, "/saliency?region=mouth&share=0.2..1", "Saliency")
    rows = site.runs[0].samples
    on_mouth = rows[rows["share_mouth"].between(0.2, 1)]
    wait_for_count(page, len(on_mouth))
    expect(page.get_by_role("textbox", name="Region", exact=True)).to_have_value("mouth")
    group = str(on_mouth["map_cluster"].dropna().iloc[0])
    choose(page, "Maps like", group)
    wait_for_count(page, int((on_mouth["map_cluster"] == group).sum()))
    assert query(page) == {"region": "mouth", "share": "0.2..1", "map_cluster": group}


def test_two_classes_are_set_against_each_other_by_choice(page: Page, site: Site) -> None:
    open_page(page, site, "/saliency", "Saliency")
    choose(page, "Map of", "sad")
    expect(page.get_by_text("Grad-CAM for sad, negative evidence cut off")).to_be_visible()
    choose(page, "Against", "fear")
    expect(page.get_by_text("blue spoke for sad, orange for fear")).to_be_visible()
    assert query(page) == {"target": "sad", "minus": "fear"}
    expect(page.locator(f"{CARD} .map").first).to_have_css("filter", 'url("#scale-contrast")')


def test_raw_values_stand_under_the_pointer(page: Page, site: Site) -> None:
    row = int((site.runs[0].samples["status"] == "ok").to_numpy().argmax())
    sample = site.runs[0].samples["sample_id"].iloc[row]
    open_page(page, site, f"/sample?id={sample}&target=sad", sample.rsplit("/", 1)[1])
    page.wait_for_load_state("networkidle")
    box = page.locator(".large .stack").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.6)
    raw = site.runs[0].maps("gradcam").raw(row, site.runs[0].classes.index("sad"))[3, 1]
    shown = page.locator(".map-tip")
    expect(shown).to_contain_text("row 4 of 6, column 2 of 6")
    number = float(shown.inner_text().split()[1].replace("−", "-"))
    assert number == pytest.approx(float(raw), rel=0.01)


@pytest.mark.parametrize(("kind", "start"), [("PNG", b"\x89PNG"), ("SVG", b"<svg")])
def test_a_view_is_saved_as_it_is_seen(page: Page, site: Site, kind: str, start: bytes, tmp_path: Path) -> None:
    open_page(page, site, "/saliency?size=24&target=sad&minus=neutral", "Saliency")
    page.wait_for_load_state("networkidle")
    with page.expect_download() as saved:
        page.get_by_role("button", name=kind, exact=True).click()
    saved.value.save_as(tmp_path / "view")
    content = (tmp_path / "view").read_bytes()
    assert content.startswith(start) and saved.value.suggested_filename == f"saliency.{kind.lower()}"
    if kind == "SVG":
        drawn = content.decode()
        assert drawn.count("<image") == page.locator(f"{CARD} img").count() and 'id="scale-contrast"' in drawn
        assert "blue spoke for sad, orange for neutral" in drawn


def test_a_map_that_cannot_be_computed_says_why(page: Page, site: Site) -> None:
    rows = site.runs[0].samples
    sample = rows.loc[rows["status"] == "ok", "sample_id"].iloc[0]
    open_page(page, site, f"/sample?id={sample}", sample.rsplit("/", 1)[1])
    expect(page.get_by_text("Other methods cannot be computed. The model is not there: pass --model")).to_be_visible()


def test_a_finding_about_a_shortcut_leads_to_its_images(page: Page, site: Site) -> None:
    open_page(page, site, "/", "Overview")
    page.locator(".finding", has_text="A shortcut for sad").get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1, name="Shortcuts")).to_be_visible()
    page.get_by_role("link", name="its images").first.click()
    wait_for_count(page, len(site.runs[0].table("shortcuts")["examples"].iloc[0]))
    page.get_by_role("link", name="Can the maps be trusted?").click()
    expect(page.get_by_text("they depend on what was learned")).to_be_visible()
