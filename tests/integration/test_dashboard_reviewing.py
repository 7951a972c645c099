"""What the Review page's script asks of the server."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest

from audit.review.domain import Unavailable
from audit.review.store import ReviewStore
from audit.run import AuditRun
from dashboard.app import create_app
from tests.dashboard_runs import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> AuditRun:
    return make_run(tmp_path_factory.mktemp("reviewing"), n=100)


@pytest.fixture(scope="module")
def client(run: AuditRun) -> Iterator:
    yield create_app([run]).server.test_client()


def queue(client, **values: str) -> list[str]:
    return client.get("/reviewing/drawn/queue", query_string={"reviewer": "anna", **values}).get_json()["queue"]


def post(client, what: str, **body: object):
    return client.post(f"/reviewing/drawn/{what}", json={"reviewer": "anna", **body})


def test_the_queue_holds_the_next_pictures_for_one_reviewer(client) -> None:
    mine, others = queue(client), queue(client, reviewer="bert")
    assert len(mine) > 3 and not set(mine) & set(others)


def test_a_picture_comes_with_all_that_is_shown(client, run: AuditRun) -> None:
    sample = queue(client)[0]
    item = client.get("/reviewing/drawn/item", query_string={"id": sample}).get_json()
    line = run.samples.iloc[run.row_of[sample]]
    assert (item["label"], item["suggested"]) == (line["label"], line["suggested"])
    assert list(item["probabilities"]) == list(run.classes)
    assert set(item["maps"]) == {"predicted", "label", f"{line['suggested']}-minus-{line['label']}"}
    for address in (item["face"], *item["maps"].values(), item["neighbours"][0]["face"]):
        assert client.get(address).status_code == 200


def test_a_decision_is_kept_once_and_leaves_the_queue(client, run: AuditRun) -> None:
    sample = queue(client)[0]
    for _ in range(2):
        answer = post(client, "decide", id="a" * 32, sample_id=sample, action="keep", shown=["image"])
        assert answer.get_json() == {"saved": "a" * 32}
    assert sample not in queue(client)
    item = client.get("/reviewing/drawn/item", query_string={"id": sample}).get_json()
    assert [made["action"] for made in item["decided"]] == ["keep"]
    assert post(client, "undo").get_json() == {"sample_id": sample}
    assert sample in queue(client)


def test_a_database_that_does_not_answer_is_to_be_asked_again(client, run: AuditRun, monkeypatch) -> None:
    def silent(*_: object) -> None:
        raise Unavailable("The review database does not answer.")

    sample = queue(client)[0]
    monkeypatch.setattr(ReviewStore, "append", silent)
    assert post(client, "decide", id="b" * 32, sample_id=sample, action="keep", shown=["image"]).status_code == 503


def test_many_at_once(client) -> None:
    first = queue(client)[0]
    alike = client.get("/reviewing/drawn/look-alikes", query_string={"id": first, "reviewer": "anna"}).get_json()
    ids = [one["sample_id"] for one in alike["look_alikes"][:2]]
    saved = post(client, "decide-many", sample_ids=ids, action="not_a_face", shown=["image", "label"]).get_json()
    assert len(saved["saved"]) == 2


@pytest.mark.parametrize(
    ("what", "body", "status"),
    [
        ("decide", {"sample_id": "nobody", "action": "keep"}, 400),
        ("decide", {"action": "keep"}, 400),
        ("decide", {"sample_id": "x", "action": "dance"}, 400),
        ("nothing", {}, 404),
    ],
)
def test_wrong_calls_are_answered_in_words(client, what: str, body: dict, status: int) -> None:
    answer = post(client, what, **body)
    assert answer.status_code == status and answer.get_json()["error"].endswith(".")


def test_unknown_runs_and_queues(client) -> None:
    assert client.get("/reviewing/other/queue").status_code == 404
    assert client.get("/reviewing/drawn/queue", query_string={"queue": "none", "reviewer": "a"}).status_code == 400
    assert client.post("/reviewing/drawn/decide", json=[1]).status_code == 404


def test_decisions_are_handed_out_without_names(client, run: AuditRun) -> None:
    sample = queue(client)[0]
    label = run.samples["label"].iat[run.row_of[sample]]
    other = next(name for name in run.classes if name != label)
    post(client, "decide", sample_id=sample, action="relabel", new_label=other, shown=["image"])
    corrected = client.get("/reviewed/drawn/corrected.csv?names=0")
    assert "attachment" in corrected.headers["Content-Disposition"]
    rows = {row["sample_id"]: row for row in csv.DictReader(io.StringIO(corrected.text))}
    assert rows[sample]["label"] == other
    assert "anna" not in client.get("/reviewed/drawn/decisions.csv?names=0").text
    assert "anna" in client.get("/reviewed/drawn/decisions.csv").text
    for name in ("decisions.exe", "..%2fmanifest.json"):
        assert client.get(f"/reviewed/drawn/{name}").status_code == 404
