"""The same groups looked at in other ways, so that a reader sees whether the conclusion moves.

``raw``; ``label mix``: standardised to the whole set's labels; ``image quality``: standardised over strata of
brightness and sharpness; and for each kind of evidence that a label is wrong, the label-standardised figure without
those images. Evidence is votes, reviewed decisions or another model's out-of-fold predictions, never the audited
model's own errors; where there is none the view is not offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from audit.confusion import accuracy
from audit.counts import CROSS, Coded, attribute_sets
from audit.fairness import reference_group
from audit.intervals import Interval, mover_difference, ratio, wilson
from audit.run import AuditRun
from audit.standardise import Standardised, label_mix, standardised_accuracy
from audit.terms import Terms
from faces.emotions import LabelSet, vote_columns

if TYPE_CHECKING:
    from audit.review.service import ReviewService

RAW, LABEL_MIX, QUALITY = "raw", "label mix", "image quality"
WITHOUT = "without labels wrong by "
QUALITIES = ("brightness", "sharpness")
OTHER_MODEL = "other_model.npy"
"""In a run's folder: out-of-fold probabilities (N, K) of a model other than the audited one, where one was asked."""
STRATA = 3
"""Thirds of each quality, over the whole set: nine strata."""
COLUMNS = (
    "view", "attribute", "group", "n", "value", "low", "high", "reference", "difference", "difference_low",
    "difference_high", "omitted_share", "too_small",
)  # fmt: skip


def group_views(
    coded: Coded,
    samples: pd.DataFrame,
    attributes: tuple[str, ...],
    wrong: Mapping[str, np.ndarray] | None = None,
    terms: Terms | None = None,
) -> pd.DataFrame:
    """One row a view, attribute (or intersection) and group; see COLUMNS.

    ``wrong`` maps a kind of evidence to a boolean mask over the rows of ``samples``. ``value`` is NaN where a view is
    undefined for a group; differences are to the reference group of ``terms`` (the largest unless named), the same one
    in every view, over what both share.
    """
    parts = []
    terms = terms or Terms.of(coded)
    quality = quality_strata(samples)
    for names in attribute_sets(attributes, terms.crossed):
        counts = coded.counts(names)
        if not counts.groups:
            continue
        look = _Look(names, reference_group(counts, terms.references.get(counts.attribute)), terms)
        parts += [look.raw(coded), look.at_label_mix(coded, LABEL_MIX)]
        if quality is not None:
            parts.append(look.at_quality(coded, quality[coded.rows]))
        for evidence, mask in (wrong or {}).items():
            parts.append(look.at_label_mix(coded.where(~mask[coded.rows]), WITHOUT + evidence))
    return pd.concat(parts, ignore_index=True) if parts else _rows_of_nothing()


def views_of(run: AuditRun, decided: Mapping[str, str | None], terms: Terms | None = None) -> pd.DataFrame:
    """The views of a finished run with what reviewers have decided since as one more kind of evidence.

    ``decided`` maps the sample_id of each reviewed image to its label now, None where it shows no face; empty, the
    view is not offered. ``terms`` are the run's own unless given.
    """
    coded = Coded.of(run.samples, run.classes, run.attributes)
    path = run.folder / OTHER_MODEL
    found = evidence_of(run.samples, run.classes, np.load(path) if path.is_file() else None)
    if decided:
        found["reviewed decisions"] = wrong_by_decisions(run.samples, decided)
    own = terms or Terms.of(coded, run.manifest.get("options"))
    return group_views(coded, run.samples, run.attributes, found, own)


def decided_labels(review: ReviewService) -> dict[str, str | None]:
    """sample_id -> the label that reviewers settled on, None where it is no face; empty where nothing was decided."""
    from audit.review.domain import NOT_A_FACE

    ids = review.run.samples["sample_id"]
    return {
        ids.iat[row]: None if verdict.label == NOT_A_FACE else verdict.label
        for key, verdict in review.verdicts().items()
        if verdict.label is not None
        for row in review.evidence.rows_of[key]
    }


def evidence_of(
    samples: pd.DataFrame, classes: LabelSet, other_model: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Kind of evidence -> which rows' labels it finds wrong: votes where the data has them, ``other_model`` (N, K)

    where another model's out-of-fold probabilities are known.
    """
    found = {}
    votes = wrong_by_votes(samples, classes)
    if votes is not None:
        found["votes"] = votes
    if other_model is not None and np.isfinite(other_model).any():
        found["another model"] = wrong_out_of_fold(samples, other_model, classes)
    return found


def _rows_of_nothing() -> pd.DataFrame:
    texts = ("view", "attribute", "group", "reference")
    return pd.DataFrame({name: pd.Series(dtype=object if name in texts else float) for name in COLUMNS})


@dataclass(frozen=True)
class _Look:
    """The groups of one attribute, or intersection, compared with one reference group on the run's terms."""

    names: tuple[str, ...]
    reference: str
    terms: Terms

    def raw(self, coded: Coded) -> pd.DataFrame:
        """Accuracy as it is."""
        counts = coded.counts(self.names)
        value, interval = accuracy(counts.table), wilson(counts.correct.sum(axis=1), counts.sizes)
        whole = Standardised(value, interval, np.ones((len(value), 1), dtype=bool), np.zeros(len(value)))
        at = counts.groups.index(self.reference)
        own = Interval(interval.low[at], interval.high[at])
        gap = mover_difference(value, interval, value[at], own)
        return self._frame(RAW, counts.groups, counts.sizes, whole, value - value[at], gap)

    def at_label_mix(self, coded: Coded, view: str) -> pd.DataFrame:
        """At the label mix of the terms."""
        counts = coded.counts(self.names)
        return self._standardised(view, counts.groups, counts.correct, counts.labelled, self.terms.mix)

    def at_quality(self, coded: Coded, stratum: np.ndarray) -> pd.DataFrame:
        """At the whole set's mix of strata of image quality; ``stratum`` int (N,), -1 where not measured."""
        groups, group = coded.grouping(self.names)
        known = (group >= 0) & (stratum >= 0)
        shape = (len(groups), STRATA ** len(QUALITIES))
        flat = group[known] * shape[1] + stratum[known]
        right = (coded.label == coded.predicted)[known]
        n = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
        correct = np.bincount(flat[right], minlength=shape[0] * shape[1]).reshape(shape)
        mix = label_mix(np.bincount(stratum[stratum >= 0], minlength=shape[1]))
        return self._standardised(QUALITY, groups, correct, n, mix)

    def _standardised(
        self, view: str, groups: tuple[str, ...], correct: np.ndarray, n: np.ndarray, mix: np.ndarray
    ) -> pd.DataFrame:
        if not groups:
            return _rows_of_nothing()
        own = standardised_accuracy(correct, n, mix)
        unknown = np.full(len(groups), np.nan)
        if self.reference not in groups:
            return self._frame(view, groups, n.sum(axis=1), own, unknown, Interval(unknown, unknown))
        at = groups.index(self.reference)
        kept = own.kept & own.kept[at]
        sides = ((correct, n), (np.broadcast_to(correct[at], n.shape), np.broadcast_to(n[at], n.shape)))
        first, second = (standardised_accuracy(*side, mix, kept) for side in sides)
        gap = mover_difference(first.value, first.interval, second.value, second.interval)
        return self._frame(view, groups, n.sum(axis=1), own, first.value - second.value, gap)

    def _frame(
        self, view: str, groups: tuple[str, ...], n: np.ndarray, figure: Standardised, gap: np.ndarray, of_gap: Interval
    ) -> pd.DataFrame:
        other = np.array([group != self.reference for group in groups])
        columns = {
            "view": view, "attribute": CROSS.join(self.names), "group": groups, "n": n, "value": figure.value,
            "low": figure.interval.low, "high": figure.interval.high, "reference": self.reference,
            "difference": np.where(other, gap, np.nan), "difference_low": np.where(other, of_gap.low, np.nan),
            "difference_high": np.where(other, of_gap.high, np.nan), "omitted_share": figure.omitted_share,
            "too_small": n < self.terms.min_group,
        }  # fmt: skip
        return pd.DataFrame(columns)[list(COLUMNS)]


def quality_strata(samples: pd.DataFrame) -> np.ndarray | None:
    """The stratum of each row, int (N,): thirds of brightness times thirds of sharpness; -1 where not measured.

    None where nothing was measured or a quality hardly varies, so that it has no thirds.
    """
    if any(name not in samples or samples[name].isna().all() for name in QUALITIES):
        return None
    stratum = np.zeros(len(samples), dtype=np.int64)
    for name in QUALITIES:
        values = samples[name].to_numpy(dtype=np.float64)
        edges = np.nanquantile(values, np.arange(1, STRATA) / STRATA)
        if len(np.unique(edges)) < STRATA - 1:
            return None
        third = np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right"))
        stratum = np.where((stratum < 0) | (third < 0), -1, stratum * STRATA + third)
    return stratum


def wrong_by_votes(samples: pd.DataFrame, classes: LabelSet) -> np.ndarray | None:
    """Rows whose label another class has more votes than; None where the data has no votes for the classes."""
    votes = votes_of(samples, classes)
    if votes is None:
        return None
    label = classes.encode(samples["label"])
    own = votes[np.arange(len(votes)), np.maximum(label, 0)]
    return (label >= 0) & (votes.max(axis=1) > own)


def votes_of(samples: pd.DataFrame, classes: LabelSet) -> np.ndarray | None:
    """Votes by row and class, float (N, K), 0 where a class has no column; None without two such columns."""
    told = vote_columns(samples)
    columns = {name: told[name] for name in classes if name in told}
    if len(columns) < 2:
        return None
    votes = np.zeros((len(samples), len(classes)))
    for name, column in columns.items():
        votes[:, classes.index(name)] = samples[column].fillna(0).to_numpy(dtype=np.float64)
    return votes


def vote_agreement(samples: pd.DataFrame, coded: Coded) -> np.ndarray | None:
    """The share of each image's votes, among the classes, that its prediction has; NaN without votes."""
    votes = votes_of(samples, LabelSet(coded.classes))
    if votes is None:
        return None
    return ratio(votes[coded.rows, coded.predicted], votes[coded.rows].sum(axis=1))


def wrong_out_of_fold(samples: pd.DataFrame, out_of_fold: np.ndarray, classes: LabelSet) -> np.ndarray:
    """Rows that another model, not trained on them, gives to another class with more than half its probability.

    ``out_of_fold`` (N, K) has NaN rows where it says nothing.
    """
    label = classes.encode(samples["label"])
    best = np.nan_to_num(out_of_fold).argmax(axis=1)
    return (label >= 0) & (np.nan_to_num(out_of_fold).max(axis=1) > 0.5) & (best != label)


def wrong_by_decisions(samples: pd.DataFrame, decided: Mapping[str, str | None]) -> np.ndarray:
    """Rows whose reviewed label differs from the given one; ``decided`` maps sample_id to its label, None: no face."""
    reviewed = samples["sample_id"].isin(list(decided)).to_numpy()
    label = samples["sample_id"].map(dict(decided))
    return reviewed & (label.isna() | (label != samples["label"])).to_numpy()
