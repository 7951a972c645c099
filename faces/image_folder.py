"""The image folder: SPLIT/LABEL/file or LABEL/file, in a folder or an archive."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pandas as pd

from faces.dataset import SPLIT_ALIASES, split_name
from faces.emotions import ALIASES, canonical
from faces.found import Found
from faces.pixels import TreePixels
from faces.trees import Tree

IMAGE_ENDINGS = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm",
     ".pbm", ".pnm", ".jp2", ".avif", ".heic"}
)  # fmt: skip
SPLITS = frozenset({"train", "test", "val", "eval", "holdout", "privatetest", *SPLIT_ALIASES})


def read_image_folder(tree: Tree) -> Found | None:
    """Labels from folder names, splits from the folders above them; None where no folder holds images.

    Files that are no images stay, as unreadable, where they lie among images; elsewhere (a README beside the splits)
    they are left alone. A file of no bytes is unreadable too.
    """
    images = [name for name in tree.sizes if ending(name) in IMAGE_ENDINGS and "/" in name]
    if not images:
        return None
    skip = _shared_folders(images)
    has_split = _has_split([name.split("/")[skip:-1] for name in images])
    folders = {name.rsplit("/", 1)[0] for name in images}
    places = {folder: _place(folder, skip, has_split) for folder in folders}
    names = [name for name in tree.sizes if name.rsplit("/", 1)[0] in places and "/" in name]
    where = [places[name.rsplit("/", 1)[0]] for name in names]
    broken = [ending(name) not in IMAGE_ENDINGS or tree.sizes[name] <= 0 for name in names]
    rows = rows_of(names, [place[0] for place in where], [place[1] for place in where], broken)
    return Found(
        "image folder", tree.path, rows, TreePixels(tree), tree.fingerprint(), notes=_notes(tree, names, broken)
    )


def rows_of(
    names: list[str], splits: list[str | None], labels: list[str | None], broken: list[bool] | None = None
) -> pd.DataFrame:
    """The columns every reader gives, for images whose sample id is their name in the tree."""
    return pd.DataFrame(
        {
            "sample_id": pd.Series(names, dtype=object),
            "path": pd.Series(names, dtype=object),
            "split": pd.Series(splits, dtype=object),
            "label": pd.Series(labels, dtype=object),
            "unreadable": broken or [False] * len(names),
        }
    )


def ending(name: str) -> str:
    """``.png`` of ``train/happy/Face.PNG``; empty where a name has none."""
    file = name.rsplit("/", 1)[-1]
    return "." + file.rsplit(".", 1)[1].lower() if "." in file else ""


def is_split(folder: str) -> bool:
    """Whether a folder is called like a part of the data, such as train."""
    return split_name(folder) in SPLITS


def is_emotion(folder: str) -> bool:
    """Whether a folder is called like an emotion, by any of its names."""
    return canonical(folder) in ALIASES


def _shared_folders(images: list[str]) -> int:
    """How many folders around everything say nothing: an archive is often one folder around the data."""
    skip = 0
    while True:
        parts = [name.split("/") for name in images]
        firsts = {part[skip] for part in parts}
        if len(firsts) > 1 or is_split(next(iter(firsts))) or min(map(len, parts)) < skip + 3:
            return skip
        skip += 1


def _has_split(folders: list[list[str]]) -> bool:
    """Whether the outermost folders are splits rather than labels."""
    firsts = {path[0] for path in folders if path}
    if all(is_split(name) for name in firsts):
        return True
    deep = Counter(len(path) > 1 for path in folders)
    return deep[True] > deep[False] and not any(is_emotion(name) for name in firsts)


def _place(folder: str, skip: int, has_split: bool) -> tuple[str | None, str | None]:
    """Split and label that a folder stands for."""
    path = folder.split("/")[skip:]
    if not has_split:
        return None, path[0]
    at = next((index for index, name in enumerate(path) if is_split(name)), 0)  # copies may lie a folder deeper
    return path[at], path[at + 1] if len(path) > at + 1 else None


def _notes(tree: Tree, names: list[str], broken: list[bool]) -> tuple[str, ...]:
    def report(kept: Mapping[str, int], what: str) -> tuple[str, ...]:
        if not kept:
            return ()
        first = ", ".join(list(kept)[:3])
        return (f"{len(kept)} {what}: {first}{', ...' if len(kept) > 3 else ''}.",)

    listed = set(names)
    unread = {name: 0 for name, bad in zip(names, broken, strict=True) if bad}
    stray = {name: 0 for name in tree.sizes if name not in listed and ending(name) in IMAGE_ENDINGS}
    return (*report(unread, "files among the images are no images"), *report(stray, "images lie outside any folder"))
