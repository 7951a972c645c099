"""JAFFE, KDEF and UTKFace: everything known of a picture is coded in its file name.

CK+'s frames name their subject; where they, or any of these, are sorted into folders, the folders give the labels.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pandas as pd

from faces.attributes import age_band
from faces.emotions import PUBLISHED_ORDERS
from faces.found import Found
from faces.image_folder import is_emotion, read_image_folder, rows_of
from faces.layouts.ckplus import FRAME
from faces.layouts.common import ENOUGH, base, images, others, texts
from faces.pixels import TreePixels
from faces.trees import Tree

EMOTIONS = {
    "AF": "fear", "AN": "angry", "DI": "disgust", "FE": "fear",
    "HA": "happy", "NE": "neutral", "SA": "sad", "SU": "surprise",
}  # fmt: skip
VIEWS = {"FL": "full left", "HL": "half left", "S": "straight", "HR": "half right", "FR": "full right"}
GENDERS = {"F": "woman", "M": "man", "0": "man", "1": "woman"}
RACES = ("white", "black", "asian", "indian", "other")

Match = re.Match[str]


@dataclass(frozen=True)
class Code:
    """What the names of one data set's files tell: ``columns`` are attributes, ``subject`` is who it is."""

    kind: str
    pattern: re.Pattern[str]
    columns: Mapping[str, Callable[[Match], str | None]]
    subject: Callable[[Match], str] | None

    def matches(self, names: list[str], of: int) -> list[Match | None] | None:
        """A match or None for each name; None where fewer than ENOUGH of ``of`` images have this data set's names."""
        matches = [self.pattern.match(base(name)) for name in names]
        return matches if of and sum(map(bool, matches)) >= ENOUGH * of else None

    def people(self, matches: list[Match | None]) -> dict[str, pd.Series]:
        """The columns that ``matches`` give, missing where a name is not the data set's."""
        read = self.columns if self.subject is None else {**self.columns, "subject_id": self.subject}
        return {name: texts([of(match) if match else None for match in matches]) for name, of in read.items()}


JAFFE = Code(
    "JAFFE",
    re.compile(r"^(?P<subject>[A-Z]{2})\.(?P<emotion>AN|DI|FE|HA|NE|SA|SU)\d\.\d+\.", re.IGNORECASE),
    {},
    lambda match: match["subject"].upper(),
)
KDEF = Code(
    "KDEF",
    re.compile(
        r"^[AB](?P<gender>[FM])(?P<person>\d\d)(?P<emotion>AF|AN|DI|HA|NE|SA|SU)(?P<view>FL|HL|S|HR|FR)\.",
        re.IGNORECASE,
    ),
    {
        "gender": lambda match: GENDERS[match["gender"].upper()],
        "view": lambda match: VIEWS[match["view"].upper()],
    },
    lambda match: match["gender"].upper() + match["person"],
)
UTKFACE = Code(
    "UTKFace",
    re.compile(r"^(?P<age>\d{1,3})_(?:(?P<gender>[01])_(?P<race>[0-4])_|(?:\d?_){1,2})\d{8,20}\D"),
    {
        "apparent_age": lambda match: age_band(match["age"]),
        # Where one number is missing nobody knows which: corrections made by hand disagree with reading it as gender.
        "apparent_gender": lambda match: GENDERS[match["gender"]] if match["gender"] else None,
        "apparent_race": lambda match: RACES[int(match["race"])] if match["race"] else None,
    },
    None,
)
CKPLUS = Code("CK+", FRAME, {}, lambda match: match[1])


def read_jaffe(tree: Tree) -> Found | None:
    """``KA.AN1.39.tiff``: who, emotion and number, serial number (Lyons et al. 1998)."""
    return _read(tree, JAFFE)


def read_kdef(tree: Tree) -> Found | None:
    """``AF01AFS.JPG``: session, gender, person, emotion, view (Lundqvist, Flykt and Öhman 1998)."""
    return _read(tree, KDEF)


def read_utkface(tree: Tree) -> Found | None:
    """``age_gender_race_time.jpg`` (Zhang, Song and Qi 2017); no emotions, so every row is unlabelled.

    Ages and the rest were estimated by a program and checked by onlookers: apparent.
    """
    return _read(tree, UTKFACE)


def read_folders(tree: Tree) -> Found | None:
    """An image folder, with what the names of one of these sets tell of the people where it was sorted by emotion."""
    found = read_image_folder(tree)
    if found is None:
        return None
    names, readable = list(found.rows["sample_id"]), int((~found.rows["unreadable"]).sum())
    for code in (CKPLUS, JAFFE, KDEF, UTKFACE):
        matches = code.matches(names, readable)
        if matches is not None:
            people = code.people(matches)
            note = f"The names are {code.kind}'s: labels are read from the folders, {', '.join(people)} from the names."
            return replace(
                found,
                rows=found.rows.assign(**people),
                attributes=tuple(code.columns),
                notes=(*found.notes, note, *_others(code, names, matches)),
            )
    return found


def _read(tree: Tree, code: Code) -> Found | None:
    names = images(tree)
    matches = code.matches(names, len(names))
    sorted_by_hand = any(is_emotion(folder) for name in names for folder in name.split("/")[:-1])
    if matches is None or sorted_by_hand:
        return None
    has_emotion = "emotion" in code.pattern.groupindex
    labels = [EMOTIONS[match["emotion"].upper()] if match and has_emotion else None for match in matches]
    rows = rows_of(names, [None] * len(names), labels).assign(**code.people(matches))
    return Found(
        code.kind, tree.path, rows, TreePixels(tree), tree.fingerprint(), tuple(code.columns),
        _others(code, names, matches), PUBLISHED_ORDERS["FER-2013"],
    )  # fmt: skip


def _others(code: Code, names: list[str], matches: list[Match | None]) -> tuple[str, ...]:
    return others(code.kind, [name for name, match in zip(names, matches, strict=True) if not match])
