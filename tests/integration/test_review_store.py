"""The review database, on SQLite and on a PostgreSQL server of its own: nothing lost, nothing doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from audit.review.domain import RELABEL, UNDO, Decision, Unavailable
from audit.review.store import ReviewStore
from faces.errors import InputError
from tests.review_databases import Postgres

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres.start()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'reviews.sqlite'}"
    return request.getfixturevalue("postgres").database(f"test_{tmp_path.name}_{time.time_ns()}")


@pytest.fixture
def store(url: str) -> Iterator[ReviewStore]:
    with ReviewStore.open(url) as opened:
        yield opened


def decide(number: int, reviewer: str = "ann", **more: object) -> Decision:
    values = {"sample_id": f"{number}.png", "content_id": f"c{number}", "run": "run", "old_label": "fear"}
    values |= {"action": RELABEL, "new_label": "sad"} | more
    return Decision(reviewer=reviewer, **values)  # type: ignore[arg-type]


def undo(decision: Decision, **more: object) -> Decision:
    return replace(decision, id=f"undo-{decision.id}", action=UNDO, undoes=decision.id, **more)


def test_what_was_appended_comes_back_equal_and_in_order(store: ReviewStore) -> None:
    made = [
        decide(1, shown=("image", "label"), reason="brows up, lips apart — Überraschung 😮"),
        decide(2, action="soft", new_label=None, soft={"sad": 0.25, "fear": 0.75}),
        decide(3, action="skip", new_label=None),
    ]
    store.append(*made)
    store.append(undo(made[0]))
    assert store.log() == [*made, undo(made[0])]
    numbers = [number for number, _ in store.decisions()]
    assert numbers == sorted(set(numbers))
    assert [d.id for _, d in store.decisions(after=numbers[1])] == [made[2].id, f"undo-{made[0].id}"]


def test_appending_again_changes_nothing(store: ReviewStore) -> None:
    made = decide(1)
    store.append(made)
    store.append(made, replace(made, new_label="angry"), decide(2))
    store.append()
    assert [d.new_label for d in store.log()] == ["sad", "sad"]


def test_text_that_a_database_cannot_hold_is_refused(postgres: Postgres, tmp_path: Path) -> None:
    with ReviewStore.open(postgres.database(f"text_{time.time_ns()}")) as store:
        with pytest.raises(InputError, match="cannot store"):
            store.append(decide(1, reason="a\0b"))
        store.append(decide(1))
        assert len(store.log()) == 1


def test_a_batch_is_written_whole_or_not_at_all(store: ReviewStore) -> None:
    with pytest.raises(InputError, match="no decision 'nothing'"):
        store.append(decide(1), replace(decide(2), action=UNDO, undoes="nothing"))
    assert store.log() == []


def test_an_undo_is_refused_twice_of_others_and_of_undos(store: ReviewStore) -> None:
    made = decide(1)
    store.append(made)
    with pytest.raises(InputError, match="'bob' cannot undo a decision of 'ann'"):
        store.append(undo(made, reviewer="bob"))
    store.append(undo(made))
    store.append(undo(made))
    with pytest.raises(InputError, match="undone before"):
        store.append(replace(undo(made), id="another"))
    with pytest.raises(InputError, match="no decision"):
        store.append(undo(undo(made)))
    assert len(store.log()) == 2


def test_claims_keep_others_away_until_they_expire(store: ReviewStore) -> None:
    nobody: list[set[str]] = [set(), set()]
    assert store.claim(["c1", "c2"], "ann", nobody, [1, 1], seconds=60) == ["c1", "c2"]
    assert store.claim(["c1", "c3"], "bob", nobody, [1, 1], seconds=60) == ["c3"]
    assert store.claim(["c1"], "ann", [set()], [1], seconds=60) == ["c1"]
    assert store.claimed_by_others("bob") == {"c1": {"ann"}, "c2": {"ann"}}
    assert store.claim(["c1"], "eve", [set()], [2], seconds=0.05) == ["c1"]
    assert store.claim(["c1"], "dan", [set()], [2], seconds=60) == []
    time.sleep(0.06)
    assert store.claim(["c1"], "dan", [{"ann"}], [2], seconds=60) == ["c1"], "ann decided and holds: one voice"
    assert store.claim(["c1"], "eve", [{"ann", "bob"}], [3], seconds=60) == []
    assert store.claim([], "bob", [], [], seconds=60) == []


def test_a_database_opened_again_and_by_several_at_once_is_one(url: str) -> None:
    stores: list[ReviewStore] = []
    threads = [threading.Thread(target=lambda: stores.append(ReviewStore.open(url))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores) == 6
    stores[0].append(decide(1))
    assert all(len(store.log()) == 1 for store in stores)
    for store in stores:
        store.close()


def test_eight_reviewers_at_once_lose_and_double_nothing(url: str) -> None:
    failures: list[Exception] = []

    def review(name: str) -> None:
        try:
            with ReviewStore.open(url) as mine:
                for number in range(25):
                    made = decide(number, name, id=f"{name}-{number}")
                    mine.append(made)
                    if number % 5 == 0:
                        mine.append(made)
                        mine.append(undo(made))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=review, args=(f"r{i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    seen: list[str] = []
    last = 0
    with ReviewStore.open(url) as reader:
        while any(thread.is_alive() for thread in threads) or reader.decisions(last):
            for number, decision in reader.decisions(last):
                seen.append(decision.id)
                last = number
        log = [decision.id for decision in reader.log()]
    assert not failures
    assert sorted(log) == sorted({f"r{i}-{n}" for i in range(8) for n in range(25)} | {
        f"undo-r{i}-{n}" for i in range(8) for n in range(0, 25, 5)
    })  # fmt: skip
    assert seen == log, "reading on from the last number must miss nothing"


WRITER = """
import sys
from audit.review.domain import Decision
from audit.review.store import ReviewStore
with ReviewStore.open(sys.argv[1]) as store:
    for number in range(100000):
        made = Decision(f"{number}.png", f"c{number}", "run", "ann", "fear", "relabel", "sad", id=str(number))
        store.append(made)
        print(number, flush=True)
"""


def _start_writer(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


def test_a_killed_client_loses_nothing_acknowledged(url: str) -> None:
    writer = _start_writer(url)
    assert writer.stdout is not None
    for _ in range(40):
        writer.stdout.readline()
    os.kill(writer.pid, signal.SIGKILL)
    acknowledged = 40 + len([line for line in writer.stdout.read().split("\n") if line])
    writer.communicate()
    with ReviewStore.open(url) as store:
        log = store.log()
    assert [decision.id for decision in log] == [str(number) for number in range(len(log))]
    assert len(log) in (acknowledged, acknowledged + 1)


def test_a_killed_server_loses_nothing_acknowledged() -> None:
    server = Postgres.start()
    try:
        url = server.database("reviews")
        writer = _start_writer(url)
        assert writer.stdout is not None
        for _ in range(40):
            writer.stdout.readline()
        server.kill()
        rest, _ = writer.communicate()
        acknowledged = 40 + len(rest.split())
        server.launch()
        with ReviewStore.open(url) as store:
            log = store.log()
            assert [decision.id for decision in log] == [str(number) for number in range(len(log))]
            assert len(log) in (acknowledged, acknowledged + 1)
            store.append(decide(1))
    finally:
        server.stop()


def test_an_open_store_survives_a_server_restart() -> None:
    server = Postgres.start()
    try:
        with ReviewStore.open(server.database("reviews")) as store:
            store.append(decide(1))
            server.kill()
            with pytest.raises(InputError, match="does not answer"):
                store.append(decide(2))
            server.launch()
            store.append(decide(2))
            assert len(store.log()) == 2
    finally:
        server.stop()


def test_the_schema_equals_what_the_code_reads(store: ReviewStore, url: str) -> None:
    engine = sa.create_engine(url)
    try:
        columns = {column["name"] for column in sa.inspect(engine).get_columns("decisions")}
    finally:
        engine.dispose()
    assert columns == {"seq", *(name for name in Decision.__dataclass_fields__)}


def test_a_newer_database_is_refused(url: str) -> None:
    ReviewStore.open(url).close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(InputError, match="newer version"):
        ReviewStore.open(url)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://somewhere/x", "not understood"),
        ("a://b c", "not understood"),
        ("/nowhere/at/all/reviews.sqlite", "does not answer"),
        ("postgresql://ann:secret@127.0.0.1:1/x", "does not answer"),
        (str(ROOT / "pyproject.toml"), "not a review database"),
    ],
)
def test_a_database_that_cannot_be_opened_is_named(url: str, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        ReviewStore.open(url)
    assert "secret" not in str(caught.value)


def test_a_database_damaged_while_it_is_open_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "reviews.sqlite"
    ReviewStore.open(file).close()
    with ReviewStore.open(file) as store:
        content = bytearray(file.read_bytes())
        content[100:] = b"x" * (len(content) - 100)
        file.write_bytes(content)
        with pytest.raises(Unavailable, match="does not answer .* nothing was read; check that it runs, is whole"):
            store.log()
