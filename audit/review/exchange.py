"""Decisions out and back in: as CSV, and through Label Studio."""

from __future__ import annotations

import csv
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from audit.review.domain import KEEP, NOT_A_FACE, RELABEL, SKIP, SOFT, Decision, check
from audit.review.export import replacing, without_names
from audit.review.items import ReviewItem
from audit.run import AuditRun
from faces.emotions import LabelSet, canonical
from faces.errors import InputError

COLUMNS = tuple(field.name for field in fields(Decision))
_NAMESPACE = uuid.UUID("5d2a7e52-3f0b-4d63-9c5b-6f6f5a0d0f01")


def decisions_csv(log: Iterable[Decision], out: Path, names: bool = True) -> int:
    """Write the log, undos included; returns how many lines. ``names=False`` leaves the reviewers' names out."""
    log = list(log) if names else without_names(log)
    with replacing(out) as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for decision in log:
            values = {name: getattr(decision, name) for name in COLUMNS}
            soft = "" if decision.soft is None else json.dumps(dict(decision.soft), sort_keys=True)
            writer.writerow(values | {"soft": soft, "shown": "|".join(decision.shown)})
    return len(log)


def read_decisions(path: Path, run: AuditRun, reviewer: str | None = None) -> list[Decision]:
    """Decisions from a CSV: one of ours, or any with ``sample_id`` or ``content_id`` and ``new_label`` or ``action``.

    What a line leaves out is filled in: the old label and content from the run, the reviewer from ``reviewer``, the id
    from the line itself, so that reading a file twice records it once. Raises InputError naming the line.
    """
    lines = _lines(path)
    found = []
    for number, line in enumerate(lines, start=2):
        if "changed" in line and not line.get("soft") and line.get("label") == line.get("old_label"):
            continue  # of a file of all labels, as `review export` writes it: nobody decided here
        try:
            found.append(_from_line({name: value for name, value in line.items() if value}, run, reviewer))
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from None
    return found


def label_studio_tasks(items: Iterable[ReviewItem], image_url: str, out: Path) -> int:
    """Write Label Studio tasks with the suggestion as a prediction; returns how many.

    ``image_url`` holds ``{sample_id}``, for example ``http://127.0.0.1:8050/media/RUN/image/{sample_id}``.
    """
    if "{sample_id}" not in image_url:
        raise InputError(
            f"The image URL {image_url!r} has no {{sample_id}} in it; put it where the sample's name goes."
        )
    tasks = [_task(item, image_url) for item in items]
    with replacing(out) as path:
        path.write_text(json.dumps(tasks, indent=1, ensure_ascii=False))
    return len(tasks)


def label_studio_config(classes: LabelSet) -> str:
    """The labelling interface (XML) that the tasks are made for; several choices are a soft label."""
    choices = "".join(f"<Choice value={quoteattr(name)}/>" for name in (*classes.names, NOT_A_FACE))
    return (
        '<View><Image name="image" value="$image"/>'
        f'<Choices name="emotion" toName="image" choice="multiple">{choices}</Choices></View>'
    )


def read_label_studio(path: Path, run: AuditRun) -> list[Decision]:
    """Decisions from Label Studio's JSON export of tasks that came from here; several choices make a soft label.

    The reviewer is the annotator's e-mail or number; reading an export again records nothing twice.
    """
    try:
        tasks = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a Label Studio export ({error}); export the project as JSON.") from None
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise InputError(f"{path} is not a Label Studio export; a JSON list of tasks was expected: export as JSON.")
    found = []
    for number, task in enumerate(tasks, start=1):
        try:
            found += [_from_annotation(task, entry, run) for entry in task["annotations"]]
        except (InputError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}, task {number}: {error if isinstance(error, InputError) else 'not a task made here'}; export "
                "the project that was made from `facevalue review export` as JSON."
            ) from None
    return found


def _lines(path: Path) -> list[dict[str, str]]:
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            lines = [{str(name): value for name, value in line.items() if name is not None} for line in reader]
            columns = {str(name) for name in reader.fieldnames or ()}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path} cannot be read as a CSV ({why}); pass a CSV of decisions in UTF-8.") from None
    if "annotation_id" in columns:
        raise InputError(
            f"{path} is Label Studio's CSV, in which the label is the one that was asked about; export the project as "
            "JSON and pass that."
        )
    if not columns & {"sample_id", "content_id"} or not columns & {"new_label", "action", "label", "soft"}:
        raise InputError(
            f"{path} has the columns {', '.join(sorted(columns)) or 'none'}; sample_id or content_id, and new_label or "
            "action, were expected: name its columns so."
        )
    return lines


def _from_line(line: Mapping[str, str], run: AuditRun, reviewer: str | None) -> Decision:
    sample, content, old = _identity(line, run)
    name = line.get("reviewer", reviewer or "")
    soft = _soft(line["soft"]) if "soft" in line else None
    new = line.get("new_label") or line.get("label")
    action = line.get("action") or _action(new, soft, old)
    told = {key: line[key] for key in ("reason", "undoes") if key in line}
    told |= {"time": _utc(line["time"])} if "time" in line else {}
    made = Decision(
        sample, content, line.get("run", run.name), name, canonical(old), action, None if action == SKIP else new, soft,
        shown=tuple(part for part in line.get("shown", "").split("|") if part), **told,
    )  # fmt: skip
    own = line.get("id") or uuid.uuid5(_NAMESPACE, json.dumps([sample, content, name, old, action, new, soft])).hex
    return check(replace(made, id=own), run.classes)


def _identity(line: Mapping[str, str], run: AuditRun) -> tuple[str, str, str]:
    """Sample id, content id and old label of a line: its own, else the run's."""
    sample, content, old = (line.get(name, "") for name in ("sample_id", "content_id", "old_label"))
    row = run.row_of.get(sample)
    if row is None and content and not old:
        alike = run.samples.index[run.samples["content_id"] == content]
        row = int(alike[0]) if len(alike) else None
    if row is None and not (content and old):
        raise InputError(
            f"{sample or content or 'it'} is no sample of the run {run.name}; "
            "give a sample_id of the run, or content_id and old_label."
        )
    if row is None:
        return sample or content, content, old
    known = run.samples.iloc[row]
    kept, label = (known[name] if isinstance(known[name], str) else "" for name in ("content_id", "label"))
    if not kept or label not in run.classes:
        raise InputError(
            f"{sample or content} has no readable picture with a label of this run's classes; there is nothing to "
            "decide: leave its line out."
        )
    return sample or str(known["sample_id"]), content or kept, old or label


def _action(new: str | None, soft: Mapping[str, float] | None, old: str) -> str:
    if soft is not None:
        return SOFT
    if new is None:
        return SKIP
    if new == NOT_A_FACE:
        return NOT_A_FACE
    return KEEP if canonical(new) == canonical(old) else RELABEL


def _soft(text: str) -> dict[str, float]:
    try:
        return {str(name): float(share) for name, share in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError):
        raise InputError(
            f'the soft label {text!r} is not understood; JSON like {{"sad": 0.6, "fear": 0.4}} was expected'
        ) from None


def _utc(text: str) -> str:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"the time {text!r} is not understood; write it like 2026-01-31T12:00:00+00:00") from None
    known = when if when.tzinfo else when.replace(tzinfo=UTC)
    return known.astimezone(UTC).isoformat(timespec="microseconds")


def _task(item: ReviewItem, image_url: str) -> dict[str, Any]:
    choice = {"from_name": "emotion", "to_name": "image", "type": "choices", "value": {"choices": [item.suggested]}}
    return {
        "data": {
            "image": image_url.replace("{sample_id}", quote(item.sample_id)),
            "sample_id": item.sample_id,
            "content_id": item.content_id,
            "label": item.label,
            "reason": item.reason,
        },
        "predictions": [{"model_version": "facevalue", "score": round(item.score, 4), "result": [choice]}]
        if item.suggested
        else [],
    }


def _from_annotation(task: Mapping[str, Any], entry: Mapping[str, Any], run: AuditRun) -> Decision:
    data = task["data"]
    sample, content, old = str(data["sample_id"]), str(data["content_id"]), str(data["label"])
    chosen = _choices(entry.get("result", []))
    soft = dict.fromkeys(chosen, 1 / len(chosen)) if len(chosen) > 1 else None
    new = chosen[0] if len(chosen) == 1 else None
    action = SKIP if entry.get("was_cancelled") else _action(new, soft, old)
    by = entry.get("completed_by", "unknown")
    reviewer = str(by.get("email") or by.get("id")) if isinstance(by, Mapping) else str(by)
    when = {"time": _utc(str(entry["updated_at"]))} if entry.get("updated_at") else {}
    made = Decision(
        sample, content, run.name, f"label-studio:{reviewer}", canonical(old), action, new, soft,
        shown=("image", "label", "suggestion"),
        id=uuid.uuid5(_NAMESPACE, json.dumps([content, entry.get("id"), entry.get("updated_at"), chosen])).hex, **when,
    )  # fmt: skip
    return check(made, run.classes)


def _choices(result: Sequence[Mapping[str, Any]]) -> list[str]:
    return [str(name) for part in result if part.get("type") == "choices" for name in part["value"]["choices"]]
