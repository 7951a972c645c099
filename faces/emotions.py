"""Emotion names: one spelling for each, ordered sets of them, and the class orders that data sets publish."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from faces.errors import InputError

ALIASES: dict[str, tuple[str, ...]] = {
    "angry": ("anger", "mad"),
    "disgust": ("disgusted",),
    "fear": ("afraid", "fearful", "scared"),
    "happy": ("happiness", "joy", "joyful"),
    "sad": ("sadness", "unhappy"),
    "surprise": ("surprised",),
    "neutral": ("neutrality", "calm"),
    "contempt": ("contemptuous",),
}
_CANONICAL = {alias: name for name, aliases in ALIASES.items() for alias in (name, *aliases)}

PUBLISHED_ORDERS: dict[str, tuple[str, ...]] = {
    "FER-2013": ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
    "alphabetical (image folders)": ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
    "FER+": ("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt"),
    "AffectNet": ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt"),
    "RAF-DB": ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"),
    "CK+": ("angry", "contempt", "disgust", "fear", "happy", "sad", "surprise"),
    "ExpW": ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
}


def canonical(name: str) -> str:
    """The project's spelling of an emotion name (``joy`` and ``Happiness`` are ``happy``); other names are stripped."""
    stripped = str(name).strip()
    return _CANONICAL.get(stripped.lower(), stripped)


def vote_columns(names: Iterable[str]) -> dict[str, str]:
    """Class name -> which of these column names holds its votes: of ``votes_happiness`` it is ``happy``."""
    return {canonical(name.removeprefix("votes_")): name for name in names if name.startswith("votes_")}


@dataclass(frozen=True)
class LabelSet:
    """Ordered class names; column k of every probability array belongs to ``names[k]``.

    Names are canonical and unique; at least two. Raises InputError otherwise.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        names = tuple(canonical(name) for name in self.names)
        object.__setattr__(self, "names", names)
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise InputError(
                f"The classes {', '.join(self.names)} name {repeated[0]!r} more than once; "
                "each class must stand once: remove the repeated name."
            )
        if len(names) < 2 or any(not name for name in names):
            raise InputError(
                f"The classes {list(names)} are not a class list; at least two non-empty names were expected: "
                "give them as a,b,c."
            )

    @classmethod
    def parse(cls, text: str) -> LabelSet:
        """Read ``"angry,disgust,..."`` as given to ``--classes``."""
        return cls(tuple(part for part in (piece.strip() for piece in text.split(",")) if part))

    @classmethod
    def of(cls, names: Iterable[str]) -> LabelSet:
        """The set of names met in data: in FER-2013's published order where all are emotions, else sorted."""
        found = {canonical(name) for name in names}
        order = (*PUBLISHED_ORDERS["FER-2013"], "contempt")
        if found <= set(order):
            return cls(tuple(name for name in order if name in found))
        return cls(tuple(sorted(found)))

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and canonical(name) in self.names

    def index(self, name: str) -> int:
        """Position of a class (any alias). Raises InputError naming the classes there are."""
        try:
            return self.names.index(canonical(name))
        except ValueError:
            raise InputError(
                f"The class {name!r} is not one of {', '.join(self.names)}; use one of those names."
            ) from None

    def encode(self, labels: Iterable[str | None]) -> np.ndarray:
        """Labels as int16 positions, -1 where a label is missing or outside the set; shape (N,)."""
        position = {name: index for index, name in enumerate(self.names)}
        return np.array(
            [position.get(canonical(label), -1) if isinstance(label, str) else -1 for label in labels], dtype=np.int16
        )
