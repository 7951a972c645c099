"""Keras files: the same probabilities as Keras, the same Grad-CAM as a plain computation, old files, refusals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from audit.saliency.trust import cascading_randomisation
from audit.scoring import score
from faces.errors import InputError
from models import probe
from models.adapters.keras import import_keras
from models.classifier import fingerprint
from models.inspect_model import inspect_model
from models.load import load_classifier
from tests.conftest import ROOT

CLASSES = "angry,disgust,fear,happy,sad,surprise,neutral"


@pytest.fixture(autouse=True)
def keras() -> Iterator[Any]:
    """keras on torch; what it warns of while the test builds and saves models is not ours."""
    keras = import_keras(Path("the test"))
    keras.utils.set_random_seed(7)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield keras


def functional(keras: Any) -> Any:
    layers = keras.layers
    image = keras.Input((48, 48, 1))
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    shortcut = layers.Conv2D(16, 1, strides=2)(x)
    x = layers.SeparableConv2D(16, 3, padding="same")(x)
    x = layers.MaxPooling2D(padding="same")(x)
    x = layers.Add()([x, shortcut])
    x = layers.LayerNormalization()(layers.Dropout(0.5)(x))
    x = layers.Conv2D(12, 3, padding="same", activation="relu", name="last_conv")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return randomised(keras.Model(image, layers.Dense(7, activation="softmax")(x)))


def sequential(keras: Any) -> Any:
    layers = keras.layers
    return randomised(
        keras.Sequential(
            [
                keras.Input((64, 64, 3)),
                layers.Conv2D(8, 3, activation="elu"),
                layers.BatchNormalization(),
                layers.MaxPooling2D(),
                layers.Conv2D(8, 3, name="last_conv"),
                layers.LeakyReLU(),
                layers.Flatten(),
                layers.Dropout(0.25),
                layers.Dense(7),
                layers.Softmax(),
            ]
        )
    )


def nested(keras: Any) -> Any:
    layers = keras.layers
    image = keras.Input((32, 40, 1))
    x = layers.Conv2D(6, 3, activation="relu", name="last_conv")(image)
    body = keras.Model(image, x, name="body")
    head = [layers.Dense(16, activation="relu"), layers.Dense(7), layers.Activation("softmax")]
    return randomised(keras.Sequential([body, layers.GlobalAveragePooling2D(), *head]))


def randomised(model: Any) -> Any:
    """Weights as after training: none zero, batch statistics away from 0 and 1."""
    random = np.random.default_rng(3)
    model.set_weights([np.abs(random.normal(0.4, 0.2, value.shape)) * _signs(value) for value in model.get_weights()])
    return model


def _signs(value: np.ndarray) -> np.ndarray | float:
    return np.random.default_rng(5).choice([-1.0, 1.0], value.shape) if value.ndim > 1 else 1.0


MODELS = {"functional": functional, "sequential": sequential, "nested": nested}


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".hdf5"])
@pytest.mark.parametrize("kind", MODELS)
def test_probabilities_equal_keras_own(keras: Any, tmp_path: Path, kind: str, suffix: str) -> None:
    model = MODELS[kind](keras)
    path = tmp_path / f"model{suffix}"
    model.save(path)
    given = None if kind == "functional" else input_option(model)
    classifier = load_classifier(path, CLASSES, given)
    pixels = probe.images(5, classifier.preprocessing)
    expected = model.predict(classifier.preprocessing.tensor(pixels).numpy(), verbose=0)
    assert classifier.kind == "keras" and classifier.output == "logits"
    np.testing.assert_allclose(score(classifier, pixels).probabilities, expected, atol=1e-5)


def input_option(model: Any) -> str:
    _, height, width, channels = model.input_shape
    return f"{height}x{width},{'gray' if channels == 1 else 'rgb'},0..1"


@pytest.mark.parametrize("kind", MODELS)
def test_grad_cam_equals_a_plain_computation(keras: Any, tmp_path: Path, kind: str) -> None:
    model = MODELS[kind](keras)
    model.save(tmp_path / "model.keras")
    classifier = load_classifier(tmp_path / "model.keras", CLASSES, input_option(model), "last_conv")
    pixels = probe.images(3, classifier.preprocessing)
    found = score(classifier, pixels).maps["gradcam"]
    expected = plain_grad_cam(keras, model, classifier.preprocessing.tensor(pixels))
    for image, truth in zip(found.reshape(-1, *found.shape[2:]), expected.reshape(-1, *found.shape[2:]), strict=True):
        np.testing.assert_allclose(image, truth, atol=1e-4 * np.abs(truth).max())


def plain_grad_cam(keras: Any, model: Any, batch: torch.Tensor) -> np.ndarray:
    """(N, K, h, w): one model from image to layer, one from layer to logits, one backward pass an image and class."""
    body = model.layers[0] if hasattr(model.layers[0], "layers") else model
    layer = body.get_layer("last_conv")
    activation = keras.Model(body.inputs, layer.output)(batch).detach().requires_grad_()
    later = [*body.layers[body.layers.index(layer) + 1 :], *(model.layers[1:] if body is not model else [])]
    logits = activation
    for step in later:
        softmax = keras.activations.softmax
        if type(step).__name__ == "Softmax" or (type(step).__name__ == "Activation" and step.activation is softmax):
            continue
        if getattr(step, "activation", None) is softmax:
            logits = logits @ step.kernel.value + step.bias.value
        else:
            logits = step(logits)
    maps = []
    for k in range(logits.shape[1]):
        (gradient,) = torch.autograd.grad(logits[:, k].sum(), activation, retain_graph=True)
        weights = gradient.mean(dim=(1, 2), keepdim=True)
        maps.append((weights * activation.detach()).sum(dim=3).numpy())
    return np.stack(maps, axis=1)


def test_the_map_layer_is_found_and_is_the_last_with_positions(keras: Any, tmp_path: Path) -> None:
    functional(keras).save(tmp_path / "model.keras")
    classifier = load_classifier(tmp_path / "model.keras", CLASSES)
    assert (classifier.cam_layer, classifier.reshape) == ("last_conv", "nhwc")
    assert score(classifier, probe.images(2, classifier.preprocessing)).maps["gradcam"].shape == (2, 7, 24, 24)


def test_what_rescales_inside_is_fed_raw_pixels(keras: Any, tmp_path: Path) -> None:
    functional(keras).save(tmp_path / "model.keras")
    classifier = load_classifier(tmp_path / "model.keras", CLASSES)
    assert (classifier.preprocessing.low, classifier.preprocessing.high) == (0, 255)
    assert "rescaling" in classifier.card["notes"][0] and "was made for 0..255" in classifier.card["notes"][0]
    assert not any("--input" in note for note in classifier.card["notes"])


def test_an_input_that_is_told_wins_over_what_rescales_inside(keras: Any, tmp_path: Path) -> None:
    functional(keras).save(tmp_path / "model.keras")
    found = inspect_model(tmp_path / "model.keras", "48x48,gray,0..1")
    assert found.preprocessing.high == 1
    told = "--input's scaling is used and the file's own (0..255) is not; 48x48,gray,0..255 takes that"
    assert told in found.notes and "fed" not in " ".join(found.notes)


def test_pixels_that_the_model_multiplies_by_255_are_fed_from_0_to_1(keras: Any, tmp_path: Path) -> None:
    image = keras.Input((32, 32, 1))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(image * 255.0))
    keras.Model(image, keras.layers.Dense(7)(x)).save(tmp_path / "model.keras")
    found = load_classifier(tmp_path / "model.keras", CLASSES)
    assert found.preprocessing.high == 1 and "was made for 0..1" in found.card["notes"][0]


def test_mixed_precision(keras: Any, tmp_path: Path) -> None:
    layers, kind = keras.layers, "mixed_float16"
    body = [layers.Conv2D(8, 3, activation="relu", dtype=kind), layers.GlobalAveragePooling2D(dtype=kind)]
    head = layers.Dense(7, activation="softmax", dtype=kind)
    model = keras.Sequential([keras.Input((32, 32, 1)), *body, head])
    model.save(tmp_path / "model.keras")
    classifier = load_classifier(tmp_path / "model.keras", CLASSES, "32x32,gray,0..1")
    pixels = probe.images(3, classifier.preprocessing)
    expected = model.predict(classifier.preprocessing.tensor(pixels).numpy(), verbose=0)
    scored = score(classifier, pixels)
    np.testing.assert_allclose(scored.probabilities, expected.astype(np.float32), atol=2e-3)
    assert scored.maps["gradcam"].any()


def test_a_single_sigmoid_becomes_two_classes(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((48, 48, 1)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(1, activation="sigmoid")]
    )
    model.save(tmp_path / "model.h5")
    classifier = load_classifier(tmp_path / "model.h5", "sad,happy", "48x48,gray,0..1")
    pixels = probe.images(4, classifier.preprocessing)
    expected = model.predict(classifier.preprocessing.tensor(pixels).numpy(), verbose=0)[:, 0]
    scored = score(classifier, pixels)
    np.testing.assert_allclose(scored.probabilities[:, 1], expected, atol=1e-5)
    np.testing.assert_allclose(scored.maps["gradcam"][:, 0], -scored.maps["gradcam"][:, 1], atol=1e-6)


def test_the_fingerprint_is_of_the_weights_alone(keras: Any, tmp_path: Path) -> None:
    model = functional(keras)
    model.save(tmp_path / "one.keras")
    model.save(tmp_path / "two.h5")
    one, again, two = (load_classifier(tmp_path / name, CLASSES) for name in ("one.keras", "one.keras", "two.h5"))
    assert one.fingerprint == again.fingerprint == two.fingerprint
    randomised(functional(keras)).layers[-1].set_weights([np.ones((12, 7)), np.ones(7)])
    model.layers[-1].set_weights([np.ones((12, 7)), np.ones(7)])
    model.save(tmp_path / "other.h5")
    assert load_classifier(tmp_path / "other.h5", CLASSES).fingerprint != one.fingerprint


def test_the_kind_is_told_by_content_not_by_name(keras: Any, tmp_path: Path) -> None:
    functional(keras).save(tmp_path / "model.h5")
    renamed = (tmp_path / "model.h5").rename(tmp_path / "model.keras")
    assert load_classifier(renamed, CLASSES).kind == "keras"


def test_hooks_and_modes_are_left_as_found(keras: Any, tmp_path: Path) -> None:
    functional(keras).save(tmp_path / "model.keras")
    network = load_classifier(tmp_path / "model.keras", CLASSES).network
    assert not any(module.training or module._forward_hooks for module in network.modules())


def keras_2017(path: Path, *, sequential_list: bool = False, extra: dict | None = None) -> Any:
    """Write a mini-Xception as Keras 2.0.5 did in 2017, and return the same model in keras 3."""
    import keras

    layers = keras.layers
    image = keras.Input((64, 64, 1))
    x = layers.Conv2D(4, 3, use_bias=False, name="conv2d_1")(image)
    x = layers.BatchNormalization(name="batch_normalization_1")(x)
    x = layers.Activation("relu", name="activation_1")(x)
    x = layers.SeparableConv2D(7, 3, padding="same", use_bias=False, name="separable_conv2d_1")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="max_pooling2d_1")(x)
    x = layers.LeakyReLU(0.1, name="leaky_re_lu_1")(x)
    x = layers.Dropout(0.5, name="dropout_1")(x)
    x = layers.GlobalAveragePooling2D(name="global_average_pooling2d_1")(x)
    model = randomised(keras.Model(image, layers.Activation("softmax", name="predictions")(x)))
    old = {
        "conv2d_1": ("Conv2D", {"filters": 4, "kernel_size": [3, 3], "strides": [1, 1], "padding": "valid",
                                "data_format": "channels_last", "dilation_rate": [1, 1], "activation": "linear",
                                "use_bias": False, "kernel_initializer": VARIANCE, "kernel_regularizer": L2,
                                "kernel_constraint": None, "bias_initializer": ZEROS}),
        "batch_normalization_1": ("BatchNormalization", {"axis": -1, "momentum": 0.99, "epsilon": 0.001, "center": True,
                                                         "scale": True, "beta_initializer": ZEROS,
                                                         "moving_variance_initializer": {"class_name": "Ones",
                                                                                         "config": {}}}),
        "activation_1": ("Activation", {"activation": "relu"}),
        "separable_conv2d_1": ("SeparableConv2D", {"filters": 7, "kernel_size": [3, 3], "strides": [1, 1],
                                                   "padding": "same", "data_format": "channels_last",
                                                   "activation": "linear", "use_bias": False, "depth_multiplier": 1,
                                                   "depthwise_initializer": VARIANCE, "kernel_initializer": VARIANCE,
                                                   "kernel_regularizer": L2, "kernel_constraint": None, "groups": 1,
                                                   "pointwise_initializer": VARIANCE}),
        "max_pooling2d_1": ("MaxPooling2D", {"pool_size": [3, 3], "padding": "same", "strides": [2, 2],
                                             "data_format": "channels_last"}),
        "leaky_re_lu_1": ("LeakyReLU", {"alpha": {"type": "ndarray", "value": 0.1}}),
        "dropout_1": ("Dropout", {"rate": 0.5}),
        "global_average_pooling2d_1": ("GlobalAveragePooling2D", {"data_format": "channels_last"}),
        "predictions": ("Activation", {"activation": "softmax"}),
    }  # fmt: skip
    entries = [
        {"class_name": kind, "config": {"name": name, "trainable": True, **config, **((extra or {}).get(name, {}))}}
        for name, (kind, config) in old.items()
    ]
    first = {"batch_input_shape": [None, 64, 64, 1], "dtype": "float32"}
    if sequential_list:
        entries[0]["config"] |= first
        config = {"class_name": "Sequential", "config": entries}
    else:
        config = {"class_name": "Model", "config": chained(entries, first)}
    write_2017(path, config, model)
    return model


VARIANCE = {"class_name": "VarianceScaling", "config": {"scale": 1.0, "mode": "fan_avg", "distribution": "normal"}}
L2 = {"class_name": "L1L2", "config": {"l1": 0.0, "l2": 0.01}}
ZEROS = {"class_name": "Zeros", "config": {}}


def chained(entries: list[dict], first: dict) -> dict:
    """The configuration of a functional model whose layers follow one another, as Keras 2 wrote it."""
    image = {"class_name": "InputLayer", "name": "input_1", "inbound_nodes": [],
             "config": {**first, "sparse": False, "name": "input_1"}}  # fmt: skip
    layers, before = [image], "input_1"
    for entry in entries:
        name = entry["config"]["name"]
        layers.append({**entry, "name": name, "inbound_nodes": [[[before, 0, 0, {}]]]})
        before = name
    return {"name": "model_1", "layers": layers, "input_layers": [["input_1", 0, 0]], "output_layers": [[before, 0, 0]]}


def write_2017(path: Path, config: dict, model: Any) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"2.0.5"
        file.attrs["backend"] = b"tensorflow"
        file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["training_config"] = json.dumps({"loss": "a_loss_nobody_knows"}).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        group.attrs["keras_version"] = b"2.0.5"
        for layer in model.layers:
            inner = group.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            inner.attrs["weight_names"] = [name.encode() for name in names]
            for name, value in zip(names, layer.get_weights(), strict=True):
                inner[name] = value


@pytest.mark.parametrize("sequential_list", [False, True], ids=["functional", "sequential as a list"])
def test_a_model_of_2017(tmp_path: Path, sequential_list: bool) -> None:
    path = tmp_path / "mini_xception.hdf5"
    model = keras_2017(path, sequential_list=sequential_list)
    classifier = load_classifier(path, CLASSES, "64x64,gray,-1..1")
    pixels = probe.images(4, classifier.preprocessing)
    expected = model.predict(classifier.preprocessing.tensor(pixels).numpy(), verbose=0)
    scored = score(classifier, pixels)
    np.testing.assert_allclose(scored.probabilities, expected, atol=1e-5)
    assert scored.maps["gradcam"].shape == (4, 7, 31, 31)


def gated(keras: Any, gate: Any) -> Any:
    """A model with ``gate`` at the three places where a file may name an activation."""
    layers = keras.layers
    image = keras.Input((24, 24, 1))
    x = layers.Activation(gate)(layers.Conv2D(4, 3, activation=gate)(image))
    x = layers.LSTM(5, recurrent_activation=gate)(layers.Reshape((22, 88))(x))
    return keras.Model(image, layers.Dense(7, activation="softmax")(x))


@pytest.mark.parametrize("version", ["2.11.0", "3.5.0"])
def test_a_hard_sigmoid_is_what_the_keras_of_the_file_called_so(keras: Any, tmp_path: Path, version: str) -> None:
    model = randomised(gated(keras, "hard_sigmoid"))
    model.save(tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        file.attrs["keras_version"], file.attrs["backend"] = version, "tensorflow"
    if version < "3":
        old = gated(keras, lambda x: keras.ops.clip(0.2 * x + 0.5, 0, 1))
        old.set_weights(model.get_weights())
        model = old
    classifier = load_classifier(tmp_path / "model.h5", CLASSES, "24x24,gray,-1..1")
    pixels = probe.images(4, classifier.preprocessing)
    expected = model.predict(classifier.preprocessing.tensor(pixels).numpy(), verbose=0)
    np.testing.assert_allclose(score(classifier, pixels).probabilities, expected, atol=1e-5)


def test_files_of_theano_are_refused(tmp_path: Path) -> None:
    keras_2017(tmp_path / "old.h5")
    with h5py.File(tmp_path / "old.h5", "r+") as file:
        file.attrs["backend"] = b"theano"
    with pytest.raises(InputError, match=r"old\.h5 was written on Theano.*load it in Keras 2 on TensorFlow"):
        load_classifier(tmp_path / "old.h5", CLASSES)


def as_tf_keras_2(entry: dict) -> dict:
    """A model's configuration as tf.keras 2.15 wrote it into a .keras archive."""
    config = entry["config"]
    for layer in config["layers"]:
        options = layer["config"]
        options["dtype"] = "float32"
        if "axis" in options:
            options["axis"] = [3]
        if "batch_shape" in options:
            options["batch_input_shape"] = options.pop("batch_shape")
        if layer["class_name"] == "SeparableConv2D":
            options |= {"groups": 1, "kernel_initializer": None, "kernel_regularizer": None, "kernel_constraint": None}
        tensors = [argument for node in layer["inbound_nodes"] for argument in node["args"]]
        flat = [tensor for argument in tensors for tensor in (argument if isinstance(argument, list) else [argument])]
        layer["inbound_nodes"] = [[[*tensor["config"]["keras_history"], {}] for tensor in flat]] if flat else []
    for key in ("input_layers", "output_layers"):
        config[key] = [config[key]] if isinstance(config[key][0], str) else config[key]
    return {**entry, "module": "keras.src.engine.functional"}


def test_an_archive_of_tf_keras_2(keras: Any, tmp_path: Path) -> None:
    model = functional(keras)
    model.save(tmp_path / "new.keras")
    with zipfile.ZipFile(tmp_path / "new.keras") as new, zipfile.ZipFile(tmp_path / "old.keras", "w") as old:
        for name in new.namelist():
            content = new.read(name)
            if name == "config.json":
                content = json.dumps(as_tf_keras_2(json.loads(content))).encode()
            old.writestr(name, content)
    classifier = load_classifier(tmp_path / "old.keras", CLASSES)
    pixels = probe.images(3, classifier.preprocessing)
    expected = model.predict(classifier.preprocessing.tensor(pixels).numpy(), verbose=0)
    np.testing.assert_allclose(score(classifier, pixels).probabilities, expected, atol=1e-5)


def test_names_with_slashes_as_ports_of_vggface_have(keras: Any, tmp_path: Path) -> None:
    model = functional(keras)
    model.save(tmp_path / "vggface.h5")
    with h5py.File(tmp_path / "vggface.h5", "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"last_conv"', '"conv5/7x7_s2"')
    classifier = load_classifier(tmp_path / "vggface.h5", CLASSES)
    pixels = probe.images(2, classifier.preprocessing)
    expected = model.predict(classifier.preprocessing.tensor(pixels).numpy(), verbose=0)
    np.testing.assert_allclose(score(classifier, pixels).probabilities, expected, atol=1e-5)


def test_keras_1_names(tmp_path: Path, keras: Any) -> None:
    layers = keras.layers
    model = randomised(
        keras.Sequential(
            [
                keras.Input((48, 48, 1)),
                layers.Conv2D(4, (3, 5), strides=2, padding="same", activation="relu", name="convolution2d_1"),
                layers.Dropout(0.3, name="dropout_1"),
                layers.Flatten(name="flatten_1"),
                layers.Dense(7, activation="softmax", name="dense_1"),
            ]
        )
    )
    shape = {"batch_input_shape": [None, 48, 48, 1], "input_dtype": "float32"}
    entries = [
        {"class_name": "Convolution2D", "config": {"name": "convolution2d_1", "nb_filter": 4, "nb_row": 3, "nb_col": 5,
         "subsample": [2, 2], "border_mode": "same", "dim_ordering": "tf", "activation": "relu", "bias": True,
         "init": "glorot_uniform", "W_regularizer": None, "b_constraint": None, **shape}},
        {"class_name": "Dropout", "config": {"name": "dropout_1", "p": 0.3, "trainable": True}},
        {"class_name": "Flatten", "config": {"name": "flatten_1"}},
        {"class_name": "Dense", "config": {"name": "dense_1", "output_dim": 7, "input_dim": None, "bias": True,
         "init": "glorot_uniform", "activation": "softmax"}},
    ]  # fmt: skip
    write_2017(tmp_path / "old.h5", {"class_name": "Sequential", "config": entries}, model)
    classifier = load_classifier(tmp_path / "old.h5", CLASSES, "48x48,gray,0..1")
    pixels = probe.images(3, classifier.preprocessing)
    expected = model.predict(classifier.preprocessing.tensor(pixels).numpy(), verbose=0)
    np.testing.assert_allclose(score(classifier, pixels).probabilities, expected, atol=1e-5)


def test_an_option_that_matters_and_is_gone_is_named(tmp_path: Path) -> None:
    keras_2017(tmp_path / "old.h5", extra={"separable_conv2d_1": {"groups": 2}})
    with pytest.raises(InputError, match=r"'separable_conv2d_1' \(SeparableConv2D\).*groups=2"):
        load_classifier(tmp_path / "old.h5", CLASSES)


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_lambda_is_refused_by_name_and_not_run(keras: Any, tmp_path: Path, suffix: str) -> None:
    image = keras.Input((48, 48, 1))
    x = keras.layers.Lambda(lambda value: value * 2, name="twice", output_shape=(48, 48, 1))(image)
    keras.Model(image, keras.layers.Dense(7)(keras.layers.Flatten()(x))).save(tmp_path / f"model{suffix}")
    with pytest.raises(InputError, match=r"'twice'.* is a Lambda.*factory:"):
        load_classifier(tmp_path / f"model{suffix}", CLASSES)


def test_a_layer_of_the_users_own_is_refused_by_name(keras: Any, tmp_path: Path) -> None:
    class Attention(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    image = keras.Input((48, 48, 1))
    x = Attention(name="look_here")(image)
    keras.Model(image, keras.layers.Dense(7)(keras.layers.Flatten()(x))).save(tmp_path / "model.keras")
    with pytest.raises(InputError, match=r"'look_here'.*'Attention'"):
        load_classifier(tmp_path / "model.keras", CLASSES)


def test_weights_alone_are_refused_with_the_remedy(keras: Any, tmp_path: Path) -> None:
    functional(keras).save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(InputError, match=r"weights alone.*model\.save"):
        load_classifier(tmp_path / "model.weights.h5", CLASSES)


def test_weights_alone_load_with_the_code_that_builds_the_model(keras: Any, tmp_path: Path) -> None:
    code = (
        "import keras\n"
        "def build():\n"
        "    layers = keras.layers\n"
        "    return keras.Sequential([keras.Input((48, 48, 1)), layers.Conv2D(4, 3, activation='relu'),\n"
        "        layers.GlobalAveragePooling2D(), layers.Dense(7, activation='softmax')])\n"
    )
    (tmp_path / "net.py").write_text(code)
    alone = (
        "import sys\nfrom models.load import load_classifier\n"
        f"found = load_classifier('factory:{tmp_path}/net.py:build', {CLASSES!r}, '48x48,gray,0..1')\n"
        "assert found.kind == 'keras' and 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", alone], check=True, cwd=ROOT)
    space: dict[str, Any] = {}
    exec(code, space)
    model = randomised(space["build"]())
    model.save_weights(tmp_path / "net.weights.h5")
    spec = f"factory:{tmp_path}/net.py:build@{tmp_path}/net.weights.h5"
    classifier = load_classifier(spec, CLASSES, "48x48,gray,0..1")
    pixels = probe.images(3, classifier.preprocessing)
    expected = model.predict(classifier.preprocessing.tensor(pixels).numpy(), verbose=0)
    np.testing.assert_allclose(score(classifier, pixels).probabilities, expected, atol=1e-5)


def test_two_inputs_are_refused(keras: Any, tmp_path: Path) -> None:
    one, two = keras.Input((48, 48, 1)), keras.Input((3,))
    flat = keras.layers.Concatenate()([keras.layers.Flatten()(one), two])
    keras.Model([one, two], keras.layers.Dense(7)(flat)).save(tmp_path / "model.keras")
    with pytest.raises(InputError, match="one image"):
        load_classifier(tmp_path / "model.keras", CLASSES)


def test_a_damaged_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(400))
    with pytest.raises(InputError, match=r"model\.h5"):
        load_classifier(tmp_path / "model.h5", CLASSES)


def test_open_sides_need_the_input(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    keras.Sequential(
        [keras.Input((None, None, 3)), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(7)]
    ).save(tmp_path / "model.keras")
    with pytest.raises(InputError, match="--input, like 48x48,rgb"):
        load_classifier(tmp_path / "model.keras", CLASSES)
    assert load_classifier(tmp_path / "model.keras", CLASSES, "52x60,rgb,-1..1").preprocessing.width == 60


def test_channels_first(keras: Any, tmp_path: Path) -> None:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((1, 48, 48)),
            layers.Conv2D(4, 3, data_format="channels_first", activation="relu"),
            layers.GlobalAveragePooling2D(data_format="channels_first"),
            layers.Dense(7, activation="softmax"),
        ]
    )
    model.save(tmp_path / "model.h5")
    classifier = load_classifier(tmp_path / "model.h5", CLASSES, "48x48,gray,0..1")
    assert (classifier.preprocessing.layout, classifier.reshape) == ("NCHW", "nchw")


def test_inspection_tells_what_the_file_tells(keras: Any, tmp_path: Path) -> None:
    functional(keras).save(tmp_path / "model.keras")
    found = inspect_model(tmp_path / "model.keras")
    assert (found.kind, found.outputs, found.output, found.cam_layer) == ("keras", 7, "logits", "last_conv")
    assert "48x48 gray, 0..255, NHWC" in found.text()
    assert os.environ["KERAS_BACKEND"] == "torch"


def test_weights_are_drawn_anew_and_given_back(keras: Any, tmp_path: Path) -> None:
    """The audit's check of maps, on a network whose copies cannot be hooked and whose dropout keeps whole numbers."""
    functional(keras).save(tmp_path / "model.keras")
    found = load_classifier(tmp_path / "model.keras", CLASSES)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1), dtype=np.uint8)
    before = fingerprint(found.network)
    names, alike = cascading_randomisation(found, pixels, "gradcam", ["sad"] * 3)
    assert alike.shape == (len(names), 3) and np.abs(alike[-1]).mean() < 0.9
    assert fingerprint(found.network) == before
