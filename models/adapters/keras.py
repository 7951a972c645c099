"""Keras files (.keras, .h5, .hdf5) through keras 3 on torch, without TensorFlow: the model becomes an nn.Module."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from faces.errors import InputError
from models.opened import Opened, Request
from models.outputs import TwoLogits


def open_keras(path: Path, request: Request, shown: Path | None = None) -> Opened:
    """The model of a file, which errors call ``shown``.

    Raises InputError where the extra is not installed, or naming the layer that cannot be rebuilt.
    """
    shown = shown or path
    keras = import_keras(shown)
    from models.adapters.keras_layers import FUNCTIONS, REBUILT  # stands on keras, which need not be there

    modern_copy = _modern_zip if zipfile.is_zipfile(path) else _modern_hdf5
    with TemporaryDirectory() as folder, _quiet(), keras.saving.custom_object_scope(REBUILT | FUNCTIONS):
        try:
            model = keras.saving.load_model(modern_copy(path, folder, shown), compile=False, safe_mode=True)
        except InputError:
            raise
        except Exception as error:  # keras lets through what h5py, zipfile and its layers raise
            raise InputError(
                f"keras cannot rebuild {shown}: {_reason(error)}; save the model again with keras 3."
            ) from None
        return opened_model(keras, model, shown.stem, shown)


def opened_model(keras: ModuleType, model: Any, name: str, path: Path) -> Opened:
    """A keras model as an Opened network: its input, whether it rescales pixels itself, and its softmax taken off."""
    shape = _input_shape(model, path)
    layout = "NCHW" if shape[0] in (1, 3) and shape[2] not in (1, 3) else "NHWC"
    height, width, channels = shape if layout == "NHWC" else (*shape[1:], shape[0])
    rescaling = _pixel_range(model)
    notes: tuple[str, ...] = ()
    if rescaling is not None:
        notes = (f"its layer {rescaling[0]!r} rescales pixels itself, and was made for 0..{rescaling[1]:g}",)
    return Opened(
        network=KerasNetwork(keras, model).eval(),
        kind="keras",
        name=name,
        path=path,
        layout=layout,
        size=(height, width) if height and width else None,
        channels=channels,
        scaling={"high": rescaling[1]} if rescaling else None,
        fingerprint=_fingerprint(model),
        notes=notes,
    )


class KerasNetwork(nn.Module):
    """A keras model as a torch network: its layers are submodules under their keras names, and hooks on them work.

    A final softmax is taken off (the output is logits); a final single sigmoid z becomes the two logits -z/2, z/2.
    Input float32 in the model's own layout; output (N, K).
    """

    _model: Any

    def __init__(self, keras: ModuleType, model: Any) -> None:
        super().__init__()
        model, sigmoid = _without_activation(keras, model)
        self.two_logits = TwoLogits() if sigmoid else None
        self.__dict__["_model"] = model  # not a submodule: its layers are, each once
        for layer in _leaves(model):
            name = layer.name.replace(".", "_")
            self.add_module(f"layer_{name}" if hasattr(self, name) else name, layer)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        import keras

        with keras.device(str(batch.device)):
            output = self._model(batch, training=self.training)
        return self.two_logits(output) if self.two_logits else output


def choose_backend() -> None:
    """Have keras, when anyone imports it, run on torch and on the CPU; without effect once it was imported."""
    os.environ["KERAS_BACKEND"] = "torch"
    os.environ.setdefault("KERAS_TORCH_DEVICE", "cpu")


def import_keras(path: Path) -> ModuleType:
    """keras on torch. Raises InputError where it is not installed or was imported with another backend."""
    choose_backend()
    try:
        with _quiet():
            import h5py  # noqa: F401
            import keras
    except ImportError as error:
        raise InputError(
            f"Reading {path} needs {error.name}, which is not installed; run make setup, or pip install '.[keras]'."
        ) from None
    if keras.backend.backend() != "torch":
        raise InputError(
            f"Reading {path} needs keras on torch, and keras runs on {keras.backend.backend()!r} in this process; "
            "set KERAS_BACKEND=torch before keras is imported."
        )
    return keras


def _modern_zip(path: Path, folder: str, shown: Path) -> Path:
    """A copy of a .keras archive whose configuration is as keras 3 takes it."""
    from models.adapters.keras_configs import Origin, modernise

    modern = Path(folder) / "model.keras"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(modern, "w") as copy:
        for member in archive.infolist():
            content = archive.read(member)
            if member.filename == "config.json":
                version = json.loads(archive.read("metadata.json")).get("keras_version")
                entry = json.loads(_without_slashes(content.decode()))
                content = json.dumps(modernise(entry, shown, Origin.of(version))).encode()
            copy.writestr(member, content)
    return modern


def _modern_hdf5(path: Path, folder: str, shown: Path) -> Path:
    """A copy of an .h5 file whose configuration is as keras 3 takes it. Raises InputError for weights alone."""
    import h5py

    from models.adapters.keras_configs import Origin, modernise

    modern = Path(shutil.copyfile(path, Path(folder) / "model.h5"))
    with h5py.File(modern, "r+") as file:
        config = file.attrs.get("model_config")
        if config is None:
            raise InputError(
                f"{shown} holds weights alone and no model; give what model.to_json() wrote with it, "
                f"MODEL.json@{shown.name}, or the code that builds it, factory:FILE.py:FUNCTION@{shown.name}, or save "
                "the whole model with model.save(...)."
            )
        entry = json.loads(_without_slashes(_text(config)))
        backend = _text(file.attrs.get("backend"))
        if backend == "theano":
            raise InputError(
                f"{shown} was written on Theano, which turns the kernels of convolutions round; load it in Keras 2 on "
                "TensorFlow, which turns them back, and save it there."
            )
        origin = Origin.of(_text(file.attrs.get("keras_version")), backend)
        file.attrs["model_config"] = json.dumps(modernise(entry, shown, origin)).encode()
    return modern


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _without_slashes(config: str) -> str:
    """A configuration whose layers have names that keras 3 takes: those of ports of VGGFace and Inception hold "/"."""
    named = set(re.findall(r'"name": ?"([^"]*/[^"]*)"', config))
    for name in named:
        config = config.replace(f'"{name}"', '"{}"'.format(name.replace("/", "_")))
    return config


def _fingerprint(model: Any) -> str:
    """SHA-256 of shapes and values of the weights in order; keras draws seeds, and their names, anew at each load."""
    digest = hashlib.sha256()
    for value in model.get_weights():
        digest.update(f"{value.shape}:{value.dtype};".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def _input_shape(model: Any, path: Path) -> tuple[int | None, int | None, int | None]:
    """The three sides of the model's image input, None where open."""
    inputs, outputs = getattr(model, "inputs", None) or (), getattr(model, "outputs", None) or ()
    shapes = [tuple(value.shape) for value in inputs]
    if len(shapes) != 1 or len(shapes[0]) != 4 or len(outputs) != 1:
        listed = ", ".join(map(str, shapes)) or "no known input"
        raise InputError(
            f"{path} takes {listed} and gives {len(outputs)} outputs; one image of three sides and one output were "
            "expected: save the part of the model that goes from the image to the classes."
        )
    return shapes[0][1:]


def _leaves(model: Any) -> Iterator[Any]:
    """The layers of a model in order, those of models within it included, without inputs."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _leaves(layer)
        elif type(layer).__name__ != "InputLayer":
            yield layer


def _pixel_range(model: Any) -> tuple[str, float] | None:
    """Name of the first layer that rescales its input and the highest pixel value it was made for, or None."""
    from models.adapters.keras_layers import pixel_scale  # stands on keras, which need not be there

    for layer in getattr(model, "operations", ()):
        if getattr(layer, "weights", ()) or type(layer).__name__ in ("Rescaling", "Normalization"):
            break
        if type(layer).__name__ != "InputLayer" and (high := pixel_scale(layer)):
            return layer.name, high
    for layer in _leaves(model):
        kind = type(layer).__name__
        if kind == "Rescaling":
            return layer.name, 255.0 if float(np.max(layer.scale)) * 255 <= 10 else 1.0
        if kind == "Normalization":
            return layer.name, 255.0 if float(np.max(np.asarray(layer.mean))) > 2 else 1.0
    return None


def _without_activation(keras: ModuleType, model: Any) -> tuple[Any, bool]:
    """The model with a final softmax or single sigmoid taken off; whether it was a sigmoid."""
    last = model.outputs[0]._keras_history.operation
    while hasattr(last, "layers"):
        last = last.outputs[0]._keras_history.operation
    if type(last).__name__ == "Softmax" and last in model.layers:
        return keras.Model(model.inputs, last.input), False
    softmax = getattr(last, "activation", None) is keras.activations.softmax
    sigmoid = getattr(last, "activation", None) is keras.activations.sigmoid and model.output_shape[-1] == 1
    if softmax or sigmoid:
        last.activation = keras.activations.linear
    return model, sigmoid


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what keras, h5py and numpy say of each other's versions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).strip().rstrip(".")[:300]
