"""Mean maps, mean faces and the difference of two selections."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from audit.run import AuditRun
from dashboard import atlas
from dashboard.app import create_app
from dashboard.atlas import Side
from dashboard.pages import atlas as page
from dashboard.query import Query
from dashboard.state import Site, view_of
from tests.dashboard_runs import make_run


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("atlas")
    return Site.of([make_run(folder, n=120), make_run(folder, n=120, seed=1, name="other")])


def side(site: Site, search: str, run: int = 0) -> Side:
    return Side(site.served[run], Query.parse(search))


def rows(run: AuditRun, label: str) -> np.ndarray:
    return np.flatnonzero(((run.samples["label"] == label) & (run.samples["status"] == "ok")).to_numpy())


def test_a_mean_map_is_the_mean_of_the_stored_ones(site: Site) -> None:
    run = site.served[0].run
    chosen = rows(run, "sad")
    mean, n = atlas.mean_map(side(site, "label=sad"), "gradcam", "fear")
    expected = run.maps("gradcam").raw(chosen, run.classes.index("fear")).mean(axis=0)
    assert n == len(chosen)
    np.testing.assert_allclose(mean, expected, rtol=1e-5)


def test_a_mean_face_is_the_mean_of_the_faces(site: Site) -> None:
    served = site.served[0]
    ids = served.run.samples["sample_id"].iloc[rows(served.run, "sad")]
    faces = [cv2.cvtColor(served.pictures.pixels(one), cv2.COLOR_RGB2GRAY).astype(float) for one in ids]
    np.testing.assert_allclose(atlas.mean_face(side(site, "label=sad")), np.mean(faces, axis=0), atol=1)


def test_pictures_come_from_routes_and_wrong_ones_are_refused(site: Site) -> None:
    client = create_app([served.run for served in site.served]).server.test_client()
    chosen = side(site, "label=sad&predicted=sad")
    for address in (
        atlas.address("face", chosen),
        atlas.address("map", chosen, method="gradcam", target="predicted"),
        atlas.address("map", chosen, method="gradcam", target="sad-minus-neutral", limit=0.5),
    ):
        answer = client.get(address)
        assert answer.mimetype == "image/png" and "immutable" in answer.headers["Cache-Control"]
    for address in ("/atlas/nowhere/map.png", "/atlas/drawn/other.png", "/atlas/drawn/map.png?method=none"):
        assert client.get(address).status_code == 404


def test_sides_that_share_images_are_not_compared(site: Site) -> None:
    found = atlas.differ(side(site, "label=sad"), side(site, ""), "gradcam", "predicted")
    assert found.reason == "the two sides share images"
    assert "Could not be compared" in page.verdict(found)


def test_random_maps_do_not_differ_and_planted_ones_do(site: Site) -> None:
    a, b = side(site, "label=sad"), side(site, "label=neutral")
    found = atlas.differ(a, b, "gradcam", "happy")
    assert found.reason is None and 0 < found.p_value.min() <= 1
    assert f"{found.n_a} maps of A" in page.verdict(found)


def test_two_runs_are_compared_image_by_image(site: Site) -> None:
    found = atlas.differ(side(site, "label=sad"), side(site, "label=sad", run=1), "gradcam", "happy")
    assert found.n_a == found.n_b == len(rows(site.served[0].run, "sad"))


def test_the_page_shows_every_cell_that_has_images(site: Site) -> None:
    view = view_of(site, "?a_label=fear&b_label=sad", "light")
    assert view is not None
    words = str(page.layout(view))
    counts = view.served.counts().confusion
    assert words.count("face.png") == np.count_nonzero(counts) + 3
