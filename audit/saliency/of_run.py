"""Maps of a run's samples by methods that are not stored: the model is loaded again and run on the sample's pixels."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from audit.run import AuditRun
from audit.saliency.on_demand import explain_pixels
from audit.saliency.registry import MINUS
from faces.dataset import FaceDataset
from faces.errors import InputError, UnreadableImage
from models.classifier import Classifier
from models.load import load_again


def computed_map(
    run: AuditRun,
    sample_id: str,
    method: str,
    target: str,
    data: Path | None = None,
    model: str | None = None,
    allow_pickle: bool = False,
) -> np.ndarray:
    """Raw map float32 (h, w) of one sample for a class, ``predicted``, ``label`` or ``a-minus-b``.

    ``data`` and ``model`` say where those are now. Raises InputError where they are gone or are others.
    """
    classifier = run_classifier(run.folder, model, allow_pickle)
    pixels = sample_pixels(run, sample_id, data)
    named = named_target(run, sample_id, target)
    return explain_pixels(classifier, classifier.preprocessing.fit(pixels)[None], method, [named])[0]


def answer(folder: Path, *asked: Any) -> np.ndarray:
    """As computed_map, of the run in ``folder`` and what that is ``asked`` of a run: what audit.worker asks for."""
    return computed_map(_run(folder), *asked)


def named_target(run: AuditRun, sample_id: str, target: str) -> str:
    """The class that ``predicted`` or ``label`` is of a sample; any other target is itself, checked."""
    if target in ("predicted", "label"):
        value = run.samples[target].iat[run.row_of[sample_id]]
        if not isinstance(value, str) or value not in run.classes:
            raise InputError(f"The sample {sample_id} has no {target} among the classes {', '.join(run.classes)}.")
        return value
    return MINUS.join(run.classes.names[run.classes.index(part)] for part in target.split(MINUS, 1))


def sample_pixels(run: AuditRun, sample_id: str, data: Path | None = None) -> np.ndarray:
    """uint8 (H, W, 1 or 3). Raises InputError where the data is gone, holds no such sample, or cannot be read."""
    if sample_id not in run.row_of:
        raise InputError(f"The run {run.name} has no sample {sample_id!r}; sample ids are those of samples.parquet.")
    try:
        return _dataset(run.folder, data).pixels.read(sample_id)
    except (UnreadableImage, KeyError) as reason:
        raise InputError(f"The sample {sample_id} cannot be read: {reason}.") from None


@lru_cache(maxsize=2)
def run_classifier(folder: Path, model: str | None = None, allow_pickle: bool = False) -> Classifier:
    """The classifier that the run in ``folder`` was made with; kept, as loading takes longer than explaining."""
    return load_again(_run(folder).manifest["model"], folder, model, allow_pickle)


@lru_cache(maxsize=4)
def _run(folder: Path) -> AuditRun:
    return AuditRun.open(folder)


@lru_cache(maxsize=4)
def _dataset(folder: Path, data: Path | None) -> FaceDataset:
    return _run(folder).dataset(data)
