"""Pictures that are there more than once: exactly, nearly, mirrored, cropped otherwise.

Exact copies share decoded pixels. Near copies (re-compressed, brightened, slightly cropped, mirrored) are found by
the correlation of small grey thumbnails, which neither brightness nor contrast moves; coarse thumbnails name the
candidates and finer ones decide. Among very many pictures the candidates are those that share a part of their
perceptual hash, the signs of the thumbnail's slowest waves. A copy that was cropped otherwise has another thumbnail:
such ones are named by the network's embeddings, and the thumbnails decide once one is laid over the other.
"""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd

from audit.neighbours import nearest

GROUP_COLUMNS = ("duplicate_group", "sample_id", "content_id", "split", "label", "n", "conflicting", "across_splits")
SIDE = 24
"""Thumbnails are SIDE x SIDE: fine enough to tell two faces apart, coarse enough to survive JPEG."""
SIMILAR = 0.98
"""Correlation from which two thumbnails are taken for the same picture."""
ALL_PAIRS = 60_000
"""Up to so many pictures each is compared with every other; above, with those that share a band of their hash."""
THUMBNAILS = "thumbnails.npy"
"""Where a run keeps the thumbnails of all its pictures until they are compared."""
_COARSE, _CANDIDATE = 12, 0.95
_CLOSEST, _MOVED, _STEP, _ROUGH, _WIDEST = 4, 2.0, 0.5, 0.3, 256
_WAVES, _BAND = 8, 16
_CROWD = 2000
_BLOCK = 1024


def exact_groups(samples: pd.DataFrame) -> pd.DataFrame:
    """Rows whose decoded pixels another row shares; one line a row, in sample order.

    ``samples`` needs ``sample_id, content_id, split, label``; rows without a content_id (unreadable) are in no
    group. Columns: ``duplicate_group`` (0.. in order of first appearance), ``sample_id``, ``content_id``, ``split``,
    ``label``, ``n`` (pictures in the group), ``conflicting`` (two of its labels differ), ``across_splits`` (it stands
    in two parts).
    """
    content = samples["content_id"]
    shared = content.notna() & content.duplicated(keep=False)
    rows = samples.loc[shared, ["sample_id", "content_id", "split", "label"]]
    return _describe(rows, pd.factorize(rows["content_id"])[0])


def group_column(samples: pd.DataFrame) -> pd.Series:
    """The exact group's number for every row of ``samples`` (nullable Int64, missing where the picture is alone)."""
    groups = exact_groups(samples)
    return groups["duplicate_group"].astype("Int64").reindex(samples.index)


def thumbnail(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 1 or 3 RGB) to float16 (SIDE * SIDE,): grey, mean 0, length 1; all zero for a blank picture."""
    grey = image[..., 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    return _unit(small.reshape(1, -1))[0].astype(np.float16)


def similar_pairs(thumbnails: np.ndarray, threshold: float = SIMILAR) -> pd.DataFrame:
    """Pairs of rows that show the same picture: ``a`` < ``b``, ``similarity`` (correlation), ``mirrored``.

    ``thumbnails`` (N, SIDE * SIDE) of ``thumbnail``; NaN rows (unreadable) and blank ones are in no pair. The time
    grows with N squared up to ALL_PAIRS pictures.
    """
    fine = np.nan_to_num(np.asarray(thumbnails, dtype=np.float32))
    squares = fine.reshape(-1, SIDE, SIDE)
    found = []
    for mirrored in (False, True):
        other = squares[:, :, ::-1] if mirrored else squares
        a, b = _alike(squares, other) if len(squares) <= ALL_PAIRS else _hashed_alike(squares, other)
        similarity = np.einsum("nd,nd->n", _flat(squares)[a], _flat(other)[b])
        found.append(pd.DataFrame({"a": a, "b": b, "similarity": similarity, "mirrored": mirrored}))
    pairs = pd.concat(found)
    pairs = pairs[pairs["similarity"] >= threshold].sort_values(["similarity", "mirrored"], ascending=[False, True])
    return pairs.drop_duplicates(["a", "b"]).sort_values(["a", "b"]).reset_index(drop=True)


def moved_pairs(thumbnails: np.ndarray, embeddings: np.ndarray) -> pd.DataFrame:
    """Pairs as of ``similar_pairs`` that show the same picture cropped otherwise, by up to _MOVED thumbnail pixels.

    Asked are the _CLOSEST nearest of each picture in ``embeddings`` (N, D): what a network sees hardly moves with the
    crop. It does not decide, since two people who smile alike are near each other too. None above ALL_PAIRS pictures.
    """
    squares = np.nan_to_num(np.asarray(thumbnails, dtype=np.float32)).reshape(-1, SIDE, SIDE)
    found = [pd.DataFrame({"a": np.zeros(0, int), "b": np.zeros(0, int), "similarity": np.zeros(0), "mirrored": False})]
    if _CLOSEST < len(squares) <= ALL_PAIRS:
        close = nearest(_narrow(embeddings), _CLOSEST, len(squares))[0]
        ends = np.stack([np.repeat(np.arange(len(squares)), _CLOSEST), close.ravel()])
        a, b = np.unique(np.sort(ends, axis=0), axis=1)
        for mirrored in (False, True):
            other = squares[:, :, ::-1] if mirrored else squares
            rough = np.einsum("nd,nd->n", _flat(squares)[a], _flat(other)[b]) >= _ROUGH
            similarity = _laid_over(squares[a[rough]], other[b[rough]])
            pairs = pd.DataFrame({"a": a[rough], "b": b[rough], "similarity": similarity, "mirrored": mirrored})
            found.append(pairs[similarity >= SIMILAR])
    pairs = pd.concat(found).sort_values(["similarity", "mirrored"], ascending=[False, True])
    return pairs.drop_duplicates(["a", "b"]).sort_values(["a", "b"]).reset_index(drop=True)


def _narrow(embeddings: np.ndarray) -> np.ndarray:
    """At most _WIDEST columns with nearly the same angles (random projection; Johnson and Lindenstrauss 1984)."""
    rows = np.nan_to_num(np.asarray(embeddings, dtype=np.float32))
    if rows.shape[1] <= _WIDEST:
        return rows
    return rows @ np.random.default_rng(0).normal(size=(rows.shape[1], _WIDEST)).astype(np.float32)


def _laid_over(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The largest correlation (n,) of the middle of each ``left`` (n, SIDE, SIDE) with any part of ``right``."""
    margin = int(_MOVED)
    size = SIDE - 2 * margin
    middle = _unit(_flat(_window(left, margin, margin, size)))
    best = np.full(len(left), -1.0)
    for down in np.arange(0, 2 * _MOVED + _STEP, _STEP):
        for across in np.arange(0, 2 * _MOVED + _STEP, _STEP):
            part = _unit(_flat(_window(right, down, across, size)))
            best = np.maximum(best, np.einsum("nd,nd->n", middle, part))
    return best


def _window(squares: np.ndarray, down: float, across: float, size: int) -> np.ndarray:
    """The part (n, size, size) that begins at a whole or half pixel; half pixels are the mean of their neighbours."""
    for axis, at in ((1, down), (2, across)):
        first = np.arange(int(np.floor(at)), int(np.floor(at)) + size)
        second = first + (at % 1 > 0)
        squares = (np.take(squares, first, axis) + np.take(squares, second, axis)) / 2
    return squares


def near_groups(samples: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """Exact and similar pictures in common groups: the columns of ``exact_groups`` and ``kind``.

    ``pairs`` of ``similar_pairs`` over the rows of ``samples``. ``kind`` says how a row relates to the first of its
    group: ``first``, ``exact``, ``near`` or ``mirrored``.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    samples = samples.reset_index(drop=True)
    n = len(samples)
    content = samples["content_id"]
    code = np.where(content.notna(), pd.factorize(content)[0] + n, np.arange(n))
    edges = (np.r_[pairs["a"], np.arange(n)], np.r_[pairs["b"], code])
    _, component = connected_components(
        coo_array((np.ones(len(edges[0])), edges), shape=(2 * n, 2 * n)), directed=False
    )
    component = component[:n]
    shared = np.bincount(component)[component] > 1
    rows = samples.loc[shared, ["sample_id", "content_id", "split", "label"]]
    table = _describe(rows, pd.factorize(component[shared])[0])
    table["kind"] = _kinds(table, pairs)
    return table


def _kinds(table: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    """How each row of ``near_groups`` relates to the first of its group: a copy of a mirrored copy is not mirrored."""
    links: dict[int, list[tuple[int, bool]]] = {int(row): [] for row in table.index}
    for a, b, mirrored in zip(pairs["a"].tolist(), pairs["b"].tolist(), pairs["mirrored"].tolist(), strict=True):
        links[a].append((b, mirrored))
        links[b].append((a, mirrored))
    for rows in table.groupby("content_id").groups.values():
        for row in rows[1:]:
            links[int(rows[0])].append((int(row), False))
            links[int(row)].append((int(rows[0]), False))
    content = table["content_id"].to_dict()
    kinds: dict[int, str] = {}
    for start in (int(row) for row in table.index):
        if start in kinds:
            continue
        kinds[start] = "first"
        waiting = [(start, False)]
        while waiting:
            row, turned = waiting.pop()
            for other, mirrored in links[row]:
                if other not in kinds:
                    alike = "exact" if content[other] == content[start] else "near"
                    kinds[other] = "mirrored" if turned != mirrored else alike
                    waiting.append((other, turned != mirrored))
    return [kinds[int(row)] for row in table.index]


def _alike(squares: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Candidates among all pairs: rows a < b whose coarse thumbnails correlate."""
    return _candidates(_unit(_flat(_coarse(squares))), _unit(_flat(_coarse(other))))


def _coarse(squares: np.ndarray) -> np.ndarray:
    factor = SIDE // _COARSE
    return squares.reshape(-1, _COARSE, factor, _COARSE, factor).mean(axis=(2, 4))


def perceptual_hash(squares: np.ndarray) -> np.ndarray:
    """uint16 (N, 4): the signs of the 8 x 8 slowest waves (cosine transform) of thumbnails (N, SIDE, SIDE)."""
    place = np.arange(SIDE)
    waves = np.cos(np.pi * np.outer(np.arange(_WAVES), 2 * place + 1) / (2 * SIDE)).astype(np.float32)
    signs = (waves @ squares @ waves.T).reshape(len(squares), -1, _BAND) > 0
    return (signs << np.arange(_BAND, dtype=np.uint16)).sum(axis=2, dtype=np.uint16)


def _hashed_alike(squares: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Candidates among pairs that share a band of their hash; a band that _CROWD pictures share tells nothing."""
    n, pairs = len(squares), [np.zeros(0, np.int64)]
    here, there = perceptual_hash(squares), perceptual_hash(other)
    for band in range(here.shape[1]):
        by_hash = pd.Series(np.arange(n)).groupby(there[:, band]).indices
        for value, rows in pd.Series(np.arange(n)).groupby(here[:, band]).indices.items():
            fits = by_hash.get(value, np.zeros(0, np.int64))
            if 0 < len(fits) <= _CROWD and len(rows) <= _CROWD:
                a, b = np.repeat(rows, len(fits)), np.tile(fits, len(rows))
                pairs.append((a * n + b)[a < b])
    a, b = np.divmod(np.unique(np.concatenate(pairs)), n)
    return a, b


def _candidates(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers a < b whose coarse thumbnails correlate, found block by block so that memory stays small."""
    firsts, seconds = [], []
    for start in range(0, len(left), _BLOCK):
        a, b = np.nonzero(left[start : start + _BLOCK] @ right[start:].T >= _CANDIDATE)
        firsts.append(a[a < b] + start)
        seconds.append(b[a < b] + start)
    return np.concatenate([np.zeros(0, int), *firsts]), np.concatenate([np.zeros(0, int), *seconds])


def _flat(squares: np.ndarray) -> np.ndarray:
    return squares.reshape(len(squares), squares.shape[1] * squares.shape[2])


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows with their mean taken away and scaled to length 1; a constant row becomes zeros."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.divide(centred, length, out=np.zeros_like(centred), where=length > 1e-3)


def _describe(rows: pd.DataFrame, group: np.ndarray) -> pd.DataFrame:
    """The table of ``exact_groups`` for rows whose group numbers are known; keeps the index of ``rows``."""
    table = rows.assign(duplicate_group=np.asarray(group, dtype=np.int64))
    by_group = table.groupby("duplicate_group")
    table["n"] = by_group["sample_id"].transform("size").astype(np.int64)
    table["conflicting"] = by_group["label"].transform("nunique") > 1
    table["across_splits"] = by_group["split"].transform("nunique") > 1
    return table[list(GROUP_COLUMNS)]
