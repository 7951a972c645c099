"""Someone's network on its way to a Classifier: what its file says, what the person says, what running it tells."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import nn

from faces.emotions import PUBLISHED_ORDERS, LabelSet
from faces.errors import InputError
from models import probe
from models.camlayer import find_cam_layer, named_layer
from models.classifier import Classifier, Preprocessing, per_channel
from models.outputs import DoesNotRun, is_probability, output_of, strip_activation


@dataclass(frozen=True)
class Request:
    """What the person said of a model; None where nothing was said."""

    classes: LabelSet | None = None
    input: Preprocessing | None = None
    cam_layer: str | None = None
    allow_pickle: bool = False


@dataclass(frozen=True)
class Opened:
    """A network and what its file says of it; None where it does not say.

    ``scaling`` are the fields of Preprocessing that map pixel values (low, high, mean, std); ``usual`` the mean and std
    of values 0..1 that such a network is usually trained with. ``hookable`` is False for black boxes: no layer can be
    hooked and no gradient taken. ``spec`` is how to name the model again where ``path`` alone does not. ``notes`` are
    clauses a person should read.
    """

    network: nn.Module
    kind: str
    name: str
    path: Path | None
    layout: str = "NCHW"
    size: tuple[int, int] | None = None
    channels: int | None = None
    scaling: dict[str, Any] | None = None
    usual: dict[str, tuple[float, ...]] | None = None
    hookable: bool = True
    fingerprint: str = ""
    spec: str = ""
    notes: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """How an error names the model."""
        return f"the model {self.path or self.name}"


@dataclass(frozen=True)
class Settled:
    """An Opened network whose input and output are known; ``outputs`` classes in the form ``output``."""

    opened: Opened
    preprocessing: Preprocessing
    outputs: int
    output: str
    notes: tuple[str, ...] = field(default=())


def settle(opened: Opened, request: Request, any_size: bool = False) -> Settled:
    """Find out input and output, and strip a final softmax or sigmoid where it can be.

    Raises InputError naming --input where the input cannot be told; with ``any_size`` a size that the network takes
    will do.
    """
    preprocessing, notes = _input(opened, request, any_size)
    try:
        outputs, output = output_of(opened.network, preprocessing, opened.subject)
    except DoesNotRun as error:
        raise _blamed(opened, preprocessing, error) from None
    if output == "sigmoid" and is_probability(opened.network, probe.example(preprocessing)) is None:
        notes = (*notes, "its one output is taken for a sigmoid, since it was within 0..1 on made-up pictures")
    if not probe.repeats(opened.network, probe.example(preprocessing)):
        notes = (*notes, "it gives other outputs each time it runs (dropout left on?), and so will every figure")
    if output != "logits" and opened.hookable:
        if strip_activation(opened.network, probe.example(preprocessing)):
            output = "logits"
        else:
            notes = (*notes, f"it ends in {output}, which cannot be taken off: their logarithms stand for logits")
    return Settled(opened, preprocessing, outputs, output, (*opened.notes, *notes))


def classifier(opened: Opened, request: Request) -> Classifier:
    """The Classifier. Raises InputError where classes or input are neither given nor told by the file."""
    settled = settle(opened, request)
    labels = _labels(settled, request)
    cam_layer, reshape, notes = cam_layer_of(settled, request)
    return Classifier(
        network=opened.network,
        labels=labels,
        preprocessing=settled.preprocessing,
        kind=opened.kind,
        name=opened.name,
        path=str(opened.path) if opened.path else None,
        output=settled.output,
        cam_layer=cam_layer,
        reshape=reshape,
        fingerprint=opened.fingerprint,
        card={"notes": [*settled.notes, *notes], **({"spec": opened.spec} if opened.spec else {})},
    )


def describe(preprocessing: Preprocessing) -> str:
    """An input in words, such as ``48x48 gray, -1..1``."""
    colour = "gray" if preprocessing.channels == 1 else "rgb"
    text = f"{preprocessing.height}x{preprocessing.width} {colour}, {preprocessing.low:g}..{preprocessing.high:g}"
    if preprocessing.mean is None:
        return text
    return f"{text}, less {_numbers(preprocessing.mean)}, divided by {_numbers(preprocessing.std or ())}"


def _input(opened: Opened, request: Request, any_size: bool) -> tuple[Preprocessing, tuple[str, ...]]:
    """The preprocessing and what was assumed for it."""
    if request.input is not None:
        given = replace(request.input, layout=opened.layout)
        return _checked_input(opened, given), _scaled_otherwise(opened, given)
    channels = opened.channels or probe.channels_of(opened.network)
    if channels not in (1, 3):
        found = "cannot be told" if channels is None else f"are {channels}, and 1 or 3 were expected"
        raise InputError(f"The input channels of {opened.subject} {found}; pass --input, like 48x48,gray,0..1.")
    (height, width), notes = (opened.size, ()) if opened.size else _size_taken(opened, channels, any_size)
    unscaled = Preprocessing(height, width, channels, layout=opened.layout)
    if opened.scaling is not None:
        return replace(unscaled, **opened.scaling), notes
    preprocessing, reason = probe.value_range(opened.network, unscaled)
    return preprocessing, (*notes, reason)


def _checked_input(opened: Opened, given: Preprocessing) -> Preprocessing:
    """What was given, where it has the channels and the size that the file names. Raises InputError."""
    if opened.channels in (None, given.channels) and opened.size in (None, (given.height, given.width)):
        return given
    raise _other_input(opened, given, opened.channels)


def _blamed(opened: Opened, given: Preprocessing, error: InputError) -> InputError:
    """The error of a network that did not run, in terms of its first convolution where that tells of other channels.

    What the first convolution takes need not be what the network takes, so it only explains what has failed.
    """
    channels = probe.channels_of(opened.network)
    if opened.channels is not None or channels not in (1, 3) or channels == given.channels:
        return error
    return _other_input(opened, given, channels)


def _other_input(opened: Opened, given: Preprocessing, channels: int | None) -> InputError:
    channels = channels if channels in (1, 3) else given.channels
    height, width = opened.size or (given.height, given.width)
    mean, std = (values and per_channel(values, channels) for values in (given.mean, given.std))
    wanted = replace(given, height=height, width=width, channels=channels, mean=mean, std=std)
    colour = "rgb" if channels == 3 else "gray"
    return InputError(
        f"The input {describe(given)} is not what {opened.subject} takes, which is {height}x{width} {colour}; "
        f"pass --input {wanted.as_input()}."
    )


def _scaled_otherwise(opened: Opened, given: Preprocessing) -> tuple[str, ...]:
    """A note where the input that was said scales pixels otherwise than the file tells or is usual for the network."""
    if opened.scaling is not None:
        whose, own = "the file's own", opened.scaling
    elif opened.usual is not None:
        whose = f"{opened.kind}'s own"
        own = {name: per_channel(values, given.channels) for name, values in opened.usual.items()}
    else:
        return ()
    usual = replace(given, **{"low": 0.0, "high": 1.0, "mean": None, "std": None, **own})
    if given == usual:
        return ()
    told = describe(usual).partition(", ")[2]
    return (f"--input's scaling is used and {whose} ({told}) is not; {usual.as_input()} takes that",)


def _size_taken(opened: Opened, channels: int, any_size: bool) -> tuple[tuple[int, int], tuple[str, ...]]:
    """The input size where the network runs on one size alone, and a note. Raises InputError naming --input."""
    taken = probe.sizes_taken(opened.network, channels, opened.layout)
    if len(taken) == 1:
        return (taken[0], taken[0]), (f"{taken[0]}x{taken[0]} is the one usual input size that it takes",)
    if taken and any_size:
        return (taken[0], taken[0]), (f"it takes several input sizes, {taken[0]}x{taken[0]} among them; pass --input",)
    colour = "rgb" if channels == 3 else "gray"
    found = "takes several input sizes" if taken else "does not tell its input size"
    side = taken[0] if taken else 48
    raise InputError(
        f"{_capital(opened.subject)} {found}, and the one it was trained with is needed; pass it as --input, "
        f"like {side}x{side},{colour},0..1."
    )


def _labels(settled: Settled, request: Request) -> LabelSet:
    number = settled.outputs
    orders = [order for order in PUBLISHED_ORDERS.values() if len(order) == number]
    example = ",".join(orders[0]) if orders else "a,b,.. (one name an output)"
    subject = settled.opened.subject
    if request.classes is None:
        raise InputError(
            f"{_capital(subject)} has {number} outputs and does not name its classes; name them in the order of the "
            f"outputs: --classes {example}."
        )
    if len(request.classes) != number:
        raise InputError(
            f"{len(request.classes)} classes were given ({', '.join(request.classes)}) and {subject} has {number} "
            f"outputs; name each output once, in order: --classes {example}."
        )
    return request.classes


def cam_layer_of(settled: Settled, request: Request) -> tuple[str | None, str, tuple[str, ...]]:
    """Layer, reshape and what a person should know of it."""
    opened = settled.opened
    if not opened.hookable:
        if request.cam_layer is not None:
            raise InputError(
                f"The CAM layer {request.cam_layer!r} cannot be used: {opened.subject} lets no layer be hooked; "
                "leave --cam-layer out."
            )
        return None, "nchw", ()
    batch = probe.example(settled.preprocessing)
    if request.cam_layer is not None:
        return *named_layer(opened.network, batch, request.cam_layer), ()
    try:
        return *find_cam_layer(opened.network, batch), ()
    except InputError:
        if not probe.gives_gradients(opened.network, batch):
            return None, "nchw", ("its forward runs without gradients: maps come from black-box methods",)
        return None, "nchw", ("no layer keeps positions to the output: maps come from black-box methods",)


def _numbers(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in values)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
