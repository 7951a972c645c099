"""What a run is of: the part of manifest.json that is known before the first image is scored."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from audit.jsonsafe import plain
from audit.options import AuditOptions
from audit.run import SCHEMA_VERSION
from faces.dataset import FaceDataset
from models.classifier import Classifier

LIBRARIES = ("torch", "numpy", "pandas", "pyarrow", "scipy", "opencv-python")
SAME = {
    "data": ("fingerprint", "samples"),
    "model": ("fingerprint", "classes", "preprocessing", "output", "cam_layer", "reshape", "trained_on"),
    "options": None,
    "seed": None,
    "versions": None,
}
"""What must be equal for a run to be gone on with; paths may change, the data may have moved."""


def describe(
    dataset: FaceDataset,
    classifier: Classifier,
    options: AuditOptions,
    out: Path,
    committee: Sequence[Classifier] = (),
) -> dict:
    """JSON-safe: schema, data, model, classes, attributes, options, versions and seed. Equal input, equal result."""
    data = {
        "kind": dataset.provenance.kind,
        **_place(dataset.provenance.path, out),
        "fingerprint": dataset.provenance.fingerprint,
        "samples": samples_digest(dataset.samples),
        "n": len(dataset),
        "label": dataset.provenance.label,
        "label_names": list(dataset.provenance.numbers),
        "limit": dataset.limit,
        "metadata": None if dataset.provenance.metadata is None else _place(dataset.provenance.metadata, out),
        "notes": list(dataset.notes),
    }
    model = {
        "kind": classifier.kind,
        "name": classifier.name,
        **(_place(Path(classifier.path), out) if classifier.path else {"path": None, "relative_path": None}),
        "fingerprint": classifier.fingerprint,
        "classes": list(classifier.labels),
        "preprocessing": asdict(classifier.preprocessing),
        "output": classifier.output,
        "cam_layer": classifier.cam_layer,
        "reshape": classifier.reshape,
        "trained_on": len(classifier.trained_on),
        "card": classifier.card,
    }
    return plain(  # type: ignore[return-value]
        {
            "schema": SCHEMA_VERSION,
            "data": data,
            "model": model,
            "classes": list(classifier.labels),
            "attributes": list(options.attributes or ()),
            "options": {
                "saliency": list(options.saliency),
                "batch_size": options.batch_size,
                "shard_size": options.shard_size,
                "check_maps": options.check_maps,
                "label_mix": options.label_mix,
                "references": options.references,
                "min_group": options.min_group,
                "crossed": options.crossed,
                "out_of_fold": options.out_of_fold,
                "committee": [{"name": member.name, "fingerprint": member.fingerprint} for member in committee],
            },
            "seed": options.seed,
            "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        }
    )


def first_difference(earlier: dict, now: dict) -> str | None:
    """The first thing, in words, in which two descriptions differ that a run must be gone on with; None if none."""
    for part, names in SAME.items():
        before, after = earlier.get(part), now[part]
        if isinstance(after, dict):
            for name in names or sorted(after):
                if not isinstance(before, dict) or before.get(name) != after[name]:
                    return f"{part} ({name.replace('_', ' ')})"
        elif before != after:
            return f"{part} ({before!r}, now {after!r})"
    return "choice of attributes" if earlier.get("attributes") != now["attributes"] else None


def samples_digest(samples: pd.DataFrame) -> str:
    """SHA-256 (hex) of the table of samples: which rows, in which order, with which labels and attributes."""
    text = samples.to_csv(index=False, lineterminator="\n")
    return hashlib.sha256(text.encode()).hexdigest()


def _place(path: Path, out: Path) -> dict[str, str]:
    """A path as it is, and from the run's folder, so that both may be moved together."""
    path = path.resolve()
    return {"path": str(path), "relative_path": Path(os.path.relpath(path, out.resolve())).as_posix()}
