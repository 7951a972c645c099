"""What was audited: data, model, versions, and the command that repeats it."""

from __future__ import annotations

import shlex
from pathlib import Path

from audit.run import AuditRun
from reports.document import Block, Bullets, Chapter, Command, Paragraph, table
from reports.words import listed, spaced, whole


def chapter(run: AuditRun) -> Chapter:
    """Fingerprints, options and versions as the run's manifest records them."""
    manifest = run.manifest
    data = manifest["data"]
    splits = [str(name) for name in run.samples["split"].dropna().unique()]
    rows = [
        ["data", f"{Path(data['path']).name} ({data['kind']})"],
        ["data fingerprint", data["fingerprint"]],
        ["metadata", Path(data["metadata"]["path"]).name if data.get("metadata") else "none"],
        ["splits", listed(splits) or "not divided"],
        ["images", whole(len(run.samples))],
        ["classes", ", ".join(run.classes)],
        ["attributes", ", ".join(spaced(name) for name in run.attributes) or "none"],
        *_model(manifest["model"]),
        ["saliency", ", ".join(run.saliency_methods) or "none"],
        ["seed", str(manifest["seed"])],
        ["audit finished", run.timing.get("finished_at") or "not recorded"],
    ]
    blocks: list[Block] = [
        Paragraph(
            "Everything in this report comes from one audit run. A fingerprint is a SHA-256: data or weights that "
            "differ in a single value have another one."
        ),
        table("What was audited", ["", "value"], rows),
    ]
    if data.get("notes"):
        blocks.append(Bullets(tuple(data["notes"])))
    versions = [[name, str(version)] for name, version in sorted(manifest["versions"].items())]
    if versions:
        blocks.append(table("Versions of the software", ["part", "version"], versions))
    blocks += [Paragraph("The command that repeats the audit:"), Command(command(run))]
    return Chapter("audited", "What was audited", tuple(blocks))


def _model(model: dict | None) -> list[list[str]]:
    if not model:
        return [["model", "none: predictions were given as a table"]]
    shape = model.get("preprocessing")
    rows = [["model", f"{model_name(model)} ({model['kind']})"], ["model fingerprint", model["fingerprint"]]]
    if shape:
        colour = "grey" if shape["channels"] == 1 else "RGB"
        size = f"{shape['height']} x {shape['width']}, {colour}, values {shape['low']:g} to {shape['high']:g}"
        rows.append(["model input", size])
    if model.get("trained_on"):
        rows.append(["trained on", f"{whole(model['trained_on'])} images that the model names"])
    return rows


def model_name(model: dict) -> str:
    """What a model is called: its own name, else its file's."""
    return model.get("name") or Path(str(model.get("path") or "model")).name


def command(run: AuditRun) -> str:
    """The call of ``facevalue audit`` that made the run, with files by name."""
    manifest = run.manifest
    data, model = manifest["data"], manifest["model"]
    place = Path(data["path"]).name
    words = ["facevalue", "audit", *([place] if model else ["--predictions", place])]
    if data.get("metadata"):
        words += ["--metadata", Path(data["metadata"]["path"]).name]
    if data.get("label"):
        words += ["--label", data["label"]]
    if data.get("label_names"):
        words += ["--label-names", ",".join(data["label_names"])]
    if model:
        words += _of_model(run, model)
    if not model or model["kind"] != "checkpoint":
        words += ["--classes", ",".join(run.classes)]
    if run.attributes:
        words += ["--attributes", ",".join(run.attributes)]
    return shlex.join([*words, *_terms(manifest.get("options") or {}), "--out", run.name])


def _of_model(run: AuditRun, model: dict) -> list[str]:
    words = ["--model", Path(model["path"]).name if model.get("path") else model_name(model)]
    splits = run.samples["split"].dropna().unique()
    if len(splits) == 1:
        words += ["--split", str(splits[0])]
    limit = run.manifest["data"].get("limit")
    return [*words, "--limit", str(limit)] if limit else words


def _terms(options: dict) -> list[str]:
    """The options on which groups were compared, where they are not the usual ones."""
    words: list[str] = []
    if options.get("label_mix"):
        words += ["--label-mix", ",".join(f"{name}={share:g}" for name, share in options["label_mix"].items())]
    for attribute, group in (options.get("references") or {}).items():
        words += ["--reference", f"{attribute}={group}"]
    if options.get("min_group"):
        words += ["--min-group", str(options["min_group"])]
    if options.get("crossed"):
        words += ["--intersections", str(options["crossed"])]
    if options.get("out_of_fold"):
        words += ["--out-of-fold", Path(options["out_of_fold"]).name]
    return words
