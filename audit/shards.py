"""Shards of a running audit: written to a temporary name, then renamed, so that a part is whole or not there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faces.errors import InputError


@dataclass(frozen=True)
class Shard:
    """Rows ``start`` to ``stop`` of the samples; the boundaries depend on nothing but the order of samples."""

    index: int
    start: int
    stop: int

    @property
    def rows(self) -> range:
        return range(self.start, self.stop)

    def file(self, folder: Path) -> Path:
        return folder / f"{self.index:05d}.npz"


def plan(n: int, size: int) -> tuple[Shard, ...]:
    """``n`` rows in shards of ``size``; the last may be smaller."""
    return tuple(Shard(index, start, min(start + size, n)) for index, start in enumerate(range(0, n, size)))


def write_shard(file: Path, arrays: Mapping[str, np.ndarray], timing: Mapping[str, float]) -> None:
    """A shard's arrays, and beside them (.json) their checksum and timing; the shard counts once that is there."""
    with _replacing(file) as part, part.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)  # type: ignore[arg-type]  # numpy's stub misreads **arrays
        stream.flush()
        os.fsync(stream.fileno())
    note = {"sha256": sha256(file), "timing": dict(timing)}
    write_whole(file.with_suffix(".json"), json.dumps(note))


def read_note(file: Path) -> dict | None:
    """Checksum and timing of a finished shard; None where it is missing, unfinished or damaged."""
    try:
        note = json.loads(file.with_suffix(".json").read_text())
        return note if note["sha256"] == sha256(file) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_shard(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


@contextmanager
def writing(out: Path, done: str = "") -> Iterator[None]:
    """Turns a failed write into an InputError: a full disk, a read-only folder. ``done`` says how far the work is."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"The audit cannot be written to {out} ({reason}){done}; a folder with free space that you may write to "
            "was expected: make room or mend the permission, and run the same command with --resume."
        ) from error


def write_rows(file: Path, blocks: Iterator[np.ndarray], dtype: np.dtype, shape: tuple[int, ...]) -> None:
    """An .npy file of ``shape`` from blocks of its rows, one in memory at a time.

    It is written front to back, not through a memory map: a full disk is then an error, not the end of the process.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        for block in blocks:
            stream.write(np.ascontiguousarray(block, dtype=dtype).tobytes())


def write_whole(file: Path, text: str) -> None:
    """A text file that is there whole or not at all."""
    with _replacing(file) as part:
        part.write_text(text, encoding="utf-8")


def sha256(file: Path) -> str:
    """Hex digest of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    part = file.with_name(file.name + ".part")
    yield part
    part.replace(file)
