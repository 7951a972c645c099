"""Pictures by sample id: faces from the data, maps from the run's memory maps. No image travels inside JSON."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import numpy as np

from audit.run import AuditRun, MapStore
from dashboard import colours
from faces.dataset import PixelSource
from faces.errors import InputError, UnreadableImage

if TYPE_CHECKING:
    from flask import Flask, Response

    from dashboard.state import Site

PREDICTED, LABEL, ALTERNATIVE = "predicted", "label", "alternative"
MINUS = "-minus-"
"""Between the two classes of a contrast: ``sad-minus-neutral`` is what spoke for sad and against neutral."""
OWN, SHARED = "own", "shared"
SCALINGS = (OWN, SHARED)
THUMBNAIL = 224
TABLE = "predictions"
"""The kind of data that brings no images."""
SMOOTH = 48
"""Maps coarser than this are enlarged smoothly (bicubic): a browser alone would stretch them in creases."""


@dataclass(frozen=True)
class Map:
    """A raw map (h, w) of one sample as a page shows it: ``limit`` is the value drawn strongest.

    Single targets are cut at zero (ReLU) and run 0..limit; a contrast runs -limit..limit.
    """

    raw: np.ndarray
    contrast: bool
    limit: float

    def grey(self, size: int = 0) -> np.ndarray:
        """uint8: the values spread over 0..255 (zero of a contrast is 128), enlarged smoothly to at least ``size``."""
        share = np.divide(self.raw, self.limit, out=np.zeros_like(self.raw), where=self.limit > 0)
        share = _enlarged(np.clip(share, -1 if self.contrast else 0, 1), size)
        spread = 128 + 127 * share if self.contrast else 255 * share
        return np.round(np.clip(spread, 0, 255)).astype(np.uint8)


class Pictures:
    """Faces and maps of one run as PNG. Reads pixels only when first asked; says why where they are gone."""

    def __init__(self, run: AuditRun, data: Path | None = None) -> None:
        self.run = run
        self._data = data
        self._opening = threading.Lock()
        self._source: PixelSource | None = None
        self._reason: str | None = None
        self.shared_limit = lru_cache(maxsize=256)(self._shared_limit)
        self._store = lru_cache(maxsize=16)(run.maps)
        self._named = lru_cache(maxsize=2)(self._named_classes)

    @cached_property
    def version(self) -> str:
        """Changes whenever a picture could: part of every address, so that browsers keep pictures for good."""
        identity = {name: self.run.manifest.get(name) for name in ("data", "model", "parts", "saliency", "seed")}
        return hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:12]

    @property
    def reason(self) -> str | None:
        """Why no face can be shown; None while they can."""
        self._open()
        return self._reason

    def _open(self) -> PixelSource | None:
        with self._opening:
            if self._source is None and self._reason is None:
                if self.run.manifest["data"]["kind"] == TABLE:
                    self._reason = "The run was made from a table of predictions: it has no images."
                    return None
                try:
                    self._source = self.run.dataset(self._data).pixels
                except (InputError, OSError) as error:
                    self._reason = str(error)
        return self._source

    def pixels(self, sample_id: str) -> np.ndarray:
        """uint8 (H, W, 1 or 3). Raises InputError where the images are gone, UnreadableImage."""
        source = self._open()
        if source is None:
            raise InputError(self._reason or "")
        return source.read(sample_id)

    def face(self, sample_id: str, thumbnail: bool = False) -> bytes:
        """PNG of a sample; a thumbnail is at most THUMBNAIL pixels wide. Raises InputError or UnreadableImage."""
        image = self.pixels(sample_id)
        scale = THUMBNAIL / max(image.shape[:2])
        return png(_shrunk(image, scale) if thumbnail and scale < 1 else image)

    def maps(self, method: str) -> MapStore:
        """The stored maps of a method. Raises InputError naming the stored ones."""
        return self._store(method)

    def map(self, method: str, target: str, sample_id: str, scaling: str = OWN) -> Map:
        """The map of one sample. Raises InputError for an unknown method, target or sample, KeyError for the last."""
        row = self.run.row_of[sample_id]
        raw = self._raw(method, target, row)
        contrast = MINUS in target
        own = float(np.abs(raw).max() if contrast else raw.max(initial=0))
        return Map(raw, contrast, self.shared_limit(method, target) if scaling == SHARED else own)

    def _raw(self, method: str, target: str, row: int) -> np.ndarray:
        store = self.maps(method)
        if MINUS in target:
            first, second = target.split(MINUS, 1)
            return self._one(store, first, row) - self._one(store, second, row)
        return self._one(store, target, row)

    def _one(self, store: MapStore, target: str, row: int) -> np.ndarray:
        name = self.class_of(target, row)
        place = self._two_targets(row).get(name) if ALTERNATIVE in store.targets else name
        if place not in store.targets:
            known = ", ".join((PREDICTED, LABEL, *store.targets))
            raise InputError(f"{store.method} holds no map for {target!r} of this sample; it has: {known}.")
        return np.nan_to_num(store.raw(row, store.targets.index(place)))

    def class_of(self, target: str, row: int) -> str | None:
        """The class that ``predicted`` or ``label`` means for one sample; any other target is itself."""
        if target not in (PREDICTED, LABEL):
            return target
        return self._named(target)[row]

    def _named_classes(self, target: str) -> list[str | None]:
        """Label or prediction of every sample."""
        return [value if isinstance(value, str) else None for value in self.run.samples[target].tolist()]

    def _two_targets(self, row: int) -> dict[str | None, str]:
        """Class -> where its map is, for methods that keep two a sample: the alternative is the label, or else the

        runner-up."""
        predicted, label = (self.class_of(target, row) for target in (PREDICTED, LABEL))
        ranked = np.argsort(-np.nan_to_num(self.run.probabilities[row]), kind="stable")
        runner_up = next((self.run.classes.names[k] for k in ranked if self.run.classes.names[k] != predicted), None)
        known = label in self.run.classes.names and label != predicted
        return {label if known else runner_up: ALTERNATIVE, predicted: PREDICTED}

    def drawable(self, method: str, target: str, row: int) -> bool:
        """Whether a sample has a map of that method and target."""
        store = self.maps(method)
        kept = self._two_targets(row) if ALTERNATIVE in store.targets else dict.fromkeys(store.targets)
        names = [self.class_of(part, row) for part in target.split(MINUS)]
        return self.class_of(PREDICTED, row) is not None and all(name in kept for name in names)

    def _shared_limit(self, method: str, target: str) -> float:
        """The 99th percentile of the maps' largest values over at most 2,000 samples spread over the run."""
        rows = np.unique(np.linspace(0, len(self.run.samples) - 1, 2000).astype(int))
        peaks = [
            np.abs(raw).max() if MINUS in target else raw.max(initial=0) for raw in self._known(method, target, rows)
        ]
        return float(np.percentile(peaks, 99)) if peaks else 0.0

    def _known(self, method: str, target: str, rows: np.ndarray) -> list[np.ndarray]:
        found = []
        for row in rows:
            try:
                found.append(self._raw(method, target, int(row)))
            except InputError:
                continue
        return found


def png(image: np.ndarray) -> bytes:
    """uint8 (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) RGBA as PNG."""
    import cv2

    if image.ndim == 3 and image.shape[2] > 1:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def _enlarged(shares: np.ndarray, size: int) -> np.ndarray:
    """Enlarged by bicubic interpolation, which overshoots at peaks: brought back so that they do not look flat."""
    import cv2

    scale = size / max(shares.shape)
    if scale <= 1:
        return shares
    large = cv2.resize(shares, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return large / max(1.0, float(np.abs(large).max()))


def _shrunk(image: np.ndarray, scale: float) -> np.ndarray:
    import cv2

    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def coloured(shown: Map, scale: str) -> bytes:
    """A map as a transparent, coloured PNG of 224 pixels: the values enlarged smoothly, then coloured."""
    return png(colours.table(scale)[shown.grey(THUMBNAIL)])


def face_address(slug: str, pictures: Pictures, sample_id: str, thumbnail: bool = True) -> str:
    """Where a sample's face is."""
    size = {"size": "small"} if thumbnail else {}
    return f"/media/{quote(slug)}/image/{quote(sample_id)}.png?{urlencode({'v': pictures.version, **size})}"


def map_address(slug: str, pictures: Pictures, method: str, target: str, sample_id: str, scaling: str = OWN) -> str:
    """Where a sample's map is, as grey values that the page's filters colour."""
    values = urlencode({"as": "values", "scaling": scaling, "v": pictures.version})
    return f"/media/{quote(slug)}/map/{quote(method)}/{quote(target)}/{quote(sample_id)}.png?{values}"


def array_address(slug: str, method: str, target: str, sample_id: str) -> str:
    """Where a sample's raw map is, as a .npy file."""
    return f"/media/{quote(slug)}/map/{quote(method)}/{quote(target)}/{quote(sample_id)}.npy"


def register(server: Flask, site: Site) -> None:
    """Add the picture routes."""

    def face(slug: str, sample_id: str) -> Response:
        return answer_face(site, slug, sample_id)

    def saliency(slug: str, method: str, target: str, sample_id: str) -> Response:
        return answer_map(site, slug, method, target, sample_id)

    server.add_url_rule("/media/<slug>/image/<path:sample_id>.png", "face", face)

    def values(slug: str, method: str, target: str, sample_id: str) -> Response:
        return answer_array(site, slug, method, target, sample_id)

    server.add_url_rule("/media/<slug>/map/<method>/<target>/<path:sample_id>.png", "map", saliency)
    server.add_url_rule("/media/<slug>/map/<method>/<target>/<path:sample_id>.npy", "map_values", values)
    server.add_url_rule("/media/<path:_>", "no_media", lambda _: missing("There is no such picture."))


def answer_face(site: Site, slug: str, sample_id: str) -> Response:
    """The face of a sample, or a picture that says why there is none."""
    from flask import request

    served = site.find(slug)
    if served is None or sample_id not in served.run.row_of:
        return missing("There is no such sample.")
    small = request.args.get("size") == "small"
    return picture(served.pictures, f"face-{small}-{sample_id}", lambda: served.pictures.face(sample_id, small))


def answer_map(site: Site, slug: str, method: str, target: str, sample_id: str) -> Response:
    """A map: coloured, or with ``as=values`` the grey values alone; ``scaling`` own or shared."""
    from flask import request

    from dashboard.computed import map_of

    served = site.find(slug)
    if served is None or sample_id not in served.run.row_of:
        return missing("There is no such sample.")
    scaling = request.args.get("scaling", OWN)
    default = "contrast" if MINUS in target else "inferno"
    scale = request.args.get("scale", default)
    if scaling not in SCALINGS or scale not in (*colours.SEQUENTIAL, *colours.DIVERGING):
        return missing(f"The scaling is {' or '.join(SCALINGS)}, the scale one of {', '.join(colours.SEQUENTIAL)}.")
    plain = request.args.get("as") == "values"

    def draw() -> bytes:
        shown = map_of(site, served, method, target, sample_id, scaling)
        return png(shown.grey(SMOOTH)) if plain else coloured(shown, scale)

    return picture(served.pictures, f"{method}-{target}-{scaling}-{'' if plain else scale}-{sample_id}", draw)


def answer_array(site: Site, slug: str, method: str, target: str, sample_id: str) -> Response:
    """The raw map of a sample, float32 (h, w), as a .npy file: before any cutting or scaling."""
    from dashboard.computed import map_of

    served = site.find(slug)
    if served is None or sample_id not in served.run.row_of:
        return missing("There is no such sample.")
    try:
        return array(map_of(site, served, method, target, sample_id, OWN).raw, f"{method}-{target}.npy")
    except (InputError, UnreadableImage) as error:
        return missing(str(error))


def array(values: np.ndarray, name: str) -> Response:
    """An array as a .npy file, float32."""
    import io

    from flask import Response

    file = io.BytesIO()
    np.save(file, np.asarray(values, dtype=np.float32), allow_pickle=False)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-cache"}
    return Response(file.getvalue(), mimetype="application/octet-stream", headers=headers)


def picture(pictures: Pictures, identity: str, draw: Callable[[], bytes]) -> Response:
    """PNG with caching: for good where the address carries the version, else revalidated by its ETag."""
    from flask import Response, request

    tag = hashlib.sha256(f"{pictures.version}-{identity}".encode()).hexdigest()[:20]
    kept = request.args.get("v") == pictures.version
    headers = {
        "Cache-Control": "private, max-age=31536000, immutable" if kept else "private, no-cache",
        "ETag": f'"{tag}"',
    }
    if tag in request.if_none_match:
        return Response(status=304, headers=headers)
    try:
        return Response(draw(), mimetype="image/png", headers=headers)
    except (InputError, UnreadableImage) as error:
        return missing(str(error))


def missing(reason: str) -> Response:
    """404 with a picture of an empty frame; the reason stands in it as its title and in a header-free body."""
    from xml.sax.saxutils import escape

    from flask import Response

    body = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48" role="img">'
        f"<title>{escape(reason)}</title>"
        '<rect x="1" y="1" width="46" height="46" rx="3" fill="#8883" stroke="#888" stroke-dasharray="3 3"/>'
        '<path d="M15 15 33 33M33 15 15 33" stroke="#888" stroke-width="2" stroke-linecap="round"/></svg>'
    )
    return Response(body, status=404, mimetype="image/svg+xml", headers={"Cache-Control": "no-store"})
