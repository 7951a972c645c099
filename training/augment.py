"""Augmentation of a whole batch at once: uint8 pixels in, float 0..255 pixels out, each image changed on its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """How far each image may be changed; every range is drawn uniformly, per image, and 0 switches it off.

    ``flip`` and ``erase`` are probabilities; ``shift`` a share of the side; ``rotate`` degrees; ``scale`` and
    ``contrast`` relative (0.1: 0.9 to 1.1); ``brightness`` a share of 255; ``erase_area`` the largest share of the
    image that one erased rectangle covers.
    """

    flip: float = 0.5
    shift: float = 0.0
    rotate: float = 0.0
    scale: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    erase: float = 0.0
    erase_area: float = 0.2

    def __call__(self, images: torch.Tensor, size: int | None = None) -> torch.Tensor:
        """uint8 (N, C, H, W) to float32 (N, C, size, size), values 0..255; ``size`` None keeps the shape."""
        pixels = images.float()
        pixels = self._moved(pixels, size) if self.moves or size is not None else _flipped(pixels, self.flip)
        pixels = self._lit(pixels)
        return self._erased(pixels) if self.erase else pixels

    @property
    def moves(self) -> bool:
        return bool(self.shift or self.rotate or self.scale)

    def _moved(self, pixels: torch.Tensor, size: int | None) -> torch.Tensor:
        n = len(pixels)
        angle = _uniform(pixels, self.rotate) * (math.pi / 180)
        zoom = 1 + _uniform(pixels, self.scale)
        mirror = torch.where(torch.rand(n, device=pixels.device) < self.flip, -1.0, 1.0)
        cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
        across, down = 2 * _uniform(pixels, self.shift), 2 * _uniform(pixels, self.shift)
        rows = (mirror * cosine, -sine, across, mirror * sine, cosine, down)
        theta = torch.stack(rows, dim=1).reshape(n, 2, 3)
        height, width = (size, size) if size is not None else pixels.shape[2:]
        grid = functional.affine_grid(theta, [n, pixels.shape[1], height, width], align_corners=False)
        return functional.grid_sample(pixels, grid, padding_mode="border", align_corners=False)

    def _lit(self, pixels: torch.Tensor) -> torch.Tensor:
        if not (self.brightness or self.contrast):
            return pixels
        n = len(pixels)
        gain = (1 + _uniform(pixels, self.contrast)).reshape(n, 1, 1, 1)
        lift = (255 * _uniform(pixels, self.brightness)).reshape(n, 1, 1, 1)
        mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
        return ((pixels - mean) * gain + mean + lift).clamp_(0, 255)

    def _erased(self, pixels: torch.Tensor) -> torch.Tensor:
        """Random erasing (Zhong et al. 2020): a rectangle takes the image's mean."""
        n, _, height, width = pixels.shape
        area = torch.rand(n, device=pixels.device) * self.erase_area
        aspect = torch.exp(_uniform(pixels, math.log(2)))
        tall, wide = (area * aspect).sqrt() * height / 2, (area / aspect).sqrt() * width / 2
        y, x = torch.rand(n, device=pixels.device) * height, torch.rand(n, device=pixels.device) * width
        inside_y = (torch.arange(height, device=pixels.device)[None] - y[:, None]).abs() < tall[:, None]
        inside_x = (torch.arange(width, device=pixels.device)[None] - x[:, None]).abs() < wide[:, None]
        chosen = (torch.rand(n, device=pixels.device) < self.erase)[:, None, None]
        hole = (inside_y[:, :, None] & inside_x[:, None, :] & chosen)[:, None]
        return torch.where(hole, pixels.mean(dim=(1, 2, 3), keepdim=True), pixels)


def mixed(
    pixels: torch.Tensor, targets: torch.Tensor, mixup: float, cutmix: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Blend the batch with its own shuffle (Zhang et al. 2018) or paste a rectangle of it (Yun et al. 2019).

    ``pixels`` (N, C, H, W), ``targets`` (N, K) probabilities; ``mixup`` and ``cutmix`` are the Beta parameters, 0 is
    off, and where both are on each batch takes one of them at even odds. Returns the same shapes.
    """
    if not (mixup or cutmix):
        return pixels, targets
    other = torch.randperm(len(pixels))
    pasting = bool(cutmix) and (not mixup or bool(torch.rand(()) < 0.5))
    alpha = cutmix if pasting else mixup
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    if not pasting:
        return torch.lerp(pixels[other], pixels, share), torch.lerp(targets[other], targets, share)
    top, bottom, left, right = _rectangle(pixels.shape[2:], 1 - share)
    pasted = pixels.clone()
    pasted[:, :, top:bottom, left:right] = pixels[other][:, :, top:bottom, left:right]
    kept = 1 - (bottom - top) * (right - left) / (pixels.shape[2] * pixels.shape[3])
    return pasted, torch.lerp(targets[other], targets, kept)


def _rectangle(size: Sequence[int], area: float) -> tuple[int, int, int, int]:
    height, width = size
    tall, wide = int(height * math.sqrt(area)), int(width * math.sqrt(area))
    y, x = int(torch.randint(height, ())), int(torch.randint(width, ()))
    top, left = max(0, y - tall // 2), max(0, x - wide // 2)
    return top, min(height, y + (tall + 1) // 2), left, min(width, x + (wide + 1) // 2)


def _uniform(pixels: torch.Tensor, reach: float) -> torch.Tensor:
    return (2 * torch.rand(len(pixels), device=pixels.device) - 1) * reach


def _flipped(pixels: torch.Tensor, probability: float) -> torch.Tensor:
    chosen = (torch.rand(len(pixels), device=pixels.device) < probability)[:, None, None, None]
    return torch.where(chosen, pixels.flip(-1), pixels)
