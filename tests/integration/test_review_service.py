"""Reviewing a run: queues, decisions, undo, several reviewers, progress, learning."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audit.review.domain import Decision
from audit.review.service import ReviewService
from audit.review.store import ReviewStore
from audit.run import AuditRun
from faces.errors import InputError
from tests.review_runs import make_run


@pytest.fixture
def made(tmp_path: Path) -> tuple:
    return make_run(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReviewStore]:
    with ReviewStore.open(tmp_path / "reviews.sqlite") as opened:
        yield opened


@pytest.fixture
def service(made: tuple, store: ReviewStore) -> ReviewService:
    return ReviewService(made[0], store)


def open_state(service: ReviewService) -> tuple:
    return (
        service.queue("likely_wrong", "ann"),
        service.verdicts(),
        np.nan_to_num(service.learned.score, nan=-1).tolist(),
        service.progress("ann").decided,
    )


def test_likely_wrong_finds_the_planted_errors_first(service: ReviewService, made: tuple) -> None:
    run, _, truth = made
    queue = service.queue("likely_wrong", "ann")
    labels = run.samples.set_index("sample_id")["label"]
    wrong = [labels[name] != truth[name] for name in queue]
    assert sum(wrong[: sum(wrong)]) >= 0.8 * sum(wrong)
    scores = [service.item(name).score for name in queue]
    assert scores == sorted(scores, reverse=True)


def test_the_surest_corrections_come_by_the_chance_of_the_suggestion(service: ReviewService) -> None:
    for name in service.queue("control")[:12]:
        service.decide(name, "accept", "bob")
    queue = [service.item(name) for name in service.queue("surest", "ann")]
    scores = [one.suggestion_score for one in queue]
    assert scores == sorted(scores, reverse=True)
    assert all(one.suggestion_score <= one.score for one in queue)
    assert {one.sample_id for one in queue} == set(service.queue("likely_wrong", "ann"))


def test_a_run_that_does_not_score_suggestions_says_so(made: tuple, store: ReviewStore) -> None:
    run: AuditRun = made[0]
    run.samples.drop(columns="suggestion_score").to_parquet(run.folder / "samples.parquet")
    service = ReviewService(AuditRun.open(run.folder), store)
    with pytest.raises(InputError, match="audit again"):
        service.queue("surest", "ann")
    assert np.isnan(service.item(service.queue()[0]).suggestion_score)


def test_each_picture_and_label_is_asked_once(service: ReviewService) -> None:
    queue = service.queue("likely_wrong", "ann")
    items = [service.item(name) for name in queue]
    keys = [(item.content_id, item.label) for item in items]
    assert len(keys) == len(set(keys)) == 59
    assert not any("broken" in name for name in queue)


@pytest.mark.parametrize("action", ["accept", "keep", "not_a_face", "skip", "soft", "relabel"])
def test_a_decision_leaves_the_queue_and_undo_restores_everything(service: ReviewService, action: str) -> None:
    service.decide(service.queue()[3], "keep", "bob")
    before = open_state(service)
    name = before[0][0]
    soft = {"sad": 0.5, "neutral": 0.5} if action == "soft" else None
    service.decide(name, action, "ann", new_label="neutral" if action == "relabel" else None, soft=soft)
    assert name not in service.queue("likely_wrong", "ann")
    undone = service.undo("ann")
    assert undone is not None
    assert undone.sample_id == name
    assert open_state(service) == before
    assert service.undo("ann") is None


def test_accept_takes_the_suggestion_and_keep_the_label(service: ReviewService) -> None:
    first, second = service.queue()[:2]
    assert service.decide(first, "accept", "ann").new_label == service.item(first).suggested
    assert service.decide(second, "keep", "ann").new_label == service.item(second).label


def test_a_decision_sent_twice_is_recorded_once(service: ReviewService) -> None:
    name = service.queue()[0]
    for _ in range(2):
        service.decide(name, "accept", "ann", id="the-same")
    assert len(service.log()) == 1


def test_an_undo_sent_twice_is_recorded_once(service: ReviewService) -> None:
    made = service.decide(service.queue()[0], "keep", "ann")
    assert service.undo("ann", made.id) == service.undo("ann", made.id) == made
    assert len(service.log()) == 2
    assert service.undo("ann", "never made") is None
    with pytest.raises(InputError, match="cannot undo a decision of 'ann'"):
        service.undo("bob", made.id)


def test_a_decision_reaches_copies_with_the_same_label_only(service: ReviewService, made: tuple) -> None:
    samples = made[0].samples.set_index("sample_id")
    groups = samples.groupby(["content_id", "label"]).groups
    twins = next(list(names) for names in groups.values() if len(names) == 2)
    service.decide(twins[0], "relabel", "ann", new_label="angry")
    assert service.item(twins[1]).decisions == service.item(twins[0]).decisions != ()
    contents = samples.groupby("content_id").groups
    unlike = next(list(names) for names in contents.values() if len({samples["label"][n] for n in names}) == 2)
    service.decide(unlike[0], "keep", "ann")
    assert service.item(unlike[1]).decisions == ()
    assert service.item(unlike[0]).copies == {unlike[1]: "exact"}


def test_decisions_hold_for_another_run_of_the_same_pictures(store: ReviewStore, made: tuple, tmp_path: Path) -> None:
    first = ReviewService(made[0], store)
    name = first.queue()[0]
    first.decide(name, "accept", "ann")
    (tmp_path / "later").mkdir()
    later = ReviewService(make_run(tmp_path / "later", name="again")[0], store)
    assert [d.action for d in later.item(name).decisions] == ["accept"]
    assert later.progress().decided == 1
    assert later.undo("ann") is None, "undo takes back what was decided in this run"


def test_every_queue_has_its_order_and_filters(service: ReviewService, made: tuple) -> None:
    run = made[0]
    samples = run.samples.set_index("sample_id")
    cell = service.queue("confusion", label="sad", predicted="angry")
    assert {(samples["label"][n], samples["predicted"][n]) for n in cell} <= {("sad", "angry")}
    women = service.queue("group", attribute="apparent_gender", group="woman")
    assert {samples["apparent_gender"][n] for n in women} == {"woman"}
    assert {samples["split"][n] for n in service.queue(split="test")} == {"test"}
    assert service.queue("search", text="FACE00") == [n for n in service.queue() if "face00" in n]
    assert {samples["label"][n] for n in service.queue("search", text="joyless")} == set()
    copies = service.queue("duplicates")
    assert len(copies) == 3, "two labels of one picture, one label of the other"
    assert samples["content_id"][copies[0]] == samples["content_id"][copies[1]], "conflicting labels come first"
    ambiguous = service.queue("ambiguous")
    assert {who for n in ambiguous for who in service.item(n).ambiguous} <= {"model", "votes"}
    assert all(service.item(n).ambiguous for n in ambiguous)
    assert [name.split("/")[-1] for name in service.queue("not_a_face")] == ["face005.png"]
    assert service.queue("likely_wrong", limit=2) == service.queue("likely_wrong")[:2]
    second = service.queue()[1]
    assert service.queue(after=second) == service.queue()[2:]


def test_the_control_sample_is_random_and_stays(service: ReviewService, store: ReviewStore, made: tuple) -> None:
    drawn = service.queue("control", "ann")
    assert drawn == ReviewService(made[0], store).queue("control", "bob")
    assert drawn != service.queue("likely_wrong", "ann")
    service.decide(drawn[0], "keep", "ann")
    assert service.queue("control", "ann") == drawn[1:]
    assert service.progress("ann").control_decided == 1


@pytest.mark.parametrize(
    ("kind", "where", "words"),
    [
        ("guess", {}, "no queue 'guess'"),
        ("confusion", {"label": "bored", "predicted": "sad"}, "'bored'"),
        ("group", {"attribute": "shoe_size", "group": "44"}, "'shoe_size'"),
        ("group", {"attribute": "apparent_gender", "group": "child"}, "'child'"),
    ],
)
def test_a_queue_that_is_not_there_is_named(service: ReviewService, kind: str, where: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        service.queue(kind, **where)


def test_reviewers_get_different_pictures_until_claims_expire(made: tuple, store: ReviewStore) -> None:
    service = ReviewService(made[0], store, claim_seconds=0.2)
    first = service.next("likely_wrong", "ann")
    second = service.next("likely_wrong", "bob")
    assert first != second
    assert service.next("likely_wrong", "ann") == first
    time.sleep(0.25)
    assert service.next("likely_wrong", "bob") == first


def test_a_late_reader_meets_the_claim_of_what_was_just_decided(made: tuple, store: ReviewStore) -> None:
    here, there = ReviewService(made[0], store), ReviewService(made[0], store)
    there.queue("likely_wrong", "bob")
    name = here.next("likely_wrong", "ann")
    assert name is not None
    here.decide(name, "keep", "ann")
    there._last = 10**9
    assert there.next("likely_wrong", "bob") != name


def test_overlap_asks_that_many_reviewers(made: tuple, store: ReviewStore) -> None:
    service = ReviewService(made[0], store, overlap=2, claim_seconds=1)
    name = service.queue()[0]
    assert service.next("likely_wrong", "ann") == service.next("likely_wrong", "bob") == name
    assert service.next("likely_wrong", "eve") != name
    service.decide(name, "accept", "ann")
    assert name not in service.queue("likely_wrong", "eve"), "one has decided it, another holds it"
    service.decide(name, "keep", "bob")
    time.sleep(1)
    assert name not in service.queue("likely_wrong", "eve")
    assert service.queue("disagreements", "eve") == [name]
    patient = ReviewService(made[0], store, overlap=2)
    assert patient.next("disagreements", "eve") == name
    assert patient.next("disagreements", "dan") is None, "one more reviewer settles it"
    assert service.queue("disagreements", "ann") == []
    assert service.verdicts()[service.item(name).content_id, service.item(name).label].label is None
    service.decide(name, "keep", "eve")
    settled = service.verdicts()[service.item(name).content_id, service.item(name).label]
    assert (settled.label, settled.agreed) == (service.item(name).label, False)
    assert service.agreement().pictures == 1


def test_nothing_is_left_when_all_is_decided(service: ReviewService) -> None:
    for name in service.queue():
        service.decide(name, "keep", "ann")
    assert service.next("likely_wrong", "ann") is None
    progress = service.progress("ann")
    assert (progress.decided, progress.total, progress.errors_found) == (60, 60, 0)
    assert progress.errors_left == (0.0, 0.0, 0.0)


def test_the_ranking_learns_and_says_so(service: ReviewService, made: tuple) -> None:
    run, _, truth = made
    labels = run.samples.set_index("sample_id")["label"]
    before = service.learned
    assert before.sentences == ()
    for name in service.queue("search", text="sad")[:8]:
        service.decide(name, "relabel", "ann", new_label="neutral")
    after = service.learned
    left = [run.row_of[name] for name in service.queue(label="sad")]
    assert (after.score[left] > before.score[left]).all()
    assert len(after.sentences) == 1
    assert after.sentences[0].startswith("labels `sad` hold in about ")
    assert set(labels.index) == set(truth.index)


def test_two_services_on_one_database_see_each_other(made: tuple, store: ReviewStore) -> None:
    here, there = ReviewService(made[0], store), ReviewService(made[0], ReviewStore.open(store.url))
    name = here.queue()[0]
    here.decide(name, "accept", "ann")
    assert name not in there.queue("likely_wrong", "ann")
    here.undo("ann")
    assert name in there.queue("likely_wrong", "ann")
    there.store.close()


def test_look_alikes_share_the_label_and_can_be_decided_at_once(service: ReviewService) -> None:
    name = service.queue()[0]
    alike = service.look_alikes(name, "ann", n=4)
    assert {service.item(other).label for other in alike} == {service.item(name).label}
    for _ in range(2):
        made = service.decide_many(alike, "relabel", "ann", new_label="neutral", ids=[f"many-{n}" for n in alike])
    assert len(service.log()) == len(alike)
    assert [d.sample_id for d in made] == alike
    assert not set(alike) & set(service.queue("likely_wrong", "ann"))
    assert len(service.neighbours(name, 5)) == 5
    assert name not in service.neighbours(name, 5)
    service.undo("ann")
    assert alike[-1] in service.queue("likely_wrong", "ann")
    service.decide_many(alike[-1:], "keep", "ann")
    with pytest.raises(InputError, match="'bored'"):
        service.decide_many(service.queue()[:2], "relabel", "ann", new_label="bored")
    assert len(service.log()) == len(alike) + 2


def test_copies_are_decided_together(service: ReviewService, made: tuple) -> None:
    first = service.queue("duplicates", "ann")[0]
    group = service.together(first, "ann")
    assert group[0] == first and len(group) == 2
    assert {service.item(name).label for name in group} != {service.item(first).label}
    service.decide_many(group, "relabel", "ann", new_label="sad")
    assert service.together(first, "ann") == []
    with pytest.raises(InputError, match="1 ids came with 2 pictures"):
        service.decide_many(group, "keep", "ann", ids=["one"])


def test_many_reviewers_share_an_order_for_a_while(made: tuple, store: ReviewStore) -> None:
    service = ReviewService(made[0], store, rerank_seconds=60)
    before = service.queue("likely_wrong", "ann")
    for name in before[:8]:
        service.decide(name, "keep", "ann")
    assert service.queue("likely_wrong", "ann") == before[8:]
    assert service.ranking is not service.learned
    service.rerank_seconds = service._rerank_at = 0.0
    assert service.queue("likely_wrong", "ann") != before[8:]
    assert service.ranking is service.learned


def test_an_item_tells_what_there_is_to_know(service: ReviewService) -> None:
    item = service.item(service.queue()[0])
    assert sum(item.probabilities.values()) == pytest.approx(1, abs=1e-4)
    assert item.votes in ({"sad": 10, "neutral": 0}, {"sad": 5, "neutral": 5})
    assert item.suggested in item.reason
    broken = next(n for n in service.run.samples["sample_id"] if "broken" in n)
    assert np.isnan(service.item(broken).score)
    assert service.item(broken).probabilities == {}
    with pytest.raises(InputError, match="no readable picture"):
        service.decide(broken, "keep", "ann")


def test_votes_change_no_score_and_no_suggestion(made: tuple, store: ReviewStore, tmp_path: Path) -> None:
    run = made[0]
    kept = run.samples.drop(columns=[name for name in run.samples if name.startswith("votes_")])
    without = AuditRun(run.folder, run.manifest)
    without.__dict__["samples"] = kept
    plain, voted = ReviewService(without, store), ReviewService(run, store)
    assert plain.queue() == voted.queue()
    assert plain.item(plain.queue()[0]).votes is None


def test_pace_counts_the_time_spent_and_not_pauses(service: ReviewService) -> None:
    names = service.queue()[:5]
    for name, minute in zip(names, ["00:00", "00:10", "00:20", "30:20", "30:30"], strict=True):
        item = service.item(name)
        service.store.append(
            Decision(name, item.content_id, "run", "ann", item.label, "keep", item.label,
                     time=f"2026-01-01T12:{minute}.000000+00:00")
        )  # fmt: skip
    assert service.progress("ann").pace == pytest.approx(360)
    assert service.progress("bob").pace is None


def test_what_cannot_be_is_refused(made: tuple, store: ReviewStore, service: ReviewService) -> None:
    with pytest.raises(InputError, match="overlap 0"):
        ReviewService(made[0], store, overlap=0)
    with pytest.raises(InputError, match="no sample 'nobody'"):
        service.decide("nobody", "keep", "ann")
    with pytest.raises(InputError, match="no consensus 'dice'"):
        ReviewService(made[0], store, consensus="dice")
    service.decide(service.queue()[0], "accept", "ann")
    assert len(ReviewService(made[0], store, consensus="dawid_skene").verdicts()) == 1
