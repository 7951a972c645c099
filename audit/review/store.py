"""Decisions in SQL: an append-only log behind a small repository. SQLite or PostgreSQL.

An append returns only after the database has it on disk, so nothing acknowledged is lost; appending the same decision
again changes nothing, so a client may retry.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager, nullcontext
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from audit.review.domain import UNDO, Decision, Unavailable
from faces.errors import InputError

_META = sa.MetaData()
_DECISIONS = sa.Table(
    "decisions",
    _META,
    sa.Column("seq", sa.BigInteger, primary_key=True),
    *(sa.Column(name, sa.Text) for name in ("id", "time", "run", "sample_id", "content_id", "reviewer", "old_label")),
    *(sa.Column(name, sa.Text) for name in ("action", "new_label", "reason", "undoes")),
    sa.Column("soft", sa.JSON(none_as_null=True)),
    sa.Column("shown", sa.JSON),
)
_CLAIMS = sa.Table(
    "claims",
    _META,
    sa.Column("content_id", sa.Text, primary_key=True),
    sa.Column("slot", sa.Integer, primary_key=True),
    sa.Column("reviewer", sa.Text),
    sa.Column("expires", sa.Float),
)
_FIELDS = [column.name for column in _DECISIONS.columns if column.name != "seq"]
_LOCK = 0x46414345
"""PostgreSQL advisory lock held while appending, so that the order of ``seq`` is the order of commits."""


class ReviewStore:
    """The decisions and claims of one database; safe to use from several threads, processes and machines."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        # SQLite lets one writer in at a time and the others knock at growing intervals; waiting in line is quicker.
        self._line = threading.Lock() if engine.dialect.name == "sqlite" else nullcontext()
        self._insert = sqlite_insert if engine.dialect.name == "sqlite" else postgresql_insert

    @classmethod
    def open(cls, url: str | Path) -> ReviewStore:
        """Open (and create or migrate) a database: a file path, ``sqlite:///FILE`` or ``postgresql+psycopg://...``.

        Raises InputError where the URL is not understood, the server does not answer, or the schema is newer.
        """
        engine = _engine(str(url))
        try:
            _migrate(engine)
        except InputError as error:
            engine.dispose()
            found = error.__context__
            if isinstance(error, Unavailable) and not isinstance(found, sa.exc.OperationalError):
                raise InputError(
                    f"{_public(engine)} is not a review database ({_cause(cast(sa.exc.DBAPIError, found))}); "
                    "pass a new file name or the URL of an empty database."
                ) from None
            raise
        return cls(engine)

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    def __enter__(self) -> ReviewStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        return _public(self._engine)

    def append(self, *decisions: Decision) -> None:
        """Write decisions, all or none, and return when they are on disk; ids already there are left as they are.

        Raises InputError for an undo of something unknown, of another reviewer's, or already undone.
        """
        add = self._insert(_DECISIONS).on_conflict_do_nothing(index_elements=["id"])
        with self._writing() as connection:
            # An undo may take back a decision of the same batch, which must be there first.
            for is_undo, part in groupby(decisions, key=lambda decision: decision.action == UNDO):
                batch = list(part)
                if not is_undo:
                    connection.execute(add, [_row(decision) for decision in batch])
                    continue
                for undo in batch:
                    self._check_undo(connection, undo)
                    connection.execute(add, [_row(undo)])

    def decisions(self, after: int = 0) -> list[tuple[int, Decision]]:
        """The log in order, as (number, decision), those after a number; numbers only grow."""
        query = sa.select(_DECISIONS).where(_DECISIONS.c.seq > after).order_by(_DECISIONS.c.seq)
        with self._reading() as connection:
            return [(row.seq, _decision(row)) for row in connection.execute(query)]

    def log(self) -> list[Decision]:
        """Every decision and undo, in order."""
        return [decision for _, decision in self.decisions()]

    def claim(
        self,
        contents: Sequence[str],
        reviewer: str,
        decided: Sequence[Set[str]],
        wanted: Sequence[int],
        seconds: float,
        most: int | None = None,
    ) -> list[str]:
        """Reserve pictures for a reviewer for some time, the first ``most`` not spoken for (None: all); returns those.

        ``decided[i]`` are the reviewers who decided ``contents[i]``; together with those who hold it there may be
        ``wanted[i]``. A reviewer's own claim is renewed.
        """
        now = time.time()
        with self._writing() as connection:
            connection.execute(sa.delete(_CLAIMS).where(_CLAIMS.c.expires < now))
            held = self._held(connection, contents)
            granted: list[tuple[str, int]] = []
            for content, done, reviewers in zip(contents, decided, wanted, strict=True):
                if len(granted) == most:
                    break
                taken = held.get(content, {})
                if len((done | set(taken.values())) - {reviewer}) < reviewers:
                    mine = (slot for slot, holder in taken.items() if holder == reviewer)
                    granted.append((content, next(mine, max(taken, default=-1) + 1)))
            rows = [{"content_id": c, "slot": s, "reviewer": reviewer, "expires": now + seconds} for c, s in granted]
            if rows:
                statement = self._insert(_CLAIMS)
                connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=["content_id", "slot"], set_={"expires": statement.excluded.expires}
                    ),
                    rows,
                )
        return [content for content, _ in granted]

    def claimed_by_others(self, reviewer: str) -> dict[str, set[str]]:
        """Which other reviewers hold each picture just now, by content_id."""
        query = sa.select(_CLAIMS.c.content_id, _CLAIMS.c.reviewer).where(
            _CLAIMS.c.reviewer != reviewer, _CLAIMS.c.expires >= time.time()
        )
        held: dict[str, set[str]] = {}
        with self._reading() as connection:
            for content, holder in connection.execute(query):
                held.setdefault(content, set()).add(holder)
        return held

    def _held(self, connection: sa.Connection, contents: Iterable[str]) -> dict[str, dict[int, str]]:
        held: dict[str, dict[int, str]] = {}
        query = sa.select(_CLAIMS).where(_CLAIMS.c.content_id.in_(list(contents)))
        for row in connection.execute(query):
            held.setdefault(row.content_id, {})[row.slot] = row.reviewer
        return held

    def _check_undo(self, connection: sa.Connection, undo: Decision) -> None:
        table = _DECISIONS.c
        target = connection.execute(sa.select(table.reviewer, table.action).where(table.id == undo.undoes)).first()
        if target is None or target.action == UNDO:
            raise InputError(f"There is no decision {undo.undoes!r} to undo; pass the id of one that was made.")
        if target.reviewer != undo.reviewer:
            raise InputError(
                f"{undo.reviewer!r} cannot undo a decision of {target.reviewer!r}; decide the picture yourself instead."
            )
        earlier = connection.execute(sa.select(table.id).where(table.undoes == undo.undoes)).scalar()
        if earlier not in (None, undo.id):
            raise InputError(f"The decision {undo.undoes!r} was undone before; there is nothing left to undo.")

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A transaction that no other writer is inside of; on disk once this ends without an error."""
        with (
            self._answering("nothing was recorded"),
            self._line,
            self._engine.connect().execution_options(writing=True) as connection,
            connection.begin(),
        ):
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with self._answering("nothing was read"), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _answering(self, outcome: str) -> Iterator[None]:
        try:
            yield
        except sa.exc.DataError as error:
            raise InputError(
                f"A decision holds what the database cannot store ({_cause(error)}); correct it."
            ) from None
        except sa.exc.DatabaseError as error:
            raise Unavailable(
                f"The review database {self.url} does not answer ({_cause(error)}) and {outcome}; "
                "check that it runs, is whole and can be written to, then try again."
            ) from None


def _engine(url: str) -> sa.Engine:
    full = url if "://" in url else f"sqlite:///{Path(url).absolute()}"
    try:
        parsed = sa.make_url(full)
    except sa.exc.ArgumentError:
        parsed = sa.URL.create("unknown")
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in ("sqlite", "sqlite+pysqlite", "postgresql+psycopg"):
        raise InputError(
            f"The review database {url!r} is not understood; "
            "pass a file name or postgresql+psycopg://user:password@host/database."
        )
    if parsed.drivername == "postgresql+psycopg":
        return sa.create_engine(parsed, pool_size=8, max_overflow=24, pool_pre_ping=True, json_serializer=_json)
    engine = sa.create_engine(parsed, connect_args={"timeout": 30}, json_serializer=_json)
    sa.event.listen(engine, "connect", _sqlite_connect)
    sa.event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_connect(connection: Any, _: object) -> None:
    # The driver's own transaction handling would begin too late (after a first read); _sqlite_begin does it.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _sqlite_begin(connection: sa.Connection) -> None:
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _migrate(engine: sa.Engine) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    head = ScriptDirectory.from_config(config).get_current_head()
    with ReviewStore(engine)._writing() as connection:
        present = sa.inspect(connection).has_table("alembic_version")
        if present and connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar() == head:
            return
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise InputError(
                f"The review database {_public(engine)} was written by a newer version ({error}); upgrade this program."
            ) from None


def _cause(error: sa.exc.DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0]


def _public(engine: sa.Engine) -> str:
    return engine.url.render_as_string(hide_password=True)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _row(decision: Decision) -> dict[str, Any]:
    row = {name: getattr(decision, name) for name in _FIELDS}
    return row | {"soft": None if decision.soft is None else dict(decision.soft), "shown": list(decision.shown)}


def _decision(row: Any) -> Decision:
    values = {name: getattr(row, name) for name in _FIELDS}
    return Decision(**values | {"shown": tuple(values["shown"])})
