"""The checkpoints that ship: small enough, openable, and as good on PublicTest as their cards say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faces.readers import open_dataset
from models import catalogue, checkpoints
from training import figures
from training.memory import in_memory

COMPACT = catalogue.shipped()["fer2013-compact"]


def test_the_compact_checkpoint_is_at_most_six_megabytes() -> None:
    assert sum(file.stat().st_size for file in COMPACT.iterdir()) <= 6_000_000


def test_its_card_states_what_figures_depend_on() -> None:
    card = checkpoints.load(COMPACT).card
    assert card["recipe"]["data"]["split"] == "train"
    assert card["figures"]["test"]["accuracy"] >= 0.67
    assert card["figures"]["test_without_duplicates"]["n"] < card["figures"]["test"]["n"]
    assert "mirror image" in card["figures"]["test_time_augmentation"]


@pytest.mark.realdata
def test_its_figures_are_found_again_on_public_test(fer2013: Path) -> None:
    classifier = checkpoints.load(COMPACT)
    faces = in_memory(open_dataset(fer2013 / "archive.zip").select("test"), classifier.labels, classifier.preprocessing)
    right = figures.probabilities(classifier, faces.images).argmax(axis=1) == faces.classes
    assert figures.accuracy(right)["accuracy"] == pytest.approx(
        classifier.card["figures"]["test"]["accuracy"], abs=1e-3
    )
    seen = np.array([bytes.fromhex(name)[: checkpoints.ID_BYTES] in classifier.trained_on for name in faces.content])
    assert int(seen.sum()) == classifier.card["figures"]["test_images_duplicated_in_training"]
