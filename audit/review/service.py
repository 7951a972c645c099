"""Reviewing one run: queues, decisions, undo, progress. What the Review page and the command line talk to.

Everything is read from the log, so several services (threads, processes, machines) on one database see each other's
decisions; each brings itself up to date at every call.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice, pairwise
from typing import Any

import numpy as np

from audit.review.agreement import Agreement, agreement, dawid_skene, ratings
from audit.review.domain import (
    ACCEPT,
    SKIP,
    UNDO,
    Decision,
    Key,
    Standing,
    Verdict,
    check,
    majority,
)
from audit.review.items import JUDGES, Evidence, ReviewItem
from audit.review.learning import LabelRate, Learned, Learner
from audit.review.queues import Query, order
from audit.review.store import ReviewStore
from audit.run import AuditRun
from faces.errors import InputError

MAJORITY, DAWID_SKENE = "majority", "dawid_skene"
DISAGREEMENTS = "disagreements"
CONSENSUS: dict[str, Callable[[Standing], dict[Key, Verdict]]] = {
    MAJORITY: majority,
    DAWID_SKENE: lambda standing: dawid_skene(ratings(standing)),
}
PAUSE = 300.0
"""Seconds without a decision after which a reviewer was away, which does not count for the pace."""
LATELY = 200
"""Decisions that the pace is taken from."""
NEAREST = 16
"""Pictures tried at once when one is to be handed out."""


@dataclass(frozen=True)
class Progress:
    """Where the review of this run stands.

    ``decided`` of ``total`` pictures; ``mine`` by this reviewer; ``pace`` decisions an hour by this reviewer, None
    before two; ``errors_found`` labels found wrong; ``errors_left`` expected among the rest with its 95% interval;
    ``control_decided`` of ``control_total`` in the random control sample; ``rates`` one a class; ``sentences`` what
    was learned so far.
    """

    decided: int
    total: int
    mine: int
    pace: float | None
    errors_found: int
    errors_left: tuple[float, float, float]
    control_decided: int
    control_total: int
    rates: tuple[LabelRate, ...]
    sentences: tuple[str, ...]


class ReviewService:
    """The review of one run in one database.

    ``overlap`` is how many reviewers each picture shall have; ``claim_seconds`` how long a picture handed to one
    reviewer is kept from others; after decisions the queues are put in order anew at most every ``rerank_seconds``
    (what is decided or held leaves them at once all the same); ``consensus`` says how several reviewers' decisions
    become one: MAJORITY or DAWID_SKENE. Safe to use from several threads.
    """

    def __init__(
        self,
        run: AuditRun,
        store: ReviewStore,
        overlap: int = 1,
        claim_seconds: float = 120.0,
        rerank_seconds: float = 0.0,
        consensus: str = MAJORITY,
    ) -> None:
        if overlap < 1:
            raise InputError(f"The overlap {overlap} is no number of reviewers; 1 or more was expected.")
        self.run = run
        self.store = store
        self.overlap = overlap
        self.claim_seconds = claim_seconds
        self.rerank_seconds = rerank_seconds
        if consensus not in CONSENSUS:
            raise InputError(f"There is no consensus {consensus!r}; use {' or '.join(CONSENSUS)}.")
        self.consensus = consensus
        self.evidence = Evidence(run)
        self._learner = Learner(
            run.samples["label_issue_score"].to_numpy(dtype=np.float64),
            self.evidence.labels,
            self.evidence.suggested,
            run.samples[list(run.attributes)],
            run.classes.names,
        )
        self._lock = threading.RLock()
        self._last = 0
        self._standing = Standing()
        self._outcome = np.full(len(run.samples), np.nan)
        self._learned: Learned | None = None
        self._ranking: Learned | None = None
        self._rerank_at = 0.0
        self._orders: dict[Query, np.ndarray] = {}

    # Reading

    def queue(
        self,
        kind: str = "likely_wrong",
        reviewer: str = "",
        limit: int | None = None,
        after: str | None = None,
        **where: Any,
    ) -> list[str]:
        """Sample ids still to be decided by this reviewer, in the queue's order; one for each picture and label.

        ``where`` are the filters of ``queues.Query``; ``after`` leaves out what comes up to a sample. Pictures that
        have enough reviewers, or that others hold just now, are left out too. Raises InputError for a queue or filter
        that is not there.
        """
        with self._lock:
            rows = self._order(Query(kind, **where))
            if after is not None:
                found = np.flatnonzero(rows == self._row(after))
                rows = rows[found[0] + 1 :] if len(found) else rows
            ids = self.run.samples["sample_id"]
            return [ids.iat[row] for row in islice(self._open(rows, reviewer, kind), limit)]

    def next(self, kind: str, reviewer: str, after: str | None = None, **where: Any) -> str | None:
        """Claim the first picture of a queue (the first below sample ``after``), None where nothing is left."""
        waiting = self.queue(kind, reviewer, limit=NEAREST, after=after, **where)
        while waiting:
            free = self.claim(waiting, reviewer, most=1, kind=kind)
            if free:
                return free[0]
            waiting = self.queue(kind, reviewer, limit=NEAREST, after=waiting[-1], **where)
        return None

    def claim(
        self, sample_ids: Sequence[str], reviewer: str, most: int | None = None, kind: str = "likely_wrong"
    ) -> list[str]:
        """Hold pictures of a queue for a reviewer for ``claim_seconds``, the first ``most`` that are free; those."""
        with self._lock:
            contents = {self.evidence.content[self._row(name)]: name for name in sample_ids}
            rows = [self._row(name) for name in contents.values()]
            decided, wanted = [self._opinions(row) for row in rows], [self._wanted(row, kind) for row in rows]
        granted = self.store.claim(list(contents), reviewer, decided, wanted, self.claim_seconds, most)
        return [contents[content] for content in granted]

    def item(self, sample_id: str) -> ReviewItem:
        """Everything about one picture. Raises InputError where the run has no such sample."""
        with self._lock:
            self._refresh()
            row, evidence = self._row(sample_id), self.evidence
            ids = self.run.samples["sample_id"]
            key = (evidence.content[row], evidence.labels[row])
            return ReviewItem(
                row=row,
                sample_id=sample_id,
                content_id=evidence.content[row] or "",
                label=evidence.labels[row] or "",
                suggested=evidence.suggested[row],
                score=(score := float(self.ranking.score[row])),
                suggestion_score=score * float(evidence.suggestion_share[row]),
                reason=evidence.reason(row),
                probabilities=evidence.probabilities(row),
                votes=evidence.votes(row),
                ambiguous=tuple(who for who, split in zip(JUDGES, evidence.ambiguous[row], strict=True) if split),
                copies={ids.iat[other]: kind for other, kind in evidence.copies(row).items()},
                decisions=tuple(self._standing.of(key).values()),
            )

    def neighbours(self, sample_id: str, n: int = 8) -> list[str]:
        """The most similar pictures in the network's embeddings, decided or not."""
        ids = self.run.samples["sample_id"]
        return [ids.iat[row] for row in self.evidence.similar(self._row(sample_id))[:n]]

    def look_alikes(self, sample_id: str, reviewer: str, n: int = 24) -> list[str]:
        """The most similar undecided pictures with the same label, for deciding many at once."""
        with self._lock:
            self._refresh()
            row = self._row(sample_id)
            similar = self.evidence.similar(row)
            same = similar[self.evidence.labels[similar] == self.evidence.labels[row]]
            ids = self.run.samples["sample_id"]
            return [ids.iat[other] for other in islice(self._open(same, reviewer, "likely_wrong"), n)]

    def together(self, sample_id: str, reviewer: str) -> list[str]:
        """The picture and its copies of any kind and label that the reviewer may still decide, one of each label."""
        with self._lock:
            self._refresh()
            row = self._row(sample_id)
            rows = np.array([row, *self.evidence.copies(row)], dtype=np.int64)
            ids = self.run.samples["sample_id"]
            known = rows[np.isin(rows, self.evidence.reviewable)]
            return [ids.iat[other] for other in self._open(known, reviewer, "duplicates")]

    @property
    def learned(self) -> Learned:
        """Scores and error rates after all decisions so far."""
        with self._lock:
            self._refresh()
            if self._learned is None:
                self._learned = self._learner.learn(self._outcome)
            return self._learned

    @property
    def ranking(self) -> Learned:
        """What the queues are in the order of: as ``learned``, or as it was up to ``rerank_seconds`` ago."""
        with self._lock:
            self._refresh()
            outdated = self._ranking is not self._learned and time.monotonic() >= self._rerank_at
            if self._ranking is None or outdated:
                self._ranking = self.learned
                self._rerank_at = time.monotonic() + self.rerank_seconds
                self._orders.clear()
            return self._ranking

    def progress(self, reviewer: str = "") -> Progress:
        """How far the review is, what it found, and how many wrong labels are likely left."""
        with self._lock:
            learned = self.ranking
            drawn = self.evidence.control
            mine = [d for d in self._standing.by(reviewer) if d.key in self.evidence.rows_of]
            return Progress(
                decided=int(np.isfinite(self._outcome).sum()),
                total=len(self.evidence.reviewable),
                mine=len(mine),
                pace=_pace(mine),
                errors_found=int((np.nan_to_num(self._outcome) > 0.5).sum()),
                errors_left=learned.errors_left,
                control_decided=int(np.isfinite(self._outcome[drawn]).sum()),
                control_total=len(drawn),
                rates=learned.rates,
                sentences=learned.sentences,
            )

    def verdicts(self) -> dict[Key, Verdict]:
        """What all reviewers decided together, for the keys of this run."""
        with self._lock:
            self._refresh()
            found = CONSENSUS[self.consensus](self._standing)
            return {key: verdict for key, verdict in found.items() if key in self.evidence.rows_of}

    def agreement(self) -> Agreement:
        """How far the reviewers agree, overall, by pair and by class."""
        with self._lock:
            self._refresh()
            return agreement(ratings(self._standing))

    def log(self) -> list[Decision]:
        """Every decision and undo on pictures of this run, in order, from whichever run they were made."""
        return [decision for decision in self.store.log() if decision.key in self.evidence.rows_of]

    # Writing

    def decide(
        self,
        sample_id: str,
        action: str,
        reviewer: str,
        new_label: str | None = None,
        soft: Mapping[str, float] | None = None,
        reason: str = "",
        shown: Sequence[str] = (),
        id: str | None = None,
    ) -> Decision:
        """Record one decision; on disk when this returns. ``id`` given by the caller makes a repeated call harmless.

        ``accept`` takes the suggestion, ``keep`` the label. ``shown`` names what was seen before (domain.SHOWABLE).
        Raises InputError where the decision makes no sense.
        """
        decision = self._decision(sample_id, action, reviewer, new_label, soft, reason, shown, id or uuid.uuid4().hex)
        self.store.append(decision)
        return decision

    def decide_many(
        self,
        sample_ids: Sequence[str],
        action: str,
        reviewer: str,
        new_label: str | None = None,
        reason: str = "",
        shown: Sequence[str] = (),
        ids: Sequence[str] | None = None,
    ) -> list[Decision]:
        """The same decision on several pictures, all recorded or none; ``ids`` one a picture, as in ``decide``."""
        ids = ids or [uuid.uuid4().hex for _ in sample_ids]
        if len(ids) != len(sample_ids):
            raise InputError(f"{len(ids)} ids came with {len(sample_ids)} pictures; give one a picture, or none.")
        decisions = [
            self._decision(name, action, reviewer, new_label, None, reason, shown, own)
            for name, own in zip(sample_ids, ids, strict=True)
        ]
        self.store.append(*decisions)
        return decisions

    def undo(self, reviewer: str, decision_id: str | None = None) -> Decision | None:
        """Take back the reviewer's newest decision in this run (or a named one) and return it; None if there is none.

        The undo is itself recorded; the state afterwards is exactly the one before the decision.
        """
        with self._lock:
            self._refresh()
            if decision_id is None:
                target = self._standing.latest(reviewer, self.run.name)
            else:
                target = self._standing.made(decision_id)
        if target is None:
            return None
        fields = asdict(target) | {"action": UNDO, "new_label": None, "soft": None, "reason": "", "undoes": target.id}
        del fields["time"]
        # The same id each time, so that an undo sent twice is recorded once.
        fields |= {"reviewer": reviewer, "id": uuid.uuid5(uuid.NAMESPACE_OID, target.id).hex}
        self.store.append(Decision(**fields))
        return target

    def add(self, decisions: Sequence[Decision]) -> int:
        """Record decisions made elsewhere (an import); returns how many were new. Raises InputError on a bad one."""
        checked = [check(decision, self.run.classes) for decision in decisions]
        known = {decision.id: decision for decision in self.store.log()}
        for decision in checked:
            if (other := known.get(decision.id)) and _said(other) != _said(decision):
                raise InputError(
                    f"The decision {decision.id} on {decision.sample_id} is recorded as {other.action} and is "
                    f"{decision.action} here; a decision stays as it was made: empty its id to record another one."
                )
        self.store.append(*checked)
        return len({decision.id for decision in checked} - set(known))

    # Inside

    def _decision(
        self,
        sample_id: str,
        action: str,
        reviewer: str,
        new_label: str | None,
        soft: Mapping[str, float] | None,
        reason: str,
        shown: Sequence[str],
        id: str,
    ) -> Decision:
        row = self._row(sample_id)
        label = self.evidence.labels[row]
        if label is None:
            raise InputError(f"{sample_id} has no label of this run's classes; there is nothing to decide: skip it.")
        if action == ACCEPT and new_label is None:
            new_label = self.evidence.suggested[row]
        made = Decision(
            sample_id, self.evidence.content[row] or "", self.run.name, reviewer.strip(), label, action,
            new_label, None if soft is None else dict(soft), reason, tuple(shown), id=id,
        )  # fmt: skip
        return check(made, self.run.classes)

    def _row(self, sample_id: str) -> int:
        try:
            return self.run.row_of[sample_id]
        except KeyError:
            raise InputError(f"The run {self.run.name} has no sample {sample_id!r}; see its samples.parquet.") from None

    def _order(self, query: Query) -> np.ndarray:
        """The queue's rows, worked out once a ranking; disagreements come and go with every decision."""
        score = self.ranking.score
        if query.kind == DISAGREEMENTS:
            return order(query, self.evidence, score, self._standing)
        if query not in self._orders:
            self._orders[query] = order(query, self.evidence, score, self._standing)
        return self._orders[query]

    def _refresh(self) -> None:
        """Take in what was appended since, by whomever."""
        for number, decision in self.store.decisions(self._last):
            self._standing.add(decision)
            self._last = number
            self._learned = None
            given = [float(bool(d.says_wrong)) for d in self._standing.of(decision.key).values() if d.action != SKIP]
            # The share of reviewers who found the label wrong; NaN where nobody decided.
            self._outcome[self.evidence.rows_of.get(decision.key, [])] = np.mean(given) if given else np.nan

    def _open(self, rows: np.ndarray, reviewer: str, kind: str) -> Iterator[int]:
        """Rows this reviewer may still decide, the first of each picture and label.

        A picture is spoken for by those who decided it and those who hold it. Claims outlast the decision, so that a
        reader who has not seen the decision yet still meets the claim.
        """
        held = self.store.claimed_by_others(reviewer)
        if self.overlap == 1 and kind != DISAGREEMENTS:
            rows = rows[np.isnan(self._outcome[rows])]
        seen: set[Key] = set()
        for row in rows.tolist():
            key = (self.evidence.content[row], self.evidence.labels[row])
            if key in seen or reviewer in self._standing.of(key):
                continue
            seen.add(key)
            if len(self._opinions(row) | held.get(key[0], set())) < self._wanted(row, kind):
                yield row

    def _wanted(self, row: int, kind: str) -> int:
        """How many reviewers a picture shall have: a disagreement is settled by one more than have decided it."""
        return len(self._opinions(row)) + 1 if kind == DISAGREEMENTS else self.overlap

    def _opinions(self, row: int) -> set[str]:
        """The reviewers who decided the picture and label of a row, skips left out."""
        given = self._standing.of((self.evidence.content[row], self.evidence.labels[row]))
        return {reviewer for reviewer, decision in given.items() if decision.action != SKIP}


def _pace(decisions: Sequence[Decision]) -> float | None:
    """Decisions an hour over the time spent on the last LATELY, pauses left out; None where that is not known."""
    lately = sorted(decision.time for decision in decisions)[-LATELY:]
    times = [datetime.fromisoformat(when).timestamp() for when in lately]
    gaps = [later - earlier for earlier, later in pairwise(times) if later - earlier <= PAUSE]
    return len(gaps) / sum(gaps) * 3600 if sum(gaps) > 0 else None


def _said(decision: Decision) -> tuple[Any, ...]:
    """What a decision decides, whoever made it; an export may leave names out."""
    return decision.content_id, decision.old_label, decision.action, decision.new_label, decision.soft
