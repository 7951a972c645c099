"""Who is in the data, and which attributes go with which labels.

The metrics of Dominguez-Catena, Paternain and Galar, "Metrics for Dataset Demographic Bias: A Case Study on Facial
Expression Recognition" (TPAMI 2024). Natural logarithms; what is undefined is None.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats.contingency import association


@dataclass(frozen=True)
class Representation:
    """How evenly an attribute's groups are present.

    ``richness``: groups; ``shannon``: entropy of their shares; ``evenness``: entropy over its largest value (0..1);
    ``ens``: effective number of species, exp(entropy); ``imbalance_ratio``: largest over smallest group;
    ``berger_parker``: share of the largest group; ``nsd``: normalised standard deviation of the shares (0 even, 1 all
    in one group).
    """

    attribute: str
    richness: int
    shannon: float | None
    evenness: float | None
    ens: float | None
    imbalance_ratio: float | None
    berger_parker: float | None
    nsd: float | None


@dataclass(frozen=True)
class Stereotype:
    """How strongly an attribute and the label go together, each 0 (not at all) to 1.

    ``cramers_v``: from chi-squared, corrected for continuity where the table is 2 x 2; ``theils_u``: the share of the
    attribute's entropy that the label explains; ``nmi``: mutual information over joint entropy.
    """

    attribute: str
    cramers_v: float | None
    theils_u: float | None
    nmi: float | None


def representation(attribute: str, counts: np.ndarray) -> Representation:
    """The metrics of one attribute from how many images each group has; int (G,), empty groups are left out."""
    counts = counts[counts > 0]
    k = len(counts)
    if not k:
        return Representation(attribute, 0, None, None, None, None, None, None)
    shares = counts / counts.sum()
    shannon = _entropy(counts)
    return Representation(
        attribute=attribute,
        richness=k,
        shannon=shannon,
        evenness=shannon / float(np.log(k)) if k > 1 else None,
        ens=float(np.exp(shannon)),
        imbalance_ratio=float(counts.max() / counts.min()),
        berger_parker=float(shares.max()),
        nsd=float(np.std(shares) * k / np.sqrt(k - 1)) if k > 1 else None,
    )


def stereotype(attribute: str, table: np.ndarray) -> Stereotype:
    """The metrics of one attribute from a count of images by group and class; int (G, K)."""
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if not table.size:
        return Stereotype(attribute, None, None, None)
    of_group, of_label, joint = _entropy(table.sum(axis=1)), _entropy(table.sum(axis=0)), _entropy(table.ravel())
    shared = max(0.0, of_group + of_label - joint)
    return Stereotype(
        attribute=attribute,
        cramers_v=float(association(table, method="cramer", correction=True)) if min(table.shape) > 1 else None,
        theils_u=shared / of_group if of_group > 0 else None,
        nmi=shared / joint if joint > 0 else None,
    )


def local_stereotypes(
    attribute: str, groups: tuple[str, ...], classes: tuple[str, ...], table: np.ndarray
) -> pd.DataFrame:
    """How over- or under-represented each group is in each class, from the counts (G, K).

    One row a pair: attribute, group, class, ``npmi`` (normalised pointwise mutual information, -1 never together,
    0 independent, 1 always together; None where everything is one pair), ``duchers_z`` (the same scale, by the
    largest excess that the shares allow), ``lewontins_d`` (excess of the joint share over the product of the shares).
    Groups and classes without images are left out.
    """
    rows, columns = table.sum(axis=1) > 0, table.sum(axis=0) > 0
    table = table[rows][:, columns].astype(float)
    n = table.sum()
    joint = table / n if n else table
    group_share, class_share = joint.sum(axis=1, keepdims=True), joint.sum(axis=0, keepdims=True)
    expected = group_share * class_share
    excess = joint - expected
    above = np.minimum(group_share, class_share) - expected
    below = expected - np.maximum(0, group_share + class_share - 1)
    excess[np.abs(excess) < 1e-15] = 0.0
    room = np.where(excess > 0, above, below)
    z = np.divide(excess, room, out=np.zeros_like(excess), where=excess != 0)
    never, always = joint == 0, joint == 1
    usual = ~never & ~always
    npmi = np.where(always, np.nan, -1.0)
    npmi[usual] = np.log(joint[usual] / expected[usual]) / -np.log(joint[usual])
    names = [name for name, kept in zip(groups, rows, strict=True) if kept]
    labels = [name for name, kept in zip(classes, columns, strict=True) if kept]
    return pd.DataFrame(
        {
            "attribute": attribute,
            "group": np.repeat(np.array(names, dtype=object), len(labels)),
            "class": np.tile(np.array(labels, dtype=object), len(names)),
            "npmi": npmi.ravel(),
            "duchers_z": z.ravel(),
            "lewontins_d": excess.ravel(),
        }
    )


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return max(0.0, float(-(shares * np.log(shares)).sum()))
