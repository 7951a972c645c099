"""The same network looking at every picture the other way round: a second opinion that no training is needed for."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from models.classifier import Classifier


class Mirrored(nn.Module):
    """``network`` on its input (N, C, H, W), or (N, H, W, C) with ``width`` 2, turned left to right."""

    def __init__(self, network: nn.Module, width: int) -> None:
        super().__init__()
        self.network, self.width = network, width

    def forward(self, inputs: Tensor) -> Tensor:
        return self.network(inputs.flip(self.width))


def mirrored_view(classifier: Classifier) -> Classifier:
    """The classifier as it sees mirrored pictures, without maps."""
    width = 2 if classifier.preprocessing.layout == "NHWC" else 3
    network = Mirrored(classifier.network, width).eval()
    return replace(classifier, network=network, name=f"{classifier.name}, mirrored", cam_layer=None)
