"""JAFFE, KDEF and UTKFace: everything known of a picture is coded in its file name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from faces.attributes import age_band
from faces.emotions import ALIASES, PUBLISHED_ORDERS, canonical
from faces.found import Found
from faces.image_folder import rows_of
from faces.layouts.common import base, images, texts
from faces.pixels import TreePixels
from faces.trees import Tree

JAFFE = re.compile(r"^(?P<subject>[A-Z]{2})\.(?P<emotion>AN|DI|FE|HA|NE|SA|SU)\d\.\d+\.", re.IGNORECASE)
KDEF = re.compile(
    r"^(?P<session>[AB])(?P<gender>[FM])(?P<person>\d\d)(?P<emotion>AF|AN|DI|HA|NE|SA|SU)(?P<view>FL|HL|S|HR|FR)\.",
    re.IGNORECASE,
)
UTKFACE = re.compile(r"^(?P<age>\d{1,3})_(?P<gender>[01])_(?:(?P<race>[0-4])_)?\d{8,20}\.")

EMOTIONS = {
    "AF": "fear", "AN": "angry", "DI": "disgust", "FE": "fear",
    "HA": "happy", "NE": "neutral", "SA": "sad", "SU": "surprise",
}  # fmt: skip
VIEWS = {"FL": "full left", "HL": "half left", "S": "straight", "HR": "half right", "FR": "full right"}
RACES = ("white", "black", "asian", "indian", "other")
ENOUGH = 0.8
"""The share of images whose names must fit; every one of these sets has a few that do not."""

Match = re.Match[str]


def read_jaffe(tree: Tree) -> Found | None:
    """``KA.AN1.39.tiff``: who, emotion and number, serial number (Lyons et al. 1998)."""
    return _read(tree, "JAFFE", JAFFE, {}, lambda match: match["subject"].upper())


def read_kdef(tree: Tree) -> Found | None:
    """``AF01AFS.JPG``: session, gender, person, emotion, view (Lundqvist, Flykt and Öhman 1998)."""
    columns = {
        "gender": lambda match: "woman" if match["gender"].upper() == "F" else "man",
        "view": lambda match: VIEWS[match["view"].upper()],
    }
    return _read(tree, "KDEF", KDEF, columns, lambda match: match["gender"].upper() + match["person"])


def read_utkface(tree: Tree) -> Found | None:
    """``age_gender_race_time.jpg`` (Zhang, Song and Qi 2017); no emotions, so every row is unlabelled.

    Ages and the rest were estimated by a program and checked by onlookers: apparent.
    """
    columns = {
        "apparent_age": lambda match: age_band(match["age"]),
        "apparent_gender": lambda match: ("man", "woman")[int(match["gender"])],
        "apparent_race": lambda match: RACES[int(match["race"])] if match["race"] else None,
    }
    return _read(tree, "UTKFace", UTKFACE, columns, None)


def _read(
    tree: Tree,
    kind: str,
    pattern: re.Pattern[str],
    columns: Mapping[str, Callable[[Match], str | None]],
    subject: Callable[[Match], str] | None,
) -> Found | None:
    names = images(tree)
    matches = [pattern.match(base(name)) for name in names]
    sorted_by_hand = any(canonical(folder) in ALIASES for name in names for folder in name.split("/")[:-1])
    if not names or sorted_by_hand or sum(map(bool, matches)) < ENOUGH * len(names):
        return None
    has_emotion = "emotion" in pattern.groupindex
    labels = [EMOTIONS[match["emotion"].upper()] if match and has_emotion else None for match in matches]
    rows = rows_of(names, [None] * len(names), labels)
    for column, read in columns.items():
        rows[column] = texts([read(match) if match else None for match in matches])
    if subject is not None:
        rows["subject_id"] = texts([subject(match) if match else None for match in matches])
    other = [base(name) for name, match in zip(names, matches, strict=True) if not match]
    notes = (f"{len(other)} images have names that are not {kind}'s: {', '.join(other[:3])}.",) if other else ()
    return Found(
        kind, tree.path, rows, TreePixels(tree), tree.fingerprint(), tuple(columns), notes, PUBLISHED_ORDERS["FER-2013"]
    )
