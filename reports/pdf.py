"""A document as a PDF, set by typst: vector figures, numbered tables, contents, selectable text, equal bytes."""

from __future__ import annotations

import json
import re
import tempfile
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from reports.document import Block, Document, Faces, Figure, Table
from reports.json_report import block_dict
from reports.svg import draw_svgs

_LONG = re.compile(r"\S{24,}")
"""A run of so many characters without a space gets places where a line may break."""
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
        "title": document.title,
        "subtitle": document.subtitle,
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
    content = block_dict(number, block)
    match block:
        case Figure():
            content["file"] = _file(block)
        case Table():
            content["rows"] = [[breakable(cell) for cell in row] for row in block.rows]
            content["columns"] = [breakable(name) for name in block.columns]
            content["numeric"] = block.numeric
        case Faces():
            content["items"] = [_picture(folder, number, index, *one) for index, one in enumerate(block.pictures)]
    return content


def _picture(folder: Path, number: int, index: int, png: bytes, text: str) -> dict:
    name = f"face-{number}-{index}.png"
    (folder / name).write_bytes(png)
    return {"file": name, "text": text}


def breakable(text: str) -> str:
    """Long runs without a space, such as paths and fingerprints, with zero-width spaces where a line may break."""
    return _LONG.sub(lambda run: re.sub(r"(.{12})", "\\1\u200b", run.group()), text)
