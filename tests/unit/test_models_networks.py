"""Our own networks and the catalogue: shapes, sizes, names."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from faces.errors import InputError
from models import catalogue
from models.camlayer import candidates, find_cam_layer
from models.networks import fused, members, mirrored, put_back, shared_out, turned, zoomed


@pytest.mark.parametrize("name", catalogue.OWN)
@pytest.mark.parametrize("channels", [1, 3])
def test_own_networks_give_logits_from_a_map_of_at_least_six_by_six(name: str, channels: int) -> None:
    network = catalogue.build(name, 5, channels).eval()
    images = torch.zeros(2, channels, 48, 48)
    with torch.no_grad():
        assert network(images).shape == (2, 5)
    last = candidates(network, images)[-1]
    assert min(last.height, last.width) >= 6


@pytest.mark.parametrize("name", catalogue.OWN)
def test_own_networks_are_as_small_as_their_checkpoints_must_be(name: str) -> None:
    """At two bytes a weight: 6 MB, and 25 MB for the one that is large."""
    most = 12_500_000 if name == "large" else 3_000_000
    assert sum(weight.numel() for weight in catalogue.build(name, 7).parameters()) < most


def test_a_timm_name_is_built_with_the_classes_and_channels_asked_for() -> None:
    network = catalogue.build("resnet18", 4, 1).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 64, 64)).shape == (1, 4)


def test_weights_under_other_names_are_taken_in_order(tmp_path: Path) -> None:
    """As published ports of VGGFace name them; the head for its 2,622 people is left out."""
    torch.manual_seed(0)
    given = list(catalogue.build("tiny", 2622, 3).state_dict().values())
    save_file(
        {f"layer_{place:03d}": value.clone() for place, value in enumerate(given)}, tmp_path / "faces.safetensors"
    )
    found = catalogue.build("tiny", 3, 3, str(tmp_path / "faces.safetensors")).state_dict()
    assert all(torch.equal(one, other) for one, other in zip(found.values(), given, strict=True) if one.ndim > 2)
    with pytest.raises(InputError, match="at least half were expected"):
        catalogue.build("separable", 3, 3, str(tmp_path / "faces.safetensors"))


def test_an_unknown_name_answers_with_near_ones() -> None:
    with pytest.raises(InputError, match=r"'resnet81' is neither ours nor timm's; did you mean resnet18"):
        catalogue.build("resnet81", 7)


def test_timm_publishes_nothing_for_our_own() -> None:
    with pytest.raises(InputError, match="no weights for the network 'tiny'"):
        catalogue.build("tiny", 7, pretrained="timm")


def test_pretrained_weights_from_a_file_keep_a_new_head(tmp_path: Path) -> None:
    source = catalogue.build("tiny", 7)
    save_file({f"module.{name}": value for name, value in source.state_dict().items()}, tmp_path / "w.safetensors")
    network = catalogue.build("tiny", 4, pretrained=str(tmp_path / "w.safetensors"))
    first = "features.0.0.weight"
    assert torch.equal(network.state_dict()[first], source.state_dict()[first])
    assert network.classify.out_features == 4


def test_pretrained_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(3)}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="at least half were expected"):
        catalogue.build("tiny", 7, pretrained=str(tmp_path / "w.safetensors"))
    with pytest.raises(InputError, match="are not there"):
        catalogue.build("tiny", 7, pretrained=str(tmp_path / "none.safetensors"))


def test_the_listing_names_every_own_network() -> None:
    lines = list(catalogue.listing())
    assert all(any(line.startswith(name) for line in lines) for name in catalogue.OWN)


def test_a_fused_network_answers_the_mean_of_its_members_logits() -> None:
    members = [catalogue.OWN["tiny"](3, 1).eval() for _ in range(3)]
    images = torch.rand(4, 1, 48, 48)
    network = fused(members).eval()
    with torch.no_grad():
        expected = torch.stack([member(images) for member in members]).mean(dim=0)
        assert torch.allclose(network(images), expected, atol=1e-5)
        assert network.features(images).shape == (4, 3 * 64, 6, 6)
    assert find_cam_layer(network, images) == ("features", "nchw")
    assert catalogue.build("tiny", 3, members=3).state_dict().keys() == network.state_dict().keys()


def test_a_mirrored_network_answers_both_views_alike_and_maps_them_back() -> None:
    torch.manual_seed(0)
    plain = catalogue.build("tiny", 3).eval()
    network = mirrored(plain)
    images = torch.rand(4, 1, 48, 48)
    with torch.no_grad():
        assert torch.allclose(network(images), (plain(images) + plain(images.flip(-1))) / 2, atol=1e-5)
        assert torch.allclose(network(images), network(images.flip(-1)), atol=1e-5)
        assert torch.allclose(network.features(images.flip(-1)), network.features(images).flip(-1), atol=1e-5)
    assert find_cam_layer(network, images) == ("features", "nchw")
    assert catalogue.build("tiny", 3, mirrored=True).state_dict().keys() == network.state_dict().keys()


def test_turning_is_what_opencv_does() -> None:
    image = torch.rand(1, 2, 21, 33)
    turn = cv2.getRotationMatrix2D((16, 10), 9, 1)
    expected = cv2.warpAffine(image[0].permute(1, 2, 0).numpy(), turn, (33, 21), borderMode=cv2.BORDER_REPLICATE)
    found = turned(image, 9)[0].permute(1, 2, 0).numpy()
    assert np.abs(found - expected)[3:-3, 3:-3].max() < 0.05  # OpenCV rounds places to 1/32 of a pixel
    square = torch.rand(2, 1, 6, 6)
    assert torch.allclose(turned(square, 90), square.rot90(1, (2, 3)), atol=1e-5)


def test_a_tilted_network_answers_the_mean_of_six_views() -> None:
    torch.manual_seed(0)
    plain = catalogue.build("tiny", 3).eval()
    network = mirrored(plain, tilted=9)
    images = torch.rand(3, 1, 48, 48)
    with torch.no_grad():
        maps = []
        for angle in (0, 9, -9):
            view = turned(images, angle)
            both = plain.features(view) + plain.features(view.flip(-1)).flip(-1)
            maps.append(turned(both / 2, -angle))
        expected = torch.stack(maps).mean(dim=0)
        assert torch.allclose(network.features(images), expected, atol=1e-5)
        assert torch.allclose(network(images), plain.classify(expected.mean(dim=(2, 3))), atol=1e-5)
        assert torch.allclose(network(images[:1]), network(images)[:1], atol=1e-5)
        assert torch.allclose(network(images.flip(-1)), network(images), atol=1e-5)
    assert find_cam_layer(network, images) == ("features", "nchw")


def test_zooming_is_what_opencv_does() -> None:
    image = torch.rand(1, 2, 21, 33)
    zoom = cv2.getRotationMatrix2D((16, 10), 0, 1.2)
    expected = cv2.warpAffine(image[0].permute(1, 2, 0).numpy(), zoom, (33, 21))
    assert np.abs(zoomed(image, 1.2)[0].permute(1, 2, 0).numpy() - expected).max() < 0.05
    assert torch.allclose(zoomed(image, 1.0), image, atol=1e-5)


@given(st.integers(1, 9), st.integers(1, 9), st.floats(1, 2))
def test_maps_of_a_zoomed_image_are_put_back_without_loss(height: int, width: int, zoom: float) -> None:
    """In the middle, with the same mean, and nothing around."""
    maps = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    found = put_back(maps, zoom)
    assert found.shape == maps.shape
    assert torch.allclose(found.mean(dim=(2, 3)), maps.mean(dim=(2, 3)), atol=1e-5)
    fine = torch.nn.functional.interpolate(maps, scale_factor=8)
    assert torch.allclose(put_back(maps, 1.0), maps, atol=1e-5)
    assert torch.allclose(put_back(fine, 2.0)[:, :, : 2 * height], torch.zeros(2, 3, 2 * height, 8 * width), atol=1e-5)


def test_a_network_that_looks_closer_answers_the_mean_of_eight_views() -> None:
    torch.manual_seed(0)
    plain = catalogue.build("tiny", 3).eval()
    network = mirrored(plain, tilted=9, closer=1.2)
    images = torch.rand(3, 1, 48, 48)
    with torch.no_grad():
        six, close = mirrored(plain, tilted=9)(images), mirrored(plain)(zoomed(images, 1.2))
        assert torch.allclose(network(images), (3 * six + close) / 4, atol=1e-5)
        assert torch.allclose(network(images[:1]), network(images)[:1], atol=1e-5)
        assert torch.allclose(network(images.flip(-1)), network(images), atol=1e-5)
    assert find_cam_layer(network, images) == ("features", "nchw")
    built = catalogue.build("tiny", 3, mirrored=True, tilted=9, closer=1.2)
    built.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.allclose(built.eval()(images), network(images), atol=1e-6)


@pytest.mark.parametrize("names", [["tiny"], ["tiny", "separable", "tiny"]])
@pytest.mark.parametrize("tilted", [None, 0.0, 9.0])
def test_members_are_what_fused_joined(names: list[str], tilted: float | None) -> None:
    torch.manual_seed(0)
    parts = [catalogue.build(name, 3).eval() for name in names]
    whole = fused(parts) if len(parts) > 1 else parts[0]
    found = members(whole if tilted is None else mirrored(whole, tilted))
    assert [one.features for one in found] == [one.features for one in parts]
    images = torch.rand(2, 1, 48, 48)
    with torch.no_grad():
        assert torch.allclose(fused(found)(images), fused(parts)(images), atol=1e-5)


@pytest.mark.parametrize(("old", "new"), [(5, 12), (4, 12), (6, 12), (5, 6), (12, 5)])
@torch.no_grad()
def test_maps_are_shared_out_by_area(old: int, new: int) -> None:
    maps = torch.randn(2, 3, old, old + 1, generator=torch.Generator().manual_seed(0))
    found = shared_out(maps, new, new)
    fine = torch.nn.functional.interpolate(maps, (old * new, (old + 1) * new))
    torch.testing.assert_close(found, torch.nn.functional.avg_pool2d(fine, (old, old + 1)), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found.mean(dim=(2, 3)), maps.mean(dim=(2, 3)), rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_maps_of_sides_with_no_small_common_multiple_stay_small() -> None:
    parts = [
        catalogue.pooled(name, 3, 1, size=48).eval() for name in ("tiny", "mobilenetv2_050@112", "mobilenetv2_050@160")
    ]
    images = torch.randn(2, 1, 48, 48, generator=torch.Generator().manual_seed(0))
    whole = fused(parts).eval()
    assert [part.features(images).shape[2] for part in parts] == [6, 4, 5]
    assert whole.features(images).shape[2:] == (12, 12)
    expected = torch.stack([part(images) for part in parts]).mean(dim=0)
    torch.testing.assert_close(whole(images), expected, rtol=1e-4, atol=1e-5)


def test_only_networks_with_a_pooled_linear_head_are_fused() -> None:
    assert catalogue.build("test_resnet", 3, members=2).classify.out_features == 3
    with pytest.raises(InputError, match="'test_convnext' can be neither fused, mirrored nor enlarged"):
        catalogue.build("test_convnext", 3, members=2)


@pytest.mark.parametrize("name", ["tiny", "test_efficientnet"])
def test_an_enlarged_network_sees_the_images_at_that_side(name: str) -> None:
    torch.manual_seed(0)
    plain = catalogue.pooled(name, 3, 1).eval()
    network = catalogue.build(f"{name}@96", 3, 1, size=48).eval()
    network.features.features.load_state_dict(plain.features.state_dict())
    network.classify.load_state_dict(plain.classify.state_dict())
    images = torch.rand(2, 1, 48, 48)
    large = [cv2.resize(image[0].numpy(), (96, 96), interpolation=cv2.INTER_LINEAR) for image in images]
    with torch.no_grad():
        expected = plain(torch.from_numpy(np.stack(large))[:, None])
        assert torch.allclose(network(images), expected, atol=1e-4)
    assert find_cam_layer(network, images)[1] == "nchw"
    both = catalogue.build("tiny", 3, 1, size=48, mirrored=True, beside=[f"{name}@96"]).eval()
    assert both(images).shape == (2, 3) and both.features(images).shape[2] % 6 == 0


@pytest.mark.parametrize("side", ["", "large", "8", "1024", "96@96"])
def test_a_side_that_is_none_is_told(side: str) -> None:
    with pytest.raises(InputError, match=f"says '{side}' where the side of enlarged images was expected, 16 to 512"):
        catalogue.build(f"resnet18@{side}", 3)


def test_what_is_enlarged_must_be_known_and_pooled() -> None:
    with pytest.raises(InputError, match=r"'resnet81' is neither ours nor timm's; did you mean resnet18"):
        catalogue.build("resnet81@96", 3)
    with pytest.raises(InputError, match="'test_convnext' can be neither fused, mirrored nor enlarged"):
        catalogue.build("test_convnext@96", 3)


def test_filters_of_colour_images_serve_grey_ones(tmp_path: Path) -> None:
    """Under their own names and under others', as the published EfficientNet-Lite0 has them."""
    torch.manual_seed(0)
    colour = catalogue.build("test_efficientnet", 7, 3).eval()
    images = torch.rand(2, 1, 64, 64)
    state = colour.state_dict()
    save_file(state, tmp_path / "own.safetensors")
    save_file({f"t{place:03d}": value for place, value in enumerate(state.values())}, tmp_path / "other.safetensors")
    for file in ("own", "other"):
        grey = catalogue.build("test_efficientnet", 7, 1, str(tmp_path / f"{file}.safetensors")).eval()
        with torch.no_grad():
            assert torch.allclose(grey(images), colour(images.expand(-1, 3, -1, -1)), atol=1e-5)


def test_transformers_are_built_for_the_size_of_the_images() -> None:
    network = catalogue.build("vit_tiny_patch16_224", 3, 1, size=64).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 1, 64, 64)).shape == (1, 3)
    with pytest.raises(InputError, match="timm could not build the network 'vit_tiny_patch16_224' .* and 64 pixels"):
        catalogue.build("vit_tiny_patch16_224", 3, 0, size=64)


def test_unlike_networks_are_fused_to_the_mean_of_their_logits() -> None:
    torch.manual_seed(0)
    images = torch.rand(3, 3, 64, 64)
    members = [catalogue.pooled(name, 4, 3, 64).eval() for name in ("tiny", "test_resnet", "separable")]
    whole = fused(members).eval()
    with torch.no_grad():
        maps = [member.features(images) for member in members]
        assert len({one.shape[2:] for one in maps}) > 1
        expected = torch.stack([member(images) for member in members]).mean(dim=0)
        assert torch.allclose(whole(images), expected, atol=1e-5)
        assert whole.features(images).shape[1] == sum(one.shape[1] for one in maps)
