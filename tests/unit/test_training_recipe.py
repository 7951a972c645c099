"""Recipes: the shipped ones hold, and a wrong field is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from faces.errors import InputError
from models import catalogue
from training.layers import freeze, rate_groups
from training.recipe import load_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_are_valid_and_name_a_network_that_exists(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary
    assert recipe.model.network.partition(catalogue.ENLARGED)[0] in catalogue.names()


def test_a_recipe_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(InputError, match=r"'fer2014' is not there; the shipped ones are .*fer2013-compact"):
        load_recipe("fer2014")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[model]\nnetwork = 3", r"model\.network = 3"),
        ("[model]\nnetwork = 'tiny'\n[learn]\nepochs = 0", r"learn\.epochs = 0, .*greater than or equal to 1"),
        ("[model]\nnetwork = 'tiny'\n[learn]\nepoch = 3", r"learn\.epoch = 3, which is no field"),
        (
            "[model]\nnetwork = 'tiny'\n[learn]\nsizes = [32]",
            r"learn\.sizes = \[32\] must end with model\.size, .* 48; c",
        ),
        ("[model]\nnetwork = 'tiny'\n[augment]\nflip = 1.5", r"augment\.flip = 1\.5"),
        ("[data]\nvalidation = 0.1", r"has no model, which is needed"),
        ("[model]\nsize = 48", r"has no model\.network"),
        ("[model]\nnetwork = 'tiny'\ntilted = 9", r"model\.tilted = 9 needs model\.mirrored = true"),
        ("[model]\nnetwork = 'tiny'\ncloser = 1.2", r"model\.closer = 1\.2 needs model\.mirrored = true"),
        ("[model\n", "is not TOML"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        load_recipe(file)


@pytest.mark.parametrize(
    ("file", "name"), [("my_recipe (1).toml", "my-recipe-1"), ("ÄÖ.toml", "recipe"), ("V1.2.toml", "v1.2")]
)
def test_a_file_of_any_name_is_a_recipe(tmp_path: Path, file: str, name: str) -> None:
    (tmp_path / file).write_text("[model]\nnetwork = 'tiny'\nsize = 48\nchannels = 1\n")
    assert load_recipe(tmp_path / file).name == name


@pytest.mark.parametrize("name", [name for name in recipe_names() if name.startswith("system-")])
def test_every_system_s_network_takes_a_step(name: str) -> None:
    """On torch's meta device, which knows shapes alone: all of it but the arithmetic, in no time."""
    recipe = load_recipe(name)
    model, classes = recipe.model, len(recipe.data.classes or range(7))
    with torch.device("meta"):
        network = catalogue.build(model.network, classes, model.channels, size=model.size)
        fixed = freeze(network, model.frozen)
        groups = rate_groups(network, recipe.learn.rate, model.input_rate, recipe.learn.weight_decay)
        logits = network(torch.empty(2, model.channels, model.size, model.size))
        logits.sum().backward()
    assert logits.shape == (2, classes)
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    assert all(weight.grad is not None for weight in trained)
    assert sum(len(group["params"]) for group in groups) == len(trained)
    assert bool(fixed) == bool(model.frozen)
    assert all(load_recipe(other).model.members == 1 for other in model.beside)
