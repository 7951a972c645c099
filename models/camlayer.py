"""Which layer a class activation map reads: the last one whose output still has positions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import torch
from torch import nn

from faces.errors import InputError

SMALLEST = 2
"""Height and width that a map must have at least: a 1x1 output has no positions left."""
LISTED = 6
"""So many layers are offered where the one asked for cannot be read."""
CHANNELS_FIRST = (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d)
"""Layers whose outputs are (N, C, h, w) whatever the network takes."""
LOOSE = 0.25
"""How far a map's proportions may be from the input's (borders cut off by convolutions), relative to its height."""


@dataclass(frozen=True)
class Candidate:
    """One layer that a map could be read from: its name, how to reshape it, and the map's height and width."""

    name: str
    reshape: str
    height: int
    width: int
    channels: int

    def __str__(self) -> str:
        return f"{self.name} ({self.height}x{self.width})"


def candidates(network: nn.Module, example: torch.Tensor) -> tuple[Candidate, ...]:
    """Every layer with positions in its output, in the order in which the layers finish.

    ``example`` is one input batch as the network takes it. A layer that runs more than once, or returns no single
    tensor, is left out. Mode, gradients and hooks are left as they were found.
    """
    batch = len(example)
    outputs: dict[str, torch.Tensor | None] = {}
    calls: dict[str, int] = {}

    def remember(name: str, output: object) -> None:
        calls[name] = calls.get(name, 0) + 1
        outputs.pop(name, None)
        outputs[name] = output if isinstance(output, torch.Tensor) else None

    with _probing(network, remember), torch.no_grad():
        network(example)
    found = []
    first = _channels_first(network, outputs)
    for name, output in outputs.items():
        if output is None or calls[name] > 1 or output.shape[:1] != (batch,):
            continue
        shape = _tokens(output, network) if output.ndim == 3 else _positions(output, example, output.shape in first)
        if shape is not None and min(shape[1:3]) >= SMALLEST:
            found.append(Candidate(name, *shape))
    return tuple(found)


def find_cam_layer(network: nn.Module, example: torch.Tensor) -> tuple[str, str]:
    """Name and reshape (``nchw``, ``nhwc`` or ``tokens:H,W,SKIP``) of the last layer with positions.

    Where one map is the output of several nested layers, the outermost is named; of a transformer's layers only
    those as wide as its tokens count (not queries and keys, for one). Raises InputError where no layer
    has any.
    """
    for candidate in telling(network, example, candidates(network, example)):
        return candidate.name, candidate.reshape
    raise InputError(
        "The network has no layer whose output keeps positions (at least 2x2) and moves the result, so no class "
        "activation map can be read; audit it without gradient maps, or name a layer with --cam-layer."
    )


def named_layer(network: nn.Module, example: torch.Tensor, name: str) -> tuple[str, str]:
    """Name and reshape of the layer a person asked for. Raises InputError listing the layers that would do."""
    found = candidates(network, example)
    named = next((candidate for candidate in found if candidate.name == name), None)
    if named is not None and _reaches_output(network, example, named):
        return named.name, named.reshape
    if named is not None:
        problem = f"({named.height}x{named.width}) gives zero gradients, so its maps would be empty"
    elif name in dict(network.named_modules()):
        problem = "gives no single map that is used once"
    else:
        problem = "is not in the network"
    others = [str(candidate) for candidate in islice(telling(network, example, found), LISTED)]
    raise InputError(
        f"The CAM layer {name!r} {problem}; layers that can be read, the best first, are: "
        f"{', '.join(others) or 'none'}: pass one of them with --cam-layer."
    )


def telling(network: nn.Module, example: torch.Tensor, found: Sequence[Candidate]) -> Iterator[Candidate]:
    """The candidates whose positions move the output, the last and best first, without a transformer's inner layers."""
    for candidate in reversed(found):
        inner = candidate.reshape.startswith("tokens") and candidate.channels != found[-1].channels
        if not inner and _reaches_output(network, example, candidate):
            yield candidate


def _channels_first(network: nn.Module, outputs: Mapping[str, torch.Tensor | None]) -> set[torch.Size]:
    """Shapes in which layers that are known to put channels first gave their outputs."""
    return {
        output.shape
        for name, output in outputs.items()
        if output is not None and isinstance(network.get_submodule(name), CHANNELS_FIRST)
    }


def _positions(output: torch.Tensor, example: torch.Tensor, first: bool) -> tuple[str, int, int, int] | None:
    """(reshape, height, width, channels) of an output, or None where it has no positions.

    Where both readings fit, an output with ``first``, the shape of one that puts channels first, does so too; of others
    of a network that takes channels last, the reading closer to the input's proportions counts.
    """
    if output.ndim != 4:
        return None
    nhwc_input = example.shape[-1] in (1, 3) and example.shape[1] not in (1, 3)
    size = example.shape[1:3] if nhwc_input else example.shape[2:4]
    _, a, b, c = output.shape
    last_fits, first_fits = _like(a, b, size), _like(b, c, size)
    if last_fits and first_fits:
        last_fits = nhwc_input and not first and _off(a, b, size) <= _off(b, c, size)
    if last_fits:
        return "nhwc", a, b, c
    return ("nchw", b, c, a) if first_fits else None


def _like(height: int, width: int, size: Sequence[int]) -> bool:
    """Whether a map of that height and width keeps the proportions of an input of ``size``, and is not larger."""
    return height <= size[0] and width <= size[1] and _off(height, width, size) <= max(1, LOOSE * height)


def _off(height: int, width: int, size: Sequence[int]) -> float:
    """By how many rows a map of that width misses the proportions of an input of ``size``."""
    return abs(height - width * size[0] / size[1])


def _tokens(output: torch.Tensor, network: nn.Module) -> tuple[str, int, int, int] | None:
    """Tokens (N, T, C) as a grid after the leading class or register tokens, as the network declares or a square."""
    count, channels = output.shape[1:]
    declared = getattr(network, "num_prefix_tokens", None)
    grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
    for skip in (declared,) if isinstance(declared, int) else (0, 1, 2, 5):
        side = math.isqrt(max(0, count - skip))
        height, width = grid if grid is not None else (side, side)
        if height * width == count - skip and height:
            return f"tokens:{height},{width},{skip}", height, width, channels
    return None


def _reaches_output(network: nn.Module, example: torch.Tensor, candidate: Candidate) -> bool:
    """Whether the layer's positions move the output at all: after the last block of a transformer that answers from

    its class token, no other token does.
    """
    leaf: list[torch.Tensor] = []

    def cut(_module: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        leaf.append(output.detach().requires_grad_())
        return leaf[0].clone()

    handle = network.get_submodule(candidate.name).register_forward_hook(cut)
    try:
        with _modes_kept(network), torch.enable_grad():
            score = network(example)
            if not score.requires_grad:  # its forward runs under no_grad or inference_mode
                return False
            weights = torch.linspace(1.0, 2.0, score.numel()).reshape(score.shape)
            (gradient,) = torch.autograd.grad((score * weights).sum(), leaf[0], allow_unused=True)
    finally:
        handle.remove()
    if gradient is None:
        return False
    skip = int(candidate.reshape.rsplit(",", 1)[1]) if candidate.reshape.startswith("tokens") else 0
    return bool((gradient[:, skip:] != 0).any())


@contextmanager
def _modes_kept(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside; each module's own mode again outside."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _probing(network: nn.Module, remember: Callable[[str, object], None]) -> Iterator[None]:
    """Hooks on every named layer, gone again outside."""
    handles = [
        module.register_forward_hook(lambda _m, _i, output, name=name: remember(name, output))
        for name, module in network.named_modules()
        if name
    ]
    try:
        with _modes_kept(network):
            yield
    finally:
        for handle in handles:
            handle.remove()
