"""report.json: the run's figures as ``facevalue show --json`` gives them, and the document around them."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

from audit.jsonsafe import as_json
from audit.run import AuditRun
from audit.summary import summary
from reports.chapters import audited
from reports.document import Block, Bullets, Command, Document, Faces, Figure, Findings, Heading, Paragraph, Table

DOCUMENT_VERSION = 1


def schema() -> dict:
    """The published JSON Schema (2020-12) of report.json."""
    return json.loads(files("reports").joinpath("schema", "report.schema.json").read_text(encoding="utf-8"))


def render_json(run: AuditRun, document: Document) -> bytes:
    """UTF-8 text; undefined is null."""
    chapters = [
        {
            "key": chapter.key,
            "title": chapter.title,
            "blocks": [block_dict(number, block) for number, block in blocks],
        }
        for chapter, blocks in document.numbered()
    ]
    about = {
        "version": DOCUMENT_VERSION,
        "title": document.title,
        "subtitle": document.subtitle,
        "date": document.date,
        "provenance": _provenance(run),
        "chapters": chapters,
    }
    return (as_json({**summary(run), "document": about}) + "\n").encode()


def _provenance(run: AuditRun) -> dict:
    """Data and model by name and fingerprint: a report that is handed on tells no paths of a machine."""
    manifest = run.manifest
    data, model = manifest["data"], manifest["model"]
    return {
        "data": {"kind": data["kind"], "name": Path(data["path"]).name, "fingerprint": data["fingerprint"]},
        "model": {"kind": model["kind"], "name": audited.model_name(model), "fingerprint": model["fingerprint"]}
        if model
        else None,
        "seed": manifest["seed"],
        "versions": manifest["versions"],
        "command": audited.command(run),
    }


def block_dict(number: int, block: Block) -> dict:
    """One block as JSON-safe values; ``number`` counts tables, figures and galleries."""
    match block:
        case Table():
            return {"type": "table", "number": number, "caption": block.caption, "columns": block.columns,
                    "rows": block.rows, "note": block.note}  # fmt: skip
        case Figure():
            return {"type": "figure", "number": number, "key": block.key, "caption": block.caption}
        case Findings():
            return {"type": "findings", "items": [asdict(item) for item in block.items]}
        case Bullets():
            return {"type": "bullets", "items": block.items}
        case Faces():
            return {"type": "faces", "caption": block.caption, "items": [text for _, text in block.pictures]}
        case Paragraph() | Command() | Heading():
            return {"type": type(block).__name__.lower(), "text": block.text}
