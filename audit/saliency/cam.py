"""Class activation maps from a layer's activation and the gradients of targets there; raw, before any ReLU.

Every function takes ``activation`` float32 (N, C, h, w) and ``gradient`` (N, T, C, h, w), one for each of T targets, or
(N, T, C, 1, 1) where it is the same at every place (a pooled head), and gives float32 (N, T, h, w). Grad-CAM, XGrad-CAM
and HiResCAM are linear in the gradient, so their maps of ``logit_a - logit_b`` are a subtraction. The small constants
are those of the grad-cam library, the reference these are tested against.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gradcam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Channels weighted by their mean gradient (Selvaraju et al. 2017)."""
    return weighted(activation, gradient.mean(dim=(3, 4)))


def xgradcam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Channels weighted by their activation-weighted gradient (Fu et al. 2020)."""
    total = activation.sum(dim=(2, 3)).unsqueeze(1)
    if is_pooled(gradient):
        credit = gradient[:, :, :, 0, 0] * total
    else:
        credit = torch.einsum("ntchw,nchw->ntc", gradient, activation)
    return weighted(activation, credit / (total + 1e-7))


def hirescam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Gradient times activation, place by place (Draelos and Carin 2020)."""
    if is_pooled(gradient):
        return weighted(activation, gradient[:, :, :, 0, 0])
    return torch.einsum("ntchw,nchw->nthw", gradient, activation)


def gradcam_plusplus(activation: Tensor, gradient: Tensor) -> Tensor:
    """Channels weighted by their positive gradients, places sharing the credit (Chattopadhay et al. 2018)."""
    square = gradient * gradient
    total = activation.sum(dim=(2, 3))[:, None, :, None, None]
    share = square / (2 * square + total * square * gradient + 1e-6)
    repeats = activation[0, 0].numel() // gradient[0, 0, 0].numel()
    return weighted(activation, repeats * (gradient.clamp_min(0) * share).sum(dim=(3, 4)))


def layercam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Positive gradient times activation, place by place (Jiang et al. 2021)."""
    return hirescam(activation, gradient.clamp_min(0))


def weighted(activation: Tensor, weights: Tensor) -> Tensor:
    """Sum of channels (N, C, h, w) by ``weights`` (N, T, C)."""
    n, channels, height, width = activation.shape
    flat = activation.reshape(n, channels, height * width)
    return torch.bmm(weights, flat).reshape(n, -1, height, width)


def is_pooled(gradient: Tensor) -> bool:
    """Whether a gradient (..., h, w) is given once for all places."""
    return gradient.shape[-2:] == (1, 1)
