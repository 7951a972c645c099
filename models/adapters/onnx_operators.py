"""What onnx2torch lacks: operators as torch modules, and weights that are one where several nodes share them."""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from onnx2torch.onnx_graph import OnnxGraph
    from onnx2torch.onnx_node import OnnxNode
    from onnx2torch.utils.common import OperationConverterResult

VERSIONS = (16, 20, 22)
"""Of the operator set, in which GridSample is defined anew."""
MODES = {"linear": "bilinear", "cubic": "bicubic"}
"""Names since version 20, and torch's."""


class GridSample(nn.Module):
    """Images (N, C, h, w) read at the places of a grid (N, h', w', 2), -1 to 1 across and down."""

    def __init__(self, mode: str, padding_mode: str, align_corners: bool) -> None:
        super().__init__()
        self.mode, self.padding_mode, self.align_corners = MODES.get(mode, mode), padding_mode, align_corners

    def forward(self, x: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        return nn.functional.grid_sample(x, grid, self.mode, self.padding_mode, self.align_corners)


@cache
def register() -> None:
    """Tell onnx2torch of the operators, those apart that a newer release knows."""
    from onnx2torch.node_converters import registry

    for version in VERSIONS:
        try:
            registry.get_converter("GridSample", version)
        except NotImplementedError:
            registry.add_converter("GridSample", version)(_grid_sample)


def _grid_sample(node: OnnxNode, graph: OnnxGraph) -> OperationConverterResult:
    from onnx2torch.utils.common import OperationConverterResult, onnx_mapping_from_node

    told = node.attributes
    module = GridSample(
        told.get("mode", "linear"), told.get("padding_mode", "zeros"), bool(told.get("align_corners", 0))
    )
    return OperationConverterResult(torch_module=module, onnx_mapping=onnx_mapping_from_node(node))


def share_weights(network: nn.Module) -> None:
    """Make weights that are equal, number by number, one parameter again: onnx2torch gives every node its own.

    Those of one value throughout, such as biases of 0, may be equal by chance and stay apart.
    """
    found: dict[tuple[torch.Size, bytes], nn.Parameter] = {}
    for module in network.modules():
        for name, value in list(module.named_parameters(recurse=False)):
            if value.numel() and bool((value != value.flatten()[0]).any()):
                key = value.shape, hashlib.sha256(value.detach().numpy().tobytes()).digest()
                setattr(module, name, found.setdefault(key, value))
