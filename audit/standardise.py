"""The same label mix for every group: direct standardisation, and what a raw gap is made of (Kitagawa)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from audit.intervals import LEVEL, Interval, mover_difference, mover_ratio, percentile, ratio, stratified_wilson

MIN_IMAGES = 5
"""A class counts for a group with at least so many images of it."""
MAX_OMITTED = 0.05
"""A figure is undefined where the classes left out carry more than this share of the reference mix."""


class Standardised(NamedTuple):
    """Standardised accuracies: ``value`` and limits (...), NaN where undefined; ``kept`` bool (..., K)."""

    value: np.ndarray
    interval: Interval
    kept: np.ndarray
    omitted_share: np.ndarray


def label_mix(labelled: np.ndarray) -> np.ndarray:
    """The share of each class among images by label, (..., K): sums to 1 over the last axis."""
    return ratio(labelled, labelled.sum(axis=-1, keepdims=True))


def standardised_accuracy(
    correct: np.ndarray, labelled: np.ndarray, mix: np.ndarray, kept: np.ndarray | None = None, level: float = LEVEL
) -> Standardised:
    """Recall per class weighted by ``mix`` (K,), which sums to 1; ``correct`` and ``labelled`` int (..., K).

    ``kept`` says which classes count; unless given, those with MIN_IMAGES images. Their weights are renormalised.
    """
    kept = labelled >= MIN_IMAGES if kept is None else kept
    omitted_share = np.where(kept, 0.0, mix).sum(axis=-1)
    weights = ratio(np.where(kept, mix, 0.0), 1 - omitted_share[..., None])
    value, interval = stratified_wilson(correct, labelled, np.nan_to_num(weights), level)
    # Shares of counts are rarely exact in binary; a class of exactly the limit stays within it.
    undefined = (omitted_share > MAX_OMITTED + 1e-9) | ~kept.any(axis=-1)
    value, low, high = (np.where(undefined, np.nan, part) for part in (value, *interval))
    return Standardised(value, Interval(low, high), kept, omitted_share)


class Gap(NamedTuple):
    """Two independent figures, first minus second and first over second, each with its interval."""

    first: np.ndarray
    second: np.ndarray
    difference: np.ndarray
    difference_interval: Interval
    ratio: np.ndarray
    ratio_interval: Interval


def standardised_gap(
    correct: np.ndarray, labelled: np.ndarray, of_correct: np.ndarray, of_labelled: np.ndarray, mix: np.ndarray
) -> Gap:
    """Groups (..., K) against a reference (K,), over the classes that both have enough images of."""
    kept = (labelled >= MIN_IMAGES) & (of_labelled >= MIN_IMAGES)
    group = standardised_accuracy(correct, labelled, mix, kept)
    reference = standardised_accuracy(of_correct, of_labelled, mix, kept)
    return gap(group.value, group.interval, reference.value, reference.interval)


def gap(first: np.ndarray, of_first: Interval, second: np.ndarray, of_second: Interval) -> Gap:
    """Difference and ratio of independent figures from their own intervals."""
    return Gap(
        first,
        second,
        first - second,
        mover_difference(first, of_first, second, of_second),
        ratio(first, second),
        mover_ratio(first, of_first, second, of_second),
    )


class Split(NamedTuple):
    """A raw gap (..., ) as composition plus performance, over the classes both sides have images of."""

    composition: np.ndarray
    performance: np.ndarray


def kitagawa(correct: np.ndarray, labelled: np.ndarray, of_correct: np.ndarray, of_labelled: np.ndarray) -> Split:
    """Kitagawa's (1955) split of the gap in accuracy between groups (..., K) and a reference (..., K).

    Composition: the difference of the label mixes, at the mean of both recalls. Performance: the difference of the
    recalls, at the mean of both mixes. They add up to the raw gap. Where only one side has images of a class its
    recall stands for both, so that class is all composition.
    """
    mix, of_mix = label_mix(labelled), label_mix(of_labelled)
    recall, of_recall = ratio(correct, labelled), ratio(of_correct, of_labelled)
    recall, of_recall = (
        np.nan_to_num(np.where(np.isnan(own), other, own)) for own, other in ((recall, of_recall), (of_recall, recall))
    )
    composition = ((mix - of_mix) * (recall + of_recall) / 2).sum(axis=-1)
    performance = ((recall - of_recall) * (mix + of_mix) / 2).sum(axis=-1)
    return Split(composition, performance)


def kitagawa_intervals(
    correct: np.ndarray,
    labelled: np.ndarray,
    of_correct: np.ndarray,
    of_labelled: np.ndarray,
    rng: np.random.Generator,
    replicates: int = 2000,
) -> tuple[Interval, Interval]:
    """Percentile intervals of composition and performance.

    Every replicate draws each side's label mix and then its correct predictions within each label, since here the mix
    itself is what is estimated.
    """
    sides = []
    for hits, images in ((correct, labelled), (of_correct, of_labelled)):
        drawn = rng.multinomial(images.sum(axis=-1), np.nan_to_num(label_mix(images)), (replicates, *images.shape[:-1]))
        sides += [rng.binomial(drawn, _smoothed(hits, images)), drawn]
    split = kitagawa(*sides)
    return percentile(split.composition), percentile(split.performance)


def _smoothed(hits: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Recall pulled towards a half by one image: a perfect cell of few images would otherwise have no width."""
    return (hits + 0.5) / (images + 1.0)
