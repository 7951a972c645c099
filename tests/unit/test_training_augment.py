"""Augmentation: shapes, ranges, and what switched off leaves alone."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.augment import Augmentation, mixed

share = st.floats(0, 0.5)


@settings(max_examples=25, deadline=None)
@given(
    st.builds(
        Augmentation,
        flip=share,
        shift=share,
        rotate=st.floats(0, 45),
        scale=share,
        brightness=share,
        contrast=share,
        erase=share,
    ),
    st.sampled_from([None, 16, 24]),
    st.sampled_from([1, 3]),
)
def test_any_augmentation_gives_pixels_of_the_size_asked_for(
    augmentation: Augmentation, size: int | None, channels: int
) -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (3, channels, 20, 20), dtype=torch.uint8)
    changed = augmentation(images, size)
    assert changed.shape == (3, channels, size or 20, size or 20)
    assert changed.dtype == torch.float32
    assert float(changed.min()) >= 0 and float(changed.max()) <= 255


def test_switched_off_nothing_changes() -> None:
    images = torch.randint(0, 256, (4, 1, 12, 12), dtype=torch.uint8)
    assert torch.equal(Augmentation(flip=0)(images), images.float())


@pytest.mark.parametrize("shift", [0.0, 1e-9])
def test_a_certain_flip_mirrors_every_image_on_both_paths(shift: float) -> None:
    images = torch.randint(0, 256, (4, 1, 12, 12), dtype=torch.uint8)
    assert torch.allclose(Augmentation(flip=1, shift=shift)(images), images.float().flip(-1), atol=1e-2)


def test_rotation_turns_by_at_most_its_angle() -> None:
    torch.manual_seed(1)
    image = torch.zeros(64, 1, 41, 41, dtype=torch.uint8)
    image[:, :, 0:41, 20] = 255
    turned = Augmentation(flip=0, rotate=10)(image)
    columns = torch.arange(41.0)
    top = (turned[:, 0, 2] * columns).sum(1) / turned[:, 0, 2].sum(1)
    assert float((top - 20).abs().max()) <= 18 * torch.tensor(torch.pi / 18).tan() + 0.5
    assert float((top - 20).abs().max()) > 1


def test_brightness_and_contrast_are_drawn_per_image() -> None:
    torch.manual_seed(0)
    images = torch.full((200, 1, 4, 4), 128, dtype=torch.uint8)
    means = Augmentation(flip=0, brightness=0.1)(images).mean(dim=(1, 2, 3))
    assert float((means - 128).abs().max()) <= 25.6
    assert float(means.std()) > 5


def test_erasing_covers_at_most_its_area_with_the_mean() -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 2, (50, 1, 40, 40), dtype=torch.uint8) * 255
    erased = Augmentation(flip=0, erase=1, erase_area=0.25)(images)
    gone = (erased != images).float().mean(dim=(1, 2, 3))
    assert 0 < float(gone.max()) < 0.32


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)])
def test_mixing_keeps_targets_probabilities_and_blends_them_as_the_pixels(mixup: float, cutmix: float) -> None:
    torch.manual_seed(0)
    for _ in range(20):
        values = torch.eye(2)[torch.tensor([0, 1, 0, 1])]
        pixels = values[:, 1].reshape(4, 1, 1, 1).expand(4, 1, 10, 10).clone()
        blended, targets = mixed(pixels, values, mixup, cutmix)
        assert torch.allclose(targets.sum(dim=1), torch.ones(4))
        assert torch.allclose(blended.mean(dim=(1, 2, 3)), targets[:, 1], atol=1e-5)


def test_mixing_switched_off_gives_the_same_tensors() -> None:
    pixels, targets = torch.rand(2, 1, 3, 3), torch.eye(2)
    assert mixed(pixels, targets, 0, 0) == (pixels, targets)
