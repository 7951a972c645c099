"""Maps by methods that are not stored: computed by the child process when somebody asks, and kept for a while."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audit.saliency.registry import METHODS, available
from dashboard.media import LABEL, MINUS, PREDICTED, Map
from faces.errors import InputError

if TYPE_CHECKING:
    from dashboard.state import Served, Site

KEPT = 512
"""So many computed maps are kept in memory."""


def unavailable(served: Served) -> str | None:
    """Why no map can be computed for a run: no model, or no images; None while they can."""
    model = served.run.manifest["model"]
    if not model:
        return "The run was made from a table of predictions: there is no model to ask."
    if served.model is None and not _is_there(model, served.run.folder):
        gone = f" ({model['path']} is gone)" if model.get("path") else ""
        return f"The model is not there{gone}: pass --model, saying where it is now."
    return served.pictures.reason


def _is_there(model: dict, folder: Path) -> bool:
    """Whether the model is where it was, or at the same place as seen from the run."""
    spec = str(model.get("card", {}).get("spec") or model.get("path") or "")
    beside = model.get("relative_path")
    named = spec.startswith(("timm:", "factory:"))
    return named or (bool(spec) and Path(spec).exists()) or bool(beside and (folder / beside).exists())


def offered(served: Served) -> tuple[str, ...]:
    """Methods that can be computed for a run, besides those it stores; none where its model or images are gone."""
    if unavailable(served):
        return ()
    layer = served.run.manifest["model"].get("cam_layer")
    return tuple(name for name in available(layer is not None) if name not in served.run.saliency_methods)


def map_of(site: Site, served: Served, method: str, target: str, sample_id: str, scaling: str) -> Map:
    """One sample's map: the stored one, or else one computed now. Raises InputError saying why there is none."""
    pictures = served.pictures
    stored = method in served.run.saliency_methods
    if method not in METHODS or (stored and pictures.drawable(method, target, served.run.row_of[sample_id])):
        return pictures.map(method, target, sample_id, scaling)
    raw = _computed(site, served, method, named(served, target, sample_id), sample_id)
    contrast = MINUS in target
    return Map(raw, contrast, float(np.abs(raw).max() if contrast else raw.max(initial=0)))


def named(served: Served, target: str, sample_id: str) -> str:
    """A target with the classes that ``predicted`` and ``label`` are of a sample. Raises InputError where there is no
    such class."""
    row = served.run.row_of[sample_id]
    names = []
    for part in target.split(MINUS):
        name = served.pictures.class_of(part, row)
        if name not in served.run.classes:
            known = ", ".join((PREDICTED, LABEL, *served.run.classes))
            raise InputError(f"The sample has no map for {part!r}; there are those of: {known}.")
        names.append(str(name))
    return MINUS.join(names)


def _computed(site: Site, served: Served, method: str, target: str, sample_id: str) -> np.ndarray:
    kept: OrderedDict[tuple[str, str, str], np.ndarray] = served.computed
    key = (method, target, sample_id)
    if key not in kept:
        if reason := unavailable(served):
            raise InputError(reason)
        place = served.data, served.model, served.allow_pickle
        kept[key] = site.worker.saliency(served.run.folder, sample_id, method, target, *place)
        while len(kept) > KEPT:
            kept.popitem(last=False)
    return kept[key]
