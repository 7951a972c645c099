"""Any method of the registry for chosen images and a chosen target; the part that needs the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

import numpy as np
import torch
from torch import Tensor

from audit.saliency.registry import MINUS, available, method
from audit.saliency.tap import device_of, evaluating, laid_out, tapped
from faces.emotions import LabelSet
from faces.errors import InputError
from models.classifier import Classifier

Explainer = Callable[[Classifier, Tensor, Tensor, int], Tensor]


def explain_pixels(
    classifier: Classifier, pixels: np.ndarray, name: str, targets: Sequence[str], seed: int = 0
) -> np.ndarray:
    """Raw maps float32 (N, h, w) of uint8 (N, height, width, channels), each for its own target.

    A target is a class, or ``a-minus-b``. CAM methods give the layer's resolution, the others the input's. Equal seeds
    give equal maps. Raises InputError for methods, classes, layers and models that do not go together.
    """
    found = method(name)
    if name not in available(classifier.cam_layer is not None):
        raise InputError(
            f"{found.title} needs a layer with gradients, and the model {classifier.name or classifier.kind} gives "
            f"none; use one of {', '.join(available(False))}."
        )
    weights = torch.from_numpy(np.stack([target_weights(target, classifier.labels) for target in targets]))
    inputs = classifier.preprocessing.tensor(pixels).to(device_of(classifier.network))
    explainer = _stored(name) if found.stored else _function(name)
    with evaluating(classifier.network):
        try:
            maps = explainer(classifier, inputs, weights.to(inputs.device), seed)
        except (RuntimeError, AssertionError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(
                f"{found.title} cannot be computed for the model {classifier.name or classifier.kind} ({reason}); "
                "another method may do: occlusion and rise need nothing but outputs."
            ) from error
    return maps.detach().float().cpu().numpy()


def target_weights(target: str, labels: LabelSet) -> np.ndarray:
    """float32 (K,): 1 for a class; 1 and -1 for ``a-minus-b``. Raises InputError naming the classes."""
    weights = np.zeros(len(labels), dtype=np.float32)
    first, _, second = target.partition(MINUS)
    weights[labels.index(first)] += 1
    if second:
        weights[labels.index(second)] -= 1
    return weights


def _function(name: str) -> Explainer:
    module, _, function = method(name).function.partition(":")
    found: Explainer = getattr(import_module(f"audit.saliency.{module}"), function)
    return found


def _stored(name: str) -> Explainer:
    """A method of the one pass, for one target an image."""
    module, _, function = method(name).function.partition(":")
    maps_of = getattr(import_module(f"audit.saliency.{module}"), function)

    def explain(classifier: Classifier, inputs: Tensor, weights: Tensor, seed: int) -> Tensor:
        with torch.no_grad():
            tap, logits = tapped(classifier, laid_out(classifier, inputs))
            gradient = tap.gradient(logits, weights).float().unsqueeze(1)
            found: Tensor = maps_of(tap.grid.float(), gradient)[:, 0]
            return found

    return explain
