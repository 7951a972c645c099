"""Blocks of a document as Markdown, for the model card."""

from __future__ import annotations

import re
from collections.abc import Iterable

from reports.document import Block, Bullets, Command, Findings, Heading, Paragraph, Table

_MARKUP = re.compile(r"([\\`*_{}\[\]<>|~#!$&])")


def plain(text: str) -> str:
    """Text that Markdown shows as it stands, on one line."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def render_blocks(blocks: Iterable[Block]) -> str:
    """Markdown of the blocks that can be text; figures and pictures are left to the report."""
    return "\n\n".join(text for text in map(_block, blocks) if text)


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            return plain(block.text)
        case Heading():
            return f"### {plain(block.text[:1].upper() + block.text[1:])}"
        case Bullets():
            return "\n".join(f"- {plain(item)}" for item in block.items)
        case Command():
            fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", block.text)), default=0))
            return f"{fence}\n{block.text}\n{fence}"
        case Findings():
            return "\n".join(
                f"- **{plain(item.title)}** ({item.severity}, {item.code}): {plain(item.detail)}"
                for item in block.items
            )
        case Table():
            return _table(block)
    return ""


def _table(block: Table) -> str:
    rule = " | ".join("---:" if numeric else "---" for numeric in block.numeric)
    rows = [f"| {' | '.join(plain(cell) for cell in row)} |" for row in (block.columns, *block.rows)]
    note = f"\n\n{plain(block.note)}" if block.note else ""
    return f"{plain(block.caption)}\n\n" + "\n".join([rows[0], f"| {rule} |", *rows[1:]]) + note
