"""Searching a recipe's settings with Optuna, by the held-out share of the training part alone."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna

from faces.dataset import FaceDataset
from faces.errors import InputError
from models.classifier import Classifier, Preprocessing
from training.fit import check, check_nobody_knows, finished, normalising, train
from training.gather import gathered, wanted
from training.loop import divided, run
from training.memory import Faces
from training.recipe import Recipe

STUDY = "study.sqlite"
TRIALS = "search.csv"


def search(
    recipe: Recipe,
    dataset: FaceDataset,
    out: Path | str,
    trials: int,
    labels: Path | None = None,
    folds: int | None = None,
    resume: bool = False,
    progress: bool = True,
    also: Sequence[FaceDataset] = (),
) -> Classifier:
    """Try ``trials`` variants of ``recipe``, then train the best into ``out``, with all trials in ``out/search.csv``.

    A variant is judged by its best validation accuracy; the test part is not looked at until the winner is trained.
    The study lies in ``.NAME.search`` beside ``out`` until then; with ``resume`` its finished trials count. ``folds``
    are the winner's. Raises InputError as :func:`training.fit.train` does.
    """
    if trials < 1:
        raise InputError(f"{trials} trials cannot be searched; pass --search 1 or more.")
    out = Path(out).resolve()
    work = out.with_name(f".{out.name}.search")
    if (done := finished(out, resume)) and not work.exists():
        return done
    check(recipe, folds, [dataset, *also])
    if not resume:
        shutil.rmtree(work, ignore_errors=True)
    everything, _ = gathered(recipe, [dataset, *also], labels)
    if folds is not None:
        check_nobody_knows(recipe, wanted(everything, recipe))
    parts = divided(everything, recipe)
    work.mkdir(parents=True, exist_ok=True)
    study = _study(work, recipe)
    missing = trials - sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials)
    if missing > 0:
        study.optimize(lambda trial: _tried(trial, recipe, parts, work / "trial"), n_trials=missing)
    best = variant(recipe, study.best_params)
    classifier = train(best, dataset, out, labels=labels, folds=folds, resume=resume, progress=progress, also=also)
    study.trials_dataframe(attrs=("number", "value", "params", "state")).to_csv(out / TRIALS, index=False)
    shutil.rmtree(work)
    return classifier


def variant(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    """``recipe`` with ``"part.field"`` values changed, checked again."""
    changed = recipe.model_dump()
    for name, value in values.items():
        part, field = name.split(".")
        changed[part][field] = value
    return Recipe.model_validate(changed)


def suggested(trial: optuna.Trial, recipe: Recipe) -> dict[str, Any]:
    """One draw from the space around ``recipe``."""
    rate = recipe.learn.rate
    return {
        "learn.rate": trial.suggest_float("learn.rate", rate / 4, rate * 4, log=True),
        "learn.weight_decay": trial.suggest_float("learn.weight_decay", 1e-4, 0.3, log=True),
        "learn.label_smoothing": trial.suggest_float("learn.label_smoothing", 0.0, 0.2),
        "learn.class_weights": trial.suggest_categorical("learn.class_weights", ["none", "effective"]),
        "augment.rotate": trial.suggest_float("augment.rotate", 0, 20),
        "augment.shift": trial.suggest_float("augment.shift", 0, 0.15),
        "augment.scale": trial.suggest_float("augment.scale", 0, 0.2),
        "augment.erase": trial.suggest_float("augment.erase", 0, 0.5),
        "augment.mixup": trial.suggest_categorical("augment.mixup", [0.0, 0.2]),
    }


def _study(work: Path, recipe: Recipe) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = f"sqlite:///{work / STUDY}"
    study = optuna.create_study(storage=storage, study_name=recipe.name, direction="maximize", load_if_exists=True)
    study.sampler = optuna.samplers.TPESampler(seed=recipe.learn.seed + len(study.trials))
    return study


def _tried(trial: optuna.Trial, recipe: Recipe, parts: tuple[Faces, Faces], work: Path) -> float:
    """Best validation accuracy of one variant."""
    training, validation = parts
    own = variant(recipe, suggested(trial, recipe))
    plain = Preprocessing(own.model.size, own.model.size, own.model.channels)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    _, outcome = run(own, normalising(plain, training.images), training, validation, work, progress=False)
    return float(outcome.curves["val_accuracy"].max())
