"""Mean maps and mean faces of a selection, as pictures; the test of the difference of two selections."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np

from audit.saliency.atlas import Difference, compare_maps, compare_paired, map_sum, strata_of, target_maps
from dashboard.media import MINUS, SMOOTH, THUMBNAIL, Map, array, missing, picture, png
from dashboard.query import Query
from dashboard.selection import rows_of
from faces.errors import InputError, UnreadableImage

if TYPE_CHECKING:
    from flask import Flask, Response

    from dashboard.state import Served, Site

FACES = 150
"""A mean face is drawn from at most so many, spread evenly over the selection."""
MOST_TESTED = 2000
"""A test reads at most so many maps of each side, spread evenly."""
SIDE = 64
LEVEL = 0.05
DRAWN = ("method", "target", "limit", "v")
"""Names in an address that say how a mean is drawn, not of which samples."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison: samples of a run."""

    served: Served
    query: Query

    @property
    def rows(self) -> np.ndarray:
        """Rows of readable samples, int64."""
        return rows_of(self.served.samples, self.query.change(status="ok"))

    def words(self) -> str:
        """The selection in words."""
        names = {"label": "labelled", "predicted": "predicted"}
        parts = [f"{names[name]} {self.query[name]}" for name in names if name in self.query]
        parts += [self.query["group"]] if "group" in self.query else []
        return ", ".join(parts) or "all samples"


def spread(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, evenly spread over them."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def mean_map(side: Side, method: str, target: str) -> tuple[np.ndarray, int]:
    """The mean raw map (h, w) and how many maps it is the mean of; NaN where there is none."""
    total = map_sum(side.served.run, side.rows, target, method)
    return total.mean, total.n


def mean_face(side: Side) -> np.ndarray:
    """uint8 (SIDE, SIDE): the mean grey face of a selection. Raises InputError where there is none."""
    import cv2

    ids = side.served.run.samples["sample_id"]
    total, n = np.zeros((SIDE, SIDE)), 0
    for row in spread(side.rows, FACES):
        try:
            image = side.served.pictures.pixels(ids.iat[row])
        except UnreadableImage:
            continue
        grey = image[..., 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        total += cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        n += 1
    if not n:
        raise InputError("No face of this selection can be read.")
    return np.round(total / n).astype(np.uint8)


def differ(a: Side, b: Side, method: str, target: str) -> Difference:
    """Where the maps of two selections differ; image by image where they are the same images in two runs."""
    paired = a.served is not b.served and a.query == b.query
    rows_a, rows_b = spread(a.rows, MOST_TESTED), spread(b.rows, MOST_TESTED)
    if paired:
        rows_a, rows_b = _same_images(a, b, rows_a)
    maps_a = target_maps(a.served.run, rows_a, target, method)
    maps_b = target_maps(b.served.run, rows_b, target, method)
    if a.served is not b.served:
        return compare_paired(maps_a, maps_b) if paired else compare_maps(maps_a, maps_b)
    if np.intersect1d(rows_a, rows_b).size:
        nothing = np.full(maps_a.shape[1:], np.nan)
        return Difference(nothing, nothing, nothing, len(rows_a), len(rows_b), "the two sides share images")
    cells_a, cells_b = (strata_of(a.served.run.samples, rows) for rows in (rows_a, rows_b))
    if set(cells_a) & set(cells_b):
        return compare_maps(maps_a, maps_b, cells_a, cells_b)
    return compare_maps(maps_a, maps_b)


def _same_images(a: Side, b: Side, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ids = a.served.run.samples["sample_id"]
    pairs = [(row, b.served.run.row_of[ids.iat[row]]) for row in rows if ids.iat[row] in b.served.run.row_of]
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return first, second


def address(kind: str, side: Side, **drawn: object) -> str:
    """Where a mean picture (``face`` or ``map``) is."""
    query = side.query.change(**drawn).change(v=side.served.pictures.version)
    return query.href(f"/atlas/{quote(side.served.slug)}/{kind}.png")


def register(server: Flask, site: Site) -> None:
    """Add the routes of mean pictures."""
    server.add_url_rule("/atlas/<slug>/<kind>.png", "atlas", partial(answer, site))
    server.add_url_rule("/atlas/<slug>/map.npy", "atlas_values", partial(answer_values, site))


def answer(site: Site, slug: str, kind: str) -> Response:
    """A mean face, or a mean map as grey values (``limit`` is drawn strongest; the largest unless given)."""
    from flask import request

    served = site.find(slug)
    if served is None or kind not in ("face", "map"):
        return missing("There is no such picture.")
    query = Query(request.args.to_dict())
    keep = {name: value for name, value in query.items() if name not in DRAWN}
    side = Side(served, Query(keep))

    def draw() -> bytes:
        if kind == "face":
            return png(mean_face(side))
        return png(drawn(side, query).grey(SMOOTH))

    return picture(served.pictures, f"atlas-{kind}-{query.href('')}", draw)


def answer_values(site: Site, slug: str) -> Response:
    """The raw mean map, float32 (h, w), as a .npy file."""
    from flask import request

    served = site.find(slug)
    if served is None:
        return missing("There is no such run.")
    query = Query(request.args.to_dict())
    side = Side(served, Query({name: value for name, value in query.items() if name not in DRAWN}))
    try:
        mean, _ = mean_map(side, query.get("method", ""), query.get("target", "predicted"))
    except InputError as error:
        return missing(str(error))
    return array(mean, "mean.npy")


def drawn(side: Side, query: Query) -> Map:
    """The mean map as it is drawn. Raises InputError for an unknown method or target."""
    target = query.get("target", "predicted")
    mean, _ = mean_map(side, query.get("method", ""), target)
    mean = np.nan_to_num(mean).astype(np.float32)
    contrast = MINUS in target
    own = float(np.abs(mean).max() if contrast else mean.max(initial=0))
    try:
        limit = float(query["limit"])
    except (KeyError, ValueError):
        limit = own
    return Map(mean, contrast, limit)


def difference_picture(difference: np.ndarray) -> str:
    """A signed map as a data address of grey values; zero is 128."""
    values = np.nan_to_num(difference).astype(np.float32)
    return _address("image/png", png(Map(values, True, float(np.abs(values).max(initial=0))).grey(THUMBNAIL)))


def rings(where: np.ndarray) -> str:
    """A ring on every place of a map (h, w) that is true, as the data address of an SVG picture."""
    height, width = where.shape
    circles = "".join(
        f'<circle cx="{x + 0.5}" cy="{y + 0.5}" r="0.17" fill="none" stroke="{colour}" stroke-width="{thick}"/>'
        for y, x in np.argwhere(where)
        for colour, thick in (("#fff", 0.11), ("#111", 0.05))
    )
    size = f'width="{64 * width}" height="{64 * height}" viewBox="0 0 {width} {height}"'
    return _address("image/svg+xml", f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{circles}</svg>'.encode())


def _address(kind: str, content: bytes) -> str:
    import base64

    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
