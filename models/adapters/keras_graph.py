"""How layers are joined in a functional model, from tf.keras' notation to keras 3's."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faces.errors import InputError
from models.adapters.keras_layers import NEUTRAL, OPERATIONS, TENSOR, Operation

CONSTANT = "_CONSTANT_VALUE"
"""Stands where the name of a layer would, before a number."""


def as_operation(entry: dict[str, Any], path: Path, remedy: str) -> dict[str, Any]:
    """A TFOpLambda or SlicingOpLambda as an Operation, whose inputs are the tensors among its arguments, in order.

    Raises InputError for a function or an option that is not known here.
    """
    function, layer = entry["config"]["function"], entry["config"]["name"]
    if function not in OPERATIONS:
        raise InputError(
            f"The layer {layer!r} of {path} calls TensorFlow's tf.{function}, which is none of the "
            f"{len(OPERATIONS)} operations that are known here: {remedy}."
        )
    (node,) = entry["inbound_nodes"]
    inputs: list[list] = []
    several = not isinstance(node[0], str)
    first = [_told(value[:3], inputs) for value in node] if several else _told(node[:3], inputs)
    given = (node[0] if several else node)[3]
    known = inspect.signature(OPERATIONS[function]).parameters
    options = {}
    for key, value in given.items():
        if key in known:
            options[key] = _told(value, inputs)
        elif value not in NEUTRAL.get(key, ()):
            raise InputError(
                f"The layer {layer!r} of {path} calls tf.{function} with {key}={value!r}, which is not known here: "
                f"{remedy}."
            )
    config = {"name": layer, "function": function, "first": first, "options": options}
    kept = {key: value for key, value in entry.items() if key != "build_config"}
    told = {"class_name": Operation.__name__, "config": config, "module": None, "registered_name": Operation.__name__}
    return {**kept, **told, "inbound_nodes": [inputs]}


def _told(value: Any, inputs: list[list]) -> Any:
    """A value with ``{TENSOR: k}`` for each tensor, which is appended to ``inputs``."""
    if not isinstance(value, list):
        return value
    if not _is_tensor(value):
        return [_told(part, inputs) for part in value]
    if value[0] == CONSTANT:
        return value[2]
    inputs.append([*value, {}])
    return {TENSOR: len(inputs) - 1}


def _is_tensor(value: Any) -> bool:
    """Whether a value names a tensor, or a constant: layer, its call, which of its outputs."""
    return isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int)


def joined(layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The layers of a functional model with their calls as keras 3 takes them.

    tf.keras counted the making of an inner model as its first call, which keras 3 does not; and tensors that are
    options, such as the values of an attention, are names of layers to it.
    """
    inner = {layer["config"]["name"] for layer in layers if "layers" in layer["config"]}
    old = [call for layer in layers for node in layer.get("inbound_nodes", ()) for call in _calls(node)]
    made = {name: min((call[1] for call in old if call[0] == name), default=0) for name in inner}
    for call in old:
        call[1] -= made.get(call[0], 0)
    return [{**layer, "inbound_nodes": [_node(node) for node in layer.get("inbound_nodes", ())]} for layer in layers]


def _calls(node: Any) -> Iterator[list]:
    """The tensors that a call in tf.keras' notation takes."""
    if isinstance(node, list):
        if len(node) in (3, 4) and isinstance(node[0], str) and isinstance(node[1], int):
            yield node
        for part in node:
            yield from _calls(list(part.values()) if isinstance(part, dict) else part)


def _node(node: Any) -> Any:
    """One call; in keras 3's notation where an option is a tensor."""
    if not isinstance(node, list) or not any(_is_tensor(value) for call in node for value in call[3].values()):
        return node
    tensors, options = [_keras_tensor(call) for call in node], node[0][3]
    named = {key: _keras_tensor(value) if _is_tensor(value) else value for key, value in options.items()}
    return {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": named}


def _keras_tensor(call: list) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"shape": [], "dtype": "float32", "keras_history": call[:3]}}
