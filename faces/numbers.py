"""Labels that are numbers: which class each stands for, counted from 0 or from 1."""

from __future__ import annotations

import pandas as pd

from faces.emotions import LabelSet
from faces.errors import InputError


def named(what: str, values: pd.Series, classes: LabelSet) -> tuple[list[str | None], tuple[str, ...]]:
    """The name of each number, None where it is missing, and notes for a person; ``what`` holds the numbers, in words.

    Numbers are places in ``classes``, counted from 0; from 1 where the smallest is at least 1 and the largest is how
    many classes there are. Classes that are numbers themselves are names. Raises InputError for any other number.
    """
    if are_numbers(classes):
        return [None if pd.isna(value) else _text(value) for value in values], ()
    met = sorted(values.dropna().unique())
    smallest, largest, count = (met[0], met[-1], len(classes)) if met else (0, 0, len(classes))
    first = counted_from(smallest, largest, count)
    names = {first + place: name for place, name in enumerate(classes.names)}
    wrong = next((number for number in reversed(met) if number not in names), None)
    if wrong is not None:
        raise InputError(
            f"{what} holds the number {_text(wrong)}, and {count} names were given ({', '.join(classes)}); numbers "
            f"from 0 to {count - 1}, or from 1 to {count}, were expected: name every number in order with "
            "--label-names a,b,.. or --classes, and leave empty what has no label."
        )
    notes = (f"{what} holds numbers counted from {first}: {_text(smallest)} is {names[smallest]}.",) if smallest else ()
    return [None if pd.isna(value) else names[value] for value in values], notes


def counted_from(smallest: float, largest: float, count: int) -> int:
    """0 or 1: what numbers of ``count`` classes are counted from, by the smallest and the largest that are met."""
    return int(smallest >= 1 and largest == count)


def are_numbers(classes: LabelSet) -> bool:
    """Whether the classes are called by numbers, so that a number is a name and no place."""
    return all(name.isdecimal() for name in classes.names)


def _text(value: float) -> str:
    return f"{value:.15g}"
