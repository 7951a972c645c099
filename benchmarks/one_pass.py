"""The one pass against bare inference and against the grad-cam library, and its maps against the library's.

Bars, on networks with a pooled head: probabilities, embeddings and a Grad-CAM map for each of seven classes at most 1.3
times bare no-grad inference and at least 3 times faster than the library's GradCAM for one target; all five
activation-gradient methods at most 1.5 times; maps within 1e-4 of each map's largest absolute value. Times are of one
thread, in seconds of the processor, each beside a bare inference of the same moment, so that other work
on the machine counts for little.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from audit.saliency.registry import METHODS, STORED
from audit.scoring import score
from benchmarks._real import untrained
from models.classifier import Classifier
from tests.reference.gradcam_raw import CLASSES, raw_maps

NETWORKS = (
    ("compact", 48, 1, 64),
    ("separable", 48, 1, 64),
    ("resnet18", 112, 3, 64),
    ("mobilenetv2_100", 112, 3, 64),
)
ROUNDS, LIBRARY_ROUNDS = 11, 3


def seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def library(classifier: Classifier, pixels: np.ndarray, methods: tuple[str, ...]) -> None:
    """One target by the library's own methods, its public way, the predicted class being the target."""
    layer = classifier.network.get_submodule(str(classifier.cam_layer))
    inputs = classifier.preprocessing.tensor(pixels)
    for method in methods:
        with CLASSES[method](classifier.network, [layer]) as cam:
            cam(inputs, [ClassifierOutputTarget(0)] * len(pixels))


def bare(classifier: Classifier, pixels: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return classifier.network(classifier.preprocessing.tensor(pixels)).softmax(dim=1).numpy()


def times(classifier: Classifier, pixels: np.ndarray) -> list[float]:
    """Medians over rounds, each beside a bare inference: pass, five methods, library's GradCAM, its five methods."""
    calls: tuple[tuple[int, Callable[[], object]], ...] = (
        (ROUNDS, lambda: score(classifier, pixels, ("gradcam",))),
        (ROUNDS, lambda: score(classifier, pixels, STORED)),
        (LIBRARY_ROUNDS, lambda: library(classifier, pixels, ("gradcam",))),
        (LIBRARY_ROUNDS, lambda: library(classifier, pixels, STORED)),
    )
    for _, call in calls:
        call()
    ratios: list[list[float]] = [[] for _ in calls]
    for number in range(ROUNDS):
        for (rounds, call), found in zip(calls, ratios, strict=True):
            if number < rounds:
                before = seconds(lambda: bare(classifier, pixels))
                found.append(2 * seconds(call) / (before + seconds(lambda: bare(classifier, pixels))))
    return [statistics.median(column) for column in ratios]


def largest_error(classifier: Classifier, pixels: np.ndarray) -> float:
    """Of all linear methods and classes: largest difference to the library, over the map's largest absolute value."""
    linear = tuple(name for name in STORED if METHODS[name].linear)
    ours, worst = score(classifier, pixels, linear).maps, 0.0
    for name in linear:
        for target in range(len(classifier.labels)):
            theirs = raw_maps(classifier, pixels, name, [target] * len(pixels))
            largest = np.abs(theirs).max(axis=(1, 2), keepdims=True)
            worst = max(worst, float((np.abs(ours[name][:, target] - theirs) / largest).max()))
    return worst


def main() -> int:
    missed = False
    torch.set_num_threads(1)
    print(f"{'':16}  {'pass':>6} {'five':>6} {'library 1':>10} {'library 5':>10} {'library 1/pass':>15} {'error':>8}")
    for name, size, channels, batch in NETWORKS:
        classifier = untrained(name, size, channels)
        pixels = np.random.default_rng(0).integers(0, 256, (batch, size, size, channels), dtype=np.uint8)
        one, five, theirs, their_five = times(classifier, pixels)
        error = largest_error(classifier, pixels[:16])
        holds = one <= 1.3 and five <= 1.5 and theirs / one >= 3 and error <= 1e-4
        missed |= not holds
        figures = f"{one:6.2f} {five:6.2f} {theirs:10.2f} {their_five:10.2f} {theirs / one:15.2f} {error:8.1e}"
        print(f"{name:16}  {figures}  {'holds' if holds else 'MISSED'}", flush=True)
    print("times as multiples of bare inference on the same batch; medians")
    return missed


if __name__ == "__main__":
    sys.exit(main())
