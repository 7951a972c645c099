"""The fingerprint of a network: of everything that its state holds, and of nothing else."""

from __future__ import annotations

import hashlib
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.classifier import fingerprint


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8)).eval()


def quantised(seed: int = 0, kind: torch.dtype = torch.qint8) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that another library does this now
        return torch.ao.quantization.quantize_dynamic(network(seed), {nn.Linear}, dtype=kind)


class Remembers(nn.Linear):
    """Keeps something beside its tensors."""

    def __init__(self, extra: Any) -> None:
        torch.manual_seed(0)
        super().__init__(2, 2)
        self.extra = extra

    def get_extra_state(self) -> Any:
        return self.extra

    def set_extra_state(self, state: Any) -> None:
        self.extra = state


def test_it_is_the_hash_of_names_shapes_and_bytes() -> None:
    digest = hashlib.sha256()
    for name, value in sorted(network().state_dict().items()):
        digest.update(f"{name}:{tuple(value.shape)}:{value.dtype};".encode() + value.numpy().tobytes())
    assert fingerprint(network()) == digest.hexdigest()


def test_the_packed_weights_of_quantised_layers_count() -> None:
    assert fingerprint(quantised()) == fingerprint(quantised()) != fingerprint(quantised(1))
    assert fingerprint(quantised()) != fingerprint(quantised(kind=torch.float16))


@pytest.mark.parametrize(
    ("one", "same", "other"),
    [
        ({"epoch": 3, "best": 0.5}, {"best": 0.5, "epoch": 3}, {"epoch": 4, "best": 0.5}),
        ([torch.ones(2), "a"], (torch.ones(2), "a"), [torch.zeros(2), "a"]),
        (np.arange(3), np.arange(3), np.arange(1, 4)),
        (np.float32(1.5), np.float32(1.5), np.float32(2.5)),
        (object(), object(), None),
    ],
    ids=["mapping", "sequence", "array", "number", "object"],
)
def test_an_extra_state_counts_by_its_values(one: Any, same: Any, other: Any) -> None:
    assert fingerprint(Remembers(one)) == fingerprint(Remembers(same)) != fingerprint(Remembers(other))
