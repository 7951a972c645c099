"""The front door: `facevalue VERB`, one verb per thing a person does; no logic of its own."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.exceptions import TyperException

from faces.errors import InputError

if TYPE_CHECKING:
    from audit.review.service import ReviewService
    from faces.emotions import LabelSet

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
"""What the system says of a disk rather than of a file."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Audits classifiers that read emotions from faces: "
    "what they confuse, why, for whom, and which labels are wrong.",
)

review = typer.Typer(no_args_is_help=True, help="Label decisions: what is queued, out, and in.")
app.add_typer(review, name="review")

Data = Annotated[str, typer.Argument(metavar="DATA", help="Folder, .zip/.tar, FER-2013 CSV, or manifest CSV/Parquet.")]
MODEL_HELP = "Checkpoint folder, model file, KERAS.json@FILE, timm:NAME@FILE or factory:FILE.py:NAME@FILE."
Model = Annotated[str | None, typer.Option(metavar="MODEL", help=MODEL_HELP)]
ModelFile = Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
Metadata = Annotated[Path | None, typer.Option(metavar="CSV", help="Sidecar joined by file name or sample id.")]
Label = Annotated[str | None, typer.Option(metavar="COLUMN", help="The label column of a table.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Reviews = Annotated[str | None, typer.Option(metavar="URL", help="Database of decisions (RUN/reviews.sqlite).")]
Moved = Annotated[Path | None, typer.Option(metavar="DATA", help="Where the run's data is now, if it was moved.")]
MovedModel = Annotated[str | None, typer.Option(metavar="MODEL", help="Where the run's model is now, if it was moved.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="An audit run folder.")]
Classes = Annotated[
    str | None, typer.Option(metavar="a,b,..", help="The model's classes, in the order of its outputs.")
]
NumberNames = Annotated[str | None, typer.Option(metavar="a,b,..", help="Names of labels that are numbers, in order.")]
Numbers = Annotated[
    str | None, typer.Option(metavar="a,b,..", help="Names of labels that are numbers, in order (default: --classes).")
]
Input = Annotated[str | None, typer.Option("--input", metavar="64x64,gray,-1..1", help="The model's input.")]
CamLayer = Annotated[str | None, typer.Option(metavar="NAME", help="The layer the saliency maps are taken from.")]
Pickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Let the model file run code as it loads: only where you trust it.")
]


def say(value: dict) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False))


def label_set(text: str | None) -> LabelSet | None:
    """Classes in the order that a person gave them."""
    from faces.emotions import LabelSet

    return None if text is None else LabelSet.parse(text)


def names(text: str | None) -> tuple[str, ...] | None:
    """``"a,b"`` as ``("a", "b")``."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


@app.command()
def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for faces, model, run and report.")] = Path(
        "demo-run"
    ),
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Stop after the report.")] = False,
    port: Port = 8050,
) -> None:
    """Draw faces with planted faults, train, audit, report, and serve the dashboard."""
    from audit import AuditOptions
    from audit import audit as run_audit
    from audit.answers import grade
    from audit.data_audit import inspect as inspect_faces
    from dashboard.app import serve as serve_pages
    from faces.readers import open_dataset
    from faces.synthetic import draw
    from reports.fairness_report import write_report
    from reports.terminal import print_findings, print_grades
    from training.fit import train as fit
    from training.recipe import load_recipe

    sheet = draw(
        out / "faces",
        n=4200,
        weakest=0.45,
        flipped=0.05,
        worse_group=("skin_tone", "dark"),
        marked=0.3,
        duplicates=30,
        unreadable=8,
    )
    dataset = open_dataset(out / "faces", out / "faces" / "metadata.csv")
    classifier = fit(load_recipe("drawn-tiny"), dataset, out / "model")
    run = run_audit(dataset.select("test"), classifier, AuditOptions(), out / "run")
    print_findings(run)
    print_grades(grade(run, inspect_faces(dataset), sheet))
    try:
        print(*write_report(run, out / "report"), sep="\n")
    except InputError as reason:  # no browser draws the PDF: the rest is there, and to be looked at
        print(f"{reason} All else lies in {out / 'report'}.", file=sys.stderr)
    if not no_serve:
        serve_pages([run], port=port)


@app.command()
def inspect(
    data: Data,
    metadata: Metadata = None,
    label: Label = None,
    attributes: Annotated[str | None, typer.Option(metavar="a,b", help="Attributes to look at (default: all).")] = None,
    classes: Annotated[
        str | None,
        typer.Option(metavar="a,b,..", help="Classes to judge by; where labels are numbers, in their order."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at the data alone: composition, unreadable files, duplicates, leakage, representation."""
    from audit.data_audit import inspect_path
    from reports.terminal import print_inspection

    order = label_set(classes)
    found = inspect_path(data, metadata, label, names(attributes), order)
    say(found.json()) if as_json else print_inspection(found)


@app.command("inspect-model")
def inspect_model(
    model: ModelFile, model_input: Input = None, allow_pickle: Pickle = False, as_json: Json = False
) -> None:
    """Tell what a model file is: its input, outputs, and the layers maps can be taken from."""
    from models.inspect_model import inspect_model as look_at

    found = look_at(model, model_input, allow_pickle)
    say(found.as_dict()) if as_json else print(found.text())


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe's name or a TOML file.")],
    data: Annotated[str, typer.Option(metavar="DATA", help="Labelled faces to learn from.")],
    out: Annotated[Path, typer.Option(metavar="MODEL", help="Checkpoint folder to write.")],
    folds: Annotated[int | None, typer.Option(metavar="K", help="Also write out-of-fold probabilities.")] = None,
    labels: Annotated[Path | None, typer.Option(metavar="CSV", help="Corrected labels to learn from.")] = None,
    also: Annotated[
        list[str] | None, typer.Option(metavar="DATA", help="More faces to learn from; repeatable.")
    ] = None,
    metadata: Metadata = None,
    label: Label = None,
    search: Annotated[int | None, typer.Option(metavar="N", help="Try N variants of the recipe first.")] = None,
    label_names: NumberNames = None,
    devices: Annotated[int | None, typer.Option(metavar="N", help="GPUs that share every batch.")] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="NAME", help="32-true, bf16-mixed or 16-mixed (default: the recipe's).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a training that was stopped.")] = False,
) -> None:
    """Train a classifier by a recipe and write a checkpoint folder."""
    from faces.readers import open_dataset
    from training.fit import train as fit
    from training.recipe import load_recipe
    from training.search import search as search_recipe

    numbers = label_set(label_names)
    switches = {name: value for name, value in (("devices", devices), ("precision", precision)) if value is not None}
    plan = load_recipe(recipe).told(switches)
    faces = open_dataset(data, metadata, label, numbers=numbers)
    more = [open_dataset(one, numbers=numbers) for one in also or ()]
    for note in (note for one in (faces, *more) for note in one.notes):
        print(note)
    if search is None:
        fit(plan, faces, out, labels=labels, folds=folds, resume=resume, also=more)
    else:
        search_recipe(plan, faces, out, search, labels=labels, folds=folds, resume=resume, also=more)


@app.command()
def ensemble(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="Checkpoint folders, or names of ones that ship.")
    ],
    data: Annotated[str, typer.Option(metavar="DATA", help="The labelled faces that they were trained on.")],
    out: Annotated[Path, typer.Option(metavar="MODEL", help="Checkpoint folder to write.")],
    mirrored: Annotated[bool, typer.Option("--mirrored", help="Look at every face both ways round.")] = False,
    tilted: Annotated[
        float, typer.Option(metavar="DEGREES", help="Also turned so far to either side, both ways round.")
    ] = 0.0,
    closer: Annotated[
        float, typer.Option(metavar="TIMES", help="Also at its middle, so many times as large, both ways round.")
    ] = 1.0,
    metadata: Metadata = None,
    label: Label = None,
    label_names: NumberNames = None,
) -> None:
    """Make one checkpoint of several, which answers with the mean of their logits, and measure it anew."""
    from faces.readers import open_dataset
    from training.ensemble import ensemble as fuse
    from training.ensemble import told

    numbers = label_set(label_names)
    dataset = open_dataset(data, metadata, label, numbers=numbers)
    print(told(fuse(models, dataset, out, mirrored, tilted, closer)))


@app.command()
def leaderboard(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Audit run folders.")], as_json: Json = False
) -> None:
    """Compare many runs: accuracy with its interval, the published figure, size, speed, calibration, worst group."""
    from audit.jsonsafe import records
    from audit.leaderboard import leaderboard as rank
    from reports.terminal import print_leaderboard

    table = rank(runs)
    say({"schema": 1, "runs": records(table)}) if as_json else print_leaderboard(table)


@app.command("export-model")
def export_model(
    model: ModelFile,
    out: Annotated[Path, typer.Option(metavar="ONNX", help="File to write.")],
    int8: Annotated[
        str | None, typer.Option(metavar="DATA", help="Make it int8, with ranges set by these faces.")
    ] = None,
    prune: Annotated[float, typer.Option(metavar="SHARE", help="Set this share of the weights to 0 first.")] = 0.0,
    classes: Classes = None,
    model_input: Input = None,
    allow_pickle: Pickle = False,
) -> None:
    """Write a model as ONNX, pruned or int8 if asked, and tell how far it answers as the original."""
    from faces.readers import open_dataset
    from models import smaller
    from models.load import load_classifier

    original = load_classifier(model, classes, model_input, allow_pickle=allow_pickle)
    pruned = smaller.prune(original, prune) if prune else original
    if int8 is not None:
        told = smaller.quantise(pruned, smaller.calibration(original, open_dataset(int8)), out, original)
    else:
        told = smaller.export_onnx(pruned, out)
        told += f"\n{smaller.difference(original, pruned)}" if prune else ""
    print(f"facevalue audit DATA --out RUN --model {out} {told}")


@app.command(context_settings={"allow_extra_args": True})
def audit(
    context: typer.Context,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Run folder to write.")],
    data: Annotated[
        str | None, typer.Argument(metavar="DATA", help="Folder, archive, FER-2013 CSV or manifest.")
    ] = None,
    model: Model = None,
    predictions: Annotated[Path | None, typer.Option(metavar="CSV", help="Audit a table; no DATA or MODEL.")] = None,
    metadata: Metadata = None,
    label: Label = None,
    split: Annotated[str | None, typer.Option(metavar="NAME", help="The part of the data to audit.")] = None,
    attributes: Annotated[str | None, typer.Option(metavar="a,b", help="Attributes to compare (default: all).")] = None,
    classes: Classes = None,
    label_names: Numbers = None,
    model_input: Input = None,
    cam_layer: CamLayer = None,
    committee: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL ...", help="Asked about labels too; mirror: the model on mirrored faces."),
    ] = None,
    label_mix: Annotated[
        str | None, typer.Option(metavar="a=0.4,b=0.6", help="Label mix to compare groups at (default: the data's).")
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(metavar="ATTRIBUTE=GROUP", help="Group to compare with (default: the largest); repeatable."),
    ] = None,
    min_group: Annotated[int | None, typer.Option(metavar="N", help="Smallest group to judge (default: 30).")] = None,
    intersections: Annotated[
        int | None, typer.Option(metavar="N", help="Attributes crossed at most: 1 (none), 2 or 3 (default: 2).")
    ] = None,
    out_of_fold: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Another model, trained with --folds, to find wrong labels by.")
    ] = None,
    allow_pickle: Pickle = False,
    limit: Annotated[int | None, typer.Option(metavar="N", help="Audit only N images, evenly over the data.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
) -> None:
    """Audit a classifier on labelled faces, or a table of its predictions, and write a run folder."""
    from audit.terms import read_label_mix, read_references
    from reports.terminal import print_findings

    if context.args and not committee:
        raise InputError(f"{context.args[0]!r} is one word too many; only DATA stands without an option: leave it out.")
    mix = None if label_mix is None else read_label_mix(label_mix)
    references = read_references(reference or ()) or None

    order = label_set(classes)
    if predictions is not None:
        from audit.predictions import audit_predictions

        given = {"DATA": data, "--model": model, "--metadata": metadata, "--split": split, "--limit": limit,
                 "--out-of-fold": out_of_fold, "--committee": committee}  # fmt: skip
        if unused := [name for name, value in given.items() if value]:
            raise InputError(f"{unused[0]} means nothing to a table of predictions; leave it out.")

        numbers = label_set(label_names) or order
        run = audit_predictions(
            predictions, out, numbers, names(attributes), label_mix=mix, references=references, min_group=min_group,
            crossed=intersections, label=label,
        )  # fmt: skip
        for note in run.manifest["data"]["notes"]:
            print(note)
        print_findings(run)
        return
    if data is None or model is None:
        raise InputError("DATA and --model are both needed to audit a classifier; pass them, or --predictions CSV.")
    from audit import AuditOptions
    from audit import audit as run_audit
    from faces.readers import open_dataset
    from models.load import load_classifier, load_member
    from models.mirrored import mirrored_view

    numbers = label_set(label_names)
    dataset = open_dataset(data, metadata, label, order, numbers).select(split, limit)
    for note in dataset.notes:
        print(note)
    classifier = load_classifier(model, classes, model_input, cam_layer, allow_pickle=allow_pickle)
    for note in classifier.card.get("notes", ()):
        print(f"the model: {note}")
    jury = [
        mirrored_view(classifier) if member == "mirror" else load_member(member, classes, model_input, allow_pickle)
        for member in (*(committee or ()), *context.args)
    ]
    options = AuditOptions(
        names(attributes), label_mix=mix, references=references, min_group=min_group, crossed=intersections,
        out_of_fold=out_of_fold, resume=resume,
    )  # fmt: skip
    print_findings(run_audit(dataset, classifier, options, out, jury))


@app.command()
def show(run: RunFolder, as_json: Json = False) -> None:
    """Print a run's figures and findings."""
    from audit.run import AuditRun
    from audit.summary import summary
    from reports.terminal import print_run

    opened = AuditRun.open(run)
    say(summary(opened)) if as_json else print_run(opened)


@app.command()
def report(
    run: RunFolder,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the report.")],
    faces: Annotated[bool, typer.Option("--faces", help="Show faces in the report.")] = False,
    favourable: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Add the ratios of being called this.")
    ] = None,
    remedies: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Explore what would help this class, and what it costs.")
    ] = None,
    data: Moved = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The run's model: adds maps that need only its answers.")
    ] = None,
    reviews: Reviews = None,
    allow_pickle: Pickle = False,
) -> None:
    """Write a run up: report.html, report.pdf, report.json and model_card.md."""
    from audit.run import AuditRun
    from reports.fairness_report import write_report

    opened = AuditRun.open(run)
    for path in write_report(
        opened, out, faces=faces, data=data, favourable=favourable, reviews=reviews, remedies=remedies, model=model,
        allow_pickle=allow_pickle,
    ):  # fmt: skip
        print(path)


@app.command()
def serve(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Audit run folders.")],
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback need a token.")] = "127.0.0.1",
    port: Port = 8050,
    data: Moved = None,
    model: MovedModel = None,
    reviews: Reviews = None,
    overlap: Annotated[int, typer.Option(metavar="N", min=1, help="Reviewers each picture shall have.")] = 1,
    allow_pickle: Pickle = False,
) -> None:
    """Serve the dashboard of one run or several."""
    from audit.run import AuditRun
    from dashboard.app import serve as serve_pages

    serve_pages(
        [AuditRun.open(run) for run in runs], host, port, reviews, data,
        model=model, overlap=overlap, allow_pickle=allow_pickle,
    )  # fmt: skip


@app.command()
def compare(run_a: RunFolder, run_b: RunFolder, as_json: Json = False) -> None:
    """Compare two runs on the same samples: accuracy, gaps, what changed in both directions."""
    from audit.compare import compare as compare_runs
    from audit.run import AuditRun
    from reports.terminal import print_comparison

    found = compare_runs(AuditRun.open(run_a), AuditRun.open(run_b))
    say(found.json()) if as_json else print_comparison(found)


@app.command()
def gate(
    run: RunFolder,
    policy: Annotated[Path, typer.Option(metavar="TOML", help="Floors, largest gaps and baseline.")],
    junit: Annotated[Path | None, typer.Option(metavar="XML", help="Also write the verdict as JUnit XML.")] = None,
) -> None:
    """Hold a run to a policy: exit 0 it holds, 1 it falls short, 2 it could not be checked."""
    from audit.run import AuditRun
    from reports.gate import gate as hold
    from reports.gate import load_policy

    verdict = hold(AuditRun.open(run), load_policy(policy))
    print("\n".join(verdict.lines()))
    if junit is not None:
        junit.write_text(verdict.junit(), encoding="utf-8")
    raise typer.Exit(verdict.exit_code)


@app.command()
def explain(
    picture: Annotated[str, typer.Argument(metavar="IMAGE|URL", help="A picture file, or a public http(s) address.")],
    model: Annotated[str, typer.Option(metavar="MODEL", help=MODEL_HELP)],
    out: Annotated[Path, typer.Option(metavar="PNG", help="Picture to write; nothing else is kept.")],
    no_crop: Annotated[bool, typer.Option("--no-crop", help="Take the picture whole as one face.")] = False,
    classes: Classes = None,
    model_input: Input = None,
    cam_layer: CamLayer = None,
    allow_pickle: Pickle = False,
) -> None:
    """Explain one picture: each face, what the model says of it, and what it looked at."""
    from audit.explain import explain as explain_picture
    from models.load import load_classifier

    classifier = load_classifier(model, classes, model_input, cam_layer, allow_pickle=allow_pickle)
    for number, face in enumerate(explain_picture(picture, classifier, out, not no_crop), 1):
        print(f"face {number}: {classifier.labels.names[face.predicted]} {face.probabilities[face.predicted]:.0%}")
    print(out)


@review.command()
def queue(
    run: RunFolder,
    kind: Annotated[
        str,
        typer.Option(
            help="likely_wrong, surest (corrections), ambiguous, duplicates, not_a_face, control or disagreements."
        ),
    ] = "likely_wrong",
    top: Annotated[int, typer.Option(metavar="N", min=1, help="How many to list.")] = 20,
    reviews: Reviews = None,
) -> None:
    """List what a queue holds, first things first, and what the review has learned."""
    from reports.terminal import print_queue

    print_queue(open_review(run, reviews), kind, top)


@review.command()
def export(
    run: RunFolder,
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write.")],
    form: Annotated[
        str, typer.Option("--format", help="corrected, archive, fer2013, diff, decisions or label-studio.")
    ] = "corrected",
    no_names: Annotated[bool, typer.Option("--no-names", help="Leave reviewers' names out.")] = False,
    consensus: Annotated[str, typer.Option(help="Of several reviewers: majority or dawid_skene.")] = "majority",
    data: Moved = None,
    reviews: Reviews = None,
) -> None:
    """Hand the decisions out: corrected labels that `train --labels` takes, an archive, a diff, ..."""
    from audit.review.formats import export as write

    service = open_review(run, reviews, consensus)
    print(f"{out}: {write(service, form, lambda: service.run.dataset(data), out, not no_names):,}")


@review.command("import")
def take(
    run: RunFolder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Decisions CSV, or Label Studio's JSON export.")],
    reviewer: Annotated[str | None, typer.Option(help="Who decided, where the file does not say.")] = None,
    reviews: Reviews = None,
) -> None:
    """Take decisions in; reading a file twice records it once."""
    from audit.review.formats import take_in

    print(f"{take_in(open_review(run, reviews), file, reviewer):,} decisions recorded")


@review.command("agreement")
def agree(run: RunFolder, as_json: Json = False, reviews: Reviews = None) -> None:
    """Tell how far reviewers agree: overall, by pair and by class."""
    from reports.terminal import print_agreement

    found = open_review(run, reviews).agreement()
    say({"schema": 1, **found.json()}) if as_json else print_agreement(found)


def open_review(run: Path, reviews: str | None, consensus: str = "majority") -> ReviewService:
    from audit.review.service import ReviewService
    from audit.review.store import ReviewStore
    from audit.run import AuditRun

    opened = AuditRun.open(run)
    return ReviewService(opened, ReviewStore.open(reviews or opened.folder / "reviews.sqlite"), consensus=consensus)


@app.command()
def models() -> None:
    """List the networks a recipe can name and the checkpoints that ship."""
    from models.catalogue import listing

    for line in listing():
        print(line)


def main() -> None:
    """Run the command; wrong input or a wrong call becomes one sentence on standard error and exit code 2."""
    try:
        sys.exit(app(standalone_mode=False) or 0)
    except InputError as error:
        refuse(str(error))
    except TyperException as error:
        refuse(sentence_of(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if not error.filename and error.errno not in UNWRITABLE:
            raise
        reason = error.strerror or str(error)
        what = error.filename or "A file"
        refuse(f"{what} cannot be read or written ({reason}); check the path, the permission and the space left.")


def sentence_of(error: TyperException) -> str:
    """What is wrong with the call, and where its options are described; the help itself where no verb was given."""
    context = getattr(error, "ctx", None)
    text = " ".join(str(getattr(error, "format_message", lambda: error)()).split())
    if context is None or not text:
        return text or str(error)
    param = getattr(error, "param", None)
    words = sys.argv[1:]
    given = next((words[at + 1] for at in range(len(words) - 1) if param and words[at] in param.opts), None)
    value = f" ({given!r} was given)" if given is not None and given not in text else ""
    return f"{text.rstrip('.')}{value}; `{context.command_path} --help` lists what can be passed."


def refuse(sentence: str) -> None:
    print(f"facevalue: {sentence}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
