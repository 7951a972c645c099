"""A finished run made from drawn faces with a simulated classifier: no torch, a few seconds, always the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from audit.analyses import analyse
from audit.run import AuditRun
from faces.dataset import FaceDataset
from faces.errors import UnreadableImage
from faces.pixels import content_id
from faces.readers import open_dataset
from faces.synthetic import draw
from tests.saliency_tables import add_saliency

GRID = 6
CONFUSED = {"sad": "neutral", "fear": "surprise"}


def make_run(folder: Path, n: int = 280, seed: int = 0, name: str = "drawn") -> AuditRun:
    """Faces in FOLDER/faces and a run of their test part in FOLDER/NAME."""
    if not (folder / "faces").is_dir():
        draw(folder / "faces", n=n, seed=seed, flipped=0.08, duplicates=4, unreadable=2, test=0.7)
    dataset = open_dataset(folder / "faces", folder / "faces" / "metadata.csv").select("test")
    return make_run_of(dataset, folder / name, seed)


def make_run_of(dataset: FaceDataset, run: Path, seed: int = 0, read: bool = True) -> AuditRun:
    """A run of any faces in the folder ``run``; without ``read`` no image is opened and each counts as its own."""
    (run / "saliency").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    samples, probabilities = _scored(dataset, rng, read)
    samples.to_parquet(run / "samples.parquet", index=False)
    np.save(run / "probabilities.npy", probabilities)
    np.save(run / "embeddings.npy", _embeddings(probabilities, rng))
    k = len(dataset.labels)
    np.save(run / "saliency" / "gradcam.npy", _maps(len(samples), k, rng))
    np.save(run / "saliency" / "gradcam_scale.npy", rng.uniform(0.5, 2, (len(samples), k)).astype(np.float32))
    manifest = _manifest(dataset, run.name)
    analyse(run, manifest, seed)
    add_saliency(run, manifest, seed)
    (run / "timing.json").write_text(json.dumps({"inference_s": 1.0, "pass_s": 1.2, "total_s": 2.0}))
    (run / "manifest.json").write_text(json.dumps(manifest))
    return AuditRun.open(run)


def _scored(dataset: FaceDataset, rng: np.random.Generator, read: bool) -> tuple[pd.DataFrame, np.ndarray]:
    """Mostly right, sad taken for neutral and fear for surprise more often; unreadable files are NaN."""
    names = dataset.labels.names
    contents: list[str | None] = []
    status = []
    for row in range(len(dataset)):
        try:
            contents.append(content_id(dataset.read(row)) if read else f"{row:064d}")
            status.append("ok")
        except UnreadableImage:
            contents.append(None)
            status.append("unreadable")
    label = dataset.labels.encode(dataset.samples["label"])
    logits = rng.normal(0, 1, (len(dataset), len(names)))
    logits[np.arange(len(dataset)), label] += 2.4
    for one, other in CONFUSED.items():
        logits[label == names.index(one), names.index(other)] += 1.2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probabilities[np.array(status) != "ok"] = np.nan
    return _table(dataset, probabilities, contents, status), probabilities.astype(np.float32)


def _table(
    dataset: FaceDataset, probabilities: np.ndarray, contents: list[str | None], status: list[str]
) -> pd.DataFrame:
    known = np.array(status) == "ok"
    ranked = np.sort(np.where(known[:, None], probabilities, 0), axis=1)
    best = np.where(known[:, None], probabilities, 0).argmax(axis=1)
    names = np.array(dataset.labels.names, dtype=object)
    samples = dataset.samples.assign(status=status)
    samples.insert(1, "content_id", pd.Series(contents, dtype="str"))
    samples["predicted"] = pd.Series(np.where(known, names[best], None), dtype="str")
    samples["confidence"] = np.where(known, ranked[:, -1], np.nan)
    samples["margin"] = np.where(known, ranked[:, -1] - ranked[:, -2], np.nan)
    samples["brightness"], samples["contrast"], samples["sharpness"] = 120.0, 50.0, 400.0
    return samples.assign(seen_in_training=False)


def _embeddings(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    wide = rng.normal(0, 1, (probabilities.shape[1], 32))
    return (np.nan_to_num(probabilities) @ wide + rng.normal(0, 0.1, (len(probabilities), 32))).astype(np.float16)


def _maps(n: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """One bump a map, with some negative evidence around it; at most 1 in size."""
    y, x = np.mgrid[0:GRID, 0:GRID]
    centre = rng.uniform(0.5, GRID - 1.5, (n, k, 2))
    distance = (y - centre[..., :1, None]) ** 2 + (x - centre[..., 1:, None]) ** 2
    return (1.2 * np.exp(-distance / 3) - 0.2).astype(np.float16)


def _manifest(dataset: FaceDataset, name: str) -> dict:
    faces = dataset.provenance
    return {
        "schema": 1,
        "classes": list(dataset.labels),
        "attributes": [attribute for attribute in dataset.attributes if attribute != "glasses"][:2],
        "data": {
            "kind": faces.kind,
            "path": str(faces.path),
            "relative_path": "../faces",
            "fingerprint": faces.fingerprint,
        },
        "model": {"kind": "checkpoint", "name": f"simulated {name}", "path": None, "fingerprint": "0" * 64},
        "options": {},
        "saliency": {"gradcam": {"targets": list(dataset.labels), "layer": "features", "resolution": [GRID, GRID]}},
        "versions": {},
        "seed": 0,
        "parts": [],
    }
