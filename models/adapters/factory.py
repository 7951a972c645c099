"""``factory:FILE.py:FUNCTION@weights``: a network that the user's own code builds."""

from __future__ import annotations

import re
import traceback
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from faces.errors import InputError
from faces.places import place
from models.adapters.keras import choose_backend, import_keras, opened_model
from models.adapters.own_modules import OwnModules
from models.adapters.torchscript import ScriptedNetwork
from models.opened import Opened, Request
from models.statedict import fit, read_weights

FORM = re.compile(r"(?P<file>.+?\.py):(?P<function>[^:@]+)(@(?P<weights>.+))?", re.DOTALL)
LEGACY = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
"""The number by which torch's files from before version 1.6 begin."""


def open_factory(text: str, request: Request) -> Opened:
    """``text`` is what follows ``factory:``. FUNCTION takes no arguments and returns an ``nn.Module`` or keras model.

    Raises InputError where the form is wrong, a file is missing, the code raises, or the weights do not fit.
    """
    match = FORM.fullmatch(text)
    if match is None:
        raise InputError(
            f"The model 'factory:{text}' is not understood; factory:FILE.py:FUNCTION@weights was expected."
        )
    file, function = place(match["file"]), match["function"]
    weights = place(match["weights"]) if match["weights"] else None
    for path in (file, weights):
        if path is not None and not path.is_file():
            raise InputError(f"{path}, named by the model 'factory:{text}', is not a file; give the path of one.")
    spec = f"factory:{file.resolve()}:{function}" + (f"@{weights.resolve()}" if weights else "")
    own = OwnModules(file.parent)
    network = _built(own, file, function)
    if not isinstance(network, nn.Module):
        raise InputError(
            f"{function} of {file} returned a {type(network).__name__}; a torch nn.Module or a keras model was "
            "expected: return the network."
        )
    if hasattr(network, "load_weights") and hasattr(network, "layers"):
        return replace(_keras(network, function, file, weights), spec=spec)
    if weights is not None:
        _check_weights(weights)
        state = read_weights(weights, request.allow_pickle, own.unpickler())
        fit(network, dict(state.state_dict()) if isinstance(state, nn.Module) else state, str(weights))
    network = network.float().eval()
    scripted = any(isinstance(module, torch.jit.ScriptModule) for module in network.modules())
    return Opened(
        network=ScriptedNetwork(network) if isinstance(network, torch.jit.ScriptModule) else network,
        kind="factory",
        name=function,
        path=file,
        hookable=not scripted,
        spec=spec,
        notes=(f"TorchScript, which {function} returned, lets no layer be hooked: maps come from black-box methods",)
        if scripted
        else (),
    )


def _built(own: OwnModules, file: Path, function: str) -> Any:
    choose_backend()  # the user's code may import keras
    try:
        module = own.run_file(file)
    except (Exception, SystemExit) as error:
        raise InputError(f"{file} could not be run: {_where(error, file)}; mend it and try again.") from error
    build = getattr(module, function, None)
    if not callable(build):
        known = ", ".join(name for name, value in vars(module).items() if callable(value) and not name.startswith("_"))
        raise InputError(f"{file} has no function {function!r}; it has: {known or 'none'}: name one of those.")
    try:
        with own.loading():
            return build()
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{function}() of {file} failed: {_where(error, file)}; it must build the network without "
            "arguments, on the CPU."
        ) from error


def _check_weights(weights: Path) -> None:
    """Raises InputError for files that torch writes, or seems to have written, and that hold no state dict."""
    if zipfile.is_zipfile(weights):
        with zipfile.ZipFile(weights) as archive:
            scripted = any(name.rpartition("/")[2] == "constants.pkl" for name in archive.namelist())
        if scripted:
            raise InputError(
                f"{weights} is a whole network as TorchScript, and weights alone were expected after the @; pass "
                f"{weights} itself as the model, or save the network's state_dict() with torch.save."
            )
        return
    with weights.open("rb") as file:
        head = file.read(32)
    if head.startswith(b"\x80") and LEGACY not in head:
        raise InputError(
            f"{weights} was written by Python's pickle, and a file of torch.save was expected; open it where it was "
            "written and save it with torch.save(state, path)."
        )


def _keras(model: Any, function: str, file: Path, weights: Path | None) -> Opened:
    keras = import_keras(file)
    if weights is not None:
        try:
            model.load_weights(weights)
        except Exception as error:  # keras lets through what h5py and its layers raise
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{weights} does not fit the model of {file}: {reason}; give its own weights.") from None
    return opened_model(keras, model, function, file)


def _where(error: BaseException, file: Path) -> str:
    """What was raised, and the last line of the user's code that it passed through."""
    folder = str(file.resolve().parent)
    steps = [step for step in traceback.extract_tb(error.__traceback__) if step.filename.startswith(folder)]
    message = (str(error).strip() or "no message").splitlines()[0].rstrip(".")
    message = re.sub(r"facevalue_user_\d+\.", "", message)
    place = f" ({Path(steps[-1].filename).name}, line {steps[-1].lineno})" if steps else ""
    return f"{type(error).__name__}: {message}{place}"
