"""Pictures by sample id: what is drawn, what is kept, what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from werkzeug.test import TestResponse

from audit.run import AuditRun
from dashboard.app import create_app
from dashboard.media import MINUS, OWN, SHARED, Pictures, face_address, map_address
from faces.errors import InputError
from tests.dashboard_runs import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> AuditRun:
    return make_run(tmp_path_factory.mktemp("media"), n=60)


@pytest.fixture(scope="module")
def client(run: AuditRun):
    return create_app([run]).server.test_client()


@pytest.fixture(scope="module")
def sample(run: AuditRun) -> str:
    rows = run.samples
    return str(rows.loc[(rows["status"] == "ok") & (rows["label"] != rows["predicted"]), "sample_id"].iloc[0])


def pixels(answer: TestResponse) -> np.ndarray:
    assert answer.status_code == 200 and answer.mimetype == "image/png"
    return cv2.imdecode(np.frombuffer(answer.data, np.uint8), cv2.IMREAD_UNCHANGED)


def test_a_face_is_the_file(run: AuditRun, client, sample: str) -> None:
    answer = client.get(face_address("drawn", Pictures(run), sample, thumbnail=False))
    expected = cv2.imread(str(Path(run.manifest["data"]["path"]) / sample), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(pixels(answer), expected)


def test_a_map_is_the_stored_one_cut_at_zero(run: AuditRun, client, sample: str) -> None:
    row, target = run.row_of[sample], run.classes.index("fear")
    raw = run.maps("gradcam").raw(row, target)
    shown = Pictures(run).map("gradcam", "fear", sample)
    expected = np.round(255 * np.clip(raw / raw.max(), 0, 1)).astype(np.uint8)
    np.testing.assert_array_equal(shown.grey(), expected)
    assert pixels(client.get(map_address("drawn", Pictures(run), "gradcam", "fear", sample))).shape == (48, 48)


def test_a_contrast_is_the_difference_and_grey_at_zero(run: AuditRun, sample: str) -> None:
    pictures, row, store = Pictures(run), run.row_of[sample], run.maps("gradcam")
    names = run.classes.names
    expected = store.raw(row, names.index("sad")) - store.raw(row, names.index("neutral"))
    shown = pictures.map("gradcam", f"sad{MINUS}neutral", sample)
    np.testing.assert_allclose(shown.raw, expected)
    assert shown.limit == pytest.approx(np.abs(expected).max())
    assert (pictures.map("gradcam", f"sad{MINUS}sad", sample).grey() == 128).all()


def test_predicted_and_label_mean_the_sample_s_own(run: AuditRun, sample: str) -> None:
    pictures, line = Pictures(run), run.samples.iloc[run.row_of[sample]]
    for target in ("predicted", "label"):
        own, named = (pictures.map("gradcam", name, sample).raw for name in (target, line[target]))
        np.testing.assert_array_equal(own, named)


def test_the_shared_limit_is_one_for_all(run: AuditRun) -> None:
    pictures = Pictures(run)
    ids = run.samples.loc[run.samples["status"] == "ok", "sample_id"].head(5)
    assert len({pictures.map("gradcam", "sad", sample, SHARED).limit for sample in ids}) == 1
    assert len({pictures.map("gradcam", "sad", sample, OWN).limit for sample in ids}) > 1


def test_a_saved_map_is_transparent_where_there_is_nothing(run: AuditRun, client, sample: str) -> None:
    address = map_address("drawn", Pictures(run), "gradcam", "sad", sample).replace("as=values", "as=picture")
    image = pixels(client.get(address))
    assert image.shape == (224, 224, 4)
    assert image[..., 3].min() == 0 and image[..., 3].max() == 255


def test_versioned_pictures_are_kept_for_good(run: AuditRun, client, sample: str) -> None:
    address = face_address("drawn", Pictures(run), sample)
    first = client.get(address)
    assert "immutable" in first.headers["Cache-Control"]
    again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304 and not again.data
    assert "no-cache" in client.get(address.split("?")[0]).headers["Cache-Control"]


@pytest.mark.parametrize(
    "address",
    [
        "/media/drawn/image/test/sad/nobody.png.png",
        "/media/drawn/image/../../../etc/passwd.png",
        "/media/drawn/image/%2e%2e/%2e%2e/manifest.json.png",
        "/media/drawn/image//etc/passwd.png",
        "/media/nowhere/image/x.png",
        "/media/drawn/map/gradcam/sad/nobody.png",
    ],
)
def test_what_is_no_sample_is_refused(client, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404 and b"root:" not in answer.data and b"schema" not in answer.data


@pytest.mark.parametrize(
    "part", ["nomethod/sad", "gradcam/joyful", "gradcam/sad-minus-", "gradcam/-minus-", "gradcam/..%2f"]
)
def test_unknown_maps_are_refused_in_words(client, sample: str, part: str) -> None:
    answer = client.get(f"/media/drawn/map/{part}/{sample}.png")
    assert answer.status_code == 404 and "image/svg" in answer.mimetype


def test_unknown_scales_are_refused(client, sample: str) -> None:
    for query in ("scale=jet", "scaling=none", "scale=../x"):
        assert client.get(f"/media/drawn/map/gradcam/sad/{sample}.png?{query}").status_code == 404


def test_an_unreadable_image_says_why(run: AuditRun, client) -> None:
    bad = run.samples.loc[run.samples["status"] == "unreadable", "sample_id"].iloc[0]
    answer = client.get(face_address("drawn", Pictures(run), bad))
    assert answer.status_code == 404 and b"<title>" in answer.data


def test_moved_data_is_said_and_found_where_it_is_named(run: AuditRun, tmp_path: Path, sample: str) -> None:
    moved = tmp_path / "elsewhere" / "run"
    shutil.copytree(run.folder, moved)
    manifest = json.loads((moved / "manifest.json").read_text())
    manifest["data"] |= {"path": "/not/there", "relative_path": "../not-there"}
    (moved / "manifest.json").write_text(json.dumps(manifest))
    lost = AuditRun.open(moved)
    assert "/not/there" in str(Pictures(lost).reason) and "--data" in str(Pictures(lost).reason)
    page = create_app([lost]).server.test_client()
    assert page.get(face_address("run", Pictures(lost), sample)).status_code == 404
    assert page.get(map_address("run", Pictures(lost), "gradcam", "sad", sample)).status_code == 200
    found = Pictures(lost, Path(run.manifest["data"]["path"]))
    assert found.reason is None and found.face(sample)


def test_the_version_follows_the_model(run: AuditRun) -> None:
    other = AuditRun(run.folder, {**run.manifest, "model": {**run.manifest["model"], "fingerprint": "1" * 64}})
    assert Pictures(run).version == Pictures(run).version != Pictures(other).version


def test_a_wrong_place_is_refused_and_other_data_is_said(run: AuditRun, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="/nowhere is not there; pass the place"):
        create_app([run], data=Path("/nowhere"))
    for label in ("happy", "sad"):
        (tmp_path / "other" / "test" / label).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "other" / "test" / label / "another.png"), np.zeros((48, 48), np.uint8))
    assert "holds none of the run's images" in str(Pictures(run, tmp_path / "other").reason)
