"""Classifier: a network with everything needed to use it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from faces.emotions import LabelSet
from faces.errors import InputError

OUTPUTS = ("logits", "probabilities", "sigmoid")
PLAIN = (bool, int, float, complex, str, bytes, torch.dtype, type(None))
"""What a state may hold beside tensors whose text says all of it."""
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
"""Of values 0..1, red, green and blue."""


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become a network's input: resized to ``height`` x ``width``, ``channels`` 1 (grey) or 3 (RGB),

    0..255 mapped linearly to ``low..high``, then ``(x - mean) / std`` per channel where those are given.
    ``layout`` is what the network takes: ``NCHW`` or ``NHWC``.
    """

    height: int
    width: int
    channels: int = 1
    low: float = 0.0
    high: float = 1.0
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    layout: str = "NCHW"

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise InputError(f"The input has {self.channels} channels; 1 (gray) or 3 (rgb) was expected: see --input.")
        if min(self.height, self.width) < 8 or max(self.height, self.width) > 2048:
            raise InputError(
                f"The input size {self.height}x{self.width} is out of range; each side must be 8 to 2048: see --input."
            )

    @classmethod
    def parse(cls, text: str) -> Preprocessing:
        """Read ``"64x64,gray,-1..1"`` as given to ``--input``; a fourth field is ``imagenet`` or ``MEAN/STD``, each
        one number or three joined with ``:``. Raises InputError showing that form."""
        try:
            size, colour, span, *rest = (part.strip().lower() for part in text.split(","))
            height, width = (int(part) for part in size.split("x"))
            low, high = _numbers(span, "..", 2)
            channels = {"gray": 1, "grey": 1, "rgb": 3}[colour]
            mean, std = _scaling(rest, channels)
        except (ValueError, KeyError):
            raise InputError(
                f"The input {text!r} is not understood; height x width, gray or rgb, the value range and, where the "
                "model needs it, imagenet or MEAN/STD (one number each, or one a channel joined with :) were "
                "expected: write it like 64x64,gray,-1..1 or 224x224,rgb,0..1,imagenet."
            ) from None
        if rest == ["imagenet"] and (low, high) != (0, 1):
            raise InputError(
                f"The input {text!r} asks for ImageNet's mean and deviation, which are of values 0..1, on {span}; "
                f"write {size},{colour},0..1,imagenet."
            )
        if low == high:
            raise InputError(
                f"The input {text!r} maps every pixel to {low:g}; a value range whose ends differ was expected: "
                f"write it like {size},{colour},0..1."
            )
        if std is not None and min(std) <= 0:
            raise InputError(
                f"The input {text!r} divides by {min(std):g}; deviations above 0 were expected: write MEAN/STD, "
                "like 0.5/0.5."
            )
        return cls(height, width, channels, low, high, mean, std)

    def as_input(self) -> str:
        """As ``--input`` takes it; what ``parse`` reads."""
        text = f"{self.height}x{self.width},{'gray' if self.channels == 1 else 'rgb'},{self.low:g}..{self.high:g}"
        if self.mean is None or self.std is None:
            return text
        if (self.mean, self.std) == tuple(IMAGENET.values()):
            return f"{text},imagenet"
        mean, std = (":".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"{text},{mean}/{std}"

    def fit(self, image: np.ndarray) -> np.ndarray:
        """One decoded image, uint8 (H, W, 1 or 3 RGB), to uint8 (height, width, channels)."""
        if image.shape[2] != self.channels:
            code = cv2.COLOR_RGB2GRAY if self.channels == 1 else cv2.COLOR_GRAY2RGB
            image = cv2.cvtColor(image, code)
        if image.shape[:2] != (self.height, self.width):
            shrinking = image.shape[0] > self.height or image.shape[1] > self.width
            interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
            image = cv2.resize(image, (self.width, self.height), interpolation=interpolation)
        return image.reshape(self.height, self.width, self.channels)

    def tensor(self, pixels: np.ndarray) -> torch.Tensor:
        """uint8 (N, height, width, channels) to the float32 the network takes, in its layout."""
        values = torch.from_numpy(np.ascontiguousarray(pixels)).to(torch.float32)
        values = values * ((self.high - self.low) / 255.0) + self.low
        if self.mean is not None and self.std is not None:
            values = (values - torch.tensor(self.mean)) / torch.tensor(self.std)
        if self.layout == "NHWC":
            return values
        # permuted, one channel passes for channels-last memory, which networks' .view() fails on
        if self.channels == 1:
            return values.reshape(len(values), 1, self.height, self.width)
        return values.permute(0, 3, 1, 2).contiguous()


@dataclass(frozen=True)
class Classifier:
    """A network, its classes and how to use it.

    ``output`` says what ``network(x)`` returns: ``logits`` (N, K), ``probabilities`` (N, K) or ``sigmoid`` (N, 1 or 2
    classes). ``cam_layer`` is a name in ``network.named_modules()``; None where there are no gradients or hooks.
    ``reshape`` names how that layer's activation becomes (N, C, h, w): ``nchw``, ``nhwc`` or ``tokens:H,W,SKIP``
    (SKIP leading tokens dropped). ``trained_on`` holds the first 8 bytes of each training image's content_id.
    ``kind`` says where it came from (checkpoint, timm, keras, onnx, torchscript, factory).
    """

    network: nn.Module
    labels: LabelSet
    preprocessing: Preprocessing
    kind: str = "checkpoint"
    name: str = ""
    path: str | None = None
    output: str = "logits"
    cam_layer: str | None = None
    reshape: str = "nchw"
    fingerprint: str = ""
    trained_on: frozenset[bytes] = frozenset()
    card: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.output not in OUTPUTS:
            raise InputError(f"The output kind {self.output!r} is not one of {', '.join(OUTPUTS)}; name one of those.")
        if not self.fingerprint:
            object.__setattr__(self, "fingerprint", fingerprint(self.network))

    def with_classes(self, labels: LabelSet) -> Classifier:
        """The same network with its outputs named otherwise. Raises InputError where the numbers differ."""
        if len(labels) != len(self.labels):
            raise InputError(
                f"{len(labels)} classes were given ({', '.join(labels)}) and the model has {len(self.labels)} outputs; "
                "name each output once, in order."
            )
        return replace(self, labels=labels)

    def logits(self, output: torch.Tensor) -> torch.Tensor:
        """What the network returned, as logits (N, K) float32, whose softmax are the probabilities."""
        output = output.float()
        if self.output == "logits":
            return output.flatten(1) if output.ndim > 2 else output
        if self.output == "probabilities":
            return torch.log(output.flatten(1).clamp_min(torch.finfo(output.dtype).tiny))
        score = output.reshape(len(output), -1)[:, :1].clamp(1e-7, 1 - 1e-7)
        return torch.cat([torch.log1p(-score), torch.log(score)], dim=1)


def per_channel(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """One value a channel; where the numbers differ, their mean for each."""
    return tuple(values) if channels == len(values) else (sum(values) / len(values),) * channels


def _numbers(text: str, between: str, *lengths: int) -> tuple[float, ...]:
    """Finite numbers, as many as one of ``lengths``. Raises ValueError."""
    values = tuple(float(part) for part in text.split(between))
    if len(values) not in lengths or not all(math.isfinite(value) for value in values):
        raise ValueError(text)
    return values


def _scaling(rest: list[str], channels: int) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Mean and standard deviation from the fields after the value range. Raises ValueError."""
    if not rest:
        return None, None
    (text,) = rest
    if text == "imagenet":
        return per_channel(IMAGENET["mean"], channels), per_channel(IMAGENET["std"], channels)
    mean, std = (_numbers(part, ":", 1, channels) for part in text.split("/"))
    return per_channel(mean, channels), per_channel(std, channels)


def fingerprint(network: nn.Module) -> str:
    """SHA-256 over the names, shapes and bytes of all weights and buffers, in name order (hex).

    What a module keeps beside tensors counts too: the packed weights of quantised layers, an extra state.
    """
    digest = hashlib.sha256()
    for name, value in sorted(network.state_dict().items(), key=lambda item: item[0]):
        for part in _parts(name, value):
            digest.update(part)
    return digest.hexdigest()


def _parts(name: str, value: Any) -> Iterator[bytes]:
    """The bytes of one entry of a state; the same for equal values, whatever object holds them."""
    if isinstance(value, torch.Tensor):
        value = value.dequantize() if value.is_quantized else value
        yield f"{name}:{tuple(value.shape)}:{value.dtype};".encode()
        yield value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from _parts(f"{name}.{key}", value[key])
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            yield from _parts(f"{name}.{place}", part)
    elif isinstance(value, np.ndarray | np.generic) and value.dtype.kind != "O":
        yield f"{name}:{value.shape}:{value.dtype};".encode()
        yield value.tobytes()
    else:  # the text of other objects may hold where they lie in memory
        told = value if isinstance(value, PLAIN) else type(value).__qualname__
        yield f"{name}:{told!r};".encode()
