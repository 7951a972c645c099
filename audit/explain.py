"""One picture explained: the faces in it, what the classifier says of each, and what it looked at."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audit.explain_png import Panel, draw
from audit.saliency.on_demand import explain_pixels
from audit.saliency.registry import method, targets_of
from audit.scoring import Scored, score
from faces.detect import MOST_FACES, Face, crop_face, find_faces, whole
from faces.errors import InputError, UnreadableImage
from faces.fetch import fetch_image, is_url
from faces.pixels import decode
from faces.places import place
from faces.trees import MAX_FILE_BYTES
from models.classifier import Classifier

METHOD, BLACK_BOX_METHOD = "gradcam", "occlusion"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Explained:
    """One face: where it is, its pixels as the network was given them (uint8 (height, width, C)), the probabilities
    float32 (K,), and raw maps float32 (T, h, w) by ``method`` for the classes ``targets``: Grad-CAM for all of them
    where they are few, or Occlusion for the predicted one alone where the model has no gradients."""

    face: Face
    pixels: np.ndarray
    probabilities: np.ndarray
    maps: np.ndarray
    targets: tuple[int, ...]
    method: str

    @property
    def predicted(self) -> int:
        return int(self.probabilities.argmax())

    @property
    def map(self) -> np.ndarray:
        """float32 (h, w): the map of the predicted class."""
        found: np.ndarray = self.maps[self.targets.index(self.predicted)]
        return found


def explain(
    image_or_url: str | Path, classifier: Classifier, out: str | Path, crop: bool = True
) -> tuple[Explained, ...]:
    """Explain the faces of a picture, the MOST_FACES largest, and draw the PNG ``out``, the only thing that is written.

    ``crop=False`` takes the picture itself as the face. Raises InputError where the picture cannot be had or read,
    where no face is found in it, and where ``out`` is the picture itself.
    """
    _check_out(image_or_url, Path(out))
    image = read_picture(image_or_url)
    faces = find_faces(image) if crop else (whole(image),)
    if not faces:
        raise InputError(
            f"No face was found in {image_or_url}; a face seen from the front, not turned by more than about 20 "
            "degrees, was expected: crop the picture to the face and pass --no-crop."
        )
    source = Path(str(image_or_url)).name
    if len(faces) > MOST_FACES:
        source = f"the {MOST_FACES} largest of {len(faces)} faces in {source}"
        log.warning("These are %s.", source)
    explained = explain_faces(image, faces[:MOST_FACES], classifier)
    panels = [Panel(item.pixels, item.probabilities, item.map, method(item.method).title) for item in explained]
    _write(Path(out), draw(panels, classifier.labels.names, classifier.name, source))
    return explained


def _check_out(image_or_url: str | Path, out: Path) -> None:
    if is_url(str(image_or_url)):
        return
    with contextlib.suppress(OSError):  # one of them is not there
        if out.samefile(place(image_or_url)):
            raise InputError(
                f"{out} is the picture itself and would be lost; another file was expected: name one with --out."
            )


def _write(path: Path, content: bytes) -> None:
    """Write the file whole or not at all."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; the name of a .png file was expected: add one.")
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise InputError(
            f"{path} cannot be written ({error.strerror or error}); a place with free space that you may write to was "
            "expected: name one with --out."
        ) from error


def read_picture(image_or_url: str | Path) -> np.ndarray:
    """uint8 (H, W, 1 or 3 RGB). Raises InputError with the reason where there is no readable picture."""
    text = str(image_or_url)
    try:
        return decode(fetch_image(text) if is_url(text) else _file(place(text)))
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{text} is not a file; the path or the http(s) address of a picture was expected.") from None
    except UnreadableImage as reason:
        raise InputError(f"{text} cannot be read: {reason}; give a PNG, JPEG or other picture.") from None


def _file(path: Path) -> bytes:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise UnreadableImage(f"too large: {path.stat().st_size:,} bytes, at most {MAX_FILE_BYTES:,} are read")
    return path.read_bytes()


def explain_faces(image: np.ndarray, faces: tuple[Face, ...], classifier: Classifier) -> tuple[Explained, ...]:
    """Crop, score and map each face of ``image`` (H, W, 1 or 3); all in one pass where there are gradients."""
    if not faces:
        return ()
    pixels = np.stack([classifier.preprocessing.fit(crop_face(image, face)) for face in faces])
    scored = score(classifier, pixels, (METHOD,), names=[f"face {number}" for number in range(1, len(faces) + 1)])
    maps, name = _maps(classifier, pixels, scored)
    every_class = tuple(range(len(classifier.labels)))
    predicted = [(int(k),) for k in scored.probabilities.argmax(axis=1)]
    return tuple(
        Explained(
            face,
            pixels[row],
            scored.probabilities[row],
            maps[row],
            every_class if len(maps[row]) == len(every_class) else predicted[row],
            name,
        )
        for row, face in enumerate(faces)
    )


def _maps(classifier: Classifier, pixels: np.ndarray, scored: Scored) -> tuple[np.ndarray, str]:
    """float32 (N, T, h, w), T all classes or the predicted one, and the method."""
    classes = classifier.labels.names
    if classifier.cam_layer is None:
        named = [classes[k] for k in scored.probabilities.argmax(axis=1)]
        return explain_pixels(classifier, pixels, BLACK_BOX_METHOD, named)[:, None], BLACK_BOX_METHOD
    every_class = targets_of(METHOD, classes) == classes
    return scored.maps[METHOD] if every_class else scored.maps[METHOD][:, :1], METHOD
