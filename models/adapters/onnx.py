"""ONNX files: a torch network through onnx2torch, so that gradients exist; else a black box run by onnxruntime."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from faces.errors import InputError
from models.adapters import onnx_graph, onnx_operators
from models.classifier import Preprocessing
from models.opened import Opened, Request
from models.probe import example, sizes_taken

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

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
    runtime = RuntimeNetwork(path, one_by_one=not batched, classes=len(request.classes) if request.classes else None)
    notes: tuple[str, ...] = ()
    if runtime.whole:
        _check_whole(path, request)
        notes = ("it takes whole numbers (uint8), so it is fed 0..255",)
    if runtime.others:
        notes += (f"of its outputs, {runtime.output} is taken, and {', '.join(runtime.others)} left",)
        onnx_graph.keep_output(model.graph, runtime.output)
    onnx_graph.plain_reshapes(model.graph)
    if not batched:
        onnx_graph.open_batch(model.graph)
    network, reason = _converted(model, runtime, image, request)
    if reason is not None:
        runtime.count(model.graph)
        notes += (f"onnxruntime runs it without gradients, because {reason}: maps come from black-box methods",)
    return Opened(
        network=network,
        kind="onnx",
        name=path.stem,
        path=path,
        layout=image.layout,
        size=image.size,
        channels=image.channels,
        scaling={"high": 255.0} if runtime.whole else None,
        hookable=reason is None,
        fingerprint=onnx_graph.fingerprint(path),
        notes=notes,
    )


class RuntimeNetwork(nn.Module):
    """An ONNX file run by onnxruntime; takes and returns float32 tensors on the CPU, and gives no gradients.

    ``one_by_one`` for graphs made for a batch of one image. Of several outputs, ``output``, the first with as many
    values an image as there are ``classes``, else the last with a row an image, is given, and not ``others``.
    ``whole`` is whether it takes whole numbers alone, to which values are rounded.
    """

    def __init__(self, path: Path, one_by_one: bool, classes: int | None = None) -> None:
        super().__init__()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # sizes that it refuses are tried, and each would be told in red
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            raise InputError(
                f"onnxruntime cannot run {path} ({reason}); export it again with standard operators alone."
            ) from None
        taken = self._session.get_inputs()[0]
        self._input, self._kind = taken.name, KINDS.get(taken.type, np.dtype(np.float32))
        self.whole = self._kind.kind == "u"
        outputs = self._session.get_outputs()
        rows = [output for output in outputs if len(output.shape) == 2 or output.shape[2:] == [1, 1]]
        right = [output for output in rows if output.shape[1] == classes]
        self.output = (right[:1] or rows[-1:] or outputs[:1])[0].name
        self.others = tuple(output.name for output in outputs if output.name != self.output)
        self._one_by_one = one_by_one

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        values = batch.detach().cpu().numpy()
        values = (np.rint(values) if self.whole else values).astype(self._kind)
        parts = np.split(values, len(values)) if self._one_by_one else [values]
        outputs = [self._session.run([self.output], {self._input: part})[0] for part in parts]
        return torch.from_numpy(np.concatenate(outputs)).to(torch.float32)

    def count(self, graph: GraphProto) -> None:
        """Hold the graph's weights as parameters too, for whoever counts them; onnxruntime does not show its own."""
        from onnx import numpy_helper

        values = [numpy_helper.to_array(weight) for weight in graph.initializer]
        tensors = [torch.from_numpy(np.array(value)) for value in values if value.dtype.kind == "f"]
        self.weights = nn.ParameterList([nn.Parameter(value, requires_grad=False) for value in tensors])

    def __deepcopy__(self, memo: dict) -> RuntimeNetwork:
        raise TypeError("onnxruntime runs it as a black box")


def _read(path: Path) -> ModelProto:
    try:
        import onnx
        import onnx2torch  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"Reading {path} needs {error.name}, which is not installed; run make setup, or pip install '.[onnx]'."
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


def _check_whole(path: Path, request: Request) -> None:
    """Raises InputError for an input that rounding to whole numbers of 0 to 255 would change."""
    if request.input is None:
        return
    wanted = replace(request.input, low=0.0, high=255.0, mean=None, std=None)
    if request.input != wanted:
        raise InputError(
            f"{path} takes whole numbers from 0 to 255 (uint8), and the input {request.input.as_input()} has others; "
            f"pass --input {wanted.as_input()}."
        )


def _converted(
    model: ModelProto, runtime: RuntimeNetwork, image: _Input, request: Request
) -> tuple[nn.Module, str | None]:
    """The torch network and None, or the runtime and why the conversion cannot be used.

    onnx2torch knows few operators newer than KNOWN_OPSET, so the graph is tried as it is, translated to that opset, and
    read as if it were of it; what comes out counts only if it computes the same.
    """
    from onnx import version_converter
    from onnx2torch import convert

    onnx_operators.register()
    warnings.filterwarnings("ignore", "Using a non-tuple sequence", UserWarning, "onnx2torch")  # at every slice it runs
    trial = _trial(runtime, image, request)
    height, width = trial.shape[2:] if image.layout == "NCHW" else trial.shape[1:3]
    onnx_graph.simplify(model, (height, width), image.layout)
    readings = (
        lambda: model,
        lambda: version_converter.convert_version(model, onnx_graph.KNOWN_OPSET),
        lambda: onnx_graph.read_as_known(model),
    )
    reasons = []
    for reading in readings:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                network = convert(reading()).eval()
            onnx_operators.share_weights(network)
            if _agree(network, runtime, trial):
                return network, None
            reasons.append("its conversion to torch gives other outputs")
        except Exception as error:  # converters raise whatever they like for what they do not know
            reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
            reasons.append(f"it does not convert to torch ({reason})")
    return runtime, reasons[0]


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
