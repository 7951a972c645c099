"""Layer configurations of Keras 1 and 2 (and tf.keras) rewritten as keras 3 takes them; what cannot be is named."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras.src import ops  # keras.ops has the functions and not the classes

from faces.errors import InputError
from models.adapters.keras_graph import as_operation, joined
from models.adapters.keras_layers import REBUILT, hard_sigmoid_of_keras_2

CLASSES = {"Convolution2D": "Conv2D", "SeparableConvolution2D": "SeparableConv2D", "Model": "Functional"}
"""Names that layers had in Keras 1 and 2."""
OPTIONS = {
    "nb_filter": "filters",
    "subsample": "strides",
    "border_mode": "padding",
    "dim_ordering": "data_format",
    "output_dim": "units",
    "p": "rate",
    "bias": "use_bias",
    "batch_input_shape": "batch_shape",
}
"""Names that options had in Keras 1 and 2."""
VALUES = {"data_format": {"tf": "channels_last", "th": "channels_first"}}
TRAINING_ONLY = ("_initializer", "_regularizer", "_constraint", "_quantizer")
"""Endings of options that only say how weights were drawn and trained."""
NEUTRAL: dict[str, tuple] = {
    "groups": (1,),
    "time_major": (False,),
    "ragged": (False,),
    "sparse": (False,),
    "mode": (0,),
    "rank": (2,),
}
"""Options that keras 3 dropped, with the values that change nothing."""
OF_OLD = (
    *("init", "input_dtype", "input_dim", "input_length", "input_shape", "batch_shape", "nb_row", "nb_col"),
    *("query_shape", "key_shape", "value_shape"),
)
"""Options of old configurations that say nothing which the rest does not."""
ACTIVATIONS = ("activation", "recurrent_activation")
"""Options that name a function."""
MODELS = ("Functional", "Sequential")
OPERATIONS = ("TFOpLambda", "SlicingOpLambda")
"""Classes of tf.keras that hold an operation of TensorFlow."""
REMEDY = "build the model in code and load it as factory:FILE.py:FUNCTION@weights.h5"


@dataclass(frozen=True)
class Origin:
    """What wrote a file: whether it ran on ``tensorflow``, whose pooling then is kept, and was ``before_keras_3``."""

    tensorflow: bool
    before_keras_3: bool

    @classmethod
    def of(cls, version: Any, backend: Any = None) -> Origin:
        """From the version and the backend that a file tells, None where it does not: old ones told neither."""
        old = not str(version or "2").startswith("3")  # and knew no torch
        return cls(old or backend == "tensorflow", old)


def modernise(entry: dict[str, Any], path: Path, origin: Origin) -> dict[str, Any]:
    """The configuration of a model or layer, ``{"class_name", "config", ...}``, as keras 3 takes it; layers within
    too. What words and layers mean is kept as it was where the file came from.

    Raises InputError naming the first layer that keras 3 cannot rebuild without running code of the file.
    """
    name = CLASSES.get(entry["class_name"], entry["class_name"])
    if name in OPERATIONS:
        return as_operation(entry, path, REMEDY)
    if "module" not in entry and (operations := _module_of_operation(name, entry["config"])):
        return {**entry, "module": operations, "registered_name": name}
    name = f"Exact{name}" if origin.tensorflow and name == "AveragePooling2D" else name
    config = entry["config"] if isinstance(entry["config"], dict) else {"name": "sequential", "layers": entry["config"]}
    _check_known(name, {**entry, "config": config}, path)
    config = {key: _plain(value) for key, value in config.items() if not key.endswith(TRAINING_ONLY)}
    if name in MODELS:
        layers = [modernise(layer, path, origin) for layer in config["layers"]]
        config["layers"] = _with_input_layer(layers, config["layers"]) if name == "Sequential" else joined(layers)
    elif isinstance(config.get("layer"), dict):
        config["layer"] = modernise(config["layer"], path, origin)
    elif name in REBUILT or hasattr(keras.layers, name):
        entry = {key: value for key, value in entry.items() if key != "build_config" or not origin.tensorflow}
        config = _activations_of_keras_2(config) if origin.before_keras_3 else config
        config = _options(name, config, REBUILT.get(name) or getattr(keras.layers, name), path)
    if name in REBUILT:
        return {**entry, "class_name": name, "config": config, "module": None, "registered_name": name}
    module = {"module": "keras.src.models.functional"} if name == "Functional" and "module" in entry else {}
    return {**entry, "class_name": name, "config": config, **module}


def _activations_of_keras_2(config: dict[str, Any]) -> dict[str, Any]:
    """A layer's options with the activation that keras 3 understands otherwise by the name that it has here."""
    name = hard_sigmoid_of_keras_2.__name__
    old = {"class_name": "function", "config": name, "module": None, "registered_name": name}
    return {key: old if key in ACTIVATIONS and _called(value) == "hard_sigmoid" else value
            for key, value in config.items()}  # fmt: skip


def _called(activation: Any) -> Any:
    """The name of an activation, which late tf.keras wrote into a dictionary."""
    return activation.get("config") if isinstance(activation, dict) else activation


def _check_known(name: str, entry: dict[str, Any], path: Path) -> None:
    layer = entry.get("name") or entry["config"].get("name") or name
    if name == "Lambda":
        raise InputError(
            f"The layer {layer!r} of {path} is a Lambda, which holds Python code that loading would run; it is not "
            f"run: {REMEDY}."
        )
    module = entry.get("module", "keras")  # .h5 files name no module, and a custom class none that is keras' own
    known = name in MODELS or name in REBUILT or hasattr(keras.layers, name) or str(module).startswith("keras.src.ops")
    if not known or not str(module).startswith("keras"):
        raise InputError(
            f"The layer {layer!r} of {path} is of class {name!r}, which is not one of keras' own; "
            f"layers of keras alone were expected: {REMEDY}."
        )


def _module_of_operation(name: str, config: Any) -> str | None:
    """Where keras 3 has the operation of that name, which its .h5 files do not tell; None for a layer."""
    if not isinstance(config, dict) or name in MODELS or {"trainable", "dtype", "batch_shape"} & set(config):
        return None
    for module in (ops.numpy, ops.nn, ops.math, ops.image, ops.core, ops.linalg):
        kind = getattr(module, name, None)
        if isinstance(kind, type) and issubclass(kind, keras.Operation):
            return module.__name__
    return None


def _options(name: str, config: dict[str, Any], layer: type, path: Path) -> dict[str, Any]:
    """The options of one layer under the names of keras 3. Raises InputError for one that it lacks and that matters."""
    if "nb_row" in config:
        config["kernel_size"] = [config["nb_row"], config["nb_col"]]
    accepted = _accepted(layer, keras.layers.Layer)
    named = inspect.signature(layer).parameters
    strict = () if any(option.kind is option.VAR_KEYWORD for option in named.values()) else tuple(named)
    kept: dict[str, Any] = {}
    for key, value in config.items():
        if strict and key not in strict and (value is None or key == "trainable"):
            continue
        new = key if key in accepted else OPTIONS.get(key, key)
        if new in accepted:
            kept[new] = VALUES.get(new, {}).get(value, value) if isinstance(value, str) else value
        elif new not in NEUTRAL and new not in OF_OLD:
            kept[key] = value  # some layers take options that their signature does not name
        elif new in NEUTRAL and value is not None and value not in NEUTRAL[new]:
            raise InputError(
                f"The layer {config.get('name', name)!r} ({name}) of {path} has the option {key}={value!r}, which "
                "keras 3 does not know; save the model again with a newer Keras."
            )
    axis = kept.get("axis")
    if name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        kept["axis"] = axis[0]
    return kept


def _accepted(layer: type, base: type) -> set[str]:
    """Options that a layer class or the classes it stands on take by name."""
    names: set[str] = set()
    for kind in layer.__mro__:
        if "__init__" in vars(kind):
            names |= set(inspect.signature(vars(kind)["__init__"]).parameters)
        if kind is base:
            break
    return names - {"self", "args", "kwargs"}


def _with_input_layer(layers: list[dict[str, Any]], old: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A Sequential's layers with the shape that its first layer used to carry in an input layer of its own."""
    first = old[0]["config"] if old and isinstance(old[0]["config"], dict) else {}
    shape = first.get("batch_input_shape")
    if shape is None or layers[0]["class_name"] == "InputLayer":
        return layers
    entry = {
        "class_name": "InputLayer",
        "config": {"batch_shape": shape, "name": f"{first.get('name', 'first')}_input"},
    }
    extra = {"module": "keras.layers", "registered_name": None} if "module" in layers[0] else {}
    return [{**entry, **extra}, *layers]


def _plain(value: Any) -> Any:
    """A value without the wrappings of old files: arrays of one number, dtype policies."""
    if isinstance(value, dict) and value.get("type") == "ndarray":
        return value["value"]
    if isinstance(value, dict) and value.get("class_name") in ("Policy", "DTypePolicy"):
        return value["config"]["name"]
    return value
