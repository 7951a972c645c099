"""Keeps a training: after every epoch what is needed to go on, and the best weights so far, each file whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from lightning.pytorch import Callback, Trainer
from safetensors.torch import save_file

from training.learner import Learner
from training.schedule import Clock

LAST, BEST = "last.ckpt", "best.safetensors"
LOG = "curves.csv"
LOGGED = ("train_loss", "val_loss", "val_accuracy")


class Keeper(Callback):
    """Writes LAST, BEST and LOG (one row an epoch) into ``folder``, each whole; best is by ``val_accuracy``.

    Stops the training when ``patience`` epochs (0: never) brought nothing better or ``minutes`` (0: never) are over.
    """

    def __init__(self, folder: Path, patience: int, minutes: float, clock: Clock) -> None:
        self.folder, self.patience, self.minutes, self.clock = folder, patience, minutes, clock
        self.best, self.best_epoch = -1.0, -1
        self.history: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "best_epoch": self.best_epoch,
            "history": self.history,
            "seconds": self.clock.seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch, self.history = state["best"], state["best_epoch"], state["history"]
        self.clock.go_on_from(state["seconds"])

    def on_train_epoch_end(self, trainer: Trainer, learner: Learner) -> None:  # type: ignore[override]
        figures = {name: round(float(trainer.callback_metrics[name]), 5) for name in LOGGED}
        self.history.append({"epoch": trainer.current_epoch, **figures, "seconds": round(self.clock.seconds, 1)})
        if trainer.is_global_zero:
            pd.DataFrame(self.history).to_csv(self.folder / LOG, index=False)
        reached = figures["val_accuracy"]
        if reached > self.best:
            self.best, self.best_epoch = reached, trainer.current_epoch
            if trainer.is_global_zero:
                weights = {k: v.detach().cpu().contiguous() for k, v in learner.average.state_dict().items()}
                save_file(weights, self.folder / f"{BEST}.part")
                (self.folder / f"{BEST}.part").replace(self.folder / BEST)
        trainer.save_checkpoint(self.folder / f"{LAST}.part")
        if trainer.is_global_zero:
            (self.folder / f"{LAST}.part").replace(self.folder / LAST)
        trainer.should_stop = trainer.should_stop or self._over(trainer)

    def on_train_start(self, trainer: Trainer, learner: Learner) -> None:  # type: ignore[override]
        trainer.should_stop = self._over(trainer)

    def _over(self, trainer: Trainer) -> bool:
        """Whether any device finds the training to be at its end."""
        return trainer.strategy.reduce_boolean_decision(self.over, all=False)

    @property
    def over(self) -> bool:
        """Whether the training is at its end before all epochs are."""
        waited = len(self.history) - 1 - self.best_epoch
        late = bool(self.minutes) and self.clock.seconds >= 60 * self.minutes
        return bool(self.history) and (late or (bool(self.patience) and waited >= self.patience))
