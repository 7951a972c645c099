"""What a trained classifier gets right, with intervals, for its card."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.stats import binomtest
from torch import nn

from models.classifier import Classifier
from training.memory import Faces

BATCH = 32


@torch.no_grad()
def answers(classifier: Classifier, images: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float32 (N, K) and what the last linear layer takes, float32 (N, D), for uint8 (N, C, H, W)."""
    network = classifier.network.eval()
    taken: list[torch.Tensor] = []
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    hooks = [layer.register_forward_pre_hook(lambda _m, args: taken.append(args[0])) for layer in layers]
    parts, embeddings = [], []
    try:
        for batch in images.split(BATCH):
            inputs = classifier.preprocessing.tensor(batch.permute(0, 2, 3, 1).numpy())
            parts.append(classifier.logits(network(inputs)).softmax(dim=1))
            embeddings.append(taken[-1].flatten(1) if taken else parts[-1])
            taken.clear()
    finally:
        for hook in hooks:
            hook.remove()
    return torch.cat(parts).numpy(), torch.cat(embeddings).numpy()


def probabilities(classifier: Classifier, images: torch.Tensor) -> np.ndarray:
    """float32 (N, K) for uint8 images (N, C, H, W) at the classifier's own size."""
    return answers(classifier, images)[0]


def accuracy(right: np.ndarray) -> dict[str, Any]:
    """Count, accuracy and its 95% Wilson interval of a bool array; nulls where it is empty."""
    n, correct = len(right), int(right.sum())
    if not n:
        return {"n": 0, "accuracy": None, "low": None, "high": None}
    interval = binomtest(correct, n).proportion_ci(method="wilson")
    return {
        "n": n,
        "accuracy": round(correct / n, 4),
        "low": round(float(interval.low), 4),
        "high": round(float(interval.high), 4),
    }


def measure(classifier: Classifier, test: Faces, training_content: np.ndarray) -> dict[str, Any]:
    """Accuracy on the test part, with and without images whose exact duplicates stand in the training part."""
    right = probabilities(classifier, test.images).argmax(axis=1) == test.classes
    seen = np.isin(test.content, training_content)
    return {
        "test": accuracy(right),
        "test_without_duplicates": accuracy(right[~seen]),
        "test_images_duplicated_in_training": int(seen.sum()),
    }
