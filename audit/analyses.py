"""From what was scored to what it means: every result table and the findings of a run. Torch-free.

Reads samples.parquet, probabilities.npy and embeddings.npy in a run's folder; adds ``duplicate_group``,
``label_issue_score``, ``suggested`` and ``suggestion_score`` to the samples; writes results/ and findings.json. Equal
input gives equal bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from audit import calibration, confusion, duplicates, findings, sentences
from audit.counts import Coded, Tally, attribute_sets
from audit.family import ALPHA, Comparisons, attribute_rng, compare_groups
from audit.jsonsafe import as_json
from audit.labels import LabelIssues, label_issues
from audit.remembered import committee, recall
from audit.run import findings_json
from audit.slices import weak_slices
from audit.strangeness import strangeness
from audit.subjects import by_subject
from audit.terms import Terms
from audit.views import OTHER_MODEL, evidence_of, group_views, vote_agreement
from faces.emotions import LabelSet

TEXT_COLUMNS = (
    "attribute", "group", "label", "predicted", "class", "class_a", "class_b", "metric", "reference", "reason", "kind",
    "worst", "best", "view", "slice", "sample_id", "content_id", "split", "suggested", "sentence",
)  # fmt: skip
LIST_COLUMNS = ("omitted", "conditions", "kinds")


def analyse(folder: Path, manifest: dict, seed: int) -> None:
    """Write results/, findings.json and the finished samples.parquet of the run in ``folder``.

    ``manifest`` needs ``classes`` (in the order of the probabilities' columns) and ``attributes``; its ``model`` says
    under ``trained_on`` how many training images the model names, 0 or absent where it names none. Its ``options`` may
    hold ``label_mix`` (class to share), ``references`` (attribute to group), ``min_group`` and ``crossed``.
    """
    classes, attributes = tuple(manifest["classes"]), tuple(manifest["attributes"])
    probabilities = np.load(folder / "probabilities.npy", mmap_mode="r")
    embeddings = _embeddings(folder)
    samples = pd.read_parquet(folder / "samples.parquet")
    copies = duplicates.exact_groups(samples)
    issues = _judge_labels(samples, probabilities, embeddings, classes, folder)
    thumbnails = _thumbnails(folder)
    samples = _finished(samples, copies, issues, thumbnails)
    coded = Coded.of(samples, classes, attributes, probabilities)
    terms = Terms.of(coded, manifest.get("options"))
    comparisons = _compared(coded, samples, attributes, seed, terms)
    tables = {
        **_whole_set(coded, attributes, seed, terms.crossed),
        **_groups(comparisons),
        "views": group_views(coded, samples, attributes, _evidence(folder, samples, classes), terms),
        "slices": weak_slices(coded, samples, embeddings, seed),
        "duplicates": _all_copies(samples, thumbnails, embeddings),
        **({} if issues is None else {"label_issues": _issues_table(samples, issues)}),
    }
    trained_on = bool((manifest["model"] or {}).get("trained_on"))
    found = (
        *findings.data_findings(samples, copies),
        *findings.near_copies_finding(tables["duplicates"]),
        *findings.model_findings(coded.counts(), tables["pairs"], coded.bins(), samples, trained_on),
        *findings.fairness_findings(comparisons, attributes, terms.min_group),
        *findings.slice_findings(tables["slices"]),
        *findings.label_findings(samples, issues is not None, coded.counts()),
        *([] if issues is None else findings.memory_finding(samples, issues.fresh)),
    )
    results = folder / "results"
    results.mkdir(exist_ok=True)
    for name, table in tables.items():
        write_table(table, results / f"{name}.parquet")
    (results / "fairness.json").write_text(as_json(_fairness_notes(coded, comparisons, samples, terms)))
    (results / "calibration.json").write_text(as_json(_calibration_figures(coded.bins())))
    samples.to_parquet(folder / "samples.parquet", index=False)
    (folder / "findings.json").write_text(findings_json(found))


def _compared(coded: Coded, samples: pd.DataFrame, attributes: tuple[str, ...], seed: int, terms: Terms) -> Comparisons:
    comparisons = compare_groups(coded, attributes, seed, terms, vote_agreement(samples, coded))
    if "subject_id" not in samples or not len(coded):
        return comparisons
    return by_subject(comparisons, coded, samples["subject_id"], terms.mix, seed)


def _whole_set(coded: Coded, attributes: tuple[str, ...], seed: int, crossed: int) -> dict[str, pd.DataFrame]:
    counts = coded.counts()
    return {
        "counts": _all_counts(coded, attributes, crossed),
        "per_class": confusion.per_class(counts, attribute_rng(seed, "")),
        "pairs": confusion.confusable_pairs(counts),
        "calibration": _reliability(coded, attributes, crossed),
    }


def _groups(comparisons: Comparisons) -> dict[str, pd.DataFrame]:
    told = [sentences.disparity(row) for row in comparisons.disparities.to_dict("records")]
    return {
        "groups": comparisons.groups,
        "class_groups": comparisons.classes,
        "disparities": comparisons.disparities.assign(sentence=told),
        "ranges": comparisons.ranges,
        "decomposition": comparisons.decomposition,
        "power": comparisons.power,
    }


def _embeddings(folder: Path) -> np.ndarray | None:
    path = folder / "embeddings.npy"
    return np.load(path, mmap_mode="r") if path.is_file() else None


def _evidence(folder: Path, samples: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, np.ndarray]:
    path = folder / OTHER_MODEL
    return evidence_of(samples, LabelSet(classes), np.load(path) if path.is_file() else None)


def _judge_labels(
    samples: pd.DataFrame,
    probabilities: np.ndarray,
    embeddings: np.ndarray | None,
    classes: tuple[str, ...],
    folder: Path,
) -> LabelIssues | None:
    """Every label judged, also by what the committee and the model's memory in ``folder`` say.

    None where there is not one row with probabilities and a label.
    """
    labels = pd.Index(classes).get_indexer(samples["label"])
    if not (np.isfinite(probabilities[:, 0]) & (labels >= 0)).any():
        return None
    content = samples["content_id"].to_numpy(dtype=object)
    seen = samples["seen_in_training"].to_numpy(dtype=bool) if "seen_in_training" in samples else None
    known = recall(folder)
    return label_issues(
        np.asarray(probabilities), labels, classes, embeddings, known.probabilities, content, committee(folder), seen,
        known.folds, known.dynamics,
    )  # fmt: skip


def _issues_table(samples: pd.DataFrame, issues: LabelIssues) -> pd.DataFrame:
    """One line a sample that could be judged: score, suggestion, every piece of evidence, and the reason in words."""
    table = issues.frame()
    table.insert(0, "sample_id", samples["sample_id"].to_numpy())
    return table[table["label_issue_score"].notna()].reset_index(drop=True)


def _thumbnails(folder: Path) -> np.ndarray:
    """Of all pictures (N, SIDE * SIDE), or of none (0, SIDE * SIDE) where the run has no pictures."""
    path = folder / duplicates.THUMBNAILS
    return np.load(path) if path.is_file() else np.zeros((0, duplicates.SIDE**2), np.float16)


def _all_copies(samples: pd.DataFrame, thumbnails: np.ndarray, embeddings: np.ndarray | None) -> pd.DataFrame:
    """Groups of exact, near and mirrored copies; exact ones alone where there are no thumbnails to compare."""
    pairs = duplicates.similar_pairs(thumbnails)
    if embeddings is not None and len(thumbnails):
        pairs = pd.concat([pairs, duplicates.moved_pairs(thumbnails, embeddings)]).drop_duplicates(["a", "b"])
    return duplicates.near_groups(samples, pairs)


def _finished(
    samples: pd.DataFrame, copies: pd.DataFrame, issues: LabelIssues | None, thumbnails: np.ndarray
) -> pd.DataFrame:
    nothing = np.full(len(samples), np.nan)
    return samples.assign(
        duplicate_group=copies["duplicate_group"].astype("Int64").reindex(samples.index),
        label_issue_score=nothing if issues is None else issues.score,
        suggested=pd.Series(
            [None] * len(samples) if issues is None else issues.suggested_names(), index=samples.index, dtype="str"
        ),
        suggestion_score=nothing if issues is None else issues.suggestion_score,
        strangeness=strangeness(samples, thumbnails),
    )


def _all_counts(coded: Coded, attributes: tuple[str, ...], crossed: int) -> pd.DataFrame:
    sets = ((), *attribute_sets(attributes, crossed))
    return pd.concat([coded.counts(names).frame() for names in sets], ignore_index=True)


def _reliability(coded: Coded, attributes: tuple[str, ...], crossed: int) -> pd.DataFrame:
    empty = Tally("", (), np.zeros((0, 1, 3)))
    tallies = [coded.bins(names) or empty for names in ((), *attribute_sets(attributes, crossed))]
    return pd.concat([calibration.reliability(tally) for tally in tallies], ignore_index=True)


def _calibration_figures(bins: Tally | None) -> dict[str, float | None]:
    names = ("ece", "ece_debiased", "mean_confidence")
    if bins is None:
        return dict.fromkeys(names)
    table = bins.table.sum(axis=0)
    return {
        "ece": float(calibration.expected_calibration_error(table)),
        "ece_debiased": float(calibration.debiased_calibration_error(table)),
        "mean_confidence": float(calibration.mean_confidence(table)),
    }


def _fairness_notes(coded: Coded, comparisons: Comparisons, samples: pd.DataFrame, terms: Terms) -> dict:
    """What a reader must know to judge the fairness figures."""
    return {
        "mix": dict(zip(coded.classes, terms.mix, strict=True)),
        "references": comparisons.references,
        "min_group": terms.min_group,
        "alpha": ALPHA,
        "family": int(
            comparisons.ranges["p_value"].notna().sum()
            + (comparisons.disparities["p_adjusted"].notna() & (comparisons.disparities["metric"] == "accuracy")).sum()
        ),
        "independence": _independence(coded, samples),
    }


def _independence(coded: Coded, samples: pd.DataFrame) -> str:
    if "subject_id" not in samples:
        return "Images are taken to be independent: the data does not say which show the same person."
    named = samples["subject_id"].iloc[coded.rows].nunique()
    return f"Intervals and tests resample the {named} persons pictured, since images of one person are alike."


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a result table whose column types depend on the columns' names and kinds, never on the values met."""
    fields = [(name, _type(name, table[name])) for name in table.columns]
    columns = [pa.array(table[name], kind, from_pandas=kind in (pa.string(), None)) for name, kind in fields]
    pq.write_table(pa.table(columns, names=[name for name, _ in fields]), path)


def _type(name: str, column: pd.Series) -> pa.DataType | None:
    if name in TEXT_COLUMNS:
        return pa.string()
    if name in LIST_COLUMNS:
        return pa.list_(pa.string())
    return pa.float64() if column.dtype == object else None
