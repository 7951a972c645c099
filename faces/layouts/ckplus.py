"""CK+ (Lucey et al. 2010): sequences from a neutral face to the peak of an emotion."""

from __future__ import annotations

import re
from collections import defaultdict

from faces.errors import InputError
from faces.found import Found
from faces.image_folder import is_emotion, is_split, rows_of
from faces.layouts.common import ENOUGH, annotation, base, images, lines, texts
from faces.pixels import TreePixels
from faces.trees import Tree

FRAME = re.compile(r"^(S\d{3})_(\d{3})_(\d{8})\.")
EMOTION = re.compile(r"^(S\d{3}_\d{3})_\d{8}_emotion\.txt$")
LABELS = ("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")
PEAK_FRAMES = 3
"""How many frames at the end of a sequence show its emotion, by the field's convention."""


def read_ckplus(tree: Tree) -> Found | None:
    """``cohn-kanade-images/S005/001/S005_001_00000011.png`` with ``Emotion/S005/001/S005_001_00000011_emotion.txt``.

    The last PEAK_FRAMES frames of a labelled sequence carry its emotion, its frame 1 is neutral where it is there
    (copies of the peaks alone go round); the frames between, and sequences without a label, are left out and counted
    in a note. Raises InputError where the pictures are there and nothing tells their emotions.
    """
    numbers = {match[1]: lines(annotation(tree, name)) for name in tree.sizes if (match := EMOTION.match(base(name)))}
    if not numbers:
        _refuse_without_labels(images(tree), tree)
        return None
    sequences = defaultdict(list)
    for name in images(tree):
        if match := FRAME.match(base(name)):
            sequences[f"{match[1]}_{match[2]}"].append(name)
    chosen: list[tuple[str, str, str]] = []
    for sequence, names in sorted(sequences.items()):
        label = _label(numbers.get(sequence, []))
        if label is not None:
            neutral = [name for name in names if _number(name) == 1]
            peak = sorted(set(names) - set(neutral), key=base)[-PEAK_FRAMES:]
            chosen += [(name, "neutral", sequence[:4]) for name in neutral]
            chosen += [(name, label, sequence[:4]) for name in peak]
    if not chosen:
        _refuse_without_labels(images(tree), tree)
        return None
    rows = rows_of([name for name, _, _ in chosen], [None] * len(chosen), [label for _, label, _ in chosen])
    rows["subject_id"] = texts([subject for _, _, subject in chosen])
    left = sum(map(len, sequences.values())) - len(chosen)
    without = sum(_label(numbers.get(sequence, [])) is None for sequence in sequences)
    note = (
        f"Of each labelled sequence frame 1 is read as neutral and the last {PEAK_FRAMES} as its emotion; "
        f"{left} other frames were left out, {without} sequences because they have no label."
    )
    return Found("CK+", tree.path, rows, TreePixels(tree), tree.fingerprint(), notes=(note,))


def _refuse_without_labels(names: list[str], tree: Tree) -> None:
    """Raises InputError for frames that no folder sorts: those of their subject, sequence or split say no emotion."""
    matches = [(name, match) for name in names if (match := FRAME.match(base(name)))]
    if not matches or len(matches) < ENOUGH * len(names):
        return
    sorting = {
        tuple(folder for folder in name.split("/")[:-1] if folder not in match.groups() and not is_split(folder))
        for name, match in matches
    }
    if len(sorting) == 1 and not any(is_emotion(folder) for folders in sorting for folder in folders):
        first = base(matches[0][0])
        raise InputError(
            f"{tree.path} holds pictures of CK+ ({first}) without their labels; CK+'s folder Emotion/, with files like "
            f"{first.rsplit('.', 1)[0]}_emotion.txt, was expected beside them: add it, or sort the pictures into "
            "folders named by emotion."
        )


def _number(name: str) -> int:
    """11 of ``S005_001_00000011.png``."""
    match = FRAME.match(base(name))
    return int(match[3]) if match else 0


def _label(content: list[str]) -> str | None:
    """``3.0000000e+00`` is the number of an emotion."""
    try:
        return dict(enumerate(LABELS)).get(int(float(content[0])))
    except (IndexError, ValueError, OverflowError):
        return None
