"""The gate: does a run hold to a policy? For CI: a table, JUnit XML and an exit code.

A policy is a TOML file; every table and field is optional, unknown ones are errors:

    judge = "near"                # which end of the interval is held against a limit: near, far or estimate
    [floors]                      # of the whole set
    accuracy = 0.60
    balanced_accuracy = 0.55
    macro_f1 = 0.55
    recall = { fear = 0.40, "*" = 0.30 }      # "*" stands for every class not named
    precision = { "*" = 0.30 }
    [group_floors]                # of every group that is large enough
    accuracy = 0.50
    standardised_accuracy = 0.50
    [gaps]                        # the largest allowed absolute difference to the reference group
    judge = "far"
    attributes = ["apparent_gender"]          # those audited, unless named; "gender x race" is an intersection
    accuracy = 0.10
    standardised_accuracy = 0.08
    recall = 0.20
    false_positive_rate = 0.10
    selection_rate = 0.20
    equalised_odds = 0.25
    [calibration]
    ece_debiased = 0.10
    [findings]
    forbidden = ["FV-M001", "FV-D004"]        # codes that must not be found
    [baseline]
    run = "runs/before"           # from the policy's folder
    accuracy_drop = 0.01
    recall_drop = 0.05
    gap_growth = 0.02             # of standardised gaps

``near`` fails only what the whole interval shows to be beyond the limit; ``far`` passes only what the whole interval
shows to be within it; ``estimate`` looks at the point value.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from audit import confusion
from audit.compare import Comparison, compare
from audit.counts import CROSS, OVERALL, Counts
from audit.fairness import bootstrap_intervals
from audit.family import attribute_rng
from audit.run import AuditRun
from audit.sentences import of_group
from audit.summary import accuracy as accuracy_of
from faces.emotions import canonical
from faces.errors import InputError

Share = Annotated[float, Field(ge=0, le=1)]
Judge = Literal["near", "far", "estimate"]
HOLDS, SHORT, UNCHECKED = "holds", "falls short", "could not be checked"
OF_INTERSECTIONS = ("accuracy", "standardised_accuracy", "recall")
"""Gaps that are measured for intersections too."""
CODES = tuple(
    f"FV-{kind}{number:03}"
    for kind, last in (("D", 7), ("M", 5), ("F", 4), ("S", 5), ("L", 2))
    for number in range(1, last + 1)
)
"""What findings there can be."""
OF_PIXELS = ("FV-D004", "FV-D005", "FV-D006", "FV-D007")
EXIT = {HOLDS: 0, SHORT: 1, UNCHECKED: 2}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Floors(_Part):
    """Least values of the whole set; per class by name, ``*`` for the rest."""

    judge: Judge | None = None
    accuracy: Share | None = None
    balanced_accuracy: Share | None = None
    macro_f1: Share | None = None
    recall: dict[str, Share] = {}
    precision: dict[str, Share] = {}


class GroupFloors(_Part):
    """Least values of each group."""

    judge: Judge | None = None
    attributes: tuple[str, ...] | None = None
    accuracy: Share | None = None
    standardised_accuracy: Share | None = None


class Gaps(_Part):
    """Largest absolute differences to the reference group."""

    judge: Judge | None = None
    attributes: tuple[str, ...] | None = None
    accuracy: Share | None = None
    standardised_accuracy: Share | None = None
    recall: Share | None = None
    false_positive_rate: Share | None = None
    selection_rate: Share | None = None
    equalised_odds: Share | None = None


class Calibration(_Part):
    """Largest calibration errors."""

    ece: Share | None = None
    ece_debiased: Share | None = None


class Findings(_Part):
    """Codes that must not be found."""

    forbidden: tuple[str, ...] = ()

    @field_validator("forbidden")
    @classmethod
    def _known(cls, codes: tuple[str, ...]) -> tuple[str, ...]:
        codes = tuple(code.upper() for code in codes)
        if unknown := [code for code in codes if code not in CODES]:
            raise ValueError(f"{unknown[0]} is no finding's code; there are {', '.join(CODES)}")
        return codes


class Baseline(_Part):
    """A run on the same images, and how far the audited one may fall behind it."""

    run: Path
    judge: Judge | None = None
    accuracy_drop: Share | None = None
    recall_drop: Share | None = None
    gap_growth: Share | None = None


class Policy(_Part):
    """See the module's text."""

    judge: Judge = "near"
    floors: Floors = Floors()
    group_floors: GroupFloors = GroupFloors()
    gaps: Gaps = Gaps()
    calibration: Calibration = Calibration()
    findings: Findings = Findings()
    baseline: Baseline | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Policy:
        tables = self.model_dump(exclude_defaults=True, exclude={"judge"}).values()
        if not any(set(table) - {"judge", "attributes", "run"} for table in tables):
            raise ValueError("it asks nothing; at least one floor, gap or other limit was expected")
        return self


@dataclass(frozen=True)
class Rule:
    """One limit held against one figure; ``value``, ``low`` and ``high`` are None where undefined."""

    group: str
    name: str
    limit: str
    outcome: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Verdict:
    """Every rule of a policy with its outcome."""

    run: str
    rules: tuple[Rule, ...]

    @property
    def exit_code(self) -> int:
        """0: all hold; 1: one falls short; 2: none falls short but one could not be checked."""
        outcomes = {rule.outcome for rule in self.rules}
        return EXIT[next((one for one in (SHORT, UNCHECKED) if one in outcomes), HOLDS)]

    def lines(self) -> list[str]:
        """The table for a terminal, one line a rule."""
        width = max(len(rule.name) for rule in self.rules)
        return [
            f"{rule.outcome:<20}  {rule.name:<{width}}  {_figure(rule):<24}  {rule.limit}"
            + (f"  ({rule.reason})" if rule.reason else "")
            for rule in self.rules
        ]

    def junit(self) -> str:
        """JUnit XML: a rule that falls short is a failure, one that could not be checked an error."""
        count = {outcome: sum(rule.outcome == outcome for rule in self.rules) for outcome in EXIT}
        suite = ElementTree.Element(
            "testsuite", name=f"facevalue gate {self.run}", tests=str(len(self.rules)),
            failures=str(count[SHORT]), errors=str(count[UNCHECKED]),
        )  # fmt: skip
        for rule in self.rules:
            case = ElementTree.SubElement(suite, "testcase", classname=rule.group, name=rule.name)
            if rule.outcome != HOLDS:
                tag = "failure" if rule.outcome == SHORT else "error"
                message = rule.reason or f"{_figure(rule)}; {rule.limit} was asked"
                ElementTree.SubElement(case, tag, message=message)
        ElementTree.indent(suite)
        return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def load_policy(path: Path | str) -> Policy:
    """Read and check a policy. Raises InputError naming the field that is wrong."""
    path = Path(path)
    try:
        policy = Policy.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InputError(f"The policy {path} cannot be read ({error.strerror}); a TOML file was expected.") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "as a whole"
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(
            f"The policy {path}, {field}: {message}; docs/reports.md lists its fields under Gate."
        ) from None
    except ValueError as error:
        raise InputError(f"The policy {path} is no TOML ({error}); correct it there.") from None
    if policy.baseline is None:
        return policy
    base = policy.baseline.model_copy(update={"run": path.parent / policy.baseline.run})
    return policy.model_copy(update={"baseline": base})


def gate(run: AuditRun, policy: Policy) -> Verdict:
    """Hold a run to a policy. Raises InputError for names the run does not know and a baseline that is no run."""
    rules = [*_floors(run, policy), *_group_floors(run, policy), *_gaps(run, policy), *_calibration(run, policy)]
    rules += [*_findings(run, policy), *_baseline(run, policy)]
    return Verdict(run.name, tuple(rules))


def _floors(run: AuditRun, policy: Policy) -> Iterator[Rule]:
    floors, judge = policy.floors, policy.floors.judge or policy.judge
    counts = Counts.from_frame(run.table("counts"), OVERALL, run.classes.names)
    if floors.accuracy is not None:
        figure = accuracy_of(counts.confusion)
        yield at_least("floors", "accuracy", floors.accuracy, (figure["value"], figure["low"], figure["high"]), judge)
    for name in ("balanced_accuracy", "macro_f1"):
        limit = getattr(floors, name)
        if limit is not None:
            metric = getattr(confusion, name)
            rng = attribute_rng(int(run.manifest["seed"]), OVERALL)
            ((low, high),) = bootstrap_intervals(counts.table, (metric,), rng)
            figures = (float(metric(counts.confusion)), float(low[0]), float(high[0]))
            yield at_least("floors", name.replace("_", " "), limit, figures, judge)
    per_class = run.table("per_class").set_index("class")
    for name in ("recall", "precision"):
        for label, limit in _by_class(getattr(floors, name), run).items():
            figures = tuple(per_class.loc[label, [name, f"{name}_low", f"{name}_high"]])
            yield at_least("floors", f"{name} of {label}", limit, figures, judge)


def _by_class(limits: dict[str, float], run: AuditRun) -> dict[str, float]:
    """A limit for each class; ``*`` stands for those not named. Raises InputError for an unknown class."""
    named = {canonical(name): limit for name, limit in limits.items() if name != "*"}
    for name in named:
        run.classes.index(name)
    rest = {name: limits["*"] for name in run.classes if "*" in limits and name not in named}
    return {name: (named | rest)[name] for name in run.classes if name in named or name in rest}


def _group_floors(run: AuditRun, policy: Policy) -> Iterator[Rule]:
    floors, judge = policy.group_floors, policy.group_floors.judge or policy.judge
    columns = {
        "accuracy": ("accuracy", "low", "high"),
        "standardised_accuracy": ("standardised", "standardised_low", "standardised_high"),
    }
    for metric, names in columns.items():
        limit = getattr(floors, metric)
        if limit is None:
            continue
        wanted = _wanted(run, floors.attributes)
        rows = _rows(run, "groups", wanted)
        yield from _unjudged("group floors", metric, rows[~rows["too_small"]], wanted)
        for row in rows[~rows["too_small"]].to_dict("records"):
            name = f"{metric.replace('_', ' ')} of {of_group(row['attribute'], row['group'])}"
            yield at_least("group floors", name, limit, tuple(row[column] for column in names), judge, row["reason"])


def _gaps(run: AuditRun, policy: Policy) -> Iterator[Rule]:
    gaps, judge = policy.gaps, policy.gaps.judge or policy.judge
    limits = gaps.model_dump(exclude={"judge", "attributes"}, exclude_none=True)
    if not limits:
        return
    groups = run.table("groups")
    small = pd.MultiIndex.from_frame(groups.loc[groups["too_small"], ["attribute", "group"]])
    wanted = _wanted(run, gaps.attributes)
    rows = _rows(run, "disparities", wanted)
    for side in ("group", "reference"):
        rows = rows[~pd.MultiIndex.from_frame(rows[["attribute", side]]).isin(small)]
    for metric, limit in limits.items():
        judged = rows[rows["metric"] == metric]
        yield from _unjudged("gaps", metric, judged, wanted)
        for row in judged.to_dict("records"):
            what = metric.replace("_", " ") + (f" of {row['class']}" if isinstance(row["class"], str) else "")
            sides = (of_group(row["attribute"], row[side]) for side in ("group", "reference"))
            ends = (row["difference"], row["difference_low"], row["difference_high"])
            yield at_most("gaps", f"gap in {what}: {' against '.join(sides)}", limit, absolute(*ends), judge)


def _unjudged(part: str, metric: str, rows: pd.DataFrame, attributes: tuple[str, ...]) -> Iterator[Rule]:
    """What was asked of an attribute of which nothing could be judged: never a pass."""
    for attribute in attributes:
        if attribute in set(rows["attribute"]):
            continue
        why = (
            "not measured for intersections"
            if CROSS in attribute and metric not in OF_INTERSECTIONS
            else "too few images"
        )
        name = f"{metric.replace('_', ' ')} by {attribute.replace('_', ' ')}"
        yield Rule(part, name, "every group large enough", UNCHECKED, reason=why)


def _wanted(run: AuditRun, attributes: tuple[str, ...] | None) -> tuple[str, ...]:
    """The attributes asked for, `` x `` standing for the cross. Raises InputError where the run has none of them."""
    wanted = run.attributes if attributes is None else tuple(name.replace(" x ", CROSS) for name in attributes)
    unknown = [name for name in wanted if name not in set(run.table("groups")["attribute"])]
    if unknown or not wanted:
        known = ", ".join(run.attributes) or "none"
        name = f"the attribute {unknown[0]!r}" if unknown else "groups"
        raise InputError(
            f"The policy asks for {name}, and the attributes of {run.name} are: {known}; correct the policy."
        )
    return wanted


def _rows(run: AuditRun, table: str, attributes: tuple[str, ...]) -> pd.DataFrame:
    frame = run.table(table)
    return frame[frame["attribute"].isin(attributes)]


def _calibration(run: AuditRun, policy: Policy) -> Iterator[Rule]:
    figures = run.result("calibration")
    for name, limit in policy.calibration.model_dump(exclude_none=True).items():
        value = figures[name]
        words = "calibration error" + (" (debiased)" if name == "ece_debiased" else "")
        yield at_most(
            "calibration", words, limit, (value,) * 3, "estimate", "the run has predictions without probabilities"
        )


def _findings(run: AuditRun, policy: Policy) -> Iterator[Rule]:
    for code in policy.findings.forbidden:
        met = [one for one in run.findings if one.code == code]
        short = [one.detail for one in met if one.severity != "unchecked"]
        missed = [one.detail for one in met if one.severity == "unchecked"] or _not_looked_for(run, code)
        outcome = SHORT if short else UNCHECKED if missed else HOLDS
        yield Rule("findings", f"no finding {code}", "none", outcome, reason=next(iter([*short, *missed]), ""))


def _not_looked_for(run: AuditRun, code: str) -> list[str]:
    """Why there could be no finding of a code, whatever the data; empty where it was looked for."""
    if code.startswith("FV-S") and not run.saliency_methods:
        return ["the run has no maps"]
    if code in OF_PIXELS and run.samples["content_id"].isna().all():
        return ["the run has no pictures"]
    first = {"FV-F": "FV-F001", "FV-L": "FV-L001"}.get(code[:4])
    return [one.detail for one in run.findings if one.code == first and one.severity == "unchecked"]


def _baseline(run: AuditRun, policy: Policy) -> Iterator[Rule]:
    base = policy.baseline
    if base is None:
        return
    judge = base.judge or policy.judge
    comparison = compare(AuditRun.open(base.run), run)
    if base.accuracy_drop is not None:
        yield _drop("accuracy", comparison.overall, base.accuracy_drop, judge)
    if base.recall_drop is not None:
        for row in comparison.per_class.to_dict("records"):
            yield _drop(f"recall of {row['class']}", row, base.recall_drop, judge)
    if base.gap_growth is not None:
        yield from _growth(comparison, base.gap_growth)


def _drop(what: str, row: dict, limit: float, judge: Judge) -> Rule:
    ends = (-row["difference"], -row["difference_high"], -row["difference_low"])
    return at_most("baseline", f"drop in {what} since the baseline", limit, ends, judge)


def _growth(comparison: Comparison, limit: float) -> Iterator[Rule]:
    single = ~comparison.gaps["attribute"].astype(str).str.contains(CROSS, regex=False)
    if not single.any():
        yield Rule("baseline", "growth of gaps", f"at most {limit:.1%}", UNCHECKED, reason="no groups to compare")
    for row in comparison.gaps[single].to_dict("records"):
        before, now = abs(row["standardised_gap_a"]), abs(row["standardised_gap_b"])
        sides = (of_group(row["attribute"], row[side]) for side in ("group", "reference"))
        name = f"growth of the standardised gap: {' against '.join(sides)}"
        reason = "too few images of some classes"
        yield at_most("baseline", name, limit, (now - before,) * 3, "estimate", reason)


def absolute(value: float, low: float, high: float) -> tuple[float, float, float]:
    """The size of a difference and the nearest and farthest end of its interval from zero."""
    nearest = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return abs(value), nearest, max(abs(low), abs(high))


def at_least(group: str, name: str, limit: float, figures: tuple, judge: Judge, reason: str | None = None) -> Rule:
    """A floor: ``near`` looks at the upper end of the interval, ``far`` at the lower."""
    value, low, high = figures
    judged = {"near": high, "far": low, "estimate": value}[judge]
    return _rule(
        group, name, f"at least {limit:.1%} ({judge})", figures, judged, judged is not None and judged >= limit, reason
    )


def at_most(group: str, name: str, limit: float, figures: tuple, judge: Judge, reason: str | None = None) -> Rule:
    """A ceiling: ``near`` looks at the lower end of the interval, ``far`` at the upper."""
    value, low, high = figures
    judged = {"near": low, "far": high, "estimate": value}[judge]
    return _rule(
        group, name, f"at most {limit:.1%} ({judge})", figures, judged, judged is not None and judged <= limit, reason
    )


def _rule(
    group: str, name: str, limit: str, figures: tuple, judged: float | None, holds: bool, reason: str | None
) -> Rule:
    if judged is None or np.isnan(judged):
        return Rule(group, name, limit, UNCHECKED, reason=reason or "too few images")
    value, low, high = (float(figure) for figure in figures)
    return Rule(group, name, limit, HOLDS if holds else SHORT, value, low, high)


def _figure(rule: Rule) -> str:
    if rule.value is None:
        return "undefined" if rule.outcome == UNCHECKED else ""
    if rule.low == rule.high:
        return f"{rule.value:.1%}"
    return f"{rule.value:.1%} ({rule.low:.1%} to {rule.high:.1%})"
