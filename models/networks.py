"""Our own compact networks for small grey faces: a pooled head over a map of at least 6x6 at 48x48 pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn


def convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and batch normalisation, same padding: (N, inputs, h, w) to (N, outputs, h/stride, w/stride)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)
    )


class Gate(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018): each channel is scaled by 0..1 from the pooled channels."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = max(8, channels // reduction)
        self.weights = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, hidden, 1),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weights(x)


class Residual(nn.Module):
    """Two 3x3 convolutions and a gate around the identity (He et al. 2016): (N, C, h, w) to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            convolution(channels, channels), nn.ReLU(), convolution(channels, channels), Gate(channels)
        )
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(x + self.body(x))


class Inverted(nn.Module):
    """Widen, filter each channel alone, narrow (Sandler et al. 2018): (N, C, h, w) to (N, outputs, h/stride, ...)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int = 4) -> None:
        super().__init__()
        wide = inputs * expansion
        self.body = nn.Sequential(
            convolution(inputs, wide, 1),
            nn.ReLU6(),
            convolution(wide, wide, 3, stride, groups=wide),
            nn.ReLU6(),
            Gate(wide),
            convolution(wide, outputs, 1),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x) if self.shortcut else self.body(x)


class Pooled(nn.Module):
    """``features`` (N, C, h, w), averaged over positions, then dropout and a linear layer to (N, classes)."""

    def __init__(self, features: nn.Module, channels: int, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.features = features
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classify(self.dropout(self.pool(self.features(x))))


class Beside(nn.Module):
    """Several feature networks on the same image, their ``channels`` side by side: (N, C1 + C2 + ..., h, w).

    Maps of unlike sizes are brought to the smallest one that all of them divide, at most twice the largest: a place is
    shared out by the area that it covers, which leaves the means over places as they are.
    """

    def __init__(self, members: Sequence[nn.Module], channels: Sequence[int]) -> None:
        super().__init__()
        self.members, self.channels = nn.ModuleList(members), list(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [member(x) for member in self.members]
        sides = [[one.shape[axis] for one in maps] for axis in (2, 3)]
        height, width = (min(math.lcm(*side), 2 * max(side)) for side in sides)
        return torch.cat([shared_out(one, height, width) for one in maps], dim=1)


def shared_out(maps: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Maps (N, C, h, w) at another size, by area: each new place is the mean of what it covers of the old ones."""
    if height % maps.shape[2] == 0 and width % maps.shape[3] == 0:
        return nn.functional.interpolate(maps, (height, width))
    down, across = (_cover(old, new).to(maps) for old, new in ((maps.shape[2], height), (maps.shape[3], width)))
    return down @ maps @ across.T


def _cover(old: int, new: int) -> torch.Tensor:
    """(new, old): the share of each of ``new`` places on a line that lies on each of the ``old``; rows sum to 1."""
    start, place = torch.arange(new)[:, None] * old / new, torch.arange(old)[None]
    lain = torch.minimum(start + old / new, place + 1) - torch.maximum(start, place)
    return lain.clamp(min=0) * new / old


def fused(members: Sequence[Pooled]) -> Pooled:
    """An ensemble as one network, whose logits are the mean of the members' logits; members may be unlike.

    Its map lies before the pooling as in any Pooled, so that a class activation map speaks for all members.
    """
    channels = [member.classify.in_features for member in members]
    network = Pooled(
        Beside([member.features for member in members], channels),
        sum(channels),
        members[0].classify.out_features,
        members[0].dropout.p,
    )
    with torch.no_grad():
        weights = [member.classify.weight for member in members]
        network.classify.weight.copy_(torch.cat(weights, dim=1) / len(members))
        network.classify.bias.copy_(torch.stack([member.classify.bias for member in members]).mean(dim=0))
    return network


def members(network: Pooled) -> list[Pooled]:
    """The networks that one is made of, as ``fused`` takes them, none mirrored; ``[network]`` where it is one alone."""
    features = network.features.both if isinstance(network.features, Mirrored) else network.features
    classify = network.classify
    found, channels = [features], [classify.in_features]
    if isinstance(features, Beside):
        found, channels = list(features.members), features.channels
    alone = []
    for one, weight in zip(found, classify.weight.detach().split(channels, dim=1), strict=True):
        part = Pooled(one, weight.shape[1], classify.out_features, network.dropout.p)
        part.classify.load_state_dict({"weight": weight * len(found), "bias": classify.bias.detach()})
        alone.append(part.train(network.training))
    return alone


def as_pooled(network: nn.Module, example: torch.Tensor) -> Pooled | None:
    """A timm network whose head is the mean over places and one linear layer as a Pooled; None for any other.

    ``example`` is an input batch by which the two are compared. The weights are shared, not copied.
    """
    head = getattr(network, "get_classifier", lambda: None)()
    if isinstance(network, Pooled) or not isinstance(head, nn.Linear):
        return network if isinstance(network, Pooled) else None
    training, kept = network.training, head.weight.detach().clone()
    with torch.no_grad():
        head.weight.normal_()  # as drawn, many heads give next to nothing, which tells nothing apart
        expected = network.eval()(example)
        network.reset_classifier(0, "")  # type: ignore[operator]
        whole = Pooled(network, head.in_features, head.out_features)
        whole.classify = head
        shape = network(example).shape
        fits = len(shape) == 4 and shape[1] == head.in_features
        found = whole.eval()(example) if fits else torch.zeros_like(expected)
        alike = torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
        head.weight.copy_(kept)
    return whole.train(training) if alike else None


class Enlarged(nn.Module):
    """Images (N, C, h, w) brought to ``side`` pixels either way, bilinear, before ``features`` see them."""

    def __init__(self, features: nn.Module, side: int) -> None:
        super().__init__()
        self.features, self.side = features, side

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = (self.side, self.side)
        return self.features(nn.functional.interpolate(x, size, mode="bilinear", align_corners=False))


def enlarged(network: Pooled, side: int) -> Pooled:
    """The same network looking at every image enlarged to ``side`` pixels."""
    return _with_features(network, Enlarged(network.features, side))


def _with_features(network: Pooled, features: nn.Module) -> Pooled:
    """``network`` with other features, of as many channels, before its own head."""
    whole = Pooled(features, network.classify.in_features, network.classify.out_features)
    whole.dropout, whole.classify = network.dropout, network.classify
    return whole.train(network.training)


def turned(x: torch.Tensor, degrees: float) -> torch.Tensor:
    """Images or maps (N, C, h, w) turned about their middle, bilinear; what comes in at the edge repeats the edge."""
    height, width = x.shape[-2:]
    down, across = ((2 * torch.arange(n, dtype=x.dtype, device=x.device) + 1 - n) / 2 for n in (height, width))
    down, across = torch.meshgrid(down, across, indexing="ij")
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    places = ((cosine * across - sine * down) * 2 / width, (sine * across + cosine * down) * 2 / height)
    grid = torch.stack(places, dim=-1).expand(x.shape[0], height, width, 2)  # an exporter takes len(x) for constant
    return nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


def zoomed(x: torch.Tensor, zoom: float) -> torch.Tensor:
    """The middle of images (N, C, h, w), ``zoom`` times as large, at the same size, bilinear."""
    height, width = x.shape[-2:]
    down, across = ((2 * torch.arange(n, dtype=x.dtype, device=x.device) + 1 - n) / (n * zoom) for n in (height, width))
    down, across = torch.meshgrid(down, across, indexing="ij")
    grid = torch.stack((across, down), dim=-1).expand(x.shape[0], height, width, 2)
    return nn.functional.grid_sample(x, grid, align_corners=False)


def put_back(maps: torch.Tensor, zoom: float) -> torch.Tensor:
    """Maps (N, C, h, w) of zoomed images where they lie in the whole image, nothing around; means over places stay."""
    height, width = maps.shape[-2:]
    down, across = (_within(side, zoom).to(maps) for side in (height, width))
    return zoom**2 * (down @ maps @ across.T)


def _within(side: int, zoom: float) -> torch.Tensor:
    """(side, side): the share of each place on a line that each place of its zoomed middle covers."""
    place = torch.arange(side)
    start = side / 2 + (place - side / 2) / zoom
    lain = torch.minimum(start + 1 / zoom, place[:, None] + 1) - torch.maximum(start, place[:, None])
    return lain.clamp(min=0)


class Mirrored(nn.Module):
    """Features of the image and of its mirror image, turned back and averaged: (N, C, h, w) as the features give.

    With ``tilted`` above 0, the same of the image turned by so many degrees to either side, with ``closer`` above 1 the
    same of its middle so many times as large. With a pooled linear head the logits are about the mean of all views',
    and a class activation map speaks for all.
    """

    def __init__(self, features: nn.Module, tilted: float = 0.0, closer: float = 1.0) -> None:
        super().__init__()
        self.both, self.angles, self.closer = features, (tilted, -tilted) if tilted else (), closer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        levels = [x, *(turned(x, angle) for angle in self.angles)]
        levels += [zoomed(x, self.closer)] if self.closer > 1 else []
        views = [view for level in levels for view in (level, level.flip(-1))]
        if len(x) == 1 and not self.training:  # a live picture: one call takes a third less than several
            maps = list(self.both(torch.cat(views)).split(1))
        else:
            maps = [self.both(view) for view in views]
        level, *others = [(one + other.flip(-1)) / 2 for one, other in zip(maps[::2], maps[1::2], strict=True)]
        for index, one in enumerate(others):
            tilted = index < len(self.angles)
            level = level + (turned(one, -self.angles[index]) if tilted else put_back(one, self.closer))
        return level / (1 + len(others)) if others else level


def mirrored(network: Pooled, tilted: float = 0.0, closer: float = 1.0) -> Pooled:
    """The same network looking at every image both ways round, ``tilted`` degrees to either side, and at its middle
    ``closer`` times as large; takes twice as long, six or eight times."""
    return _with_features(network, Mirrored(network.features, tilted, closer))


def residual_net(
    classes: int, channels: int, widths: Sequence[int], blocks: Sequence[int], dropout: float = 0.0
) -> Pooled:
    """A residual network that halves its map at the stem and between stages; (N, channels, 48, 48) ends at 6x6."""
    narrow = widths[0] // 2
    layers: list[nn.Module] = [convolution(channels, narrow), nn.ReLU()]
    before = narrow
    for width, count in zip(widths, blocks, strict=True):
        layers += [convolution(before, width, stride=2), nn.ReLU(), *(Residual(width) for _ in range(count))]
        before = width
    return Pooled(nn.Sequential(*layers), before, classes, dropout)


def compact(classes: int, channels: int) -> Pooled:
    """The shipped network: 1.8 million weights, 0.1 billion multiplications an image, 6x6 map at 48x48."""
    return residual_net(classes, channels, (32, 80, 192), (1, 2, 2), dropout=0.2)


def large(classes: int, channels: int) -> Pooled:
    """For accuracy: 4.4 million weights, 0.2 billion multiplications an image, 6x6 map at 48x48."""
    return residual_net(classes, channels, (32, 96, 256), (1, 3, 3), dropout=0.3)


def tiny(classes: int, channels: int) -> Pooled:
    """For tests and the demonstration: 0.1 million weights, 6x6 map at 48x48."""
    return residual_net(classes, channels, (16, 32, 64), (1, 1, 1))


def separable(classes: int, channels: int) -> Pooled:
    """For slow machines: depthwise-separable, 0.5 million weights, 6x6 map at 48x48."""
    plan = ((24, 1, 2), (48, 2, 3), (96, 2, 4))
    layers: list[nn.Module] = [convolution(channels, 24, 3, 2), nn.ReLU6()]
    before = 24
    for width, first_stride, count in plan:
        for index in range(count):
            layers.append(Inverted(before, width, first_stride if index == 0 else 1))
            before = width
    layers += [convolution(before, 2 * before, 1), nn.ReLU6()]
    return Pooled(nn.Sequential(*layers), 2 * before, classes, dropout=0.1)
