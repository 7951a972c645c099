"""Faces in a picture, found by OpenCV's cascade, levelled by the eyes and cropped the way FER-2013's faces were."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

LONGEST = 640
"""Pictures are shrunk to this many pixels on their longer side before faces are looked for."""
SHORTEST = 192
"""Smaller pictures are enlarged to this: the cascade's own window is 20 pixels."""
TIGHT = 256
"""Pictures up to this size may be face crops already, so a border is put around them: the cascade needs a margin."""
BORDER = 0.15
SMALLEST = 0.06
"""The smallest face looked for, as a share of the picture's shorter side."""
EYES_AT = 120
"""Eyes are looked for in a face of so many pixels a side."""
STEEPEST = 30.0
"""Eyes further from level than so many degrees are not believed."""
MOST_FACES = 20
"""So many of the faces in a picture are explained, the largest."""

_local = threading.local()


@dataclass(frozen=True)
class Face:
    """A square around one face: ``left``, ``top`` and ``side`` in pixels of the picture (it may reach outside it);
    ``angle`` in degrees, by which the eyes are off level, clockwise positive, 0 where they were not found.

    Where ``height`` is told, the face is the whole picture, ``side`` wide."""

    left: float
    top: float
    side: float
    angle: float = 0.0
    height: float | None = None


def find_faces(image: np.ndarray, longest: int = LONGEST, smallest: float = SMALLEST) -> tuple[Face, ...]:
    """The faces in uint8 (H, W, 1 or 3 RGB), the largest first; empty where there are none.

    Faces below ``smallest``, a share of the picture's shorter side, are not looked for, nor those that vanish when
    the longer side is shrunk to ``longest`` pixels: for live pictures, give less work than a still deserves.
    """
    grey, scale, border = _prepared(image, longest)
    least = max(20, round(smallest * min(grey.shape)))
    boxes = _cascade("frontalface_alt2").detectMultiScale(grey, 1.1, 4, minSize=(least, least))
    found: list[Face] = []
    for left, top, side, _ in sorted((tuple(map(int, box)) for box in boxes), key=lambda box: -box[2]):
        if any(_holds(face, left + side / 2, top + side / 2) for face in found):
            continue
        found.append(Face(left, top, side, _tilt(grey[top : top + side, left : left + side])))
    return tuple(
        Face((face.left - border) / scale, (face.top - border) / scale, face.side / scale, face.angle) for face in found
    )


def whole(image: np.ndarray) -> Face:
    """The picture itself as one face, of any shape, as a data set's pictures are taken."""
    height, width = image.shape[:2]
    return Face(0.0, 0.0, width, height=height)


def crop_face(image: np.ndarray, face: Face) -> np.ndarray:
    """The face, turned level, uint8 (side, side, C) of ``image`` (H, W, C); edges are repeated outside the picture.

    Of a whole picture it is the image itself.
    """
    if face.height is not None:
        return image
    side = max(1, round(face.side))
    around, left, top = _around(image, face)
    centre = (face.left - left + face.side / 2, face.top - top + face.side / 2)
    turn = cv2.getRotationMatrix2D(centre, face.angle, side / face.side)
    turn[:, 2] += np.array([side / 2 - centre[0], side / 2 - centre[1]])
    crop = cv2.warpAffine(around, turn, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return crop.reshape(side, side, image.shape[2])


def _around(image: np.ndarray, face: Face) -> tuple[np.ndarray, int, int]:
    """The part that a face's crop is taken from, however it is turned, and where it lies: OpenCV warps no picture of
    more than 32,767 pixels a side."""
    height, width = image.shape[:2]
    reach = face.side * math.sqrt(0.5) + 2
    across, down = face.left + face.side / 2, face.top + face.side / 2
    left, top = (max(0, min(math.floor(at - reach), size - 1)) for at, size in ((across, width), (down, height)))
    right, bottom = max(left + 1, math.ceil(across + reach)), max(top + 1, math.ceil(down + reach))
    return image[top:bottom, left:right], left, top


def _prepared(image: np.ndarray, most: int) -> tuple[np.ndarray, float, int]:
    """Grey picture to search, how many of its pixels make one of the image's, and the border around it."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[2] == 3 else image[:, :, 0]
    longest = max(grey.shape)
    scale = most / longest if longest > most else max(1.0, SHORTEST / longest)
    if scale != 1:
        size = (max(1, round(grey.shape[1] * scale)), max(1, round(grey.shape[0] * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    border = round(BORDER * max(grey.shape)) if longest <= TIGHT else 0
    return cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_REPLICATE), scale, border


def _tilt(face: np.ndarray) -> float:
    """Degrees by which the eyes in a grey face are off level; 0 where no two eyes are found where eyes are."""
    side = EYES_AT
    upper = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA)[: round(0.6 * side)]
    least = side // 8
    eyes = _cascade("eye").detectMultiScale(upper, 1.1, 5, minSize=(least, least), maxSize=(side // 2, side // 2))
    centres = [(left + width / 2, top + height / 2, width) for left, top, width, height in eyes]
    left = max((eye for eye in centres if eye[0] < side / 2), key=lambda eye: eye[2], default=None)
    right = max((eye for eye in centres if eye[0] >= side / 2), key=lambda eye: eye[2], default=None)
    if left is None or right is None or not 0.25 * side < right[0] - left[0] < 0.65 * side:
        return 0.0
    angle = math.degrees(math.atan2(right[1] - left[1], right[0] - left[0]))
    return angle if abs(angle) <= STEEPEST else 0.0


def _holds(face: Face, x: float, y: float) -> bool:
    return 0 <= x - face.left < face.side and 0 <= y - face.top < face.side


def _cascade(name: str) -> cv2.CascadeClassifier:
    """A cascade of this thread's own: they keep state while they run."""
    kept = _local.__dict__
    if name not in kept:
        file = Path(cv2.__file__).parent / "data" / f"haarcascade_{name}.xml"
        kept[name] = cv2.CascadeClassifier(str(file))
    return kept[name]
