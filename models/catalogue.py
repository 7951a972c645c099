"""Networks by name: our own, and any that timm knows."""

from __future__ import annotations

import difflib
import pickle
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from faces.errors import InputError
from models import networks

OWN: dict[str, Callable[[int, int], nn.Module]] = {
    "compact": networks.compact,
    "tiny": networks.tiny,
    "separable": networks.separable,
}
TIMM_DOWNLOAD = "timm"
"""The value of ``pretrained`` that lets timm fetch the weights it publishes."""


def names() -> tuple[str, ...]:
    """Our own networks, then timm's, each as :func:`build` takes it."""
    import timm

    return (*OWN, *timm.list_models())


def build(name: str, classes: int, channels: int = 1, pretrained: str | None = None) -> nn.Module:
    """The network ``name`` with ``classes`` outputs (logits) for images of ``channels``, NCHW float32.

    ``pretrained`` is a file (.safetensors, or .pt/.pth holding tensors alone) whose fitting tensors are taken, or
    ``"timm"`` for timm's own download. Raises InputError for a name nobody knows, with the nearest ones, and for a
    file that does not fit.
    """
    if name not in OWN:
        _known_to_timm(name)
    if name in OWN:
        if pretrained == TIMM_DOWNLOAD:
            raise InputError(f"timm publishes no weights for the network {name!r}; give a weights file or none.")
        network = OWN[name](classes, channels)
    else:
        network = _from_timm(name, classes, channels, pretrained == TIMM_DOWNLOAD)
    if pretrained and pretrained != TIMM_DOWNLOAD:
        take_weights(network, Path(pretrained))
    return network


def take_weights(network: nn.Module, file: Path) -> int:
    """Copy every tensor of ``file`` whose name and shape fit; returns how many did. Never unpickles code.

    A head for other classes is left as it was drawn. Raises InputError where the file cannot be read or less than
    half of the network's tensors are in it.
    """
    found = _tensors(file)
    own = network.state_dict()
    fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    if 2 * len(fitting) < len(own):
        raise InputError(
            f"The weights {file} hold {len(fitting)} of the network's {len(own)} tensors; at least half were expected: "
            "give weights of the same architecture, with the same names and shapes."
        )
    network.load_state_dict(fitting, strict=False)
    return len(fitting)


def _known_to_timm(name: str) -> None:
    import timm

    if timm.is_model(name.split(".")[0]):
        return
    near = difflib.get_close_matches(name, names(), n=4, cutoff=0.5) or list(OWN)
    raise InputError(
        f"The network {name!r} is neither ours nor timm's; did you mean {', '.join(near)}? "
        f"Ours are {', '.join(OWN)}; timm.list_models() lists timm's."
    )


def _from_timm(name: str, classes: int, channels: int, download: bool) -> nn.Module:
    import timm

    try:
        return timm.create_model(name, pretrained=download, num_classes=classes, in_chans=channels)
    except (RuntimeError, OSError, ValueError, TypeError) as reason:
        raise InputError(f"timm could not build the network {name!r}: {reason}".rstrip(".") + ".") from reason


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not file.is_file():
        raise InputError(f"The weights {file} are not there; give the path of a .safetensors, .pt or .pth file.")
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as reason:
        raise InputError(
            f"The weights {file} cannot be read as tensors alone ({type(reason).__name__}); "
            "save the state dict as .safetensors and give that."
        ) from reason
    for key in ("state_dict", "model_state_dict", "model"):
        state = state.get(key, state) if isinstance(state, dict) else state
    return {str(k).removeprefix("module."): v for k, v in dict(state).items() if isinstance(v, torch.Tensor)}
