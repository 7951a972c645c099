"""Eight reviewers decide at once for a minute, on SQLite and on PostgreSQL; then the same with a kill in the middle.

Bars: no decision lost or doubled; nobody waits longer than 200 ms for a decision at the 95th percentile; what was
acknowledged before the kill is there after it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from audit.review.store import ReviewStore
from audit.run import AuditRun
from tests.review_databases import Postgres, find_binaries

REVIEWERS = 8
SECONDS = 60
LIMIT_MS = 200
CLASSES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def make_run(folder: Path, n: int = 28_000) -> Path:
    """A run as large as FER-2013's training part, without pictures."""
    rng = np.random.default_rng(0)
    names = np.array(CLASSES)
    probabilities = rng.dirichlet(np.full(len(CLASSES), 0.4), n).astype(np.float32)
    pd.DataFrame(
        {
            "sample_id": [f"{i:06d}.png" for i in range(n)],
            "content_id": [f"{i:064x}" for i in range(n)],
            "split": "train",
            "label": names[rng.integers(0, 7, n)],
            "predicted": names[probabilities.argmax(axis=1)],
            "suggested": names[probabilities.argmax(axis=1)],
            "label_issue_score": rng.random(n),
            "contrast": 40.0,
        }
    ).to_parquet(folder / "samples.parquet")
    np.save(folder / "probabilities.npy", probabilities)
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "classes": CLASSES, "attributes": []}))
    return folder


def review(url: str, folder: Path, name: str, seconds: float) -> None:
    """One reviewer without a moment's thought; a line for each acknowledged decision: id and the two waits in ms."""
    from audit.review.service import ReviewService

    service = ReviewService(AuditRun.open(folder), ReviewStore.open(url))
    sample = service.next("likely_wrong", name)
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.perf_counter() + seconds
    while sample is not None and time.perf_counter() < end:
        start = time.perf_counter()
        made = service.decide(sample, "keep", name, shown=("image", "label"))
        decided = time.perf_counter()
        sample = service.next("likely_wrong", name)
        print(made.id, 1000 * (decided - start), 1000 * (time.perf_counter() - start), flush=True)


def together(url: str, folder: Path, seconds: float, kill: signal.Signals | None = None) -> pd.DataFrame:
    """Run the reviewers; ``kill`` ends them all in the middle. Columns id, decide (ms), next (ms)."""
    command = [sys.executable, "-m", "benchmarks.reviewers", "--one", url, str(folder), str(seconds)]
    root = Path(__file__).parent.parent
    people = [
        subprocess.Popen([*command, f"r{i}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
        for i in range(REVIEWERS)
    ]
    for person in people:
        assert person.stdout is not None
        person.stdout.readline()
    for person in people:
        assert person.stdin is not None
        person.stdin.write("go\n")
        person.stdin.flush()
    if kill is not None:
        time.sleep(seconds / 2)
        for person in people:
            os.kill(person.pid, kill)
    lines = [line.split() for person in people for line in person.communicate()[0].splitlines()]
    table = pd.DataFrame([line for line in lines if len(line) == 3], columns=["id", "decide", "next"])
    return table.astype({"decide": float, "next": float})


def lost_or_doubled(url: str, acknowledged: pd.Series) -> tuple[int, int]:
    """Acknowledged decisions that are not in the database, and pictures decided twice."""
    with ReviewStore.open(url) as store:
        log = store.log()
    pictures = Counter(decision.content_id for decision in log)
    return len(set(acknowledged) - {decision.id for decision in log}), sum(n > 1 for n in pictures.values())


def report(name: str, done: pd.DataFrame, lost: int, doubled: int) -> bool:
    waits = {part: np.percentile(done[part], [50, 95]) for part in ("decide", "next")}
    held = lost == 0 and doubled == 0 and waits["decide"][1] <= LIMIT_MS
    print(
        f"{name}: {len(done)} decisions by {REVIEWERS} reviewers; lost {lost}, doubled {doubled}; a decision took "
        f"{waits['decide'][0]:.0f} ms (median), {waits['decide'][1]:.0f} ms (95th percentile); with the next picture "
        f"{waits['next'][0]:.0f} and {waits['next'][1]:.0f} ms: {'holds' if held else 'MISSED'}"
    )
    return held


def measure(name: str, url: str, killed_url: str, folder: Path, server: Postgres | None) -> bool:
    done = together(url, folder, SECONDS)
    held = report(name, done, *lost_or_doubled(url, done["id"]))
    killed = together(killed_url, folder, 10, kill=signal.SIGKILL)
    if server is not None:
        server.kill()
        server.launch()
    lost, doubled = lost_or_doubled(killed_url, killed["id"])
    print(f"{name}, killed: {len(killed)} acknowledged, lost {lost}, doubled {doubled}")
    return held and lost == doubled == 0


def main() -> int:
    with tempfile.TemporaryDirectory() as place:
        folder = make_run(Path(place))
        held = measure("SQLite", f"{place}/a.sqlite", f"{place}/b.sqlite", folder, None)
        if find_binaries() is None:
            print("PostgreSQL: could not be measured, because no server is installed (initdb was not found)")
            return 1
        server = Postgres.start()
        try:
            held &= measure("PostgreSQL", server.database("a"), server.database("b"), folder, server)
        finally:
            server.stop()
    return 0 if held else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        review(sys.argv[2], Path(sys.argv[3]), sys.argv[5], float(sys.argv[4]))
    else:
        sys.exit(main())
