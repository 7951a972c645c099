"""ONNX as exporters other than torch's usual one write it: same outputs, gradients kept, weights told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from audit.scoring import score
from models import probe
from models.classifier import Classifier
from models.inspect_model import inspect_model
from models.load import load_classifier

CLASSES = "angry,disgust,fear,happy,sad,surprise,neutral"
INPUT = "48x48,gray,0..1"
Sides = list[int | str]


def weights(*shape: int) -> np.ndarray:
    return (np.random.default_rng(sum(shape)).normal(size=shape) / np.prod(shape[1:]) ** 0.5).astype(np.float32)


def write(
    path: Path,
    nodes: list,
    values: dict[str, np.ndarray],
    shape: Sides,
    outputs: dict[str, Sides] | None = None,
    opset: int = 17,
    **more: Any,
) -> Path:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    inputs = [given]
    if opset < 9:  # weights are inputs too
        inputs += [
            helper.make_tensor_value_info(k, numpy_helper.from_array(v).data_type, v.shape) for k, v in values.items()
        ]
    found = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sides)
        for name, sides in (outputs or {"y": [shape[0], 7]}).items()
    ]
    graph = helper.make_graph(nodes, "g", inputs, found, [numpy_helper.from_array(v, k) for k, v in values.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3 if opset < 9 else 8)
    onnx.save(model, path, **more)
    return path


def agrees(classifier: Classifier, path: Path, name: str = "y", atol: float = 1e-5) -> bool:
    """Whether the classifier's probabilities are those of onnxruntime, image by image."""
    pixels = probe.images(3, classifier.preprocessing)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batch = classifier.preprocessing.tensor(pixels).numpy()
    logits = np.concatenate([session.run([name], {"x": image[None]})[0] for image in batch])
    expected = torch.from_numpy(logits).softmax(dim=1).numpy()
    return bool(np.allclose(score(classifier, pixels).probabilities, expected, atol=atol))


def linear(path: Path, seed: int = 0, **more: Any) -> Path:
    nodes = [helper.make_node("Flatten", ["x"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])]
    kernel = np.random.default_rng(seed).normal(size=(2304, 7)).astype(np.float32)
    return write(path, nodes, {"w": kernel}, ["n", 1, 48, 48], **more)


def test_weights_in_a_file_beside_it_count_in_the_fingerprint(tmp_path: Path) -> None:
    found, contents = [], []
    for seed in (0, 1, 0):
        (tmp_path / "w.data").unlink(missing_ok=True)
        path = linear(tmp_path / "net.onnx", seed, save_as_external_data=True, location="w.data", size_threshold=0)
        contents.append(path.read_bytes())
        found.append(load_classifier(path, CLASSES, INPUT).fingerprint)
    assert contents[0] == contents[1] and (tmp_path / "w.data").is_file()
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize("batch", ["n", 1])
def test_reshapes_that_allow_for_a_zero_keep_gradients(tmp_path: Path, batch: int | str) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], "conv", kernel_shape=[3, 3], strides=[2, 2]),
        helper.make_node("Reshape", ["c", "flat"], ["f"], allowzero=1),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
    ]
    values = {"k": weights(4, 1, 3, 3), "flat": np.array([1 if batch == 1 else -1, 2116]), "w": weights(2116, 7)}
    path = write(tmp_path / "net.onnx", nodes, values, [batch, 1, 48, 48])
    classifier = load_classifier(path, CLASSES, INPUT)
    assert classifier.cam_layer == "conv" and agrees(classifier, path)


@pytest.mark.parametrize("same", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("sides", [(48, 48), ("h", "w")])
def test_automatic_pads_become_explicit(tmp_path: Path, same: str, sides: tuple) -> None:
    """As tf2onnx writes: channels last, strides that need more padding on one side."""
    pads = {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": same}
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "k"], ["c"], "conv", **pads),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("MaxPool", ["r"], ["p"], "pool", **pads),
        helper.make_node("Conv", ["p", "k2"], ["c2"], "conv2", **{**pads, "strides": [1, 1]}),
        helper.make_node("GlobalAveragePool", ["c2"], ["g"]),
        helper.make_node("Flatten", ["g"], ["y"]),
    ]
    path = write(tmp_path / "net.onnx", nodes, {"k": weights(5, 1, 3, 3), "k2": weights(7, 5, 3, 3)}, ["n", *sides, 1])
    classifier = load_classifier(path, CLASSES, "48x48,gray,0..255")
    assert classifier.cam_layer is not None and agrees(classifier, path)
    assert score(classifier, probe.images(2, classifier.preprocessing)).maps["gradcam"].shape == (2, 7, 12, 12)


@pytest.mark.parametrize("opset", [8, 17])
def test_a_network_of_the_shape_of_fer_plus_keeps_its_gradients(tmp_path: Path, opset: int) -> None:
    """As CNTK writes: weights among the inputs, automatic pads, dropout with a mask, one image at a time."""
    ratio = {"ratio": 0.25} if opset == 8 else {}
    pads = {"kernel_shape": [3, 3], "strides": [1, 1], "auto_pad": "SAME_UPPER"}
    nodes = [
        helper.make_node("Sub", ["x", "mean"], ["s"]),
        helper.make_node("Conv", ["s", "k"], ["c"], "conv", **pads),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("MaxPool", ["r"], ["p"], "pool", kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Dropout", ["p"], ["d", "mask"], "dropout", **ratio),
        helper.make_node("Reshape", ["d", "flat"], ["f"]),
        helper.make_node("Reshape", ["w", "wide"], ["w2"]),
        helper.make_node("MatMul", ["f", "w2"], ["m"]),
        helper.make_node("Dropout", ["m"], ["y"], "last", **ratio),
    ]
    values = {
        "mean": np.float32(0.5) * np.ones((1, 1, 1), np.float32),
        "k": weights(6, 1, 3, 3),
        "flat": np.array([1, 864]),
        "w": weights(864, 7).reshape(6, 12, 12, 7),
        "wide": np.array([864, 7]),
    }
    path = write(tmp_path / "net.onnx", nodes, values, [1, 1, 48, 48], opset=opset)
    classifier = load_classifier(path, CLASSES, INPUT)
    assert classifier.cam_layer is not None and agrees(classifier, path)


def test_a_reshape_with_its_shape_inside_opens(tmp_path: Path) -> None:
    """As before opset 5."""
    nodes = [helper.make_node("Reshape", ["x"], ["f"], shape=[1, 2304]), helper.make_node("MatMul", ["f", "w"], ["y"])]
    path = write(tmp_path / "net.onnx", nodes, {"w": weights(2304, 7)}, [1, 1, 48, 48], opset=4)
    assert agrees(load_classifier(path, CLASSES, INPUT), path)


@pytest.mark.parametrize(
    ("outputs", "classes", "taken"),
    [
        ({"f": ["n", 2304], "y": ["n", 7]}, CLASSES, "y"),
        ({"y": ["n", 7], "two": ["n", 2]}, CLASSES, "y"),
        ({"y": ["n", 7], "two": ["n", 2]}, None, "two"),
        ({"y": ["n", 7], "z": ["n", 7]}, CLASSES, "y"),
    ],
)
def test_of_several_outputs_one_is_taken_and_named(
    tmp_path: Path, outputs: dict[str, Sides], classes: str | None, taken: str
) -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("MatMul", ["f", "w"], ["y"]),
        helper.make_node("MatMul", ["f", "w2"], ["two"]),
        helper.make_node("Softmax", ["y"], ["z"]),
    ]
    path = write(
        tmp_path / "net.onnx", nodes, {"w": weights(2304, 7), "w2": weights(2304, 2)}, ["n", 1, 48, 48], outputs
    )
    left = next(name for name in outputs if name != taken)
    note = f"of its outputs, {taken} is taken, and {left} left"
    if classes is None:
        found = inspect_model(path, INPUT)
        assert found.outputs == 2 and found.notes[0] == note
    else:
        classifier = load_classifier(path, classes, INPUT)
        assert classifier.card["notes"][0] == note and "without gradients" not in str(classifier.card["notes"])
        assert agrees(classifier, path, taken)


def test_a_black_box_tells_its_weights_and_tries_sizes_silently(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Mish", ["f"], ["m"]),
        helper.make_node("MatMul", ["m", "w"], ["y"]),
    ]
    path = write(tmp_path / "net.onnx", nodes, {"w": weights(2304, 7)}, ["n", 1, "h", "w"], opset=18)
    found = inspect_model(path)
    assert (found.preprocessing.height, found.weights, found.cam_layers) == (48, 2304 * 7, ())
    assert capfd.readouterr() == ("", "")
