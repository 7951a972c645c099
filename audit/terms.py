"""On what terms groups are compared: at which label mix, against which group, and from how many images on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from audit.counts import CROSS, CROSSED, Coded, attribute_sets
from audit.fairness import MIN_GROUP
from audit.standardise import label_mix
from faces.emotions import canonical
from faces.errors import InputError


@dataclass(frozen=True)
class Terms:
    """On what terms groups are compared.

    ``mix`` (K,) are standardisation weights, summing to 1; ``references`` names reference groups by attribute where
    not the largest; groups under ``min_group`` images are shown and not tested. So many attributes are crossed at
    most: ``crossed`` 1 (none), 2 or 3.
    """

    mix: np.ndarray
    references: Mapping[str, str] = field(default_factory=dict)
    min_group: int = MIN_GROUP
    crossed: int = CROSSED

    @classmethod
    def of(cls, coded: Coded, options: Mapping[str, Any] | None = None) -> Terms:
        """From a run's options ``label_mix`` (class to share), ``references``, ``min_group`` and ``crossed``, if any.

        Raises InputError for an unknown class, attribute or group, shares that are none, a size under 1, and more than
        three attributes crossed.
        """
        options = options or {}
        references, least = options.get("references") or {}, options.get("min_group")
        least = MIN_GROUP if least is None else least
        crossed = options.get("crossed") or CROSSED
        if crossed not in (1, 2, 3):
            raise InputError(f"{crossed} attributes cannot be crossed; 1 (no intersections), 2 or 3 was expected.")
        known = {CROSS.join(names) for names in attribute_sets(coded.values, crossed)}
        for attribute, group in references.items():
            if attribute not in known:
                raise InputError(
                    f"A reference group is named for {attribute!r}, which was not audited; audited are: "
                    f"{', '.join(coded.values) or 'no attributes'}."
                )
            coded.counts(tuple(attribute.split(CROSS))).group(group)
        if least < 1:
            raise InputError(f"The least size of a group is {least}; 1 image or more was expected.")
        given = options.get("label_mix")
        mix = label_mix(coded.counts().labelled[0]) if given is None else _given_mix(given, coded.classes)
        return cls(mix, references, int(least), crossed)


def _given_mix(given: Mapping[str, float], classes: tuple[str, ...]) -> np.ndarray:
    unknown = [name for name in given if canonical(name) not in classes]
    if unknown:
        raise InputError(f"The label mix names {unknown[0]!r}; the classes are: {', '.join(classes)}.")
    shares = np.zeros(len(classes))
    for name, share in given.items():
        shares[classes.index(canonical(name))] += share
    if (shares < 0).any() or not 0 < shares.sum() < np.inf:
        raise InputError(f"The label mix {dict(given)} is none; a share of 0 or more for each class was expected.")
    return shares / shares.sum()


def read_label_mix(text: str) -> dict[str, float]:
    """``"happy=0.4,sad=0.6"`` as class to share; shares may be counts. Raises InputError naming the part that is none.

    Which classes there are is checked by :meth:`Terms.of`.
    """
    mix: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, share = part.rpartition("=")
        try:
            number = float(share)
        except ValueError:
            number = math.nan
        if not name.strip() or not 0 <= number < math.inf:
            raise InputError(
                f"The part {part!r} of the label mix is no class with its share; happy=0.4,sad=0.6 shows the form."
            )
        if name.strip() in mix:
            raise InputError(f"The label mix names {name.strip()!r} twice; each class was expected once.")
        mix[name.strip()] = number
    if not mix:
        raise InputError(f"The label mix {text!r} names no class; happy=0.4,sad=0.6 shows the form.")
    return mix


def read_references(pairs: Iterable[str]) -> dict[str, str]:
    """``["race=white"]`` as attribute to group; `` x `` stands for the cross of an intersection. Raises InputError."""
    references: dict[str, str] = {}
    for pair in pairs:
        attribute, equals, group = (part.strip() for part in pair.replace(" x ", CROSS).partition("="))
        if not attribute or not equals or not group:
            raise InputError(
                f"The reference {pair!r} is no attribute with its group; race=white shows the form, "
                "and 'gender x race=man x white' that of an intersection."
            )
        if references.setdefault(attribute, group) != group:
            raise InputError(f"Two reference groups are named for {attribute!r}; one was expected.")
    return references
