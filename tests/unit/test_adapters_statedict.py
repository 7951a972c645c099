"""Weights that torch cannot read are told apart: written by pickle itself, or damaged."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from faces.errors import InputError
from models.statedict import read_weights


@pytest.mark.parametrize("allowed", [False, True])
def test_plain_pickles_and_damaged_files_are_told_apart(tmp_path: Path, allowed: bool) -> None:
    weights = nn.Linear(2, 2).state_dict()
    with (tmp_path / "plain.pth").open("wb") as file:
        pickle.dump({name: value.numpy() for name, value in weights.items()}, file)
    torch.save(weights, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert read_weights(tmp_path / "old.pth", allowed).keys() == weights.keys()
    (tmp_path / "cut.pth").write_bytes((tmp_path / "old.pth").read_bytes()[:-20])
    with pytest.raises(InputError, match=r"plain.pth was written by pickle.dump, .* write it with torch.save"):
        read_weights(tmp_path / "plain.pth", allowed)
    with pytest.raises(InputError, match=r"cut.pth cannot be read by torch .* the file is damaged"):
        read_weights(tmp_path / "cut.pth", allowed)
