"""Where the report is given the model: Occlusion maps, which need nothing but the model's answers."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from audit.run import AuditRun
from audit.worker import Worker
from reports import figures
from reports.document import Block, Figure, Paragraph
from reports.words import images

METHOD = "occlusion"
EACH = 6
"""Images of each class that are looked at, evenly spread over those rightly predicted."""


def blocks(run: AuditRun, data: Path | None, model: str, allow_pickle: bool = False) -> tuple[Block, ...]:
    """Mean Occlusion maps of each class, computed by a process of its own with the run's own ``model``.

    Raises InputError where the model is not there or is another, or the images are gone.
    """
    worker, place = Worker(), (data, model, allow_pickle)
    try:
        means = [(name, *_mean(run, worker, name, place)) for name in run.classes]
    finally:
        worker.close()
    n = sum(count for *_, count in means)
    return (
        Paragraph(
            "Occlusion covers one place of a picture after the other and asks the model again: it needs neither layers "
            f"nor gradients, and so is a check on maps that do. Computed for this report on {images(n)} that the model "
            "predicts rightly."
        ),
        Figure(
            "mean_occlusion",
            "Mean Occlusion map of each class, each on its own scale: places that raise the class's score when seen",
            partial(figures.mean_maps, means, figure="mean_occlusion"),
        ),
    )


def _mean(run: AuditRun, worker: Worker, name: str, place: tuple[Path | None, str, bool]) -> tuple[np.ndarray, int]:
    """The mean map (h, w) of a class and how many it is of."""
    samples = run.samples
    ids = samples.loc[(samples["label"] == name) & (samples["predicted"] == name), "sample_id"].tolist()
    chosen = np.unique(np.linspace(0, len(ids) - 1, min(EACH, len(ids))).astype(int))
    maps = [worker.saliency(run.folder, ids[row], METHOD, name, *place) for row in chosen]
    return (np.mean(maps, axis=0), len(maps)) if maps else (np.zeros((1, 1)), 0)
