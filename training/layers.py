"""The layers of a network in order, for freezing and for rates that fall towards the input."""

from __future__ import annotations

from collections import defaultdict

from torch import nn


def layers(network: nn.Module) -> list[list[nn.Parameter]]:
    """Trainable weights in groups from input to head: the weights of one module that holds some directly are one."""
    found: dict[str, list[nn.Parameter]] = defaultdict(list)
    for name, weight in network.named_parameters():
        found[name.rpartition(".")[0]].append(weight)
    return list(found.values())


def freeze(network: nn.Module, share: float) -> list[nn.Module]:
    """Fix the first ``share`` of the layers (1: all but the last); returns the modules to keep in evaluation mode.

    Fixed normalisation layers must not follow the batches either.
    """
    groups = layers(network)
    for group in groups[: min(len(groups) - 1, round(share * (len(groups) - 1)))]:
        for weight in group:
            weight.requires_grad_(False)
    return [
        module
        for module in network.modules()
        if (own := list(module.parameters(recurse=False))) and not any(weight.requires_grad for weight in own)
    ]


def rate_groups(network: nn.Module, rate: float, input_rate: float, weight_decay: float) -> list[dict[str, object]]:
    """Optimiser groups with and without decay (biases, normalisation); ``initial_lr`` is each one's highest rate.

    The head learns at ``rate``, the first layer at ``input_rate`` times that, those between geometrically.
    """
    stack = layers(network)
    fall = input_rate ** (1 / max(1, len(stack) - 1))
    groups: dict[tuple[float, bool], list[nn.Parameter]] = defaultdict(list)
    for depth, weights in enumerate(reversed(stack)):
        for weight in weights:
            if weight.requires_grad:
                groups[rate * fall**depth, weight.ndim > 1].append(weight)
    return [
        {"params": weights, "lr": own, "initial_lr": own, "weight_decay": weight_decay * wide}
        for (own, wide), weights in groups.items()
    ]
