"""The three uses on real faces: audited and served by the command line, with the checkpoint that ships."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page, expect

from models import catalogue

pytestmark = [pytest.mark.browser, pytest.mark.realdata]
COMMAND = (sys.executable, "-m", "facevalue")
IMAGES = 150


@dataclass(frozen=True)
class Served:
    """A run's folder and where its dashboard is."""

    folder: Path
    address: str

    @property
    def samples(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "samples.parquet")


@pytest.fixture(scope="module")
def real(fer2013: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    run = tmp_path_factory.mktemp("real") / "run"
    words = [*COMMAND, "audit", fer2013 / "archive.zip", "--metadata", fer2013 / "metadata.csv", "--split", "test"]
    words += ["--limit", IMAGES, "--model", catalogue.shipped()["fer2013-compact"], "--out", run]
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)
    with subprocess.Popen([*COMMAND, "serve", str(run), "--port", "0"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = re.search(r"http://\S+", server.stdout.readline())
        assert said is not None
        yield Served(run, said[0].rstrip("/"))
        server.terminate()


def test_browse_from_a_confusion_to_what_the_model_looked_at(page: Page, real: Served) -> None:
    rows = real.samples
    wrong = rows[rows["label"] != rows["predicted"]].groupby(["label", "predicted"]).size()
    label, predicted = wrong.idxmax()
    page.goto(f"{real.address}/confusions?label={label}&predicted={predicted}")
    cards = page.locator("main a.card")
    expect(cards).to_have_count(int(wrong.max()))
    expect(cards.first.locator(".map")).to_have_js_property("complete", True)
    assert cards.first.locator(".map").evaluate("image => image.naturalWidth") == 48
    cards.first.click()
    expect(page.locator(".sample-id")).to_contain_text("fer")


def test_make_the_report(page: Page, real: Served) -> None:
    page.goto(f"{real.address}/report")
    page.get_by_role("button", name="Make the report").click()
    tile = page.locator(".tile", has_text="Figures for programs")
    expect(tile).to_be_visible(timeout=180_000)
    with page.expect_download() as started:
        tile.get_by_role("link", name="Download").click()
    assert json.loads(Path(started.value.path()).read_text())["n"] == IMAGES


def test_relabel_by_key_and_export(page: Page, real: Served, tmp_path: Path) -> None:
    page.goto(f"{real.address}/review")
    shown = page.locator("#review-desk[data-sample] [data-part=id]")
    expect(shown).not_to_be_empty()
    page.get_by_label("Your name or initials").fill("ab")
    page.get_by_label("Your name or initials").press("Tab")
    page.locator("h1").click()
    expect(page.locator("[data-part=progress] dd").nth(1)).to_have_text("0")
    sample, given = shown.inner_text(), page.locator("[data-part=label]").inner_text()
    classes = json.loads((real.folder / "manifest.json").read_text())["classes"]
    other = next(number for number, name in enumerate(classes) if name != given)
    page.keyboard.press(str(other + 1))
    expect(page.locator("[data-part=saved]")).to_contain_text("Saved")
    with sqlite3.connect(real.folder / "reviews.sqlite") as connection:
        found = connection.execute("SELECT sample_id, old_label, new_label FROM decisions").fetchall()
    connection.close()
    assert found == [(sample, given, classes[other])]
    out = tmp_path / "corrected.csv"
    subprocess.run([*COMMAND, "review", "export", str(real.folder), "--out", str(out)], check=True)
    assert out.read_text().count(f"{sample},") == 1
