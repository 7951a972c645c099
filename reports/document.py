"""The document tree that every format of a report is made from: chapters of blocks, all plain text.

No block holds markup. What a name or a sentence contains is shown as it stands; each renderer escapes for its format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import plotly.graph_objects as go

from audit.run import Finding


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Bullets:
    items: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """Something to type, shown as it stands."""

    text: str


@dataclass(frozen=True)
class Table:
    """``rows`` hold text, one entry a column; ``numeric`` columns stand to the right."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[bool, ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in (self.numeric, *self.rows):
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.caption!r}: {row} does not fit the columns {self.columns}")


@dataclass(frozen=True)
class Figure:
    """``draw(theme="light")`` gives the figure; ``key`` names it in files and is unique in the document."""

    key: str
    caption: str
    draw: Callable[..., go.Figure]


@dataclass(frozen=True)
class Findings:
    items: tuple[Finding, ...]


@dataclass(frozen=True)
class Faces:
    """Pictures of people, as PNG bytes with a line of text each. Only ever made when a person asked for faces."""

    caption: str
    pictures: tuple[tuple[bytes, str], ...]


@dataclass(frozen=True)
class Heading:
    """A heading inside a chapter."""

    text: str


Block = Paragraph | Bullets | Command | Table | Figure | Findings | Faces | Heading


@dataclass(frozen=True)
class Chapter:
    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """``date`` is the day the report was written (ISO 8601), the only part two reports of one run may differ in."""

    title: str
    subtitle: str
    date: str
    chapters: tuple[Chapter, ...]
    about: dict = field(default_factory=dict)

    def blocks(self) -> Iterator[Block]:
        """All blocks in order."""
        for chapter in self.chapters:
            yield from chapter.blocks

    def figures(self) -> Iterator[Figure]:
        """All figures in order."""
        return (block for block in self.blocks() if isinstance(block, Figure))

    def numbered(self) -> Iterator[tuple[Chapter, list[tuple[int, Block]]]]:
        """Chapters with each block's number: tables and figures count through the document, other blocks have 0."""
        seen = {Table: 0, Figure: 0}
        for chapter in self.chapters:
            blocks = []
            for block in chapter.blocks:
                kind = type(block)
                if kind in seen:
                    seen[kind] += 1
                blocks.append((seen.get(kind, 0), block))
            yield chapter, blocks


def table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> Table:
    """A table; a head that starts with ``#`` names a column of numbers."""
    names, numeric = tuple(head.removeprefix("#") for head in heads), tuple(head.startswith("#") for head in heads)
    return Table(caption, names, tuple(tuple(row) for row in rows), numeric, note)
