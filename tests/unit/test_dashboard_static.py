"""HTML written as text: what is in it is what was meant, and nothing in a name becomes markup."""

from __future__ import annotations

from html.parser import HTMLParser

from dash import html
from hypothesis import given
from hypothesis import strategies as st

from dashboard.components.attributes import aria
from dashboard.components.static import markup, static


class Read(HTMLParser):
    """Elements with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


TEXT = st.text(st.characters(exclude_categories=("C", "Z")), max_size=20)


@given(name=TEXT, title=TEXT)
def test_names_stay_text(name: str, title: str) -> None:
    read = Read(markup(html.A([html.B(name), name], href=title, title=title, className="card")))
    assert [tag for tag, _ in read.tags] == ["a", "b"]
    assert read.tags[0][1] == {"href": title, "title": title, "class": "card"}
    assert read.text == name * 2


def test_attributes_are_those_of_html() -> None:
    image = html.Img(src="/a?b=1&c=2", alt="", draggable="false", style={"background": "red"})
    read = Read(markup([image, html.Span("x", hidden=True, **aria(label="what")), None, 3]))
    assert read.tags == [
        ("img", {"src": "/a?b=1&c=2", "alt": "", "draggable": "false", "style": "background:red"}),
        ("span", {"hidden": "", "aria-label": "what"}),
    ]
    assert read.text == "x3"


def test_a_block_carries_its_children_as_text() -> None:
    props = static(html.B("1 < 2"), "and", className="grid").to_plotly_json()["props"]
    assert props["data-html"] == "<b>1 &lt; 2</b>and" and props["className"] == "grid"
