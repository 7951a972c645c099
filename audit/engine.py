"""audit(dataset, classifier, options, out) -> AuditRun: plan, shards, merge, analyses."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd

from audit import shards
from audit.analyses import analyse
from audit.counts import Coded
from audit.duplicates import THUMBNAILS, thumbnail
from audit.jsonsafe import as_json
from audit.manifest import describe, first_difference
from audit.merging import merge
from audit.options import AuditOptions
from audit.remembered import remember
from audit.run import AuditRun, findings_json
from audit.saliency.analyses import saliency_findings
from audit.saliency.study import Study, study_maps
from audit.scoring import Scored, score
from audit.shards import Shard, writing
from audit.terms import Terms
from audit.views import OTHER_MODEL
from faces.attributes import measure
from faces.dataset import FaceDataset
from faces.errors import InputError, UnreadableImage
from faces.pixels import content_id
from models import out_of_fold
from models.camlayer import find_cam_layer
from models.classifier import Classifier

MANIFEST, PARTS, PLAN = "manifest.json", "parts", "plan.json"


def audit(
    dataset: FaceDataset,
    classifier: Classifier,
    options: AuditOptions | None = None,
    out: Path | str = "run",
    committee: Sequence[Classifier] = (),
) -> AuditRun:
    """Audit a classifier on labelled faces into the folder ``out``, and open the finished run.

    A ``committee`` of further classifiers of the same classes is asked about the labels alone: its probabilities are
    averaged with the classifier's as evidence for label issues, every other figure stays the classifier's.
    Raises InputError for a folder that is in use, unknown attributes, classes that do not meet, a model whose outputs
    are not finite, and a folder that cannot be written. What was done by then is kept for ``options.resume``.
    """
    options, out = options or AuditOptions(), Path(out)
    dataset = _judged_by(dataset, classifier)
    options = _settled(options, dataset, classifier)
    _check_committee(committee, classifier)
    _check_terms(options, dataset, classifier)
    head = describe(dataset, classifier, options, out, committee)
    if _is_finished(out, head, options.resume):
        return AuditRun.open(out)
    plan = shards.plan(len(dataset), options.shard_size)
    with writing(out):
        (out / PARTS).mkdir(parents=True, exist_ok=True)
        shards.write_whole(out / PARTS / PLAN, as_json(head))
    _score_shards(dataset, classifier, options, plan, out, committee)
    _finish(dataset, classifier, head, plan, out)
    return AuditRun.open(out)


def _judged_by(dataset: FaceDataset, classifier: Classifier) -> FaceDataset:
    """The data set with its statuses by the classifier's classes. Raises InputError where no label is among them."""
    if not len(dataset):
        raise InputError(f"{dataset.provenance.path} holds no images to audit; check the path and the split.")
    found = dataset.samples["label"].dropna().unique()
    if len(found) and not any(label in classifier.labels for label in found):
        raise InputError(
            f"None of the labels of {dataset.provenance.path} ({', '.join(map(str, found[:10]))}) is a class of the "
            f"model ({', '.join(classifier.labels)}); the same names were expected: name the model's outputs, in "
            "order, with --classes."
        )
    return dataset.with_classes(classifier.labels)


def _check_committee(committee: Sequence[Classifier], classifier: Classifier) -> None:
    for member in committee:
        if set(member.labels) != set(classifier.labels):
            raise InputError(
                f"The committee's model {member.path or member.name} has the classes {', '.join(member.labels)}; those "
                f"of the audited model were expected ({', '.join(classifier.labels)}): leave it out of --committee."
            )


def _check_terms(options: AuditOptions, dataset: FaceDataset, classifier: Classifier) -> None:
    """Raises InputError for terms that the labels and attributes cannot meet, before the first image is scored."""
    labelled = dataset.samples.assign(predicted=dataset.samples["label"])
    Terms.of(Coded.of(labelled, classifier.labels, options.attributes or ()), asdict(options))
    if options.out_of_fold is None:
        return
    folder = Path(options.out_of_fold)
    if classifier.path and folder.resolve() == Path(classifier.path).resolve():
        raise InputError(
            f"{folder} is the audited model itself; another one was expected, since a model's own errors are no "
            "evidence that a label is wrong: pass another model's folder to --out-of-fold."
        )
    if out_of_fold.answers(folder, classifier.labels, []) is None:
        raise InputError(
            f"{folder} has no out-of-fold answers; a checkpoint folder trained with --folds was expected: train "
            "one with `facevalue train ... --folds K`."
        )


def _settled(options: AuditOptions, dataset: FaceDataset, classifier: Classifier) -> AuditOptions:
    """The options with what they leave open filled in. Raises InputError for an attribute that the data lacks."""
    attributes = dataset.attributes if options.attributes is None else options.attributes
    for name in attributes:
        if name not in dataset.attributes:
            known = ", ".join(dataset.attributes) or "none (join a table of them with --metadata)"
            raise InputError(f"The attribute {name!r} is not in the data; its attributes are: {known}.")
    saliency = () if classifier.cam_layer is None else options.saliency
    return replace(options, attributes=tuple(dict.fromkeys(attributes)), saliency=saliency)


def _is_finished(out: Path, head: dict, resume: bool) -> bool:
    """Whether the very audit asked for is there already; a begun one is, with ``resume``, to be gone on with.

    Raises InputError for a folder that holds anything else.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    finished, begun = out / MANIFEST, out / PARTS / PLAN
    file = finished if finished.is_file() else begun
    if not resume and file.is_file():
        state = "a finished" if file == finished else "an unfinished"
        raise InputError(
            f"{out} holds {state} audit; a new folder was expected: pass another --out, or --resume to go on with it."
        )
    earlier = _read(file)
    if earlier is None and not _only_begun(out):
        raise InputError(
            f"{out} exists and holds no audit; a new or empty folder was expected: pass another --out, or remove it."
        )
    difference = None if earlier is None else first_difference(earlier, head)
    if difference is not None:
        raise InputError(
            f"{out} was begun with another {difference}; --resume goes on with the same one only: pass what it was "
            "begun with, or another --out."
        )
    if file == finished:
        shutil.rmtree(out / PARTS, ignore_errors=True)
    return file == finished


def _only_begun(out: Path) -> bool:
    """Whether an audit was killed before its plan was whole."""
    if not out.is_dir() or [path.name for path in out.iterdir()] != [PARTS]:
        return False
    return all(file.name.startswith(PLAN) for file in (out / PARTS).iterdir())


def _read(file: Path) -> dict | None:
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _score_shards(
    dataset: FaceDataset,
    classifier: Classifier,
    options: AuditOptions,
    plan: tuple[Shard, ...],
    out: Path,
    committee: Sequence[Classifier],
) -> None:
    """Every shard that is not yet there whole."""
    with _progress(len(dataset), options.progress) as advance:
        for shard in plan:
            file = shard.file(out / PARTS)
            if shards.read_note(file) is None:
                started = time.perf_counter()
                arrays, timing = _score_shard(dataset, classifier, options, shard, committee)
                with writing(out, f" after {shard.start} of {len(dataset)} images"):
                    shards.write_shard(file, arrays, {**timing, "total_s": time.perf_counter() - started})
            advance(len(shard.rows))


def _score_shard(
    dataset: FaceDataset,
    classifier: Classifier,
    options: AuditOptions,
    shard: Shard,
    committee: Sequence[Classifier],
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Arrays of a shard. Of all its rows: ``content_id``, ``reason`` and ``measured`` (n, 3); of those that could be

    read, ``rows`` (m,): ``thumbnails``, ``probabilities``, ``embeddings``, and by method ``maps NAME`` and
    ``scale NAME``; with a committee its ``committee`` (m, members, K).
    """
    labels = classifier.labels.encode(dataset.samples["label"])
    ids = dataset.samples["sample_id"].tolist()
    identity, reasons, measured, thumbnails = [], [], [], []
    readable: list[int] = []
    waiting: list[list[np.ndarray]] = []
    scored: list[tuple[dict[str, np.ndarray], dict[str, float]]] = []
    for row, image in dataset.stream(shard.rows):
        if isinstance(image, UnreadableImage):
            identity.append("")
            reasons.append(str(image))
            measured.append((np.nan, np.nan, np.nan))
        else:
            identity.append(content_id(image))
            reasons.append("")
            measured.append(measure(image))
            thumbnails.append(thumbnail(image))
            readable.append(row)
            waiting.append([one.preprocessing.fit(image) for one in (classifier, *committee)])
        if waiting and ((row + 1 - shard.start) % options.batch_size == 0 or row + 1 == shard.stop):
            rows = readable[-len(waiting) :]
            names = [ids[one] for one in rows]
            fitted, *others = (np.stack(pixels) for pixels in zip(*waiting, strict=True))
            batch = score(classifier, fitted, options.saliency, labels[rows], names)
            if not scored:
                _check_maps(classifier, batch, fitted[:2])
            scored.append(_packed(batch))
            if committee:
                scored[-1][0]["committee"] = _asked(committee, others, classifier, names)
            waiting = []
    arrays = {name: np.concatenate([one[name] for one, _ in scored]) for name in (scored[0][0] if scored else ())}
    arrays |= {
        "content_id": np.array(identity, dtype="U64"),
        "reason": np.array(reasons, dtype=str),
        "measured": np.array(measured, dtype=np.float32),
        "rows": np.array(readable, dtype=np.int64),
        **({"thumbnails": np.stack(thumbnails)} if thumbnails else {}),
    }
    return arrays, {name: sum(times[name] for _, times in scored) for name in ("inference_s", "pass_s")}


def _asked(
    committee: Sequence[Classifier], batches: list[np.ndarray], classifier: Classifier, ids: list[str]
) -> np.ndarray:
    """float32 (n, members, K): what each member says of its own batch, columns in the order of the classifier's."""
    said = []
    for member, pixels in zip(committee, batches, strict=True):
        columns = [member.labels.index(name) for name in classifier.labels]
        said.append(score(member, pixels, (), names=ids).probabilities[:, columns])
    return np.stack(said, axis=1)


def _packed(batch: Scored) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """A batch as it is stored: each map float16 over its own largest absolute value, kept beside it."""
    arrays = {"probabilities": batch.probabilities}
    if batch.embeddings is not None:
        arrays["embeddings"] = batch.embeddings
    for name, maps in batch.maps.items():
        scale = np.abs(maps).max(axis=(2, 3))
        arrays[f"maps {name}"] = (maps / np.where(scale > 0, scale, 1)[..., None, None]).astype(np.float16)
        arrays[f"scale {name}"] = scale
    return arrays, {"inference_s": batch.inference_s, "pass_s": batch.pass_s}


def _check_maps(classifier: Classifier, batch: Scored, pixels: np.ndarray) -> None:
    """Refuse a CAM layer that gives nothing but zeros where another layer gives more."""
    if not batch.maps or any(maps.any() for maps in batch.maps.values()):
        return
    example = classifier.preprocessing.tensor(pixels)
    better, _ = find_cam_layer(classifier.network, example)
    if better != classifier.cam_layer:
        raise InputError(
            f"The CAM layer {classifier.cam_layer!r} gives zero gradients for every image, so its maps would be empty; "
            f"a layer whose output moves the result was expected: pass --cam-layer {better}."
        )


def _finish(dataset: FaceDataset, classifier: Classifier, head: dict, plan: tuple[Shard, ...], out: Path) -> None:
    """Merge the shards, analyse, and write the manifest last: with it the run is finished."""
    started = time.perf_counter()
    files = [shard.file(out / PARTS) for shard in plan]
    notes = [note for note in map(shards.read_note, files) if note is not None]
    with writing(out, " after the last image"):
        for path in out.iterdir():
            if path.name in ("results", "saliency"):
                shutil.rmtree(path)
        saliency = merge(dataset, classifier, files, out)
        manifest = {
            **head,
            "saliency": saliency,
            "parts": [
                {"start": shard.start, "stop": shard.stop, "sha256": note["sha256"]}
                for shard, note in zip(plan, notes, strict=True)
            ],
        }
        _ask_other_model(head["options"]["out_of_fold"], classifier, out)
        if classifier.kind == "checkpoint":
            remember(Path(classifier.path or ""), classifier.labels, _content(out), out)
        analyse(out, manifest, head["seed"])
        (out / THUMBNAILS).unlink()
        run = AuditRun(out, manifest)
        study_maps(Study(run, classifier, dataset, head["seed"]), head["options"]["check_maps"])
        (out / "findings.json").write_text(findings_json((*run.findings, *saliency_findings(run))))
        timing = {name: sum(note["timing"].get(name, 0.0) for note in notes) for name in ("inference_s", "pass_s")}
        total = sum(note["timing"]["total_s"] for note in notes) + time.perf_counter() - started
        finished_at = pd.Timestamp.now(tz="UTC").isoformat(timespec="seconds")
        (out / "timing.json").write_text(as_json({**timing, "total_s": total, "finished_at": finished_at}))
        shards.write_whole(out / MANIFEST, as_json(manifest))
    shutil.rmtree(out / PARTS, ignore_errors=True)


def _ask_other_model(folder: str | None, classifier: Classifier, out: Path) -> None:
    """Keep what another model says out of fold of each image, found by its pixels; see views.OTHER_MODEL."""
    if folder is None:
        return
    said = out_of_fold.answers(folder, classifier.labels, _content(out))
    if said is not None:
        np.save(out / OTHER_MODEL, said.probabilities)


def _content(out: Path) -> list[str | None]:
    """The content_id of every image of the merged run, None where it could not be read."""
    content = pd.read_parquet(out / "samples.parquet", columns=["content_id"])["content_id"].astype(object)
    return content.where(content.notna(), None).tolist()


@contextmanager
def _progress(n: int, wanted: bool) -> Iterator:
    """A bar on the terminal, where there is one; yields a function to call with the number of images done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("Auditing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not (wanted and console.is_terminal)) as bar:
        task = bar.add_task("audit", total=n)
        yield lambda images: bar.update(task, advance=images)
