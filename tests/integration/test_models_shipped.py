"""The checkpoints that ship: small enough, openable, and as good on PublicTest as their cards say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faces.readers import open_dataset
from models import catalogue, checkpoints
from training import figures
from training.memory import in_memory

SHIPPED = {
    "fer2013-compact": (6_000_000, 0.67),
    "fer2013-large": (25_000_000, 0.70),
    "fer2013-quality": (25_000_000, 0.72),
}
"""The most bytes that each may take, and the least of PublicTest that it gets right."""
PARTLY = {"fer2013-quality": (20, 0.7151)}
"""Three networks and eight views take minutes for all of PublicTest: one image in so many, and the share right there.

`python -m benchmarks.subsets` judges all of them."""


def test_three_checkpoints_ship() -> None:
    assert set(catalogue.shipped()) == set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_checkpoint_is_small_enough(name: str) -> None:
    assert sum(file.stat().st_size for file in catalogue.shipped()[name].iterdir()) <= SHIPPED[name][0]


@pytest.mark.parametrize("name", SHIPPED)
def test_its_card_states_what_figures_depend_on(name: str) -> None:
    card = checkpoints.load(catalogue.shipped()[name]).card
    assert card["name"] == name
    assert {member["recipe"]["data"]["split"] for member in card.get("members", [card])} == {"train"}
    assert card["figures"]["test"]["accuracy"] >= SHIPPED[name][1]
    assert card["figures"]["test_without_duplicates"]["n"] < card["figures"]["test"]["n"]
    assert "mirror image" in card["figures"]["test_time_augmentation"]


@pytest.mark.realdata
@pytest.mark.parametrize("name", SHIPPED)
def test_its_figures_are_found_again_on_public_test(fer2013: Path, name: str) -> None:
    classifier = checkpoints.load(catalogue.shipped()[name])
    faces = in_memory(open_dataset(fer2013 / "archive.zip").select("test"), classifier.labels, classifier.preprocessing)
    step, expected = PARTLY.get(name, (1, classifier.card["figures"]["test"]["accuracy"]))
    right = figures.probabilities(classifier, faces.images[::step]).argmax(axis=1) == faces.classes[::step]
    assert figures.accuracy(right)["accuracy"] == pytest.approx(expected, abs=1e-3)
    seen = np.array([bytes.fromhex(name)[: checkpoints.ID_BYTES] in classifier.trained_on for name in faces.content])
    assert int(seen.sum()) == classifier.card["figures"]["test_images_duplicated_in_training"]
