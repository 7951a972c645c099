"""What happens when parts are taken away, weights drawn anew, and images moved: on networks whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
from torch import Tensor, nn

from audit.saliency import causal, faithfulness, trust
from audit.saliency.faithfulness import STEPS, area, impute, insertion_deletion, probabilities, ranks, road
from audit.saliency.regions import REGIONS
from audit.saliency.shortcuts import Cluster
from models.classifier import Classifier, fingerprint
from tests.audit_networks import classifier, made, pictures


class Looks(nn.Module):
    """Happy as far as a square of the image is bright, whatever the rest."""

    def __init__(self, rows: slice, columns: slice) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        self.gain = nn.Parameter(torch.tensor(8.0))

    def forward(self, x: Tensor) -> Tensor:
        happy = self.gain * (x[:, 0, self.rows, self.columns].mean(dim=(1, 2)) - 0.5)
        return torch.nn.functional.one_hot(torch.tensor(3), 7) * happy[:, None]


def looking(rows: slice, columns: slice) -> Classifier:
    return classifier(Looks(rows, columns), layer="-")


CORNER = slice(40, 48), slice(40, 48)


def marked(n: int = 6) -> np.ndarray:
    images = np.full((n, 48, 48, 1), 90, dtype=np.uint8)
    images[:, 41:47, 41:47] = 255
    return images


def corner_map(n: int = 6) -> np.ndarray:
    maps = np.zeros((n, 6, 6), dtype=np.float32)
    maps[:, 5, 5] = 1
    return maps


def slow_curve(found: Classifier, first: np.ndarray, second: np.ndarray, order: np.ndarray, target: int) -> list[float]:
    chances = []
    for step in range(STEPS + 1):
        mixed = first.copy()
        gone = order < step * order.size / STEPS
        mixed[gone] = second[gone]
        chances.append(float(probabilities(found, mixed[None])[0, target]))
    return chances


def test_curves_equal_mixing_one_image_at_a_time() -> None:
    found = made("tiny")
    pixels, targets = pictures(found, 3), np.array([3, 1, 5])
    maps = np.random.default_rng(0).normal(size=(3, 6, 6))
    curves = insertion_deletion(found, pixels, maps, targets)
    order, blurred = ranks(maps, 48, 48), faithfulness.blurs(pixels)
    for row in range(3):
        deleted = slow_curve(found, pixels[row], blurred[row], order[row], targets[row])
        inserted = slow_curve(found, blurred[row], pixels[row], order[row], targets[row])
        assert np.allclose(curves.deletion[row], deleted, atol=1e-5)
        assert np.allclose(curves.insertion[row], inserted, atol=1e-5)


def test_a_map_of_what_counts_gains_and_its_opposite_loses() -> None:
    found, targets = looking(*CORNER), np.full(6, 3)
    right = insertion_deletion(found, marked(), corner_map(), targets).gain
    wrong = insertion_deletion(found, marked(), -corner_map(), targets).gain
    assert (right > 0.2).all() and (wrong < -0.2).all()
    assert (road(found, marked(), corner_map(), targets) > 0.2).all()
    assert np.allclose(road(found, marked(), -corner_map(), targets), -road(found, marked(), corner_map(), targets))


def test_areas_are_of_the_unit_square() -> None:
    assert area(np.ones((2, STEPS + 1))) == pytest.approx([1, 1])
    assert area(np.linspace(0, 1, STEPS + 1)[None])[0] == pytest.approx(0.5)


@pytest.mark.filterwarnings("ignore:__array_wrap__")
def test_imputing_equals_grad_cams_imputer_without_its_noise() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 17, 3), dtype=np.uint8)
    for share in (0.2, 0.6, 0.9):
        gone = rng.random((20, 17)) < share
        tensors = (
            torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32)),
            torch.from_numpy((~gone).astype(np.float32)),
        )
        expected = NoisyLinearImputer(noise=0)(*tensors).numpy().transpose(1, 2, 0)
        assert np.abs(impute(image, gone).astype(float) - expected).max() <= 0.51
    assert impute(image, np.zeros((20, 17), bool)) is image
    assert (impute(image, np.ones((20, 17), bool)) == 128).all()


def test_ranks_put_the_largest_first_and_break_ties_from_the_top_left() -> None:
    order = ranks(corner_map(1), 12, 12)[0]
    assert order[11, 11] == 0 and sorted(order.ravel()) == list(range(144))
    assert ranks(np.zeros((1, 4, 4)), 4, 4)[0].ravel().tolist() == list(range(16))


def test_blurring_a_region_costs_what_lies_there() -> None:
    images = np.random.default_rng(0).integers(0, 60, (5, 48, 48, 1), dtype=np.uint8)
    images[:, 34:41, 16:32] = 255
    found = looking(slice(35, 40), slice(18, 30))
    before, after = probabilities(found, images), causal.without_regions(found, images)
    drop = (before[None] - after)[:, :, 3].mean(axis=1)
    assert REGIONS[drop.argmax()] == "mouth" and drop.max() > 0.1
    assert np.abs(drop[REGIONS.index("forehead")]) < 0.01


@pytest.mark.parametrize(("where", "is_shortcut"), [(CORNER, True), ((slice(20, 28), slice(20, 28)), False)])
def test_a_place_is_a_shortcut_only_if_the_model_leans_on_it(where: tuple[slice, slice], is_shortcut: bool) -> None:
    cluster = Cluster("happy", 1, np.arange(6), corner_map(1)[0], 0.9, 1.0)
    images = marked()
    images[:, 20:28, 20:28] = 255
    model = looking(*where)
    found = causal.withdraw(model, cluster, images, probabilities(model, images))
    assert found.is_shortcut is is_shortcut
    assert (found.drop > 0.3) is is_shortcut
    assert found.box[0] > 0.6 and found.box[1] > 0.6 and found.box[2:] == (1.0, 1.0)


def test_maps_of_an_unknown_network_change_when_it_is_drawn_anew() -> None:
    found = made("tiny")
    before = fingerprint(found.network)
    names, alike = trust.cascading_randomisation(found, pictures(found, 4), "gradcam", ["sad"] * 4)
    assert names[0] == "classify" and alike.shape == (len(trust.LEVELS), 4)
    assert np.abs(alike[-1]).mean() < 0.7
    again = trust.cascading_randomisation(found, pictures(found, 4), "gradcam", ["sad"] * 4)[1]
    assert np.array_equal(alike, again)
    assert fingerprint(found.network) == before


def test_a_map_that_ignores_the_weights_is_caught() -> None:
    found = made("tiny")
    for module in found.network.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters = lambda: None
    alike = trust.cascading_randomisation(found, pictures(found, 3), "gradcam", ["sad"] * 3)[1]
    assert np.allclose(alike, 1)


def test_a_network_without_weights_has_no_levels_to_be_drawn_anew() -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.AvgPool2d(8)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x).flatten(1)[:, :7]

    found = classifier(Plain(), layer="body")
    names, alike = trust.cascading_randomisation(found, pictures(found, 2), "gradcam", ["sad"] * 2)
    assert names == () and alike.shape == (0, 2)


def test_layers_that_do_not_say_how_are_drawn_anew_too() -> None:
    found = made("channels last")
    plain = nn.Module()
    plain.scale = nn.Parameter(torch.ones(8))
    found.network.plain = plain
    assert trust.weighted_layers(found.network) == ["plain", "classify", "mix", "stem"]
    alike = trust.cascading_randomisation(found, pictures(found, 3), "gradcam", ["sad"] * 3)[1]
    assert (alike[-1] < 0.999).all()


def test_stability_compares_what_both_have() -> None:
    found = made("tiny")
    alike = trust.stability(found, pictures(found, 3), "gradcam", ["sad"] * 3)
    assert tuple(alike) == trust.PERTURBATIONS
    assert all((np.abs(values) <= 1 + 1e-9).all() for values in alike.values())


def test_moving_there_and_back_is_nothing_inside() -> None:
    images = pictures(made("tiny"), 2)
    there_and_back = trust.moved(trust.moved(images, 2, -2), -2, 2)
    assert (there_and_back[:, 2:-2, 2:-2] == images[:, 2:-2, 2:-2]).all()
    assert (trust.moved(images, 3, 0)[:, 3:] == images[:, :-3]).all()


def test_rank_correlation_is_spearmans() -> None:
    from scipy.stats import spearmanr

    a, b = np.random.default_rng(0).normal(size=(2, 3, 6, 6))
    b[0] = a[0] ** 3
    found = trust.rank_correlation(a, b)
    assert found[0] == pytest.approx(1)
    assert found[1] == pytest.approx(spearmanr(a[1].ravel(), b[1].ravel()).statistic)
    assert trust.rank_correlation(a, np.zeros_like(b)).tolist() == [0, 0, 0]
