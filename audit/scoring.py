"""The one pass over a batch: probabilities, embeddings and saliency together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node

from audit.saliency import cam
from audit.saliency.registry import METHODS, STORED, TWO_TARGETS, targets_of
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
    inputs = classifier.preprocessing.tensor(pixels).to(_device(classifier.network))
    with torch.no_grad(), evaluating(classifier.network), _head(classifier.network) as head:
        if classifier.cam_layer is None or not methods:
            tap, logits = None, classifier.logits(classifier.network(inputs))
        else:
            tap, logits = _tapped(classifier, inputs)
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


@dataclass
class CamTap:
    """A forward hook that cuts the graph at a layer: the tail after it is recorded, nothing before it.

    The layer's output becomes the leaf ``activation``; a clone goes on, because tails may work in place.
    """

    name: str
    reshape: str
    activation: Tensor | None = None
    cut: Node | None = None

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Tensor:
        if not isinstance(output, Tensor):
            raise InputError(
                f"The CAM layer {self.name!r} returns a {type(output).__name__}, and a tensor was expected; "
                "name another layer with --cam-layer."
            )
        if self.activation is not None:
            raise InputError(
                f"The CAM layer {self.name!r} is called more than once in a forward pass, so its activation is not "
                "one map; name a layer that is called once with --cam-layer."
            )
        self.activation = output.detach().requires_grad_()
        torch.set_grad_enabled(True)
        passed = self.activation.clone()
        self.cut = passed.grad_fn
        return passed

    @property
    def grid(self) -> Tensor:
        """The activation as (N, C, h, w)."""
        assert self.activation is not None
        return to_grid(self.activation.detach(), self.reshape, self.name)

    def gradient(self, logits: Tensor, target: Tensor) -> Tensor:
        """Gradient of each sample's logit ``target`` (N,) with respect to the activation, as (N, C, h, w).

        (N, C, 1, 1) where the activation goes into a global average pooling and nothing else: the gradient is then
        the same at every place, and need not be spread out.
        """
        assert self.activation is not None and self.cut is not None
        chosen = torch.zeros_like(logits).scatter_(1, target[:, None], 1.0)
        pooled = None if self.reshape != "nchw" else pooled_at(logits, self.cut)
        try:
            (gradient,) = torch.autograd.grad(
                logits, pooled or self.activation, chosen, retain_graph=True, allow_unused=True
            )
        except RuntimeError as error:
            raise InputError(
                f"No gradient can be taken from the output back to the CAM layer {self.name!r} "
                f"({str(error).splitlines()[0]}); name a later layer with --cam-layer."
            ) from error
        if pooled is not None:
            return gradient.reshape(*gradient.shape[:2], 1, 1) / self.activation[0, 0].numel()
        if gradient is None:
            raise InputError(f"The CAM layer {self.name!r} has no part in the output; name another with --cam-layer.")
        return to_grid(gradient, self.reshape, self.name)


def _tapped(classifier: Classifier, inputs: Tensor) -> tuple[CamTap, Tensor]:
    """The forward pass with the graph cut at the CAM layer; gradients are on when it returns, for the tail's sake."""
    name = str(classifier.cam_layer)
    layers = dict(classifier.network.named_modules())
    if name not in layers:
        raise InputError(f"The CAM layer {name!r} is no layer of the model; name one of its layers with --cam-layer.")
    tap = CamTap(name, classifier.reshape)
    handle = layers[name].register_forward_hook(tap)
    try:
        logits = classifier.logits(classifier.network(inputs))
    finally:
        handle.remove()
    if tap.activation is None:
        raise InputError(f"The CAM layer {name!r} is not called in a forward pass; name another with --cam-layer.")
    if not logits.requires_grad:
        raise InputError(f"The CAM layer {name!r} lets no gradient through to the output; name a later one.")
    return tap, logits


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
        gradient = tap.gradient(logits, column).float().unsqueeze(1)
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


def pooled_at(logits: Tensor, cut: Node) -> GradientEdge | None:
    """The mean over places that alone takes the activation (N, C, h, w) cut at ``cut``, as an edge of the graph."""
    assert logits.grad_fn is not None
    takers: list[Node] = []
    seen, todo = {logits.grad_fn}, [logits.grad_fn]
    while todo:
        node = todo.pop()
        for after, _ in node.next_functions:
            if after is cut:
                takers.append(node)
            elif after is not None and after not in seen:
                seen.add(after)
                todo.append(after)
    if len(takers) != 1 or takers[0].name() != "MeanBackward1":
        return None
    dims: tuple[int, ...] = takers[0]._saved_dim  # type: ignore[attr-defined]  # a MeanBackward1 keeps them
    return GradientEdge(takers[0], 0) if {dim % 4 for dim in dims} == {2, 3} else None


def two_targets(probabilities: Tensor, labels: np.ndarray | None) -> Tensor:
    """int64 (N, 2): the predicted class; the label, or the runner-up where that was predicted or is not known."""
    best = probabilities.topk(2, dim=1).indices
    predicted = probabilities.argmax(dim=1)
    runner_up = torch.where(best[:, 0] == predicted, best[:, 1], best[:, 0])
    if labels is None:
        return torch.stack([predicted, runner_up], dim=1)
    label = torch.as_tensor(labels, dtype=torch.int64, device=probabilities.device)
    return torch.stack([predicted, torch.where((label < 0) | (label == predicted), runner_up, label)], dim=1)


def to_grid(values: Tensor, reshape: str, name: str) -> Tensor:
    """A layer's output as (N, C, h, w), by the classifier's ``reshape``. Raises InputError where it does not fit."""
    kind, _, numbers = reshape.partition(":")
    if kind == "tokens" and values.ndim == 3:
        height, width, skip = (int(number) for number in numbers.split(","))
        if values.shape[1] == skip + height * width:
            return values[:, skip:].transpose(1, 2).reshape(len(values), -1, height, width)
    elif values.ndim == 4 and kind in ("nchw", "nhwc"):
        return values if kind == "nchw" else values.permute(0, 3, 1, 2)
    raise InputError(
        f"The CAM layer {name!r} gives an activation of shape {tuple(values.shape)}, which {reshape!r} does not make "
        "into a map; name a layer that keeps places apart with --cam-layer."
    )


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


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode for the time being; every module's own mode is put back, whatever it was."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            if module.training != training:
                module.training = training


def _device(network: nn.Module) -> torch.device:
    first = next(network.parameters(), None)
    return torch.device("cpu") if first is None else first.device


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
