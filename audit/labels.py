"""Which labels are likely wrong, why, and what they should be. No votes enter here.

A label i on a picture whose true class is j is a slip from j to i, and slips are uneven: `fear` may be given to many
faces that are not afraid, `happy` to hardly any. The score of a label is the probability that it is such a slip:

1. the classifier's probabilities (out of fold where there are any), made to fit the labels by a temperature, say what
   else the picture could be;
2. how often each class slips into each other is read from the purest pictures of each class (`slip_rates`), and how
   many labels are wrong in all from the confident joint (Northcutt, Jiang and Chuang 2021, "Confident Learning",
   JAIR 70);
3. what the classifier says of the nearest neighbours in the network's embeddings counts as far as it helps to foretell
   labels (their labels are told, not scored: they slip alike); a picture that the network was trained on has its
   neighbours within its fold, as the network sees them that was not;
4. exact duplicates that are labelled otherwise are second opinions.

How sure the suggestion is, is another question: the score times the share that the evidence gives the suggested class
among all but the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from audit.neighbours import REFERENCES, nearest
from audit.slips import (
    TINY,
    calibrate,
    error_rates,
    normalise,
    refine_slips,
    scale_slips,
    slip_rates,
    wrong_in_all,
)
from faces.errors import InputError

FEWEST = 3
"""Pictures without which there are no neighbours to speak of."""
_BLOCK = 4096


@dataclass(frozen=True)
class Folds:
    """``embeddings`` (N, D) of each picture by the network of its fold, which was not trained on it, and that ``fold``
    int (N,), -1 where there is none. Embeddings of different folds cannot be compared."""

    embeddings: np.ndarray
    fold: np.ndarray


@dataclass(frozen=True)
class LabelIssues:
    """Evidence for each of N samples; rows without a known label or without probabilities are NaN (or -1).

    ``score`` float64 (N,) in [0, 1], the probability that the label is wrong; ``suggested`` int16 (N,) the likeliest
    other class; ``suggestion_score`` float64 (N,), the probability that the label is wrong and the suggestion right,
    never above ``score``; ``self_confidence``, ``alternative`` and ``margin`` (N,) the model's probability of the
    label, of the suggested class, and the first minus the largest other; ``neighbours`` (N,) share of the nearest
    neighbours labelled otherwise (NaN without embeddings); ``duplicates`` (N,) share of the exact duplicates labelled
    otherwise (NaN where there are none); ``committee`` (N,) share of the models whose likeliest class is another (NaN
    without a committee); ``dynamics`` (N,) area under the margin of the training (NaN where none was logged): told,
    not scored;
    ``fresh`` bool (N,) whether the probabilities come from a network that was not trained on the picture;
    ``joint`` float64 (K, K) expected counts, rows given label, columns true class.
    """

    classes: tuple[str, ...]
    labels: np.ndarray
    score: np.ndarray
    suggested: np.ndarray
    suggestion_score: np.ndarray
    self_confidence: np.ndarray
    alternative: np.ndarray
    margin: np.ndarray
    neighbours: np.ndarray
    duplicates: np.ndarray
    committee: np.ndarray
    dynamics: np.ndarray
    fresh: np.ndarray
    joint: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """Row numbers, likeliest wrong first; rows without a score are left out. Ties keep sample order."""
        return descending(self.score)

    @property
    def surest(self) -> np.ndarray:
        """Row numbers, the likeliest right suggestion first; as ``order`` otherwise."""
        return descending(self.suggestion_score)

    @cached_property
    def error_rates(self) -> np.ndarray:
        """Estimated share of each class's labels that are wrong, float64 (K,); 0 for a class without labels."""
        return error_rates(self.joint)

    def suggested_names(self) -> np.ndarray:
        """Class names of ``suggested`` as objects (N,), None where there is none."""
        names = np.array([*self.classes, None], dtype=object)
        return names[self.suggested]

    def reason(self, row: int) -> str:
        """The evidence for and against the label of a row, in one sentence."""
        return self._told(*(column[row].item() for column in self._columns))

    def reasons(self) -> list[str]:
        """``reason`` of every row."""
        return [self._told(*values) for values in zip(*(column.tolist() for column in self._columns), strict=True)]

    @property
    def _columns(self) -> tuple[np.ndarray, ...]:
        """What a reason is made of, in the order that ``_told`` takes it."""
        return (
            self.score, self.labels, self.suggested, self.self_confidence, self.alternative, self.neighbours,
            self.duplicates, self.committee, self.dynamics, self.fresh,
        )  # fmt: skip

    def _told(
        self,
        score: float,
        label: int,
        suggested: int,
        own: float,
        alternative: float,
        neighbours: float,
        duplicates: float,
        committee: float,
        dynamics: float,
        fresh: bool,
    ) -> str:
        if not isfinite(score):
            return "No label to judge, or no probabilities to judge it by."
        name = self.classes[label]
        parts = [f"The model gives {name} {own:.0%} and {self.classes[suggested]} {alternative:.0%}"]
        if isfinite(neighbours):
            parts.append(f"{neighbours:.0%} of the most similar faces are labelled otherwise")
        if duplicates > 0:
            parts.append(f"{duplicates:.0%} of the copies of this picture are labelled otherwise")
        if isfinite(committee):
            parts.append(f"{committee:.0%} of the models asked see something else")
        if dynamics < 0:
            parts.append(f"while it was learnt, {name} stayed behind another class")
        if not fresh:
            parts.append("the model was trained on this label")
        parts.append(f"about {self.error_rates[label]:.0%} of the labels {name} look wrong")
        return "; ".join(parts) + "."

    def frame(self) -> pd.DataFrame:
        """One line a sample, in sample order: every piece of evidence and the reason in words."""
        return pd.DataFrame(
            {
                "label_issue_score": self.score,
                "suggested": self.suggested_names(),
                "suggestion_score": self.suggestion_score,
                "self_confidence": self.self_confidence,
                "margin": self.margin,
                "neighbours_disagree": self.neighbours,
                "duplicates_disagree": self.duplicates,
                "committee_disagree": self.committee,
                "area_under_margin": self.dynamics,
                "fresh": self.fresh,
                "reason": self.reasons(),
            }
        )


def descending(values: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """Rows (all, or those given) with a finite value, the largest first, ties in the order they stand in."""
    rows = np.arange(len(values)) if rows is None else rows
    rows = rows[np.isfinite(values[rows])]
    return rows[np.argsort(-values[rows], kind="stable")]


def label_issues(
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    embeddings: np.ndarray | None = None,
    out_of_fold: np.ndarray | None = None,
    content: Sequence[str | None] | None = None,
    committee: Sequence[np.ndarray] = (),
    seen: np.ndarray | None = None,
    folds: Folds | None = None,
    dynamics: np.ndarray | None = None,
) -> LabelIssues:
    """Judge every label.

    ``probabilities`` (N, K) with NaN rows where an image was unreadable; ``labels`` (N,) positions in ``classes``, -1
    unknown; ``embeddings`` (N, D); ``out_of_fold`` (N, K) replaces the probabilities where it is finite; ``content``
    content ids, for exact duplicates; ``committee`` further (N, K) arrays, averaged in; ``seen`` bool (N,), samples
    that the network was trained on: its embeddings have learnt their labels and so say nothing about them; ``folds``
    the embeddings that stand in for them there; ``dynamics`` (N,) areas under the margin.
    Raises InputError where shapes do not fit.
    """
    names, labels = tuple(classes), np.asarray(labels, dtype=np.int64)
    _check_shapes(len(labels), len(names), probabilities, out_of_fold, committee)
    pooled = pool(probabilities, out_of_fold, committee)
    rows = np.flatnonzero((labels >= 0) & np.isfinite(pooled).all(axis=1))
    p, y = pooled[rows], labels[rows]
    fitted = calibrate(p, y)
    learnt = _learnt(len(labels), out_of_fold, seen)
    said = np.zeros((len(labels), 2 * len(names)))
    said[rows] = np.hstack([np.eye(len(names))[y], fitted])
    around = _neighbourhood(embeddings, folds, rows, rows[~learnt[rows]], said)[rows]
    around, opinion = around[:, : len(names)], around[:, len(names) :]
    evidence = _stack(fitted, opinion, y) if np.isfinite(opinion).any() else fitted
    rates = refine_slips(slip_rates(fitted), fitted, y)
    slips = scale_slips(rates, evidence, y, wrong_in_all(fitted, y))
    table = _copies(content, labels)
    copies = _second_opinions(table, rows, slips, len(names))
    truth = normalise(evidence * slips[:, y].T * copies)
    asked = (_own(probabilities, out_of_fold), *committee) if len(committee) else ()
    found = _Evidence(p, y, evidence, truth, around, table["disagree"].to_numpy()[rows], _dissent(asked, y, rows))
    known = np.zeros(len(labels), bool) if out_of_fold is None else np.isfinite(out_of_fold).all(axis=1)
    logged = np.full(len(labels), np.nan) if dynamics is None else np.asarray(dynamics, dtype=np.float64)
    return _spread(names, labels, rows, found, logged, known | ~learnt)


def pool(probabilities: np.ndarray, out_of_fold: np.ndarray | None, committee: Sequence[np.ndarray]) -> np.ndarray:
    """Mean probabilities (N, K): out of fold where finite, else the run's own, averaged with the committee's."""
    own = _own(probabilities, out_of_fold)
    return np.mean([own, *(np.asarray(member, dtype=np.float64) for member in committee)], axis=0)


def _own(probabilities: np.ndarray, out_of_fold: np.ndarray | None) -> np.ndarray:
    own = np.asarray(probabilities, dtype=np.float64)
    if out_of_fold is None:
        return own
    return np.where(np.isfinite(out_of_fold).all(axis=1, keepdims=True), out_of_fold, own)


def _dissent(asked: Sequence[np.ndarray], y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Share of the models (each (N, K)) whose likeliest class is not the label, float (M,); NaN where none is asked."""
    if not asked:
        return np.full(len(rows), np.nan)
    return np.mean([np.asarray(said)[rows].argmax(axis=1) != y for said in asked], axis=0)


def _learnt(n: int, out_of_fold: np.ndarray | None, seen: np.ndarray | None) -> np.ndarray:
    """bool (N,): samples trained on, said so or known by an answer out of fold."""
    known = np.zeros(n, dtype=bool) if seen is None else np.asarray(seen, dtype=bool)
    return known if out_of_fold is None else known | np.isfinite(out_of_fold).all(axis=1)


def _neighbourhood(
    embeddings: np.ndarray | None, folds: Folds | None, judged: np.ndarray, fresh: np.ndarray, said: np.ndarray
) -> np.ndarray:
    """Mean over the nearest others of ``said`` (N, D), float64 (N, D), NaN where there are none to ask.

    The ``fresh`` rows have their neighbours among themselves, each fold of the other ``judged`` rows within itself.
    """
    around = np.full(said.shape, np.nan)
    parts = [] if embeddings is None else [(embeddings, fresh)]
    if folds is not None:
        rest = np.setdiff1d(judged, fresh)
        parts += [(folds.embeddings, rest[folds.fold[rest] == one]) for one in np.unique(folds.fold) if one >= 0]
    for vectors, rows in parts:
        if len(rows) >= FEWEST:
            asked = max(2, round(np.sqrt(min(len(rows), REFERENCES))))
            found = nearest(vectors[rows], asked)[0]
            for start in range(0, len(rows), _BLOCK):
                around[rows[start : start + _BLOCK]] = said[rows[found[start : start + _BLOCK]]].mean(axis=1)
    return around


def _stack(p: np.ndarray, around: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The mixture of model and neighbours that makes the given labels likeliest (stacking; Wolpert 1992).

    Rows of ``around`` that are NaN stay the model's.
    """
    known = np.isfinite(around).all(axis=1)
    by_model, by_neighbours = p[known, y[known]], around[known, y[known]]
    best = minimize_scalar(
        lambda share: -np.log((1 - share) * by_model + share * by_neighbours + TINY).mean(),
        bounds=(0, 0.99),
        method="bounded",
    )
    return np.where(known[:, None], (1 - best.x) * p + best.x * around, p)


def _copies(content: Sequence[str | None] | None, labels: np.ndarray) -> pd.DataFrame:
    """For each row, ``others``: the labels its exact copies carry and it does not; ``disagree``: their share."""
    table = pd.DataFrame({"disagree": np.full(len(labels), np.nan)})
    table["others"] = [()] * len(labels)
    if content is None:
        return table
    known = pd.DataFrame({"content": pd.Series(content, dtype=object), "label": labels})
    known = known[known["content"].notna() & (known["label"] >= 0)]
    for _, group in known[known["content"].duplicated(keep=False)].groupby("content"):
        present = set(group["label"])
        for row, label in group["label"].items():
            table.at[row, "disagree"] = (group["label"] != label).sum() / (len(group) - 1)
            table.at[row, "others"] = tuple(sorted(present - {label}))
    return table


def _second_opinions(table: pd.DataFrame, rows: np.ndarray, slips: np.ndarray, k: int) -> np.ndarray:
    """(N, K) factors: how well each true class explains the other labels that copies of a picture carry.

    Copies with the same label say nothing new: they were most likely copied along with it.
    """
    rates = slips / slips.sum(axis=1, keepdims=True)
    factors = np.ones((len(rows), k))
    for at, others in enumerate(table["others"].to_numpy()[rows]):
        for other in others:
            factors[at] *= rates[:, other]
    return factors


@dataclass(frozen=True)
class _Evidence:
    """What is known of the M judged rows: ``evidence`` (M, K), what model and neighbours say; ``truth`` (M, K), the
    true class given the label; ``around`` (M, K), the shares of the neighbours' labels, NaN where there are none."""

    p: np.ndarray
    y: np.ndarray
    evidence: np.ndarray
    truth: np.ndarray
    around: np.ndarray
    disagree: np.ndarray
    dissent: np.ndarray


def _spread(
    names: tuple[str, ...],
    labels: np.ndarray,
    rows: np.ndarray,
    found: _Evidence,
    dynamics: np.ndarray,
    fresh: np.ndarray,
) -> LabelIssues:
    """Bring the judged rows' evidence back to all rows."""
    k, at, y = len(names), np.arange(len(rows)), found.y
    best = _others(found.p, y).argmax(axis=1)
    own = found.p[at, y]
    suggested = np.full(len(labels), -1, dtype=np.int16)
    suggested[rows] = best
    joint = np.zeros((k, k))
    np.add.at(joint, y, found.truth)

    def wide(values: np.ndarray) -> np.ndarray:
        column = np.full(len(labels), np.nan)
        column[rows] = values
        return column

    score = _others(found.truth, y, 0).sum(axis=1)
    return LabelIssues(
        classes=names,
        labels=labels,
        score=wide(score),
        suggested=suggested,
        suggestion_score=wide(score * normalise(_others(found.evidence, y, 0))[at, best]),
        self_confidence=wide(own),
        alternative=wide(found.p[at, best]),
        margin=wide(own - _others(found.p, y).max(axis=1)),
        neighbours=wide(1 - found.around[at, y]),
        duplicates=wide(found.disagree),
        committee=wide(found.dissent),
        dynamics=dynamics,
        fresh=fresh,
        joint=joint,
    )


def _others(p: np.ndarray, y: np.ndarray, instead: float = -1.0) -> np.ndarray:
    """A copy of ``p`` whose column of the label is ``instead``."""
    copy = p.copy()
    copy[np.arange(len(y)), y] = instead
    return copy


def _check_shapes(
    n: int, k: int, probabilities: np.ndarray, out_of_fold: np.ndarray | None, committee: Sequence[np.ndarray]
) -> None:
    given = {"probabilities": probabilities, "out-of-fold probabilities": out_of_fold}
    given |= {f"probabilities of committee member {i + 1}": member for i, member in enumerate(committee)}
    for name, array in given.items():
        if array is not None and np.shape(array) != (n, k):
            raise InputError(
                f"The {name} have shape {np.shape(array)}; ({n}, {k}) was expected, one row a sample and one column a "
                "class: audit the same samples with the same classes."
            )
