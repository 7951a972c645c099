"""What was audited: data, model, versions, and the command that repeats it."""

from __future__ import annotations

import shlex
from pathlib import Path

from audit.run import AuditRun
from reports.document import Block, Chapter, Command, Paragraph, table
from reports.words import spaced, whole


def chapter(run: AuditRun) -> Chapter:
    """Fingerprints, options and versions as the run's manifest records them."""
    manifest = run.manifest
    data, model = manifest["data"], manifest["model"]
    rows = [
        ["data", f"{Path(data['path']).name} ({data['kind']})"],
        ["data fingerprint", data["fingerprint"]],
        ["images", whole(len(run.samples))],
        ["classes", ", ".join(run.classes)],
        ["attributes", ", ".join(spaced(name) for name in run.attributes) or "none"],
        *_model(model),
        ["saliency", ", ".join(run.saliency_methods) or "none"],
        ["seed", str(manifest["seed"])],
    ]
    for key, name in (("created", "audited on"), ("created_at", "audited on"), ("date", "audited on")):
        if manifest.get(key):
            rows.append([name, str(manifest[key])])
    blocks: list[Block] = [
        Paragraph(
            "Everything in this report comes from one audit run. A fingerprint is a SHA-256: data or weights that "
            "differ in a single value have another one."
        ),
        table("What was audited", ["", "value"], rows),
    ]
    if manifest["versions"]:
        versions = [[name, str(version)] for name, version in sorted(manifest["versions"].items())]
        blocks.append(table("Versions of the software", ["part", "version"], versions))
    blocks += [Paragraph("The command that repeats the audit:"), Command(command(run))]
    return Chapter("audited", "What was audited", tuple(blocks))


def _model(model: dict) -> list[list[str]]:
    if not model:
        return [["model", "none: predictions were given as a table"]]
    name = model.get("name") or Path(str(model.get("path") or "")).name
    return [["model", f"{name} ({model['kind']})"], ["model fingerprint", model["fingerprint"]]]


def command(run: AuditRun) -> str:
    """The call of ``facevalue audit`` that made the run, from its manifest."""
    manifest = run.manifest
    if manifest.get("command"):
        given = manifest["command"]
        return given if isinstance(given, str) else shlex.join(given)
    words = ["facevalue", "audit", Path(manifest["data"]["path"]).name]
    if manifest["model"]:
        words += ["--model", Path(str(manifest["model"].get("path") or "MODEL")).name]
    if run.attributes:
        words += ["--attributes", ",".join(run.attributes)]
    return shlex.join([*words, "--out", run.name])
