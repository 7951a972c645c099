"""The one pass over a batch: probabilities, embeddings and saliency together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from audit.saliency import cam
from audit.saliency.registry import METHODS, STORED, TWO_TARGETS, targets_of
from audit.saliency.tap import CamTap, evaluating, taken, tapped
from faces.errors import InputError
from models.classifier import Classifier

CamFunction = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Scored:
    """What one batch gave.

    ``probabilities`` float32 (N, K), rows sum to 1. ``embeddings`` float16 (N, D): what the last linear layer takes,
    else the CAM layer's activation averaged over places; None where there is neither. ``maps``: method ->
    float32 (N, T, h, w), raw, T as ``targets_of`` says; empty where the classifier has no CAM layer.
    ``inference_s`` is the part of ``pass_s`` (seconds) that the forward pass took.
    """

    probabilities: np.ndarray
    embeddings: np.ndarray | None
    maps: dict[str, np.ndarray]
    inference_s: float
    pass_s: float


def score(
    classifier: Classifier,
    pixels: np.ndarray,
    methods: Sequence[str] = ("gradcam",),
    labels: np.ndarray | None = None,
    names: Sequence[str] | None = None,
) -> Scored:
    """One forward pass over uint8 (N, height, width, channels), and a backward one through the tail a class.

    ``labels`` (N,) are class positions, -1 unknown: they choose the alternative target; ``names`` are for errors.
    Raises InputError for outputs that are not finite and for a CAM layer that cannot be used.
    """
    started = time.perf_counter()
    inputs = taken(classifier, pixels)
    with torch.no_grad(), evaluating(classifier.network), _head(classifier.network) as head:
        if classifier.cam_layer is None or not methods:
            tap, logits = None, classifier.logits(classifier.network(inputs))
        else:
            tap, logits = tapped(classifier, inputs)
        _check(classifier, logits, names)
        inferred = time.perf_counter()
        probabilities = logits.detach().float().softmax(dim=1)
        targets = two_targets(probabilities, labels)
        maps = {} if tap is None else cam_maps(classifier, tap, logits, methods, targets)
        embeddings = head.embeddings(logits) if tap is None else head.embeddings(logits, tap.grid)
    finished = time.perf_counter()
    return Scored(
        probabilities.cpu().numpy(),
        None if embeddings is None else embeddings.clamp(-65504, 65504).half().cpu().numpy(),
        {name: values.cpu().numpy() for name, values in maps.items()},
        inferred - started,
        finished - started,
    )


def cam_maps(
    classifier: Classifier, tap: CamTap, logits: Tensor, methods: Sequence[str], targets: Tensor
) -> dict[str, Tensor]:
    """Raw maps of every method: float32 (N, T, h, w). ``targets`` (N, 2): predicted and alternative."""
    classes = classifier.labels.names
    activation = tap.grid.float()
    n, _, height, width = activation.shape
    maps = {name: activation.new_zeros(n, len(targets_of(name, classes)), height, width) for name in methods}
    whole = [name for name in methods if targets_of(name, classes) == classes]
    paired = [name for name in methods if name not in whole]
    columns = [torch.full((n,), k, device=targets.device) for k in range(len(classes))] if whole else targets.unbind(1)
    waiting: list[Tensor] = []
    pair: Tensor | None = None
    for k, column in enumerate(columns):
        chosen = torch.zeros_like(logits).scatter_(1, column[:, None], 1.0)
        gradient = tap.gradient(logits, chosen).float().unsqueeze(1)
        waiting.append(gradient)
        if paired:
            pair = gradient.new_zeros(n, len(TWO_TARGETS), *gradient.shape[2:]) if pair is None else pair
            wanted = targets == column[:, None]
            pair[wanted] = gradient.expand_as(pair)[wanted]
        # Gradients of a pooled head are small enough to be kept for all classes and used in one go.
        if not cam.is_pooled(gradient) or k + 1 == len(columns):
            for name in whole:
                maps[name][:, k + 1 - len(waiting) : k + 1] = CAMS[name](activation, torch.cat(waiting, dim=1))
            waiting = []
    return maps | {name: CAMS[name](activation, pair) for name in paired if pair is not None}


CAMS: dict[str, CamFunction] = {name: getattr(cam, METHODS[name].function.partition(":")[2]) for name in STORED}


def two_targets(probabilities: Tensor, labels: np.ndarray | None) -> Tensor:
    """int64 (N, 2): the predicted class; the label, or the runner-up where that was predicted or is not known."""
    best = probabilities.topk(2, dim=1).indices
    predicted = probabilities.argmax(dim=1)
    runner_up = torch.where(best[:, 0] == predicted, best[:, 1], best[:, 0])
    if labels is None:
        return torch.stack([predicted, runner_up], dim=1)
    label = torch.as_tensor(labels, dtype=torch.int64, device=probabilities.device)
    return torch.stack([predicted, torch.where((label < 0) | (label == predicted), runner_up, label)], dim=1)


class _HeadTap:
    """Remembers what the linear layer that ran last was given."""

    def __init__(self) -> None:
        self.layer: nn.Linear | None = None
        self.inputs: Tensor | None = None

    def __call__(self, layer: nn.Linear, args: tuple[Tensor, ...]) -> None:
        self.layer, self.inputs = layer, args[0] if args else None

    def embeddings(self, logits: Tensor, grid: Tensor | None = None) -> Tensor | None:
        """float32 (N, D), or None; a linear layer counts only if it gave the scores."""
        wide = self.layer is not None and self.layer.out_features in (1, logits.shape[1])
        if wide and self.inputs is not None and self.inputs.ndim == 2 and len(self.inputs) == len(logits):
            return self.inputs.detach().float()
        return None if grid is None else grid.float().mean(dim=(2, 3))


@contextmanager
def _head(network: nn.Module) -> Iterator[_HeadTap]:
    tap = _HeadTap()
    layers = [module for module in network.modules() if isinstance(module, nn.Linear)]
    handles = [layer.register_forward_pre_hook(tap) for layer in layers]
    try:
        yield tap
    finally:
        for handle in handles:
            handle.remove()


def _check(classifier: Classifier, logits: Tensor, names: Sequence[str] | None) -> None:
    """Raises InputError unless the logits are finite and of one column for each class."""
    if logits.ndim != 2 or logits.shape[1] != len(classifier.labels):
        raise InputError(
            f"The model gives outputs of shape {tuple(logits.shape)} for {len(logits)} images, and one for each of the "
            f"{len(classifier.labels)} classes {', '.join(classifier.labels)} was expected; name them with --classes."
        )
    bad = torch.nonzero(~torch.isfinite(logits.detach()).all(dim=1))[:, 0].tolist()
    if bad:
        first = names[bad[0]] if names is not None else f"number {bad[0]} of the batch"
        raise InputError(
            f"The model gives NaN or infinite outputs for {len(bad)} of {len(logits)} images, the first being {first}; "
            "finite numbers were expected: check the weights and the value range of --input."
        )
