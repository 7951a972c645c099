"""How one network learns: augmented batches, the loss, the optimiser, and a moving average of the weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

from models.classifier import Preprocessing
from training.augment import Augmentation, mixed
from training.balance import class_weights
from training.memory import Faces
from training.recipe import Recipe

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
    """Row numbers of an epoch in batches; the order depends on seed and epoch alone, so that resuming repeats it."""

    def __init__(self, n: int, batch: int, seed: int) -> None:
        self.n, self.batch, self.seed = n, min(batch, n), seed

    def __iter__(self) -> Iterator[torch.Tensor]:
        rows = torch.randperm(self.n, generator=torch.Generator().manual_seed(self.seed))
        yield from rows.split(self.batch)[: len(self)]

    def __len__(self) -> int:
        return self.n // self.batch


class Learner(LightningModule):
    """Trains ``network`` on ``training`` and judges the averaged weights on ``validation``."""

    def __init__(
        self, network: nn.Module, recipe: Recipe, preprocessing: Preprocessing, training: Faces, validation: Faces
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.recipe, self.preprocessing = recipe, preprocessing
        self.training_faces, self.validation_faces = training, validation
        kept = recipe.augment.model_dump(exclude={"mixup", "cutmix"})
        self.augmentation = Augmentation(**kept)
        weights = class_weights(training.targets.sum(dim=0), recipe.learn.class_weights)
        self.loss = nn.CrossEntropyLoss(weights, label_smoothing=recipe.learn.label_smoothing)

    @property
    def size(self) -> int:
        """Side of this epoch's images, in pixels."""
        sizes = self.recipe.learn.sizes or (self.recipe.model.size,)
        return sizes[min(len(sizes) - 1, self.current_epoch * len(sizes) // self.recipe.learn.epochs)]

    def train_dataloader(self) -> DataLoader:
        seed = self.recipe.learn.seed * 100_003 + self.current_epoch
        order = Order(len(self.training_faces), self.recipe.learn.batch, seed)
        return DataLoader(Rows(self.training_faces), sampler=order, batch_size=None)

    def val_dataloader(self) -> DataLoader:
        rows = torch.arange(len(self.validation_faces)).split(VALIDATION_BATCH)
        return DataLoader(Rows(self.validation_faces), sampler=rows, batch_size=None)

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(self.recipe.learn.seed * 100_003 + self.current_epoch + 1_000_000 * self.global_rank)

    def training_step(self, batch: tuple[torch.Tensor, ...], index: int) -> torch.Tensor:
        images, targets, _ = batch
        resized = self.size if self.size != images.shape[-1] else None
        pixels, targets = mixed(
            self.augmentation(images, resized), targets, self.recipe.augment.mixup, self.recipe.augment.cutmix
        )
        loss = self.loss(self.network(self.normalised(pixels)), targets)
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(images))
        return loss

    @torch.no_grad()
    def on_train_batch_end(self, *_: object) -> None:
        decay = min(self.recipe.learn.average, (1 + self.global_step) / (AVERAGE_START + self.global_step))
        own = self.network.state_dict()
        for name, value in self.average.state_dict().items():
            if value.is_floating_point() and decay:
                value.lerp_(own[name], 1 - decay)
            else:
                value.copy_(own[name])

    def on_validation_epoch_start(self) -> None:
        self.average.eval()

    def validation_step(self, batch: tuple[torch.Tensor, ...], index: int) -> None:
        images, targets, _ = batch
        logits = self.average(self.normalised(images.float()))
        right = (logits.argmax(dim=1) == targets.argmax(dim=1)).float().mean()
        loss = nn.functional.cross_entropy(logits, targets)
        shared = {"on_epoch": True, "prog_bar": True, "batch_size": len(images), "sync_dist": True}
        self.log("val_accuracy", right, **shared)
        self.log("val_loss", loss, **shared)

    def normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """float 0..255 (N, C, h, w) as the network takes it."""
        mean = torch.tensor(self.preprocessing.mean or 0.0, device=pixels.device).reshape(1, -1, 1, 1)
        std = torch.tensor(self.preprocessing.std or 1.0, device=pixels.device).reshape(1, -1, 1, 1)
        return ((pixels / 255 - mean) / std).contiguous(memory_format=torch.channels_last)

    def configure_optimizers(self) -> dict[str, object]:
        learn, steps = self.recipe.learn, int(self.trainer.estimated_stepping_batches)
        groups = self.parameter_groups()
        if learn.optimizer == "sgd":
            optimizer = torch.optim.SGD(groups, lr=learn.rate, momentum=0.9, nesterov=True)
        else:
            optimizer = torch.optim.AdamW(groups, lr=learn.rate)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": self.schedule(optimizer, steps), "interval": "step"},
        }

    def parameter_groups(self) -> list[dict[str, object]]:
        """Weights with decay, then biases and normalisation without."""
        trained = [weight for weight in self.network.parameters() if weight.requires_grad]
        return [
            {"params": [w for w in trained if w.ndim > 1], "weight_decay": self.recipe.learn.weight_decay},
            {"params": [w for w in trained if w.ndim <= 1], "weight_decay": 0.0},
        ]

    def schedule(self, optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
        """The rate over all steps, as a share of the recipe's."""
        learn = self.recipe.learn
        rise = max(1, round(learn.warmup * steps))
        if learn.schedule == "onecycle":
            rates = [group["lr"] for group in optimizer.param_groups]
            share = min(0.99, max(1e-6, rise / steps))
            return torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, steps, pct_start=share, div_factor=20)
        warm = torch.optim.lr_scheduler.LinearLR(optimizer, 0.05, total_iters=rise)
        if learn.schedule == "constant":
            return warm
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps - rise))
        return torch.optim.lr_scheduler.SequentialLR(optimizer, [warm, fall], [rise])
