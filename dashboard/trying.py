"""What the try-it page's script asks for: the faces in a picture, in the picture at an address, in a camera's frame.

Pictures come as the body of a POST and are held in memory alone. An answer is four bytes that give the length of a
JSON head, the head, and behind it the pixels, maps and picture that the head gives the sizes of.
"""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from audit.explain_bytes import FOUND, LIVE, WHOLE, Tried, TriedFace
from audit.worker import Busy
from dashboard.media import SMOOTH, Map
from faces.errors import InputError
from faces.fetch import MOST_BYTES, fetch_image, is_url

if TYPE_CHECKING:
    from flask import Flask, Request, Response

    from dashboard.state import Served, Site

FRAMES = 2
"""Frames of cameras that may wait for the model at once; what comes beyond them is dropped."""
FETCHES = 2
"""Pictures that are fetched from their addresses at once; each may hold a thread of the server for ten seconds."""
LARGEST_BODY = MOST_BYTES + 1024 * 1024
"""A server should refuse larger requests, and hold smaller ones in memory: pictures must not pass through its files."""


def tried(site: Site, served: Served, data: bytes, kind: str) -> bytes:
    """The answer about one encoded picture. Raises InputError where it cannot be read, or the model not be had."""
    arguments = served.run.folder, data, kind, served.model, served.allow_pickle
    found: Tried = site.worker.ask("audit.explain_bytes", "explain_bytes", *arguments)
    return packed(found)


def packed(found: Tried) -> bytes:
    """Head and content of an answer as one run of bytes."""
    told = [_face(face) for face in found.faces]
    head = {
        "width": found.width,
        "height": found.height,
        "classes": found.classes,
        "faces": [face for face, _ in told],
        "found": found.found,
        "picture": len(found.picture),
    }
    text = json.dumps(head).encode()
    return b"".join([struct.pack(">I", len(text)), text, *(content for _, content in told), found.picture])


def _face(face: TriedFace) -> tuple[dict[str, Any], bytes]:
    """A face's part of the head; its pixels and then its maps as grey values, uint8."""
    maps = [Map(raw, False, float(raw.max(initial=0))).grey(SMOOTH) for raw in face.maps]
    height, width, channels = face.pixels.shape
    head = {
        "left": face.left,
        "top": face.top,
        "side": face.side,
        "height": face.height,
        "angle": face.angle,
        "pixels": [height, width, channels],
        "maps": list(maps[0].shape),
        "targets": face.targets,
        "predicted": int(face.probabilities.argmax()),
        "probabilities": np.round(face.probabilities.astype(float), 4).tolist(),
        "method": face.method,
    }
    return head, b"".join(np.ascontiguousarray(values).tobytes() for values in (face.pixels, *maps))


@dataclass(frozen=True)
class Places:
    """What may go on at once."""

    frames: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(FRAMES))
    fetches: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(FETCHES))


def register(server: Flask, site: Site) -> None:
    """Add the route ``/trying/RUN/WHAT``, WHAT one of ``picture``, ``whole``, ``address`` and ``frame``."""
    server.add_url_rule("/trying/<slug>/<what>", "trying", partial(answer, site, Places()), methods=["POST"])


def answer(site: Site, places: Places, slug: str, what: str) -> Response:
    """The faces as bytes; else JSON with a sentence: 400 for what cannot be done, 429 for what is too much at once."""
    from flask import request

    served = site.find(slug)
    if served is None or what not in KINDS:
        return _refused("There is nothing at this address.", 404)
    if what != "frame":
        return _answered(lambda: tried(site, served, _picture(request, what, places), KINDS[what]))
    if not places.frames.acquire(blocking=False):
        return _refused("The model is busy with earlier frames.", 429)
    try:
        return _answered(lambda: tried(site, served, _body(request), LIVE))
    finally:
        places.frames.release()


KINDS = {"picture": FOUND, "address": FOUND, "whole": WHOLE, "frame": LIVE}


def _picture(request: Request, what: str, places: Places) -> bytes:
    """The picture's bytes: the body, or what lies at the address that the body gives."""
    data = _body(request)
    if what != "address":
        return data
    address = data.decode("utf-8", "replace").strip()
    if not is_url(address):
        raise InputError(f"{address!r} is no address of a picture; one that begins with http:// or https:// is needed.")
    if not places.fetches.acquire(blocking=False):
        raise Busy("Other pictures are being fetched from their addresses; try again in a moment.")
    try:
        return fetch_image(address)
    finally:
        places.fetches.release()


def _body(request: Request) -> bytes:
    if (request.content_length or 0) > MOST_BYTES:
        raise InputError(f"The picture is larger than {MOST_BYTES // 1024 // 1024} MB; give a smaller one.")
    return request.get_data(cache=False)


def _answered(give: Callable[[], bytes]) -> Response:
    from flask import Response

    try:
        return Response(give(), mimetype="application/octet-stream", headers={"Cache-Control": "no-store"})
    except InputError as error:
        return _refused(str(error), 429 if isinstance(error, Busy) else 400)


def _refused(sentence: str, status: int) -> Response:
    from flask import jsonify

    response = jsonify({"error": sentence})
    response.status_code = status
    return response
