"""What the Review page's script asks for: queues, pictures and progress as JSON, and where decisions are sent.

Every decision carries an id made in the browser, so that sending it again after a lost answer records it once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from audit.jsonsafe import plain
from audit.review.domain import Unavailable
from dashboard.media import LABEL, MINUS, PREDICTED, face_address, map_address
from dashboard.query import Query
from faces.errors import InputError

if TYPE_CHECKING:
    from flask import Flask, Response

    from audit.review.items import ReviewItem
    from dashboard.state import Served, Site

AHEAD = 6
"""Pictures handed out together, so that the next one is there before it is asked for."""
LOOK_ALIKES = 24
MADE = ("reviewer", "action", "new_label", "id")
FILTERS = ("label", "predicted", "attribute", "group", "split", "text")
FIELDS = ("sample_id", "action", "reviewer", "new_label", "soft", "reason", "shown", "id")
MANY_FIELDS = ("sample_ids", "action", "reviewer", "new_label", "reason", "shown", "ids")


def queue(served: Served, query: Query) -> dict[str, Any]:
    """The next pictures of a queue, held for this reviewer, and how far the review is."""
    service, reviewer, kind = served.review, query.get("reviewer", ""), query.get("queue", "likely_wrong")
    where = {name: query[name] for name in FILTERS if name in query}
    waiting = service.queue(kind, reviewer, limit=AHEAD, **where)
    held = service.claim(waiting, reviewer, kind=kind) if waiting else []
    return {"queue": held, "progress": progress(served, reviewer)}


def progress(served: Served, reviewer: str) -> dict[str, Any]:
    """Where the review stands, with what was learned in sentences."""
    found = asdict(served.review.progress(reviewer))
    del found["rates"]
    return found


def item(served: Served, query: Query) -> dict[str, Any]:
    """One picture with everything the page can show of it."""
    one = served.review.item(query.get("id", ""))
    kept = ("sample_id", "label", "suggested", "score", "suggestion_score", "reason", "probabilities", "votes",
            "ambiguous")  # fmt: skip
    alike = served.review.neighbours(one.sample_id)
    return {
        **{name: getattr(one, name) for name in kept},
        "face": face_address(served.slug, served.pictures, one.sample_id, thumbnail=False),
        "maps": maps(served, one),
        "copies": [thumbnail(served, other) | {"kind": kind} for other, kind in one.copies.items()],
        "neighbours": [thumbnail(served, other) for other in alike],
        "decided": [
            {name: getattr(made, name) for name in ("reviewer", "action", "new_label", "id")} for made in one.decisions
        ],
    }


def thumbnail(served: Served, sample_id: str) -> dict[str, Any]:
    """A small picture, what it is labelled, and where it is seen large."""
    label = served.run.samples["label"].iat[served.run.row_of[sample_id]]
    face = face_address(served.slug, served.pictures, sample_id)
    return {"sample_id": sample_id, "label": label if isinstance(label, str) else "none", "face": face}


def maps(served: Served, one: ReviewItem) -> dict[str, str]:
    """Addresses of the maps worth looking at: for the prediction, for the label, and what decides between them."""
    if not served.run.saliency_methods:
        return {}
    targets = [PREDICTED, LABEL]
    if one.suggested and one.suggested != one.label:
        targets.append(f"{one.suggested}{MINUS}{one.label}")
    method = served.run.saliency_methods[0]
    return {target: map_address(served.slug, served.pictures, method, target, one.sample_id) for target in targets}


def look_alikes(served: Served, query: Query) -> dict[str, Any]:
    """Undecided pictures like one, with the same label."""
    found = served.review.look_alikes(query.get("id", ""), query.get("reviewer", ""), LOOK_ALIKES)
    return {"look_alikes": [thumbnail(served, sample_id) for sample_id in found]}


def together(served: Served, query: Query) -> dict[str, Any]:
    """A picture and its undecided copies, exact, near and mirrored."""
    found = served.review.together(query.get("id", ""), query.get("reviewer", ""))
    return {"together": [thumbnail(served, sample_id) for sample_id in found]}


def decide(served: Served, body: dict[str, Any]) -> dict[str, Any]:
    """Record one decision; it is on disk when the answer is given."""
    made = served.review.decide(**_fields(body, FIELDS, 3))
    return {"saved": made.id}


def decide_many(served: Served, body: dict[str, Any]) -> dict[str, Any]:
    """Record the same decision on several pictures, all or none."""
    made = served.review.decide_many(**_fields(body, MANY_FIELDS, 3))
    return {"saved": [one.id for one in made]}


def _fields(body: dict[str, Any], names: tuple[str, ...], needed: int) -> dict[str, Any]:
    """The named values of a call. Raises InputError where one of the first ``needed`` is missing."""
    missing = [name for name in names[:needed] if not body.get(name)]
    if missing:
        raise InputError(f"The decision names no {missing[0]}; it needs {', '.join(names[:needed])}.")
    return {name: body[name] for name in names if body.get(name) is not None}


def undo(served: Served, body: dict[str, Any]) -> dict[str, Any]:
    """Take back the reviewer's last decision, or the one named."""
    taken = served.review.undo(str(body.get("reviewer", "")), body.get("id"))
    return {"sample_id": taken.sample_id if taken else None}


READ: dict[str, Callable[[Served, Query], dict[str, Any]]] = {
    "queue": queue,
    "item": item,
    "look-alikes": look_alikes,
    "together": together,
}
WRITE: dict[str, Callable[[Served, dict[str, Any]], dict[str, Any]]] = {
    "decide": decide,
    "decide-many": decide_many,
    "undo": undo,
}


EXPORTS = {
    "corrected.csv": ("corrected", "Corrected labels"),
    "corrected.zip": ("archive", "Corrected archive"),
    "fer2013.csv": ("fer2013", "FER-2013 CSV"),
    "diff.csv": ("diff", "What changed, by whom"),
    "decisions.csv": ("decisions", "All decisions"),
    "label-studio.json": ("label-studio", "Label Studio tasks"),
}
"""File name -> the export's name and what it is called."""


def export(site: Site, slug: str, name: str) -> Response:
    """One export as a download; ``names=0`` leaves the reviewers' names out."""
    from flask import Response, request, send_file

    from audit.review.formats import export as write

    served = site.find(slug)
    if served is None or name not in EXPORTS:
        return Response("There is no such export.\n", status=404, mimetype="text/plain")
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        try:
            write(served.review, EXPORTS[name][0], lambda: served.run.dataset(served.data), path, _names(request.args))
        except InputError as error:
            return Response(f"{error}\n", status=409, mimetype="text/plain")
        return send_file(BytesIO(path.read_bytes()), as_attachment=True, download_name=name)


def _names(values: Mapping[str, str]) -> bool:
    return values.get("names") != "0"


def register(server: Flask, site: Site) -> None:
    """Add the routes: ``/reviewing/RUN/WHAT``, read by GET and written by POST; ``/reviewed/RUN/FILE`` to download."""
    server.add_url_rule("/reviewed/<slug>/<path:name>", "reviewed_export", partial(export, site))
    server.add_url_rule("/reviewing/<slug>/<what>", "reviewing", partial(read, site))
    server.add_url_rule("/reviewing/<slug>/<what>", "reviewed", partial(write, site), methods=["POST"])


def read(site: Site, slug: str, what: str) -> tuple[Response, int]:
    """Answer one question."""
    from flask import request

    return _answer(site, slug, READ.get(what), Query(request.args.to_dict()))


def write(site: Site, slug: str, what: str) -> tuple[Response, int]:
    """Take one order; its body is a JSON object."""
    from flask import request

    body = request.get_json()
    return _answer(site, slug, WRITE.get(what) if isinstance(body, dict) else None, body)


def _answer(
    site: Site, slug: str, act: Callable[[Served, Any], dict[str, Any]] | None, given: Any
) -> tuple[Response, int]:
    """JSON; 400 with a sentence where the call is wrong, 404 where there is no such run or call, 503 where the database

    does not answer: the page keeps its decisions and asks again.
    """
    from flask import jsonify

    served = site.find(slug)
    if served is None or act is None:
        return jsonify({"error": "There is nothing at this address."}), 404
    try:
        return jsonify(plain(act(served, given))), 200
    except InputError as error:
        return jsonify({"error": str(error)}), 503 if isinstance(error, Unavailable) else 400
