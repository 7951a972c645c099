"""How far reviewers agree, and what they say together where some are more reliable than others."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd

from audit.review.domain import SKIP, Key, Standing, Verdict


@dataclass(frozen=True)
class Agreement:
    """Over the pictures that at least two reviewers decided; a figure that is undefined is None.

    ``share`` of pairs of opinions that are equal; ``alpha`` Krippendorff's alpha (nominal, any number of reviewers a
    picture); ``alpha_per_class`` the same for each class against the rest; ``cohen`` kappa and number of pictures for
    each pair of reviewers; ``fleiss`` kappa over the ``fleiss_pictures`` with ``fleiss_reviewers`` opinions each.
    """

    pictures: int
    share: float | None
    alpha: float | None
    alpha_per_class: dict[str, float | None]
    cohen: dict[tuple[str, str], tuple[float | None, int]]
    fleiss: float | None
    fleiss_pictures: int
    fleiss_reviewers: int

    def json(self) -> dict:
        """What ``facevalue review agreement --json`` prints."""
        pairs = [{"a": a, "b": b, "kappa": kappa, "n": n} for (a, b), (kappa, n) in self.cohen.items()]
        return asdict(replace(self, cohen={})) | {"cohen": pairs}


def ratings(standing: Standing) -> pd.DataFrame:
    """One row a key, one column a reviewer, the label each chose (the larger share of a soft one); missing is None."""
    cells = [
        (decision.key, decision.reviewer, max(decision.opinion().items(), key=lambda item: item[1])[0])
        for decision in standing.all()
        if decision.action != SKIP
    ]
    long = pd.DataFrame(cells, columns=["key", "reviewer", "label"], dtype=object)
    return long.pivot(index="key", columns="reviewer", values="label")


def agreement(table: pd.DataFrame) -> Agreement:
    """All figures for a table of ``ratings``."""
    several = table[table.notna().sum(axis=1) >= 2]
    names = sorted({label for label in several.to_numpy().ravel() if isinstance(label, str)})
    counts = np.stack([(several == name).sum(axis=1) for name in names], axis=1) if names else np.zeros((0, 0), int)
    fleiss, pictures, reviewers = _fleiss(counts)
    return Agreement(
        pictures=len(several),
        share=_share(counts),
        alpha=krippendorff_alpha(counts),
        alpha_per_class={name: krippendorff_alpha(_against_rest(counts, i)) for i, name in enumerate(names)},
        cohen={(a, b): _cohen(table[[a, b]].dropna()) for a, b in combinations(sorted(table.columns), 2)},
        fleiss=fleiss,
        fleiss_pictures=pictures,
        fleiss_reviewers=reviewers,
    )


def krippendorff_alpha(counts: np.ndarray) -> float | None:
    """Krippendorff's alpha for nominal data; None where only one value occurs.

    ``counts`` int (pictures, values): how many reviewers gave each value; pictures with one opinion do not count
    (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C).
    """
    counts = counts[counts.sum(axis=1) >= 2].astype(np.float64)
    opinions, values = counts.sum(axis=1), counts.sum(axis=0)
    total = values.sum()
    expected = total * (total - 1) - (values * (values - 1)).sum()
    if expected <= 0:
        return None
    equal = ((counts * (counts - 1)).sum(axis=1) / (opinions - 1)).sum()
    return float(1 - (total - 1) * (total - equal) / expected)


def dawid_skene(table: pd.DataFrame, rounds: int = 1000, tolerance: float = 1e-6) -> dict[Key, Verdict]:
    """Verdicts weighted by each reviewer's estimated confusion matrix, by EM from the majority (Dawid and Skene 1979).

    ``table`` from ``ratings``; EM stops after ``rounds`` or when no probability moves by more than ``tolerance``.
    """
    names = sorted({label for label in table.to_numpy().ravel() if isinstance(label, str)})
    if not names:
        return {}
    given = np.stack([(table == name).to_numpy() for name in names], axis=2).astype(np.float64)
    belief = given.sum(axis=1) / given.sum(axis=(1, 2))[:, None]
    for _ in range(rounds):
        before, belief = belief, _reweigh(given, belief)
        if np.abs(belief - before).max() < tolerance:
            break
    opinions = given.sum(axis=1)
    return {
        key: Verdict(
            key,
            {name: float(share) for name, share in zip(names, belief[row], strict=True) if share > 0},
            names[int(belief[row].argmax())],
            int(opinions[row].sum()),
            bool((opinions[row] > 0).sum() == 1),
        )
        for row, key in enumerate(table.index)
    }


def _reweigh(given: np.ndarray, belief: np.ndarray) -> np.ndarray:
    """One round of EM: ``given`` (pictures, reviewers, classes) 0 or 1, ``belief`` (pictures, classes) as before."""
    said = np.einsum("pt,prs->rts", belief, given)
    total = said.sum(axis=2, keepdims=True)
    confusion = np.divide(said, total, out=np.zeros_like(said), where=total > 0)
    # A cell that nobody filled is unlikely, not impossible; the logarithm needs it so.
    logged = np.einsum("prs,rts->pt", given, np.log(np.maximum(confusion, 1e-10)))
    logged += np.log(np.maximum(belief.mean(axis=0), 1e-10))
    belief = np.exp(logged - logged.max(axis=1, keepdims=True))
    return belief / belief.sum(axis=1, keepdims=True)


def _against_rest(counts: np.ndarray, column: int) -> np.ndarray:
    return np.stack([counts[:, column], counts.sum(axis=1) - counts[:, column]], axis=1)


def _share(counts: np.ndarray) -> float | None:
    opinions = counts.sum(axis=1)
    pairs = (opinions * (opinions - 1)).sum()
    return float((counts * (counts - 1)).sum() / pairs) if pairs else None


def _cohen(pair: pd.DataFrame) -> tuple[float | None, int]:
    from sklearn.metrics import cohen_kappa_score

    first, second = pair.iloc[:, 0].tolist(), pair.iloc[:, 1].tolist()
    if len(set(first) | set(second)) < 2:
        return None, len(pair)
    return float(cohen_kappa_score(first, second)), len(pair)


def _fleiss(counts: np.ndarray) -> tuple[float | None, int, int]:
    """Fleiss' kappa needs the same number of opinions on each picture: the most frequent number is taken."""
    from statsmodels.stats.inter_rater import fleiss_kappa

    if not len(counts):
        return None, 0, 0
    opinions = counts.sum(axis=1)
    usual = int(np.bincount(opinions).argmax())
    chosen = counts[opinions == usual]
    if (chosen.sum(axis=0) > 0).sum() < 2:
        return None, len(chosen), usual
    return float(fleiss_kappa(chosen, method="fleiss")), len(chosen), usual
