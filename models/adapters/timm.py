"""``timm:NAME@weights``: any network of timm, with a state dict of the user's."""

from __future__ import annotations

from typing import Any

from torch import nn

from faces.errors import InputError
from faces.places import place
from models import catalogue
from models.classifier import per_channel
from models.opened import Opened, Request
from models.probe import channels_of
from models.statedict import State, fit, read_weights, rename


def open_timm(text: str, request: Request) -> Opened:
    """``text`` is NAME@weights. Classes and channels are read off the weights, size and scaling off timm's own
    configuration where --input does not give them.

    A --input means what it says; a note tells where timm's own mean and deviation are not used.

    Raises InputError where the name is unknown or the weights are missing or do not fit.
    """
    name, _, weights = text.partition("@")
    if not name or not weights:
        raise InputError(f"The model 'timm:{text}' is not understood; timm:NAME@weights was expected.")
    path = place(weights)
    if not path.is_file():
        raise InputError(f"{path}, named by the model 'timm:{text}', is not a file; give the path of a state dict.")
    state = read_weights(path, request.allow_pickle)
    if isinstance(state, nn.Module):
        state = dict(state.state_dict())
    network = _network(name, state, request)
    fit(network, state, str(path))
    spec = f"timm:{name}@{path.resolve()}"
    config: dict[str, Any] = getattr(network, "pretrained_cfg", {})
    scaling: dict[str, tuple[float, ...]] = {key: tuple(config[key]) for key in ("mean", "std") if key in config}
    if request.input is not None or len(scaling) < 2:
        usual = scaling if len(scaling) == 2 else None
        return Opened(network=network.eval(), kind="timm", name=name, path=path, usual=usual, spec=spec)
    _, height, width = config["input_size"]
    channels = channels_of(network) or 3
    return Opened(
        network=network.eval(),
        kind="timm",
        name=name,
        path=path,
        size=(height, width),
        channels=channels,
        scaling={key: per_channel(values, channels) for key, values in scaling.items()},
        spec=spec,
        notes=(f"the size {height}x{width} and the scaling are timm's own for {name}; --input gives others",),
    )


def _network(name: str, state: State, request: Request) -> nn.Module:
    """The network with as many outputs and input channels as the weights have, at the size of --input."""
    sample = catalogue.build(name, 2, 3)
    config: dict[str, Any] = getattr(sample, "pretrained_cfg", {})
    named = rename(state, list(sample.state_dict()))
    head, stem = (_first(config.get(key)) for key in ("classifier", "first_conv"))
    outputs, inputs = named.get(f"{head}.weight"), named.get(f"{stem}.weight")
    classes = outputs.shape[0] if outputs is not None else len(request.classes or ("", ""))
    network = catalogue.build(name, classes, inputs.shape[1] if inputs is not None else 3)
    if request.input is not None and hasattr(network, "set_input_size"):
        resize: Any = network.set_input_size
        resize(img_size=(request.input.height, request.input.width))
    return network


def _first(name: Any) -> Any:
    return name[0] if isinstance(name, tuple | list) else name
