"""Out-of-fold answers beside a checkpoint: what a network said that had not been trained on the image."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from faces.emotions import LabelSet
from faces.errors import InputError

FOLDER = "out_of_fold"
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


def matched(model: Path | str, labels: LabelSet, content_ids: Sequence[str]) -> np.ndarray | None:
    """float32 (N, K) for images by ``content_id``, columns in ``labels`` order; NaN rows where there is no answer.

    None where the model has none at all. Raises InputError where they are damaged or for other classes.
    """
    folder = Path(model) / FOLDER
    if not folder.is_dir():
        return None
    try:
        known = pd.read_parquet(folder / SAMPLES, columns=["content_id"])["content_id"]
        stored = np.load(folder / PROBABILITIES)
    except (OSError, ValueError, KeyError) as reason:
        raise InputError(f"The answers in {folder} cannot be read ({reason}); train again with --folds.") from reason
    if stored.shape != (len(known), len(labels)):
        raise InputError(
            f"The answers in {folder} have shape {stored.shape} where ({len(known)}, {len(labels)}) was expected; "
            "train again with --folds."
        )
    first = ~known.duplicated()
    row = pd.Index(known[first]).get_indexer(pd.Index(list(content_ids), dtype=known.dtype))
    return np.where((row >= 0)[:, None], stored[first.to_numpy()][row], np.float32("nan"))
