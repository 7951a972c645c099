"""From shards to the run's arrays and its table of samples, one shard in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from audit.saliency.registry import STORED, targets_of
from audit.shards import read_shard, write_rows
from faces.dataset import UNREADABLE, FaceDataset
from faces.errors import InputError
from models.classifier import Classifier

FILLS = {
    "probabilities": np.nan, "committee": np.nan, "embeddings": 0, "thumbnails": np.nan, "maps": 0, "scale": 0,
}  # fmt: skip
"""What stands in the rows of unreadable images."""
MEASURED = ("brightness", "contrast", "sharpness")


def merge(dataset: FaceDataset, classifier: Classifier, files: list[Path], out: Path) -> dict[str, dict]:
    """Write samples.parquet, probabilities.npy, embeddings.npy and saliency/; gives the manifest's ``saliency``."""
    shapes = _shapes(files)
    if not shapes:
        reasons = ", ".join(sorted(set(read_shard(files[0])["reason"].tolist()))[:3])
        raise InputError(
            f"None of the {len(dataset)} images of {dataset.provenance.path} could be read ({reasons}); "
            "check the path and that the files are images."
        )
    saliency = {}
    for name, (dtype, shape) in shapes.items():
        fill = FILLS[name.partition(" ")[0]]
        write_rows(out / _file(name), _blocks(files, name, shape, dtype, fill), dtype, (len(dataset), *shape))
        if name.startswith("maps "):
            method = name.removeprefix("maps ")
            targets = targets_of(method, classifier.labels.names)
            saliency[method] = {"targets": list(targets), "resolution": list(shape[1:])}
    _samples(dataset, classifier, files, np.load(out / "probabilities.npy")).to_parquet(
        out / "samples.parquet", index=False
    )
    return {method: saliency[method] for method in STORED if method in saliency}


def _file(name: str) -> str:
    """Where an array of the shards goes: ``maps gradcam`` to ``saliency/gradcam.npy``."""
    kind, _, method = name.partition(" ")
    return {"maps": f"saliency/{method}.npy", "scale": f"saliency/{method}_scale.npy"}.get(kind, f"{name}.npy")


def _shapes(files: list[Path]) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
    """Type and shape of a row of each array, from the first shard in which an image could be read."""
    for file in files:
        arrays = read_shard(file)
        if len(arrays["rows"]):
            names = [name for name in sorted(arrays) if name.partition(" ")[0] in FILLS]
            return {name: (arrays[name].dtype, arrays[name].shape[1:]) for name in names}
    return {}


def _blocks(files: list[Path], name: str, shape: tuple[int, ...], dtype: np.dtype, fill: float) -> Iterator[np.ndarray]:
    start = 0
    for file in files:
        with np.load(file, allow_pickle=False) as arrays:
            n, rows = len(arrays["reason"]), arrays["rows"]
            block = np.full((n, *shape), fill, dtype=dtype)
            if len(rows):
                block[rows - start] = arrays[name]
        start += n
        yield block


def _samples(
    dataset: FaceDataset, classifier: Classifier, files: list[Path], probabilities: np.ndarray
) -> pd.DataFrame:
    """One row a sample; texts are ``str`` columns whatever is missing, so equal audits give equal files."""
    parts = [read_shard(file) for file in files]
    identity = np.concatenate([part["content_id"] for part in parts]).astype(object)
    reason = np.concatenate([part["reason"] for part in parts]).astype(object)
    measured = np.concatenate([part["measured"] for part in parts])
    unread = identity == ""
    identity[unread], reason[~unread] = None, None
    source = dataset.samples
    best = np.sort(np.where(np.isnan(probabilities), 0, probabilities), axis=1)
    predicted = np.array(classifier.labels.names, dtype=object)[np.nan_to_num(probabilities).argmax(axis=1)]
    predicted[unread] = None
    seen = [text is not None and bytes.fromhex(text)[:8] in classifier.trained_on for text in identity]
    columns = {
        "sample_id": source["sample_id"],
        "content_id": identity,
        "path": source["path"],
        "split": source["split"],
        "label": source["label"],
        "predicted": predicted,
        "confidence": np.where(unread, np.nan, best[:, -1]).astype(np.float32),
        "margin": np.where(unread, np.nan, best[:, -1] - best[:, -2]).astype(np.float32),
        "status": np.where(unread, UNREADABLE, source["status"]),
        "reason": reason,
        **{name: source[name] for name in dataset.attributes},
        **dict(zip(MEASURED, measured.T, strict=True)),
        **{name: source[name] for name in source if name.startswith("votes_")},
        **({"subject_id": source["subject_id"]} if "subject_id" in source else {}),
        "seen_in_training": np.array(seen, dtype=bool),
    }
    texts = {"sample_id", "content_id", "path", "split", "label", "predicted", "status", "reason", "subject_id"}
    frame = pd.DataFrame(columns)
    return frame.astype({name: "str" for name in frame if name in texts | {*dataset.attributes}})
