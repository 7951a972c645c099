"""Every page, called as a plain function and served; the process never loads torch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dash import no_update
from dash.development.base_component import Component

from audit.predictions import audit_predictions
from audit.run import AuditRun
from dashboard import app as dashboard_app
from dashboard.app import create_app, show, update
from dashboard.groups import Chosen
from dashboard.pages import PAGES, confusions, fairness, overview, report, saliency
from dashboard.state import Site, View, view_of
from faces.errors import InputError
from tests.dashboard_runs import make_run

LEADS = ("attribute", "group", "label", "reference", "confidence")
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> AuditRun:
    return make_run(tmp_path_factory.mktemp("pages"), n=120)


@pytest.fixture(scope="module")
def site(run: AuditRun) -> Site:
    return Site.of([run])


def at(site: Site, search: str = "") -> View:
    view = view_of(site, search, "light")
    assert view is not None
    return view


def parts(component: object) -> Iterator[Component]:
    """A component and everything in it."""
    for item in component if isinstance(component, list | tuple) else [component]:
        if isinstance(item, Component):
            yield item
            yield from parts(getattr(item, "children", None))


def markup(component: Component) -> str:
    """The HTML that the browser puts into a component by itself."""
    return str(component.to_plotly_json()["props"].get("data-html", ""))


def text(component: object) -> str:
    if isinstance(component, Component):
        return text(getattr(component, "children", "")) + unescape(re.sub("<[^>]*>", " ", markup(component)))
    if isinstance(component, list | tuple):
        return " ".join(text(item) for item in component)
    return "" if component is None else str(component)


def links(component: object) -> list[str]:
    found = [part.href for part in parts(component) if getattr(part, "href", None)]
    placed = (re.findall('href="([^"]*)"', markup(part)) for part in parts(component))
    return [*found, *(unescape(link) for block in placed for link in block)]


@pytest.mark.parametrize("theme", ["light", "dark", None])
@pytest.mark.parametrize("page", [page for page in PAGES if page.ICON], ids=lambda page: page.TITLE)
def test_every_page_has_its_heading_and_no_failure(site: Site, page, theme: str | None) -> None:
    content, nav, switch = show(site, page.PATH, theme, "")
    assert page.TITLE in text(content)
    assert "failed" not in text(content) and "cannot be shown" not in text(content)
    marked = [part for part in nav if "aria-current" in part.to_plotly_json()["props"]]
    assert len(marked) == (1 if page.PATH != "/compare" else 0)
    assert "drawn" in text(switch)


def test_every_finding_leads_to_a_page(site: Site, run: AuditRun) -> None:
    paths = {path for page in PAGES for path in (page.PATH, *getattr(page, "ALSO", ()))}
    for finding in run.findings:
        assert finding.link.partition("?")[0] in paths
        content, _, _ = show(site, finding.link.partition("?")[0], "light", finding.link.partition("?")[2])
        assert "failed" not in text(content)


def test_the_overview_tells_findings_and_figures_with_their_intervals(site: Site, run: AuditRun) -> None:
    words = text(overview.layout(at(site)))
    for finding in run.findings:
        assert finding.title in words and finding.detail in words
    ok = run.samples[run.samples["status"] == "ok"]
    assert f"{100 * (ok['label'] == ok['predicted']).mean():.1f}%" in words
    assert f"{len(ok):,} images" in words and "95% interval" in words


@pytest.mark.parametrize("kind", ["labels", "probabilities", "no attributes"])
def test_a_table_of_predictions_has_every_page_but_no_pictures(tmp_path: Path, kind: str) -> None:
    site = Site.of([predictions_run(tmp_path, kind)])
    for page in PAGES:
        search = "?id=0" if page.PATH == "/sample" else ""
        words = text(show(site, page.PATH, "light", search)[0])
        assert "failed" not in words
    assert "no images" in text(saliency.layout(at(site)))


def predictions_run(folder: Path, kind: str) -> AuditRun:
    rng, names = np.random.default_rng(0), np.array(["angry", "happy", "sad"])
    label = rng.integers(0, 3, 400)
    table = pd.DataFrame({"label": names[label], "group": np.array(["a", "b"])[rng.integers(0, 2, 400)]})
    probabilities = rng.dirichlet(np.ones(3), 400) + 0.5 * np.eye(3)[label]
    table["predicted"] = names[probabilities.argmax(axis=1)]
    if kind != "labels":
        table[[f"prob_{name}" for name in names]] = probabilities / probabilities.sum(axis=1, keepdims=True)
    if kind == "no attributes":
        table = table.drop(columns="group")
    table.to_csv(folder / "table.csv", index=False)
    return AuditRun.open(audit_predictions(folder / "table.csv", folder / "run").folder)


def test_a_page_that_fails_says_so_and_leaves_the_others_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "layout", lambda view: 1 / 0)
    content, nav, _ = show(site, "/", "light", "")
    assert "failed" in text(content) and len(nav) > 3


def test_a_region_answers_only_for_its_own_page(site: Site) -> None:
    assert update(site, saliency, "?label=sad", "/saliency", "light")[0] is not no_update
    assert update(site, saliency, "?label=sad", "/confusions", "light") == [no_update] * len(saliency.REGIONS)
    assert update(site, saliency, "?run=nothing", "/saliency", "light") == [no_update] * len(saliency.REGIONS)


def test_unknown_addresses_and_runs_are_answered_in_words(site: Site) -> None:
    assert "no page" in text(show(site, "/nothing", "light", "")[0])
    assert "drawn" in text(show(site, "/", "light", "?run=other")[0])
    assert "no sample" in text(show(site, "/sample", "light", "?id=x")[0])


def test_the_chosen_cells_are_those_of_the_address(site: Site, run: AuditRun) -> None:
    names = run.classes.names
    sad, neutral = names.index("sad"), names.index("neutral")
    chosen = confusions.chosen_cells(at(site, "label=sad,neutral&predicted=sad,neutral&correct=wrong"), names)
    assert set(chosen) == {(sad, neutral), (neutral, sad)}
    assert confusions.chosen_cells(at(site), names) == []
    assert len(confusions.chosen_cells(at(site, "label=sad"), names)) == len(names)


def test_a_cell_s_share_is_counted_from_the_matrix(site: Site) -> None:
    view = at(site, "label=fear&predicted=surprise")
    counts = view.served.counts()
    i, j = counts.classes.index("fear"), counts.classes.index("surprise")
    words = confusions.cell_share(counts, [(i, j)])
    assert words.startswith(f"{counts.confusion[i, j]} of {counts.confusion[i].sum()} images")


def test_every_point_of_the_fairness_page_leads_to_images(site: Site) -> None:
    body = fairness.body(at(site, "attribute=apparent_gender"))
    assert any("attribute=apparent_gender&group=woman" in link for link in links(body))
    figures = [part for part in parts(body) if part._type == "Graph"]
    assert {figure.id["to"] for figure in figures} == {"/saliency"}
    for figure in figures:
        for trace in figure.figure.data:
            if trace.customdata is not None and trace.hoverinfo != "skip":
                first = np.asarray(trace.customdata, dtype=object).ravel()[0]
                assert {"attribute", "group"} <= set(first) and set(first) <= {*LEADS}


def test_another_reference_is_counted_anew_and_not_tested(site: Site) -> None:
    own = Chosen.of(at(site, "attribute=apparent_gender")).reference
    other = next(name for name in ("woman", "man") if name != own)
    chosen = Chosen.of(at(site, f"attribute=apparent_gender&reference={other}"))
    frame = fairness.compared(chosen)
    assert set(frame["reference"]) == {other} and set(frame["group"]) == {own}
    assert frame["p_adjusted"].isna().all()
    usual = Chosen.of(at(site, "attribute=apparent_gender"))
    declared = fairness.compared(usual)
    accuracy = [float(part.loc[part["metric"] == "accuracy", "difference"].iloc[0]) for part in (frame, declared)]
    assert accuracy[0] == pytest.approx(-accuracy[1])
    assert chosen.parts()["composition"].iloc[0] == pytest.approx(-usual.parts()["composition"].iloc[0])
    raw = [side.views().query("view == 'raw'")["difference"].dropna().iloc[0] for side in (chosen, usual)]
    assert raw[0] == pytest.approx(-raw[1])


def test_the_smallest_group_marks_groups_and_hides_none(site: Site) -> None:
    view = at(site, "attribute=apparent_gender&minimum=100000")
    chosen = Chosen.of(view)
    for frame in (chosen.groups(), chosen.disparities(), chosen.parts(), chosen.views()):
        assert len(frame) and frame["too_small"].all()
    words = text(fairness.body(view))
    assert "(too small)" in words and "woman" in words and "man" in words
    small = [row for row in frame.to_dict("records") if row["too_small"]]
    assert small and {fairness._judged(row, "accuracy") for row in small} == {"too small"}


def test_remedies_are_explored_for_the_emotion_that_is_chosen(tmp_path: Path) -> None:
    site = Site.of([predictions_run(tmp_path, "probabilities")])
    words = text(fairness.body(at(site, "explore=happy")))
    assert "equalized odds" in words and "balance_groups" in words and "Exploration, no advice" in words
    (tmp_path / "bare").mkdir()
    bare = Site.of([predictions_run(tmp_path / "bare", "labels")])
    assert "no probabilities" in text(fairness.body(at(bare, "explore=happy")))


def test_the_report_is_made_and_offered(site: Site, run: AuditRun) -> None:
    assert "No report yet" in text(report.made(site.served[0]))
    made = report.make(site, 1, False, "", "happy", "happy")
    assert any(link.endswith("/report/drawn/report.html") for link in links(made))
    client = create_app([run]).server.test_client()
    page = client.get("/report/drawn/report.html", buffered=True)
    assert page.status_code == 200 and "sandbox" in page.headers["Content-Security-Policy"]
    attached = client.get("/report/drawn/report.json?download=1", buffered=True)
    assert "attachment" in attached.headers["Content-Disposition"] and json.loads(attached.data)["schema"] == 1
    for name in ("manifest.json", "..%2fmanifest.json", "report.exe"):
        assert client.get(f"/report/drawn/{name}").status_code == 404


def test_equal_folder_names_get_addresses_of_their_own(run: AuditRun) -> None:
    site = Site.of([run, run])
    assert [served.slug for served in site.served] == ["drawn", "drawn~2"]
    view = at(site, "run=drawn~2")
    assert view.href("/saliency", label="sad") == "/saliency?label=sad&run=drawn~2"
    with pytest.raises(InputError, match="at least one run"):
        Site.of([])


def test_a_taken_port_is_said(run: AuditRun) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="another --port"):
            dashboard_app.serve([run], port=taken.getsockname()[1])


def test_no_page_loads_torch(run: AuditRun) -> None:
    """Index, layout, every page and every picture route, in a process of their own."""
    code = f"""
import sys
from audit.predictions import audit_predictions
from audit.run import AuditRun
from dashboard.app import create_app, show, update
from dashboard.media import Pictures, face_address, map_address
from dashboard.pages import PAGES
from dashboard.state import Site
run = AuditRun.open({str(run.folder)!r})
site, client = Site.of([run]), create_app([run]).server.test_client()
sample = run.samples["sample_id"].iloc[0]
assert client.get("/").status_code == client.get("/_dash-layout").status_code == 200
for page in PAGES:
    search = f"?id={{sample}}" if page.PATH == "/sample" else ""
    assert "failed" not in str(show(site, page.PATH, "light", search))
    if hasattr(page, "REGIONS"):
        update(site, page, search, page.PATH, "dark")
assert client.get(face_address("drawn", Pictures(run), sample)).status_code == 200
assert client.get(map_address("drawn", Pictures(run), "gradcam", "sad", sample)).status_code == 200
sys.exit("torch" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT).returncode == 0
