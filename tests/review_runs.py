"""A small audit run with pictures, written by hand: labels that are wrong, copies, a group, one unreadable file."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from audit.labels import label_issues
from audit.run import AuditRun
from faces.dataset import FaceDataset
from faces.emotions import LabelSet
from faces.pixels import content_id
from faces.readers import open_dataset

CLASSES = LabelSet(("angry", "fear", "sad", "neutral"))


def make_run(folder: Path, n: int = 60, seed: int = 0, name: str = "run") -> tuple[AuditRun, FaceDataset, pd.Series]:
    """A run of ``n`` pictures, a quarter of them labelled wrong, its data, and the true labels.

    Rows 0 and 1 are copies with different labels; rows 2 and 3 copies with the same label.
    """
    rng = np.random.default_rng(seed)
    data = folder / "faces"
    truth = np.array(CLASSES.names, dtype=object)[rng.integers(0, 4, n)]
    truth[1], truth[3] = truth[0], truth[2]
    wrong = rng.random(n) < 0.25
    wrong[:4] = [False, True, False, False]
    label = np.where(wrong, np.array(CLASSES.names, dtype=object)[(CLASSES.encode(truth) + 1) % 4], truth)
    pixels = rng.integers(0, 256, (n, 16, 16), dtype=np.uint8)
    pixels[1], pixels[3] = pixels[0], pixels[2]
    for row in range(n):
        path = data / ("train" if row % 3 else "test") / label[row] / f"face{row:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels[row])
    broken = data / "train" / "sad" / "broken.png"
    broken.parent.mkdir(parents=True, exist_ok=True)
    broken.write_bytes(b"no picture")
    dataset = open_dataset(data)
    number = dataset.samples["sample_id"].str.extract(r"face(\d+)")[0].astype(float)
    real = number.notna().to_numpy()
    row_of = number.fillna(0).astype(int).to_numpy()
    probabilities = np.full((n, 4), 0.1, dtype=np.float32)
    probabilities[np.arange(n), CLASSES.encode(truth)] = 0.7
    probabilities += rng.random((n, 4)).astype(np.float32) * 0.1
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    shares = np.where(real[:, None], probabilities[row_of], np.nan).astype(np.float32)
    embeddings = np.where(real[:, None], probabilities[row_of] @ rng.random((4, 8)), 0).astype(np.float16)
    samples = dataset.samples[["sample_id", "path", "split", "label"]].copy()
    samples["content_id"] = [
        content_id(dataset.pixels.read(name)) if known else None
        for name, known in zip(samples["sample_id"], real, strict=True)
    ]
    samples["status"] = np.where(real, "ok", "unreadable")
    issues = label_issues(shares, CLASSES.encode(samples["label"]), CLASSES.names, embeddings)
    predicted = np.array(CLASSES.names, dtype=object)[np.nan_to_num(shares).argmax(axis=1)]
    samples = samples.assign(
        predicted=np.where(real, predicted, None),
        label_issue_score=issues.score,
        suggested=issues.suggested_names(),
        suggestion_score=issues.suggestion_score,
        contrast=np.where(real, 50.0, np.nan),
        strangeness=np.where(real, np.where(row_of == 5, 0.9, 0.2 + 0.01 * (row_of % 7)), np.nan),
        apparent_gender=np.where(row_of % 2 == 0, "woman", "man"),
        votes_sadness=np.where(samples["label"] == "sad", 10, 5),
        votes_neutral=np.where(samples["label"] == "sad", 0, 5),
    )
    target = folder / name
    target.mkdir()
    samples.to_parquet(target / "samples.parquet")
    np.save(target / "probabilities.npy", shares)
    np.save(target / "embeddings.npy", embeddings)
    manifest = {"schema": 1, "classes": list(CLASSES.names), "attributes": ["apparent_gender"], "saliency": {}}
    (target / "manifest.json").write_text(json.dumps(manifest))
    return AuditRun.open(target), dataset, pd.Series(np.where(real, truth[row_of], None), index=samples["sample_id"])
