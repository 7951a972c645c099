"""Raters' votes on the training images, learnt beside the labels by outputs that the finished network has no more."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import nn

from faces.emotions import vote_columns
from faces.errors import InputError
from training.temperature import head

VOTES = "learn.votes_share"
"""The recipe's field that asks for them."""


def voted(samples: pd.DataFrame) -> torch.Tensor:
    """The share of its votes that each of N images gave to each of V answers, columns ``votes_*``; float32 (N, V).

    Columns of one answer by several names (``votes_joy``, ``votes_happy``), as of several data sets, count as one. Rows
    sum to 1, or to 0 where nobody voted. Raises InputError where the data has no votes.
    """
    answers: dict[str, np.ndarray] = {}
    for name in samples:
        for answer in vote_columns([name]):
            answers[answer] = answers.get(answer, 0) + samples[name].fillna(0).to_numpy(dtype=np.float32)
    votes = torch.from_numpy(np.stack([*answers.values()], axis=1)) if answers else torch.zeros(len(samples), 0)
    if not votes.any():
        raise InputError(
            f"The recipe learns from raters' votes ({VOTES}), and the data has none; join a file that has the "
            "columns votes_happy, votes_sad, ... with --metadata, or choose another recipe."
        )
    return votes / votes.sum(dim=1, keepdim=True).clamp(min=1)


@torch.no_grad()
def cut_to(network: nn.Module, name: str, classes: int) -> None:
    """Take from the network ``name`` all outputs after the first ``classes``, in place."""
    last = head(network, name, VOTES)
    last.weight, last.bias = nn.Parameter(last.weight[:classes].clone()), nn.Parameter(last.bias[:classes].clone())
    last.out_features = classes
