"""Slow, obviously right copies of the representation and stereotype metrics, straight from their definitions."""

from __future__ import annotations

import math
from collections import Counter


def shares(values: list[str]) -> dict[str, float]:
    return {name: count / len(values) for name, count in Counter(values).items()}


def entropy(values: list) -> float:
    return -sum(share * math.log(share) for share in shares(values).values())


def mutual_information(a: list[str], b: list[str]) -> float:
    of_a, of_b, joint = shares(a), shares(b), shares(list(zip(a, b, strict=True)))
    return sum(share * math.log(share / (of_a[x] * of_b[y])) for (x, y), share in joint.items())


def npmi(a: list[str], b: list[str], x: str, y: str) -> float | None:
    both = sum(pair == (x, y) for pair in zip(a, b, strict=True)) / len(a)
    if both == 0:
        return -1.0
    if both == 1:
        return None
    return math.log(both / (shares(a)[x] * shares(b)[y])) / -math.log(both)


def duchers_z(a: list[str], b: list[str], x: str, y: str) -> float:
    """By whole numbers, so that independence is exact."""
    n = len(a)
    in_x, in_y = a.count(x), b.count(y)
    excess = n * sum(pair == (x, y) for pair in zip(a, b, strict=True)) - in_x * in_y
    if excess > 0:
        return excess / (n * min(in_x, in_y) - in_x * in_y)
    if excess < 0:
        return excess / (in_x * in_y - n * max(0, in_x + in_y - n))
    return 0.0


def lewontins_d(a: list[str], b: list[str], x: str, y: str) -> float:
    return sum(pair == (x, y) for pair in zip(a, b, strict=True)) / len(a) - shares(a)[x] * shares(b)[y]
