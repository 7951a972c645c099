"""What a person may choose about an audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audit.saliency.registry import METHODS, STORED
from faces.errors import InputError


@dataclass(frozen=True)
class AuditOptions:
    """Options of one audit.

    ``attributes``: the ones to compare groups by, None for all that the data has. ``saliency``: methods whose maps are
    stored. ``batch_size`` and ``shard_size`` are numbers of images; ``seed`` starts every draw that the statistics
    make. ``check_maps`` runs the model again on some images to learn whether the maps can be trusted and what regions
    are worth to it. Groups are standardised to ``label_mix`` (class to share; None: the whole set's), compared with
    ``references`` (attribute to group; the largest where none is named) and judged from ``min_group`` images on (None:
    30); intersections are of at most ``crossed`` attributes (None: 2). ``out_of_fold`` is a checkpoint folder whose
    out-of-fold answers are evidence that a label is wrong. ``resume`` goes on with an unfinished run. ``progress``
    shows a bar on a terminal.
    """

    attributes: tuple[str, ...] | None = None
    saliency: tuple[str, ...] = STORED
    batch_size: int = 128
    shard_size: int = 1024
    seed: int = 0
    check_maps: bool = True
    label_mix: Mapping[str, float] | None = None
    references: Mapping[str, str] | None = None
    min_group: int | None = None
    crossed: int | None = None
    out_of_fold: str | None = None
    resume: bool = False
    progress: bool = True

    def __post_init__(self) -> None:
        for name in ("batch_size", "shard_size"):
            if getattr(self, name) < 1:
                raise InputError(f"The {name} {getattr(self, name)} is no number of images; 1 or more was expected.")
        unknown = [name for name in self.saliency if name not in STORED]
        if unknown:
            reason = "is computed on demand, not stored" if unknown[0] in METHODS else "is not a saliency method"
            raise InputError(f"{unknown[0]!r} {reason}; the methods an audit can store are {', '.join(STORED)}.")
