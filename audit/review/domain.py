"""The rules of relabelling, in plain Python: what a decision is, which ones stand, and which rows they reach."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from faces.emotions import LabelSet, canonical
from faces.errors import InputError

ACCEPT, RELABEL, KEEP, NOT_A_FACE, SKIP, SOFT, UNDO = (
    "accept",
    "relabel",
    "keep",
    "not_a_face",
    "skip",
    "soft",
    "undo",
)
ACTIONS = (ACCEPT, RELABEL, KEEP, NOT_A_FACE, SKIP, SOFT)
"""What a reviewer can decide; ``undo`` is recorded in the same log and takes one of these back."""

SHOWABLE = ("image", "label", "suggestion", "probabilities", "map", "neighbours", "votes")
"""What the page may have shown before the decision; blind mode shows ``image`` alone."""

Key = tuple[str, str]
"""What a decision is about: (content_id, old label). The same pixels under another label are another question."""


class Unavailable(InputError):
    """The database does not answer now; what was asked may be asked again."""


@dataclass(frozen=True)
class Decision:
    """One line of the log; never changed, never deleted.

    ``id`` is made by whoever decides, so that sending a decision twice records it once. ``time`` is UTC, ISO 8601 with
    microseconds. ``new_label`` is given for accept, relabel and keep (then the old one); ``soft`` maps class to share
    (sums to 1) for soft alone; ``shown`` says what the reviewer saw before deciding; ``undoes`` is the id that an undo
    takes back.
    """

    sample_id: str
    content_id: str
    run: str
    reviewer: str
    old_label: str
    action: str
    new_label: str | None = None
    soft: Mapping[str, float] | None = field(default=None, hash=False)
    reason: str = ""
    shown: tuple[str, ...] = ()
    undoes: str | None = None
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="microseconds"))
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def key(self) -> Key:
        return (self.content_id, self.old_label)

    @property
    def blind(self) -> bool:
        """Whether the reviewer saw nothing but the picture."""
        return set(self.shown) <= {"image"}

    @property
    def says_wrong(self) -> bool | None:
        """Whether the old label does not hold; None where the decision says nothing about it (skip)."""
        if self.action == SKIP:
            return None
        if self.action == SOFT and self.soft is not None:
            return max(self.soft, key=lambda name: (self.soft or {})[name]) != self.old_label
        return self.action == NOT_A_FACE or self.new_label != self.old_label

    def opinion(self) -> dict[str, float]:
        """The decision as shares over classes and ``not_a_face``; empty for skip."""
        if self.action == SKIP:
            return {}
        if self.action == SOFT:
            return dict(self.soft or {})
        return {NOT_A_FACE: 1.0} if self.action == NOT_A_FACE else {str(self.new_label): 1.0}


def check(decision: Decision, classes: LabelSet) -> Decision:
    """The decision with canonical names and normalised shares. Raises InputError where it does not make sense."""
    if not decision.reviewer.strip():
        raise InputError("The reviewer's name is empty; give a name or initials, so that decisions can be told apart.")
    if not decision.content_id:
        raise InputError(f"{decision.sample_id} has no readable picture; there is nothing to decide: skip it.")
    if not 0 < len(decision.id) <= 64:
        raise InputError(f"The decision's id {decision.id[:80]!r} is not usable; 1 to 64 characters were expected.")
    if decision.action == UNDO:
        return decision
    if decision.action not in ACTIONS:
        raise InputError(f"The action {decision.action!r} is not one of {', '.join(ACTIONS)}; use one of those.")
    unknown = [part for part in decision.shown if part not in SHOWABLE]
    if unknown:
        raise InputError(f"What was shown names {unknown[0]!r}; use {', '.join(SHOWABLE)}.")
    old = canonical(decision.old_label)
    if decision.action == SOFT:
        return replace(decision, old_label=old, new_label=None, soft=_shares(decision.soft, classes))
    if decision.action in (ACCEPT, RELABEL):
        if decision.new_label is None:
            raise InputError(f"The decision {decision.action!r} on {decision.sample_id} names no label; give one.")
        new = classes.names[classes.index(decision.new_label)]
        return replace(decision, old_label=old, new_label=new, soft=None)
    return replace(decision, old_label=old, new_label=old if decision.action == KEEP else None, soft=None)


def _shares(soft: Mapping[str, float] | None, classes: LabelSet) -> dict[str, float]:
    if not soft:
        raise InputError("The soft label is empty; give each class a share, for example sad 0.6 and neutral 0.4.")
    shares = {classes.names[classes.index(name)]: float(value) for name, value in soft.items()}
    total = sum(shares.values())
    if not (min(shares.values()) >= 0 and 0 < total < float("inf")):
        raise InputError(f"The soft label {dict(soft)} is no distribution; shares of 0 or more were expected.")
    return {name: value / total for name, value in shares.items() if value > 0}


class Standing:
    """The decisions that hold, kept up as the log grows: for each key and reviewer the latest that is not undone.

    A skip says nothing and so never replaces an earlier decision of the same reviewer.
    """

    def __init__(self, log: Iterable[Decision] = ()) -> None:
        self._made: dict[Key, dict[str, list[Decision]]] = {}
        self._by_id: dict[str, Decision] = {}
        for decision in log:
            self.add(decision)

    def add(self, decision: Decision) -> None:
        """Take in the next entry of the log; one that is there already changes nothing."""
        if decision.id in self._by_id:
            return
        self._by_id[decision.id] = decision
        if decision.action != UNDO:
            self._made.setdefault(decision.key, {}).setdefault(decision.reviewer, []).append(decision)
            return
        target = self._by_id[str(decision.undoes)]
        made = self._made[target.key]
        made[target.reviewer].remove(target)
        if not made[target.reviewer]:
            del made[target.reviewer]
        if not made:
            del self._made[target.key]

    def of(self, key: Key) -> dict[str, Decision]:
        """Reviewer -> the decision of theirs that holds for a key."""
        return {reviewer: _latest(made) for reviewer, made in self._made.get(key, {}).items()}

    def __iter__(self) -> Iterator[Key]:
        """Every key that someone decided or skipped."""
        return iter(self._made)

    def all(self) -> list[Decision]:
        """Every decision that holds, by key in order of first decision."""
        return [decision for key in self._made for decision in self.of(key).values()]

    def by(self, reviewer: str) -> list[Decision]:
        """Every decision of one reviewer that holds."""
        return [_latest(made[reviewer]) for made in self._made.values() if reviewer in made]

    def made(self, decision_id: str) -> Decision | None:
        """A decision that is not an undo, by its id, undone or not."""
        found = self._by_id.get(decision_id)
        return found if found is not None and found.action != UNDO else None

    def latest(self, reviewer: str, run: str | None = None) -> Decision | None:
        """The newest decision of a reviewer (in one run) that is not undone: what undo takes back."""
        for decision in reversed(self._by_id.values()):
            mine = decision.reviewer == reviewer and decision.action != UNDO and run in (None, decision.run)
            if mine and decision in self._made.get(decision.key, {}).get(reviewer, ()):
                return decision
        return None


def _latest(made: list[Decision]) -> Decision:
    return next((decision for decision in reversed(made) if decision.action != SKIP), made[-1])


@dataclass(frozen=True)
class Verdict:
    """What the reviewers of one key decided together.

    ``opinion`` shares over classes and ``not_a_face``; ``label`` the winner, None where it is tied or soft;
    ``reviewers`` how many decided; ``agreed`` whether all said the same.
    """

    key: Key
    opinion: Mapping[str, float]
    label: str | None
    reviewers: int
    agreed: bool

    @property
    def old_label(self) -> str:
        return self.key[1]

    @property
    def is_soft(self) -> bool:
        """One reviewer's or everyone's soft label stands as it is."""
        return self.label is None and self.agreed

    @property
    def settled(self) -> bool:
        return self.label is not None or self.is_soft

    @property
    def changes(self) -> bool:
        """Whether the settled verdict differs from the label the picture had."""
        return self.settled and self.label != self.old_label


def majority(standing: Standing) -> dict[Key, Verdict]:
    """One verdict a key that somebody decided; equal votes settle nothing."""
    verdicts = (verdict(standing, key) for key in standing)
    return {found.key: found for found in verdicts if found is not None}


def verdict(standing: Standing, key: Key) -> Verdict | None:
    """What the reviewers decided about one key by majority, None where nobody did."""
    given = [decision.opinion() for decision in standing.of(key).values() if decision.action != SKIP]
    if not given:
        return None
    names = sorted({name for opinion in given for name in opinion})
    mean = {name: sum(opinion.get(name, 0.0) for opinion in given) / len(given) for name in names}
    agreed = all(opinion == given[0] for opinion in given)
    ranked = sorted(mean, key=lambda name: -mean[name])
    clear = len(ranked) == 1 or mean[ranked[0]] > mean[ranked[1]] + 1e-9
    is_soft = agreed and len(given[0]) > 1
    return Verdict(key, mean, ranked[0] if clear and not is_soft else None, len(given), agreed)
