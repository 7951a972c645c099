"""`facevalue audit` on FER-2013's PublicTest against a plain loop that decodes and infers; and its peak memory.

Bars: at most 2.5 times the loop, start-up aside; under 1.5 GB.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import cv2
import numpy as np
import torch

from audit import AuditOptions, audit
from benchmarks._real import compact, compact_folder, faces_folder, public_test
from faces.dataset import FaceDataset
from models.classifier import Classifier

ROUNDS = 3
BATCH = 128


def plain(dataset: FaceDataset, classifier: Classifier) -> np.ndarray:
    """What anyone would write: read, decode and infer, batch by batch."""
    found = []
    with zipfile.ZipFile(dataset.provenance.path) as archive, torch.no_grad():
        names = dataset.samples["sample_id"].tolist()
        for start in range(0, len(names), BATCH):
            data = [np.frombuffer(archive.read(name), np.uint8) for name in names[start : start + BATCH]]
            images = np.stack([cv2.imdecode(one, cv2.IMREAD_GRAYSCALE) for one in data])[..., None]
            found.append(classifier.network(classifier.preprocessing.tensor(images)).softmax(dim=1).numpy())
    return np.concatenate(found)


def peak_memory(folder: Path) -> float | None:
    """GB at most resident in the command as a person runs it; None where no checkpoint ships."""
    model = compact_folder()
    if model is None:
        return None
    faces = faces_folder()
    command = [sys.executable, "-m", "facevalue", "audit", faces / "archive.zip", "--metadata", faces / "metadata.csv"]
    command += ["--split", "test", "--model", model, "--out", folder]
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2


def main() -> int:
    dataset, classifier = public_test(), compact()
    plain(dataset.select(limit=BATCH), classifier)
    loops, audits = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(ROUNDS):
            start = time.perf_counter()
            expected = plain(dataset, classifier)
            loops.append(time.perf_counter() - start)
            start = time.perf_counter()
            run = audit(dataset, classifier, AuditOptions(progress=False), Path(scratch, f"run{number}"))
            audits.append(time.perf_counter() - start)
        same = bool(np.allclose(run.probabilities, expected, atol=1e-5))
        memory = peak_memory(Path(scratch, "command"))
    ratio = statistics.median(ours / theirs for ours, theirs in zip(audits, loops, strict=True))
    holds = ratio <= 2.5, memory is None or memory < 1.5, same
    words = ["holds" if one else "MISSED" for one in holds]
    print(
        f"audit {statistics.median(audits):.1f} s, plain loop {statistics.median(loops):.1f} s: {ratio:.2f}  {words[0]}"
    )
    print("peak memory: no checkpoint ships" if memory is None else f"peak memory {memory:.2f} GB  {words[1]}")
    print(f"equal probabilities  {words[2]}")
    return not all(holds)


if __name__ == "__main__":
    sys.exit(main())
