"""What a network returns: logits, probabilities or a sigmoid; and taking the activation off its end."""

from __future__ import annotations

import re

import torch
from torch import nn

from faces.errors import InputError
from models.classifier import Preprocessing
from models.probe import example, quiet_eval

SUMS = 1e-2
"""How far from 1 probabilities may sum up: a softmax computed in half precision is off by some thousandths."""
RESHAPING = (
    *("View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Select", "Slice", "Permute", "Transpose", "T"),
    *("Expand", "Alias", "Clone", "ToCopy", "Clamp"),
)
"""What autograd calls the steps that leave values as they are, or within their bounds."""
BATCHES = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of images that networks are tied to."""


class DoesNotRun(InputError):
    """The network failed on the input."""


class TwoLogits(nn.Module):
    """One logit z (N, 1) of the second of two classes as the two (N, 2) that say the same: -z/2 and z/2."""

    def forward(self, logit: torch.Tensor) -> torch.Tensor:
        half = logit.reshape(len(logit), 1) / 2
        return torch.cat([-half, half], dim=1)


def output_of(network: nn.Module, preprocessing: Preprocessing, subject: str) -> tuple[int, str]:
    """Number of classes and ``logits``, ``probabilities`` or ``sigmoid``, by running the network.

    Several sigmoids count as probabilities: shared out they sum to 1. Raises DoesNotRun where it fails, InputError
    where it returns no tensor (N,), (N, K) or (N, K, 1, 1).
    """
    batch = example(preprocessing, 6)
    output = _run(network, batch, preprocessing, subject)
    within = bool(((output >= 0) & (output <= 1)).all())
    if output.ndim == 1 or output.shape[1] == 1:
        if not within or is_probability(network, batch) is False:
            found = "no sigmoid ends the network" if within else f"{float(output.min()):.3g} was seen"
            raise InputError(
                f"{subject} has one output that is no probability ({found}); one sigmoid or "
                "two outputs were expected: save the model with the sigmoid, or add it in code and load that as "
                "factory:FILE.py:FUNCTION@weights."
            )
        return 2, "sigmoid"
    sums_to_one = torch.allclose(output.sum(dim=1), torch.ones(len(output)), atol=SUMS)
    if within and (sums_to_one or _end(network, batch).startswith("Sigmoid")):
        return output.shape[1], "probabilities"
    return output.shape[1], "logits"


def is_probability(network: nn.Module, batch: torch.Tensor) -> bool | None:
    """Whether a network's single output comes from a sigmoid or a softmax; None where autograd does not tell."""
    end = _end(network, batch)
    return end.startswith(("Sigmoid", "Hardsigmoid", "Softmax")) if end else None


def strip_activation(network: nn.Module, batch: torch.Tensor) -> bool:
    """Replace the softmax, or the single sigmoid, whose result is the network's output, so that logits come out.

    Only a module that is called once, and that can go without changing the probabilities, is replaced; whether one was.
    """
    results: dict[str, list[torch.Tensor]] = {}
    ends = {name: module for name, module in network.named_modules() if name and _is_end(module)}
    hooks = [
        module.register_forward_hook(lambda _m, _i, result, name=name: results.setdefault(name, []).append(result))
        for name, module in ends.items()
    ]
    with quiet_eval(network):
        before = network(batch)
        values = before.flatten(1) if before.ndim > 1 else before[:, None]
        for hook in hooks:
            hook.remove()
        last = next((name for name, seen in results.items() if len(seen) == 1 and seen[0] is before), None)
        if last is None:
            return False
        single = values.shape[1] == 1
        network.set_submodule(last, TwoLogits() if single else nn.Identity())
        after = network(batch).flatten(1).softmax(dim=1)
        same = torch.allclose(after[:, 1:] if single else after, values, atol=1e-6)
    if not same:
        network.set_submodule(last, ends[last])
    return same


def _is_end(module: nn.Module) -> bool:
    return "Softmax" in type(module).__name__ or isinstance(module, nn.Sigmoid)


def _run(network: nn.Module, batch: torch.Tensor, preprocessing: Preprocessing, subject: str) -> torch.Tensor:
    try:
        with quiet_eval(network):
            output = network(batch)
    except Exception as error:  # any network may fail in any way
        raise DoesNotRun(
            f"{subject} failed on an input of {tuple(batch.shape[1:])} ({preprocessing.layout[1:]}): {_reason(error)}; "
            f"{_remedy(network, batch)}."
        ) from None
    if isinstance(output, torch.Tensor) and output.ndim > 2 and output.shape[2:].numel() == 1:
        output = output.flatten(1)
    if not isinstance(output, torch.Tensor) or output.ndim not in (1, 2) or len(output) != len(batch):
        returned = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise InputError(
            f"{subject} returned {returned} for {len(batch)} images; a tensor ({len(batch)}, classes) was expected: "
            "wrap it in a function that returns that, and load it as factory:FILE.py:FUNCTION@weights."
        )
    return output.float()


def _reason(error: Exception) -> str:
    """The line of an error that says what went wrong: the first, or the last where TorchScript tells its way there."""
    lines = (str(error).strip() or type(error).__name__).splitlines()
    return lines[-1].removeprefix("RuntimeError: ") if "TorchScript interpreter" in lines[0] else lines[0]


def _remedy(network: nn.Module, batch: torch.Tensor) -> str:
    """What to do about a network that failed, by whether it runs on another number of images."""
    for number in BATCHES:
        try:
            with quiet_eval(network):
                network(torch.zeros((number, *batch.shape[1:])))
        except Exception:  # any network may fail in any way
            continue
        return (
            f"it runs on {number} at a time alone, and any number was expected: flatten with x.flatten(1) in its "
            "code, or export it again with an open batch size"
        )
    return "pass the size and channels it takes as --input, like 48x48,gray,0..1"


def _end(network: nn.Module, batch: torch.Tensor) -> str:
    """What autograd calls the last step that does more than reshape; empty where it saw none."""
    try:
        # optimised, TorchScript would join steps into one of its own
        with quiet_eval(network), torch.enable_grad(), torch.jit.optimized_execution(False):
            step = network(batch.clone().requires_grad_().clone()).grad_fn  # a leaf may not be written to in place
    except Exception:  # any network may refuse gradients in any way
        return ""
    while step is not None and re.sub(r"Backward\d*$", "", step.name()) in RESHAPING:
        step = step.next_functions[0][0]
    return "" if step is None else step.name()
