"""When: the clock of a training over all its sittings, and the learning rate along its progress."""

from __future__ import annotations

import math
import time

FIRST = 0.05
"""The rate's share at the very beginning of the warm-up."""


class Clock:
    """Wall-clock seconds of a training, those before an interruption included."""

    def __init__(self) -> None:
        self.before, self.since = 0.0, time.monotonic()

    @property
    def seconds(self) -> float:
        return self.before + time.monotonic() - self.since

    def go_on_from(self, seconds: float) -> None:
        """Count from ``seconds`` on, beginning now."""
        self.before, self.since = seconds, time.monotonic()


def rate_share(progress: float, schedule: str, warmup: float) -> float:
    """Share 0..1 of the recipe's rate when ``progress`` (0..1) of the training is done.

    All schedules rise from FIRST over the share ``warmup``: ``onecycle`` (Smith and Topin 2018) along a cosine, the
    others straight. Then ``onecycle`` and ``cosine`` fall to 0 along a cosine; ``constant`` stays.
    """
    if progress < warmup:
        risen = progress / warmup
        return FIRST + (1 - FIRST) * ((1 - math.cos(math.pi * risen)) / 2 if schedule == "onecycle" else risen)
    if schedule == "constant":
        return 1.0
    return (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2
