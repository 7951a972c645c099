"""Finding the layer a class activation map reads."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from faces.errors import InputError
from models import catalogue
from models.camlayer import candidates, find_cam_layer, named_layer


class ChannelsLast(nn.Module):
    """Takes and passes on (N, h, w, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(1, 5, 3, 2, 1)
        self.classify = nn.Linear(5, 3)
        self.mix = nn.Linear(5, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classify(self.mix(self.inner(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)).mean(dim=(1, 2)))


class Twice(nn.Module):
    """Calls one layer twice, and another once before it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, 1, 1)
        self.again = nn.Conv2d(4, 4, 3, 1, 1)
        self.classify = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classify(self.again(self.again(self.first(x))).mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("name", "side", "expected"),
    [
        ("compact", 48, ("features", "nchw", 6)),
        ("resnet18", 112, ("layer4", "nchw", 4)),
        ("mobilenetv2_100", 112, ("bn2", "nchw", 4)),
        ("vgg11", 64, ("features", "nchw", 2)),
        ("swin_tiny_patch4_window7_224", 224, ("norm", "nhwc", 7)),
    ],
)
def test_the_last_layer_with_positions_is_found(name: str, side: int, expected: tuple[str, str, int]) -> None:
    channels = 1 if name == "compact" else 3
    network, example = catalogue.build(name, 7, channels), torch.rand(1, channels, side, side)
    assert find_cam_layer(network, example) == expected[:2]
    found = {candidate.name: candidate for candidate in candidates(network, example)}
    assert found[expected[0]].height == expected[2]


def test_a_transformer_that_answers_from_its_class_token_is_read_before_its_last_attention() -> None:
    network, example = catalogue.build("vit_tiny_patch16_224", 7, 3), torch.rand(1, 3, 224, 224)
    name, reshape = find_cam_layer(network, example)
    assert (name, reshape) == ("blocks.11.norm1", "tokens:14,14,1")
    better = r"the best first, are: blocks\.11\.norm1 \(14x14\), blocks\.10"
    with pytest.raises(InputError, match=r"'norm' \(14x14\) gives zero gradients, .*" + better):
        named_layer(network, example, "norm")
    with pytest.raises(InputError, match=r"'blocks\.12' is not in the network; .*" + better):
        named_layer(network, example, "blocks.12")


def test_channels_last_is_told_from_the_input() -> None:
    assert find_cam_layer(ChannelsLast(), torch.rand(2, 12, 12, 1)) == ("mix", "nhwc")


def test_a_layer_that_runs_twice_is_no_candidate_and_is_refused_by_name() -> None:
    network, example = Twice(), torch.rand(2, 1, 8, 8)
    assert find_cam_layer(network, example) == ("first", "nchw")
    with pytest.raises(InputError, match=r"'again' gives no single map that is used once; .*first \(8x8\)"):
        named_layer(network, example, "again")
    with pytest.raises(InputError, match="'nowhere' is not in the network"):
        named_layer(network, example, "nowhere")
    assert named_layer(network, example, "first") == ("first", "nchw")


def test_a_network_without_positions_is_refused() -> None:
    with pytest.raises(InputError, match="no layer whose output keeps positions"):
        find_cam_layer(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), torch.rand(2, 1, 8, 8))


def test_mode_hooks_and_gradients_are_left_as_they_were() -> None:
    network = catalogue.build("tiny", 7)
    network.train()
    network.features[3].eval()
    network.classify.weight.requires_grad_(False)
    modes = [module.training for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    find_cam_layer(network, torch.rand(2, 1, 48, 48))
    assert [module.training for module in network.modules()] == modes
    assert not any(module._forward_hooks for module in network.modules())
    assert all(weight.grad is None for weight in network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
