"""Insertion and deletion of a thousand samples against the forward passes they need.

Bar: at most 1.2 times the cost of those passes, in seconds of the processor on one thread.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
import torch

from audit.saliency.faithfulness import BATCH, STEPS, insertion_deletion
from audit.saliency.tap import taken
from audit.scoring import score
from benchmarks._real import compact, public_test
from faces.errors import UnreadableImage
from models.classifier import Classifier

SAMPLES = 1000
ROUNDS = 3


def passes(classifier: Classifier, pixels: np.ndarray) -> None:
    """As many images as the curves need, in batches of the same size, already as the network takes them.

    Each image and its blur once, and those between, coming and going.
    """
    images = 2 * SAMPLES * STEPS
    size = BATCH // (STEPS - 1) * (STEPS - 1)
    batch = taken(classifier, np.resize(pixels, (size, *pixels.shape[1:])))
    with torch.no_grad():
        for start in range(0, images, size):
            classifier.network(batch[: min(size, images - start)])


def main() -> int:
    torch.set_num_threads(1)
    classifier, dataset = compact(), public_test().select(limit=SAMPLES)
    read = [image for _, image in dataset.stream(range(SAMPLES)) if not isinstance(image, UnreadableImage)]
    pixels = np.stack([classifier.preprocessing.fit(image) for image in read])
    scored = score(classifier, pixels, ("gradcam",))
    targets = scored.probabilities.argmax(axis=1)
    maps = scored.maps["gradcam"][np.arange(len(pixels)), targets]
    ratios = []
    insertion_deletion(classifier, pixels[:BATCH], maps[:BATCH], targets[:BATCH])
    for number in range(ROUNDS):
        start = time.process_time()
        passes(classifier, pixels)
        bare = time.process_time() - start
        start = time.process_time()
        insertion_deletion(classifier, pixels, maps, targets)
        ratios.append((time.process_time() - start) / bare)
        print(f"round {number + 1}: passes {bare:.1f} s, curves {ratios[-1]:.2f} times that", flush=True)
    ratio = statistics.median(ratios)
    verdict = "holds" if ratio <= 1.2 else "MISSED"
    print(f"insertion and deletion of {SAMPLES} samples: {ratio:.2f} of their passes  {verdict}")
    return ratio > 1.2


if __name__ == "__main__":
    sys.exit(main())
