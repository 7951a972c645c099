"""The faces of an encoded picture, explained by a run's classifier: what the try-it page asks the child process for.

Nothing of a picture is kept. The module is free of torch until it is asked, so that the page can read the answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from audit.saliency.registry import method
from faces.detect import MOST_FACES, find_faces, whole
from faces.errors import InputError, UnreadableImage
from faces.pixels import decode

FOUND, WHOLE, LIVE = "found", "whole", "live"
"""The faces in a picture; the picture itself as one face; the large faces in one frame of a camera."""
LIVE_LONGEST, LIVE_SMALLEST = 192, 0.2
"""See faces.detect.find_faces: less work for a frame than a still deserves."""
LARGEST_SHOWN = 1024
"""Pictures are sent back for display with at most so many pixels on the longer side."""
LARGEST_EXACT = 256
"""Those of at most so many are sent back as they are."""


@dataclass(frozen=True)
class TriedFace:
    """One face: where it is, ``left, top, side, height`` as shares of the picture's width, height, width and height,
    ``angle`` in degrees clockwise; ``pixels`` as the network was given them, uint8 (h, w, C); ``probabilities`` (K,);
    raw ``maps`` float32 (T, h, w) of the class positions ``targets``."""

    left: float
    top: float
    side: float
    height: float
    angle: float
    pixels: np.ndarray
    probabilities: np.ndarray
    maps: np.ndarray
    targets: tuple[int, ...]
    method: str


@dataclass(frozen=True)
class Tried:
    """The faces in one picture of ``width`` x ``height`` pixels, from left to right, the largest of ``found``;
    ``picture`` is a JPEG of it, a PNG where it is small, empty if live."""

    width: int
    height: int
    classes: tuple[str, ...]
    faces: tuple[TriedFace, ...]
    found: int
    picture: bytes


def explain_bytes(
    run: Path, data: bytes, kind: str = FOUND, model: str | None = None, allow_pickle: bool = False
) -> Tried:
    """Explain the faces of an encoded picture with the classifier of the run in the folder ``run``.

    No face gives no faces. Raises InputError where the picture cannot be read or the model is not there.
    """
    from audit.explain import explain_faces
    from audit.saliency.of_run import run_classifier

    classifier = run_classifier(run, model, allow_pickle)
    try:
        image = decode(data)
    except UnreadableImage as reason:
        raise InputError(f"The picture cannot be read: {reason}; give a PNG, JPEG or other picture.") from None
    height, width = image.shape[:2]
    if kind == LIVE:
        faces = find_faces(image, LIVE_LONGEST, LIVE_SMALLEST)
    else:
        faces = (whole(image),) if kind == WHOLE else find_faces(image)
    with _one_thread():
        explained = explain_faces(image, faces[:MOST_FACES], classifier)
    told = tuple(
        TriedFace(
            one.face.left / width,
            one.face.top / height,
            one.face.side / width,
            (one.face.height or one.face.side) / height,
            one.face.angle,
            one.pixels,
            one.probabilities,
            one.map[None] if kind == LIVE else one.maps,
            (one.predicted,) if kind == LIVE else one.targets,
            method(one.method).title,
        )
        for one in sorted(explained, key=lambda one: one.face.left)
    )
    return Tried(width, height, classifier.labels.names, told, len(faces), b"" if kind == LIVE else _shown(image))


@contextmanager
def _one_thread() -> Iterator[None]:
    """A few small pictures gain nothing from more, and threads that wait for each other stall where cores are busy."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _shown(image: np.ndarray) -> bytes:
    """JPEG of uint8 (H, W, 1 or 3 RGB), shrunk to LARGEST_SHOWN; PNG up to LARGEST_EXACT, where JPEG would alter
    what a model sees when the page sends the picture back."""
    scale = LARGEST_SHOWN / max(image.shape[:2])
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    colours = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 and image.shape[2] == 3 else image
    if max(image.shape[:2]) <= LARGEST_EXACT:
        return cv2.imencode(".png", colours)[1].tobytes()
    return cv2.imencode(".jpg", colours, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
