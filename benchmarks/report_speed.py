"""A report in all four formats, of PublicTest with the shipped checkpoint and of 1,000,000 rows of predictions.

Bars: 30 s and 90 s; the PDF under 5 MB, its text selectable, nothing beyond its margins.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from pdfminer.high_level import extract_pages
from pdfminer.layout import LTChar, LTTextLine

from audit import AuditOptions, audit
from audit.predictions import audit_predictions
from audit.run import AuditRun
from benchmarks._real import compact, public_test
from reports.fairness_report import write_report

ROWS = 1_000_000
CLASSES = np.array(["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"])
MARGIN = 2 / 2.54 * 72
BARS = {"PublicTest": 30, f"{ROWS:,} rows": 90}


def predictions(path: Path) -> Path:
    """A table of labels, probabilities and three attributes; two predictions in three are right."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, len(CLASSES), ROWS)
    probabilities = rng.dirichlet(np.ones(len(CLASSES)), ROWS)
    probabilities[np.arange(ROWS), label] += rng.random(ROWS)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    table = pd.DataFrame({"label": CLASSES[label], "predicted": CLASSES[probabilities.argmax(axis=1)]})
    for name, groups in (("age", 9), ("race", 6), ("gender", 2)):
        table[name] = np.array([f"{name} {index}" for index in range(groups)])[rng.integers(0, groups, ROWS)]
    table[[f"prob_{name}" for name in CLASSES]] = probabilities
    table.to_csv(path, index=False, float_format="%.5f")
    return path


def characters(element: object) -> list[LTChar]:
    """The characters of text lines; a figure's own text is drawn where its drawing says."""
    if isinstance(element, LTTextLine):
        return [one for one in element if isinstance(one, LTChar) and one.get_text().strip("\u200b ")]
    parts = element if hasattr(element, "__iter__") else ()
    return [one for part in parts for one in characters(part)]


def overfull(pdf: bytes) -> tuple[int, int]:
    """Selectable characters, and how many of them stand beyond the side margins."""
    total = beyond = 0
    for page in extract_pages(io.BytesIO(pdf)):
        found = characters(page)
        total += len(found)
        beyond += sum(one.x0 < MARGIN - 1 or one.x1 > page.width - MARGIN + 1 for one in found)
    return total, beyond


def measure(name: str, run: AuditRun, out: Path) -> bool:
    start = time.perf_counter()
    written = write_report(run, out)
    seconds = time.perf_counter() - start
    pdf = (out / "report.pdf").read_bytes()
    total, beyond = overfull(pdf)
    holds = seconds <= BARS[name] and len(pdf) < 5_000_000 and total > 1000 and not beyond
    print(
        f"{name}: {len(written)} formats in {seconds:.1f} s (bar {BARS[name]} s), PDF {len(pdf) / 1e6:.2f} MB, "
        f"{total:,} selectable characters, {beyond} beyond the margins: {'holds' if holds else 'MISSED'}",
        flush=True,
    )
    return holds


def main() -> int:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        public = audit(public_test(), compact(), AuditOptions(progress=False), folder / "public")
        holds = measure("PublicTest", public, folder / "report")
        start = time.perf_counter()
        large = audit_predictions(predictions(folder / "predictions.csv"), folder / "large")
        print(f"(table drawn and audited in {time.perf_counter() - start:.1f} s)", flush=True)
        return 0 if measure(f"{ROWS:,} rows", AuditRun.open(large.folder), folder / "report-large") and holds else 1


if __name__ == "__main__":
    sys.exit(main())
