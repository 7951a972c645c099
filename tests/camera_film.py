"""A film for a browser's fake camera: faces on a plain ground, one after the other, as uncompressed .y4m."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from audit.explain_bytes import LIVE_LONGEST, LIVE_SMALLEST
from faces.detect import find_faces

WIDTH, HEIGHT, FACE = 640, 480, 330
HELD = 15
"""Frames that each face is shown for."""


def camera_flags(film: Path) -> list[str]:
    """What tells Chromium to take the film for its camera."""
    fake = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    return [*fake, f"--use-file-for-fake-video-capture={film}"]


def write_film(faces: Sequence[np.ndarray], file: Path) -> Path:
    """``faces`` uint8 (h, w, 1 or 3); 30 frames a second, which a browser repeats for ever."""
    with file.open("wb") as film:
        film.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F30:1 Ip A1:1 C420jpeg\n".encode())
        for face in faces:
            frame = cv2.cvtColor(scene(face), cv2.COLOR_BGR2YUV_I420).tobytes()
            film.write((b"FRAME\n" + frame) * HELD)
    return file


def scene(face: np.ndarray) -> np.ndarray:
    """uint8 (HEIGHT, WIDTH, 3): the face, enlarged, in the middle of a grey room."""
    room = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    large = cv2.resize(face, (FACE, FACE), interpolation=cv2.INTER_CUBIC)
    top, left = (HEIGHT - FACE) // 2, (WIDTH - FACE) // 2
    room[top : top + FACE, left : left + FACE] = large.reshape(FACE, FACE, -1)
    return room


def detectable(folder: Path, number: int) -> list[np.ndarray]:
    """The first faces among the pictures in ``folder`` that the cascade finds in their room."""
    found = []
    for file in sorted(folder.rglob("*.png")):
        face = cv2.imread(str(file))
        if (
            face is not None
            and len(find_faces(scene(face))) == len(find_faces(scene(face), LIVE_LONGEST, LIVE_SMALLEST)) == 1
        ):
            found.append(face)
        if len(found) == number:
            return found
    raise AssertionError(f"fewer than {number} pictures in {folder} have a face that is found")
