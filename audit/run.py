"""AuditRun <-> its folder. Torch-free: this is all that reports and dashboard need to read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from faces.dataset import FaceDataset
from faces.emotions import LabelSet
from faces.errors import InputError

if TYPE_CHECKING:
    from audit.saliency.shown import SampleMap

SCHEMA_VERSION = 1
NEEDED = ("samples.parquet", "probabilities.npy")
NEEDED_FACTS = ("classes", "attributes")
"""What every finished run has: files, and keys of its manifest."""


@dataclass(frozen=True)
class Finding:
    """What a person reads first.

    ``code`` is stable (FV-D data, FV-M model, FV-F fairness, FV-S saliency, FV-L labels, each with three digits);
    ``severity`` is ``high``, ``medium``, ``low``, ``info`` or ``unchecked`` ("could not be checked, because ...");
    ``detail`` is one plain sentence with its number and interval; ``link`` is the evidence: a dashboard path with
    query, such as ``/confusions?label=fear&predicted=surprise``.
    """

    code: str
    severity: str
    title: str
    detail: str
    link: str = "/"


SEVERITIES = ("high", "medium", "low", "info", "unchecked")


@dataclass(frozen=True)
class MapStore:
    """Raw maps of one method: before ReLU, at the layer's own resolution.

    ``values`` float16 (N, T, h, w) divided by ``scale`` float32 (N, T); ``targets`` names what axis T holds: the K
    classes in order, or ``("predicted", "alternative")``.
    """

    method: str
    values: np.ndarray
    scale: np.ndarray
    targets: tuple[str, ...]

    @property
    def resolution(self) -> tuple[int, int]:
        return self.values.shape[2], self.values.shape[3]

    def raw(self, rows: np.ndarray | int, target: np.ndarray | int) -> np.ndarray:
        """float32 (..., h, w): the raw maps of some rows for one target, or for each row its own."""
        values = np.asarray(self.values[rows, target], dtype=np.float32)
        return values * np.asarray(self.scale[rows, target], dtype=np.float32)[..., None, None]


@dataclass(frozen=True)
class AuditRun:
    """A finished audit, read from its folder; arrays are memory-mapped and read only.

    Row i of every array belongs to row i of ``samples``.
    """

    folder: Path
    manifest: dict

    @classmethod
    def open(cls, folder: str | Path) -> AuditRun:
        """Raises InputError where the folder is no finished run, or one of another schema."""
        folder = Path(folder)
        path = folder / "manifest.json"
        if not path.is_file():
            raise InputError(
                f"{folder} is not a finished audit run (it has no manifest.json); "
                "expected a folder written by `facevalue audit ... --out RUN`: run that first, or finish it with "
                "--resume."
            )
        try:
            manifest = json.loads(path.read_text())
        except ValueError as error:
            raise InputError(f"{path} is not valid JSON ({error}); audit again into a new folder.") from None
        if not isinstance(manifest, dict):
            raise InputError(f"{path} holds no manifest; audit again into a new folder.")
        if manifest.get("schema") != SCHEMA_VERSION:
            raise InputError(
                f"{folder} was written with schema {manifest.get('schema')!r}; this version reads schema "
                f"{SCHEMA_VERSION}: audit again with this version."
            )
        missing = [name for name in NEEDED if not (folder / name).exists()]
        missing += [f"{name!r} in manifest.json" for name in NEEDED_FACTS if name not in manifest]
        if missing:
            raise InputError(
                f"The run {folder} is not whole (it has no {missing[0]}); the folder as `facevalue audit` wrote it was "
                "expected: copy it again, or audit again into a new folder."
            )
        # Their heads alone are read: a damaged file is told now, not on the page that needs it.
        _whole(folder / "samples.parquet", pq.read_metadata)
        _whole(folder / "probabilities.npy", _mapped)
        return cls(folder.resolve(), manifest)

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def classes(self) -> LabelSet:
        return LabelSet(tuple(self.manifest["classes"]))

    @property
    def attributes(self) -> tuple[str, ...]:
        """Attributes that were audited (columns of ``samples``); intersections are not listed."""
        return tuple(self.manifest["attributes"])

    @cached_property
    def samples(self) -> pd.DataFrame:
        """One row a sample, in order; see the design for the columns that stay. Do not modify."""
        return _whole(self.folder / "samples.parquet", pd.read_parquet)

    @cached_property
    def probabilities(self) -> np.ndarray:
        """float32 (N, K); NaN rows where the image was unreadable."""
        return _whole(self.folder / "probabilities.npy", _mapped)

    @cached_property
    def embeddings(self) -> np.ndarray | None:
        """float16 (N, D), or None where the classifier gives none."""
        path = self.folder / "embeddings.npy"
        return _whole(path, _mapped) if path.is_file() else None

    @property
    def saliency_methods(self) -> tuple[str, ...]:
        """Methods whose maps are stored, e.g. ``("gradcam",)``."""
        return tuple(self.manifest["saliency"])

    def maps(self, method: str = "gradcam") -> MapStore:
        """Stored maps of a method. Raises InputError naming the stored ones."""
        if method not in self.saliency_methods:
            known = ", ".join(self.saliency_methods) or "none (the classifier gave no gradients)"
            raise InputError(f"The run {self.name} stores no {method!r} maps; stored: {known}.")
        targets = tuple(self.manifest["saliency"][method]["targets"])
        values = _whole(self.folder / "saliency" / f"{method}.npy", _mapped)
        scale = _whole(self.folder / "saliency" / f"{method}_scale.npy", _mapped)
        return MapStore(method, values, scale, targets)

    def saliency(self, sample_id: str, method: str = "gradcam", target: str = "predicted") -> SampleMap:
        """One sample's map: ``.map`` raw, ``.show()`` over the face.

        ``target`` is a class, ``predicted``, ``label``, or ``a-minus-b`` for what speaks for a rather than b. A method
        that is not stored loads the model and computes it. Raises InputError naming what there is.
        """
        from audit.saliency.shown import sample_map

        return sample_map(self, sample_id, method, target)

    def dataset(self, data: Path | None = None) -> FaceDataset:
        """The whole data the run was made from: at ``data`` where it is given, else where it was.

        Raises InputError saying why it cannot be found.
        """
        from faces.readers import open_dataset

        recorded = self.manifest["data"]
        places = [data] if data else [Path(recorded["path"]), self.folder / str(recorded.get("relative_path") or ".")]
        place = next((path.resolve() for path in places if path.exists() and path.resolve() != self.folder), None)
        if place is None:
            raise InputError(f"The images are no longer at {places[0]}; pass their new place with --data.")
        names = tuple(recorded.get("label_names") or ())
        numbers = LabelSet(names) if names else None
        found = open_dataset(place, label=recorded.get("label"), classes=self.classes, numbers=numbers)
        if not self.samples["sample_id"].isin(found.samples["sample_id"]).any():
            raise InputError(f"The data {place} holds none of the run's images; pass the run's own data with --data.")
        return found

    @cached_property
    def row_of(self) -> dict[str, int]:
        """sample_id -> row."""
        return {sample_id: row for row, sample_id in enumerate(self.samples["sample_id"])}

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(Finding(**entry) for entry in _whole(self.folder / "findings.json", _json))

    @cached_property
    def timing(self) -> dict[str, float]:
        return _whole(self.folder / "timing.json", _json)

    def table(self, name: str) -> pd.DataFrame:
        """A stored result table ``results/NAME.parquet``. Raises InputError where there is none."""
        path = self.folder / "results" / f"{name}.parquet"
        if not path.is_file():
            known = ", ".join(sorted(file.stem for file in (self.folder / "results").glob("*.parquet")))
            raise InputError(f"The run {self.name} has no result table {name!r}; it has: {known}.")
        return _whole(path, pd.read_parquet)

    def result(self, name: str) -> dict:
        """A stored result ``results/NAME.json``."""
        return _whole(self.folder / "results" / f"{name}.json", _json)


def check_place(data: Path | None) -> None:
    """Raises InputError where ``data`` is given and nothing is there."""
    if data is not None and not data.exists():
        raise InputError(f"The data {data} is not there; pass the place where the run's images are now with --data.")


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except (ValueError, EOFError):
        raise ValueError("it is no array of numbers, or cut off") from None


def _whole(path: Path, read: Callable[[Path], Any]) -> Any:
    """What ``read`` makes of a file of the run. Raises InputError where the file is missing or damaged."""
    try:
        return read(path)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise InputError(
            f"The file {path} of a run cannot be read ({reason}); the folder as `facevalue audit` wrote it was "
            "expected: copy it again, or audit again into a new folder."
        ) from None


def findings_json(findings: tuple[Finding, ...]) -> str:
    """The text of ``findings.json``: most severe first, then by code; equal input gives equal text.

    A wrong class order and a model that guesses stand before others as severe: they explain the rest away.
    """

    def place(one: Finding) -> tuple[int, bool, str, str]:
        return SEVERITIES.index(one.severity), one.code not in ("FV-M001", "FV-M005"), one.code, one.title

    ordered = sorted(findings, key=place)
    return json.dumps([asdict(finding) for finding in ordered], indent=1, ensure_ascii=False)
