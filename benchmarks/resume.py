"""`facevalue audit` killed with SIGKILL at ten random moments and resumed, against an uninterrupted run.

Bar: every file equal byte for byte, timing.json aside.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._real import compact, compact_folder, faces_folder
from models.checkpoints import save
from models.classifier import Classifier

KILLS = 10


def command(model: Path, out: Path) -> list[str]:
    faces = faces_folder()
    words = [sys.executable, "-m", "facevalue", "audit", faces / "archive.zip", "--metadata", faces / "metadata.csv"]
    words += ["--split", "test", "--model", model, "--out", out, "--resume"]
    return [str(word) for word in words]


def wait_for(path: Path, child: subprocess.Popen) -> float:
    """Seconds until ``path`` appears or the child ends."""
    start = time.perf_counter()
    while not path.exists() and child.poll() is None:
        time.sleep(0.005)
    return time.perf_counter() - start


def checkpoint(classifier: Classifier, folder: Path) -> Path:
    """The shipped checkpoint, or one of random weights."""
    card = {"network": {"name": "compact", "channels": 1}}
    return compact_folder() or save(classifier, folder, card)


def digests(folder: Path) -> dict[str, str]:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != "timing.json"]
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def main() -> int:
    moments = random.Random(0)
    unequal = 0
    with tempfile.TemporaryDirectory() as scratch:
        model = checkpoint(compact(), Path(scratch, "model"))
        whole = Path(scratch, "whole")
        child = subprocess.Popen(command(model, whole), stdout=subprocess.DEVNULL)
        wait_for(whole / "parts", child)
        length = wait_for(whole / "manifest.json", child)
        child.wait()
        expected = digests(whole)
        for number in range(KILLS):
            out = Path(scratch, f"killed{number}")
            child = subprocess.Popen(command(model, out), stdout=subprocess.DEVNULL)
            wait_for(out / "parts", child)
            time.sleep(moments.random() * length)
            child.kill()
            child.wait()
            parts = len(list(out.glob("parts/*.json")))
            subprocess.run(command(model, out), check=True, stdout=subprocess.DEVNULL)
            found = digests(out)
            wrong = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
            unequal += bool(wrong)
            state = "finished" if child.returncode == 0 else f"killed with {parts} parts"
            print(f"{state}, resumed: {'unequal: ' + ', '.join(wrong) if wrong else 'equal'}", flush=True)
    print(f"{KILLS - unequal} of {KILLS} equal an uninterrupted run  {'holds' if not unequal else 'MISSED'}")
    return bool(unequal)


if __name__ == "__main__":
    sys.exit(main())
