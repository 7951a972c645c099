"""A document as a PDF, set by typst: vector figures, numbered tables, contents, selectable text, equal bytes."""

from __future__ import annotations

import json
import re
import tempfile
import textwrap
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from reports.document import Block, Document, Faces, Figure, Table
from reports.json_report import block_dict
from reports.svg import draw_svgs

_LONG = re.compile(r"\S{24,}")
"""A run of so many characters without a space gets places where a line may break."""
SHORT_NUMBER, SHORT_TEXT, LINE = 18, 30, 95
"""Characters that a column of numbers, a column of text and a line of a table hold without being broken."""
NEW_PAGE = ("summary", "audited", "appendix")


def render_pdf(document: Document) -> bytes:
    """PDF bytes. Raises InputError where no browser is found to draw the figures."""
    # The compiler is a large library that only the PDF needs.
    import typst

    drawings = draw_svgs([figure.draw(theme="light") for figure in document.figures()])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for figure, drawing in zip(document.figures(), drawings, strict=True):
            (folder / f"{_file(figure)}").write_text(drawing, encoding="utf-8")
        (folder / "document.json").write_text(json.dumps(_content(document, folder)), encoding="utf-8")
        source = folder / "report.typ"
        source.write_text(files("reports").joinpath("templates", "report.typ").read_text(encoding="utf-8"))
        written = datetime.fromisoformat(document.date).replace(tzinfo=UTC)
        return typst.compile(str(source), root=str(folder), timestamp=int(written.timestamp()))


def _file(figure: Figure) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", figure.key) + ".svg"


def _content(document: Document, folder: Path) -> dict:
    """What the template reads. It is data, not typst source: no name in it can be taken for markup."""
    return {
        "title": breakable(document.title),
        "subtitle": breakable(document.subtitle),
        "date": document.date,
        "chapters": [
            {
                "title": chapter.title,
                "new-page": chapter.key in NEW_PAGE,
                "blocks": [_block(number, block, folder) for number, block in blocks],
            }
            for chapter, blocks in document.numbered()
        ],
    }


def _block(number: int, block: Block, folder: Path) -> dict:
    content = {key: breakable(value) for key, value in block_dict(number, block).items()}
    match block:
        case Figure():
            content["file"] = _file(block)
        case Table():
            content["numeric"] = block.numeric
            content["shares"] = shares(block)
            content["columns"] = [breakable(textwrap.fill(name, SHORT_NUMBER)) for name in block.columns]
        case Faces():
            content["items"] = [_picture(folder, number, index, *one) for index, one in enumerate(block.pictures)]
    return content


def shares(block: Table) -> list[int | None]:
    """The width of each column as a share of what is left, or None for as wide as its longest entry.

    Left to itself typst gives a long name all the width and the last columns none.
    """
    heads = [max((len(line) for line in textwrap.wrap(name, SHORT_NUMBER)), default=0) for name in block.columns]
    longest = [max(map(len, column), default=0) for column in zip(*block.rows, strict=True)] or heads
    longest = [max(pair) for pair in zip(heads, longest, strict=True)]
    fixed = [
        length <= (SHORT_NUMBER if numeric else SHORT_TEXT)
        for length, numeric in zip(longest, block.numeric, strict=True)
    ]
    wide = sum(length + 2 for length, short in zip(longest, fixed, strict=True) if short) > LINE
    return [
        None if short and not wide else min(length, LINE // 3) + 2 for length, short in zip(longest, fixed, strict=True)
    ]


def _picture(folder: Path, number: int, index: int, png: bytes, text: str) -> dict:
    name = f"face-{number}-{index}.png"
    (folder / name).write_bytes(png)
    return {"file": name, "text": text}


def breakable(value: object) -> object:
    """Long runs without a space, such as paths and fingerprints, with zero-width spaces where a line may break."""
    if isinstance(value, str):
        return _LONG.sub(lambda run: re.sub(r"(.{12})", "\\1\u200b", run.group()), value)
    if isinstance(value, list | tuple):
        return [breakable(item) for item in value]
    return {key: breakable(item) for key, item in value.items()} if isinstance(value, dict) else value
