"""One temperature for a network's logits, fitted on held-out images and put into its last layer."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import nn

from faces.errors import InputError
from models.classifier import Classifier, Preprocessing
from models.networks import Pooled
from training.figures import probabilities
from training.memory import Faces

LARGEST = 20.0
"""The temperature lies between this and one over it."""


def head(network: nn.Module, name: str, wanted_by: str = "learn.calibrate") -> nn.Linear:
    """The linear layer that gives the logits. Raises InputError where there is none, as in nets with several heads."""
    found = network.classify if isinstance(network, Pooled) else getattr(network, "get_classifier", lambda: None)()
    if not isinstance(found, nn.Linear):
        raise InputError(
            f"The network {name!r} does not end in one linear layer, which {wanted_by} was expected to change; "
            f"leave {wanted_by} out of the recipe."
        )
    return found


def fitted(said: np.ndarray, classes: np.ndarray) -> float:
    """The T > 0 for which the probabilities of logits / T have the least mean -log of the class (Guo et al. 2017).

    ``said`` are probabilities (N, K) at T = 1, ``classes`` int (N,). 1 where there are no images.
    """
    if not len(classes):
        return 1.0
    logits = np.log(np.maximum(said, np.finfo(np.float32).tiny)).astype(np.float64)

    def loss(exponent: float) -> float:
        scaled = logits * math.exp(-exponent)
        return float(np.mean(np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(classes)), classes]))

    bound = math.log(LARGEST)
    return math.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x)


@torch.no_grad()
def calibrate(network: nn.Module, name: str, preprocessing: Preprocessing, held_out: Faces) -> float:
    """Divide the last layer of ``network`` by the temperature fitted on ``held_out``, which is returned."""
    last = head(network, name)
    said = probabilities(Classifier(network.eval(), held_out.labels, preprocessing), held_out.images)
    temperature = fitted(said, held_out.classes)
    for values in last.parameters():
        values.div_(temperature)
    return temperature
