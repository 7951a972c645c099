"""The URL's query string: all state of a page that matters, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode


@dataclass(frozen=True)
class Query(Mapping[str, str]):
    """Names and values of a query string; empty values are left out, the last of a repeated name counts."""

    values_by_name: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, search: str | None) -> Query:
        """Read ``location.search`` (with or without the question mark; None is empty)."""
        return cls(dict(parse_qsl((search or "").removeprefix("?"))))

    def __getitem__(self, name: str) -> str:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def number(self, name: str, default: int, low: int = 0, high: int = 10**9) -> int:
        """A whole number, held to low..high; ``default`` where it is absent or no number."""
        try:
            return min(max(int(self[name]), low), high)
        except (KeyError, ValueError):
            return default

    def choice(self, name: str, allowed: tuple[str, ...], default: str) -> str:
        """One of ``allowed``; ``default`` where it is absent or another."""
        value = self.get(name, default)
        return value if value in allowed else default

    def change(self, **changes: object) -> Query:
        """A copy with some values set; None and the empty string remove a name."""
        changed = self.values_by_name | {name: str(value) for name, value in changes.items() if value is not None}
        dropped = {name for name, value in changes.items() if value in (None, "")}
        return Query({name: value for name, value in changed.items() if name not in dropped})

    def only(self, *names: str) -> Query:
        """A copy with nothing but these names."""
        return Query({name: value for name, value in self.values_by_name.items() if name in names})

    def sieve(self) -> str:
        """The query string without the number of the page that is turned to."""
        return self.change(page=None).href("")

    def href(self, path: str) -> str:
        """The address of a page with this query."""
        return f"{path}?{urlencode(self.values_by_name)}" if self.values_by_name else path
