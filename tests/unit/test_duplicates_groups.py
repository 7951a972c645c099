"""Copies of pictures: exact, near, mirrored, cropped otherwise."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.duplicates import (
    exact_groups,
    group_column,
    moved_pairs,
    near_groups,
    similar_pairs,
    thumbnail,
)


def table(content: list[str | None], labels: list[str] | None = None, splits: list[str] | None = None) -> pd.DataFrame:
    n = len(content)
    return pd.DataFrame(
        {
            "sample_id": [f"{i}.png" for i in range(n)],
            "content_id": pd.Series(content, dtype=object),
            "split": splits or ["train"] * n,
            "label": labels or ["sad"] * n,
        }
    )


def scene(seed: int, size: int = 48) -> np.ndarray:
    """A smooth random picture, uint8 (size, size, 1)."""
    rng = np.random.default_rng(seed)
    coarse = rng.random((7, 7)).astype(np.float32)
    return (
        (cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC) * 160 + 40)
        .clip(0, 255)
        .astype(np.uint8)[..., None]
    )


def compressed(image: np.ndarray, quality: int) -> np.ndarray:
    stored = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE)[..., None]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", "d", None]), max_size=12))
def test_exact_groups_are_the_rows_that_share_content(content: list[str | None]) -> None:
    samples = table(content)
    groups = exact_groups(samples)
    expected = [i for i, c in enumerate(content) if c is not None and content.count(c) > 1]
    assert groups.index.tolist() == expected
    assert groups["n"].tolist() == [content.count(content[i]) for i in expected]
    for _, group in groups.groupby("duplicate_group"):
        assert group["content_id"].nunique() == 1
    numbers = groups["duplicate_group"].drop_duplicates().tolist()
    assert numbers == list(range(len(numbers)))
    column = group_column(samples)
    assert column.isna().tolist() == [i not in expected for i in range(len(content))]


def test_groups_tell_conflicting_labels_and_splits() -> None:
    groups = exact_groups(
        table(
            ["a", "a", "b", "b", "c"], ["sad", "fear", "sad", "sad", "sad"], ["train", "train", "train", "test", "test"]
        )
    )
    assert groups["conflicting"].tolist() == [True, True, False, False]
    assert groups["across_splits"].tolist() == [False, False, True, True]


def test_near_copies_are_found_and_named() -> None:
    pictures = [scene(i) for i in range(40)]
    first = pictures[0]
    pictures += [
        first[:, ::-1],
        (first * 0.6 + 20).astype(np.uint8),
        compressed(first, 30),
        np.repeat(pictures[1], 3, axis=2),
        cv2.resize(pictures[2], (96, 96))[..., None],
    ]
    pairs = similar_pairs(np.stack([thumbnail(picture) for picture in pictures]))
    groups = near_groups(table([str(i) for i in range(len(pictures))]), pairs)
    kinds = groups.set_index("sample_id")["kind"].to_dict()
    assert kinds == {
        "0.png": "first", "40.png": "mirrored", "41.png": "near", "42.png": "near",
        "1.png": "first", "43.png": "near", "2.png": "first", "44.png": "near",
    }  # fmt: skip
    assert groups["n"].tolist() == [4, 2, 2, 4, 4, 4, 2, 2]
    assert (pairs["a"] < pairs["b"]).all()
    assert (pairs["similarity"] <= 1.001).all()


def test_exact_copies_join_near_ones_and_a_mirrored_mirror_is_near() -> None:
    first = scene(0)
    pictures = [first, scene(1), first, compressed(first[:, ::-1], 60), compressed(first, 40), scene(2)]
    thumbnails = np.stack([thumbnail(picture) for picture in pictures])
    groups = near_groups(table(["a", "b", "a", "d", "e", None]), similar_pairs(thumbnails))
    assert dict(zip(groups["sample_id"], groups["kind"], strict=True)) == {
        "0.png": "first", "2.png": "exact", "3.png": "mirrored", "4.png": "near",
    }  # fmt: skip


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_copy_cropped_otherwise_is_named_by_embeddings_and_decided_by_looks(mirrored: bool) -> None:
    wide = [scene(i, 56) for i in range(30)]
    moved = wide[0][7:55, 1:49]
    pictures = [picture[4:52, 4:52] for picture in wide] + [moved[:, ::-1] if mirrored else moved]
    thumbnails = np.stack([thumbnail(picture) for picture in pictures])
    embeddings = np.random.default_rng(0).normal(size=(31, 300))
    embeddings[30] = embeddings[0] * 1.01
    embeddings[2] = embeddings[1]
    assert similar_pairs(thumbnails).empty, "its thumbnail is another"
    found = moved_pairs(thumbnails, embeddings)
    assert found[["a", "b", "mirrored"]].to_numpy().tolist() == [[0, 30, mirrored]]
    assert moved_pairs(thumbnails[:0], embeddings[:0]).empty and moved_pairs(thumbnails[:3], embeddings[:3]).empty


def test_without_pairs_near_groups_are_the_exact_ones() -> None:
    samples = table(["a", "b", "a", None, "c", "b"], ["sad", "sad", "fear", "sad", "sad", "sad"])
    alone = np.stack([thumbnail(scene(i)) for i in range(6)])
    groups = near_groups(samples, similar_pairs(alone)[:0])
    pd.testing.assert_frame_equal(groups.drop(columns="kind"), exact_groups(samples))
    assert groups["kind"].tolist() == ["first", "first", "exact", "exact"]


def test_blank_and_unreadable_pictures_are_in_no_pair() -> None:
    blank = thumbnail(np.full((48, 48, 1), 90, np.uint8))
    assert not blank.any()
    thumbnails = np.stack([blank, blank, np.full_like(blank, np.nan), np.full_like(blank, np.nan)])
    assert similar_pairs(thumbnails).empty
    assert similar_pairs(thumbnails[:0]).empty


@settings(deadline=None)
@given(st.integers(0, 200), st.floats(0.6, 1.0), st.integers(-25, 30))
def test_brightness_and_contrast_do_not_move_a_thumbnail(seed: int, gain: float, offset: int) -> None:
    image = scene(seed).astype(float) * 0.5 + 60
    other = image * gain + offset
    first, second = (thumbnail(picture.round().astype(np.uint8)).astype(float) for picture in (image, other))
    assert first @ second > 0.995
    assert np.linalg.norm(first) == pytest.approx(1, abs=1e-2)


def test_blocks_give_the_same_pairs_as_one_product(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [scene(i % 7) for i in range(23)]
    thumbnails = np.stack([thumbnail(picture) for picture in pictures])
    whole = similar_pairs(thumbnails)
    monkeypatch.setattr("audit.duplicates._BLOCK", 4)
    pd.testing.assert_frame_equal(similar_pairs(thumbnails), whole)
    assert len(whole) == sum(i % 7 == j % 7 for i in range(23) for j in range(i))


def test_among_very_many_the_hash_finds_the_same_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [scene(i) for i in range(60)]
    pictures += [(pictures[i] * 0.7 + 15).astype(np.uint8) for i in range(10)]
    pictures += [pictures[i][:, ::-1] for i in range(10, 20)]
    thumbnails = np.stack([thumbnail(picture) for picture in pictures])
    whole = similar_pairs(thumbnails)
    assert len(whole) == 20 and whole["mirrored"].sum() == 10
    monkeypatch.setattr("audit.duplicates.ALL_PAIRS", 1)
    pd.testing.assert_frame_equal(similar_pairs(thumbnails), whole)
