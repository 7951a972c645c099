"""Every method of the registry: equal to its reference on five networks, and true to the laws of maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from audit.saliency.on_demand import explain_pixels, target_weights
from audit.saliency.registry import METHODS, MINUS, ON_DEMAND, STORED, available
from audit.saliency.rise import random_masks
from audit.scoring import score
from faces.errors import InputError
from tests.audit_networks import CLASSIFIERS, SEVEN, made, pictures
from tests.reference.saliency_references import reference
from tests.unit.test_engine_scoring import state_of


@pytest.mark.parametrize("network", [name for name in CLASSIFIERS if name != "resnet18"])
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.filterwarnings("ignore:Setting backward hooks on ReLU")
def test_equals_its_reference(name: str, network: str) -> None:
    classifier = made(network)
    pixels, targets = pictures(classifier, 2), [3, 5]
    ours = explain_pixels(classifier, pixels, name, [SEVEN.names[target] for target in targets], seed=4)
    classifier.network.in_place = False  # libraries read activations that such a tail has overwritten
    theirs = reference(classifier, pixels, name, targets, seed=4)
    assert ours.shape == theirs.shape and ours.dtype == np.float32
    assert np.abs(theirs).max() > 0 or name == "guided_gradcam"
    assert (np.abs(ours - theirs) <= 1e-4 * np.abs(theirs).max(axis=(1, 2), keepdims=True)).all()


@pytest.mark.parametrize("name", METHODS)
def test_the_network_and_the_random_state_are_left_as_they_were(name: str) -> None:
    classifier = made("tiny")
    classifier.network.train()
    before = state_of(classifier.network)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    explain_pixels(classifier, pictures(classifier, 1), name, ["sad"])
    assert torch.equal(torch.rand(1), expected)
    assert state_of(classifier.network) == before
    assert torch.is_grad_enabled()
    assert not any(module._backward_hooks for module in classifier.network.modules())


@pytest.mark.parametrize("name", METHODS)
def test_equal_seeds_give_equal_maps_and_other_images_do_not_matter(name: str) -> None:
    classifier = made("tiny")
    pixels = pictures(classifier, 3)
    once = explain_pixels(classifier, pixels, name, ["sad"] * 3, seed=2)
    assert np.array_equal(once, explain_pixels(classifier, pixels, name, ["sad"] * 3, seed=2))
    if name not in ("smoothgrad", "gradientshap"):  # these draw noise for the whole batch
        alone = explain_pixels(classifier, pixels[1:2], name, ["sad"], seed=2)
        assert np.allclose(alone[0], once[1], atol=2e-3 * np.abs(once[1]).max())


@pytest.mark.parametrize(
    "name", ["gradcam", "xgradcam", "hirescam", "integrated_gradients", "smoothgrad", "occlusion", "rise"]
)
def test_a_contrast_is_the_difference_of_two_maps(name: str) -> None:
    classifier = made("tiny")
    pixels = pictures(classifier, 1)
    a, b, contrast = (
        explain_pixels(classifier, pixels, name, [target]) for target in ("sad", "neutral", f"sad{MINUS}neutral")
    )
    assert np.allclose(contrast, a - b, atol=1e-4 * max(np.abs(a).max(), np.abs(b).max()))


def test_integrated_gradients_add_up_to_the_score_that_black_lacks() -> None:
    classifier = made("tiny")
    pixels = pictures(classifier, 2)
    found = explain_pixels(classifier, pixels, "integrated_gradients", ["happy", "sad"])
    with torch.no_grad():
        scores, without = (
            classifier.network(classifier.preprocessing.tensor(images)).numpy() for images in (pixels, 0 * pixels)
        )
    for row, target in enumerate((3, 4)):
        gap = scores[row, target] - without[row, target]
        assert found[row].sum() == pytest.approx(gap, rel=0.1, abs=0.02)


def test_stored_methods_on_demand_equal_the_pass() -> None:
    classifier = made("transformer")
    pixels = pictures(classifier, 2)
    scored = score(classifier, pixels, STORED)
    for name in ("gradcam", "xgradcam", "hirescam"):
        assert np.allclose(explain_pixels(classifier, pixels, name, ["sad"] * 2), scored.maps[name][:, 4], atol=1e-6)


def test_a_black_box_is_explained_by_its_outputs_alone() -> None:
    classifier = replace(made("tiny"), cam_layer=None)
    assert available(False) == ("integrated_gradients", "smoothgrad", "gradientshap", "occlusion", "rise")
    with pytest.raises(InputError, match=r"Grad-CAM needs a layer .*use one of integrated_gradients"):
        explain_pixels(classifier, pictures(classifier, 1), "gradcam", ["sad"])
    assert explain_pixels(classifier, pictures(classifier, 1), "rise", ["sad"]).any()


def test_a_model_that_gives_no_gradient_says_what_does_without() -> None:
    class Opaque(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(x.detach().numpy().mean(axis=(1, 2, 3))[:, None] * np.arange(7, dtype=np.float32))

    classifier = replace(made("tiny"), cam_layer=None, network=Opaque())
    with pytest.raises(InputError, match=r"Integrated Gradients cannot be computed .* occlusion and rise"):
        explain_pixels(classifier, pictures(classifier, 1), "integrated_gradients", ["sad"])
    for name in ("occlusion", "rise"):
        assert explain_pixels(classifier, pictures(classifier, 1), name, ["sad"]).any()


def test_targets_are_classes_or_two_of_them() -> None:
    assert target_weights("joy", SEVEN).tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert target_weights("fear-minus-surprise", SEVEN).tolist() == [0, 0, 1, 0, 0, -1, 0]
    with pytest.raises(InputError, match="'bored' is not one of angry"):
        target_weights("sad-minus-bored", SEVEN)


def test_masks_lie_between_0_and_1_and_keep_half() -> None:
    masks = random_masks(48, 40, 300, seed=0)
    assert masks.shape == (300, 48, 40) and masks.min() >= 0 and masks.max() <= 1
    assert masks.mean() == pytest.approx(0.5, abs=0.02)


def test_what_is_stored_and_what_is_not_is_everything() -> None:
    assert {*STORED, *ON_DEMAND} == set(METHODS)
