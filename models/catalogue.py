"""Networks by name: our own, and any that timm knows."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from faces.errors import InputError
from models import networks
from models.statedict import grey, in_order, read_weights, rename

OWN: dict[str, Callable[[int, int], networks.Pooled]] = {
    "compact": networks.compact,
    "large": networks.large,
    "tiny": networks.tiny,
    "separable": networks.separable,
}
SHIPPED = Path(__file__).parent / "weights"
COMPARED_AT = 96
"""Side of the images by which a network is compared with its pooled form."""
ENLARGED = "@"
"""Between a network's name and the side in pixels that it enlarges images to."""
MOST_ENLARGED = 512
TIMM_DOWNLOAD = "timm"
"""The value of ``pretrained`` that lets timm fetch the weights it publishes."""


def names() -> tuple[str, ...]:
    """Our own networks, then timm's, each as :func:`build` takes it."""
    import timm

    return (*OWN, *timm.list_models())


def build(
    name: str,
    classes: int,
    channels: int = 1,
    pretrained: str | None = None,
    members: int = 1,
    size: int | None = None,
    mirrored: bool = False,
    tilted: float = 0.0,
    closer: float = 1.0,
    beside: Sequence[str] = (),
) -> nn.Module:
    """The network ``name`` with ``classes`` outputs (logits) for images of ``channels``, NCHW float32.

    ``members`` above 1 makes one network of that many (see models.networks.fused), ``beside`` names unlike networks to
    fuse with it, and ``mirrored`` makes one that looks at every image both ways round, ``tilted`` degrees to either
    side and at its middle ``closer`` times as large (see models.networks.mirrored): networks of ours, or timm's with a
    pooled linear head. ``size`` is the side of the images, which timm's transformers must be built for. A name that
    ends in ``@SIDE`` (``resnet18@112``) is that network looking at images enlarged to so many pixels a side, whatever
    they come in: what networks from ImageNet need on small faces, and what lets them stand beside others in one
    ensemble.

    ``pretrained`` is a file (.safetensors, or .pt/.pth holding tensors alone) whose fitting tensors are taken, or
    ``"timm"`` for timm's own download. Raises InputError for a name nobody knows, with the nearest ones, and for a
    file that does not fit.
    """
    if members > 1 or mirrored or beside:
        parts = [pooled(one, classes, channels, size) for one in (*[name] * members, *beside)]
        whole = networks.fused(parts) if len(parts) > 1 else parts[0]
        return networks.mirrored(whole, tilted, closer) if mirrored else whole
    if ENLARGED in name:
        name, side = _name_and_side(name)
        return networks.enlarged(pooled(name, classes, channels, side, pretrained), side)
    if name not in OWN:
        _known_to_timm(name)
        network = _from_timm(name, classes, channels, pretrained == TIMM_DOWNLOAD, size)
    else:
        if pretrained == TIMM_DOWNLOAD:
            raise InputError(f"timm publishes no weights for the network {name!r}; give a weights file or none.")
        network = OWN[name](classes, channels)
    if pretrained and pretrained != TIMM_DOWNLOAD:
        take_weights(network, Path(pretrained))
    return network


def pooled(
    name: str, classes: int, channels: int, size: int | None = None, pretrained: str | None = None
) -> networks.Pooled:
    """As :func:`build`, in the form that can be fused or mirrored.

    Raises InputError for a timm network whose head is not the mean over places and one linear layer.
    """
    return as_pooled(name, build(name, classes, channels, pretrained, size=size), channels, size)


def as_pooled(name: str, network: nn.Module, channels: int, size: int | None = None) -> networks.Pooled:
    """A network that was built as ``name`` in the form that can be fused or mirrored; raises as :func:`pooled`."""
    if isinstance(network, networks.Pooled):
        return network
    side = max(COMPARED_AT, size or 0)  # of one place alone a map would tell nothing
    found = None if _of_one_size(name) else networks.as_pooled(network, torch.rand(2, channels, side, side))
    if found is None:
        raise InputError(
            f"The network {name!r} can be neither fused, mirrored nor enlarged: a mean over places and one linear "
            f"layer were expected at its end; name one of {', '.join(OWN)}, or a ResNet, DenseNet or EfficientNet of "
            "timm's."
        )
    return found


def take_weights(network: nn.Module, file: Path) -> int:
    """Copy every tensor of ``file`` whose name (prefixes aside) and shape fit; returns how many did.

    Where the names are others', as in the published ports of VGGFace, tensors are matched by order and shape, if three
    of four can be. Filters of colour images serve a network of grey ones, summed over the colours. A head for other
    classes is left as it was drawn; pickled code is never run. Raises InputError where the file cannot be read or less
    than half of the network's tensors are in it.
    """
    if not file.is_file():
        raise InputError(f"The pretrained weights {file} are not there; give the path of a .safetensors or .pt file.")
    own = network.state_dict()
    state = read_weights(file)
    found = grey(rename(state if isinstance(state, dict) else state.state_dict(), list(own)), own)
    fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    if 2 * len(fitting) < len(own):
        ordered = in_order(found, own)
        fitting = ordered if 4 * len(ordered) >= 3 * len(own) else fitting
    if 2 * len(fitting) < len(own):
        raise InputError(
            f"The weights {file} hold {len(fitting)} of the network's {len(own)} tensors; at least half were expected: "
            "give weights of the same architecture, with the same names and shapes."
        )
    network.load_state_dict(fitting, strict=False)
    return len(fitting)


def shipped() -> dict[str, Path]:
    """The checkpoint folders that come with the project, by name."""
    return {card.parent.name: card.parent for card in sorted(SHIPPED.glob("*/card.json"))}


def listing() -> Iterator[str]:
    """Lines for people: our networks, the shipped checkpoints with their figures, how to reach timm's and enlarge."""
    for name, builder in OWN.items():
        yield f"{name:<20} {(builder.__doc__ or '').strip()}"
    for name, folder in shipped().items():
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        test = card.get("figures", {}).get("test", {})
        figure = f"{test['accuracy']:.1%} on {test['n']} test images" if test.get("n") else "no test figures"
        yield f"{name:<20} A checkpoint, {len(card['classes'])} classes, {figure}: {folder}"
    yield f"{'timm names':<20} Any of timm's {len(names()) - len(OWN)} networks, such as resnet18 or mobilenetv2_100."
    yield f"{'NAME@112':<20} A network that ends in a mean over places, looking at images enlarged to 112 pixels."


def _name_and_side(name: str) -> tuple[str, int]:
    inner, _, side = name.partition(ENLARGED)
    if not side.isdecimal() or not 16 <= int(side) <= MOST_ENLARGED:
        raise InputError(
            f"The network {name!r} says {side!r} where the side of enlarged images was expected, 16 to "
            f"{MOST_ENLARGED} pixels; write {inner}{ENLARGED}112, say."
        )
    return inner, int(side)


def _known_to_timm(name: str) -> None:
    import timm

    if timm.is_model(name.split(".")[0]):
        return
    near = difflib.get_close_matches(name, names(), n=4, cutoff=0.5) or list(OWN)
    raise InputError(
        f"The network {name!r} is neither ours nor timm's; did you mean {', '.join(near)}? "
        f"Ours are {', '.join(OWN)}; timm.list_models() lists timm's."
    )


def _of_one_size(name: str) -> bool:
    """Whether timm's network of that name is built for one image size."""
    import timm

    known = None if name in OWN else timm.get_pretrained_cfg(name)
    return known is not None and bool(known.fixed_input_size)


def _from_timm(name: str, classes: int, channels: int, download: bool, size: int | None) -> nn.Module:
    import timm

    fixed: dict[str, Any] = {"img_size": size} if size is not None and _of_one_size(name) else {}
    try:
        return timm.create_model(name, pretrained=download, num_classes=classes, in_chans=channels, **fixed)
    except Exception as reason:  # a download or a builder may raise anything
        task = "fetch the weights of" if download else "build"
        raise InputError(
            f"timm could not {task} the network {name!r} for {channels} channels"
            f"{f' and {size} pixels' if fixed else ''} ({reason}); choose another network, size or weights file."
        ) from reason
