"""The rules of relabelling: which decisions stand, undo, majority, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.review.domain import (
    ACCEPT,
    ACTIONS,
    KEEP,
    NOT_A_FACE,
    RELABEL,
    SKIP,
    SOFT,
    UNDO,
    Decision,
    Standing,
    check,
    majority,
    verdict,
)
from faces.emotions import LabelSet
from faces.errors import InputError

CLASSES = LabelSet(("angry", "fear", "sad", "neutral"))


def decide(reviewer: str = "ann", action: str = RELABEL, new: str | None = "sad", **more: object) -> Decision:
    values = {"sample_id": "a.png", "content_id": "c1", "run": "run", "old_label": "fear"} | more
    return Decision(reviewer=reviewer, action=action, new_label=new, **values)  # type: ignore[arg-type]


def undo(decision: Decision) -> Decision:
    return replace(decision, id=f"undo-{decision.id}", action=UNDO, new_label=None, soft=None, undoes=decision.id)


@st.composite
def logs(draw: st.DrawFn) -> list[Decision]:
    """Logs of decisions and undos of three reviewers on three pictures, as the store would accept them."""
    log: list[Decision] = []
    for number in range(draw(st.integers(0, 14))):
        open_ones = [d for d in log if d.action != UNDO and d.id not in {u.undoes for u in log}]
        if open_ones and draw(st.booleans()):
            log.append(undo(draw(st.sampled_from(open_ones))))
            continue
        action = draw(st.sampled_from(ACTIONS))
        label = draw(st.sampled_from(CLASSES.names))
        log.append(
            check(
                decide(
                    draw(st.sampled_from(["ann", "bob", "eve"])),
                    action,
                    label,
                    content_id=draw(st.sampled_from(["c1", "c2", "c3"])),
                    soft={label: 0.7, "neutral": 0.3} if action == SOFT else None,
                    id=str(number),
                ),
                CLASSES,
            )
        )
    return log


def state(log: list[Decision]) -> tuple[dict, dict]:
    standing = Standing(log)
    return {(d.key, d.reviewer): d.id for d in standing.all()}, majority(standing)


@settings(deadline=None)
@given(logs(), st.sampled_from(ACTIONS), st.sampled_from(CLASSES.names))
def test_undo_takes_a_decision_back_exactly(log: list[Decision], action: str, label: str) -> None:
    soft = {label: 1.0} if action == SOFT else None
    made = check(decide("ann", action, label, soft=soft, id="new"), CLASSES)
    assert state([*log, made, undo(made)]) == state(log)


@settings(deadline=None)
@given(logs())
def test_replaying_a_log_changes_nothing(log: list[Decision]) -> None:
    assert state([*log, *log]) == state(log)


@settings(deadline=None)
@given(logs())
def test_what_stands_is_each_reviewers_last_word(log: list[Decision]) -> None:
    undone = {decision.undoes for decision in log}
    expected: dict = {}
    for decision in log:
        if decision.action == UNDO or decision.id in undone:
            continue
        place = (decision.key, decision.reviewer)
        if decision.action != SKIP or expected.get(place, decision).action == SKIP:
            expected[place] = decision
    assert state(log)[0] == {place: decision.id for place, decision in expected.items()}


def test_undo_takes_back_the_newest_first() -> None:
    first, second = decide(id="1"), decide(content_id="c2", id="2")
    standing = Standing([first, second])
    assert standing.latest("ann") == second
    standing.add(undo(second))
    assert standing.latest("ann") == first
    standing.add(undo(first))
    assert standing.latest("ann") is None
    assert standing.latest("bob") is None


def test_a_skip_does_not_replace_a_decision() -> None:
    standing = Standing([decide(id="1"), decide(action=SKIP, new=None, id="2")])
    assert standing.of(("c1", "fear"))["ann"].id == "1"


def test_the_majority_wins_and_a_tie_settles_nothing() -> None:
    sad, also_sad, keep = decide(), decide("bob"), check(decide("eve", KEEP, None), CLASSES)
    found = verdict(Standing([sad, also_sad, keep]), ("c1", "fear"))
    assert found is not None
    assert (found.label, found.reviewers, found.agreed, found.changes) == ("sad", 3, False, True)
    tied = verdict(Standing([sad, keep]), ("c1", "fear"))
    assert tied is not None
    assert (tied.label, tied.settled, tied.changes) == (None, False, False)


def test_a_skip_alone_is_no_verdict() -> None:
    standing = Standing([decide(action=SKIP, new=None)])
    assert verdict(standing, ("c1", "fear")) is None
    assert majority(standing) == {}


def test_one_soft_label_stands_as_it_is() -> None:
    soft = check(decide(action=SOFT, new=None, soft={"sadness": 3, "neutral": 1}), CLASSES)
    found = verdict(Standing([soft]), soft.key)
    assert found is not None
    assert found.is_soft
    assert found.changes
    assert found.opinion == {"sad": 0.75, "neutral": 0.25}


@pytest.mark.parametrize(
    ("decision", "wrong"),
    [
        (decide(new="sad"), True),
        (decide(action=ACCEPT, new="fear"), False),
        (decide(action=KEEP, new="fear"), False),
        (decide(action=NOT_A_FACE, new=None), True),
        (decide(action=SKIP, new=None), None),
        (decide(action=SOFT, new=None, soft={"fear": 0.6, "sad": 0.4}), False),
        (decide(action=SOFT, new=None, soft={"fear": 0.4, "sad": 0.6}), True),
    ],
)
def test_what_a_decision_says_of_the_old_label(decision: Decision, wrong: bool | None) -> None:
    assert decision.says_wrong is wrong


def test_names_become_canonical_and_keep_names_the_old_label() -> None:
    assert check(decide(new="Sadness", old_label="afraid"), CLASSES).new_label == "sad"
    assert check(decide(action=KEEP, new=None, old_label="afraid"), CLASSES).new_label == "fear"


def test_blind_means_the_picture_alone_was_shown() -> None:
    assert decide(shown=("image",)).blind
    assert not decide(shown=("image", "label")).blind


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (decide(reviewer=" "), "name"),
        (decide(content_id=""), "a.png"),
        (decide(action="guess"), "'guess'"),
        (decide(id=""), "id ''"),
        (decide(id="x" * 65), "1 to 64 characters"),
        (decide(new=None), "names no label"),
        (decide(new="bored"), "'bored'"),
        (decide(action=SOFT, soft={}), "empty"),
        (decide(action=SOFT, soft={"sad": -1, "fear": 2}), "no distribution"),
        (decide(action=SOFT, soft={"sad": float("nan")}), "no distribution"),
        (decide(action=SOFT, soft={"sad": 0}), "no distribution"),
        (decide(action=SOFT, soft={"bored": 1}), "'bored'"),
        (decide(shown=("image", "horoscope")), "'horoscope'"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(decision: Decision, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check(decision, CLASSES)
