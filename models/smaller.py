"""A classifier made smaller or faster: ONNX, int8 weights and activations, pruned weights."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn
from torch.nn.utils import prune as pruning

from faces.dataset import FaceDataset, split_name
from faces.errors import InputError
from models.classifier import Classifier

CLOSE = 1e-4
"""Largest difference of the exported logits from the network's, over their own largest size."""
CALIBRATION = 256
"""Faces by which int8 ranges are set."""
BATCH = 32
OPSET = 17


class FromPixels(nn.Module):
    """``classifier.network`` with its preprocessing inside: float32 (N, C, H, W) of 0..255 to logits (N, K)."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        given = classifier.preprocessing
        self.network = deepcopy(classifier.network).eval()
        self.layout, self.logits = given.layout, classifier.logits
        mean, std = given.mean or (0.0,), given.std or (1.0,)
        scale = torch.tensor([(given.high - given.low) / 255 / s for s in std])
        shift = torch.tensor([(given.low - m) / s for m, s in zip(mean, std, strict=True)])
        self.register_buffer("scale", scale.reshape(1, -1, 1, 1))
        self.register_buffer("shift", shift.reshape(1, -1, 1, 1))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        values = pixels * self.scale + self.shift
        return self.logits(self.network(values.permute(0, 2, 3, 1) if self.layout == "NHWC" else values))


def export_onnx(classifier: Classifier, file: Path | str) -> str:
    """Write ``file`` (.onnx), which takes pixels 0..255 and gives logits, checked against the network.

    Returns what to pass with it: ``--classes ... --input ...``. Raises InputError where the network cannot be exported
    or the file answers otherwise than the network.
    """
    onnxruntime = _runtime()
    given, file = classifier.preprocessing, Path(file)
    network = FromPixels(classifier)
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, given.channels, given.height, given.width)))
    example = pixels.float()
    part = file.with_name(f".{file.name}.part")
    try:
        with _quiet(), torch.no_grad():
            expected = network(example).numpy()
            _export(network, example, part)
        session = onnxruntime.InferenceSession(str(part), providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"pixels": example.numpy()})
        gap = float(np.abs(found - expected).max() / max(1e-12, float(np.abs(expected).max())))
    except Exception as reason:  # exporter and runtime raise without a common base
        part.unlink(missing_ok=True)
        told = (str(reason).strip() or type(reason).__name__).splitlines()[0]
        raise InputError(f"The network of {classifier.name} cannot be written as ONNX ({told}).") from reason
    if gap > CLOSE:
        part.unlink()
        raise InputError(
            f"The ONNX file of {classifier.name} answers otherwise than the network (by {gap:.1g} of the largest "
            f"logit; at most {CLOSE:g} was expected), so it was not kept."
        )
    part.replace(file)
    return options(classifier)


def options(classifier: Classifier) -> str:
    """The command-line options that an exported file of this classifier needs."""
    given = classifier.preprocessing
    colour = "gray" if given.channels == 1 else "rgb"
    return f"--classes {','.join(classifier.labels)} --input {given.height}x{given.width},{colour},0..255"


def quantise(classifier: Classifier, pixels: np.ndarray, file: Path | str) -> str:
    """Write ``file`` (.onnx) with int8 weights and uint8 activations; returns what to pass with it.

    ``pixels`` uint8 (N, H, W, C) at the classifier's size are faces to find the activations' ranges from: some hundred
    of the training part. Weights are scaled per output channel. Raises InputError as :func:`export_onnx` does.
    """
    _runtime()
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as scratch, _quiet():
        plain, prepared, small = (Path(scratch) / name for name in ("plain.onnx", "prepared.onnx", "small.onnx"))
        told = export_onnx(classifier, plain)
        quant_pre_process(plain, prepared)
        quantize_static(
            prepared,
            small,
            _Ranges(pixels),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        part = Path(file).with_name(f".{Path(file).name}.part")
        part.write_bytes(small.read_bytes())
    part.replace(file)
    return told


def calibration(classifier: Classifier, dataset: FaceDataset, images: int = CALIBRATION) -> np.ndarray:
    """uint8 (N, height, width, C): up to ``images`` readable faces, evenly spread over the training part (or all).

    Raises InputError where none can be read.
    """
    splits = {split_name(name) for name in dataset.splits}
    faces = dataset.select("train") if "train" in splits else dataset
    rows = np.unique(np.linspace(0, len(faces) - 1, images).astype(int))
    fit = classifier.preprocessing.fit
    pixels = [fit(image) for _, image in faces.stream(rows.tolist()) if isinstance(image, np.ndarray)]
    if not pixels:
        raise InputError(f"{dataset.provenance.path} has no readable face to set int8 ranges by; pass other --data.")
    return np.stack(pixels)


def prune(classifier: Classifier, share: float) -> Classifier:
    """The classifier with the smallest ``share`` of its convolution and linear weights set to 0, over all layers.

    Nothing is trained after it. Raises InputError for a share outside 0..1.
    """
    if not 0 <= share < 1:
        raise InputError(f"The share {share} of weights cannot be pruned; pass at least 0 and less than 1.")
    network = deepcopy(classifier.network)
    layers = [(module, "weight") for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    pruning.global_unstructured(layers, pruning.L1Unstructured, amount=share)
    for module, name in layers:
        pruning.remove(module, name)
    return replace(classifier, network=network, fingerprint="")


class _Ranges:
    """Batches for the calibration of onnxruntime, which asks until None comes."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.batches = iter(np.array_split(pixels, max(1, len(pixels) // BATCH)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"pixels": batch.transpose(0, 3, 1, 2).astype(np.float32)}


def _runtime() -> ModuleType:
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError as reason:
        raise InputError(
            f"Writing ONNX needs {reason.name}, which is not installed; pip install 'facevalue[onnx]'."
        ) from None
    return onnxruntime


def _export(network: nn.Module, example: torch.Tensor, file: Path) -> None:
    torch.onnx.export(
        network,
        (example,),
        str(file),
        dynamo=False,  # the newer exporter needs onnxscript
        opset_version=OPSET,
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_axes={"pixels": {0: "n"}, "logits": {0: "n"}},
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's advice to use its successor and the quantiser's to prepare what is prepared."""
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
