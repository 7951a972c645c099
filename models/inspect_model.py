"""What can be told of a model file before it is used: input, outputs, layers to take maps from, weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from torch import nn

from models import probe
from models.camlayer import Candidate, candidates, telling
from models.classifier import Classifier, Preprocessing
from models.load import adjusted, make_request, open_model
from models.opened import cam_layer_of, describe, settle

NO_LAYER = "no layer; black-box methods only"
LISTED = 9
"""So many layers are looked for; each is tried by running the network."""


@dataclass(frozen=True)
class Inspection:
    """``preprocessing`` is the input, layout and value range; ``output`` what the network returns: logits,
    probabilities or sigmoid; ``classes`` those the file names, else None; ``cam_layer`` the layer maps would be taken
    from, None for a black box, and ``cam_layers`` the best that can be named, first things first; ``notes`` what was
    found or assumed."""

    model: str
    kind: str
    weights: int
    preprocessing: Preprocessing
    outputs: int
    output: str
    classes: tuple[str, ...] | None
    cam_layer: str | None
    cam_layers: tuple[Candidate, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def text(self) -> str:
        """Lines for a terminal."""
        layers = {candidate.name: str(candidate) for candidate in self.cam_layers}
        others = [text for name, text in layers.items() if name != self.cam_layer]
        lines = [
            f"model     {self.model}: {self.kind}, {self.weights:,} weights",
            f"input     {describe(self.preprocessing)}, {self.preprocessing.layout}",
            f"output    {self.outputs} classes as {self.output}",
            f"classes   {', '.join(self.classes) if self.classes else 'not named in the file; pass --classes'}",
            f"maps from {layers.get(self.cam_layer, self.cam_layer) if self.cam_layer else NO_LAYER}",
        ]
        if others:
            lines.append(f"or from   {', '.join(others)}")
        return "\n".join([*lines, *(f"note      {note}" for note in self.notes)])


def inspect_model(spec: str | Path, input: str | Preprocessing | None = None, allow_pickle: bool = False) -> Inspection:
    """Open a MODEL and tell what it is, its classes known or not. Raises InputError as ``load_classifier`` does."""
    request = make_request(None, input, None, allow_pickle)
    opened = open_model(spec, request)
    if isinstance(opened, Classifier):
        return _of_checkpoint(str(spec), adjusted(opened, request))
    settled = settle(opened, request, any_size=True)
    cam_layer, _, notes = cam_layer_of(settled, request)
    return Inspection(
        model=str(spec),
        kind=opened.kind,
        weights=_weights(opened.network),
        preprocessing=settled.preprocessing,
        outputs=settled.outputs,
        output=settled.output,
        classes=None,
        cam_layer=cam_layer,
        cam_layers=_layers(opened.network, settled.preprocessing) if cam_layer else (),
        notes=(*settled.notes, *notes),
    )


def _of_checkpoint(spec: str, found: Classifier) -> Inspection:
    return Inspection(
        model=spec,
        kind=found.kind,
        weights=_weights(found.network),
        preprocessing=found.preprocessing,
        outputs=len(found.labels),
        output=found.output,
        classes=found.labels.names,
        cam_layer=found.cam_layer,
        cam_layers=_layers(found.network, found.preprocessing) if found.cam_layer else (),
        notes=tuple(found.card.get("notes", ())),
    )


def _layers(network: nn.Module, preprocessing: Preprocessing) -> tuple[Candidate, ...]:
    example = probe.example(preprocessing)
    return tuple(islice(telling(network, example, candidates(network, example)), LISTED))


def _weights(network: nn.Module) -> int:
    """Number of weights, running statistics among them where they are parameters."""
    return sum(value.numel() for value in network.parameters())
