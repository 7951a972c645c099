"""The dashboard: its first page, its callbacks, a page of 60 maps after a filter change, the next picture in review.

Bars: first page within 3 s of the process's start without torch; median callback under 150 ms on PublicTest; 60 maps
of a 32,000-sample run within 300 ms of a filter change and the next picture within 100 ms of a key, both medians in
Chromium.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from audit.run import AuditRun
from benchmarks._real import faces_folder
from dashboard.app import show, update
from dashboard.pages import PAGES, confusions, fairness, saliency
from dashboard.state import Site
from faces.readers import open_dataset
from models import catalogue
from tests.conftest import ROOT
from tests.dashboard_runs import make_run_of

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
TIMES = 15


@contextmanager
def served(run: Path) -> Iterator[tuple[str, float, int]]:
    """`facevalue serve` in a process of its own: its address, the seconds to its first page, and its process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.perf_counter()
    command = [sys.executable, "facevalue.py", "serve", str(run), "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).read()
                break
            except OSError:
                if process.poll() is not None or time.perf_counter() - started > 60:
                    sys.exit("the server did not start")
                time.sleep(0.02)
        yield address, time.perf_counter() - started, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def audited(faces: Path, out: Path) -> AuditRun:
    """PublicTest's run with the shipped checkpoint."""
    words = ["audit", faces / "archive.zip", "--metadata", faces / "metadata.csv", "--split", "test", "--out", out]
    words += ["--model", catalogue.shipped()["fer2013-compact"]]
    subprocess.run([sys.executable, "facevalue.py", *map(str, words)], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return AuditRun.open(out)


def loads_torch(pid: int) -> bool:
    """Whether a process has torch's libraries mapped."""
    return "libtorch" in Path(f"/proc/{pid}/maps").read_text()


def callbacks(run: AuditRun) -> list[float]:
    """Milliseconds of every page and of filter changes, as JSON, after the first call of each."""
    from dash._utils import to_json

    site = Site.of([run])
    sample = run.samples["sample_id"].iloc[0]
    calls: list[Callable[[], object]] = [
        *(lambda page=page: show(site, page.PATH, "light", f"?id={sample}") for page in PAGES),
        lambda: update(site, saliency, "?label=sad&correct=wrong", "/saliency", "light"),
        lambda: update(site, saliency, "?page=7&target=sad-minus-neutral", "/saliency", "light"),
        lambda: update(site, confusions, "?label=fear&predicted=surprise", "/confusions", "light"),
        lambda: update(site, fairness, "?attribute=apparent_race&metric=precision", "/fairness", "light"),
    ]
    spent = []
    for call in calls:
        to_json(call())
        for _ in range(5):
            start = time.perf_counter()
            to_json(call())
            spent.append(1000 * (time.perf_counter() - start))
    return spent


def maps_shown(page: Page, address: str) -> list[float]:
    """Milliseconds from a change of a filter until the 60 maps and faces of its page are complete."""
    page.goto(f"{address}/saliency")
    page.locator("main a.card").nth(59).wait_for()
    spent = []
    for change in CHANGES * 3:
        page.wait_for_timeout(700)
        spent.append(page.evaluate(WAIT_FOR_MAPS, change))
    return spent


CHANGES: tuple[dict[str, str | None], ...] = (
    {"label": "sad"},
    {"label": "happy"},
    {"region": "mouth", "share": "0.2..1"},
    {"region": None, "share": None, "label": None, "map_cluster": "fear 1"},
    {"map_cluster": None, "predicted": "neutral", "correct": "wrong"},
    {"predicted": None, "correct": "right", "confidence": "0.5..1"},
    {"correct": None, "confidence": None, "label": "angry"},
)
"""One after the other: labels, where maps lie, what they are like, and the prediction."""
WAIT_FOR_MAPS = """changes => new Promise(resolve => {
  const start = performance.now();
  const old = new Set(document.querySelectorAll('main a.card img'));
  const sources = new Set([...old].map(image => image.src));
  facevalue.setParameters(changes);
  const look = () => {
    const images = [...document.querySelectorAll('main a.card img')];
    const fresh = images.length >= 120 && images.every(image => image.complete && image.naturalWidth);
    if (fresh && images.some(image => !sources.has(image.src))) resolve(performance.now() - start);
    else requestAnimationFrame(look);
  };
  look();
})"""


def next_shown(page: Page, address: str) -> list[float]:
    """Milliseconds from a key that decides until the next picture is complete."""
    page.goto(f"{address}/review")
    page.wait_for_selector("#review-desk[data-sample]")
    spent = []
    for _ in range(TIMES):
        page.wait_for_timeout(700)
        spent.append(page.evaluate(WAIT_FOR_NEXT))
    return spent


WAIT_FOR_NEXT = """() => new Promise(resolve => {
  const desk = document.getElementById('review-desk');
  const before = desk.dataset.sample;
  const face = desk.querySelector('[data-part=face]');
  const start = performance.now();
  document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'k', bubbles: true }));
  const look = () => {
    if (desk.dataset.sample !== before && face.complete && face.naturalWidth) resolve(performance.now() - start);
    else requestAnimationFrame(look);
  };
  look();
})"""


def report(what: str, value: float, bar: float, unit: str) -> bool:
    holds = value <= bar
    print(f"{what}: {value:,.2f} {unit} (bar {bar:g} {unit}): {'holds' if holds else 'MISSED'}", flush=True)
    return holds


def main() -> int:
    chromium = os.environ.get("FACEVALUE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    folder = faces_folder()
    everything = open_dataset(folder / "archive.zip", folder / "metadata.csv")
    with tempfile.TemporaryDirectory() as scratch:
        public = audited(folder, Path(scratch) / "public")
        large = make_run_of(everything, Path(scratch) / "large", read=False)
        results = [report("median callback on PublicTest", statistics.median(callbacks(public)), 150, "ms")]
        with served(public.folder) as (address, seconds, pid):
            results.append(report("first page after the process's start", seconds, 3, "s"))
            results.append(not loads_torch(pid))
            print(f"torch in the serving process: {'no' if results[-1] else 'YES'}", flush=True)
            if chromium:
                results.append(report("next picture after a key", median_in(chromium, next_shown, address), 100, "ms"))
        if chromium:
            with served(large.folder) as (address, *_):
                spent = median_in(chromium, maps_shown, address)
                results.append(
                    report(f"60 maps of {len(large.samples):,} samples after a filter change", spent, 300, "ms")
                )
        else:
            print("no Chromium was found: the browser's bars were not measured", flush=True)
            results.append(False)
    return 0 if all(results) else 1


def median_in(chromium: str, measure: Callable[[Page, str], list[float]], address: str) -> float:
    """The median of a measurement in a browser of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(120_000)
        spent = measure(page, address)
        browser.close()
    print(f"  ({', '.join(f'{value:.0f}' for value in sorted(spent))} ms)", flush=True)
    return statistics.median(spent)


if __name__ == "__main__":
    sys.exit(main())
