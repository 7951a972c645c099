"""ExpW (Zhang et al. 2018): a list of faces, several to a picture, each with its box."""

from __future__ import annotations

from faces.emotions import PUBLISHED_ORDERS
from faces.found import Found
from faces.image_folder import rows_of
from faces.layouts.common import base, images, lines, whole_list
from faces.pixels import Box, TreePixels
from faces.trees import Tree

LABELS = dict(enumerate(PUBLISHED_ORDERS["ExpW"]))


def read_expw(tree: Tree) -> Found | None:
    """``label.lst``: picture, face number, top, left, right, bottom, confidence, label; only the box is the face.

    A sample's id is its picture's name in the data and the face number, ``image/origin/anger_1.jpg#0``.
    """
    name = next((name for name in tree.sizes if base(name) == "label.lst"), None)
    cells = [line.split() for line in lines(whole_list(tree, name))] if name else []
    told = [(cell, box) for cell in cells if len(cell) == 8 and cell[7].isdecimal() and (box := _box(cell[2:6]))]
    if not told:
        return None
    files = {base(file): file for file in images(tree)}
    members, boxes, labels = {}, {}, {}
    for (picture, number, *_, code), box in told:
        sample_id = f"{files.get(picture, picture)}#{number}"
        members[sample_id] = files.get(picture, picture)
        boxes[sample_id] = box
        labels[sample_id] = LABELS.get(int(code), code)
    rows = rows_of(list(members), [None] * len(members), list(labels.values()))
    rows["path"] = list(members.values())
    rows["unreadable"] = [member not in tree.sizes for member in members.values()]
    missing = int(rows["unreadable"].sum())
    notes: tuple[str, ...] = (f"The pictures of {missing} listed faces are not there.",) if missing else ()
    if odd := len(cells) - len(told):
        notes += (f"{odd} lines of label.lst tell no face, its box and its label, and are left out.",)
    return Found("ExpW", tree.path, rows, TreePixels(tree, members, boxes), tree.fingerprint(), notes=notes)


def _box(cells: list[str]) -> Box | None:
    """Left, top, right and bottom of ``top left right bottom``; None where these are no numbers."""
    try:
        top, left, right, bottom = (int(float(cell)) for cell in cells)
    except (ValueError, OverflowError):
        return None
    return left, top, right, bottom
