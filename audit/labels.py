"""Which labels are likely wrong, why, and what they should be. No votes enter here.

The score of a sample is the probability that its label is wrong, from four kinds of evidence:

1. the classifier's probabilities, out of fold where there are any (self-confidence and normalised margin);
2. how often each class is mislabelled, from the confident joint (Northcutt, Jiang and Chuang 2021,
   "Confident Learning", JAIR 70), which no single picture's confidence shows;
3. the labels of the nearest neighbours in the network's embeddings;
4. the labels of exact duplicates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from faces.errors import InputError

NEIGHBOURS = 10
_TINY = 1e-6


@dataclass(frozen=True)
class LabelIssues:
    """Evidence for each of N samples; a row without a known label or without probabilities is NaN (or -1).

    ``score`` float32 (N,) in [0, 1], higher is likelier wrong; ``suggested`` int16 (N,) the best class other than the
    label; ``self_confidence`` and ``margin`` float32 (N,) (probability of the label, and that minus the best other);
    ``neighbours`` float32 (N,) share of nearest neighbours labelled otherwise (NaN without embeddings);
    ``duplicates`` (N,) share of exact duplicates labelled otherwise (NaN where there are none);
    ``error_rates`` float64 (K,) estimated share of each class's labels that are wrong;
    ``joint`` float64 (K, K) estimated counts, rows given label, columns true class.
    """

    classes: tuple[str, ...]
    labels: np.ndarray
    score: np.ndarray
    suggested: np.ndarray
    self_confidence: np.ndarray
    margin: np.ndarray
    neighbours: np.ndarray
    duplicates: np.ndarray
    alternative: np.ndarray
    error_rates: np.ndarray
    joint: np.ndarray

    @property
    def order(self) -> np.ndarray:
        """Row numbers, likeliest wrong first; rows without a score are left out. Ties keep sample order."""
        judged = np.flatnonzero(np.isfinite(self.score))
        return judged[np.argsort(-self.score[judged], kind="stable")]

    def suggested_names(self) -> np.ndarray:
        """Class names of ``suggested`` as objects (N,), None where there is none."""
        names = np.array([*self.classes, None], dtype=object)
        return names[self.suggested]

    def reason(self, row: int) -> str:
        """Why the label of this row is doubted (or not), in one sentence."""
        if not np.isfinite(self.score[row]):
            return "No label to judge, or no probabilities to judge it by."
        label, other = self.classes[self.labels[row]], self.classes[self.suggested[row]]
        parts = [f"the model gives {label} {self.self_confidence[row]:.0%} and {other} {self.alternative[row]:.0%}"]
        if np.isfinite(self.neighbours[row]):
            parts.append(f"{self.neighbours[row]:.0%} of the most similar faces are labelled otherwise")
        if np.isfinite(self.duplicates[row]) and self.duplicates[row] > 0:
            parts.append(f"{self.duplicates[row]:.0%} of the copies of this picture are labelled otherwise")
        parts.append(f"about {self.error_rates[self.labels[row]]:.0%} of the labels {label} look wrong")
        return "; ".join(parts).capitalize() + "."

    def frame(self) -> pd.DataFrame:
        """One line a sample, in sample order: every piece of evidence and the reason (``results/label_issues``)."""
        return pd.DataFrame(
            {
                "label_issue_score": self.score,
                "suggested": self.suggested_names(),
                "self_confidence": self.self_confidence,
                "margin": self.margin,
                "neighbours_disagree": self.neighbours,
                "duplicates_disagree": self.duplicates,
                "reason": [self.reason(row) for row in range(len(self.score))],
            }
        )


def label_issues(
    probabilities: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    embeddings: np.ndarray | None = None,
    out_of_fold: np.ndarray | None = None,
    content: Sequence[str | None] | None = None,
    committee: Sequence[np.ndarray] = (),
) -> LabelIssues:
    """Judge every label.

    ``probabilities`` (N, K) with NaN rows where an image was unreadable; ``labels`` (N,) positions in ``classes``, -1
    unknown; ``embeddings`` (N, D); ``out_of_fold`` (N, K) replaces the probabilities where it is finite;
    ``content`` content ids, for exact duplicates; ``committee`` further (N, K) arrays, averaged in.
    Raises InputError where shapes do not fit.
    """
    names, labels = tuple(classes), np.asarray(labels, dtype=np.int64)
    n = len(labels)
    _check_shapes(n, len(names), probabilities, out_of_fold, committee)
    pooled = pool(probabilities, out_of_fold, committee)
    judged = (labels >= 0) & np.isfinite(pooled).all(axis=1)
    rows = np.flatnonzero(judged)
    p, y = pooled[rows], labels[rows]
    joint = confident_joint(p, y)
    rates = error_rates(joint)
    same = np.full(n, np.nan)
    votes = None
    if embeddings is not None and len(rows) > NEIGHBOURS:
        votes = neighbour_labels(np.asarray(embeddings, dtype=np.float32)[rows], y, len(names))
        same[rows] = 1 - votes[np.arange(len(rows)), y]
    copies = _copies_disagree(content, labels) if content is not None else np.full(n, np.nan)
    belief = true_class(p, y, joint, votes)
    score = np.full(n, np.nan)
    score[rows] = 1 - belief[np.arange(len(rows)), y]
    disputed = judged & (copies > 0)
    score[disputed] = np.maximum(score[disputed], copies[disputed])
    return _assemble(names, labels, rows, p, belief, score, same, copies, rates, joint)


def pool(probabilities: np.ndarray, out_of_fold: np.ndarray | None, committee: Sequence[np.ndarray]) -> np.ndarray:
    """Mean probabilities (N, K): out of fold where finite, else the run's own, averaged with the committee's."""
    own = np.asarray(probabilities, dtype=np.float64)
    if out_of_fold is not None:
        known = np.isfinite(out_of_fold).all(axis=1, keepdims=True)
        own = np.where(known, out_of_fold, own)
    return np.mean([own, *(np.asarray(member, dtype=np.float64) for member in committee)], axis=0)


def confident_joint(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Estimated counts of (given label, true class), float64 (K, K), rows summing to the labels' counts.

    A sample counts for the likeliest class whose probability reaches that class's mean self-confidence; a class that
    no label carries is never reached (Northcutt et al. 2021, equations 1 and 2, calibrated as in their section 3.1).
    """
    k = probabilities.shape[1]
    own = probabilities[np.arange(len(labels)), labels]
    count = np.bincount(labels, minlength=k)
    total = np.bincount(labels, weights=own, minlength=k)
    threshold = np.divide(total, count, out=np.full(k, np.inf), where=count > 0)
    above = np.where(probabilities >= threshold - _TINY, probabilities, -1.0)
    confident = above.max(axis=1) >= 0
    counted = np.bincount(labels[confident] * k + above[confident].argmax(axis=1), minlength=k * k)
    joint = counted.reshape(k, k).astype(np.float64)
    joint[(joint.sum(axis=1) == 0) & (count > 0)] = np.eye(k)[(joint.sum(axis=1) == 0) & (count > 0)]
    return joint / np.maximum(joint.sum(axis=1, keepdims=True), 1) * count[:, None]


def error_rates(joint: np.ndarray) -> np.ndarray:
    """Share of each class's labels that are wrong, float64 (K,); 0 for a class without labels."""
    total = joint.sum(axis=1)
    return np.divide(total - np.diag(joint), total, out=np.zeros(len(joint)), where=total > 0)


def neighbour_labels(embeddings: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Shares of each label among the ten nearest others by cosine, float64 (N, K)."""
    from sklearn.neighbors import NearestNeighbors

    unit = embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), _TINY)
    search = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(unit)
    nearest = labels[search.kneighbors(return_distance=False)]
    return np.stack([(nearest == c).mean(axis=1) for c in range(k)], axis=1)


def true_class(p: np.ndarray, y: np.ndarray, joint: np.ndarray, votes: np.ndarray | None) -> np.ndarray:
    """Probability of each class being the true one, float64 (N, K)."""
    evidence = p if votes is None else (2 * p + votes) / 3
    belief = np.clip(evidence, _TINY, None)
    belief /= belief.sum(axis=1, keepdims=True)
    rates = np.clip(error_rates(joint), 0.01, 0.99)
    odds = logit(np.clip(1 - belief[np.arange(len(y)), y], _TINY, 1 - _TINY))
    wrong = expit(odds + logit(rates)[y])
    belief[np.arange(len(y)), y] = 0
    belief *= (wrong / np.maximum(belief.sum(axis=1), _TINY))[:, None]
    belief[np.arange(len(y)), y] = 1 - wrong
    return belief


def _check_shapes(
    n: int, k: int, probabilities: np.ndarray, out_of_fold: np.ndarray | None, committee: Sequence[np.ndarray]
) -> None:
    given = {"probabilities": probabilities, "out-of-fold probabilities": out_of_fold}
    given |= {f"committee member {i + 1}": member for i, member in enumerate(committee)}
    for name, array in given.items():
        if array is not None and np.shape(array) != (n, k):
            raise InputError(
                f"The {name} have shape {np.shape(array)}; ({n}, {k}) was expected, one row a sample and one column a "
                "class: audit the same samples with the same classes."
            )


def _copies_disagree(content: Sequence[str | None], labels: np.ndarray) -> np.ndarray:
    """Share of the other rows with the same content whose known label differs; NaN where there is no other row."""
    table = pd.DataFrame({"content": pd.Series(content, dtype=object), "label": labels})
    known = table[table["content"].notna() & (table["label"] >= 0)]
    size = known.groupby("content")["label"].transform("size")
    alike = known.groupby(["content", "label"])["label"].transform("size")
    share = ((size - alike) / (size - 1)).where(size > 1)
    return share.reindex(table.index).to_numpy(dtype=np.float64)


def _assemble(
    names: tuple[str, ...],
    labels: np.ndarray,
    rows: np.ndarray,
    p: np.ndarray,
    belief: np.ndarray,
    score: np.ndarray,
    same: np.ndarray,
    copies: np.ndarray,
    rates: np.ndarray,
    joint: np.ndarray,
) -> LabelIssues:
    n, at, y = len(labels), np.arange(len(rows)), labels[rows]
    others = belief.copy()
    others[at, y] = -1
    best = others.argmax(axis=1)
    suggested = np.full(n, -1, dtype=np.int16)
    suggested[rows] = best
    own, alternative = np.full(n, np.nan, np.float32), np.full(n, np.nan, np.float32)
    own[rows], alternative[rows] = p[at, y], p[at, best]
    return LabelIssues(
        names, labels, score.astype(np.float32), suggested, own, own - alternative,
        same.astype(np.float32), copies.astype(np.float32), alternative, rates, joint,
    )  # fmt: skip
