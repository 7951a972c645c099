"""Shards: every row once, whole or not there; and what happens when they cannot be written."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.shards import plan, read_note, read_shard, sha256, write_rows, write_shard, writing
from faces.errors import InputError


@given(st.integers(0, 5000), st.integers(1, 700))
def test_a_plan_covers_every_row_once_and_in_order(n: int, size: int) -> None:
    shards = plan(n, size)
    assert [row for shard in shards for row in shard.rows] == list(range(n))
    assert all(len(shard.rows) == size for shard in shards[:-1])


@given(st.integers(1, 500), st.integers(0, 500), st.integers(1, 90))
def test_full_shards_stay_where_they_are_when_samples_are_added(n: int, more: int, size: int) -> None:
    full = [shard for shard in plan(n, size) if len(shard.rows) == size]
    assert plan(n + more, size)[: len(full)] == tuple(full)


def test_a_shard_comes_back_as_it_was_written(tmp_path: Path) -> None:
    arrays = {"maps gradcam": np.ones((3, 2), dtype=np.float16), "reason": np.array(["", "empty file", ""])}
    file = tmp_path / "00000.npz"
    write_shard(file, arrays, {"pass_s": 1.5})
    note = read_note(file)
    assert note == {"sha256": sha256(file), "timing": {"pass_s": 1.5}}
    assert {name: values.tolist() for name, values in read_shard(file).items()} == {
        name: values.tolist() for name, values in arrays.items()
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.json", "00000.npz"]


def test_equal_arrays_make_equal_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_shard(tmp_path / f"{name}.npz", {"rows": np.arange(5)}, {"pass_s": np.random.default_rng().random()})
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("damage", ["shortened", "no note", "half a note", "missing"])
def test_a_shard_that_is_not_whole_does_not_count(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "00000.npz"
    write_shard(file, {"rows": np.arange(50)}, {})
    note = file.with_suffix(".json")
    if damage == "shortened":
        file.write_bytes(file.read_bytes()[:-9])
    elif damage == "no note":
        note.unlink()
    elif damage == "half a note":
        note.write_text(note.read_text()[:20])
    else:
        file.unlink()
    assert read_note(file) is None


def test_rows_are_written_as_numpy_writes_them(tmp_path: Path) -> None:
    values = np.arange(30, dtype=np.float16).reshape(5, 2, 3)
    write_rows(tmp_path / "deep" / "a.npy", iter((values[:2], values[2:])), values.dtype, values.shape)
    np.save(tmp_path / "b.npy", values)
    assert (tmp_path / "deep" / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


def test_a_full_disk_is_one_sentence_that_says_how_to_go_on(tmp_path: Path) -> None:
    sentence = r"No space left on device\) after 40 of 90 images; .* with --resume"
    with pytest.raises(InputError, match=sentence), writing(tmp_path, " after 40 of 90 images"):
        raise OSError(errno.ENOSPC, "No space left on device")
