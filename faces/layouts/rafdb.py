"""RAF-DB (Li, Deng and Du 2017): a list of labels, and gender, race and age noted by hand."""

from __future__ import annotations

import re

from faces.emotions import PUBLISHED_ORDERS
from faces.errors import InputError
from faces.found import Found
from faces.image_folder import is_split, rows_of
from faces.layouts.common import ENOUGH, annotation, base, images, lines, others, texts, whole_list
from faces.pixels import Box, TreePixels
from faces.trees import Tree

LISTS = ("list_patition_label.txt", "list_partition_label.txt")
"""The first spelling is the data set's own."""
LABELS = dict(enumerate(PUBLISHED_ORDERS["RAF-DB"], start=1))
COMPOUND = dict(
    enumerate(
        ("happily surprised", "happily disgusted", "sadly fearful", "sadly angry", "sadly surprised", "sadly disgusted",
         "fearfully angry", "fearfully surprised", "angrily surprised", "angrily disgusted", "disgustedly surprised"),
        start=1,
    )
)  # fmt: skip
"""The data set's second half, compound emotions, has a list of the same name and codes of its own."""
GENDERS = ("man", "woman", "unsure")
RACES = ("caucasian", "african-american", "asian")
AGES = ("0-3", "4-19", "20-39", "40-69", "70+")
SORTED = re.compile(r"/[1-7]/(train|test)_\d+_aligned\.(?:jpe?g|png)$", re.IGNORECASE)

PUBLISHED = re.compile(r"/(aligned|original)/(train|test)_\d+(_aligned)?\.(?:jpe?g|png)$", re.IGNORECASE)


def read_rafdb(tree: Tree) -> Found | None:
    """The data set as it is published, or its widespread copy in numbered folders; None where it is neither.

    Raises InputError where its pictures are there and nothing tells their emotions.
    """
    found = _read_listed(tree) or _read_sorted(tree)
    if found is None:
        _refuse_without_list(images(tree), tree)
    return found


def _refuse_without_list(names: list[str], tree: Tree) -> None:
    """Raises InputError for pictures as they were published, in folders that say how they were cut alone."""
    published = [name for name in names if PUBLISHED.search("/" + name)]
    if not names or len(published) < ENOUGH * len(names):
        return
    raise InputError(
        f"{tree.path} holds pictures of RAF-DB ({base(published[0])}) without their labels; the folder above Image/, "
        f"with EmoLabel/{LISTS[0]} in it, was expected: pass that one, or sort the pictures into folders named by "
        "emotion."
    )


def _read_listed(tree: Tree) -> Found | None:
    """``EmoLabel/list_patition_label.txt`` with ``Image/aligned/train_00001_aligned.jpg`` or ``Image/original``.

    ``Annotation/manual/train_00001_manu_attri.txt``, where it is there, gives five landmarks and then gender, race and
    age as their annotators saw them; ``Annotation/boundingbox/train_00001_boundingbox.txt`` gives the face's place in
    an original picture.
    """
    lists = [name for name in tree.sizes if base(name) in LISTS]
    listed = _codes(lines(whole_list(tree, lists[0]))) if lists else {}
    if not listed:
        return None
    inside = _around(lists[0])
    files = _files([name for name in images(tree) if name.startswith(inside)])
    known = [files.get(name, f"{inside}Image/aligned/{name}_aligned.jpg") for name in listed]
    names = LABELS if max(listed.values()) <= len(LABELS) else COMPOUND
    rows = rows_of(
        known, [name.split("_")[0] for name in listed], [names.get(code, str(code)) for code in listed.values()]
    )
    rows["unreadable"] = [name not in files for name in listed]
    notes_by_hand = _noted(tree, inside, "_manu_attri.txt")
    attributes: tuple[str, ...] = ()
    if notes_by_hand:
        people = [_person(annotation(tree, notes_by_hand.get(name))) for name in listed]
        attributes = ("apparent_gender", "apparent_race", "apparent_age")
        for column, values in zip(attributes, zip(*people, strict=True), strict=True):
            rows[column] = texts(list(values))
    places = _noted(tree, inside, "_boundingbox.txt")
    originals = {name: file for name, file in files.items() if name in listed and not _is_aligned(file)}
    boxes = {file: _box(annotation(tree, places.get(name))) for name, file in originals.items()}
    pixels = TreePixels(tree, boxes={file: box for file, box in boxes.items() if box is not None})
    notes = (*_missing(rows["unreadable"].tolist(), known), *_whole(list(boxes.values())), *_unread(lists[1:]))
    return Found("RAF-DB", tree.path, rows, pixels, tree.fingerprint(), attributes, notes)


def _read_sorted(tree: Tree) -> Found | None:
    """``train/1/train_00001_aligned.jpg`` to ``test/7``; pictures added to those folders are read by their folders."""
    names = images(tree)
    matches = [SORTED.search("/" + name) for name in names]
    if not names or sum(map(bool, matches)) < ENOUGH * len(names):
        return None
    folders = [["", "", *name.split("/")][-3:-1] for name in names]
    splits = [
        match[1].lower() if match else split if is_split(split) else None
        for match, (split, _) in zip(matches, folders, strict=True)
    ]
    labels = [LABELS.get(int(code)) if code.isdecimal() else None for _, code in folders]
    odd = [name for name, match in zip(names, matches, strict=True) if not match]
    notes = others("RAF-DB", odd, " and are read by their folders")
    return Found("RAF-DB", tree.path, rows_of(names, splits, labels), TreePixels(tree), tree.fingerprint(), notes=notes)


def _codes(content: list[str]) -> dict[str, int]:
    """``train_00001`` -> its label's number."""
    pairs = [line.split() for line in content]
    return {
        pair[0].rsplit(".", 1)[0].removesuffix("_aligned"): int(pair[1])
        for pair in pairs
        if len(pair) == 2 and pair[1].isdecimal()
    }


def _around(name: str) -> str:
    """``basic/`` of ``basic/EmoLabel/list_patition_label.txt``: the halves of the data set use the same names."""
    folders = name.split("/")[:-1]
    return "".join(folder + "/" for folder in folders[:-1]) if folders and folders[-1].lower() == "emolabel" else ""


def _files(names: list[str]) -> dict[str, str]:
    """``train_00001`` -> the aligned picture, or the original where there is no aligned one."""
    originals = {base(name).rsplit(".", 1)[0]: name for name in names}
    aligned = {stem.removesuffix("_aligned"): name for stem, name in originals.items() if _is_aligned(name)}
    return originals | aligned


def _is_aligned(name: str) -> bool:
    return base(name).rsplit(".", 1)[0].endswith("_aligned")


def _noted(tree: Tree, inside: str, end: str) -> dict[str, str]:
    """``train_00001`` -> the file of that ending about it."""
    return {base(name).removesuffix(end): name for name in tree.sizes if name.endswith(end) and name.startswith(inside)}


def _person(data: bytes) -> tuple[str | None, str | None, str | None]:
    codes = lines(data)[-3:]
    if len(codes) < 3 or not all(code.isdecimal() for code in codes):
        return None, None, None
    gender, race, age = (int(code) for code in codes)
    return _name(GENDERS, gender), _name(RACES, race), _name(AGES, age)


def _name(names: tuple[str, ...], code: int) -> str | None:
    return names[code] if code < len(names) else None


def _box(data: bytes) -> Box | None:
    """``x0 y0 x1 y1``, on one line or several."""
    try:
        left, top, right, bottom = (int(float(cell)) for cell in " ".join(lines(data)).split())
    except (ValueError, OverflowError):
        return None
    return (left, top, right, bottom) if left < right and top < bottom else None


def _missing(unreadable: list[bool], known: list[str]) -> tuple[str, ...]:
    missing = sum(unreadable)
    first = known[unreadable.index(True)] if missing else ""
    return (f"{missing} listed images are not there, the first: {first}.",) if missing else ()


def _whole(boxes: list[Box | None]) -> tuple[str, ...]:
    whole = boxes.count(None)
    return (f"{whole} original pictures have no box around the face and are read whole.",) if whole else ()


def _unread(lists: list[str]) -> tuple[str, ...]:
    return (f"Another list was not read: {lists[0]}; open the folder of its half by itself.",) if lists else ()
