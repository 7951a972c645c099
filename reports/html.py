"""A document as one self-contained HTML file: interactive, readable offline, light and dark, printable."""

from __future__ import annotations

import base64
import json

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.io import to_json
from plotly.offline import get_plotlyjs

from reports.document import Block, Document, Figure
from reports.figures.theme import THEMES

_environment = Environment(
    loader=PackageLoader("reports", "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
)
_environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
_environment.tests["block"] = lambda block, kind: type(block).__name__ == kind


def render_html(document: Document) -> bytes:
    """UTF-8 HTML. All names and sentences are escaped; nothing is loaded from anywhere."""
    page = _environment.get_template("report.html").render(
        document=document,
        chapters=list(document.numbered()),
        finding_chapters=FINDING_CHAPTERS,
        plotly=get_plotlyjs(),
        figures=_script_safe({figure.key: _both_themes(figure) for figure in document.figures()}),
        alternative=alternative,
    )
    return page.encode()


FINDING_CHAPTERS = {"FV-D": "data", "FV-M": "confusion", "FV-F": "fairness", "FV-S": "saliency", "FV-L": "labels"}
"""The chapter that holds the evidence of a finding, by the beginning of its code."""


def _both_themes(figure: Figure) -> dict:
    return {theme: json.loads(to_json(figure.draw(theme=theme), validate=False)) for theme in THEMES}


def _script_safe(value: dict) -> str:
    """JSON that cannot end the script element it stands in, whatever names it holds."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def alternative(block: Block) -> str:
    """What a screen reader says of a figure."""
    return f"Figure: {block.caption}" if isinstance(block, Figure) else ""
