"""Cutting a network at its CAM layer: the activation there, and gradients from the output back to it alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, Node

from faces.errors import InputError
from models.classifier import Classifier


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

    def gradient(self, logits: Tensor, weights: Tensor) -> Tensor:
        """Gradient, with respect to the activation, of each sample's logits weighted by ``weights`` (N, K).

        (N, C, h, w), or (N, C, 1, 1) where the activation goes into a global average pooling and nothing else: the
        gradient is then the same at every place, and need not be spread out.
        """
        assert self.activation is not None and self.cut is not None
        pooled = None if self.reshape != "nchw" else pooled_at(logits, self.cut)
        try:
            (gradient,) = torch.autograd.grad(
                logits, pooled or self.activation, weights, retain_graph=True, allow_unused=True
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


def tapped(classifier: Classifier, inputs: Tensor) -> tuple[CamTap, Tensor]:
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


def taken(classifier: Classifier, pixels: np.ndarray) -> Tensor:
    """Inputs of uint8 (N, height, width, C) where the network is, in the memory order in which it runs fastest."""
    return laid_out(classifier, classifier.preprocessing.tensor(pixels).to(device_of(classifier.network)))


def laid_out(classifier: Classifier, inputs: Tensor) -> Tensor:
    """What the network takes, in the memory order in which it runs fastest."""
    return inputs.to(memory_format=torch.channels_last) if bears_channels_last(classifier) else inputs


_bearing: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def bears_channels_last(classifier: Classifier) -> bool:
    """Whether a network gives the same for inputs whose channels lie innermost in memory, as convolutions like them.

    One that reinterprets memory (``x.view(n, -1)`` of a map) does not. Found out once for each network, on noise, so
    that the answer depends on no data.
    """
    network, size = classifier.network, classifier.preprocessing
    if size.layout == "NHWC":
        return False
    if network not in _bearing:
        noise = np.random.default_rng(0).integers(0, 256, (2, size.height, size.width, size.channels), dtype=np.uint8)
        example = size.tensor(noise).to(device_of(network))
        with torch.no_grad(), evaluating(network):
            plain = network(example)
            try:
                other = network(example.to(memory_format=torch.channels_last))
                _bearing[network] = bool(torch.allclose(plain, other, rtol=1e-3, atol=1e-4))
            except (RuntimeError, TypeError, ValueError):
                _bearing[network] = False
    return _bearing[network]


def device_of(network: nn.Module) -> torch.device:
    first = next(network.parameters(), None)
    return torch.device("cpu") if first is None else first.device
