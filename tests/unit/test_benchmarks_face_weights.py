"""Folded weights of a TensorFlow.js file become a network that answers the same and can be trained on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.face_weights import layers, plain, tensors, unfolded

WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)


def drawn(folder: Path, kind: str) -> Path:
    """A MobileNet as converters write it: kernels h x w x in x out, batch normalisations folded but for a scale."""
    source = np.random.default_rng(0)
    told: list[dict] = []
    content = b""

    def put(name: str, *shape: int, spread: float, middle: float = 0.0) -> None:
        nonlocal content
        content += (middle + spread * source.standard_normal(shape)).astype(kind).tobytes()
        stored = {"quantization": {"dtype": kind, "original_dtype": "float32"}} if kind != "float32" else {}
        told.append({"name": name, "shape": list(shape), "dtype": "float32", **stored})

    put("conv1/convolution/merged_input", 3, 3, 3, 32, spread=0.3)
    put("conv1_bn/batchnorm_1/sub", 32, spread=0.3)
    before = 32
    for block, width in enumerate(WIDTHS, start=1):
        put(f"conv_dw_{block}/depthwise_kernel", 3, 3, before, 1, spread=0.4)
        put(f"conv_dw_{block}_bn/batchnorm_1/mul", before, spread=0.2, middle=1)
        put(f"conv_dw_{block}_bn/batchnorm_1/sub", before, spread=0.3)
        put(f"conv_pw_{block}/convolution/merged_input", 1, 1, before, width, spread=(2 / before) ** 0.5)
        put(f"conv_pw_{block}_bn/batchnorm_1/sub", width, spread=0.3)
        before = width
    half = len(content) // 2
    for name, part in (("one.bin", content[:half]), ("two.bin", content[half:])):
        (folder / name).write_bytes(part)
    file = folder / "model.json"
    file.write_text(json.dumps({"weightsManifest": [{"paths": ["one.bin", "two.bin"], "weights": told}]}))
    return file


@pytest.mark.parametrize("kind", ["float32", "float16"])
@torch.no_grad()
def test_unfolded_weights_answer_as_the_folded_ones(tmp_path: Path, kind: str) -> None:
    (kernel, shift), *others = layers(tensors(drawn(tmp_path, kind)))
    folded = [(kernel.sum(dim=1, keepdim=True), shift), *others]
    measured, unseen = torch.randn(2, 8, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    network = unfolded(folded, measured)
    expected = plain(folded, unseen)
    assert float(expected.std()) > 0.1 and float((expected > 0).float().mean()) > 0
    torch.testing.assert_close(network(unseen), expected, rtol=1e-3, atol=1e-3)
    # the statistics are those of the images: a first step of training, which takes its batch's, begins there too
    torch.testing.assert_close(network.train()(measured), plain(folded, measured), rtol=1e-3, atol=1e-3)
