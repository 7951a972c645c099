"""One picture explained: the faces in it, what the classifier says of each, and what it looked at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audit.explain_png import Panel, draw
from audit.saliency.on_demand import explain_pixels
from audit.saliency.registry import method, targets_of
from audit.scoring import Scored, score
from faces.detect import Face, crop_face, find_faces, whole
from faces.errors import InputError, UnreadableImage
from faces.fetch import fetch_image, is_url
from faces.pixels import decode
from models.classifier import Classifier

METHOD, BLACK_BOX_METHOD = "gradcam", "occlusion"


@dataclass(frozen=True)
class Explained:
    """One face: where it is, its pixels as the network was given them (uint8 (height, width, C)), the probabilities
    float32 (K,), and the raw map of the predicted class float32 (h, w) by ``method``: Grad-CAM, or Occlusion for a
    model without gradients."""

    face: Face
    pixels: np.ndarray
    probabilities: np.ndarray
    map: np.ndarray
    method: str

    @property
    def predicted(self) -> int:
        return int(self.probabilities.argmax())


def explain(
    image_or_url: str | Path, classifier: Classifier, out: str | Path, crop: bool = True
) -> tuple[Explained, ...]:
    """Explain every face of a picture and draw the PNG ``out``, the only thing that is written.

    ``crop=False`` takes the picture itself as the face. Raises InputError where the picture cannot be had or read,
    and where no face is found in it.
    """
    image = read_picture(image_or_url)
    faces = find_faces(image) if crop else (whole(image),)
    if not faces:
        raise InputError(
            f"No face was found in {image_or_url}; a face seen from the front, not turned by more than about 20 "
            "degrees, was expected: crop the picture to the face and pass --no-crop."
        )
    explained = explain_faces(image, faces, classifier)
    panels = [Panel(item.pixels, item.probabilities, item.map, method(item.method).title) for item in explained]
    path = Path(out)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(draw(panels, classifier.labels.names, classifier.name, Path(str(image_or_url)).name))
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; the name of a .png file was expected: add one.") from None
    return explained


def read_picture(image_or_url: str | Path) -> np.ndarray:
    """uint8 (H, W, 1 or 3 RGB). Raises InputError with the reason where there is no readable picture."""
    text = str(image_or_url)
    try:
        data = fetch_image(text) if is_url(text) else Path(text).expanduser().read_bytes()
        return decode(data)
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{text} is not a file; the path or the http(s) address of a picture was expected.") from None
    except UnreadableImage as reason:
        raise InputError(f"{text} cannot be read: {reason}; give a PNG, JPEG or other picture.") from None


def explain_faces(image: np.ndarray, faces: tuple[Face, ...], classifier: Classifier) -> tuple[Explained, ...]:
    """Crop, score and map each face of ``image`` (H, W, 1 or 3); all in one pass where there are gradients."""
    if not faces:
        return ()
    pixels = np.stack([classifier.preprocessing.fit(crop_face(image, face)) for face in faces])
    scored = score(classifier, pixels, (METHOD,), names=[f"face {number}" for number in range(1, len(faces) + 1)])
    name = BLACK_BOX_METHOD if classifier.cam_layer is None else METHOD
    maps = _maps(classifier, pixels, scored)
    return tuple(
        Explained(face, pixels[row], scored.probabilities[row], maps[row], name) for row, face in enumerate(faces)
    )


def _maps(classifier: Classifier, pixels: np.ndarray, scored: Scored) -> np.ndarray:
    """float32 (N, h, w): the map of each face's predicted class."""
    classes = classifier.labels.names
    predicted = scored.probabilities.argmax(axis=1)
    if classifier.cam_layer is None:
        return explain_pixels(classifier, pixels, BLACK_BOX_METHOD, [classes[k] for k in predicted])
    every_class = targets_of(METHOD, classes) == classes
    return scored.maps[METHOD][np.arange(len(pixels)), predicted if every_class else 0]
