"""RAF-DB (Li, Deng and Du 2017): a list of labels, and gender, race and age noted by hand."""

from __future__ import annotations

import re

from faces.emotions import PUBLISHED_ORDERS
from faces.found import Found
from faces.image_folder import rows_of
from faces.layouts.common import base, images, lines, texts
from faces.pixels import TreePixels
from faces.trees import Tree

LISTS = ("list_patition_label.txt", "list_partition_label.txt")
"""The first spelling is the data set's own."""
LABELS = dict(enumerate(PUBLISHED_ORDERS["RAF-DB"], start=1))
GENDERS = ("man", "woman", "unsure")
RACES = ("caucasian", "african-american", "asian")
AGES = ("0-3", "4-19", "20-39", "40-69", "70+")
SORTED = re.compile(r"/([1-7])/(?:train|test)_\d+_aligned\.jpg$")


def read_rafdb(tree: Tree) -> Found | None:
    """``EmoLabel/list_patition_label.txt`` with ``Image/aligned/train_00001_aligned.jpg`` or ``Image/original``.

    ``Annotation/manual/train_00001_manu_attri.txt``, where it is there, gives five landmarks and then gender, race and
    age as their annotators saw them. The widespread copy in folders ``train/1`` to ``test/7`` is read too.
    """
    names = images(tree)
    listed = _listed(tree) or _from_folders(names)
    if not listed:
        return None
    files = _files(names)
    notes_by_hand = {
        base(name).split("_manu_attri")[0]: name for name in tree.sizes if name.endswith("_manu_attri.txt")
    }
    known = [files.get(name, f"Image/aligned/{name}_aligned.jpg") for name in listed]
    rows = rows_of(
        known, [name.split("_")[0] for name in listed], [LABELS.get(int(code), code) for code in listed.values()]
    )
    rows["unreadable"] = [name not in files for name in listed]
    attributes: tuple[str, ...] = ()
    if notes_by_hand:
        people = [_person(tree, notes_by_hand.get(name)) for name in listed]
        attributes = ("apparent_gender", "apparent_race", "apparent_age")
        for column, values in zip(attributes, zip(*people, strict=True), strict=True):
            rows[column] = texts(list(values))
    missing = int(rows["unreadable"].sum())
    notes = (
        (f"{missing} listed images are not there, the first: {known[list(rows['unreadable']).index(True)]}.",)
        if missing
        else ()
    )
    return Found("RAF-DB", tree.path, rows, TreePixels(tree), tree.fingerprint(), attributes, notes)


def _listed(tree: Tree) -> dict[str, str]:
    """``train_00001`` -> its label's number."""
    name = next((name for name in tree.sizes if base(name) in LISTS), None)
    pairs = [line.split() for line in lines(tree, name)] if name else []
    return {
        pair[0].rsplit(".", 1)[0].removesuffix("_aligned"): pair[1]
        for pair in pairs
        if len(pair) == 2 and pair[1].isdecimal()
    }


def _from_folders(names: list[str]) -> dict[str, str]:
    found = {
        base(name).removesuffix("_aligned.jpg"): match[1] for name in names if (match := SORTED.search("/" + name))
    }
    return found if len(found) == len(names) else {}


def _files(names: list[str]) -> dict[str, str]:
    """``train_00001`` -> the aligned picture, or the original where there is no aligned one."""
    originals = {base(name).rsplit(".", 1)[0]: name for name in names}
    aligned = {stem.removesuffix("_aligned"): name for stem, name in originals.items() if stem.endswith("_aligned")}
    return originals | aligned


def _person(tree: Tree, name: str | None) -> tuple[str | None, str | None, str | None]:
    codes = lines(tree, name)[-3:] if name else []
    if len(codes) < 3 or not all(code.isdecimal() for code in codes):
        return None, None, None
    gender, race, age = (int(code) for code in codes)
    return _name(GENDERS, gender), _name(RACES, race), _name(AGES, age)


def _name(names: tuple[str, ...], code: int) -> str | None:
    return names[code] if code < len(names) else None
