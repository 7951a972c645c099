"""The ranking learns: every decision tells how often labels like it are wrong, and all scores follow.

A logistic regression starts from the audit's score and adds what decisions show about the given label, the suggested
one, the pair of them, and the groups: each an effect that is zero until decisions move it (a Gaussian prior). Because
it conditions on the score, it stays honest where reviewers look at the most doubtful pictures first; a random control
sample makes it sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.special import expit, logit

ENOUGH = 5
"""Decisions on a class before a sentence is said about it."""
_SPREAD = {"all": 2.0, "slope": 0.5, "label": 1.0, "suggested": 0.5, "pair": 0.5, "group": 0.3}
"""How far, in log-odds, each kind of effect may be expected to lie from zero: weak, and weaker the finer it is."""


@dataclass(frozen=True)
class LabelRate:
    """How the labels of one class, or those of one group of an ``attribute``, hold: ``rate`` is the share that is
    wrong, ``low`` and ``high`` its 95% interval."""

    name: str
    total: int
    decided: int
    wrong: float
    rate: float
    low: float
    high: float
    attribute: str | None = None

    @property
    def sentence(self) -> str:
        """``labels `fear` hold in about 2 of 10 cases so far (decided: 12)``."""
        whose = f"labels `{self.name}`"
        if self.attribute is not None:
            whose = f"labels where {self.attribute.replace('_', ' ')} is {self.name}"
        held = round(10 * (1 - self.rate))
        amount = {0: "hardly any case", 10: "nearly all cases"}.get(held, f"about {held} of 10 cases")
        return f"{whose} hold in {amount} so far (decided: {self.decided})"


@dataclass(frozen=True)
class Learned:
    """What decisions taught.

    ``score`` float64 (N,), the probability that each label is wrong (NaN where there is none to judge);
    ``rates`` one a class; ``groups`` one a group of every attribute; ``overall`` the share of all labels that is
    wrong; ``errors_left`` how many undecided labels are wrong, with its 95% interval.
    """

    score: np.ndarray
    rates: tuple[LabelRate, ...]
    groups: tuple[LabelRate, ...]
    overall: float
    errors_left: tuple[float, float, float]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is worth saying: the classes with enough decisions, the worst first, then the groups that differ from
        the rest by more than chance."""
        known = [rate for rate in self.rates if rate.decided >= ENOUGH]
        apart = [one for one in self.groups if one.decided >= ENOUGH and not one.low <= self.overall <= one.high]
        return tuple(one.sentence for part in (known, apart) for one in sorted(part, key=lambda rate: -rate.rate))


class Learner:
    """Learns from decisions on one run's samples.

    ``score`` float (N,) of the audit, NaN where there is no label to judge; ``labels`` and ``suggested`` class names
    (N,); ``groups`` categorical columns (N rows), missing values allowed.
    """

    def __init__(
        self, score: np.ndarray, labels: np.ndarray, suggested: np.ndarray, groups: pd.DataFrame, classes: Sequence[str]
    ) -> None:
        self.classes = tuple(classes)
        self.judged = np.flatnonzero(np.isfinite(score))
        self.n = len(score)
        self._labels = np.asarray(labels, dtype=object)[self.judged]
        self._odds = logit(np.clip(np.asarray(score, dtype=np.float64)[self.judged], 1e-4, 1 - 1e-4))
        self._suggested = np.asarray(suggested, dtype=object)[self.judged]
        self._groups = groups.iloc[self.judged]
        self._group_names = [
            (name, value) for name in self._groups for value in sorted(self._groups[name].dropna().unique())
        ]
        self._mine = np.vstack(
            [np.ones(len(self.judged), dtype=bool)]
            + [self._labels == name for name in self.classes]
            + [(self._groups[name] == value).to_numpy(dtype=bool, na_value=False) for name, value in self._group_names]
        )

    @cached_property
    def _features(self) -> tuple[np.ndarray, np.ndarray]:
        """(M, F) effects and (F,) the precision of each one's prior."""
        m = len(self.judged)
        columns, spread = [np.ones((m, 1)), self._odds[:, None]], [_SPREAD["all"], _SPREAD["slope"]]
        pair = pd.Series(self._labels).astype(str) + "\0" + pd.Series(self._suggested).astype(str)
        kinds = [("label", self._labels), ("suggested", self._suggested), ("pair", pair.to_numpy())]
        kinds += [("group", self._groups[name].to_numpy()) for name in self._groups]
        for kind, values in kinds:
            codes, names = pd.factorize(pd.Series(values, dtype=object), sort=True)
            columns.append((codes[:, None] == np.arange(len(names))).astype(np.float64))
            spread += [_SPREAD[kind]] * len(names)
        return np.hstack(columns), 1 / np.square(spread)

    def learn(self, outcome: np.ndarray) -> Learned:
        """``outcome`` float (N,): 1 label found wrong, 0 found right, between where reviewers differ, NaN undecided."""
        truth = np.asarray(outcome, dtype=np.float64)[self.judged]
        decided = np.isfinite(truth)
        design, precision = self._features
        effects, curvature = _fit(design[decided], self._odds[decided], truth[decided], precision)
        chance = expit(self._odds + design @ effects)
        score = np.full(self.n, np.nan)
        score[self.judged] = chance
        low, expected, high = self._wrong(chance, ~decided, np.linalg.inv(curvature))
        names = [("", None), *((name, None) for name in self.classes)]
        names += [(str(value), attribute) for attribute, value in self._group_names]
        rates = [
            self._rate(at, truth, decided, (expected[at], low[at], high[at]), *names[at]) for at in range(len(names))
        ]
        k = len(self.classes) + 1
        left = (float(expected[0]), float(low[0]), float(high[0]))
        return Learned(score, tuple(rates[1:k]), tuple(rates[k:]), rates[0].rate, left)

    def _wrong(
        self, chance: np.ndarray, rows: np.ndarray, covariance: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """How many labels of some rows are wrong: low, expected and high (95%, delta method over the effects), each
        one number a row of ``_mine``: in all, by class and by group."""
        mine = self._mine & rows
        variance = mine * (chance * (1 - chance))
        slope = variance @ self._features[0]
        width = 1.96 * np.sqrt(np.einsum("kf,fg,kg->k", slope, covariance, slope) + variance.sum(axis=1))
        expected = mine @ chance
        return np.maximum(expected - width, 0), expected, np.minimum(expected + width, mine.sum(axis=1))

    def _rate(
        self,
        at: int,
        truth: np.ndarray,
        decided: np.ndarray,
        left: tuple[float, float, float],
        name: str,
        attribute: str | None,
    ) -> LabelRate:
        mine = self._mine[at]
        total = int(mine.sum())
        known = float(truth[mine & decided].sum())
        if not total:
            return LabelRate(name, 0, 0, 0.0, 0.0, 0.0, 1.0, attribute)
        rate, low, high = (float(known + number) / total for number in left)
        return LabelRate(name, total, int((mine & decided).sum()), known, rate, low, high, attribute)


def _fit(
    design: np.ndarray, offset: np.ndarray, truth: np.ndarray, precision: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The most probable effects (F,) and the curvature there (F, F), by Newton's method with halved steps."""
    effects = np.zeros(len(precision))
    curvature = np.diag(precision)

    def loss(candidate: np.ndarray) -> float:
        odds = offset + design @ candidate
        return float((np.logaddexp(0, odds) - truth * odds).sum() + 0.5 * (precision * candidate**2).sum())

    for _ in range(50):
        chance = expit(offset + design @ effects)
        slope = design.T @ (truth - chance) - precision * effects
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(precision)
        step = np.linalg.solve(curvature, slope)
        while loss(effects + step) > loss(effects) and np.abs(step).max() > 1e-9:
            step = step / 2
        effects = effects + step
        if np.abs(step).max() < 1e-6:
            break
    return effects, curvature
