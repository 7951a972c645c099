"""ONNX files: a torch network through onnx2torch, so that gradients exist; else a black box run by onnxruntime."""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from faces.errors import InputError
from models.classifier import Preprocessing
from models.opened import Opened, Request
from models.probe import example, sizes_taken

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

KNOWN_OPSET = 17
KINDS: dict[str, np.dtype] = {
    "tensor(double)": np.dtype(np.float64),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(uint8)": np.dtype(np.uint8),
}
"""Numbers that a graph may take besides float32."""
CLOSE = 1e-4
"""Largest difference from onnxruntime's output, over the output's own size, at which a conversion is believed."""


@dataclass(frozen=True)
class _Input:
    """The graph's image input: ``shape`` (N, C, H, W) or (N, H, W, C), None where a side is open."""

    name: str
    shape: tuple[int | None, ...]

    @property
    def layout(self) -> str:
        return "NHWC" if self.shape[1] not in (1, 3) and self.shape[3] in (1, 3) else "NCHW"

    @property
    def channels(self) -> int | None:
        return self.shape[1] if self.layout == "NCHW" else self.shape[3]

    @property
    def size(self) -> tuple[int, int] | None:
        height, width = self.shape[2:] if self.layout == "NCHW" else self.shape[1:3]
        return (height, width) if height and width else None


def open_onnx(path: Path, request: Request) -> Opened:
    """Raises InputError where the extra is not installed, the file is damaged, or it takes no single image."""
    model = _read(path)
    image = _image_input(path, model.graph)
    batched = image.shape[0] != 1
    if not batched:
        _open_batch(model.graph)
    runtime = RuntimeNetwork(path, one_by_one=not batched)
    network, reason = _converted(model, runtime, image, request)
    notes: tuple[str, ...] = ()
    if reason is not None:
        notes = (f"onnxruntime runs it without gradients, because {reason}: maps come from black-box methods",)
    return Opened(
        network=network,
        kind="onnx",
        name=path.stem,
        path=path,
        layout=image.layout,
        size=image.size,
        channels=image.channels,
        hookable=reason is None,
        fingerprint=hashlib.sha256(path.read_bytes()).hexdigest(),
        notes=notes,
    )


class RuntimeNetwork(nn.Module):
    """An ONNX file run by onnxruntime; takes and returns float32 tensors on the CPU, and gives no gradients.

    ``one_by_one`` for graphs made for a batch of one image.
    """

    def __init__(self, path: Path, one_by_one: bool) -> None:
        super().__init__()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise InputError(
                f"onnxruntime cannot run {path} ({reason}); export it again with standard operators alone."
            ) from None
        taken = self._session.get_inputs()[0]
        self._input, self._kind = taken.name, KINDS.get(taken.type, np.dtype(np.float32))
        self._output = self._session.get_outputs()[0].name
        self._one_by_one = one_by_one

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        values = batch.detach().cpu().numpy()
        values = (np.rint(values) if self._kind.kind in "iu" else values).astype(self._kind)
        parts = np.split(values, len(values)) if self._one_by_one else [values]
        outputs = [self._session.run([self._output], {self._input: part})[0] for part in parts]
        return torch.from_numpy(np.concatenate(outputs)).to(torch.float32)


def _read(path: Path) -> ModelProto:
    try:
        import onnx
        import onnx2torch  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"Reading {path} needs {error.name}, which is not installed; pip install 'facevalue[onnx]'."
        ) from None
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf, checker and external-data errors share no base
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} cannot be read as ONNX ({reason}); export it again.") from None
    return model


def _image_input(path: Path, graph: GraphProto) -> _Input:
    weights = {weight.name for weight in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    shapes = [tuple(side.dim_value or None for side in value.type.tensor_type.shape.dim) for value in inputs]
    if len(inputs) != 1 or len(shapes[0]) != 4:
        listed = ", ".join(f"{value.name} {shape}" for value, shape in zip(inputs, shapes, strict=True))
        raise InputError(
            f"{path} takes {listed or 'no input'}; one image tensor with four sides was expected: export the part that "
            "goes from the image to the classes."
        )
    return _Input(inputs[0].name, shapes[0])


def _open_batch(graph: GraphProto) -> None:
    """Let a graph traced with one image take any number: the 1 that a reshape puts first becomes "as it was"."""
    from onnx import numpy_helper

    constants = {weight.name: weight for weight in graph.initializer}
    constants |= {
        node.output[0]: attribute.t
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    for node in graph.node:
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is None:
            continue
        values = numpy_helper.to_array(shape).copy()
        if len(values) > 1 and values[0] == 1:
            values[0] = 0
            shape.CopyFrom(numpy_helper.from_array(values, shape.name))
    for value in (*graph.input, *graph.output, *graph.value_info):
        sides = value.type.tensor_type.shape.dim
        if sides and sides[0].dim_value == 1:
            sides[0].dim_param = "batch"


def _converted(
    model: ModelProto, runtime: RuntimeNetwork, image: _Input, request: Request
) -> tuple[nn.Module, str | None]:
    """The torch network and None, or the runtime and why the conversion cannot be used.

    onnx2torch knows few operators newer than opset KNOWN_OPSET, so the graph is tried as it is, translated to that
    opset, and read as if it were of it; what comes out counts only if it computes the same.
    """
    from onnx import version_converter
    from onnx2torch import convert

    warnings.filterwarnings("ignore", "Using a non-tuple sequence", UserWarning, "onnx2torch")  # at every slice it runs
    trial = _trial(runtime, image, request)
    _name_weights_directly(model.graph)
    readings = (lambda: model, lambda: version_converter.convert_version(model, KNOWN_OPSET), lambda: _as_known(model))
    reasons = []
    for reading in readings:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                network = convert(reading()).eval()
            if _agree(network, runtime, trial):
                return network, None
            reasons.append("its conversion to torch gives other outputs")
        except Exception as error:  # converters raise whatever they like for what they do not know
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            reasons.append(f"it does not convert to torch ({reason})")
    return runtime, reasons[0]


def _name_weights_directly(graph: GraphProto) -> None:
    """Take out the Identity nodes that give one weight several names, as torch's exporter writes weights used twice:
    onnx2torch looks a layer's weights up by name among the initializers alone."""
    weights = {weight.name for weight in graph.initializer}
    meant: dict[str, str] = {}
    for node in list(graph.node):
        if node.op_type == "Identity" and meant.get(node.input[0], node.input[0]) in weights:
            meant[node.output[0]] = meant.get(node.input[0], node.input[0])
            graph.node.remove(node)
    for node in graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = meant.get(name, name)


def _as_known(model: ModelProto) -> ModelProto:
    copy = type(model)()
    copy.CopyFrom(model)
    for opset in copy.opset_import:
        if opset.domain in ("", "ai.onnx"):
            opset.version = min(opset.version, KNOWN_OPSET)
    return copy


def _trial(runtime: RuntimeNetwork, image: _Input, request: Request) -> torch.Tensor:
    """Two pictures to compare outputs on, of the size that the file or the person gives, else one that it takes."""
    channels = image.channels or (request.input.channels if request.input else 1)
    size = image.size or ((request.input.height, request.input.width) if request.input else None)
    if size is None:
        side = next(iter(sizes_taken(runtime, channels, image.layout)), 48)
        size = (side, side)
    return example(Preprocessing(*size, channels, layout=image.layout))


def _agree(network: nn.Module, runtime: RuntimeNetwork, batch: torch.Tensor) -> bool:
    with torch.no_grad():
        for scale in (1.0, 255.0):
            expected, found = runtime(batch * scale), network(batch * scale)
            tolerance = CLOSE * max(1.0, float(expected.abs().max()))
            if found.shape != expected.shape or float((found - expected).abs().max()) > tolerance:
                return False
    return True
