"""The model card: Markdown with the metadata block that Hugging Face reads, after Mitchell et al. (2019)."""

from __future__ import annotations

import json
from pathlib import Path

from audit.run import AuditRun
from audit.summary import summary
from reports.document import Block, Document, Figure
from reports.markdown import plain, render_blocks

SECTIONS = (
    ("Model details and what was audited", ("audited",)),
    ("Uses that are prohibited or high-risk", ("uses",)),
    ("Results in short", ("summary",)),
    ("Evaluation data", ("data",)),
    ("Evaluation by class", ("confusion",)),
    ("Evaluation by group", ("fairness",)),
    ("Confidence", ("calibration",)),
    ("Bias, risks and limits", ("limits",)),
)
"""The card's sections, and the chapters of the report that each shows."""
TAGS = ("facial-expression-recognition", "emotion-recognition", "image-classification", "fairness")


def render_model_card(run: AuditRun, document: Document) -> bytes:
    """UTF-8 Markdown. Figures stand in the report; tables and texts are the report's own."""
    chapters = {chapter.key: chapter.blocks for chapter in document.chapters}
    parts = [f"# {plain(document.title)}", f"{plain(document.subtitle)}, {document.date}. Written by Face Value."]
    for title, keys in SECTIONS:
        blocks: list[Block] = [block for key in keys for block in chapters[key] if not isinstance(block, Figure)]
        parts.append(f"## {title}\n\n{render_blocks(blocks)}")
    return f"---\n{_metadata(run)}---\n\n{chr(10).join(f'{part}{chr(10)}' for part in parts)}".encode()


def _metadata(run: AuditRun) -> str:
    """YAML: every scalar is written as JSON, which YAML reads as it stands."""
    facts, data = summary(run), run.manifest["data"]
    model = run.manifest["model"] or {}
    name = model.get("name") or run.name
    splits = run.samples["split"].dropna().unique()
    lines = [
        "pipeline_tag: image-classification",
        f"tags: {_scalar(TAGS)}",
        f"metrics: {_scalar(['accuracy', 'f1'])}",
        "model-index:",
        f"- name: {_scalar(str(name))}",
        "  results:",
        "  - task:",
        "      type: image-classification",
        "      name: Facial expression recognition",
        "    dataset:",
        f"      type: {_scalar(str(data['kind']))}",
        f"      name: {_scalar(Path(data['path']).name)}",
    ]
    if len(splits) == 1:
        lines.append(f"      split: {_scalar(str(splits[0]))}")
    lines += [f"      revision: {_scalar(str(data['fingerprint']))}", "    metrics:"]
    figures = [("accuracy", "Accuracy", facts["accuracy"]["value"])]
    figures += [("recall", f"Recall of {row['class']}", row["recall"]) for row in facts["per_class"]]
    for kind, title, value in figures:
        if value is not None:
            lines += [f"    - type: {kind}", f"      name: {_scalar(title)}", f"      value: {value:.4f}"]
    return "\n".join(lines) + "\n"


def _scalar(value: object) -> str:
    return json.dumps(value, ensure_ascii=True)
