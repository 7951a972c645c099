"""Pictures that are no faces planted among FER-2013's PublicTest, and how many of them stand out.

Twelve each of text, noise, smooth shapes, gradients, faces cut into shuffled squares, icons and faces upside down. A
gradient is explained by how light falls on faces and a face upside down is nearly a face, so not all can be found;
there is no bar. ``--show OUT.png`` draws the first forty of the data's own pictures, to be looked at.
"""

from __future__ import annotations

import sys

import cv2
import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from audit.duplicates import thumbnail
from audit.strangeness import stands_out, strangeness
from benchmarks._real import faces_folder
from faces.attributes import measure
from faces.readers import open_dataset

EACH, SIDE = 12, 48
KINDS = ("text", "noise", "smooth", "gradient", "shuffled", "icon", "upside down")


def planted(kind: str, face: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One picture that is no face, uint8 (SIDE, SIDE, 1), from a face of that shape where the kind needs one."""
    picture = np.full((SIDE, SIDE), int(rng.integers(256)), np.uint8)
    if kind == "text":
        for line in range(12, SIDE, 12):
            words = "".join(rng.choice(list("ABCDEFGHabcdefgh"), 8))
            cv2.putText(picture, words, (1, line), cv2.FONT_HERSHEY_SIMPLEX, 0.3, (int(picture[0, 0]) + 128) % 256, 1)
    elif kind == "noise":
        picture = rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    elif kind == "smooth":
        wide = cv2.resize(rng.random((7, 7)).astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        picture = (20 + 200 * wide).clip(0, 255).astype(np.uint8)
    elif kind == "gradient":
        slope = np.add.outer(rng.normal() * np.arange(SIDE), rng.normal() * np.arange(SIDE))
        picture = (20 + 200 * (slope - slope.min()) / np.ptp(slope)).astype(np.uint8)
    elif kind == "shuffled":
        squares = face[..., 0].reshape(4, 12, 4, 12).swapaxes(1, 2).reshape(16, 12, 12)[rng.permutation(16)]
        picture = squares.reshape(4, 4, 12, 12).swapaxes(1, 2).reshape(SIDE, SIDE)
    elif kind == "icon":
        radius, line = int(rng.integers(8, 22)), int(rng.choice([-1, 2]))
        cv2.circle(picture, (24, 24), radius, (int(picture[0, 0]) + 128) % 256, line)
    else:
        picture = face[::-1, :, 0]
    return np.ascontiguousarray(picture)[..., None]


def main() -> int:
    rng = np.random.default_rng(0)
    dataset = open_dataset(faces_folder() / "archive.zip").select("test")
    faces = [dataset.read(row) for row in range(len(dataset))]
    kinds = np.repeat(KINDS, EACH)
    pictures = faces + [planted(kind, faces[int(rng.integers(len(faces)))], rng) for kind in kinds]
    contrast = np.array([measure(picture)[1] for picture in pictures])
    score = strangeness(pd.DataFrame({"contrast": contrast}), np.stack([thumbnail(picture) for picture in pictures]))
    out = stands_out(score)
    for kind in KINDS:
        print(f"{kind}: {int(out[len(faces) :][kinds == kind].sum())} of {EACH}")
    first = np.argsort(-score[: len(faces)], kind="stable")[:40]
    if sys.argv[1:2] == ["--show"]:
        drawn = np.stack([faces[row][..., 0] for row in first]).reshape(4, 10, SIDE, SIDE)
        cv2.imwrite(sys.argv[2], drawn.swapaxes(1, 2).reshape(4 * SIDE, 10 * SIDE))
    found, own = int(out[len(faces) :].sum()), int(out[: len(faces)].sum())
    precision = average_precision_score(np.arange(len(pictures)) >= len(faces), score)
    print(f"{found} of {len(kinds)} planted pictures stand out, and {own} of {len(faces)} of the data's own")
    print(f"average precision {precision:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
