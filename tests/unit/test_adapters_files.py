"""ONNX, TorchScript, timm and bare weights: equal to the network they were made from; what cannot be read is named."""

from __future__ import annotations

import builtins
import json
import os
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import timm
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from audit.scoring import score
from faces.errors import InputError
from models import catalogue, checkpoints, probe
from models.classifier import Classifier, Preprocessing
from models.inspect_model import inspect_model
from models.load import load_again, load_classifier, sniff

CLASSES = "angry,disgust,fear,happy,sad,surprise,neutral"
INPUT = "48x48,gray,-1..1"


class Net(nn.Module):
    """Flattens by ``view``, which exporters write as a reshape to the batch they saw."""

    def __init__(self, softmax: bool = True) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(4), nn.Conv2d(6, 8, 3), nn.ReLU()
        )
        self.head = nn.Linear(8 * 10 * 10, 7)
        self.softmax = softmax

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.features(x)
        logits = self.head(x.view(x.shape[0], -1))
        return logits.softmax(dim=1) if self.softmax else logits


def export(network: nn.Module, path: Path, **more: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network.eval(), (torch.zeros(1, 1, 48, 48),), path, dynamo=False, **more)
    return path


def script(network: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(network.eval(), torch.zeros(1, 1, 48, 48)).save(path)
    return path


def plain_grad_cam(network: Net, batch: torch.Tensor) -> np.ndarray:
    """(N, K, h, w) of the last convolution's activation, one backward pass a class."""
    activation = network.features(batch).detach().requires_grad_()
    logits = network.head(activation.flatten(1))
    maps = []
    for k in range(logits.shape[1]):
        (gradient,) = torch.autograd.grad(logits[:, k].sum(), activation, retain_graph=True)
        maps.append((gradient.mean(dim=(2, 3), keepdim=True) * activation).sum(dim=1).detach().numpy())
    return np.stack(maps, axis=1)


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("open_batch", [True, False])
def test_onnx_gives_the_same_probabilities_and_maps(tmp_path: Path, softmax: bool, open_batch: bool) -> None:
    axes = {"input_names": ["image"], "dynamic_axes": {"image": {0: "n"}}} if open_batch else {}
    network = Net(softmax).eval()
    path = export(network, tmp_path / "net.onnx", **axes)
    classifier = load_classifier(path, CLASSES, INPUT)
    pixels = probe.images(4, classifier.preprocessing)
    batch = classifier.preprocessing.tensor(pixels)
    scored = score(classifier, pixels)
    session = onnxruntime.InferenceSession(str(path))
    name = session.get_inputs()[0].name
    expected = np.concatenate([session.run(None, {name: image[None].numpy()})[0] for image in batch])
    expected = expected if softmax else torch.from_numpy(expected).softmax(1).numpy()
    assert (classifier.kind, classifier.output) == ("onnx", "logits")
    np.testing.assert_allclose(scored.probabilities, expected, atol=1e-5)
    plain = plain_grad_cam(network, batch)
    np.testing.assert_allclose(scored.maps["gradcam"], plain, atol=1e-4 * np.abs(plain).max())
    assert scored.embeddings is not None and scored.embeddings.shape == (4, 800)


def graph(nodes: list, path: Path, shape: tuple, weights: dict[str, np.ndarray] | None = None) -> Path:
    initializers = [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, (None, 7))
    model = helper.make_model(
        helper.make_graph(nodes, "net", [image], [result], initializers),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    onnx.save(model, path)
    return path


def channels_last(path: Path, *middle: Any) -> Path:
    """As TensorFlow exporters write: (N, H, W, C), transposed first."""
    random = np.random.default_rng(0)
    weights = {
        "kernel": random.normal(size=(5, 3, 3, 3)).astype(np.float32),
        "dense": random.normal(size=(5, 7)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["planes"], "to_planes", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "kernel"], ["seen"], "block1.conv"),
        *middle,
        helper.make_node("Relu", ["seen"], ["lit"], "block1.relu"),
        helper.make_node("ReduceMean", ["lit"], ["pooled"], "pool", axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["pooled", "dense"], ["result"], "dense"),
    ]
    return graph(nodes, path, (None, 40, 44, 3), weights)


def test_onnx_with_channels_last(tmp_path: Path) -> None:
    classifier = load_classifier(channels_last(tmp_path / "net.onnx"), CLASSES)
    wanted = classifier.preprocessing
    assert (wanted.layout, wanted.height, wanted.width, wanted.channels) == ("NHWC", 40, 44, 3)
    assert (classifier.cam_layer, classifier.reshape) == ("block1/relu", "nchw")
    assert score(classifier, probe.images(2, wanted)).maps["gradcam"].shape == (2, 7, 38, 42)


def test_onnx_that_does_not_convert_runs_as_a_black_box(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"], axis=1),
        helper.make_node("Mish", ["flat"], ["curved"]),
        helper.make_node("MatMul", ["curved", "dense"], ["result"]),
    ]
    dense = np.random.default_rng(0).normal(size=(48 * 48, 7)).astype(np.float32) / 48
    model = onnx.load(graph(nodes, tmp_path / "net.onnx", (None, 1, 48, 48), {"dense": dense}))
    model.opset_import[0].version = 18
    onnx.save(model, tmp_path / "net.onnx")
    classifier = load_classifier(tmp_path / "net.onnx", CLASSES)
    assert (
        classifier.cam_layer is None and "without gradients, because it does not convert" in classifier.card["notes"][0]
    )
    pixels = probe.images(3, classifier.preprocessing)
    values = classifier.preprocessing.tensor(pixels).flatten(1)
    expected = (torch.nn.functional.mish(values) @ torch.from_numpy(dense)).softmax(1)
    np.testing.assert_allclose(score(classifier, pixels).probabilities, expected, atol=1e-5)
    with pytest.raises(InputError, match="no layer be hooked"):
        load_classifier(tmp_path / "net.onnx", CLASSES, cam_layer="Mish")


@pytest.mark.parametrize("kind", ["DOUBLE", "UINT8"])
def test_onnx_that_takes_other_numbers_than_float32(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other.onnx"
    weights = np.random.default_rng(0).normal(size=(2304, 7), scale=0.001).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["x"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["values"], ["flat"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    taken = helper.make_tensor_value_info("x", getattr(TensorProto, kind), ["n", 1, 48, 48])
    given = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 7])
    graph = helper.make_graph(nodes, "g", [taken], [given], [numpy_helper.from_array(weights, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    classifier = load_classifier(path, CLASSES, None if kind == "UINT8" else "48x48,gray,0..255")
    pixels = probe.images(3, classifier.preprocessing)
    expected = torch.from_numpy(pixels.reshape(3, -1).astype(np.float32) @ weights).softmax(dim=1)
    np.testing.assert_allclose(score(classifier, pixels).probabilities, expected, atol=1e-5)
    for given in ("48x48,gray,0..1", "48x48,gray,0..255,127/64"):
        if kind == "UINT8":
            with pytest.raises(InputError, match=r"whole numbers from 0 to 255.*pass --input 48x48,gray,0\.\.255\."):
                load_classifier(path, CLASSES, given)
        else:
            assert load_classifier(path, CLASSES, given).preprocessing == Preprocessing.parse(given)


def test_the_fingerprint_of_a_black_box_is_of_its_file(tmp_path: Path) -> None:
    one = load_classifier(channels_last(tmp_path / "one.onnx"), CLASSES).fingerprint
    (tmp_path / "two.onnx").write_bytes((tmp_path / "one.onnx").read_bytes())
    assert load_classifier(tmp_path / "two.onnx", CLASSES).fingerprint == one != ""
    export(Net(), tmp_path / "three.onnx")
    assert load_classifier(tmp_path / "three.onnx", CLASSES).fingerprint != one


@pytest.mark.parametrize(("content", "message"), [(b"\x08\x09garbage", "ONNX"), (b"", "ONNX"), (b"hello", "ONNX")])
def test_damaged_onnx(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_classifier(tmp_path / "net.onnx", CLASSES)


def test_onnx_of_something_else_than_an_image(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["image", "dense"], ["result"])]
    path = graph(nodes, tmp_path / "net.onnx", (None, 30), {"dense": np.zeros((30, 7), np.float32)})
    with pytest.raises(InputError, match="one image tensor"):
        load_classifier(path, CLASSES)


@pytest.mark.parametrize(("suffix", "missing", "extra"), [(".onnx", "onnx2torch", "onnx"), (".h5", "h5py", "keras")])
def test_extras_that_are_not_installed_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, missing: str, extra: str
) -> None:
    head = {".onnx": b"\x08\x09", ".h5": b"\x89HDF\r\n\x1a\n"}[suffix]
    (tmp_path / f"net{suffix}").write_bytes(head + bytes(20))
    real = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == missing:
            raise ImportError(name=missing)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=rf"{missing}, which is not installed; run make setup, or .* '\.\[{extra}\]'"):
        load_classifier(tmp_path / f"net{suffix}", CLASSES)


def test_torchscript_gives_the_same_probabilities_and_says_what_it_lacks(tmp_path: Path) -> None:
    network = Net().eval()
    classifier = load_classifier(script(network, tmp_path / "net.pt"), CLASSES, INPUT)
    pixels = probe.images(4, classifier.preprocessing)
    with torch.no_grad():
        expected = network(classifier.preprocessing.tensor(pixels))
    scored = score(classifier, pixels)
    np.testing.assert_allclose(scored.probabilities, expected, atol=1e-6)
    assert (classifier.kind, classifier.output, classifier.cam_layer) == ("torchscript", "probabilities", None)
    assert scored.maps == {} and "black-box" in classifier.card["notes"][0]


def test_frozen_torchscript_is_told_apart_by_its_file(tmp_path: Path) -> None:
    """Freezing makes constants of the weights, which no state_dict holds."""
    other = Net()
    nn.init.zeros_(other.head.bias)
    first, second = (tmp_path / "one.pt", tmp_path / "two.pt")
    for network, path in ((Net(), first), (other, second)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(torch.jit.freeze(torch.jit.script(network.eval())), path)
    classifier = load_classifier(first, CLASSES, INPUT)
    model = described(classifier, tmp_path)
    assert load_again(model, tmp_path).fingerprint == classifier.fingerprint
    with pytest.raises(InputError, match="other weights than"):
        load_again(model, tmp_path, str(second))


def test_torchscript_tells_its_size_where_only_one_fits(tmp_path: Path) -> None:
    found = inspect_model(script(Net(), tmp_path / "net.pt"))
    assert (found.preprocessing.height, found.preprocessing.channels, found.cam_layers) == (48, 1, ())
    assert "black-box methods only" in found.text()


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224", "mobilenetv2_050"])
@pytest.mark.parametrize("channels", [1, 3])
def test_timm_networks(tmp_path: Path, name: str, channels: int) -> None:
    torch.manual_seed(0)
    size = {"img_size": 64} if name.startswith("vit") else {}
    network = timm.create_model(name, num_classes=7, in_chans=channels, **size).eval()
    torch.save({"model": {f"module.{key}": value for key, value in network.state_dict().items()}}, tmp_path / "w.pth")
    given = f"64x64,{'gray' if channels == 1 else 'rgb'},0..1"
    classifier = load_classifier(f"timm:{name}@{tmp_path}/w.pth", CLASSES, given)
    pixels = probe.images(2, classifier.preprocessing)
    with torch.no_grad():
        expected = network(classifier.preprocessing.tensor(pixels)).softmax(dim=1)
    scored = score(classifier, pixels)
    np.testing.assert_allclose(scored.probabilities, expected, atol=1e-6)
    assert scored.maps["gradcam"].shape[:2] == (2, 7) and classifier.kind == "timm"


def test_layers_that_are_listed_can_be_named_and_the_best_comes_first(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = timm.create_model("vit_tiny_patch16_224", num_classes=7, in_chans=1, img_size=64)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    spec, given = f"timm:vit_tiny_patch16_224@{tmp_path}/w.pth", "64x64,gray,0..1"
    found = inspect_model(spec, given)
    names = [layer.name for layer in found.cam_layers]
    assert names[0] == found.cam_layer == "blocks.11.norm1" and len(names) > 3
    assert f"maps from {names[0]} (4x4)\nor from   {names[1]} (4x4), {names[2]}" in found.text()
    for name in names:
        assert load_classifier(spec, CLASSES, given, name).cam_layer == name


def test_timm_takes_weights_from_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    torch.save(timm.create_model("resnet18", num_classes=7).state_dict(), tmp_path / "w.pth")
    found = load_classifier("timm:resnet18@~/w.pth", CLASSES)
    assert found.card["spec"] == f"timm:resnet18@{tmp_path}/w.pth"


def test_timm_brings_its_own_size_and_scaling(tmp_path: Path) -> None:
    network = timm.create_model("resnet18", num_classes=7)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    found = load_classifier(f"timm:resnet18@{tmp_path}/w.pth", CLASSES)
    assert (found.preprocessing.height, found.preprocessing.channels) == (224, 3)
    assert found.preprocessing.mean == pytest.approx((0.485, 0.456, 0.406))
    assert "timm's own" in found.card["notes"][0]
    with pytest.raises(InputError, match="did you mean"):
        load_classifier(f"timm:resnet1@{tmp_path}/w.pth", CLASSES)
    with pytest.raises(InputError, match="resnet34|lacks"):
        load_classifier(f"timm:resnet34@{tmp_path}/w.pth", CLASSES)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_weights_of_our_own_networks_are_recognised(tmp_path: Path, suffix: str) -> None:
    from safetensors.torch import save_file

    network = catalogue.build("tiny", 5, 3)
    state = network.state_dict()
    torch.save(state, tmp_path / "w.pt") if suffix == ".pt" else save_file(state, tmp_path / "w.safetensors")
    found = load_classifier(tmp_path / f"w{suffix}", "angry,fear,happy,sad,surprise", "48x48,rgb,0..1")
    assert len(found.labels) == 5 and found.cam_layer is not None


def test_weights_of_an_unknown_network_ask_for_it(tmp_path: Path) -> None:
    torch.save(Net().state_dict(), tmp_path / "w.pt")
    with pytest.raises(InputError, match=r"weights alone.*timm:NAME@.*factory:FILE\.py:FUNCTION@"):
        load_classifier(tmp_path / "w.pt", CLASSES)
    torch.save({"epoch": 3}, tmp_path / "w.pt")
    with pytest.raises(InputError, match="dictionary of epoch and no weights"):
        load_classifier(tmp_path / "w.pt", CLASSES)


def test_a_checkpoint_folder_takes_what_the_person_says(tmp_path: Path) -> None:
    network = tmp_path / "w.pt"
    torch.save(catalogue.build("tiny", 7, 1).state_dict(), network)
    first = load_classifier(network, CLASSES, INPUT)
    folder = checkpoints.save(first, tmp_path / "model", {"network": {"name": "tiny", "channels": 1}})
    plain = load_classifier(folder)
    assert plain.labels.names == tuple(CLASSES.split(",")) and plain.kind == "checkpoint"
    other = "neutral,happy,surprise,sad,angry,disgust,fear"
    changed = load_classifier(folder, other, "64x64,gray,0..1", "features.0")
    assert changed.labels.names == tuple(other.split(",")) and changed.cam_layer == "features.0"
    assert changed.preprocessing.height == 64
    assert load_classifier(folder / "weights.safetensors").fingerprint == plain.fingerprint
    with pytest.raises(InputError, match="5 classes were given"):
        load_classifier(folder, "angry,fear,happy,sad,surprise")
    with pytest.raises(InputError, match="--input"):
        load_classifier(folder, None, "64x64,rgb,0..1")
    found = inspect_model(folder)
    assert found.classes == plain.labels.names and found.cam_layer == plain.cam_layer
    assert found.as_dict()["weights"] == found.weights > 10000


def test_other_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="no model that can be read"):
        sniff(tmp_path / "notes.txt")
    (tmp_path / "saved_model.pb").write_text("")
    with pytest.raises(InputError, match="SavedModel"):
        load_classifier(tmp_path, CLASSES)
    np.savez(tmp_path / "arrays.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="holds no model"):
        sniff(tmp_path / "arrays.npz")


@pytest.mark.parametrize("text", ["0..1", "-1..1", "0..255"])
def test_the_value_range_is_guessed_from_the_first_batch_normalisation(tmp_path: Path, text: str) -> None:
    """The statistics are learnt from other pictures than those the guess is made with."""
    wanted = Preprocessing.parse(f"48x48,gray,{text}")
    network = Net(softmax=False).train()
    random = np.random.default_rng(9)
    for _ in range(60):
        blobs = random.uniform(20, 235, size=(8, 4, 4, 1)).repeat(12, axis=1).repeat(12, axis=2)
        network(wanted.tensor(np.clip(blobs + random.normal(size=blobs.shape) * 8, 0, 255).astype(np.uint8)))
    path = tmp_path / "w.pt"
    torch.save(network.state_dict(), path)
    (tmp_path / "build.py").write_text(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "def build():\n    from tests.unit.test_adapters_files import Net\n    return Net(softmax=False)\n"
    )
    found = load_classifier(f"factory:{tmp_path}/build.py:build@{path}", CLASSES)
    assert (found.preprocessing.low, found.preprocessing.high) == (wanted.low, wanted.high)
    assert f"{text} is guessed" in found.card["notes"][-1]


def described(classifier: Classifier, run: Path) -> dict[str, Any]:
    """As the manifest of a run describes a model."""
    path = Path(str(classifier.path)).resolve()
    fields = ("kind", "fingerprint", "cam_layer", "card")
    return {
        **{name: getattr(classifier, name) for name in fields},
        "path": str(path),
        "relative_path": os.path.relpath(path, run),
        "classes": list(classifier.labels),
        "preprocessing": json.loads(json.dumps(asdict(classifier.preprocessing))),
    }


def test_the_model_of_a_run_is_loaded_again(tmp_path: Path) -> None:
    (tmp_path / "kept" / "run").mkdir(parents=True)
    run = tmp_path / "kept" / "run"
    network = timm.create_model("resnet18", num_classes=7)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    first = load_classifier(f"timm:resnet18@{tmp_path}/w.pth", CLASSES, cam_layer="layer3")
    again = load_again(described(first, run), run)
    assert (again.fingerprint, again.cam_layer, again.preprocessing) == (
        first.fingerprint,
        "layer3",
        first.preprocessing,
    )
    path = export(Net(), tmp_path / "kept" / "net.onnx")
    model = described(load_classifier(path, CLASSES, INPUT), run)
    (tmp_path / "kept").rename(tmp_path / "moved")
    moved = tmp_path / "moved" / "run"
    other = Net()
    nn.init.zeros_(other.head.bias)
    assert load_again(model, moved).kind == "onnx"
    export(other, tmp_path / "moved" / "net.onnx")
    with pytest.raises(InputError, match="other weights than run"):
        load_again(model, moved)
    with pytest.raises(InputError, match="is not there"):
        load_again(model, tmp_path)
