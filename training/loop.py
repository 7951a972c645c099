"""One network through Lightning: from drawn weights to the best epoch's."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import RichProgressBar
from safetensors.torch import load_file
from torch import nn

from models import catalogue
from models.classifier import Preprocessing
from models.networks import Pooled, fused, mirrored
from training.folds import held_out
from training.keeper import BEST, LAST, Keeper
from training.learner import Learner
from training.memory import Faces
from training.recipe import Recipe
from training.schedule import Clock


@dataclass(frozen=True)
class Outcome:
    """``curves``, one row an epoch; the ``chosen`` epoch; ``seconds`` of wall clock over all sittings; and each

    training image's area under the margin, float32 (N,), NaN where it was never drawn.
    """

    curves: pd.DataFrame
    chosen: int
    seconds: float
    margins: np.ndarray


def run(
    recipe: Recipe, preprocessing: Preprocessing, training: Faces, validation: Faces, work: Path, progress: bool
) -> tuple[nn.Module, Outcome]:
    """Train in the folder ``work``, going on from what lies there; returns the best epoch's averaged network."""
    torch.manual_seed(recipe.learn.seed)
    model = recipe.model
    network = catalogue.build(model.network, len(training.labels), model.channels, model.pretrained, size=model.size)
    clock = Clock()
    learner = Learner(network, recipe, preprocessing, training, validation, clock)
    keeper = Keeper(work, recipe.learn.patience, recipe.learn.minutes, clock)
    last = work / LAST
    with _quiet():
        trainer = Trainer(
            max_epochs=recipe.learn.epochs,
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
    learner.average.load_state_dict(load_file(work / BEST))
    network = learner.average.cpu().to(memory_format=torch.contiguous_format)
    margins = (learner.margins / learner.visits).cpu().numpy()
    return network, Outcome(pd.DataFrame(keeper.history), keeper.best_epoch, clock.seconds, margins)


def run_members(
    recipe: Recipe, preprocessing: Preprocessing, training: Faces, validation: Faces, work: Path, progress: bool
) -> tuple[nn.Module, Outcome]:
    """As :func:`run`; several members are each trained from their own seed and fused, and mirrored where wanted."""
    if recipe.model.members == 1 and not recipe.model.mirrored:
        return run(recipe, preprocessing, training, validation, work, progress)
    catalogue.require_own(recipe.model.network)
    if recipe.model.members == 1:
        network, outcome = run(recipe, preprocessing, training, validation, work, progress)
        return mirrored(cast(Pooled, network)), outcome
    members, outcomes = [], []
    for index in range(recipe.model.members):
        folder = work / f"member-{index}"
        folder.mkdir(exist_ok=True)
        learn = recipe.learn.model_copy(update={"seed": recipe.learn.seed + index})
        own = recipe.model_copy(update={"learn": learn})
        network, outcome = run(own, preprocessing, training, validation, folder, progress)
        members.append(cast(Pooled, network))
        outcomes.append(outcome)
    curves = pd.concat([outcome.curves.assign(member=index) for index, outcome in enumerate(outcomes)])
    margins = np.stack([outcome.margins for outcome in outcomes]).mean(axis=0)
    whole = mirrored(fused(members)) if recipe.model.mirrored else fused(members)
    return whole, Outcome(curves, outcomes[0].chosen, sum(outcome.seconds for outcome in outcomes), margins)


def divided(faces: Faces, recipe: Recipe) -> tuple[Faces, Faces]:
    """The part that is learnt from and the held-out part that epochs are chosen by."""
    aside = held_out(faces.classes, faces.groups, recipe.data.validation, recipe.learn.seed)
    return faces.take(np.flatnonzero(~aside)), faces.take(np.flatnonzero(aside))


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
