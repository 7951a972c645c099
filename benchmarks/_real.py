"""What benchmarks on real faces share: the faces, and the classifier that ships."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from faces.dataset import FaceDataset
from faces.emotions import PUBLISHED_ORDERS, LabelSet
from faces.readers import open_dataset
from models.camlayer import find_cam_layer
from models.catalogue import build
from models.checkpoints import load
from models.classifier import Classifier, Preprocessing
from tests.conftest import ROOT, fer2013_folder

SEVEN = LabelSet(PUBLISHED_ORDERS["FER-2013"])


def faces_folder() -> Path:
    """The folder of archive.zip and metadata.csv; the benchmark ends where it is not there."""
    folder = fer2013_folder()
    if not (folder / "archive.zip").is_file():
        sys.exit(f"the real faces are not at {folder}; set FACEVALUE_FER2013")
    return folder


def public_test() -> FaceDataset:
    """FER-2013's PublicTest with its metadata: 3,579 images."""
    folder = faces_folder()
    return open_dataset(folder / "archive.zip", folder / "metadata.csv").select("test")


def compact_folder() -> Path | None:
    """The shipped compact checkpoint, if there is one."""
    return next(iter(sorted((ROOT / "models" / "weights").glob("*compact*/"))), None)


def compact() -> Classifier:
    """The shipped compact classifier; its network with random weights where none ships."""
    folder = compact_folder()
    return load(folder) if folder else untrained("compact", 48, 1)


def untrained(name: str, size: int, channels: int) -> Classifier:
    """A catalogue entry or timm name with seeded random weights."""
    torch.manual_seed(0)
    network = build(name, len(SEVEN), channels).eval()
    layer, reshape = find_cam_layer(network, torch.rand(2, channels, size, size))
    preprocessing = Preprocessing(size, size, channels)
    return Classifier(network, SEVEN, preprocessing, name=name, cam_layer=layer, reshape=reshape)
