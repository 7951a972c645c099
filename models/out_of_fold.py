"""Out-of-fold answers beside a checkpoint: what a network said that had not been trained on the image."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from faces.emotions import LabelSet
from faces.errors import InputError

FOLDER = "out_of_fold"
DYNAMICS = "training_dynamics.parquet"
SAMPLES, PROBABILITIES, EMBEDDINGS = "samples.parquet", "probabilities.npy", "embeddings.npy"


def write(model: Path, samples: pd.DataFrame, probabilities: np.ndarray, embeddings: np.ndarray) -> None:
    """Write ``model/out_of_fold`` anew: ``samples`` (N rows: sample_id, content_id, label, fold), ``probabilities``

    (N, K) and ``embeddings`` (N, D). Embeddings of different folds come from different networks: compare them within
    one fold only.
    """
    folder = model / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    samples.to_parquet(folder / SAMPLES, index=False)
    np.save(folder / PROBABILITIES, probabilities.astype(np.float32))
    np.save(folder / EMBEDDINGS, embeddings.astype(np.float16))


@dataclass(frozen=True)
class Answers:
    """For each of N images: ``probabilities`` float32 (N, K), NaN where there is no answer; ``embeddings`` float16
    (N, D), 0 there; ``fold`` int16 (N,), -1 there."""

    probabilities: np.ndarray
    embeddings: np.ndarray
    fold: np.ndarray


def answers(model: Path | str, labels: LabelSet, content_ids: Sequence[str | None]) -> Answers | None:
    """What the networks of a model's folds said of images by ``content_id``, columns in ``labels`` order.

    None where the model has no answers at all. Raises InputError where they are damaged or for other classes.
    """
    folder = Path(model) / FOLDER
    if not folder.is_dir():
        return None
    try:
        known = pd.read_parquet(folder / SAMPLES, columns=["content_id", "fold"])
        probabilities, embeddings = np.load(folder / PROBABILITIES), np.load(folder / EMBEDDINGS)
    except (OSError, ValueError, KeyError) as reason:
        raise InputError(f"The answers in {folder} cannot be read ({reason}); train again with --folds.") from reason
    if probabilities.shape != (len(known), len(labels)):
        raise InputError(
            f"The answers in {folder} have shape {probabilities.shape} where ({len(known)}, {len(labels)}) was "
            "expected; train again with --folds."
        )
    if len(embeddings) != len(known):
        raise InputError(f"{folder} holds {len(embeddings)} embeddings of {len(known)} images; train again.")
    row = row_by_content(known["content_id"], content_ids)
    found = row >= 0
    return Answers(
        np.where(found[:, None], probabilities[row], np.float32("nan")),
        np.where(found[:, None], embeddings[row], np.float16(0)),
        np.where(found, known["fold"].to_numpy()[row], -1).astype(np.int16),
    )


def areas_under_margin(model: Path | str, content_ids: Sequence[str | None]) -> np.ndarray | None:
    """float32 (N,) for images by ``content_id``, NaN where the training did not log them; None where it logged none.

    Raises InputError where the log is damaged.
    """
    file = Path(model) / DYNAMICS
    if not file.is_file():
        return None
    try:
        logged = pd.read_parquet(file, columns=["content_id", "area_under_margin"])
    except (OSError, ValueError, KeyError) as reason:
        raise InputError(f"The log {file} cannot be read ({reason}); copy the model folder again.") from reason
    row = row_by_content(logged["content_id"], content_ids)
    return np.where(row >= 0, logged["area_under_margin"].to_numpy(dtype=np.float32)[row], np.float32("nan"))


def row_by_content(known: pd.Series, content_ids: Sequence[str | None]) -> np.ndarray:
    """For each content id the first row of ``known`` that has it, -1 where none has; int64 (N,)."""
    first = ~known.duplicated()
    place = pd.Index(known[first]).get_indexer(pd.Index(list(content_ids), dtype=known.dtype))
    return np.where(place >= 0, np.flatnonzero(first)[place], -1)
