"""Class activation maps from a layer's activation and the gradient of a target there; raw, before any ReLU.

Every function takes ``activation`` float32 (N, C, h, w) and ``gradient`` of the same shape, or (N, C, 1, 1) where it is
the same at every place (a pooled head), and gives float32 (N, h, w). Grad-CAM, XGrad-CAM and HiResCAM are linear in the
gradient, so their maps of ``logit_a - logit_b`` are a subtraction. The small constants are those of the grad-cam
library, the reference these are tested against.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gradcam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Channels weighted by their mean gradient (Selvaraju et al. 2017)."""
    return weighted(activation, gradient.mean(dim=(2, 3)))


def xgradcam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Channels weighted by their activation-weighted gradient (Fu et al. 2020)."""
    total = activation.sum(dim=(2, 3))
    if gradient.shape == activation.shape:
        credit = torch.einsum("nchw,nchw->nc", gradient, activation)
    else:
        credit = gradient[:, :, 0, 0] * total
    return weighted(activation, credit / (total + 1e-7))


def hirescam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Gradient times activation, place by place (Draelos and Carin 2020)."""
    if gradient.shape != activation.shape:
        return weighted(activation, gradient[:, :, 0, 0])
    return torch.einsum("nchw,nchw->nhw", gradient, activation)


def gradcam_plusplus(activation: Tensor, gradient: Tensor) -> Tensor:
    """Channels weighted by their positive gradients, places sharing the credit (Chattopadhay et al. 2018)."""
    square = gradient * gradient
    total = activation.sum(dim=(2, 3), keepdim=True)
    share = square / (2 * square + total * square * gradient + 1e-6)
    repeats = activation[0, 0].numel() // gradient[0, 0].numel()
    return weighted(activation, repeats * (gradient.clamp_min(0) * share).sum(dim=(2, 3)))


def layercam(activation: Tensor, gradient: Tensor) -> Tensor:
    """Positive gradient times activation, place by place (Jiang et al. 2021)."""
    return hirescam(activation, gradient.clamp_min(0))


def weighted(activation: Tensor, weights: Tensor) -> Tensor:
    """Sum of channels (N, C, h, w) by ``weights`` (N, C)."""
    n, channels, height, width = activation.shape
    flat = activation.reshape(n, channels, height * width)
    return torch.bmm(weights.unsqueeze(1), flat).reshape(n, height, width)
