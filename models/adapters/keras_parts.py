"""``MODEL.json@WEIGHTS``: a Keras model in two files, of ``model.to_json()`` and ``model.save_weights()``."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from faces.errors import InputError
from faces.places import place
from models.adapters.keras import import_keras, open_keras
from models.opened import Opened, Request

if TYPE_CHECKING:
    import h5py


def open_parts(text: str, request: Request) -> Opened:
    """``text`` is MODEL.json@WEIGHTS. Raises InputError where a file is missing, is something else, or does not fit."""
    model, weights = (place(part) for part in text.rsplit(".json@", 1))
    model = model.with_name(f"{model.name}.json")
    for path in (model, weights):
        if not path.is_file():
            raise InputError(f"{path}, named by the model {text!r}, is not a file; give the path of one.")
    import_keras(model)
    with TemporaryDirectory() as folder:
        whole = _whole(model, weights, Path(folder))
        opened = open_keras(whole, request, shown=weights)
    return replace(opened, name=model.stem, path=weights, spec=f"{model.resolve()}@{weights.resolve()}")


def _whole(model: Path, weights: Path, folder: Path) -> Path:
    """The file that ``model.save()`` would have written."""
    import h5py

    try:
        config = json.loads(model.read_text(encoding="utf-8"))
        kind, version = config["class_name"], str(config.get("keras_version", ""))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{model} is not what a Keras model.to_json() writes ({error!r}); give that file.") from None
    if not h5py.is_hdf5(weights):
        raise InputError(f"{weights} is no HDF5 file; the weights that {kind}.save_weights() wrote were expected.")
    try:
        with h5py.File(weights) as file:
            if "layer_names" not in file.attrs and "model_config" not in file.attrs:
                return _archive(config, weights, folder / "model.keras")
            return _joined(config, version, file, folder / "model.h5")
    except (OSError, KeyError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the file's
            raise
        raise InputError(f"{weights} is a damaged HDF5 file ({error}); copy or write it again.") from None


def _joined(config: dict, version: str, weights: h5py.File, whole: Path) -> Path:
    """A file of HDF5 with both, as keras 2 wrote them."""
    import h5py

    with h5py.File(whole, "w") as copy:
        source = weights.get("model_weights", weights)
        target = copy.create_group("model_weights")
        for name in source:
            source.copy(source[name], target, name)
        for name, value in source.attrs.items():
            target.attrs[name] = value
        copy.attrs["model_config"] = json.dumps(config)
        copy.attrs["keras_version"] = version or weights.attrs.get("keras_version", "")
        copy.attrs["backend"] = config.get("backend") or weights.attrs.get("backend", "")
    return whole


def _archive(config: dict, weights: Path, archive: Path) -> Path:
    """A .keras archive, in which keras 3 keeps weights as ``save_weights`` writes them to .weights.h5."""
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", json.dumps(config))
        file.writestr("metadata.json", json.dumps({"keras_version": config.get("keras_version", "3")}))
        file.write(weights, "model.weights.h5")
    return archive
