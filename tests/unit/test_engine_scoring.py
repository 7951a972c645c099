"""The one pass: what it gives, what it refuses, and that it leaves the network as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from audit.saliency.registry import STORED, TWO_TARGETS
from audit.saliency.tap import bears_channels_last, taken
from audit.scoring import score
from faces.emotions import LabelSet
from faces.errors import InputError
from tests.audit_networks import CLASSIFIERS, Endings, Twice, classifier, made, pictures, tiny


@pytest.mark.parametrize("network", CLASSIFIERS)
def test_probabilities_are_those_of_a_plain_forward_pass(network: str) -> None:
    found = made(network)
    pixels = pictures(found)
    scored = score(found, pixels, STORED)
    with torch.no_grad():
        plain = found.network(found.preprocessing.tensor(pixels)).softmax(dim=1).numpy()
    assert scored.probabilities.dtype == np.float32
    assert np.allclose(scored.probabilities, plain, atol=1e-6)
    assert np.allclose(scored.probabilities.sum(axis=1), 1, atol=1e-6)
    assert 0 < scored.inference_s < scored.pass_s


@pytest.mark.parametrize("network", CLASSIFIERS)
@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was_found(network: str, training: bool) -> None:
    found = made(network)
    found.network.train(training)
    mixed = list(found.network.modules())[-1]
    mixed.train(not training)
    first = next(found.network.parameters())
    first.requires_grad_(False)
    first.grad = torch.ones_like(first)
    before = state_of(found.network)
    score(found, pictures(found), STORED)
    assert state_of(found.network) == before
    assert torch.equal(first.grad, torch.ones_like(first))
    assert torch.is_grad_enabled()


def state_of(network: nn.Module) -> list:
    modules = [
        (name, module.training, len(module._forward_hooks), len(module._forward_pre_hooks))
        for name, module in network.named_modules()
    ]
    values = [
        (name, value.requires_grad, value.grad is None, value._version, float(value.detach().double().sum()))
        for name, value in [*network.named_parameters(), *network.named_buffers()]
    ]
    return [modules, values]


def test_it_is_left_as_it_was_found_after_an_error_too() -> None:
    found = classifier(Twice(), layer="again")
    found.network.train()
    before = state_of(found.network)
    with pytest.raises(InputError):
        score(found, pictures(found))
    assert state_of(found.network) == before
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("layer", "reshape", "sentence"),
    [
        ("again", "nchw", r"'again' is called more than once"),
        ("pair", "nchw", r"'pair' returns a tuple"),
        ("unused", "nchw", r"'unused' is not called"),
        ("missing", "nchw", r"'missing' is no layer"),
        ("classify", "nchw", r"'classify' gives an activation of shape \(6, 7\)"),
    ],
)
def test_a_layer_that_gives_no_map_is_refused_by_name(layer: str, reshape: str, sentence: str) -> None:
    found = classifier(Twice(), layer=layer, reshape=reshape)
    with pytest.raises(InputError, match=sentence):
        score(found, pictures(found))


def test_a_layer_that_has_no_part_in_the_output_is_refused() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.aside, self.main = nn.Conv2d(1, 1, 3), nn.Linear(48 * 48, 7)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.aside(x)
            return self.main(x.flatten(1))

    found = classifier(Aside(), layer="aside")
    with pytest.raises(InputError, match=r"'aside' has no part in the output"):
        score(found, pictures(found))


def test_tokens_that_do_not_fill_the_grid_are_refused() -> None:
    found = made("transformer")
    wrong = classifier(found.network, 64, 3, layer="blocks.2.norm1", reshape="tokens:5,5,1")
    with pytest.raises(InputError, match=r"\(6, 17, 192\)"):
        score(wrong, pictures(wrong))


def test_a_final_softmax_gives_the_probabilities_it_made() -> None:
    torch.manual_seed(0)
    found = classifier(Endings(lambda logits: logits.softmax(dim=1)), layer="features", output="probabilities")
    pixels = pictures(found)
    scored = score(found, pixels)
    with torch.no_grad():
        plain = found.network(found.preprocessing.tensor(pixels)).numpy()
    assert np.allclose(scored.probabilities, plain, atol=1e-6)
    assert scored.maps["gradcam"].any()


def test_one_sigmoid_becomes_two_classes() -> None:
    torch.manual_seed(0)
    network = Endings(torch.sigmoid, outputs=1)
    found = classifier(network, layer="features", output="sigmoid", labels=LabelSet(("sad", "happy")))
    pixels = pictures(found)
    scored = score(found, pixels)
    with torch.no_grad():
        plain = network(found.preprocessing.tensor(pixels)).numpy()[:, 0]
    assert np.allclose(scored.probabilities[:, 1], plain, atol=1e-6)
    assert scored.maps["gradcam"].shape[:2] == (len(pixels), 2)


def test_without_a_cam_layer_there_are_no_maps() -> None:
    found = classifier(tiny().network, layer="-")
    scored = score(found, pictures(found), STORED)
    assert scored.maps == {}
    assert scored.embeddings is not None and scored.embeddings.shape == (6, 64)


def test_embeddings_are_what_the_last_linear_layer_takes() -> None:
    found = made("in place, flattened")
    pixels = pictures(found)
    network = found.network
    with torch.no_grad():
        flat = torch.relu(0.5 * network.stem(found.preprocessing.tensor(pixels))).flatten(1)
        expected = torch.tanh(network.hidden(flat)).numpy()
    scored = score(found, pixels)
    assert scored.embeddings is not None and scored.embeddings.dtype == np.float16
    assert np.allclose(scored.embeddings, expected, atol=2e-3)


def test_embeddings_are_the_pooled_activation_where_no_linear_layer_gives_the_scores() -> None:
    class Convolutional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features, self.scores = nn.Conv2d(1, 5, 3, stride=8), nn.Conv2d(5, 7, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scores(self.features(x)).mean(dim=(2, 3))

    torch.manual_seed(0)
    found = classifier(Convolutional(), layer="features")
    pixels = pictures(found)
    with torch.no_grad():
        expected = found.network.features(found.preprocessing.tensor(pixels)).mean(dim=(2, 3)).numpy()
    scored = score(found, pixels)
    assert np.allclose(scored.embeddings, expected, atol=2e-3)


def test_maps_of_many_classes_are_kept_for_two_targets() -> None:
    torch.manual_seed(0)
    labels = LabelSet(tuple(f"class {k}" for k in range(12)))
    found = classifier(Endings(nn.Identity(), outputs=12), layer="features", labels=labels)
    pixels = pictures(found)
    scored = score(found, pixels, STORED)
    assert {maps.shape[1] for maps in scored.maps.values()} == {len(TWO_TARGETS)}
    ten = classifier(found.network, layer="features", labels=labels)
    order = np.argsort(-scored.probabilities, axis=1)
    weights = found.network.classify.weight.detach().numpy()
    with torch.no_grad():
        activation = ten.network.features(found.preprocessing.tensor(pixels)).numpy()
    for slot in (0, 1):
        expected = np.einsum("nc,nchw->nhw", weights[order[:, slot]], activation) / activation[0, 0].size
        assert np.allclose(scored.maps["gradcam"][:, slot], expected, atol=1e-5)


def test_the_alternative_is_the_label_or_else_the_runner_up() -> None:
    found = made("tiny")
    pixels = pictures(found)
    scored = score(found, pixels, ("gradcam", "layercam"))
    order = np.argsort(-scored.probabilities, axis=1)
    labels = order[:, 0].copy()
    labels[0], labels[1] = order[0, 4], -1
    labelled = score(found, pixels, ("layercam",), labels)
    alternative = labelled.maps["layercam"][:, 1]
    assert np.allclose(alternative[1:], scored.maps["layercam"][1:, 1], atol=1e-6)
    swapped = score(found, pixels[:1], ("layercam",), order[:1, 4])
    assert np.allclose(alternative[0], swapped.maps["layercam"][0, 1], atol=1e-6)
    assert not np.allclose(alternative[0], scored.maps["layercam"][0, 1], atol=1e-6)


def test_outputs_that_are_not_finite_are_refused_with_their_number_and_the_first() -> None:
    found = made("tiny")
    with torch.no_grad():
        found.network.classify.bias[2] = float("nan")
    with pytest.raises(InputError, match=r"NaN or infinite outputs for 6 of 6 images, the first being test/a\.png"):
        score(found, pictures(found), names=[f"test/{letter}.png" for letter in "abcdef"])


def test_outputs_that_are_not_one_a_class_are_refused() -> None:
    found = classifier(tiny().network, layer="features", labels=LabelSet(("sad", "happy")))
    with pytest.raises(InputError, match=r"shape \(6, 7\).*2 classes sad, happy"):
        score(found, pictures(found))


class Reinterprets(nn.Module):
    """Reads the memory of a map as if its channels lay outermost, by strides or by ``.view``."""

    def __init__(self, strided: bool) -> None:
        super().__init__()
        self.features, self.classify, self.strided = nn.Conv2d(3, 4, 3, stride=8), nn.Linear(4 * 36, 7), strided

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.features(x)
        flat = x.as_strided((len(x), 4 * 36), (4 * 36, 1)) if self.strided else x.view(len(x), -1)
        return self.classify(flat)


@pytest.mark.parametrize("strided", [True, False])
def test_a_network_that_reinterprets_memory_is_given_it_as_it_expects(strided: bool) -> None:
    torch.manual_seed(0)
    found = classifier(Reinterprets(strided), channels=3, layer="features")
    pixels = pictures(found)
    assert not bears_channels_last(found)
    assert taken(found, pixels).is_contiguous()
    with torch.no_grad():
        plain = found.network(found.preprocessing.tensor(pixels)).softmax(dim=1).numpy()
    assert np.allclose(score(found, pixels).probabilities, plain, atol=1e-6)


@pytest.mark.parametrize("network", ["tiny", "resnet18"])
def test_convolutions_are_given_channels_innermost(network: str) -> None:
    found = made(network)
    inputs = taken(found, pictures(found))
    assert bears_channels_last(found) and inputs.stride(1) == 1
    assert torch.equal(inputs, found.preprocessing.tensor(pictures(found)))
