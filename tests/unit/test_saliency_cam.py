"""Maps from the one pass against the grad-cam library, and their laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from audit.saliency import cam
from audit.saliency.registry import METHODS, STORED, TWO_TARGETS, method, targets_of
from audit.scoring import CAMS, score
from faces.errors import InputError
from tests.audit_networks import CLASSIFIERS, SEVEN, made, pictures
from tests.reference.gradcam_raw import raw_maps

LINEAR = tuple(name for name in STORED if METHODS[name].linear)


@pytest.mark.parametrize("network", CLASSIFIERS)
@pytest.mark.parametrize("name", STORED)
def test_equals_grad_cam_before_its_relu(name: str, network: str) -> None:
    classifier = made(network)
    pixels = pictures(classifier)
    scored = score(classifier, pixels, (name,))
    classifier.network.in_place = False  # the library reads activations that such a tail has overwritten
    for position, target in enumerate(targets_of(name, SEVEN.names)):
        order = np.argsort(-scored.probabilities, axis=1)
        chosen = order[:, TWO_TARGETS.index(target)] if target in TWO_TARGETS else np.full(len(pixels), position)
        expected = raw_maps(classifier, pixels, name, chosen.tolist())
        largest = np.abs(expected).max(axis=(1, 2), keepdims=True)
        assert (np.abs(scored.maps[name][:, position] - expected) <= 1e-4 * largest).all()


def gradients(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    activation, first, second = torch.randn(3, 2, 5, 4, 3, generator=random).unbind()
    return activation.relu(), first.unsqueeze(1), second.unsqueeze(1)


@given(st.integers(0, 10_000), st.floats(-3, 3), st.sampled_from(LINEAR))
def test_linear_methods_are_linear_in_the_target(seed: int, factor: float, name: str) -> None:
    activation, first, second = gradients(seed)
    together = CAMS[name](activation, first - factor * second)
    apart = CAMS[name](activation, first) - factor * CAMS[name](activation, second)
    assert torch.allclose(together, apart, atol=1e-4)


@given(st.integers(0, 10_000), st.sampled_from(STORED))
def test_a_gradient_that_is_the_same_everywhere_need_not_be_spread_out(seed: int, name: str) -> None:
    activation, first, _ = gradients(seed)
    pooled = first[..., :1, :1]
    spread = pooled.expand_as(first).contiguous()
    assert torch.allclose(CAMS[name](activation, pooled), CAMS[name](activation, spread), atol=1e-5)


@given(st.integers(0, 10_000))
def test_layercam_and_gradcam_plusplus_are_never_negative_on_rectified_activations(seed: int) -> None:
    activation, first, _ = gradients(seed)
    assert (cam.layercam(activation, first) >= 0).all()


def test_hirescam_sums_to_the_logit_without_its_bias_in_a_linear_head() -> None:
    classifier = made("tiny")
    pixels = pictures(classifier)
    scored = score(classifier, pixels, ("hirescam",))
    with torch.no_grad():
        logits = classifier.network(classifier.preprocessing.tensor(pixels)) - classifier.network.classify.bias
    assert np.allclose(scored.maps["hirescam"].sum(axis=(2, 3)), logits.numpy(), atol=1e-4)


def test_every_stored_method_has_its_function_and_every_method_a_source() -> None:
    assert set(CAMS) == set(STORED)
    assert all(found.source and found.title for found in METHODS.values())


def test_an_unknown_method_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"'grad-cam' is not one of gradcam, xgradcam"):
        method("grad-cam")
