"""Corrected labels out: CSV for training, archive, FER-2013 CSV, and what changed by whom.

Every file is written beside its name first and then renamed, so a half-written one is never left there.
"""

from __future__ import annotations

import csv
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pandas as pd

from audit.review.domain import NOT_A_FACE, SKIP, Decision, Key, Standing, Verdict
from audit.run import AuditRun
from faces.dataset import FaceDataset, split_name
from faces.emotions import PUBLISHED_ORDERS
from faces.errors import InputError, UnreadableImage

FER_ORDER = PUBLISHED_ORDERS["FER-2013"]
FER_USAGE = {"train": "Training", "test": "PublicTest", "val": "PublicTest", "privatetest": "PrivateTest"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


def corrected(run: AuditRun, verdicts: Mapping[Key, Verdict]) -> pd.DataFrame:
    """One line a sample of the run, in order: ``sample_id, content_id, split, old_label, label, soft, changed``.

    ``label`` is the settled verdict (``not_a_face`` included), else the old label; of a soft one the largest share.
    ``soft`` is JSON, class to share, empty where the label is hard.
    """
    samples = run.samples
    old = samples["label"].astype(object).where(samples["label"].notna(), "")
    label, soft = old.to_numpy(dtype=object, copy=True), np.full(len(samples), "", dtype=object)
    for row, key in enumerate(zip(samples["content_id"].astype(object), old, strict=True)):
        verdict = verdicts.get(key)
        if verdict is not None and verdict.settled:
            label[row] = verdict.label or max(verdict.opinion, key=lambda name: verdict.opinion[name])
            soft[row] = json.dumps(dict(verdict.opinion), sort_keys=True) if verdict.is_soft else ""
    return pd.DataFrame(
        {
            "sample_id": samples["sample_id"],
            "content_id": samples["content_id"],
            "split": samples["split"],
            "old_label": old,
            "label": label,
            "soft": soft,
            "changed": (label != old.to_numpy(dtype=object)) | (soft != ""),
        }
    )


def corrected_csv(run: AuditRun, verdicts: Mapping[Key, Verdict], out: Path) -> int:
    """Write what ``facevalue train --labels`` takes; returns how many samples changed."""
    table = corrected(run, verdicts)
    with replacing(out) as path:
        table.to_csv(path, index=False)
    return int(table["changed"].sum())


def corrected_archive(run: AuditRun, verdicts: Mapping[Key, Verdict], dataset: FaceDataset, out: Path) -> int:
    """Write a .zip of SPLIT/LABEL/NAME.png with the corrected labels; returns how many pictures are in it.

    Pictures are PNG of the decoded pixels, so their content ids stay. Those that are no face, unreadable, or without a
    label are left out; soft labels count as their largest share. ``dataset`` gives the pixels of the run's samples.
    """
    names: set[str] = set()
    with replacing(out) as path, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for line, pixels in _pictures(corrected(run, verdicts), dataset):
            folder = PurePosixPath(line["split"], line["label"])
            name = _free(folder, PurePosixPath(line["sample_id"]).stem, names)
            colours = pixels if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), cv2.imencode(".png", colours)[1].tobytes())
    return len(names)


def fer2013_csv(run: AuditRun, verdicts: Mapping[Key, Verdict], dataset: FaceDataset, out: Path) -> int:
    """Write ``emotion,pixels,Usage`` with the corrected labels in FER-2013's numbering; returns how many rows.

    Pictures become 48 x 48 grey. What is left out is as in ``corrected_archive``, and labels that are no class of the
    run and have no number. Raises InputError where the run has classes that FER-2013 does not number.
    """
    unknown = [name for name in run.classes if name not in FER_ORDER]
    if unknown:
        raise InputError(
            f"FER-2013 has no number for the class {unknown[0]!r}; export the corrected CSV or archive instead."
        )
    n = 0
    with replacing(out) as path, path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["emotion", "pixels", "Usage"])
        for line, pixels in _pictures(corrected(run, verdicts), dataset):
            if line["label"] not in FER_ORDER:
                continue
            split = line["split"]
            usage = FER_USAGE.get(split_name(split), split) if split else "Training"
            writer.writerow([FER_ORDER.index(line["label"]), " ".join(map(str, _grey48(pixels).ravel())), usage])
            n += 1
    return n


def diff_csv(
    run: AuditRun, verdicts: Mapping[Key, Verdict], log: Iterable[Decision], out: Path, names: bool = True
) -> int:
    """Write one line for each changed sample with who decided it, when, why and having seen what; returns how many.

    ``names=False`` leaves the reviewers' names out (``reviewer 1``, ...).
    """
    standing = Standing(log if names else without_names(log))
    table = corrected(run, verdicts)
    lines = []
    for line in table[table["changed"]].to_dict("records"):
        key = (line["content_id"], line["old_label"])
        made = [decision for decision in standing.of(key).values() if decision.action != SKIP]
        lines.append(
            {
                "sample_id": line["sample_id"],
                "content_id": line["content_id"],
                "split": line["split"],
                "old_label": line["old_label"],
                "new_label": line["label"],
                "soft": line["soft"],
                "agreed": verdicts[key].agreed,
                "reviewers": _joined(decision.reviewer for decision in made),
                "times": _joined(decision.time for decision in made),
                "runs": _joined(decision.run for decision in made),
                "reasons": _joined(decision.reason for decision in made),
                "shown": _joined("+".join(decision.shown) for decision in made),
                "decisions": _joined(decision.id for decision in made),
            }
        )
    columns = ["sample_id", "content_id", "split", "old_label", "new_label", "soft", "agreed", "reviewers", "times"]
    with replacing(out) as path:
        pd.DataFrame(lines, columns=[*columns, "runs", "reasons", "shown", "decisions"]).to_csv(path, index=False)
    return len(lines)


def without_names(log: Iterable[Decision]) -> list[Decision]:
    """The log with each reviewer called ``reviewer 1``, ``reviewer 2``, ... in order of first decision."""
    called: dict[str, str] = {}
    return [
        replace(decision, reviewer=called.setdefault(decision.reviewer, f"reviewer {len(called) + 1}"))
        for decision in log
    ]


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A path beside ``out`` to write to; it takes the place of ``out`` once all is on disk, else it is removed."""
    out = Path(out)
    part = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(out)
    except OSError as error:
        raise InputError(f"{out} cannot be written ({error.strerror or error}); pass a place that can.") from None
    finally:
        with suppress(OSError):
            part.unlink()


def _pictures(table: pd.DataFrame, dataset: FaceDataset) -> Iterator[tuple[dict[str, str], np.ndarray]]:
    """Lines with a label, their split as text, and their pixels uint8 (H, W, C)."""
    known = set(dataset.samples["sample_id"])
    chosen = table[(table["label"] != "") & (table["label"] != NOT_A_FACE) & table["content_id"].notna()]
    missing = [name for name in chosen["sample_id"] if name not in known]
    if missing:
        raise InputError(
            f"{dataset.provenance.path} has no sample {missing[0]!r} that the run was made from; "
            "pass the data of the run with --data."
        )
    for line in chosen.astype({"split": object}).where(chosen.notna(), "").to_dict("records"):
        try:
            yield line, dataset.pixels.read(line["sample_id"])
        except UnreadableImage:
            continue


def _free(folder: PurePosixPath, stem: str, taken: set[str]) -> str:
    """A member name that is not taken yet; takes it."""
    name, number = str(folder / f"{stem}.png"), 2
    while name in taken:
        name, number = str(folder / f"{stem}-{number}.png"), number + 1
    taken.add(name)
    return name


def _grey48(pixels: np.ndarray) -> np.ndarray:
    grey = pixels[..., 0] if pixels.shape[2] == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    return grey if grey.shape == (48, 48) else cv2.resize(grey, (48, 48), interpolation=cv2.INTER_AREA)


def _joined(values: Iterable[str]) -> str:
    return "; ".join(values)
