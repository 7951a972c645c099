"""State dicts as people save them: wrapped, prefixed, from DataParallel; read without running pickled code."""

from __future__ import annotations

import argparse
import pickle
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import scalar
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from torch.nn.parameter import is_lazy

from faces.errors import InputError

WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "weights", "params")
"""Keys under which training scripts put the state dict among other things."""
HARMLESS: list = [
    argparse.Namespace,
    np.dtype,
    *(type(np.dtype(kind)) for kind in "fdilqb?"),
    scalar,
    (scalar, "numpy.core.multiarray.scalar"),
]
"""Types met beside the weights (arguments, best accuracy) that hold values and run nothing."""
BESIDE = ("criterion", "loss_fn", "total_ops", "total_params")
"""Parts of names that are not the network's: weights of the loss, and what thop counted."""
PICKLE, MAGIC = b"\x80", torch.serialization.MAGIC_NUMBER.to_bytes(10, "little")
"""How any pickle begins, and what torch's own (before its archives) begin with besides."""

State = dict[str, torch.Tensor]


def read_weights(path: Path, allow_pickle: bool = False, pickle_module: ModuleType = pickle) -> State | nn.Module:
    """The state dict in a .safetensors or torch file, or the whole pickled network where ``allow_pickle``.

    Raises InputError where the file needs pickled code, is damaged, or holds no weights.
    """
    if is_safetensors(path):
        try:
            return load_file(path)
        except SafetensorError as error:
            raise InputError(f"{path} is a damaged safetensors file ({error}); copy or save it again.") from None
    content = _torch_load(path, allow_pickle, pickle_module)
    network = _whole(content)
    if network is not None:
        return network
    state = unwrap(content)
    if state is None:
        raise InputError(
            f"{path} holds {_describe(content)} and no weights; a state dict was expected, bare or under one of "
            f"{', '.join(WRAPPERS[:4])}: save it with torch.save(network.state_dict(), path)."
        )
    return state


def is_safetensors(path: Path) -> bool:
    """Whether the file begins as safetensors do: the length of a JSON header, then the header."""
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size


def unwrap(content: Any) -> State | None:
    """The dictionary of tensors in what a training script saved, or None."""
    if isinstance(content, nn.Module):
        return dict(content.state_dict())
    if not isinstance(content, Mapping):
        return None
    tensors = _tensors(content)
    if tensors and _is_flat(content):
        return tensors
    inner = (unwrap(content[key]) for key in WRAPPERS if key in content)
    return next((state for state in inner if state), None) or max(_largest(content), tensors, key=len) or None


def _largest(content: Mapping) -> State:
    """The mapping within, however deep, that names the most tensors and holds nothing but them and scalars."""
    found: State = {}
    for value in content.values():
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            found = max(found, _tensors(value) if _is_flat(value) else _largest(value), key=len)
    return found


def _tensors(content: Mapping) -> State:
    return {str(key): value for key, value in content.items() if isinstance(value, torch.Tensor)}


def _is_flat(content: Mapping) -> bool:
    return all(isinstance(value, torch.Tensor) or np.isscalar(value) for value in content.values())


def _whole(content: Any) -> nn.Module | None:
    """The pickled network, bare or under a usual key, out of its DataParallel."""
    if isinstance(content, Mapping):
        content = next((content[key] for key in WRAPPERS if isinstance(content.get(key), nn.Module)), None)
    while isinstance(content, nn.DataParallel | nn.parallel.DistributedDataParallel):
        content = content.module
    return content if isinstance(content, nn.Module) else None


def fit(network: nn.Module, state: State, source: str) -> None:
    """Load ``state`` into ``network``, whatever prefix its names carry. Raises InputError naming what does not fit."""
    expected = network.state_dict()
    state = rename(state, list(expected))
    if any(is_lazy(value) for value in expected.values()):
        with suppress(RuntimeError):  # shapes that differ are named below
            network.load_state_dict(state, strict=False)
        expected = network.state_dict()
    shapes = [
        f"{name} is {tuple(state[name].shape)} in the file and {tuple(value.shape)} in the network"
        for name, value in expected.items()
        if name in state and state[name].shape != value.shape
    ]
    if shapes:
        raise InputError(
            f"{source} does not fit the network: {_some(shapes, '; ')}; pass as many --classes as the file has "
            "outputs, the --input it was trained with, or the network it belongs to."
        )
    missing = [name for name in expected if name not in state and not name.endswith("num_batches_tracked")]
    left_over = [name for name in state if name not in expected and not set(name.split(".")) & set(BESIDE)]
    if missing:
        raise InputError(
            f"{source} lacks {len(missing)} of the network's {len(expected)} weights ({_some(missing)})"
            + (f" and has others ({_some(left_over)}); " if left_over else "; ")
            + "name the network that the file was saved from, or the code that builds it: "
            "factory:FILE.py:FUNCTION@weights."
        )
    if left_over:
        raise InputError(
            f"{source} has {len(left_over)} weights that the network does not ({_some(left_over)}); "
            "name the network that the file was saved from, or the code that builds it: "
            "factory:FILE.py:FUNCTION@weights."
        )
    network.load_state_dict({name: state[name] for name in expected if name in state}, strict=False)


def rename(state: State, expected: list[str]) -> State:
    """The state dict with names as the network has them: a common prefix (``module.``, ``model.``, ``backbone.`` or
    any other) is taken off or put on, whichever makes most names meet. Other keys beside a prefix are dropped."""
    wanted = set(expected)
    plain = sum(name in wanted for name in state)
    votes: Counter[tuple[str, str]] = Counter({("", ""): plain})
    by_leaf: dict[str, list[str]] = {}
    for name in expected:
        by_leaf.setdefault(name.rpartition(".")[2], []).append(name)
    for name in state:
        for target in by_leaf.get(name.rpartition(".")[2], ()):
            if name.endswith("." + target):
                votes[name[: -len(target)], ""] += 1
            elif target.endswith("." + name):
                votes["", target[: -len(name)]] += 1
    (off, on), _ = max(votes.items(), key=lambda vote: (vote[1], -len(vote[0][0]) - len(vote[0][1])))
    return {on + name.removeprefix(off): value for name, value in state.items() if name.startswith(off)}


def in_order(state: State, own: State) -> State:
    """The tensors of ``state`` under the names of ``own``: each of these takes the next one of its shape.

    A layer that looks at all places at once may be written as linear or as a convolution: the same numbers either way.
    """
    found, rest = {}, list(state.values())
    for name, value in own.items():
        at = next((place for place, other in enumerate(rest) if _alike(other, value)), None)
        if at is not None:
            found[name] = rest[at].reshape(value.shape)
            rest = rest[at + 1 :]
    return found


def grey(state: State, own: State) -> State:
    """The filters of a first layer for colour images summed over the colours, where ``own`` looks at grey ones.

    A grey image, its one channel copied to three, gives the same numbers either way.
    """
    here = next((value for value in own.values() if value.ndim == 4), None)
    if here is None or here.shape[1] != 1:
        return state
    colour = torch.Size((len(here), 3, *here.shape[2:]))
    first = next((name for name, value in state.items() if value.shape == colour), None)
    return state if first is None else {**state, first: state[first].sum(dim=1, keepdim=True)}


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    if one.shape == other.shape:
        return True
    return one.ndim > 1 < other.ndim and len(one) == len(other) and one.numel() == other.numel()


def _torch_load(path: Path, allow_pickle: bool, pickle_module: ModuleType) -> Any:
    try:
        if allow_pickle:
            return torch.load(path, map_location="cpu", weights_only=False, pickle_module=pickle_module)
        with torch.serialization.safe_globals(HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if allow_pickle or "Unsupported operand" in str(error):
            raise _damaged(path, error) from None
        raise InputError(
            f"{path} holds pickled Python objects, not only weights, and loading it would run the code in it; "
            "save its state_dict() alone, or pass --allow-pickle if you trust where it comes from."
        ) from None
    except (AttributeError, ImportError) as error:
        raise InputError(
            f"{path} was pickled with code that is not at hand ({error}); put that code beside the file, or load its "
            "state dict through factory:FILE.py:FUNCTION@weights."
        ) from None
    except Exception as error:  # a damaged pickle may raise anything
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> InputError:
    with path.open("rb") as file:
        start = file.read(32)
    if start[:1] == PICKLE and MAGIC not in start:
        return InputError(
            f"{path} was written by pickle.dump, which torch does not read; open it with pickle where it was made and "
            "write it with torch.save(weights, FILE)."
        )
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
    return InputError(f"{path} cannot be read by torch ({reason}); the file is damaged: copy or save it again.")


def _describe(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a dictionary of {_some([str(key) for key in content])}" if content else "an empty dictionary"
    return f"a {type(content).__name__}"


def _some(items: list[str], separator: str = ", ") -> str:
    shown = separator.join(items[:3])
    return shown if len(items) <= 3 else f"{shown}{separator}and {len(items) - 3} more"
