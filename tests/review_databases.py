"""Databases that the review tests start for themselves: a SQLite file, and a PostgreSQL server of their own."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")


@dataclass
class Postgres:
    """A server in a folder of its own on a free port; not as root, which PostgreSQL refuses."""

    binaries: Path
    folder: Path
    port: int
    user: str | None

    @classmethod
    def start(cls) -> Postgres:
        """Create and start one. Skips the test where no PostgreSQL is installed."""
        binaries = find_binaries()
        if binaries is None:
            pytest.skip("no PostgreSQL server is installed (initdb was not found)")
        folder = Path(tempfile.mkdtemp(prefix="review-postgres-"))
        server = cls(binaries, folder, free_port(), unprivileged_user())
        if server.user is not None:
            shutil.chown(folder, server.user)
        server._run("initdb", "-D", "data", "-A", "trust", "-U", "tests", "-E", "UTF8", "--no-locale")
        server.launch()
        return server

    def launch(self) -> None:
        """Start the server and wait until it answers."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-o", options, "start")

    def kill(self) -> None:
        """SIGKILL the server, as if the power went, and wait until it is gone."""
        pid = int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
        for process in (pid, *map(int, children.split())):
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        while any(Path(f"/proc/{process}").exists() for process in (pid, *map(int, children.split()))):
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        subprocess.run(
            [self.binaries / "pg_ctl", "-D", "data", "-m", "immediate", "stop"],
            cwd=self.folder,
            user=self.user,
            capture_output=True,
        )
        shutil.rmtree(self.folder, ignore_errors=True)

    def database(self, name: str) -> str:
        """The URL of a new empty database."""
        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=tests dbname=postgres", autocommit=True) as server:
            server.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://tests@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.binaries / program, *arguments], cwd=self.folder, user=self.user, capture_output=True, text=True
        )
        if done.returncode:
            log = self.folder / "log"
            raise RuntimeError(f"{program}: {done.stderr}{log.read_text() if log.exists() else ''}")


def find_binaries() -> Path | None:
    """The folder with initdb, postgres and pg_ctl; the newest where there are several."""
    found = [path.parent for place in PLACES for path in Path("/").glob(f"{place[1:]}/initdb")]
    on_path = shutil.which("initdb")
    if on_path:
        found.append(Path(on_path).resolve().parent)
    return max(found, key=lambda path: str(path), default=None)


def unprivileged_user() -> str | None:
    """None where we are not root ourselves, else an ordinary account to become."""
    if os.getuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
