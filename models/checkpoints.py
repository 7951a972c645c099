"""A checkpoint folder: weights.safetensors, card.json and trained_on.bin. Loading runs no code from the folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from faces.emotions import LabelSet
from faces.errors import InputError
from models import catalogue
from models.classifier import Classifier, Preprocessing, fingerprint
from models.networks import Pooled

SCHEMA = 1
WEIGHTS, CARD, TRAINED_ON = "weights.safetensors", "card.json", "trained_on.bin"
ID_BYTES = 8
"""How much of each training image's content_id is kept."""
HALF_LIMIT = torch.finfo(torch.float16).max


def rounded(network: nn.Module) -> nn.Module:
    """``network`` with its weights as half precision stores them, so that figures belong to what is saved."""
    state = {name: _halved(value).to(value.dtype) for name, value in network.state_dict().items()}
    network.load_state_dict(state)
    return network


def save(classifier: Classifier, folder: Path, card: dict[str, Any] | None = None) -> Path:
    """Write a classifier whose ``card["network"]`` names a catalogue entry: ``{"name", "channels"}``.

    ``card`` is joined to the classifier's own. Weights are stored in half precision where that loses nothing more
    than :func:`rounded` did. The folder appears whole or not at all; one that is there is replaced.
    """
    folder = Path(folder)
    card = {**classifier.card, **(card or {})}
    part = folder.with_name(f".{folder.name}.writing")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_file(_stored(classifier.network), part / WEIGHTS)
    (part / WEIGHTS).chmod(0o644)
    (part / TRAINED_ON).write_bytes(b"".join(sorted(classifier.trained_on)))
    written = {
        **card,
        "schema": SCHEMA,
        "name": classifier.name,
        "classes": list(classifier.labels),
        "preprocessing": asdict(classifier.preprocessing),
        "output": classifier.output,
        "cam_layer": classifier.cam_layer,
        "reshape": classifier.reshape,
        "fingerprint": fingerprint(classifier.network),
        "files": {name: _sha256(part / name) for name in (WEIGHTS, TRAINED_ON)},
        "trained_on": {"images": len(classifier.trained_on), "id_bytes": ID_BYTES},
    }
    (part / CARD).write_text(json.dumps(written, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    put_in_place(part, folder)
    return folder


def load(folder: Path | str) -> Classifier:
    """The classifier of a checkpoint folder, in evaluation mode, weights float32.

    Raises InputError naming the file that is missing, damaged or does not belong, and the field of the card that is
    wrong.
    """
    folder = Path(folder)
    card = read_card(folder)
    for name, expected in card["files"].items():
        _check_file(folder / name, expected)
    labels = LabelSet(tuple(card["classes"]))
    preprocessing = _preprocessing(folder, card["preprocessing"])
    fields = ("members", "mirrored", "tilted", "closer", "beside")
    told = {field: card["network"][field] for field in fields if field in card["network"]}
    network = catalogue.build(
        card["network"]["name"], len(labels), preprocessing.channels, size=preprocessing.height, **told
    )
    _fill(network, folder / WEIGHTS)
    ids = (folder / TRAINED_ON).read_bytes()
    return Classifier(
        network=network.eval(),
        labels=labels,
        preprocessing=preprocessing,
        kind="checkpoint",
        name=card["name"] or folder.name,
        path=str(folder),
        output=card["output"],
        cam_layer=card["cam_layer"],
        reshape=card["reshape"],
        trained_on=frozenset(ids[i : i + ID_BYTES] for i in range(0, len(ids), ID_BYTES)),
        card=card,
    )


def named(name: str | None) -> Path | None:
    """The checkpoint folder of that name or at that path; None where there is none."""
    if not name:
        return None
    folder = catalogue.shipped().get(name, Path(name))
    return folder if (folder / CARD).is_file() else None


def go_on_from(folder: Path, network: nn.Module, labels: LabelSet) -> None:
    """Give ``network`` for ``labels`` the weights of a checkpoint: its head those of the classes of the same name.

    A class that the checkpoint does not know keeps what was drawn for it. Raises InputError where the checkpoint is of
    another network.
    """
    before, own = load(folder), network.state_dict()
    given = _in_form_of(network, before).state_dict()
    state = {name.replace("features.both.", "features.", 1): value for name, value in given.items()}
    shared = [name for name in labels if name in before.labels]
    to, of = [labels.index(name) for name in shared], [before.labels.index(name) for name in shared]
    last = list(own)[-1].rpartition(".")[0]
    heads = {name for name in own if name.rpartition(".")[0] == last}
    fits = own.keys() == state.keys() and all(
        value.shape[int(name in heads) :] == state[name].shape[int(name in heads) :] for name, value in own.items()
    )
    if not fits:
        raise InputError(
            f"The checkpoint {folder} is of the network {before.card['network']['name']!r}, which is another than the "
            "recipe's; name the same network, or give its weights file."
        )
    for name in heads:
        head = own[name].clone()
        head[to] = state[name][of]
        state[name] = head
    network.load_state_dict(state)


def _in_form_of(network: nn.Module, before: Classifier) -> nn.Module:
    """The checkpoint's network, pooled where ``network`` is: timm's own names differ between the two forms."""
    if not isinstance(network, Pooled) or isinstance(before.network, Pooled):
        return before.network
    takes = before.preprocessing
    return catalogue.as_pooled(before.card["network"]["name"], before.network, takes.channels, takes.height)


FIELDS: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "classes": list,
    "preprocessing": dict,
    "network": dict,
    "output": str,
    "cam_layer": (str, type(None)),
    "reshape": str,
    "files": dict,
}


def read_card(folder: Path | str) -> dict[str, Any]:
    """card.json of a checkpoint folder, its needed fields checked. Needs no weights. Raises InputError."""
    file = Path(folder) / CARD
    if not file.is_file():
        raise InputError(
            f"The model folder {folder} has no {CARD}; a folder written by `facevalue train` was expected: "
            "check the path."
        )
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as reason:
        raise InputError(f"The card {file} is not JSON ({reason}); copy the model folder again.") from reason
    if not isinstance(card, dict) or card.get("schema") != SCHEMA:
        found = card.get("schema") if isinstance(card, dict) else type(card).__name__
        raise InputError(f"The card {file} has schema {found!r}; {SCHEMA} was expected: train or convert it again.")
    for name, kind in FIELDS.items():
        if not isinstance(card.get(name), kind):
            raise InputError(f"The card {file} has {name!r} = {card.get(name)!r}, which is not usable; train it again.")
    if {WEIGHTS, TRAINED_ON} != set(card["files"]) or not isinstance(card["network"].get("name"), str):
        raise InputError(f"The card {file} names no weights file or no network; train it again.")
    return card


def _preprocessing(folder: Path, fields: dict[str, Any]) -> Preprocessing:
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
    try:
        return Preprocessing(**given)
    except TypeError as reason:
        raise InputError(f"The card in {folder} has preprocessing that is not understood ({reason}).") from reason


def _fill(network: nn.Module, file: Path) -> None:
    try:
        state = load_file(file)
    except (SafetensorError, OSError) as reason:
        raise InputError(f"The weights {file} cannot be read ({reason}); copy the model folder again.") from reason
    own = network.state_dict()
    strange = sorted({*own} ^ {*state}) or sorted(name for name in own if own[name].shape != state[name].shape)
    if strange:
        raise InputError(
            f"The weights {file} do not belong to the network that the card names (tensor {strange[0]!r} differs); "
            "copy the model folder again, card and weights together."
        )
    network.load_state_dict({name: value.to(own[name].dtype) for name, value in state.items()})


def _check_file(file: Path, expected: str) -> None:
    if not file.is_file():
        raise InputError(f"The model folder {file.parent} has no {file.name}; copy the whole folder again.")
    if _sha256(file) != expected:
        raise InputError(f"The file {file} is damaged: its checksum is not the card's; copy the model folder again.")


def _stored(network: nn.Module) -> dict[str, torch.Tensor]:
    """Tensors to write: halves where a half holds the exact value, else as they are."""
    stored = {}
    for name, value in network.state_dict().items():
        value = value.detach().cpu().contiguous()
        half = _halved(value)
        stored[name] = half.clone() if torch.equal(half.to(value.dtype), value) else value.clone()
    return stored


def _halved(value: torch.Tensor) -> torch.Tensor:
    if value.dtype != torch.float32 or not bool((value.abs() < HALF_LIMIT).all()):
        return value
    return value.to(torch.float16)


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def put_in_place(part: Path, folder: Path) -> None:
    """Put a finished folder in place; one that is there is moved aside first and removed after."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    part.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
