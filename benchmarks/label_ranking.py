"""How well wrong labels are ranked on FER-2013, with the ten FER+ annotators as the judge and nothing else.

A label is wrong when another of the seven emotions has more votes. Without arguments the shipped checkpoints are
audited on PublicTest; ``--runs RUN ...`` takes finished audits of it instead, each with the committee it was made with
(several are also judged as one committee), ``--model MODEL`` a checkpoint whose ``out_of_fold/`` judges the Training
part (else a shipped one that has it), ``--corrected OUT`` keeps the labels that the simulated reviewer corrected there.

Bars: PublicTest: average precision 0.80, 0.93 of the first 100 wrong, 0.05 above every cleanlab ranking of the same
probabilities; after 200 simulated decisions 0.85 on the rest. Training: of the first 1,000 suggestions, surest first,
0.85 on wrong labels, and 0.75 what most annotators said; the order by the label's score is printed beside it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score

from audit.labels import Folds, LabelIssues, label_issues
from audit.remembered import committee
from audit.review.export import corrected_csv
from audit.review.service import ReviewService
from audit.review.store import ReviewStore
from audit.run import AuditRun
from faces.emotions import LabelSet, canonical, vote_columns
from models import out_of_fold
from tests.conftest import fer2013_folder

ROOT = Path(__file__).parent.parent
DATA = fer2013_folder()
RIVALS = ROOT / "benchmarks" / ".venv" / "bin" / "python"
FEW, MANY, SUGGESTED = 200, 2000, 1000


@dataclass(frozen=True)
class Judged:
    """Votes of the seven emotions (N, K) and labels (N,), in ``classes`` order."""

    votes: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]

    @classmethod
    def of(cls, samples: pd.DataFrame, classes: LabelSet) -> Judged:
        columns = vote_columns(samples)
        votes = samples[[columns[name] for name in classes]].fillna(0).to_numpy(dtype=int)
        return cls(votes, classes.encode(samples["label"]).astype(int), classes.names)

    @property
    def wrong(self) -> np.ndarray:
        return self.votes.max(axis=1) > self.votes[np.arange(len(self.labels)), self.labels]

    def right_suggestion(self, suggested: np.ndarray) -> np.ndarray:
        """bool (N,): nothing has more votes than what is suggested."""
        return self.votes[np.arange(len(suggested)), suggested] == self.votes.max(axis=1)

    def answer(self, row: int) -> str:
        return self.classes[int(self.votes[row].argmax())]


class Bars:
    """Prints measured against wanted and remembers whether all held."""

    def __init__(self) -> None:
        self.held = True

    def check(self, what: str, value: float, least: float) -> None:
        self.held &= value >= least
        print(f"  {what}: {value:.3f} (at least {least:.3f}: {'holds' if value >= least else 'MISSED'})")


def cleanlab_rankings(p: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Every cleanlab ranking, from an environment of its own that is made on the first call."""
    if not RIVALS.is_file():
        venv.create(RIVALS.parent.parent, with_pip=True)
        wanted = str(ROOT / "benchmarks" / "requirements.txt")
        subprocess.run([str(RIVALS), "-m", "pip", "install", "-q", "-r", wanted], check=True)
    with tempfile.TemporaryDirectory() as place:
        source, target = Path(place, "in.npz"), Path(place, "out.npz")
        np.savez(source, p=p, y=y)
        command = [str(RIVALS), str(ROOT / "benchmarks" / "_cleanlab.py"), str(source), str(target)]
        subprocess.run(command, check=True)
        with np.load(target) as found:
            return dict(found)


def first(wrong: np.ndarray, score: np.ndarray, n: int) -> float:
    return float(wrong[np.argsort(-score, kind="stable")[:n]].mean())


def describe(name: str, wrong: np.ndarray, score: np.ndarray) -> float:
    precision = float(average_precision_score(wrong, score))
    print(f"  {name}: average precision {precision:.3f}, first 100 {first(wrong, score, 100):.2f}")
    return precision


def compare(name: str, judged: Judged, p: np.ndarray, issues: LabelIssues) -> tuple[float, float]:
    """Print confidence, ours and cleanlab's; returns our average precision and the best of cleanlab's."""
    wrong, y = judged.wrong, judged.labels
    print(f"{name}: {len(y)} labels, {wrong.mean():.1%} wrong by FER+")
    describe("confidence alone", wrong, 1 - p[np.arange(len(y)), y])
    ours = describe("ours", wrong, issues.score)
    rivals = {rival: describe(f"cleanlab, {rival}", wrong, score) for rival, score in cleanlab_rankings(p, y).items()}
    return ours, max(rivals.values())


def as_run(folder: Path, samples: pd.DataFrame, p: np.ndarray, issues: LabelIssues) -> AuditRun:
    """A run that holds what the review needs."""
    folder.mkdir()
    wanted = ["sample_id", "content_id", "split", "label"]
    samples[wanted].assign(
        predicted=np.array(issues.classes)[p.argmax(axis=1)],
        label_issue_score=issues.score,
        suggested=issues.suggested_names(),
        suggestion_score=issues.suggestion_score,
        contrast=50.0,
    ).to_parquet(folder / "samples.parquet")
    np.save(folder / "probabilities.npy", p.astype(np.float32))
    (folder / "manifest.json").write_text(json.dumps({"schema": 1, "classes": issues.classes, "attributes": []}))
    return AuditRun.open(folder)


def simulate(service: ReviewService, judged: Judged, kind: str, decisions: int) -> tuple[int, int]:
    """Decide the next pictures of a queue as FER+ would; returns how many labels were wrong, of how many asked."""
    found = asked = 0
    rows = service.run.row_of
    for _ in range(decisions):
        sample = service.next(kind, "FER+")
        if sample is None:
            break
        row = rows[sample]
        right = judged.answer(row) if judged.wrong[row] else judged.classes[judged.labels[row]]
        service.decide(sample, "relabel", "FER+", new_label=right)
        found, asked = found + int(judged.wrong[row]), asked + 1
    return found, asked


def opinions(run: AuditRun) -> list[np.ndarray]:
    """Probabilities (N, K) of the run's model and of each member of its committee."""
    return [np.asarray(share, dtype=np.float64) for share in (run.probabilities, *committee(run.folder))]


def public_test(runs: list[AuditRun], bars: Bars, place: Path) -> None:
    """Every run alone, all of them together, and the best of these after a few decisions."""
    samples, classes = runs[0].samples, runs[0].classes
    judged = Judged.of(samples, classes)
    content = samples["content_id"].to_numpy(dtype=object)
    said = [opinions(run) for run in runs]
    for run, own in zip(runs, said, strict=True) if len(runs) > 1 else ():
        issues = label_issues(own[0], judged.labels, classes.names, run.embeddings, None, content, own[1:])
        compare(f"PublicTest, {run.name}", judged, np.mean(own, axis=0), issues)
    shares = [share for own in said for share in own]
    p = np.mean(shares, axis=0)
    issues = label_issues(shares[0], judged.labels, classes.names, runs[0].embeddings, None, content, shares[1:])
    ours, best = compare("PublicTest, " + " and ".join(run.name for run in runs), judged, p, issues)
    bars.check("average precision", ours, 0.80)
    bars.check("first 100", first(judged.wrong, issues.score, 100), 0.93)
    bars.check("above cleanlab's best", ours - best, 0.05)
    with ReviewStore.open(place / "few.sqlite") as store:
        service = ReviewService(as_run(place / "few", samples, p, issues), store)
        _, asked = simulate(service, judged, "control", FEW)
        rest = np.isin(samples["sample_id"], service.queue("likely_wrong", "FER+"))
        learned = average_precision_score(judged.wrong[rest], service.learned.score[rest])
        print("  " + "; ".join(service.learned.sentences))
        bars.check(f"average precision on the rest after {asked} decisions", float(learned), 0.85)


@dataclass(frozen=True)
class Folded:
    """The Training part as MODEL's out-of-fold answers see it."""

    samples: pd.DataFrame
    judged: Judged
    p: np.ndarray
    issues: LabelIssues

    @classmethod
    def of(cls, model: Path) -> Folded:
        folder = model / out_of_fold.FOLDER
        samples = pd.read_parquet(folder / out_of_fold.SAMPLES)
        classes = LabelSet(tuple(json.loads((model / "card.json").read_text())["classes"]))
        p = np.load(folder / out_of_fold.PROBABILITIES).astype(np.float64)
        votes = pd.read_csv(DATA / "metadata.csv").set_index("image")
        named = samples["sample_id"].str.rsplit("/", n=1).str[-1]
        samples = samples.assign(split="train", **{name: votes[name].reindex(named).to_numpy() for name in votes})
        samples["label"] = samples["label"].map(canonical)
        judged = Judged.of(samples, classes)
        content = samples["content_id"].to_numpy(dtype=object)
        folds = Folds(np.load(folder / out_of_fold.EMBEDDINGS), samples["fold"].to_numpy())
        issues = label_issues(p, judged.labels, classes.names, None, p, content, folds=folds)
        return cls(samples, judged, p, issues)

    def decided(self, place: Path, corrected: Path | None = None) -> tuple[int, int, int]:
        """FER+ decides MANY pictures, FEW of them at random: wrong labels found at random, in order, and asked.

        ``corrected`` keeps what came of it.
        """
        with ReviewStore.open(place / "many.sqlite") as store:
            service = ReviewService(as_run(place / "many", self.samples, self.p, self.issues), store)
            control, asked = simulate(service, self.judged, "control", FEW)
            found, more = simulate(service, self.judged, "likely_wrong", MANY - asked)
            if corrected is not None:
                print(f"  {corrected}: {corrected_csv(service.run, service.verdicts(), corrected)} labels changed")
        return control, found, asked + more


def correct_by_votes(model: Path, out: Path) -> None:
    """Write the labels that a reviewer who answers as FER+ did corrects with MANY decisions."""
    with tempfile.TemporaryDirectory() as place:
        Folded.of(model).decided(Path(place), out)


def training_part(model: Path, bars: Bars, place: Path, corrected: Path | None) -> None:
    """Judged out of fold."""
    folded = Folded.of(model)
    judged, issues = folded.judged, folded.issues
    compare("Training, out of fold", judged, folded.p, issues)
    right = judged.right_suggestion(issues.suggested)
    surest, doubtful = issues.surest[:SUGGESTED], issues.order[:SUGGESTED]
    bars.check("first 1,000 suggestions: label wrong", float(judged.wrong[surest].mean()), 0.85)
    bars.check("first 1,000 suggestions: suggestion right", float(right[surest].mean()), 0.75)
    print(
        f"  the first 1,000 by the score of the label instead: {judged.wrong[doubtful].mean():.3f} wrong, suggestion "
        f"right in {right[doubtful].mean():.3f}"
    )
    rival = max(
        (float(judged.wrong[np.argsort(-score, kind="stable")[:MANY]].sum()), name)
        for name, score in cleanlab_rankings(folded.p, judged.labels).items()
    )
    control, found, asked = folded.decided(place, corrected)
    print(
        f"  a reviewer with {asked} decisions finds {control + found} wrong labels ({control} of them in {FEW} random "
        f"ones); at random {MANY * judged.wrong.mean():.0f}, in cleanlab's best order ({rival[1]}) {rival[0]:.0f}"
    )


def audited(place: Path) -> list[AuditRun]:
    """The shipped checkpoints, audited on PublicTest."""
    runs = []
    for model in sorted(path.parent for path in (ROOT / "models" / "weights").glob("*/card.json")):
        out = place / model.name
        command = [
            sys.executable,
            "-m",
            "facevalue",
            "audit",
            DATA / "archive.zip",
            "--metadata",
            DATA / "metadata.csv",
        ]
        subprocess.run([*command, "--split", "test", "--model", model, "--out", out], check=True, cwd=ROOT)
        runs.append(AuditRun.open(out))
    return runs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, nargs="*", default=[])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--corrected", type=Path)
    given = parser.parse_args()
    folded = sorted((ROOT / "models" / "weights").glob(f"*/{out_of_fold.FOLDER}"))
    model = given.model or (folded[0].parent if folded else None)
    bars = Bars()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        runs = [AuditRun.open(run) for run in given.runs] or audited(place)
        if runs:
            public_test(runs, bars, place)
        if model is not None:
            training_part(model, bars, place, given.corrected)
    if not runs or model is None:
        part = "PublicTest: no checkpoint is in models/weights" if not runs else "Training: no --model with out_of_fold"
        print(f"Could not be measured: {part}.")
        return 1
    return 0 if bars.held else 1


if __name__ == "__main__":
    sys.exit(main())
