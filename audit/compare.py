"""Two runs on the same samples: is one really better, for whom, and which images changed sides?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from audit.counts import CROSS, Coded, attribute_sets
from audit.fairness import MIN_GROUP
from audit.family import ALPHA
from audit.intervals import LEVEL, Interval, holm, ratio, wilson
from audit.jsonsafe import plain, records
from audit.leaderboard import told_apart
from audit.run import SCHEMA_VERSION, AuditRun
from audit.sentences import of_group, percent, whole
from audit.standardise import label_mix, standardised_accuracy
from faces.errors import InputError


@dataclass(frozen=True)
class Comparison:
    """Run A against run B on the images that both judged, B minus A throughout.

    ``samples``: sample_id, label, predicted_a, predicted_b, right_a, right_b and both confidences, one row an image.
    ``overall`` and every row of ``groups`` (attribute, group) and ``classes`` (class) hold n, accuracy_a, accuracy_b,
    difference with ``_low`` and ``_high``, gained (right only in B), lost (right only in A), p_value (McNemar);
    ``groups`` also p_adjusted (Holm), standardised_a and standardised_b. ``gaps``: the gap of each group to the
    reference in both runs. ``confusion_a`` and ``confusion_b`` are (K, K).
    """

    name_a: str
    name_b: str
    classes: tuple[str, ...]
    samples: pd.DataFrame
    overall: dict
    per_class: pd.DataFrame
    groups: pd.DataFrame
    gaps: pd.DataFrame
    confusion_a: np.ndarray
    confusion_b: np.ndarray
    left_out: int

    def flips(self, to: str = "b") -> pd.DataFrame:
        """The images right only in run ``to`` (``a`` or ``b``), the most confident change first."""
        other = "a" if to == "b" else "b"
        rows = self.samples[self.samples[f"right_{to}"] & ~self.samples[f"right_{other}"]]
        return rows.sort_values(f"confidence_{to}", ascending=False, kind="stable", ignore_index=True)

    def json(self) -> dict:
        """The comparison as a JSON-safe dict; at most 1,000 flips each way."""
        columns = ["sample_id", "label", "predicted_a", "predicted_b", "confidence_a", "confidence_b"]
        return plain(
            {
                "schema": SCHEMA_VERSION,
                "a": self.name_a,
                "b": self.name_b,
                "classes": self.classes,
                "overall": self.overall,
                "changes": changes_told(self),
                "per_class": records(self.per_class),
                "groups": records(self.groups),
                "gaps": records(self.gaps),
                "confusion": {"a": self.confusion_a, "b": self.confusion_b},
                "gained": records(self.flips("b")[columns].head(1000)),
                "lost": records(self.flips("a")[columns].head(1000)),
                "left_out": self.left_out,
            }
        )  # type: ignore[return-value]


def compare(run_a: AuditRun, run_b: AuditRun) -> Comparison:
    """Compare two runs image by image. Images match by sample_id, and where both know the pixels by content too.

    Raises InputError where the runs share no image, or have other classes.
    """
    if set(run_a.classes) != set(run_b.classes):
        raise InputError(
            f"The runs have other classes ({', '.join(run_a.classes)} and {', '.join(run_b.classes)}); runs of the "
            "same classes were expected: audit both models with the same ones."
        )
    classes = run_a.classes.names
    joined, left_out = _join(run_a, run_b)
    attributes = tuple(name for name in run_a.attributes if name in run_b.attributes)
    sides = [joined.assign(predicted=joined[f"predicted_{side}"], status="ok") for side in ("a", "b")]
    coded = [Coded.of(side, classes, attributes) for side in sides]
    right = joined["right_a"].to_numpy(), joined["right_b"].to_numpy()
    per_class = pd.DataFrame(
        [{"class": name, **paired(*(side[(joined["label"] == name).to_numpy()] for side in right))} for name in classes]
    )
    references = run_a.result("fairness")["references"]
    groups, gaps = _groups(coded[0], coded[1], attributes, references)
    name_a, name_b = told_apart((run_a, run_b))
    return Comparison(
        name_a, name_b, classes, joined, paired(*right), per_class, groups, gaps,
        coded[0].counts().confusion, coded[1].counts().confusion, left_out,
    )  # fmt: skip


def _join(run_a: AuditRun, run_b: AuditRun) -> tuple[pd.DataFrame, int]:
    """The images with a label and a prediction in both, in A's order, and how many are in one run alone or differ."""
    columns = ["sample_id", "content_id", "label", "predicted", "confidence"]
    attributes = [name for name in run_a.attributes if name in run_b.attributes]
    first = run_a.samples.loc[run_a.samples["status"] == "ok", [*columns, *attributes]]
    second = run_b.samples.loc[run_b.samples["status"] == "ok", columns]
    joined = first.merge(second, on="sample_id", suffixes=("_a", "_b"), how="inner")
    content = joined["content_id_a"], joined["content_id_b"]
    same = (content[0] == content[1]) | content[0].isna() | content[1].isna()
    joined = joined[same & (joined["label_a"] == joined["label_b"])].reset_index(drop=True)
    if joined.empty:
        raise InputError(
            f"The runs {run_a.name} and {run_b.name} share no image with the same label; two audits of the same data "
            "were expected: compare runs of one data set."
        )
    joined = joined.rename(columns={"label_a": "label"}).drop(columns=["label_b", "content_id_a", "content_id_b"])
    joined["right_a"] = joined["predicted_a"] == joined["label"]
    joined["right_b"] = joined["predicted_b"] == joined["label"]
    return joined, len(first) + len(second) - 2 * len(joined)


def paired(right_a: np.ndarray, right_b: np.ndarray) -> dict:
    """Accuracy in both, the difference with its interval, images gained and lost, and McNemar's exact p-value."""
    n, gained, lost = len(right_a), int((right_b & ~right_a).sum()), int((right_a & ~right_b).sum())
    low, high = paired_interval(int((right_a & right_b).sum()), gained, lost, n)
    return {
        "n": n,
        "accuracy_a": float(ratio(right_a.sum(), n)),
        "accuracy_b": float(ratio(right_b.sum(), n)),
        "difference": float(ratio(gained - lost, n)),
        "difference_low": low,
        "difference_high": high,
        "gained": gained,
        "lost": lost,
        "p_value": float(stats.binomtest(gained, gained + lost).pvalue) if gained + lost else float("nan"),
    }


def paired_interval(both: int, gained: int, lost: int, n: int, level: float = LEVEL) -> Interval:
    """Interval of the difference of two proportions of the same images (Newcombe 1998b, method 10)."""
    if not n:
        return Interval(np.full((), np.nan), np.full((), np.nan))
    neither = n - both - gained - lost
    first, second = (both + gained) / n, (both + lost) / n
    of_first, of_second = wilson(both + gained, n, level), wilson(both + lost, n, level)
    margins = np.float64((both + gained) * (neither + lost)) * (both + lost) * (neither + gained)
    agreement = float(both) * neither - float(gained) * lost
    # Newcombe's continuity correction keeps a positive association from narrowing the interval too far.
    agreement = max(agreement - n / 2, 0.0) if agreement > 0 else agreement
    phi = agreement / float(np.sqrt(margins)) if margins > 0 else 0.0
    below, above = first - of_first.low, of_second.high - second
    over, under = of_first.high - first, second - of_second.low
    low = first - second - np.sqrt(np.maximum(below**2 - 2 * phi * below * above + above**2, 0.0))
    high = first - second + np.sqrt(np.maximum(over**2 - 2 * phi * over * under + under**2, 0.0))
    return Interval(low, high)


def _groups(
    first: Coded, second: Coded, attributes: tuple[str, ...], references: Mapping[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    right = first.label == first.predicted, second.label == second.predicted
    mix = label_mix(first.counts().labelled[0])
    rows, gaps = [], []
    for chosen in attribute_sets(attributes):
        names, codes = first.grouping(chosen)
        counts = first.counts(chosen), second.counts(chosen)
        standard = [standardised_accuracy(one.correct, one.labelled, mix).value for one in counts]
        own = [
            {"attribute": CROSS.join(chosen), "group": name, **paired(*(side[codes == at] for side in right)),
             "standardised_a": standard[0][at], "standardised_b": standard[1][at]}
            for at, name in enumerate(names)
        ]  # fmt: skip
        rows += own
        gaps += _gaps(own, references.get(CROSS.join(chosen)))
    groups = pd.DataFrame(rows, columns=[*GROUP_COLUMNS])
    tested = groups["p_value"].where((groups["n"] >= MIN_GROUP) & ~groups["attribute"].str.contains(CROSS, regex=False))
    groups["p_adjusted"] = holm(tested.to_numpy(dtype=float))
    return groups, pd.DataFrame(gaps, columns=[*GAP_COLUMNS])


PAIRED = (
    "n", "accuracy_a", "accuracy_b", "difference", "difference_low", "difference_high", "gained", "lost", "p_value",
)  # fmt: skip
GROUP_COLUMNS = ("attribute", "group", *PAIRED, "standardised_a", "standardised_b")
GAP_COLUMNS = (
    "attribute", "reference", "group", "gap_a", "gap_b", "change", "standardised_gap_a", "standardised_gap_b",
    "standardised_change",
)  # fmt: skip


def _gaps(rows: list[dict], named: str | None) -> list[dict]:
    """The gap of each group to run A's reference (the largest where it has none), in both runs, and how it changed."""
    if not rows:
        return []
    largest = max(rows, key=lambda row: row["n"])
    reference = next((row for row in rows if row["group"] == named), largest)
    found = []
    for row in rows:
        if row is reference:
            continue
        gap = {"attribute": row["attribute"], "reference": reference["group"], "group": row["group"]}
        for name, figure in (("", "accuracy"), ("standardised_", "standardised")):
            for side in ("a", "b"):
                gap[f"{name}gap_{side}"] = row[f"{figure}_{side}"] - reference[f"{figure}_{side}"]
            gap[f"{name}change"] = gap[f"{name}gap_b"] - gap[f"{name}gap_a"]
        found.append(gap)
    return found


def changed_cells(comparison: Comparison) -> pd.DataFrame:
    """The cells of one confusion matrix against the other: label, predicted, n_a, n_b, change, largest change first."""
    label, predicted = np.indices(comparison.confusion_a.shape).reshape(2, -1)
    names = np.array(comparison.classes, dtype=object)
    n_a, n_b = comparison.confusion_a.ravel(), comparison.confusion_b.ravel()
    frame = pd.DataFrame(
        {"label": names[label], "predicted": names[predicted], "n_a": n_a, "n_b": n_b, "change": n_b - n_a}
    )
    order = frame["change"].abs().sort_values(ascending=False, kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def summary_sentence(comparison: Comparison) -> str:
    """The comparison in one sentence."""
    one = comparison.overall
    better = comparison.name_b if one["difference"] >= 0 else comparison.name_a
    verdict = f"{better} is better" if one["p_value"] < ALPHA else "the two could not be told apart"
    p = "" if math.isnan(one["p_value"]) else f", McNemar's p {max(one['p_value'], 0.001):.3f}"
    p = p.replace(" 0.001", " under 0.001") if one["p_value"] < 0.001 else p
    return (
        f"{comparison.name_a} gets {one['accuracy_a']:.1%} right and {comparison.name_b} {one['accuracy_b']:.1%} of "
        f"{one['n']:,} images ({one['gained']:,} gained, {one['lost']:,} lost{p}): {verdict}."
    )


def changes_told(comparison: Comparison) -> tuple[str, ...]:
    """For which classes and groups run B is worse and better, a sentence each; and the largest fall, sure or not.

    Classes and groups of single attributes of at least MIN_GROUP images, McNemar's p-values adjusted by Holm over all.
    """
    groups = comparison.groups
    groups = groups[~groups["attribute"].astype(str).str.contains(CROSS, regex=False)]
    named = [
        comparison.per_class.assign(name=comparison.per_class["class"]),
        groups.assign(name=[of_group(str(row[0]), str(row[1])) for row in groups[["attribute", "group"]].to_numpy()]),
    ]
    rows = pd.concat([frame[["name", *PAIRED]] for frame in named], ignore_index=True)
    rows = rows[rows["n"] >= MIN_GROUP].sort_values("difference", kind="stable", ignore_index=True)
    if rows.empty:
        return ()
    sure = holm(rows["p_value"].to_numpy(dtype=float)) < ALPHA
    told = []
    for word, chosen in (("worse", sure & (rows["difference"] < 0)), ("better", sure & (rows["difference"] > 0))):
        parts = [f"{row['name']} ({_fell(row)})" for row in rows[chosen].to_dict("records")]
        told.append(
            f"{comparison.name_b} is {word} for {', '.join(parts)}."
            if parts
            else f"For no class and no group is {comparison.name_b} {word} beyond chance."
        )
    lowest = rows.iloc[0].to_dict()
    if lowest["difference"] < 0 and not sure[0]:
        limits = f"{_points(lowest['difference_low'])} to {_points(lowest['difference_high'])}"
        told.append(f"The largest fall is for {lowest['name']} ({_fell(lowest)}; 95% interval {limits} points).")
    return tuple(told)


def _fell(row: dict) -> str:
    return f"{percent(row['accuracy_a'])} to {percent(row['accuracy_b'])} of {whole(row['n'])}"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
