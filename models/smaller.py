"""A classifier made smaller or faster: ONNX, int8 weights and activations, pruned weights."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
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
from models.probe import images, quiet_eval

CLOSE = 1e-4
"""Largest difference of the exported logits from the network's, over their own largest size."""
CALIBRATION = 256
"""Faces by which int8 ranges are set."""
MADE_UP = 256
"""Pictures by which a pruned network is compared where no faces are at hand."""
BATCH = 32
AGREES = 0.9
"""Share of the faces that ranges are set by which int8 must put in the same class."""
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
    _check_folder(file)
    shape, random = (3, given.channels, given.height, given.width), np.random.default_rng(0)
    example, other = (torch.from_numpy(random.integers(0, 256, shape)).float() for _ in range(2))
    part = file.with_name(f".{file.name}.part")
    try:
        with _quiet(), torch.no_grad():
            network = FromPixels(classifier)
            expected = network(other).numpy()  # what tracing took for constant tells on other pixels alone
            _export(network, example, part)
        session = onnxruntime.InferenceSession(str(part), providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"pixels": other.numpy()})
        gap = float(np.abs(found - expected).max() / max(1e-12, float(np.abs(expected).max())))
    except Exception as reason:  # exporter and runtime raise without a common base
        part.unlink(missing_ok=True)
        raise InputError(
            f"The network of {classifier.name} cannot be written as ONNX ({_told(reason)}); export it with the library "
            "that it was trained with, or bring the code that builds it as factory:FILE.py:FUNCTION@weights."
        ) from reason
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


def quantise(classifier: Classifier, pixels: np.ndarray, file: Path | str, original: Classifier | None = None) -> str:
    """Write ``file`` (.onnx) with int8 weights and uint8 activations.

    Returns what to pass with it and, on a second line, how its answers differ on ``pixels`` from those of ``original``,
    which ``classifier`` was pruned from (itself where it was not). The pixels, uint8 (N, H, W, C) at the classifier's
    size, are faces to find the activations' ranges from: some hundred of the training part. Weights are scaled per
    output channel. Raises InputError as :func:`export_onnx` does, and where the answers differ too much.
    """
    _runtime()
    _check_folder(Path(file))
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as scratch, _quiet():
        plain, prepared, small = (Path(scratch) / name for name in ("plain.onnx", "prepared.onnx", "small.onnx"))
        told = export_onnx(classifier, plain)
        try:
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
        except Exception as reason:  # the quantiser's errors share no base
            raise InputError(
                f"The network of {classifier.name} cannot be made int8 ({_told(reason)}); export it without --int8."
            ) from reason
        original = original or classifier
        found = _checked(original, small, pixels, pruned=original is not classifier)
        part = Path(file).with_name(f".{Path(file).name}.part")
        part.write_bytes(small.read_bytes())
    part.replace(file)
    return f"{told}\n{found}"


def _checked(original: Classifier, file: Path, pixels: np.ndarray, pruned: bool) -> str:
    """How the answers of the int8 file compare with the original's, in words. Raises InputError below AGREES."""
    session = _runtime().InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def of_file(part: np.ndarray) -> torch.Tensor:
        (logits,) = session.run(None, {"pixels": part.transpose(0, 3, 1, 2).astype(np.float32)})
        return torch.from_numpy(logits)

    same, told = _agreement(_answers(original, pixels), _batched(of_file, pixels), "faces")
    if not same >= AGREES:
        remedy = "prune less" if pruned else "set the ranges by more faces like those it was trained on"
        raise InputError(
            f"Made int8{' and pruned' if pruned else ''}, {original.name} answers otherwise than before ({told}; at "
            f"least {AGREES:.0%} in the same class were expected), so it was not kept; {remedy}, or export it without "
            "--int8."
        )
    return f"int8 against the original: {told}"


def difference(original: Classifier, pruned: Classifier) -> str:
    """How the answers of ``pruned`` compare with those of ``original`` on made-up pictures, in words."""
    pixels = images(MADE_UP, original.preprocessing)
    _, told = _agreement(_answers(original, pixels), _answers(pruned, pixels), "made-up pictures")
    return f"pruned against the original: {told}"


def _answers(classifier: Classifier, pixels: np.ndarray) -> torch.Tensor:
    """Probabilities (N, K)."""
    with quiet_eval(classifier.network):
        given = classifier.preprocessing
        return _batched(lambda part: classifier.logits(classifier.network(given.tensor(part))), pixels)


def _batched(logits: Callable[[np.ndarray], torch.Tensor], pixels: np.ndarray) -> torch.Tensor:
    """Probabilities (N, K) of logits that are asked for BATCH images at a time."""
    return torch.cat([logits(part).softmax(dim=1) for part in np.array_split(pixels, -(-len(pixels) // BATCH))])


def _agreement(before: torch.Tensor, after: torch.Tensor, what: str) -> tuple[float, str]:
    """The share of ``what`` that two sets of probabilities (N, K) put in the same class; how they compare, in words."""
    same = float((before.argmax(dim=1) == after.argmax(dim=1)).float().mean())
    gap = float((before - after).abs().max())
    return same, f"{same:.1%} of {len(before)} {what} in the same class, probabilities at most {gap:.3f} apart"


def calibration(classifier: Classifier, dataset: FaceDataset, number: int = CALIBRATION) -> np.ndarray:
    """uint8 (N, height, width, C): up to ``number`` readable faces, evenly spread over the training part (or all).

    Raises InputError where none can be read.
    """
    splits = {split_name(name) for name in dataset.splits}
    faces = dataset.select("train") if "train" in splits else dataset
    rows = np.unique(np.linspace(0, len(faces) - 1, number).astype(int))
    fit = classifier.preprocessing.fit
    pixels = [fit(image) for _, image in faces.stream(rows.tolist()) if isinstance(image, np.ndarray)]
    if not pixels:
        raise InputError(f"{dataset.provenance.path} has no readable face to set int8 ranges by; pass other --data.")
    return np.stack(pixels)


def prune(classifier: Classifier, share: float) -> Classifier:
    """The classifier with the smallest ``share`` of its convolution and linear weights set to 0, over all layers.

    Nothing is trained after it. Raises InputError for a share outside 0..1 and where there are no such layers.
    """
    if not 0 <= share < 1:
        raise InputError(f"The share {share} of weights cannot be pruned; pass at least 0 and less than 1.")
    try:
        network = deepcopy(classifier.network)
    except Exception as reason:  # someone's network may refuse in any way
        raise InputError(
            f"The network of {classifier.name} cannot be pruned ({_told(reason)}); prune it in the library that it was "
            "trained with, or leave --prune out."
        ) from reason
    layers = [(module, "weight") for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    if not layers:
        raise InputError(
            f"The network of {classifier.name} ({classifier.kind}) shows no torch convolution or linear layer; "
            "bring it as a torch network (factory:FILE.py:FUNCTION@weights), or leave --prune out."
        )
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


def _check_folder(file: Path) -> None:
    if file.is_dir():
        raise InputError(f"{file} is a folder, and a file to write was expected; name one, like {file}/model.onnx.")
    if not file.parent.is_dir():
        raise InputError(f"{file} cannot be written: {file.parent} is not a folder; make it, or name another file.")


def _told(reason: Exception) -> str:
    return (str(reason).strip() or type(reason).__name__).splitlines()[0].rstrip(".")


def _runtime() -> ModuleType:
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError as reason:
        raise InputError(
            f"Writing ONNX needs {reason.name}, which is not installed; run make setup, or pip install '.[onnx]'."
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
