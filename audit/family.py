"""All of a run's comparisons between groups, and the one declared family of tests they are judged in.

The family: for every attribute, each group against the reference, the widest gap, and the clearest (group, class)
cell; for every intersection of two attributes, the widest gap. Holm's adjustment runs over all of them together.
Nothing else raises an alarm. Naming one more attribute changes the adjustment and no other figure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pandas as pd
from scipy import stats

from audit import fairness
from audit.counts import CROSS, Coded, Counts, attribute_sets
from audit.intervals import holm, mantel_haenszel, ratio, smallest_gap
from audit.ranges import PERMUTATIONS, clearest_cell, deal, widest_gap
from audit.standardise import kitagawa, kitagawa_intervals
from audit.terms import Terms

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


def compare_groups(
    coded: Coded,
    attributes: Iterable[str],
    seed: int = 0,
    terms: Terms | None = None,
    agreement: np.ndarray | None = None,
) -> Comparisons:
    """Every group of every attribute and intersection; of intersections of two the family of tests takes one each.

    ``agreement`` (N,) is each image's share of votes for its prediction, NaN without votes.
    """
    terms = terms or Terms.of(coded)
    parts = [
        _one_attribute(coded, names, seed, terms, agreement)
        for names in attribute_sets(attributes, terms.crossed)
        if coded.counts(names).groups
    ]
    if not parts:
        return _nothing(coded, terms.mix)
    frames = [_joined([part[at] for part in parts]) for at in range(6)]
    disparities, ranges = adjust(frames[2], frames[3])
    used = dict(zip(frames[4]["attribute"], frames[4]["reference"], strict=True))
    return Comparisons(frames[0], frames[1], disparities, ranges, frames[4], frames[5], used)


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """One below the other; those without rows, whose columns have no type, are left out unless all are so."""
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)


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
    """The widest gap, and for a single attribute the clearest cell, among groups large enough; see Comparisons.

    Intersections of three attributes are shown and not tested: their groups are many and small.
    """
    large = large_groups(counts, min_group)
    rows: list[tuple] = []
    if len(large.groups) > 1 and counts.attribute.count(CROSS) < 2:
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
    """Is an intersection's group worse than its parts alone would make it? A p-value; NaN for a single attribute.

    ``man × asian`` is tested against the other men, against the other Asian people, and against what the gaps of men
    and of Asian people add up to, in points and in log odds; the largest p-value counts.
    """
    at, parts = counts.groups.index(group), group.split(CROSS)
    if len(parts) == 1:
        return float("nan")
    alike = np.array([[name.split(CROSS)[place] == part for name in counts.groups] for place, part in enumerate(parts)])
    here = np.arange(len(counts.groups)) == at
    first, second = alike[0] & ~here, alike[1] & ~here
    cells = [_summed(counts, rows) for rows in (here, first, second, ~(here | first | second))]
    p_values = [mantel_haenszel(*cells[0], *cells[1]), mantel_haenszel(*cells[0], *cells[2]), *_not_added(cells)]
    return float(np.max(p_values))


def _summed(counts: Counts, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return counts.correct[rows].sum(axis=0), counts.labelled[rows].sum(axis=0)


def _not_added(cells: list[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """p-values that a group is worse than two gaps added: ``cells`` hold hits and images by label of the group, of the

    two parts without it, and of everybody else. Contrasts by label are pooled by their variance; none without images.
    """
    told = np.min([cell[1] for cell in cells], axis=0) > 0
    hits, images = (np.stack([cell[side] for cell in cells])[:, told] for side in (0, 1))
    if not hits.size:
        return []
    yes, no = hits + 0.5, images - hits + 0.5
    share = yes / (yes + no)
    scales = ((share, share * (1 - share) / images), (np.log(yes / no), 1 / yes + 1 / no))
    found = []
    for value, variance in scales:
        contrast, spread = value[0] - value[1] - value[2] + value[3], variance.sum(axis=0)
        found.append(float(stats.norm.cdf((contrast / spread).sum() / np.sqrt((1 / spread).sum()))))
    return found


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
