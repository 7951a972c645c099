"""Maps on the pages: chosen by where they lie, computed on demand, compared; what is unchecked is said."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from werkzeug.test import TestResponse

from audit.run import AuditRun
from audit.worker import Worker
from dashboard import atlas, computed
from dashboard.app import create_app
from dashboard.atlas import Side
from dashboard.components import gallery
from dashboard.media import MINUS, array_address, map_address
from dashboard.pages import atlas as atlas_page
from dashboard.pages import confusions, regions, saliency, sample, sample_maps, shortcuts, trust
from dashboard.query import Query
from dashboard.selection import rows_of
from dashboard.state import Served, Site, View, view_of
from faces.errors import InputError
from tests.dashboard_runs import make_run
from tests.integration.test_dashboard_pages import links, text


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> AuditRun:
    return make_run(tmp_path_factory.mktemp("saliency"), n=90)


@pytest.fixture(scope="module")
def site(run: AuditRun) -> Site:
    return Site.of([run])


@pytest.fixture(scope="module")
def bare(run: AuditRun, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The same run, as an audit leaves it that was told not to check its maps."""
    folder = shutil.copytree(run.folder, tmp_path_factory.mktemp("bare") / "bare")
    for name in ("faithfulness", "randomisation", "stability", "shortcuts", "saliency_ablation", "saliency_pairs"):
        (folder / "results" / f"{name}.parquet").unlink()
    return Site.of([AuditRun.open(folder)])


@pytest.fixture(scope="module")
def mistake(run: AuditRun) -> str:
    rows = run.samples
    return str(rows.loc[(rows["status"] == "ok") & (rows["label"] != rows["predicted"]), "sample_id"].iloc[0])


def at(site: Site, search: str = "") -> View:
    view = view_of(site, search, "light")
    assert view is not None
    return view


def loaded(answer: TestResponse) -> np.ndarray:
    assert answer.status_code == 200
    return np.load(io.BytesIO(answer.data), allow_pickle=False)


class Counting(Worker):
    """A worker that has no child: it counts what it is asked and answers with one map."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []

    def saliency(self, run: Path, sample_id: str, method: str, target: str, *place: object) -> np.ndarray:  # type: ignore[override]
        self.asked.append((method, target))
        return np.arange(16, dtype=np.float32).reshape(4, 4) - 3


def test_a_selection_by_region_and_by_cluster(site: Site, run: AuditRun) -> None:
    samples, rows = site.served[0].samples, run.samples
    for least in (0.1, 0.2):
        found = rows_of(samples, Query.parse(f"region=mouth&share={least}..1"))
        assert found.tolist() == rows.index[rows["share_mouth"].between(least, 1)].tolist()
    assert len(rows_of(samples, Query.parse("share=0.5..1"))) == len(rows)
    assert len(rows_of(samples, Query.parse("region=nothing&share=0.5..1"))) == len(rows)
    alike = rows_of(samples, Query.parse("map_cluster=sad 2"))
    assert alike.tolist() == rows.index[rows["map_cluster"] == "sad 2"].tolist()
    examples = rows_of(samples, Query.parse("shortcut=0"))
    assert set(rows["sample_id"].iloc[examples]) == set(run.table("shortcuts")["examples"].iloc[0])
    for number in ("9", "x", "-1"):
        assert not len(rows_of(samples, Query({"shortcut": number})))


def test_the_region_can_order_the_gallery(site: Site) -> None:
    view = at(site, "region=eyes&sort=-share_eyes")
    assert ("-share_eyes", "most on the eyes first") in saliency.orders(view)
    assert "-share_eyes" not in dict(saliency.orders(at(site)))
    assert len(rows_of(view.served.samples, view.query)) == len(view.run.samples)


@pytest.mark.parametrize(
    ("search", "target"),
    [
        ("target=sad&minus=neutral", "sad-minus-neutral"),
        ("minus=label", "predicted-minus-label"),
        ("target=sad-minus-neutral&minus=fear", "sad-minus-neutral"),
        ("target=sad&minus=sad", "predicted"),
        ("target=sad&minus=nobody", "predicted"),
    ],
)
def test_any_two_classes_can_be_set_against_each_other(site: Site, search: str, target: str) -> None:
    look = gallery.look_of(at(site, search))
    assert look.target == target
    assert ("blue spoke for" in look.sentence()) == (MINUS in target)


def test_a_shared_scale_is_said_with_its_value(site: Site) -> None:
    view = at(site, "scaling=shared")
    limit = view.served.pictures.shared_limit("gradcam", "predicted")
    assert f"one limit for all ({limit:.3g}" in gallery.sentence(view, gallery.look_of(view))


def test_raw_values_are_a_file(site: Site, run: AuditRun, mistake: str) -> None:
    client = create_app([run]).server.test_client()
    store, row = run.maps("gradcam"), run.row_of[mistake]
    found = loaded(client.get(array_address("drawn", "gradcam", "sad-minus-fear", mistake)))
    names = run.classes.names
    np.testing.assert_allclose(found, store.raw(row, names.index("sad")) - store.raw(row, names.index("fear")))
    assert found.dtype == np.float32
    assert client.get(array_address("drawn", "gradcam", "sad", "nobody")).status_code == 404
    assert client.get(array_address("drawn", "gradcam", "bored", mistake)).status_code == 404
    side = Side(site.served[0], Query({"label": "sad"}))
    mean = loaded(client.get("/atlas/drawn/map.npy?label=sad&method=gradcam&target=fear"))
    np.testing.assert_allclose(mean, atlas.mean_map(side, "gradcam", "fear")[0], rtol=1e-5)
    assert client.get("/atlas/drawn/map.npy?method=none").status_code == 404


def test_what_cannot_be_computed_says_what_to_pass(site: Site, run: AuditRun, mistake: str) -> None:
    reason = computed.unavailable(site.served[0])
    assert reason is not None and "pass --model" in reason
    assert computed.offered(site.served[0]) == ()
    assert "pass --model" in text(sample_maps.methods(at(site, f"id={mistake}"), gallery.look_of(at(site))))
    answer = create_app([run]).server.test_client().get(array_address("drawn", "occlusion", "sad", mistake))
    assert answer.status_code == 404 and b"pass --model" in answer.data
    table = AuditRun(run.folder, {**run.manifest, "model": None})
    assert "no model to ask" in str(computed.unavailable(Served("table", table)))


def test_a_map_is_computed_once(run: AuditRun, mistake: str) -> None:
    worker = Counting()
    asking = Site(Site.of([run], model="somewhere").served, worker)
    served = asking.served[0]
    assert "occlusion" in computed.offered(served) and "gradcam" not in computed.offered(served)
    own = run.samples["predicted"].iloc[run.row_of[mistake]]
    for target in ("predicted", own):
        shown = computed.map_of(asking, served, "occlusion", target, mistake, "own")
        assert shown.limit == 12 and not shown.contrast
    contrast = computed.map_of(asking, served, "occlusion", f"{own}{MINUS}label", mistake, "own")
    label = run.samples["label"].iloc[run.row_of[mistake]]
    assert contrast.contrast and worker.asked == [("occlusion", own), ("occlusion", f"{own}{MINUS}{label}")]
    computed.map_of(asking, served, "gradcam", "sad", mistake, "own")
    assert len(worker.asked) == 2
    with pytest.raises(InputError, match="no map for 'bored'"):
        computed.map_of(asking, served, "occlusion", "bored", mistake, "own")


def test_the_sample_page_asks_for_maps_that_are_not_stored(run: AuditRun, mistake: str) -> None:
    asking = Site.of([run], model="somewhere")
    served = asking.served[0]
    page = str(sample.layout(at(asking, f"id={mistake}&also=rise&method=occlusion")))
    for method in ("rise", "occlusion"):
        assert map_address(served.slug, served.pictures, method, "predicted", mistake) in page
    offers = links(sample.layout(at(asking, f"id={mistake}&also=rise")))
    assert any("also=occlusion%2Crise" in link for link in offers)


def test_the_sample_page_tells_regions_and_trust(site: Site, mistake: str) -> None:
    words = text(sample.layout(at(site, f"id={mistake}")))
    assert "Regions of the face" in words and "Can these maps be trusted?" in words
    assert "Raw values from" in words


def test_every_check_has_its_verdict(site: Site) -> None:
    words = text(trust.layout(at(site)))
    assert "Grad-CAM tell more than a blob" in words and "LayerCAM cannot be told from such a blob" in words
    assert "they depend on what was learned" in words and "keeps its map" in words


def test_what_was_not_checked_is_said(bare: Site, mistake: str) -> None:
    for page in (trust, shortcuts, regions):
        words = text(page.layout(at(bare)))
        assert "ould not be checked, because the audit did not run the model again" in words
    assert "could not be checked, because" in text(sample.layout(at(bare, f"id={mistake}")))


def test_coarse_maps_have_no_regions(run: AuditRun, tmp_path: Path) -> None:
    folder = shutil.copytree(run.folder, tmp_path / "coarse")
    values = np.load(folder / "saliency" / "gradcam.npy")
    np.save(folder / "saliency" / "gradcam.npy", values[:, :, :4, :4])
    for name in ("saliency_regions", "shortcuts"):
        (folder / "results" / f"{name}.parquet").unlink()
    site = Site.of([AuditRun.open(folder)])
    for page in (regions, shortcuts):
        assert "maps of 4x4 places are coarser than 6x6" in text(page.layout(at(site)))


def test_a_shortcut_leads_to_its_images_and_shows_examples(site: Site, run: AuditRun) -> None:
    page = shortcuts.layout(at(site, "predicted=sad"))
    words = text(page)
    assert "A shortcut: 20 images look at the lower right" in words and "No shortcut: 10 images" in words
    groups = run.samples.loc[run.samples["predicted"] == "sad", "map_cluster"].unique()
    wanted = {f"/saliency?map_cluster={name.replace(' ', '+')}" for name in groups}
    assert {"/saliency?shortcut=0", "/saliency?shortcut=1", *wanted} <= set(links(page))
    for example in run.table("shortcuts")["examples"].iloc[0]:
        assert any(example.replace("/", "%2F") in link for link in links(page))
    assert "fear 1" not in words and "fear 1" in text(shortcuts.layout(at(site)))


def test_regions_tell_what_tells_a_pair_apart(site: Site) -> None:
    words = text(regions.layout(at(site, "class=fear")))
    assert "What tells fear from surprise for this model: the chin, 1.2 times the mouth" in words
    assert "No such pair" in text(regions.layout(at(site, "class=sad")))


def test_a_difference_marks_its_places_and_carries_its_values(site: Site) -> None:
    shown = str(atlas_page.difference(at(site, "a_label=fear&b_label=sad&target=happy&minus=sad")))
    values = json.loads(shown.split("data-values='")[1].split("'")[0])
    assert np.shape(values["rows"]) == np.shape(values["p"]) == (6, 6)
    drawn = atlas.rings(np.eye(2, dtype=bool))
    assert drawn.startswith("data:image/svg+xml;base64,") and len(atlas.rings(np.zeros((2, 2), bool))) < len(drawn)


def test_a_confusion_leads_to_the_mean_contrast_of_its_cell(site: Site, run: AuditRun) -> None:
    wrong = run.samples[run.samples["label"] != run.samples["predicted"]].dropna(subset=["predicted"]).iloc[0]
    chosen = f"label={wrong['label']}&predicted={wrong['predicted']}"
    found = [link for link in links(confusions.cell(at(site, chosen))) if link.startswith("/atlas")]
    assert found == [
        f"/atlas?a_label={wrong['label']}&a_predicted={wrong['predicted']}"
        f"&target={wrong['predicted']}&minus={wrong['label']}"
    ]
    words = text(atlas_page.layout(at(site, found[0].partition("?")[2])))
    assert f"labelled {wrong['label']}, predicted {wrong['predicted']}" in words
