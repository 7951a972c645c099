"""Eight reviewers decide at once for a minute, on SQLite and on PostgreSQL; then the same with a kill in the middle.

They ask `facevalue serve` as the Review page does, each for itself and without a moment's thought, as hard on it as
reviewers can be. Bars: no decision lost or doubled; at the 95th percentile nobody waits longer than 200 ms for a
decision and the next picture; what was acknowledged before the kill is there after it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from audit.review.store import ReviewStore
from tests.review_databases import Postgres, find_binaries, free_port

REVIEWERS = 8
SECONDS = 60
LIMIT_MS = 200
CLASSES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]


def make_run(folder: Path, n: int = 28_000) -> Path:
    """A run as large as FER-2013's training part, without pictures."""
    folder.mkdir()
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


@dataclass(frozen=True)
class Reviewer:
    """One who looks at whatever comes first and keeps its label."""

    name: str
    port: int
    run: str

    def review(self, until: float) -> list[tuple[str, float, float]]:
        """Decide until then or until the server is gone; for each acknowledged decision its id and both waits in ms:
        for the answer, and for the answer and the next picture."""
        done = []
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            sample = self._next(connection)
            while sample is not None and time.perf_counter() < until:
                decision = {"id": uuid.uuid4().hex, "sample_id": sample, "action": "keep", "reviewer": self.name}
                start = time.perf_counter()
                made = self._ask(connection, "POST", "decide", {**decision, "shown": ["image", "label"]})
                decided = time.perf_counter()
                sample = self._next(connection)
                done.append((made["saved"], 1000 * (decided - start), 1000 * (time.perf_counter() - start)))
        except (OSError, HTTPException):  # the server was killed: what it had not acknowledged does not count
            pass
        return done

    def _next(self, connection: HTTPConnection) -> str | None:
        query = urlencode({"queue": "likely_wrong", "reviewer": self.name})
        waiting = self._ask(connection, "GET", f"queue?{query}")["queue"]
        return waiting[0] if waiting else None

    def _ask(self, connection: HTTPConnection, verb: str, what: str, body: dict | None = None) -> dict:
        sent = None if body is None else json.dumps(body)
        connection.request(verb, f"/reviewing/{self.run}/{what}", sent, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())


def serve(url: str, folder: Path) -> tuple[subprocess.Popen, int]:
    """A server that answers, and its port."""
    port = free_port()
    command = [sys.executable, "-m", "facevalue", "serve", str(folder), "--port", str(port), "--reviews", url]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)
    assert server.stdout is not None
    server.stdout.readline()
    return server, port


def together(url: str, folder: Path, seconds: float, kill: bool = False) -> pd.DataFrame:
    """Run the reviewers; ``kill`` ends the server in the middle. Columns id, decide (ms), next (ms)."""
    server, port = serve(url, folder)
    until = time.perf_counter() + seconds
    people = [Reviewer(f"r{i}", port, folder.name) for i in range(REVIEWERS)]
    try:
        with ThreadPoolExecutor(REVIEWERS) as pool:
            lines = [pool.submit(person.review, until) for person in people]
            if kill:
                time.sleep(seconds / 2)
                server.send_signal(signal.SIGKILL)
            done = [line for part in lines for line in part.result()]
    finally:
        server.kill()
        server.communicate()
    return pd.DataFrame(done, columns=["id", "decide", "next"])


def lost_or_doubled(url: str, acknowledged: pd.Series) -> tuple[int, int]:
    """Acknowledged decisions that are not in the database, and pictures decided twice."""
    with ReviewStore.open(url) as store:
        log = store.log()
    pictures = Counter(decision.content_id for decision in log)
    return len(set(acknowledged) - {decision.id for decision in log}), sum(n > 1 for n in pictures.values())


def report(name: str, done: pd.DataFrame, lost: int, doubled: int) -> bool:
    waits = {part: np.percentile(done[part], [50, 95]) for part in ("decide", "next")}
    held = lost == 0 and doubled == 0 and waits["next"][1] <= LIMIT_MS
    print(
        f"{name}: {len(done)} decisions by {REVIEWERS} reviewers; lost {lost}, doubled {doubled}; a decision took "
        f"{waits['decide'][0]:.0f} ms (median), {waits['decide'][1]:.0f} ms (95th percentile); with the next picture "
        f"{waits['next'][0]:.0f} and {waits['next'][1]:.0f} ms: {'holds' if held else 'MISSED'}"
    )
    return held


def measure(name: str, url: str, killed_url: str, folder: Path, server: Postgres | None) -> bool:
    done = together(url, folder, SECONDS)
    held = report(name, done, *lost_or_doubled(url, done["id"]))
    killed = together(killed_url, folder, 10, kill=True)
    if server is not None:
        server.kill()
        server.launch()
    lost, doubled = lost_or_doubled(killed_url, killed["id"])
    print(f"{name}, killed: {len(killed)} acknowledged, lost {lost}, doubled {doubled}")
    return held and lost == doubled == 0


def main() -> int:
    with tempfile.TemporaryDirectory() as place:
        folder = make_run(Path(place) / "run")
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
    sys.exit(main())
