"""Use three: relabel, by mouse and by keyboard; nothing decided is lost."""

from __future__ import annotations

import re
import sqlite3
import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Site

pytestmark = pytest.mark.browser
SHOWN = "#review-desk[data-sample] [data-part=id]"
SAVED = "[data-part=saved]"


@pytest.fixture
def desk(page: Page, site: Site, request: pytest.FixtureRequest) -> Page:
    """The Review page, each test under a reviewer of its own and with nothing held by those before."""
    free(site)
    reviewer = request.node.name.removeprefix("test_")[:30]
    open_desk(page, site, "/review")
    page.get_by_label("Your name or initials").fill(reviewer)
    page.get_by_label("Your name or initials").press("Tab")
    page.locator("h1").click()
    expect(page.locator("[data-part=progress] dd").nth(1)).to_have_text("0")
    free(site)
    return page


def free(site: Site) -> None:
    """Nobody holds a picture any more, not even whoever the page took the reviewer for before the name was given."""
    reviews = site.runs[0].folder / "reviews.sqlite"
    if reviews.is_file():
        with sqlite3.connect(reviews) as connection:
            connection.execute("DELETE FROM claims")
        connection.close()


def open_desk(page: Page, site: Site, path: str) -> None:
    page.goto(site.address + path)
    expect(page.locator(SHOWN)).not_to_be_empty()


def press(page: Page, key: str) -> str:
    """Press a key, wait for the next picture; the sample that was decided."""
    desk = page.locator("#review-desk")
    before = str(desk.get_attribute("data-sample"))
    page.keyboard.press(key)
    expect(desk).not_to_have_attribute("data-sample", before)
    return before


def decisions(site: Site, sample: str) -> list[tuple]:
    path: Path = site.runs[0].folder / "reviews.sqlite"
    with sqlite3.connect(path) as connection:
        asked = "SELECT action, old_label, new_label, reviewer, shown FROM decisions WHERE sample_id = ? ORDER BY seq"
        rows = connection.execute(asked, (sample,)).fetchall()
    connection.close()
    return rows


def recorded(site: Site, sample: str, action: str) -> tuple:
    """The last decision on a sample once it is the awaited one: keys may be faster than the disk."""
    deadline = time.monotonic() + 30
    while not ((rows := decisions(site, sample)) and rows[-1][0] == action):
        assert time.monotonic() < deadline, f"{action} of {sample} was never recorded: {rows}"
        time.sleep(0.05)
    return rows[-1]


def test_deciding_by_keys_is_saved_at_once_and_undone(desk: Page, site: Site) -> None:
    given = desk.locator("[data-part=label]").inner_text()
    names = site.runs[0].classes.names
    other = next(name for name in names if name != given)
    first = press(desk, str(names.index(other) + 1))
    expect(desk.locator(SAVED)).to_contain_text(f"Saved: {first.split('/')[-1]}: {given} → {other}")
    assert decisions(site, first)[-1][:3] == ("relabel", given, other)
    second = press(desk, "k")
    expect(desk.locator(SAVED)).to_contain_text(re.compile("^Saved.*kept"))
    assert decisions(site, second)[-1][0] == "keep"
    desk.keyboard.press("u")
    expect(desk.locator(SAVED)).to_have_text("Undone.")
    expect(desk.locator(SHOWN)).to_have_text(second)
    assert [row[0] for row in decisions(site, second)][-2:] == ["keep", "undo"]
    desk.keyboard.press("u")
    expect(desk.locator(SHOWN)).to_have_text(first)
    assert [row[0] for row in decisions(site, first)][-2:] == ["relabel", "undo"]


def test_every_key_does_what_it_says(desk: Page, site: Site) -> None:
    suggested = desk.locator("[data-part=suggested]").inner_text()
    accepted = press(desk, "Enter")
    strange = press(desk, "x")
    skipped = press(desk, "s")
    expect(desk.locator(SAVED)).to_contain_text(re.compile("^Saved.*skipped"))
    assert recorded(site, accepted, "accept")[::2][:2] == ("accept", suggested)
    assert recorded(site, strange, "not_a_face")
    assert recorded(site, skipped, "skip")
    here = desk.locator(SHOWN).inner_text()
    desk.keyboard.press("ArrowLeft")
    expect(desk.locator(SHOWN)).to_have_text(skipped)
    desk.keyboard.press("ArrowRight")
    expect(desk.locator(SHOWN)).to_have_text(here)


def test_a_reason_goes_with_one_decision_and_what_was_seen_stays_seen(desk: Page, site: Site) -> None:
    desk.keyboard.press("n")
    desk.keyboard.type("eyes shut")
    desk.keyboard.press("Enter")
    desk.get_by_label("Blind: show nothing but the picture").click()
    desk.locator("h1").click()
    expect(desk.locator("#review-desk")).to_have_class(re.compile("is-blind"))
    first = press(desk, "x")
    second = press(desk, "x")
    recorded(site, second, "not_a_face")
    with sqlite3.connect(site.runs[0].folder / "reviews.sqlite") as connection:
        asked = "SELECT reason, shown FROM decisions WHERE sample_id = ? ORDER BY seq DESC"
        told = [connection.execute(asked, (sample,)).fetchone() for sample in (first, second)]
    connection.close()
    assert told[0][0] == "eyes shut" and "label" in told[0][1], "the label had been seen before it was hidden"
    assert told[1] == ("", '["image"]')


def test_a_soft_label_is_dealt_out_by_keys(desk: Page, site: Site) -> None:
    first = str(desk.locator("#review-desk").get_attribute("data-sample"))
    for key in ("l", "1", "4", "5", "Backspace", "1"):
        desk.keyboard.press(key)
    names = site.runs[0].classes.names
    expect(desk.locator("[data-part=soft-words]")).to_have_text(f"{names[0]} 67%, {names[3]} 33%")
    assert press(desk, "Enter") == first
    assert recorded(site, first, "soft")[2] is None
    expect(desk.locator("[data-part=soft]")).not_to_be_visible()
    desk.keyboard.press("l")
    expect(desk.locator("[data-part=soft]")).to_be_visible()
    desk.keyboard.press("Escape")
    expect(desk.locator("[data-part=soft]")).not_to_be_visible()


def test_going_to_another_page_by_keys_decides_nothing(desk: Page, site: Site) -> None:
    first = str(desk.locator("#review-desk").get_attribute("data-sample"))
    desk.keyboard.press("g")
    desk.keyboard.press("s")
    expect(desk.get_by_role("heading", level=1, name="Saliency")).to_be_visible()
    assert not decisions(site, first)


def test_deciding_by_mouse(desk: Page, site: Site) -> None:
    first = desk.locator(SHOWN).inner_text()
    desk.get_by_role("button", name="Accept suggestion").click()
    expect(desk.locator(SHOWN)).not_to_have_text(first)
    expect(desk.locator(SAVED)).to_contain_text("Saved")
    assert decisions(site, first)[-1][0] == "accept"
    desk.get_by_role("button", name="Undo").click()
    expect(desk.locator(SHOWN)).to_have_text(first)
    desk.get_by_role("button", name="neutral").first.click()
    expect(desk.locator(SHOWN)).not_to_have_text(first)
    expect(desk.locator(SAVED)).to_contain_text("Saved")
    assert decisions(site, first)[-1][0] in ("relabel", "keep")


def test_the_record_says_what_was_shown_and_blind_shows_nothing(desk: Page, site: Site) -> None:
    open_one = press(desk, "1")
    expect(desk.locator(SAVED)).to_contain_text("Saved")
    assert {"image", "label", "suggestion", "probabilities", "map"} <= set(_shown(site, open_one))
    desk.get_by_label("Blind: show nothing but the picture").click()
    desk.locator("h1").click()
    expect(desk.locator("#review-desk.is-blind")).to_be_visible()
    expect(desk.locator("[data-part=label]")).not_to_be_visible()
    expect(desk.locator("[data-part=map]")).not_to_be_visible()
    expect(desk.locator("[data-part=id]")).to_have_text("")
    assert "id=" not in desk.url, "a name often holds the label"
    desk.keyboard.press("Enter")
    press(desk, "2")
    blind = press(desk, "2")
    expect(desk.locator(SAVED)).to_contain_text(f"Saved: {blind.split('/')[-1]}")
    assert _shown(site, blind) == ["image"]


def _shown(site: Site, sample: str) -> list[str]:
    import json

    return json.loads(decisions(site, sample)[-1][4])


def test_a_dead_server_loses_no_decision(desk: Page, site: Site) -> None:
    failing = {"now": True}

    def maybe(route: Route) -> None:
        route.abort() if failing["now"] else route.continue_()

    desk.route("**/reviewing/*/decide", maybe)
    first = press(desk, "1")
    second = press(desk, "2")
    expect(desk.locator(SAVED)).to_contain_text("wait")
    assert not decisions(site, first) and not decisions(site, second)
    failing["now"] = False
    desk.goto(site.address + "/")
    expect(desk.get_by_role("heading", level=1, name="Overview")).to_be_visible()
    desk.wait_for_function("() => localStorage.getItem('facevalue-outbox') === '[]'")
    assert len(decisions(site, first)) == len(decisions(site, second)) == 1


REFUSING = """answers => {
  const asking = window.fetch;
  window.fetch = (address, options) => {
    const [part, status, error] = answers[0] || [null];
    if (!part || !String(address).includes(part)) return asking(address, options);
    answers.shift();
    return Promise.resolve(new Response(JSON.stringify({ error }), { status }));
  };
}"""
"""Answers the next requests to addresses with a part as it is told, in their order; the others reach the server."""


def test_a_database_that_does_not_answer_loses_no_decision(desk: Page, site: Site) -> None:
    desk.evaluate(REFUSING, [["/decide", 503, "The review database does not answer."], ["/decide", 400, "No."]])
    first = press(desk, "k")
    expect(desk.locator(SAVED)).to_contain_text("waits to be saved")
    expect(desk.locator(SAVED)).to_have_text("No.")  # what is refused is said, and asked again
    assert not decisions(site, first)
    desk.keyboard.press("ArrowLeft")
    expect(desk.locator(SHOWN)).to_have_text(first)
    press(desk, "k")
    expect(desk.locator(SAVED)).to_contain_text(re.compile("^Saved.*kept"))
    assert recorded(site, first, "keep")


def test_decisions_of_another_run_wait_for_it(desk: Page, site: Site) -> None:
    other = [{"run": "another", "what": "decide", "body": {"id": "0" * 32, "sample_id": "a.png", "action": "keep"}}]
    desk.evaluate("other => localStorage.setItem('facevalue-outbox', JSON.stringify(other))", other)
    desk.evaluate(REFUSING, [["/another/", 404, "There is nothing at this address."]])
    first = press(desk, "k")
    expect(desk.locator(SAVED)).to_contain_text(re.compile("^Saved.*kept"))
    assert recorded(site, first, "keep")
    assert desk.evaluate("JSON.parse(localStorage.getItem('facevalue-outbox'))") == other


def test_undo_takes_back_the_last_decision_after_looking_back(desk: Page, site: Site) -> None:
    first, second = press(desk, "k"), press(desk, "k")
    expect(desk.locator(SAVED)).to_contain_text(re.compile("^Saved.*kept"))
    desk.keyboard.press("ArrowLeft")
    expect(desk.locator(SHOWN)).to_have_text(second)
    expect(desk.locator(SAVED)).to_contain_text("Decided:")
    desk.keyboard.press("ArrowRight")
    expect(desk.locator(SHOWN)).not_to_have_text(second)
    expect(desk.locator(SAVED)).to_be_empty()  # what was decided is said of the other picture
    desk.keyboard.press("u")
    expect(desk.locator(SAVED)).to_have_text("Undone.")
    expect(desk.locator(SHOWN)).to_have_text(second)
    assert recorded(site, second, "undo") and recorded(site, first, "keep")


def test_an_answer_lost_on_the_way_records_once(desk: Page, site: Site) -> None:
    lost = {"next": True}

    def lose(route: Route) -> None:
        route.fetch()
        if lost["next"]:
            lost["next"] = False
            route.abort()
        else:
            route.continue_()

    desk.route("**/reviewing/*/decide", lose)
    first = press(desk, "1")
    expect(desk.locator(SAVED)).to_contain_text("Saved")
    assert len(decisions(site, first)) == 1


def test_a_cell_of_the_matrix_is_a_queue(desk: Page, site: Site) -> None:
    samples = site.runs[0].samples
    left = samples["sample_id"].map(lambda name: not decisions(site, name))
    wrong = samples[left & samples["label"].notna() & (samples["label"] != samples["predicted"])]
    label, predicted = wrong.groupby(["label", "predicted"]).size().idxmax()
    open_desk(desk, site, f"/review?queue=confusion&label={label}&predicted={predicted}")
    row = samples.set_index("sample_id").loc[desk.locator(SHOWN).inner_text()]
    assert (row["label"], row["predicted"]) == (label, predicted)


def test_a_sample_can_be_opened_by_its_address(page: Page, site: Site) -> None:
    sample = str(site.runs[0].samples.loc[site.runs[0].samples["status"] == "ok", "sample_id"].iloc[17])
    open_desk(page, site, f"/review?id={sample}")
    expect(page.locator(SHOWN)).to_have_text(sample)


def test_an_empty_queue_is_said(page: Page, site: Site) -> None:
    page.goto(site.address + "/review?queue=search&text=nobody")
    expect(page.get_by_text("Nothing is left in this queue.")).to_be_visible()


def test_many_alike_at_once(desk: Page, site: Site) -> None:
    desk.keyboard.press("b")
    cards = desk.locator("#look-alikes .choice")
    expect(cards.first).to_be_visible()
    chosen = [str(cards.nth(k).get_attribute("title")) for k in (0, 1)]
    cards.nth(0).press("Space")
    cards.nth(1).click()
    desk.locator("#look-alikes").get_by_role("button", name="happy").click()
    expect(desk.locator(SAVED)).to_contain_text("Saved: 2 pictures")
    for sample in chosen:
        assert recorded(site, sample, "relabel")[2] == "happy"
    desk.keyboard.press("u")
    expect(desk.locator(SAVED)).to_have_text("Undone.")
    for sample in chosen:
        assert recorded(site, sample, "undo")


def test_copies_are_decided_together(desk: Page, site: Site) -> None:
    names = desk.evaluate("fetch('/reviewing/drawn/queue?reviewer=copier').then((answer) => answer.json())")["queue"][
        :2
    ]
    faces = [{"sample_id": name, "label": "sad", "face": "/media/drawn/image/none.png"} for name in names]
    desk.route("**/reviewing/*/together?*", lambda route: route.fulfill(json={"together": faces}))
    desk.route("**/media/drawn/image/none.png", lambda route: route.fulfill(body=b"", content_type="image/png"))
    as_copies = re.compile(r"/reviewing/\w+/queue\?.*queue=duplicates")
    desk.route(as_copies, lambda route: route.continue_(url=route.request.url.replace("duplicates", "likely_wrong")))
    open_desk(desk, site, "/review?queue=duplicates")
    expect(desk.locator("#look-alikes .choice[aria-pressed=true]")).to_have_count(2)
    desk.locator("h1").click()
    desk.keyboard.press("4")
    for sample in names:
        assert recorded(site, sample, "relabel")


def test_a_decision_counts_and_the_page_says_what_it_learned(desk: Page) -> None:
    for _ in range(3):
        press(desk, "Enter")
    expect(desk.locator("[data-part=progress] dd").nth(1)).to_contain_text("3")
    expect(desk.locator("[data-part=progress]")).to_contain_text("95% interval")
