"""Memory of an audit of all of FER-2013's Training part (28,553 images) with the maps of five methods.

Bar: at most 2 GB resident, in the command as a person runs it.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._real import compact_folder, faces_folder

MOST = 2.0


def main() -> int:
    model, faces = compact_folder(), faces_folder()
    if model is None:
        sys.exit("no compact checkpoint ships in models/weights; train one")
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch, "run")
        command = [sys.executable, "-m", "facevalue", "audit", faces / "archive.zip", "--split", "train"]
        command += ["--metadata", faces / "metadata.csv", "--model", model, "--out", run]
        start = time.perf_counter()
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
        minutes = (time.perf_counter() - start) / 60
        stored = ", ".join(sorted(path.stem for path in (run / "saliency").glob("*.npy") if "_scale" not in path.stem))
        size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file()) / 1024**2
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024**2
    print(f"{minutes:.1f} minutes; maps of {stored}; the run takes {size:.0f} MB")
    print(f"peak memory {peak:.2f} GB  {'holds' if peak < MOST else 'MISSED'}")
    return peak >= MOST


if __name__ == "__main__":
    sys.exit(main())
