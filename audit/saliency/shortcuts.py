"""Shortcuts: maps of a class clustered, and clusters that look away from the face singled out. Torch-free.

Spectral relevance analysis (Lapuschkin et al. 2019, Nature Communications 10): the maps of one predicted class, as
shares of their positive part, are clustered by the spectrum of their neighbourhood graph; its largest gap says into how
many.
A cluster is only a suspicion; whether the model leans on the place is told by taking the place away (see causal.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.sparse.linalg import eigsh
from sklearn.cluster import KMeans
from sklearn.neighbors import kneighbors_graph

from audit.saliency.regions import BACKGROUND, template, weights

FEWEST = 20
"""Maps of a class that can be clustered."""
MOST = 2000
"""Maps of a class that are; of more, evenly spaced ones, the rest joining the nearest cluster's mean."""
NEIGHBOURS = 10
MOST_CLUSTERS = 6
FINE = 48
"""Side of the square on which places are named."""
SPOTS = 2
"""Places a class that are looked at besides its clusters."""
AWAY = 1.4
"""A suspicion puts so many times the share on the background that maps of all other classes do on average."""


@dataclass(frozen=True)
class Cluster:
    """Maps of one predicted class that look alike.

    ``rows`` are sample rows; ``mean`` float32 (h, w) the mean of the maps' positive shares; ``background`` the share
    that lies outside the face; ``purity`` the share of its samples that carry its commonest label.
    """

    predicted: str
    number: int
    rows: np.ndarray
    mean: np.ndarray
    background: float
    purity: float

    @property
    def name(self) -> str:
        return f"{self.predicted} {self.number}" if self.number else f"{self.predicted}, a spot"


def positive_shares(maps: np.ndarray) -> np.ndarray:
    """float64 (N, h*w): the positive part of each map over its sum; NaN rows where there is none."""
    flat = np.maximum(maps, 0).reshape(len(maps), -1).astype(np.float64)
    total = flat.sum(axis=1, keepdims=True)
    return np.divide(flat, total, out=np.full_like(flat, np.nan), where=total > 0)


def cluster_maps(shares: np.ndarray, seed: int = 0) -> np.ndarray:
    """int (N,): which cluster each row of ``shares`` (N, D) falls in, numbered from the largest; one where too few."""
    if len(shares) < FEWEST:
        return np.zeros(len(shares), dtype=np.int64)
    chosen = np.unique(np.linspace(0, len(shares) - 1, min(MOST, len(shares))).astype(int))
    found = _spectral(shares[chosen], seed)
    means = np.stack([shares[chosen][found == number].mean(axis=0) for number in range(found.max() + 1)])
    nearest = ((shares[:, None, :] - means[None]) ** 2).sum(axis=2).argmin(axis=1)
    nearest[chosen] = found
    order = np.argsort(-np.bincount(nearest, minlength=len(means)), kind="stable")
    return np.argsort(order)[nearest]


def _spectral(points: np.ndarray, seed: int) -> np.ndarray:
    """Normalised cuts (von Luxburg 2007) into as many clusters as the largest gap of the spectrum says."""
    graph = kneighbors_graph(points, min(NEIGHBOURS, len(points) - 1), include_self=False)
    graph = 0.5 * (graph + graph.T)
    degree = np.asarray(graph.sum(axis=1)).ravel()
    scaled = graph.multiply(1 / np.sqrt(degree)[:, None]).multiply(1 / np.sqrt(degree)[None, :]).tocsr()
    wanted = min(MOST_CLUSTERS + 1, len(points) - 1)
    start = np.random.default_rng(seed).random(len(points))
    values, vectors = eigsh(scaled, k=wanted, which="LA", v0=start)
    values, vectors = values[::-1], vectors[:, ::-1]
    number = int(np.argmax(values[:-1] - values[1:])) + 1
    if number == 1:
        return np.zeros(len(points), dtype=np.int64)
    rows = vectors[:, :number] / np.linalg.norm(vectors[:, :number], axis=1, keepdims=True)
    found = KMeans(number, n_init=5, random_state=seed).fit_predict(rows)
    return np.unique(found, return_inverse=True)[1]


def clusters_of(
    maps: np.ndarray, predicted: np.ndarray, label: np.ndarray, classes: tuple[str, ...], seed: int = 0
) -> tuple[Cluster, ...]:
    """The clusters of every class. ``maps`` (N, h, w) are raw, each for its predicted class; ``predicted``, ``label``

    (N,) are class positions, -1 unknown.
    """
    shares, found = positive_shares(maps), []
    known = np.isfinite(shares).all(axis=1)
    for k, name in enumerate(classes):
        rows = np.flatnonzero(known & (predicted == k))
        if not len(rows):
            continue
        member = cluster_maps(shares[rows], seed)
        for number in range(member.max() + 1):
            own = rows[member == number]
            mean = shares[own].mean(axis=0).reshape(maps.shape[1:])
            background = background_share(mean)
            found.append(Cluster(name, number + 1, own, mean.astype(np.float32), background, _purity(label[own])))
    return tuple(found)


def spots(maps: np.ndarray, predicted: np.ndarray, label: np.ndarray, classes: tuple[str, ...]) -> tuple[Cluster, ...]:
    """Further suspicions, numbered 0: the places outside the face where the strongest tenth of a class's maps lies

    furthest above those of other classes, with the maps that look there. A mark that only a part of a class carries, or
    that counts for little, need not make a cluster of its own. ``mean`` is 1 at the place and 0 elsewhere.
    """
    shares = positive_shares(maps)
    known = np.isfinite(shares).all(axis=1) & (predicted >= 0)
    height, width = maps.shape[1:]
    onto = weights(height, width)
    outside = np.flatnonzero(onto[BACKGROUND] >= 0.5 * onto.sum(axis=0))
    rows_of = {k: rows for k in range(len(classes)) if len(rows := np.flatnonzero(known & (predicted == k))) >= FEWEST}
    tops = {k: _top_tenth(shares[rows][:, outside]) for k, rows in rows_of.items()}
    found = []
    for k, rows in rows_of.items():
        others = [top for other, top in tops.items() if other != k]
        if not others:
            continue
        excess = tops[k] - np.mean(others, axis=0)
        for cell in outside[np.argsort(-excess, kind="stable")[:SPOTS]]:
            own = rows[np.argsort(-shares[rows, cell], kind="stable")[: max(10, len(rows) // 10)]]
            mean = shares[own].mean(axis=0).reshape(height, width)
            at = (np.arange(height * width) == cell).astype(np.float32).reshape(height, width)
            found.append(Cluster(classes[k], 0, own, at, background_share(mean), _purity(label[own])))
    return tuple(found)


def _top_tenth(shares: np.ndarray) -> np.ndarray:
    """The mean of the largest tenth of each column."""
    top = max(1, len(shares) // 10)
    return np.sort(shares, axis=0)[-top:].mean(axis=0)


def _purity(labels: np.ndarray) -> float:
    """The share of the commonest of ``labels``; -1 is no label."""
    known = labels[labels >= 0]
    return float(np.bincount(known).max() / len(known)) if len(known) else float("nan")


def background_share(mean: np.ndarray) -> float:
    """The share of a mean map (h, w) that lies outside the face."""
    large = enlarge(mean)
    return float(large[template(FINE) == BACKGROUND].sum() / large.sum())


def suspicions(clusters: tuple[Cluster, ...], fewest: int = 10) -> tuple[Cluster, ...]:
    """Clusters of at least ``fewest`` that look away from the face more than maps of the other classes do."""
    found = []
    for one in clusters:
        others = [(len(other.rows), other.background) for other in clusters if other.predicted != one.predicted]
        if not others or len(one.rows) < fewest:
            continue
        usual = float(np.average([share for _, share in others], weights=[n for n, _ in others]))
        if one.background >= AWAY * usual:
            found.append(one)
    return tuple(found)


def place(one: Cluster) -> np.ndarray:
    """bool (FINE, FINE): where outside the face the cluster looks most: all around its peak that is half as hot."""
    outside = np.where(template(FINE) == BACKGROUND, enlarge(one.mean), 0).astype(np.float32)
    hot = (outside >= 0.5 * outside.max()).astype(np.uint8)
    _, parts = cv2.connectedComponents(hot)
    peak = np.unravel_index(outside.argmax(), outside.shape)
    return parts == parts[peak]


def enlarge(values: np.ndarray) -> np.ndarray:
    """float32 (FINE, FINE): a map as it is shown."""
    return cv2.resize(np.asarray(values, dtype=np.float32), (FINE, FINE), interpolation=cv2.INTER_LINEAR)
