"""An ONNX graph rewritten, in place, into what onnx2torch knows: the same outputs from plainer nodes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

KNOWN_OPSET = 17
"""onnx2torch knows few operators that are newer."""
POOLS = ("Conv", "MaxPool", "AveragePool")


def fingerprint(path: Path) -> str:
    """SHA-256 (hex) of the file and of the files beside it that hold its weights."""
    import onnx

    graph = onnx.load(path, load_external_data=False).graph
    tensors = [*graph.initializer, *(attribute.t for node in graph.node for attribute in node.attribute)]
    places = {entry.value for tensor in tensors for entry in tensor.external_data if entry.key == "location"}
    digest = hashlib.sha256(path.read_bytes())
    for place in sorted(places):
        with (path.parent / place).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def keep_output(graph: GraphProto, name: str) -> None:
    """Leave the output ``name`` alone, and the nodes that lead to it."""
    for value in list(graph.output):
        if value.name != name:
            graph.output.remove(value)
    wanted = {name}
    for node in reversed(list(graph.node)):
        if wanted.isdisjoint(node.output):
            graph.node.remove(node)
        wanted.update(node.input)


def simplify(model: ModelProto, size: tuple[int, int], layout: str) -> None:
    """What onnx2torch does not know though it changes no output; ``size`` (height, width) is that of the images."""
    _name_weights_directly(model.graph)
    _without_dropout(model.graph)
    _with_pads(model, size, layout)


def read_as_known(model: ModelProto) -> ModelProto:
    """A copy that says it is of KNOWN_OPSET where it is newer."""
    copy = type(model)()
    copy.CopyFrom(model)
    for opset in copy.opset_import:
        if opset.domain in ("", "ai.onnx"):
            opset.version = min(opset.version, KNOWN_OPSET)
    return copy


def plain_reshapes(graph: GraphProto) -> None:
    """Take ``allowzero``, which torch's newer exporter writes everywhere, off the reshapes to a shape without a 0."""
    from onnx import numpy_helper

    constants = _constants(graph)
    for node in graph.node:
        shape = constants.get(node.input[1]) if node.op_type == "Reshape" and len(node.input) > 1 else None
        allowing = _attribute(node, "allowzero")
        if shape is not None and allowing is not None and (numpy_helper.to_array(shape) != 0).all():
            node.attribute.remove(allowing)


def open_batch(graph: GraphProto) -> None:
    """Let a graph traced with one image take any number: the 1 that a reshape puts first becomes "as it was"."""
    from onnx import numpy_helper

    constants = _constants(graph)
    for node in graph.node:
        allowing = _attribute(node, "allowzero")
        if node.op_type != "Reshape" or (allowing is not None and allowing.i):
            continue
        given = _attribute(node, "shape")  # before opset 5
        if given is not None and len(given.ints) > 1 and given.ints[0] == 1:
            given.ints[0] = 0
        shape = constants.get(node.input[1]) if len(node.input) > 1 else None
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


def _constants(graph: GraphProto) -> dict[str, TensorProto]:
    constants = {weight.name: weight for weight in graph.initializer}
    constants |= {
        node.output[0]: attribute.t
        for node in graph.node
        if node.op_type == "Constant"
        for attribute in node.attribute
        if attribute.name == "value"
    }
    return constants


def _attribute(node: NodeProto, name: str) -> AttributeProto | None:
    return next((attribute for attribute in node.attribute if attribute.name == name), None)


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


def _without_dropout(graph: GraphProto) -> None:
    """Dropout does nothing outside training, unless the graph asks for training itself or looks at the mask."""
    used = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    meant: dict[str, str] = {}
    for node in list(graph.node):
        for place, name in enumerate(node.input):
            node.input[place] = meant.get(name, name)
        if node.op_type != "Dropout" or any(node.input[2:]) or used & set(node.output[1:]):
            continue
        if any(value.name == node.output[0] for value in graph.output):
            node.op_type = "Identity"
            del node.input[1:], node.output[1:], node.attribute[:]
        else:
            meant[node.output[0]] = node.input[0]
            graph.node.remove(node)


def _with_pads(model: ModelProto, size: tuple[int, int], layout: str) -> None:
    """``auto_pad`` SAME, as TensorFlow and CNTK write, as the pads that it comes to at this size of images."""
    from onnx import helper

    graph = model.graph
    automatic = [node for node in graph.node if node.op_type in POOLS and _same(node)]
    if not automatic:
        return
    shapes = _shapes(model, size, layout)
    for node in automatic:
        kernel, strides, dilations = (
            list(found.ints) if (found := _attribute(node, name)) else None
            for name in ("kernel_shape", "strides", "dilations")
        )
        sides = shapes.get(node.input[0], ())[2:]
        kernel = kernel or list(shapes.get(node.input[1], ())[2:] if len(node.input) > 1 else ())
        if not kernel or len(sides) != len(kernel) or not all(sides):
            continue
        steps, spread = strides or [1] * len(kernel), dilations or [1] * len(kernel)
        total = [
            max(0, (-(-side // step) - 1) * step + (width - 1) * gap + 1 - side)
            for side, width, step, gap in zip(sides, kernel, steps, spread, strict=True)
        ]
        less, more = [pad // 2 for pad in total], [pad - pad // 2 for pad in total]
        pads = less + more if _same(node) == b"SAME_UPPER" else more + less
        for name in ("auto_pad", "pads"):
            found = _attribute(node, name)
            if found is not None:
                node.attribute.remove(found)
        node.attribute.append(helper.make_attribute("pads", pads))


def _same(node: NodeProto) -> bytes:
    found = _attribute(node, "auto_pad")
    return found.s if found is not None and found.s.startswith(b"SAME") else b""


def _shapes(model: ModelProto, size: tuple[int, int], layout: str) -> dict[str, tuple[int, ...]]:
    """Sides of every tensor whose shape can be inferred; 0 where one is open."""
    import onnx

    copy = type(model)()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    weights = {weight.name: tuple(weight.dims) for weight in copy.graph.initializer}
    for value in copy.graph.input:
        if value.name not in weights:
            for place, side in zip((2, 3) if layout == "NCHW" else (1, 2), size, strict=True):
                value.type.tensor_type.shape.dim[place].dim_value = side
    try:
        graph = onnx.shape_inference.infer_shapes(copy).graph
    except Exception:  # inference errors share no base; without shapes the pads stay automatic
        return weights
    found = {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.input)
    }
    return found | weights
