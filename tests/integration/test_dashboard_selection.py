"""The query's samples equal those a plain pandas filter gives."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from dashboard.query import Query
from dashboard.selection import Samples, find, neighbours_in_order, rows_of

SAMPLES = pd.DataFrame(
    {
        "sample_id": [f"test/{k % 3}/f{k:03d}.png" for k in range(40)],
        "label": [["sad", "neutral", "fear"][k % 3] for k in range(40)],
        "predicted": [["sad", "neutral"][k % 2] if k % 7 else None for k in range(40)],
        "status": ["ok" if k % 7 else "unreadable" for k in range(40)],
        "confidence": [(k * 37 % 40) / 40 if k % 7 else None for k in range(40)],
        "apparent_gender": ["man" if k % 4 else "woman" for k in range(40)],
        'odd "name"': [k % 5 if k % 2 else None for k in range(40)],
        "seen_in_training": [k % 2 == 0 for k in range(40)],
    }
)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    path: Path = tmp_path_factory.mktemp("run") / "samples.parquet"
    SAMPLES.to_parquet(path, index=False)
    return Samples(path)


@pytest.mark.parametrize(
    ("search", "keep"),
    [
        ("", lambda s: s["label"].notna()),
        ("label=fear", lambda s: s["label"] == "fear"),
        ("label=fear,sad&correct=wrong", lambda s: s["label"].isin(["fear", "sad"]) & (s["status"] == "ok")
         & (s["label"] != s["predicted"])),
        ("correct=right", lambda s: s["label"] == s["predicted"]),
        ("confidence=0.5..", lambda s: s["confidence"] >= 0.5),
        ("confidence=0.2..0.4", lambda s: s["confidence"].between(0.2, 0.4)),
        ("confidence=..", lambda s: s["label"].notna()),
        ("status=unreadable", lambda s: s["status"] == "unreadable"),
        ("attribute=apparent_gender&group=woman", lambda s: s["apparent_gender"] == "woman"),
        ("attribute=apparent_gender × label&group=man × sad",
         lambda s: (s["apparent_gender"] == "man") & (s["label"] == "sad")),
        ("attribute=nothing&group=woman", lambda s: s["label"].notna()),
        ('odd "name"=*', lambda s: s['odd "name"'].notna()),
        ("seen_in_training=true", lambda s: s["seen_in_training"]),
        ("q=F01", lambda s: s["sample_id"].str.contains("f01")),
        ("q=%25", lambda s: s["label"].isna()),
        ("unknown=1&page=3", lambda s: s["label"].notna()),
        ("label='; DROP TABLE samples --", lambda s: s["label"].isna()),
    ],
)  # fmt: skip
def test_selects_what_pandas_selects(samples: Samples, search: str, keep) -> None:
    assert rows_of(samples, Query.parse(search)).tolist() == SAMPLES.index[keep(SAMPLES)].tolist()


def test_pages_share_the_selection_out(samples: Samples) -> None:
    query = Query.parse("sort=-confidence")
    pages = [find(samples, query.change(page=page), 12) for page in (1, 2, 3, 4)]
    rows = [row for page in pages for row in page.frame["row"]]
    expected = SAMPLES["confidence"].sort_values(ascending=False, kind="stable", na_position="last").index
    assert rows == expected.tolist()
    assert {page.total for page in pages} == {40} and pages[0].pages == 4


@pytest.mark.parametrize(("asked", "given"), [("0", 1), ("99", 4), ("x", 1)])
def test_a_page_that_is_not_there_is_the_nearest(samples: Samples, asked: str, given: int) -> None:
    assert find(samples, Query({"page": asked}), 12).page == given


def test_steps_follow_the_order_of_the_selection(samples: Samples) -> None:
    query = Query.parse("label=fear")
    rows = rows_of(samples, query)
    ids = SAMPLES["sample_id"]
    assert neighbours_in_order(samples, query, int(rows[1])) == (ids[rows[0]], ids[rows[2]])
    assert neighbours_in_order(samples, query, int(rows[0]))[0] is None
    assert neighbours_in_order(samples, query, int(rows[-1]))[1] is None
    assert neighbours_in_order(samples, query, 0) == (None, None)


def test_values_come_most_frequent_first(samples: Samples) -> None:
    assert samples.values("apparent_gender") == ["man", "woman"]
