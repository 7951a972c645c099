"""MODEL of the command line, whatever kind it is, to a Classifier. Kinds are told by content, not by name alone."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from faces.emotions import LabelSet
from faces.errors import InputError
from faces.places import place
from models import catalogue, checkpoints, probe
from models.camlayer import named_layer
from models.classifier import Classifier, Preprocessing
from models.opened import Opened, Request, classifier
from models.outputs import output_of
from models.statedict import State, fit, is_safetensors, read_weights, rename

FORMS = (
    "a checkpoint folder, a .safetensors, .pt, .pth, .keras, .h5, .hdf5 or .onnx file, MODEL.json@weights.h5, "
    "timm:NAME@weights or factory:FILE.py:FUNCTION@weights"
)

PARTS = ".json@"
"""Between a Keras model and its weights in two files."""


def load_classifier(
    spec: str | Path,
    classes: str | Sequence[str] | LabelSet | None = None,
    input: str | Preprocessing | None = None,
    cam_layer: str | None = None,
    allow_pickle: bool = False,
) -> Classifier:
    """The classifier that ``spec`` names, in evaluation mode, on the CPU.

    ``classes`` (``"a,b,.."``, in the order of the outputs) and ``input`` (``"64x64,gray,-1..1"``, or with
    ``,imagenet`` or ``,MEAN/STD`` after it) are needed where the file does not tell them; given, they win.
    ``cam_layer`` names the layer to take maps from. Pickled code is run only with ``allow_pickle``.

    Raises InputError saying what is missing or wrong and what to pass.
    """
    request = make_request(classes, input, cam_layer, allow_pickle)
    opened = open_model(spec, request)
    return adjusted(opened, request) if isinstance(opened, Classifier) else classifier(opened, request)


def load_member(
    spec: str, classes: str | None = None, input: str | None = None, allow_pickle: bool = False
) -> Classifier:
    """A classifier of a committee: a checkpoint folder names its own classes and input, others are told them."""
    own = not _is_form(spec) and place(spec).is_dir()
    return load_classifier(spec, None if own else classes, None if own else input, None, allow_pickle)


def load_again(model: dict[str, Any], run: Path, spec: str | None = None, allow_pickle: bool = False) -> Classifier:
    """The classifier that a run was made with: ``model`` is that part of its manifest, ``run`` its folder.

    ``spec`` says where the model is now; without it, it is looked for where it was, then at the same place as seen
    from the run. Raises InputError where it is not there or has other weights.
    """
    place = spec or model["card"].get("spec") or model["path"]
    beside = run / (model["relative_path"] or "")
    if spec is None and not _is_form(place) and not Path(place).exists() and beside.exists():
        place = str(beside)
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in model["preprocessing"].items()
    }
    found = load_classifier(place, model["classes"], Preprocessing(**fields), model["cam_layer"], allow_pickle)
    if found.fingerprint != model["fingerprint"]:
        raise InputError(f"The model {place} has other weights than {run.name} was made with; give that model.")
    return found


def make_request(
    classes: str | Sequence[str] | LabelSet | None = None,
    input: str | Preprocessing | None = None,
    cam_layer: str | None = None,
    allow_pickle: bool = False,
) -> Request:
    """What a person said, parsed. Raises InputError for classes or an input that cannot be read."""
    if isinstance(classes, str):
        classes = LabelSet.parse(classes)
    elif classes is not None and not isinstance(classes, LabelSet):
        classes = LabelSet(tuple(classes))
    return Request(classes, Preprocessing.parse(input) if isinstance(input, str) else input, cam_layer, allow_pickle)


def open_model(spec: str | Path, request: Request) -> Opened | Classifier:
    """A checkpoint as the Classifier it is, any other model opened. Raises InputError."""
    text = str(spec)
    if text.startswith("timm:"):
        from models.adapters.timm import open_timm

        return open_timm(text.removeprefix("timm:"), request)
    if text.startswith("factory:"):
        from models.adapters.factory import open_factory

        return open_factory(text.removeprefix("factory:"), request)
    if PARTS in text:
        from models.adapters.keras_parts import open_parts

        return open_parts(text, request)
    path = place(spec)
    if not path.exists():
        raise InputError(f"The model {text!r} is not there; expected {FORMS}: check the path.")
    if path.is_dir():
        _check_folder(path)
        return checkpoints.load(path)
    return _open_file(path, request)


def _open_file(path: Path, request: Request) -> Opened | Classifier:
    kind = sniff(path)
    if kind == "keras":
        from models.adapters.keras import open_keras

        return open_keras(path, request)
    if kind == "onnx":
        from models.adapters.onnx import open_onnx

        return open_onnx(path, request)
    if kind == "torchscript":
        from models.adapters.torchscript import open_torchscript

        return open_torchscript(path, request)
    return _open_weights(path, request)


def sniff(path: Path) -> str:
    """``keras``, ``onnx``, ``torchscript`` or ``weights`` (safetensors or torch), from the file's first bytes and,
    in an archive, the names of its members. Raises InputError for anything else."""
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras"
    if zipfile.is_zipfile(path):
        return _sniff_archive(path)
    if is_safetensors(path) or path.suffix.lower() == ".safetensors" or head.startswith(b"\x80"):
        return "weights"
    if head.startswith(b"\x08") or path.suffix.lower() == ".onnx":  # protobuf's first field, the IR version
        return "onnx"
    raise InputError(f"The file {path} is no model that can be read (it begins with {head[:8]!r}); expected {FORMS}.")


def _sniff_archive(path: Path) -> str:
    with zipfile.ZipFile(path) as archive:
        members = [name.rpartition("/")[2] for name in archive.namelist()]
    if "config.json" in members and any(name.startswith("model.weights") for name in members):
        return "keras"
    if "constants.pkl" in members:
        return "torchscript"
    if "data.pkl" in members:
        return "weights"
    if "archive_format" in members:
        raise InputError(
            f"{path} is an exported torch program (.pt2), which cannot be read; export it as ONNX, or bring the "
            "network as factory:FILE.py:FUNCTION@weights."
        )
    raise InputError(f"The archive {path} holds no model (it holds {', '.join(members[:4])}); expected {FORMS}.")


def _is_form(text: str) -> bool:
    return text.startswith(("timm:", "factory:")) or PARTS in text


def _check_folder(path: Path) -> None:
    if (path / "saved_model.pb").is_file():
        raise InputError(
            f"{path} is a TensorFlow SavedModel, which needs TensorFlow; save it there with model.save('model.keras') "
            "and pass that file."
        )
    if (path / "config.json").is_file() and not (path / checkpoints.CARD).is_file():
        raise InputError(
            f"{path} is a folder as Hugging Face saves models (it has config.json and no {checkpoints.CARD}), which is "
            f"not read whole; expected {FORMS}: pass timm:NAME@{path}/model.safetensors for a network of timm, else "
            "write a function that builds the network and returns its logits alone, for factory:FILE.py:FUNCTION."
        )


def _open_weights(path: Path, request: Request) -> Opened | Classifier:
    """A file of weights: of a checkpoint folder, of one of our own networks, or a whole pickled network."""
    if path.name == checkpoints.WEIGHTS and (path.parent / checkpoints.CARD).is_file():
        return checkpoints.load(path.parent)
    from models.adapters.own_modules import OwnModules

    content = read_weights(path, request.allow_pickle, OwnModules(path.parent).unpickler())
    if isinstance(content, nn.Module):
        return Opened(network=content.float().eval(), kind="torch", name=path.stem, path=path)
    network = _own_network(content)
    if network is None:
        raise InputError(
            f"{path} holds weights alone, of a network that is not one of ours; name the network: timm:NAME@{path} or "
            f"factory:FILE.py:FUNCTION@{path}."
        )
    fit(network, content, str(path))
    return Opened(network=network.eval(), kind="checkpoint", name=path.stem, path=path)


def _own_network(state: State) -> nn.Module | None:
    """Our own network whose weights have the names and shapes of ``state``, or None."""
    for name, build in catalogue.OWN.items():
        expected = build(2, 1).state_dict()
        found = rename(state, list(expected))
        if set(found) != set(expected):
            continue
        first, last = next(iter(expected)), list(expected)[-1]
        network = catalogue.build(name, len(found[last]), found[first].shape[1])
        if all(value.shape == found[key].shape for key, value in network.state_dict().items()):
            return network
    return None


def adjusted(found: Classifier, request: Request) -> Classifier:
    """A checkpoint with what the person said instead of what its card says."""
    if request.classes is not None:
        found = found.with_classes(request.classes)
    if request.input is not None:
        found = replace(found, preprocessing=request.input, card={**found.card, **_input_note(found, request.input)})
        output_of(found.network, found.preprocessing, f"the model {found.path}")
    if request.cam_layer is not None:
        example = probe.example(found.preprocessing)
        name, reshape = named_layer(found.network, example, request.cam_layer)
        found = replace(found, cam_layer=name, reshape=reshape)
    return found


def _input_note(found: Classifier, told: Preprocessing) -> dict[str, Any]:
    """What to say where an input that was told drops the mean and deviation that a checkpoint was trained with."""
    own = found.preprocessing
    if own.mean is None or told.mean is not None:
        return {}
    note = (
        f"{found.name} was trained on {own.as_input()}; the input {told.as_input()} that was told leaves the mean and "
        "deviation out (leave --input out where the card is right)"
    )
    return {"notes": [*found.card.get("notes", ()), note]}
