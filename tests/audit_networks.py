"""Small networks of every shape that the one pass must cope with, and classifiers around them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import timm
import torch
from torch import Tensor, nn

from faces.emotions import PUBLISHED_ORDERS, LabelSet
from models.camlayer import find_cam_layer
from models.catalogue import build
from models.classifier import Classifier, Preprocessing

SEVEN = LabelSet(PUBLISHED_ORDERS["FER-2013"])


class InPlaceTail(nn.Module):
    """The tail overwrites the activation it is given (``in_place``), flattens it, and ends in two linear layers."""

    in_place = True

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 6, 3, stride=4, padding=1), nn.BatchNorm2d(6))
        self.hidden = nn.Linear(6 * 12 * 12, 16)
        self.classify = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x.mul_(0.5).relu_() if self.in_place else (0.5 * x).relu()
        return self.classify(torch.tanh(self.hidden(x.flatten(1))))


class ChannelsLast(nn.Module):
    """The CAM layer's activation is (N, h, w, C)."""

    def __init__(self, classes: int = 7) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 5, stride=8, padding=2)
        self.mix = nn.Linear(8, 8)
        self.classify = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mix(self.stem(x).permute(0, 2, 3, 1))
        return self.classify((x * torch.sigmoid(x)).mean(dim=(1, 2)))


class Twice(nn.Module):
    """One convolution that is used twice, and one that returns a pair."""

    def __init__(self) -> None:
        super().__init__()
        self.again = nn.Conv2d(1, 1, 3, stride=2, padding=1)
        self.pair = Pair()
        self.unused = nn.Conv2d(1, 1, 1)
        self.classify = nn.Linear(1, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.pair(self.again(self.again(x)))[0].mean(dim=(2, 3)))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        return x, None


class Endings(nn.Module):
    """Features, then an ending that turns seven logits into something else."""

    def __init__(self, ending: Callable[[Tensor], Tensor], outputs: int = 7) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 5, 3, stride=8), nn.ReLU())
        self.classify = nn.Linear(5, outputs)
        self.ending = ending

    def forward(self, x: Tensor) -> Tensor:
        return self.ending(self.classify(self.features(x).mean(dim=(2, 3))))


def classifier(network: nn.Module, size: int = 48, channels: int = 1, layer: str | None = None, **more) -> Classifier:
    """A classifier of the seven emotions; the CAM layer is looked for unless it is named (``-`` for none)."""
    preprocessing = Preprocessing(size, size, channels)
    if layer is None:
        layer, reshape = find_cam_layer(network, torch.rand(2, channels, size, size))
        more["reshape"] = reshape
    settings = {"labels": SEVEN, **more}
    return Classifier(network, preprocessing=preprocessing, cam_layer=None if layer == "-" else layer, **settings)


def tiny() -> Classifier:
    return classifier(build("tiny", 7, 1))


def resnet() -> Classifier:
    return classifier(timm.create_model("resnet18", num_classes=7), 64, 3)


def in_place() -> Classifier:
    return classifier(InPlaceTail(), layer="stem")


def channels_last() -> Classifier:
    return classifier(ChannelsLast(), layer="mix", reshape="nhwc")


def transformer() -> Classifier:
    network = timm.create_model("vit_tiny_patch16_224", num_classes=7, img_size=64, depth=3)
    return classifier(network, 64, 3)


CLASSIFIERS: dict[str, Callable[[], Classifier]] = {
    "tiny": tiny,
    "resnet18": resnet,
    "in place, flattened": in_place,
    "channels last": channels_last,
    "transformer": transformer,
}


def made(name: str, seed: int = 0) -> Classifier:
    """One of CLASSIFIERS with seeded weights, its batch normalisations as if trained a little."""
    torch.manual_seed(seed)
    found = CLASSIFIERS[name]()
    for module in found.network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.3)
    found.network.eval()
    return found


def pictures(found: Classifier, n: int = 6, seed: int = 0) -> np.ndarray:
    """uint8 (n, height, width, channels) of noise, as the classifier takes it."""
    shape = (n, found.preprocessing.height, found.preprocessing.width, found.preprocessing.channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
