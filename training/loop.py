"""One network through Lightning: from drawn weights to the best epoch's."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import RichProgressBar
from safetensors.torch import load_file
from torch import nn

from faces.emotions import LabelSet
from faces.errors import InputError
from models import catalogue, checkpoints
from models.classifier import Preprocessing
from models.networks import Pooled, fused, mirrored
from training.folds import held_out
from training.gather import wanted
from training.keeper import BEST, LAST, Keeper
from training.learner import Learner
from training.memory import Faces
from training.recipe import Recipe, load_recipe
from training.schedule import Clock
from training.teacher import opened, taught
from training.temperature import calibrate, head
from training.votes import VOTES, cut_to, voted


@dataclass(frozen=True)
class Outcome:
    """``curves``, one row an epoch; the ``chosen`` epoch; ``seconds`` of wall clock over all sittings; and each

    training image's area under the margin, float32 (N,), NaN where it was never drawn; the ``temperature`` that logits
    were divided by.
    """

    curves: pd.DataFrame
    chosen: int
    seconds: float
    margins: np.ndarray
    temperature: float = 1.0


def run(
    recipe: Recipe,
    preprocessing: Preprocessing,
    training: Faces,
    validation: Faces,
    work: Path,
    progress: bool,
    member: bool = False,
) -> tuple[nn.Module, Outcome]:
    """Train in the folder ``work``, going on from what lies there; returns the best epoch's averaged network.

    A ``member`` is built in the form that can be fused.
    """
    torch.manual_seed(recipe.learn.seed)
    model, build = recipe.model, catalogue.pooled if member else catalogue.build
    begun = checkpoints.named(model.pretrained)
    weights = None if begun else model.pretrained
    votes = voted(training.samples) if recipe.learn.votes_share else None
    outputs = len(training.labels) + (0 if votes is None else votes.shape[1])
    network = build(model.network, outputs, model.channels, pretrained=weights, size=model.size)
    if begun:
        checkpoints.go_on_from(begun, network, training.labels)
    clock = Clock()
    answers = taught(recipe.learn.teacher, training) if recipe.learn.teacher else None
    learner = Learner(network, recipe, preprocessing, training, validation, clock, answers, votes)
    keeper = Keeper(work, recipe.learn.patience, recipe.learn.minutes, clock)
    last, devices = work / LAST, recipe.learn.devices
    with _quiet():
        trainer = Trainer(
            max_epochs=recipe.learn.epochs,
            devices=devices,
            strategy=_strategy(devices),
            use_distributed_sampler=False,
            precision=recipe.learn.precision,
            gradient_clip_val=recipe.learn.clip or None,
            callbacks=[keeper, *([RichProgressBar(leave=True)] if progress else [])],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            reload_dataloaders_every_n_epochs=1,
        )
        trainer.fit(learner, ckpt_path=last if last.is_file() else None, weights_only=True)
    if devices > 1:  # the keeper that saw the epochs was in another process
        keeper.load_state_dict(torch.load(last, weights_only=True)["callbacks"][keeper.state_key])
    learner.average.load_state_dict(load_file(work / BEST))
    network = learner.average.cpu().to(memory_format=torch.contiguous_format)
    if votes is not None:
        cut_to(network, model.network, len(training.labels))
    margins = (learner.margins / learner.visits).cpu().numpy()
    return network, Outcome(pd.DataFrame(keeper.history), keeper.best_epoch, clock.seconds, margins)


def _strategy(devices: int) -> str:
    """Lightning's name for how devices work together: processes that train alone, whatever started them goes on."""
    if devices == 1:
        return "auto"
    if torch.cuda.is_available() and torch.cuda.device_count() < devices:
        raise InputError(
            f"{devices} devices were asked for and there are {torch.cuda.device_count()} GPUs; pass --devices "
            f"{torch.cuda.device_count()}."
        )
    return "ddp_spawn" if torch.cuda.is_available() else "ddp_fork"


def check_networks(recipe: Recipe) -> None:
    """Raises InputError where a network that the recipe names cannot be built, begun, fused or calibrated as it says:
    before any face is read, and before others are trained."""
    own = recipes_of_members(recipe)
    for told in own:
        model, build = told.model, catalogue.build if own == [recipe] else catalogue.pooled
        begun = checkpoints.named(model.pretrained)
        weights = None if begun else model.pretrained
        network = build(model.network, 2, model.channels, size=model.size, pretrained=weights)
        if begun:
            checkpoints.go_on_from(begun, network, LabelSet(checkpoints.load(begun).labels.names[:2]))
        if told.learn.teacher:
            opened(told.learn.teacher)
        for field, asked in (("learn.calibrate", told.learn.calibrate), (VOTES, told.learn.votes_share)):
            if asked:
                head(network, model.network, field)


def run_members(
    recipe: Recipe, preprocessing: Preprocessing, training: Faces, validation: Faces, work: Path, progress: bool
) -> tuple[nn.Module, Outcome]:
    """As :func:`run`; several members are each trained by their own recipe and fused, mirrored where wanted, and the
    whole is calibrated where wanted."""
    whole, outcome = _joined(recipe, preprocessing, training, validation, work, progress)
    if recipe.learn.calibrate:
        temperature = calibrate(whole, recipe.model.network, preprocessing, validation)
        outcome = replace(outcome, temperature=temperature)
    return whole, outcome


def _joined(
    recipe: Recipe, preprocessing: Preprocessing, training: Faces, validation: Faces, work: Path, progress: bool
) -> tuple[nn.Module, Outcome]:
    own = recipes_of_members(recipe)
    if own == [recipe]:
        return run(recipe, preprocessing, training, validation, work, progress)
    members, outcomes = [], []
    for index, told in enumerate(own):
        folder = work if len(own) == 1 else work / f"member-{index}"
        folder.mkdir(exist_ok=True)
        network, outcome = run(told, preprocessing, training, validation, folder, progress, member=True)
        members.append(cast(Pooled, network))
        outcomes.append(outcome)
    whole = fused(members) if len(members) > 1 else members[0]
    whole = mirrored(whole, recipe.model.tilted, recipe.model.closer) if recipe.model.mirrored else whole
    if len(members) == 1:
        return whole, outcomes[0]
    curves = pd.concat([outcome.curves.assign(member=index) for index, outcome in enumerate(outcomes)])
    margins = np.stack([outcome.margins for outcome in outcomes]).mean(axis=0)
    return whole, Outcome(curves, outcomes[0].chosen, sum(outcome.seconds for outcome in outcomes), margins)


def recipes_of_members(recipe: Recipe) -> list[Recipe]:
    """What each member of an ensemble is trained by; ``[recipe]`` itself where it is none.

    Raises InputError where a recipe named beside it is not there or is an ensemble itself.
    """
    model, learn = recipe.model, recipe.learn
    if model.members == 1 and not model.beside and not model.mirrored:
        return [recipe]
    alone = {"members": 1, "beside": (), "mirrored": False, "tilted": 0.0, "closer": 1.0}
    same = [
        recipe.model_copy(
            update={
                "model": model.model_copy(update=alone),
                "learn": learn.model_copy(update={"seed": learn.seed + index}),
            }
        )
        for index in range(model.members)
    ]
    return [*same, *(_beside(name, recipe) for name in model.beside)]


def _beside(name: str, recipe: Recipe) -> Recipe:
    """The recipe ``name`` with the data, the input and the devices of ``recipe``; image sides along the way grow or
    shrink alike."""
    other = load_recipe(name)
    if other.model.members > 1 or other.model.beside or other.model.mirrored:
        raise InputError(
            f"The recipe {name!r}, named in model.beside, is an ensemble itself; name its members instead."
        )
    size, channels = recipe.model.size, recipe.model.channels
    sizes = tuple(round(side * size / other.model.size) for side in other.learn.sizes)
    model = other.model.model_copy(update={"size": size, "channels": channels})
    switches = {"devices": recipe.learn.devices, "precision": recipe.learn.precision}
    learn = other.learn.model_copy(update={"sizes": sizes, **switches})
    return other.model_copy(update={"model": model, "learn": learn, "data": recipe.data})


def divided(faces: Faces, recipe: Recipe) -> tuple[Faces, Faces]:
    """The part that is learnt from and the held-out part that epochs are chosen by, of the recipe's classes.

    The same images are held out whatever the classes and the seed, so that a training may go on from another, learn
    from it and be joined with it. Raises InputError where there are too few for both.
    """
    aside = held_out(faces.classes, faces.groups, recipe.data.validation)
    learnt, held = (wanted(faces.take(np.flatnonzero(part)), recipe) for part in (~aside, aside))
    if not len(learnt) or not len(held):
        raise InputError(
            f"The {len(faces)} training images cannot be divided into a part to learn from and one to hold out: there "
            f"are {len(np.unique(faces.groups))} persons or contents, whose pictures stay together; more were expected."
        )
    return learnt, held


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advice about hardware and workers, which does not concern data held in memory."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
