"""TorchScript files: no layer of theirs can be hooked, so maps come from black-box methods."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

import torch
from torch import nn

from faces.errors import InputError
from models.opened import Opened, Request


class ScriptedNetwork(nn.Module):
    """A TorchScript module as a plain one: input and output go through unchanged."""

    def __init__(self, script: torch.jit.ScriptModule) -> None:
        super().__init__()
        self.script = script

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.script(batch)


def open_torchscript(path: Path, request: Request) -> Opened:
    """Raises InputError where the file cannot be read as TorchScript."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", FutureWarning
            )  # torch deprecates writing these files; people still have them
            script = torch.jit.load(path, map_location="cpu")
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"{path} cannot be read as TorchScript ({reason}); save it again with torch.jit.save, or bring the network "
            "itself as factory:FILE.py:FUNCTION@weights."
        ) from None
    with path.open("rb") as file:  # a frozen file keeps its weights as constants, which no state_dict shows
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Opened(
        network=ScriptedNetwork(script.float().eval()),
        kind="torchscript",
        name=path.stem,
        path=path,
        hookable=False,
        fingerprint=digest,
        notes=("TorchScript lets no layer be hooked: there are no gradient maps, only those of black-box methods",),
    )
