"""Files that TensorFlow wrote (tests/reference/tf_keras_files.py): the same answers as TensorFlow gave."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from audit.scoring import score
from faces.errors import InputError
from models.adapters.keras import import_keras
from models.load import load_again, load_classifier
from tests.conftest import ROOT

CLASSES = "angry,disgust,fear,happy,sad,surprise,neutral"
FOLDER = ROOT / "tests" / "data" / "tf_keras"
FILES = sorted(file.name for file in FOLDER.iterdir() if file.suffix in (".h5", ".keras"))
FED_PIXELS = ("arithmetic", "caffe", "torch", "tf")
"""Those whose own arithmetic tells that they take 0..255."""


@pytest.mark.parametrize("name", FILES)
def test_answers_equal_tensorflows(name: str) -> None:
    stem = Path(name).stem
    with np.load(FOLDER / "answers.npz") as answers:
        pixels = answers[f"{stem}_pixels"]
        expected = {high: answers[f"{stem}_{high}"] for high in (255, 1)}
    height, width, channels = pixels.shape[1:]
    told = f"{height}x{width},{'gray' if channels == 1 else 'rgb'},0..1"
    classifier = load_classifier(FOLDER / name, CLASSES, None if stem in FED_PIXELS else told)
    assert classifier.preprocessing.high == (255 if stem in FED_PIXELS else 1)
    scored = score(classifier, pixels)
    np.testing.assert_allclose(scored.probabilities, expected[int(classifier.preprocessing.high)], atol=1e-5)
    assert np.isfinite(scored.maps["gradcam"]).all()
    assert np.abs(scored.maps["gradcam"]).max() > 0
    assert classifier.output == "logits"


def patched(tmp_path: Path, old: str, new: str) -> Path:
    """A copy of arithmetic.h5 with one text of its configuration replaced."""
    file = tmp_path / "patched.h5"
    file.write_bytes((FOLDER / "arithmetic.h5").read_bytes())
    with h5py.File(file, "r+") as content:
        config = content.attrs["model_config"]
        assert old in config
        content.attrs["model_config"] = config.replace(old, new)
    return file


def test_an_operation_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"calls TensorFlow's tf\.image\.sobel_edges.*factory:"):
        load_classifier(patched(tmp_path, '"function": "nn.relu"', '"function": "image.sobel_edges"'), CLASSES)


def test_an_option_that_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tf\.math\.reduce_mean with how=3"):
        load_classifier(patched(tmp_path, '{"axis": [1, 2]}', '{"axis": [1, 2], "how": 3}'), CLASSES)


def test_no_code_of_the_file_is_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tf\.__import__"):
        load_classifier(patched(tmp_path, '"function": "nn.relu"', '"function": "__import__"'), CLASSES)


def test_averages_over_padding_are_tensorflows() -> None:
    import_keras(Path("the test"))
    from models.adapters.keras_layers import ExactAveragePooling2D

    pooled = ExactAveragePooling2D(3, 2, padding="same")(np.arange(36, dtype=np.float32).reshape(1, 6, 6, 1))
    expected = [[7, 9, 10.5], [19, 21, 22.5], [28, 30, 31.5]]  # tf.nn.avg_pool2d(x, 3, 2, "SAME")
    np.testing.assert_allclose(pooled[0, :, :, 0].detach().numpy(), expected)


@pytest.mark.filterwarnings("ignore")  # what keras says of numpy as it saves
@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_operations_of_keras_3(tmp_path: Path, suffix: str) -> None:
    keras = import_keras(Path("the test"))
    image = keras.Input((32, 32, 1))
    x = keras.layers.Conv2D(4, 3)(image / 127.5 - 1)
    x = keras.ops.relu(x) * 0.5
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.ops.softmax(keras.layers.Dense(7)(x)))
    model.save(tmp_path / f"model{suffix}")
    classifier = load_classifier(tmp_path / f"model{suffix}", CLASSES)
    assert classifier.preprocessing.high == 255
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 1)).astype(np.uint8)
    expected = model.predict(pixels.astype(np.float32), verbose=0)
    np.testing.assert_allclose(score(classifier, pixels).probabilities, expected, atol=1e-5)


def in_two_files(tmp_path: Path, name: str) -> str:
    """A file of TensorFlow as model.to_json() and model.save_weights() would have written it."""
    with h5py.File(FOLDER / f"{name}.h5") as whole, h5py.File(tmp_path / "fer.h5", "w") as weights:
        version, backend = whole.attrs["keras_version"], whole.attrs["backend"]
        told = {**json.loads(whole.attrs["model_config"]), "keras_version": version, "backend": backend}
        (tmp_path / "fer.json").write_text(json.dumps(told))
        for key in whole["model_weights"]:
            whole.copy(f"model_weights/{key}", weights, key)
        for key, value in whole["model_weights"].attrs.items():
            weights.attrs[key] = value
    return f"{tmp_path}/fer.json@{tmp_path}/fer.h5"


def test_a_model_in_two_files(tmp_path: Path) -> None:
    spec = in_two_files(tmp_path, "tf")
    classifier = load_classifier(spec, CLASSES)
    with np.load(FOLDER / "answers.npz") as answers:
        pixels, expected = answers["tf_pixels"], answers["tf_255"]
    np.testing.assert_allclose(score(classifier, pixels).probabilities, expected, atol=1e-5)
    fields = {**vars(classifier), "preprocessing": vars(classifier.preprocessing), "classes": list(classifier.labels)}
    again = load_again({**fields, "relative_path": None}, tmp_path)
    assert again.fingerprint == classifier.fingerprint


def test_damaged_weights_of_a_model_in_two_files_are_one_sentence(tmp_path: Path) -> None:
    spec = in_two_files(tmp_path, "tf")
    weights = (tmp_path / "fer.h5").read_bytes()
    (tmp_path / "fer.h5").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(InputError, match=r"fer\.h5 is a damaged HDF5 file"):
        load_classifier(spec, CLASSES)


def test_weights_alone_name_the_two_forms(tmp_path: Path) -> None:
    in_two_files(tmp_path, "tf")
    with pytest.raises(InputError, match=r"MODEL\.json@fer\.h5.*factory:.*model\.save"):
        load_classifier(tmp_path / "fer.h5", CLASSES)


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_keras_3_in_two_files(tmp_path: Path) -> None:
    keras = import_keras(Path("the test"))
    layers = keras.layers
    body = [layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D(), layers.Dense(7)]
    model = keras.Sequential([keras.Input((32, 32, 1)), *body, layers.Softmax()])
    (tmp_path / "fer.json").write_text(model.to_json())
    model.save_weights(tmp_path / "fer.weights.h5")
    classifier = load_classifier(f"{tmp_path}/fer.json@{tmp_path}/fer.weights.h5", CLASSES, "32x32,gray,0..1")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 1)).astype(np.uint8)
    expected = model.predict(pixels / 255, verbose=0)
    np.testing.assert_allclose(score(classifier, pixels).probabilities, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "weights", "told"),
    [
        ("{", b"", "is not what a Keras model.to_json"),
        ("[]", b"", "is not what a Keras model.to_json"),
        ('{"class_name": "Sequential", "config": []}', b"no weights", "is no HDF5 file"),
    ],
)
def test_what_is_no_model_or_no_weights_is_one_sentence(tmp_path: Path, model: str, weights: bytes, told: str) -> None:
    (tmp_path / "fer.json").write_text(model)
    (tmp_path / "fer.h5").write_bytes(weights)
    with pytest.raises(InputError, match=told):
        load_classifier(f"{tmp_path}/fer.json@{tmp_path}/fer.h5", CLASSES)
    with pytest.raises(InputError, match=r"gone\.h5.*is not a file"):
        load_classifier(f"{tmp_path}/fer.json@{tmp_path}/gone.h5", CLASSES)
