"""All of a run's comparisons between groups, and the one declared family of tests they are judged in.

The family: for every attribute, each group against the reference, the widest gap, and the clearest (group, class)
cell; for every intersection of two attributes, the widest gap. Holm's adjustment runs over all of them together.
Nothing else raises an alarm. Naming one more attribute changes the adjustment and no other figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd

from audit import fairness
from audit.counts import CROSS, Coded, Counts, attribute_sets
from audit.intervals import holm, mantel_haenszel, ratio, smallest_gap
from audit.ranges import PERMUTATIONS, clearest_cell, deal, widest_gap
from audit.standardise import kitagawa, kitagawa_intervals, label_mix
from faces.emotions import canonical
from faces.errors import InputError

ALPHA = 0.05
WIDEST, CELL = "widest gap", "clearest cell"


@dataclass(frozen=True)
class Comparisons:
    """Tables over all attributes and intersections; see the functions of ``fairness`` for the columns.

    ``ranges``: attribute, kind (WIDEST or CELL), worst, best, class, n_worst, n_best, value_worst, value_best,
    difference, statistic, p_value, p_beyond (see beyond_parts), p_adjusted. ``decomposition``: attribute, reference,
    group, n_reference, n_group, difference, composition and performance with ``_low`` and ``_high``. ``power``:
    attribute, reference, group and the smallest gap in accuracy that would be found four times in five.
    """

    groups: pd.DataFrame
    classes: pd.DataFrame
    disparities: pd.DataFrame
    ranges: pd.DataFrame
    decomposition: pd.DataFrame
    power: pd.DataFrame
    references: dict[str, str]


@dataclass(frozen=True)
class Terms:
    """On what terms groups are compared.

    ``mix`` (K,) are standardisation weights, summing to 1; ``references`` names reference groups by attribute where
    not the largest; groups under ``min_group`` images are shown and not tested.
    """

    mix: np.ndarray
    references: Mapping[str, str] = field(default_factory=dict)
    min_group: int = fairness.MIN_GROUP

    @classmethod
    def of(cls, coded: Coded, options: Mapping[str, Any] | None = None) -> Terms:
        """From a run's options ``label_mix`` (class to share), ``references`` and ``min_group``, all optional.

        Raises InputError for an unknown class, attribute or group, shares that are none, and a size under 1.
        """
        options = options or {}
        references, least = options.get("references") or {}, options.get("min_group") or fairness.MIN_GROUP
        known = {CROSS.join(names) for names in attribute_sets(coded.values)}
        for attribute, group in references.items():
            if attribute not in known:
                raise InputError(
                    f"A reference group is named for {attribute!r}, which was not audited; audited are: "
                    f"{', '.join(coded.values) or 'no attributes'}."
                )
            coded.counts(tuple(attribute.split(CROSS))).group(group)
        if least < 1:
            raise InputError(f"The least size of a group is {least}; 1 image or more was expected.")
        given = options.get("label_mix")
        mix = label_mix(coded.counts().labelled[0]) if given is None else _given_mix(given, coded.classes)
        return cls(mix, references, int(least))


def _given_mix(given: Mapping[str, float], classes: tuple[str, ...]) -> np.ndarray:
    unknown = [name for name in given if canonical(name) not in classes]
    if unknown:
        raise InputError(f"The label mix names {unknown[0]!r}; the classes are: {', '.join(classes)}.")
    shares = np.zeros(len(classes))
    for name, share in given.items():
        shares[classes.index(canonical(name))] = share
    if (shares < 0).any() or not 0 < shares.sum() < np.inf:
        raise InputError(f"The label mix {dict(given)} is none; a share of 0 or more for each class was expected.")
    return shares / shares.sum()


def compare_groups(
    coded: Coded,
    attributes: Iterable[str],
    seed: int = 0,
    terms: Terms | None = None,
    agreement: np.ndarray | None = None,
) -> Comparisons:
    """Every group of every attribute and two-way intersection.

    ``agreement`` (N,) is each image's share of votes for its prediction, NaN without votes.
    """
    terms = terms or Terms.of(coded)
    parts = [
        _one_attribute(coded, names, seed, terms, agreement)
        for names in attribute_sets(attributes)
        if coded.counts(names).groups
    ]
    if not parts:
        return _nothing(coded, terms.mix)
    frames = [pd.concat([part[at] for part in parts], ignore_index=True) for at in range(6)]
    disparities, ranges = adjust(frames[2], frames[3])
    used = dict(zip(frames[4]["attribute"], frames[4]["reference"], strict=True))
    return Comparisons(frames[0], frames[1], disparities, ranges, frames[4], frames[5], used)


def _one_attribute(
    coded: Coded, names: tuple[str, ...], seed: int, terms: Terms, agreement: np.ndarray | None
) -> tuple[pd.DataFrame, ...]:
    counts, mix, least = coded.counts(names), terms.mix, terms.min_group
    rng = attribute_rng(seed, counts.attribute)
    groups = fairness.group_figures(counts, mix, rng, coded.ranks(names), coded.bins(names), least)
    groups["vote_agreement"] = np.nan if agreement is None else coded.mean(agreement, names)
    name = fairness.reference_group(counts, terms.references.get(counts.attribute))
    return (
        groups,
        fairness.class_figures(counts),
        fairness.disparities(counts, mix, name, least),
        range_rows(counts, mix, rng, least),
        decomposition(counts, name, rng),
        power(counts, name, least),
    )


def attribute_rng(seed: int, attribute: str) -> np.random.Generator:
    """Each attribute draws from a stream of its own, so that naming another moves nothing."""
    return np.random.default_rng([seed, crc32(attribute.encode())])


def large_groups(counts: Counts, min_group: int) -> Counts:
    """The groups with at least ``min_group`` images."""
    keep = counts.sizes >= min_group
    names = tuple(name for name, large in zip(counts.groups, keep, strict=True) if large)
    return Counts(counts.attribute, names, counts.classes, counts.table[keep])


def range_rows(counts: Counts, mix: np.ndarray, rng: np.random.Generator, min_group: int) -> pd.DataFrame:
    """The widest gap, and for a single attribute the clearest cell, among groups large enough; see Comparisons."""
    large = large_groups(counts, min_group)
    rows: list[tuple] = []
    if len(large.groups) > 1:
        dealt = deal(large, PERMUTATIONS, rng)
        size = dict(zip(large.groups, large.sizes.tolist(), strict=True))
        widest = widest_gap(large, mix, dealt)
        if widest is not None:
            beyond = beyond_parts(large, widest.worst)
            rows.append(
                (WIDEST, widest.worst, widest.best, None, size[widest.worst], size[widest.best], widest.worst_value,
                 widest.best_value, widest.difference, widest.statistic, widest.p_value, beyond)
            )  # fmt: skip
        cell = clearest_cell(large, dealt) if CROSS not in counts.attribute else None
        if cell is not None:
            rows.append(
                (CELL, cell.group, None, cell.class_name, cell.n, cell.n_elsewhere, cell.recall, cell.elsewhere,
                 cell.recall - cell.elsewhere, cell.statistic, cell.p_value, np.nan)
            )  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(RANGE_COLUMNS[1:-1]))
    frame.insert(0, "attribute", counts.attribute)
    return frame


RANGE_COLUMNS = (
    "attribute", "kind", "worst", "best", "class", "n_worst", "n_best", "value_worst", "value_best", "difference",
    "statistic", "p_value", "p_beyond", "p_adjusted",
)  # fmt: skip


def beyond_parts(counts: Counts, group: str) -> float:
    """Does an intersection's group differ from what its parts alone would show? A p-value; NaN for a single attribute.

    ``man × asian`` is tested against the other men and against the other Asian people; the larger p-value counts.
    """
    at, parts = counts.groups.index(group), group.split(CROSS)
    if len(parts) == 1:
        return float("nan")
    p_values = []
    for position, part in enumerate(parts):
        alike = [i for i, name in enumerate(counts.groups) if i != at and name.split(CROSS)[position] == part]
        correct, labelled = counts.correct[alike].sum(axis=0), counts.labelled[alike].sum(axis=0)
        p_values.append(mantel_haenszel(counts.correct[at], counts.labelled[at], correct, labelled))
    return float(np.max(p_values))


def adjust(disparities: pd.DataFrame, ranges: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add ``p_adjusted`` over the declared family; the clearest first.

    The rows ``accuracy`` and ``standardised_accuracy`` of a pair share one test, so they share its adjusted value.
    """
    single = ~disparities["attribute"].astype(str).str.contains(CROSS, regex=False)
    member = (disparities["metric"] == "accuracy") & single
    adjusted = holm(np.concatenate([disparities.loc[member, "p_value"], ranges["p_value"]]).astype(float))
    disparities = disparities.assign(p_adjusted=np.nan)
    disparities.loc[member, "p_adjusted"] = adjusted[: member.sum()]
    pair = ["attribute", "group"]
    shared = disparities.loc[member, [*pair, "p_adjusted"]].set_index(pair)["p_adjusted"]
    standard = (disparities["metric"] == "standardised_accuracy") & single
    keys = pd.MultiIndex.from_frame(disparities.loc[standard, pair])
    disparities.loc[standard, "p_adjusted"] = shared.reindex(keys).to_numpy()
    size = disparities["difference"].abs()
    order = disparities.assign(size=size).sort_values(["p_adjusted", "size"], ascending=[True, False], kind="stable")
    return (
        disparities.loc[order.index].reset_index(drop=True),
        ranges.assign(p_adjusted=adjusted[member.sum() :]),
    )


def decomposition(counts: Counts, reference: str, rng: np.random.Generator) -> pd.DataFrame:
    """Kitagawa's split of every group's raw gap to the reference; see Comparisons for the columns."""
    at = counts.groups.index(reference)
    others = [index for index in range(len(counts.groups)) if index != at]
    correct, labelled = counts.correct, counts.labelled
    sides = (correct[others], labelled[others], correct[[at]], labelled[[at]])
    split = kitagawa(*sides)
    composition, performance = kitagawa_intervals(*sides, rng)
    accuracy = ratio(correct.sum(axis=1), labelled.sum(axis=1))
    return pd.DataFrame(
        {
            "attribute": counts.attribute,
            "reference": reference,
            "group": [counts.groups[index] for index in others],
            "n_reference": int(labelled[at].sum()),
            "n_group": labelled[others].sum(axis=1),
            "difference": accuracy[others] - accuracy[at],
            "composition": split.composition,
            "composition_low": composition.low,
            "composition_high": composition.high,
            "performance": split.performance,
            "performance_low": performance.low,
            "performance_high": performance.high,
        }
    )


def power(counts: Counts, reference: str, min_group: int) -> pd.DataFrame:
    """The smallest gap in accuracy to the reference that these numbers of images show in four of five audits."""
    at = counts.groups.index(reference)
    others = [index for index in range(len(counts.groups)) if index != at]
    accuracy = float(ratio(counts.correct.sum(), counts.n))
    sizes = counts.sizes
    return pd.DataFrame(
        {
            "attribute": counts.attribute,
            "reference": reference,
            "group": [counts.groups[index] for index in others],
            "n_reference": int(sizes[at]),
            "n_group": sizes[others],
            "smallest_gap": smallest_gap(sizes[others], np.full(len(others), sizes[at]), accuracy),
            "too_small": (sizes[others] < min_group) | (sizes[at] < min_group),
        }
    )


def _nothing(coded: Coded, mix: np.ndarray) -> Comparisons:
    """The tables of a run without attributes: the same columns, no rows."""
    rng, whole = np.random.default_rng(0), coded.counts()
    disparities, ranges = adjust(fairness.disparities(whole, mix), range_rows(whole, mix, rng, fairness.MIN_GROUP))
    return Comparisons(
        groups=fairness.group_figures(whole, mix, rng).assign(vote_agreement=np.nan).iloc[:0],
        classes=fairness.class_figures(whole).iloc[:0],
        disparities=disparities.iloc[:0],
        ranges=ranges.iloc[:0],
        decomposition=decomposition(whole, "all", rng).iloc[:0],
        power=power(whole, "all", fairness.MIN_GROUP).iloc[:0],
        references={},
    )
