"""What the process serves, and what one request asks of it. Nothing here is global: the app owns one Site."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from audit.counts import OVERALL, Counts
from audit.run import AuditRun, check_place
from audit.worker import Worker
from dashboard.media import Pictures
from dashboard.query import Query
from dashboard.selection import Samples
from faces.errors import InputError

if TYPE_CHECKING:
    from audit.compare import Comparison
    from audit.review.service import ReviewService

THEMES = ("light", "dark")
RERANK_SECONDS = 1.0
"""How far the order of a review's queues may lag behind the decisions: many reviewers wait for it together."""


@dataclass(frozen=True)
class Served:
    """One run under the name it has in addresses.

    ``data`` and ``model`` are where its images and its model are now, if they moved; ``reviews`` the database of
    decisions (None: beside the run); ``overlap`` how many reviewers each picture shall have; ``allow_pickle`` whether
    the model file may run code as it loads.
    """

    slug: str
    run: AuditRun
    data: Path | None = None
    reviews: str | None = None
    model: str | None = None
    overlap: int = 1
    allow_pickle: bool = False

    @cached_property
    def samples(self) -> Samples:
        """The run's samples, to be selected from."""
        return Samples(self.run.folder / "samples.parquet", self._rows_of_slice, self._rows_of_shortcut)

    def _rows_of_shortcut(self, number: str) -> list[int]:
        found = self.table("shortcuts")
        chosen = found["examples"].iloc[int(number)] if number.isdigit() and int(number) < len(found) else []
        return [self.run.row_of[sample_id] for sample_id in chosen]

    def _rows_of_slice(self, name: str) -> list[int]:
        from audit.counts import Coded
        from audit.slices import conditions, members

        found = self.table("slices")
        found = found[found["slice"] == name]
        if found.empty:
            return []
        coded = Coded.of(self.run.samples, self.run.classes, self.run.attributes)
        asked = conditions(coded, self.run.samples, self.run.embeddings, self.run.manifest["seed"])
        return coded.rows[members(asked, list(found["conditions"].iloc[0]))].tolist()

    @cached_property
    def pictures(self) -> Pictures:
        """The run's images and maps."""
        return Pictures(self.run, self.data)

    @cached_property
    def review(self) -> ReviewService:
        """The review of the run's labels. Raises InputError where the database cannot be opened."""
        from audit.review.service import ReviewService
        from audit.review.store import ReviewStore

        store = ReviewStore.open(self.reviews or self.run.folder / "reviews.sqlite")
        return ReviewService(self.run, store, self.overlap, rerank_seconds=RERANK_SECONDS)

    @cached_property
    def computed(self) -> OrderedDict[tuple[str, str, str], np.ndarray]:
        """Maps that were computed on demand, by method, target and sample; the oldest first."""
        return OrderedDict()

    @cached_property
    def _tables(self) -> dict[str, pd.DataFrame]:
        return {}

    @cached_property
    def _comparisons(self) -> dict[str, Comparison]:
        return {}

    def compared(self, other: Served) -> Comparison:
        """This run against another, worked out once. Raises InputError where they share no images or classes."""
        from audit.compare import compare

        if other.slug not in self._comparisons:
            self._comparisons[other.slug] = compare(self.run, other.run)
        return self._comparisons[other.slug]

    def table(self, name: str) -> pd.DataFrame:
        """A result table of the run, read once; do not modify. Raises InputError where there is none."""
        if name not in self._tables:
            self._tables[name] = self.run.table(name)
        return self._tables[name]

    def counts(self, attribute: str = OVERALL) -> Counts:
        """The Counts of an attribute or intersection (the whole set by default)."""
        return Counts.from_frame(self.table("counts"), attribute, self.run.classes.names)


@dataclass(frozen=True)
class Site:
    """The runs a process serves, the first of them by default, and the one child process that runs models."""

    served: tuple[Served, ...]
    worker: Worker = field(default_factory=Worker, compare=False)

    @classmethod
    def of(
        cls,
        runs: Sequence[AuditRun],
        reviews: str | None = None,
        data: Path | None = None,
        model: str | None = None,
        overlap: int = 1,
        allow_pickle: bool = False,
    ) -> Site:
        """Name each run by its folder; equal names are numbered. The other arguments are as in Served.

        Raises InputError where there is no run, or ``data`` is not there.
        """
        if not runs:
            raise InputError("No run was given to serve; at least one run folder was expected: pass one.")
        check_place(data)
        slugs: list[str] = []
        for run in runs:
            base = re.sub(r"[^A-Za-z0-9._-]+", "-", run.name).strip("-.") or "run"
            taken = sum(slug == base or slug.startswith(f"{base}~") for slug in slugs)
            slugs.append(f"{base}~{taken + 1}" if taken else base)
        named = zip(slugs, runs, strict=True)
        return cls(tuple(Served(slug, run, data, reviews, model, overlap, allow_pickle) for slug, run in named))

    def find(self, slug: str | None) -> Served | None:
        """The run of that name; the first where none is named; None where there is no such run."""
        return next((served for served in self.served if slug in (None, "", served.slug)), None)


@dataclass(frozen=True)
class View:
    """One request: the run, what the address says, and the colour theme."""

    site: Site
    served: Served
    query: Query
    theme: str = "light"

    @property
    def run(self) -> AuditRun:
        return self.served.run

    def href(self, path: str, query: Query | None = None, **values: object) -> str:
        """The address of a page about the same run; ``values`` are set on ``query`` (by default none)."""
        slug = None if self.served is self.site.served[0] else self.served.slug
        return (query or Query()).change(**values).change(run=slug).href(path)

    def evidence(self, link: str) -> str:
        """A finding's link, as an address about the same run."""
        path, _, search = link.partition("?")
        return self.href(path, Query.parse(search))


def view_of(site: Site, search: str | None, theme: str | None) -> View | None:
    """The request a query string makes; None where it names a run that is not served."""
    query = Query.parse(search)
    served = site.find(query.get("run"))
    return View(site, served, query, theme if theme in THEMES else "light") if served else None
