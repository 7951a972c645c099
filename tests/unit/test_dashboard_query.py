"""The address's query: reading, changing, writing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dashboard.query import Query

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.dictionaries(texts, texts, max_size=5))
def test_what_is_written_is_read_again(values: dict[str, str]) -> None:
    href = Query(values).href("/page")
    assert Query.parse(href.partition("?")[2]) == Query(values)


@given(st.dictionaries(texts, texts, max_size=5), texts, texts)
def test_a_changed_name_changes_nothing_else(values: dict[str, str], name: str, value: str) -> None:
    changed = Query(values).change(**{name: value})
    assert changed[name] == value
    assert {other: text for other, text in changed.items() if other != name} == {
        other: text for other, text in values.items() if other != name
    }


def test_none_and_nothing_remove_a_name() -> None:
    query = Query.parse("?a=1&b=2&c=3")
    assert dict(query.change(a=None, b="", d=4)) == {"c": "3", "d": "4"}


def test_numbers_and_choices_fall_back() -> None:
    query = Query.parse("page=7&size=many&show=none&big=999")
    assert query.number("page", 1) == 7
    assert query.number("size", 60) == 60
    assert query.number("big", 1, high=100) == 100
    assert query.choice("show", ("none", "label"), "label") == "none"
    assert query.choice("page", ("1",), "1") == "1"


def test_an_absent_search_is_empty() -> None:
    assert len(Query.parse(None)) == len(Query.parse("")) == len(Query.parse("?")) == 0
