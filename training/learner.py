"""How one network learns: augmented batches, the loss, the optimiser, and a moving average of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

from faces.errors import InputError
from models.classifier import Preprocessing
from training.augment import Augmentation, mixed
from training.balance import class_weights, drawing_weights, group_weights
from training.layers import freeze, rate_groups
from training.memory import Faces
from training.recipe import Recipe
from training.schedule import Clock, rate_share

AVERAGE_START = 10
"""The average follows the weights quickly at first: its decay is at most (1 + step) / (AVERAGE_START + step)."""
VALIDATION_BATCH = 512


class Rows(Dataset):
    """Batches of a Faces by row numbers: (images uint8, targets float32, rows)."""

    def __init__(self, faces: Faces) -> None:
        self.faces = faces

    def __getitem__(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return self.faces.images[rows], self.faces.targets[rows], rows

    def __len__(self) -> int:
        return len(self.faces)


class Order(Sampler):
    """Row numbers of an epoch in batches: a permutation, or draws by ``weights`` (n,). Depends on ``seed`` alone.

    ``rank`` of ``world`` devices gets its share of every batch, so that a batch is the same whatever their number.
    """

    def __init__(
        self, n: int, batch: int, seed: int, weights: torch.Tensor | None = None, rank: int = 0, world: int = 1
    ) -> None:
        self.n, self.batch, self.seed, self.weights = n, max(world, min(batch, n) // world * world), seed, weights
        self.rank, self.world = rank, world

    def __iter__(self) -> Iterator[torch.Tensor]:
        source = torch.Generator().manual_seed(self.seed)
        if self.weights is None:
            rows = torch.randperm(self.n, generator=source)
        else:
            rows = torch.multinomial(self.weights, self.n, replacement=True, generator=source)
        yield from (part[self.rank :: self.world] for part in rows.split(self.batch)[: len(self)])

    def __len__(self) -> int:
        return self.n // self.batch


class Learner(LightningModule):
    """Trains ``network`` on ``training`` and judges the averaged weights on ``validation``.

    ``taught`` (N, K) are a teacher's probabilities for the training images, learnt beside their labels; ``votes``
    (N, V) are raters' shares (see training.votes), told by the V outputs that the network has after the classes'.
    """

    margins: torch.Tensor
    visits: torch.Tensor
    shares: torch.Tensor
    known: torch.Tensor

    def __init__(
        self,
        network: nn.Module,
        recipe: Recipe,
        preprocessing: Preprocessing,
        training: Faces,
        validation: Faces,
        clock: Clock,
        taught: torch.Tensor | None = None,
        votes: torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.average = deepcopy(self.network).requires_grad_(False)
        self.recipe, self.preprocessing, self.clock = recipe, preprocessing, clock
        self.training_faces, self.validation_faces = training, validation
        kept = recipe.augment.model_dump(exclude={"mixup", "cutmix"})
        self.augmentation = Augmentation(**kept)
        self.fixed = freeze(self.network, recipe.model.frozen) if recipe.model.frozen else []
        groups = self._balanced_groups()
        drawn_by = groups if recipe.data.balance_by == "sampling" else None
        drawing = drawing_weights(training.classes, recipe.data.oversample, drawn_by)
        self.drawing = None if drawing is None else torch.from_numpy(drawing)
        weights = class_weights(training.targets.sum(dim=0), recipe.learn.class_weights)
        self.loss = nn.CrossEntropyLoss(weights, label_smoothing=recipe.learn.label_smoothing, reduction="none")
        shares = np.ones(len(training))
        if groups is not None and recipe.data.balance_by == "loss":
            shares = group_weights(training.classes, groups)
        self.register_buffer("shares", torch.from_numpy(shares).float(), persistent=False)
        targets = training.targets if taught is None else training.targets.lerp(taught, recipe.learn.teacher_share)
        known = targets if votes is None else torch.cat([targets, votes], dim=1)
        self.register_buffer("known", known, persistent=False)
        self.register_buffer("margins", torch.zeros(len(training)))
        self.register_buffer("visits", torch.zeros(len(training)))

    @property
    def progress(self) -> float:
        """Share of the training that is done, 0..1: of its steps or of its minutes, whichever is further."""
        learn = self.recipe.learn
        steps = self.global_step / max(1, int(self.trainer.estimated_stepping_batches))
        if not learn.minutes:
            return min(1.0, steps)
        # several devices go by the clock of the first
        return self.trainer.strategy.broadcast(min(1.0, max(steps, self.clock.seconds / (60 * learn.minutes))))

    @property
    def size(self) -> int:
        """Side of the next batch's images, in pixels."""
        sizes = self.recipe.learn.sizes or (self.recipe.model.size,)
        return sizes[min(len(sizes) - 1, int(self.progress * len(sizes)))]

    def _balanced_groups(self) -> pd.Series | None:
        name, samples = self.recipe.data.balance_groups, self.training_faces.samples
        if name is not None and name not in samples:
            raise InputError(
                f"The recipe balances the groups of {name!r}, which is no column of the data; "
                "join it with --metadata, or name another."
            )
        return None if name is None else samples[name]

    def train_dataloader(self) -> DataLoader:
        seed = self.recipe.learn.seed * 100_003 + self.current_epoch
        among = self.trainer.global_rank, self.trainer.world_size
        order = Order(len(self.training_faces), self.recipe.learn.batch, seed, self.drawing, *among)
        apart = torch.Generator()  # else the loader draws from the generator that augmentation and dropout use
        return DataLoader(Rows(self.training_faces), sampler=order, batch_size=None, generator=apart)

    def val_dataloader(self) -> DataLoader:
        rows = torch.arange(len(self.validation_faces)).split(VALIDATION_BATCH)
        return DataLoader(Rows(self.validation_faces), sampler=rows, batch_size=None, generator=torch.Generator())

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(self.recipe.learn.seed * 100_003 + self.current_epoch + 1_000_000 * self.global_rank)

    def on_train_batch_start(self, *_: object) -> None:
        for module in self.fixed:
            module.eval()
        share = rate_share(self.progress, self.recipe.learn.schedule, self.recipe.learn.warmup)
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = group["initial_lr"] * share

    def training_step(self, batch: tuple[torch.Tensor, ...], index: int) -> torch.Tensor:
        images, targets, rows = batch
        resized = self.size if self.size != images.shape[-1] else None
        augment = self.recipe.augment
        pixels, blended = mixed(self.augmentation(images, resized), self.known[rows], augment.mixup, augment.cutmix)
        outputs = self.network(self.normalised(pixels))
        loss = (self._loss(outputs, blended) * self.shares[rows]).mean()
        self._note_margins(rows, outputs[:, : targets.shape[1]].detach().float(), targets)
        shared: dict[str, Any] = {"prog_bar": True, "batch_size": len(images), "sync_dist": True}
        self.log("train_loss", loss, on_step=False, on_epoch=True, **shared)
        return loss

    def _loss(self, outputs: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """Each image's loss (B,): of its label's targets and, with the recipe's share, of its votes."""
        classes, share = len(self.training_faces.labels), self.recipe.learn.votes_share
        of_label = self.loss(outputs[:, :classes], known[:, :classes])
        if not share:
            return of_label
        of_votes = nn.functional.cross_entropy(outputs[:, classes:], known[:, classes:], reduction="none")
        return of_label.lerp(of_votes, share)

    def _note_margins(self, rows: torch.Tensor, logits: torch.Tensor, targets: torch.Tensor) -> None:
        """Area under the margin (Pleiss et al. 2020): the label's logit less the largest other, over the epochs."""
        given = targets.argmax(dim=1, keepdim=True)
        others = logits.scatter(1, given, float("-inf")).amax(dim=1)
        margins = logits.gather(1, given)[:, 0] - others
        everywhere = self.all_gather((rows, margins))  # of all devices
        rows, margins = (values.flatten() for values in everywhere)
        self.margins[rows] += margins
        self.visits[rows] += 1

    @torch.no_grad()
    def on_train_batch_end(self, *_: object) -> None:
        decay = min(self.recipe.learn.average, (1 + self.global_step) / (AVERAGE_START + self.global_step))
        own = self.network.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point() and decay:
                value.lerp_(own[name], 1 - decay)
            else:
                value.copy_(own[name])
        if self.recipe.learn.minutes and self.progress >= 1:  # the epoch in hand is cut short
            self.trainer.should_stop = True

    def on_validation_epoch_start(self) -> None:
        self.average.eval()

    def validation_step(self, batch: tuple[torch.Tensor, ...], index: int) -> None:
        images, targets, _ = batch
        logits = self.average(self.normalised(images.float()))[:, : targets.shape[1]]
        right = (logits.argmax(dim=1) == targets.argmax(dim=1)).float().mean()
        loss = nn.functional.cross_entropy(logits, targets)
        shared: dict[str, Any] = {"on_epoch": True, "prog_bar": True, "batch_size": len(images), "sync_dist": True}
        self.log("val_accuracy", right, **shared)
        self.log("val_loss", loss, **shared)

    def normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """float 0..255 (N, C, h, w) as the network takes it."""
        mean = torch.tensor(self.preprocessing.mean or 0.0, device=pixels.device).reshape(1, -1, 1, 1)
        std = torch.tensor(self.preprocessing.std or 1.0, device=pixels.device).reshape(1, -1, 1, 1)
        return ((pixels / 255 - mean) / std).contiguous(memory_format=torch.channels_last)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        model, learn = self.recipe.model, self.recipe.learn
        groups = rate_groups(self.network, learn.rate, model.input_rate, learn.weight_decay)
        if self.recipe.learn.optimizer == "sgd":
            return torch.optim.SGD(groups, momentum=0.9, nesterov=True)
        return torch.optim.AdamW(groups)
