"""Copies planted among 5,000 of FER-2013's training pictures: exact, mirrored, brightness-shifted, re-compressed.

Bars: all exact copies; of the others recall at least 0.98 at precision at least 0.98. FER-2013 has near copies of its
own; those that were looked at and are the same photograph stand in ``near_copies_seen.txt`` and count as neither.
``--show OUT.png`` draws the pairs that are in neither list, to be looked at. ``--model MODEL`` plants copies cropped up
to four pixels off instead, and prints how many are found by thumbnails alone and with the model's embeddings.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from audit.duplicates import exact_groups, moved_pairs, near_groups, similar_pairs, thumbnail
from benchmarks._real import faces_folder
from faces.pixels import content_id
from faces.readers import open_dataset

SEEN = Path(__file__).with_name("near_copies_seen.txt")
PICTURES, EACH = 5000, 150
KINDS = ("exact", "mirrored", "brighter or darker", "compressed", "mirrored, shifted and compressed")


def altered(image: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """A copy of uint8 (H, W, 1)."""
    if "mirrored" in kind:
        image = image[:, ::-1]
    if kind != "mirrored" and ("bright" in kind or "shifted" in kind):
        shift = int(rng.integers(15, 45)) * int(rng.choice([-1, 1]))
        image = np.clip(image.astype(np.int16) + shift, 0, 255).astype(np.uint8)
    if "compressed" in kind:
        stored = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 80))])[1]
        image = cv2.imdecode(stored, cv2.IMREAD_GRAYSCALE)[..., None]
    return image.copy()


def planted() -> tuple[list[np.ndarray], dict[tuple[int, int], str]]:
    """Pictures in random order, and which pairs of them (first, second) are copies of what kind."""
    rng = np.random.default_rng(0)
    dataset = open_dataset(faces_folder() / "archive.zip").select("train")
    chosen = rng.permutation(len(dataset))
    originals: list[np.ndarray] = []
    seen: set[str] = set()
    for row in chosen.tolist():
        image = dataset.read(row)
        if (name := content_id(image)) not in seen:
            seen.add(name)
            originals.append(image)
        if len(originals) == PICTURES - EACH * len(KINDS):
            break
    copied = rng.permutation(len(originals))[: EACH * len(KINDS)]
    kinds = [KINDS[at % len(KINDS)] for at in range(len(copied))]
    pictures = originals + [altered(originals[row], kind, rng) for row, kind in zip(copied, kinds, strict=True)]
    place = rng.permutation(len(pictures))
    moved = np.argsort(place)
    pairs = {}
    for at, (row, kind) in enumerate(zip(copied.tolist(), kinds, strict=True)):
        a, b = sorted((int(moved[row]), int(moved[len(originals) + at])))
        pairs[a, b] = kind
    return [pictures[row] for row in place], pairs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show", metavar="OUT.png")
    parser.add_argument("--model")
    given = parser.parse_args()
    if given.model:
        cropped(given.model, given.show)
        return 0
    pictures, truth = planted()
    samples = pd.DataFrame(
        {
            "sample_id": [str(row) for row in range(len(pictures))],
            "content_id": [content_id(picture) for picture in pictures],
            "split": "train",
            "label": "sad",
        }
    )
    start = time.perf_counter()
    exact = exact_groups(samples)
    wanted = {name for pair, kind in truth.items() if kind == "exact" for name in pair}
    exact_found = len(wanted & set(exact.index)) / len(wanted)
    pairs = similar_pairs(np.stack([thumbnail(picture) for picture in pictures]))
    near_groups(samples, pairs)
    spent = time.perf_counter() - start
    found = set(zip(pairs["a"].tolist(), pairs["b"].tolist(), strict=True))
    for kind in KINDS:
        mine = {pair for pair, other in truth.items() if other == kind}
        print(f"{kind}: {len(mine & found)} of {len(mine)}")
    names = samples["content_id"].str[:16].to_numpy()
    seen = set(SEEN.read_text().split("\n"))
    own = {(a, b) for a, b in found - set(truth) if " ".join(sorted([names[a], names[b]])) in seen}
    strange = sorted(found - set(truth) - own)
    recall, precision = len(found & set(truth)) / len(truth), 1 - len(strange) / max(len(found - own), 1)
    if given.show and strange:
        draw([(pictures[a], pictures[b]) for a, b in strange], given.show)
        print("\n".join(" ".join(sorted([names[a], names[b]])) for a, b in strange))
    held = exact_found == 1 and len(exact) == len(wanted) and recall >= 0.98 and precision >= 0.98
    print(
        f"{len(pictures)} pictures in {spent:.1f} s: exact {exact_found:.0%}, near recall {recall:.3f}, precision "
        f"{precision:.3f} ({len(own)} pairs were FER-2013's own copies): {'holds' if held else 'MISSED'}"
    )
    return 0 if held else 1


def draw(pairs: list[tuple[np.ndarray, np.ndarray]], out: str) -> None:
    """The pairs below one another."""
    cv2.imwrite(out, np.vstack([np.hstack([first[..., 0], second[..., 0]]) for first, second in pairs]))


def crop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """44 of the 48 pixels each way, from anywhere, enlarged to 48 again."""
    down, across = rng.integers(0, 5, 2)
    return cv2.resize(image[down : down + 44, across : across + 44], (48, 48), interpolation=cv2.INTER_CUBIC)[..., None]


def cropped(model: str, show: str | None) -> None:
    """Print how many of EACH copies cropped otherwise are found, and how many other pairs only embeddings named."""
    from audit.scoring import score
    from models.load import load_classifier

    pictures, known_pairs = planted()
    rng = np.random.default_rng(1)
    sources = rng.permutation(len(pictures))[:EACH]
    for row in sources:
        pictures.append(crop(pictures[row], rng))
        pictures[row] = crop(pictures[row], rng)
    wanted = {(int(row), PICTURES + at) for at, row in enumerate(sources)}
    thumbnails = np.stack([thumbnail(picture) for picture in pictures])
    classifier = load_classifier(model)
    fitted = np.stack([classifier.preprocessing.fit(picture) for picture in pictures])
    embeddings = np.vstack([score(classifier, part, ()).embeddings for part in np.array_split(fitted, 40)])
    alone = similar_pairs(thumbnails)
    start = time.perf_counter()
    moved = moved_pairs(thumbnails, embeddings)
    spent = time.perf_counter() - start
    known = set(zip(alone["a"].tolist(), alone["b"].tolist(), strict=True))
    named = set(zip(moved["a"].tolist(), moved["b"].tolist(), strict=True)) - known
    others = sorted(named - wanted - set(known_pairs))
    print(
        f"cropped otherwise: {len(wanted & known)} of {EACH} by thumbnails alone, {len(wanted & (known | named))} with "
        f"embeddings, in {spent:.1f} s more; {len(others)} pairs of the data's own besides"
    )
    if show and others:
        draw([(pictures[a], pictures[b]) for a, b in others], show)


if __name__ == "__main__":
    sys.exit(main())
