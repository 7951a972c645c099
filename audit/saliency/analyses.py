"""FV-S: what a run's tables about its maps mean, as findings. Torch-free."""

from __future__ import annotations

from urllib.parse import urlencode

import numpy as np
import pandas as pd

from audit.run import AuditRun, Finding
from audit.saliency.regions import COARSEST, too_coarse
from audit.saliency.registry import METHODS
from audit.sentences import images, percent, points, whole

ALIKE = 0.5
"""Maps whose rank correlation stays above this did not change much."""
LINKS = {"FV-S001": "/shortcuts", "FV-S005": "/regions"}
"""Where the evidence of a finding is, if not on the page about trust."""
TELLING = 5
"""So many pairs' telling regions become findings."""
CHOSEN = 1.37
"""How much wider an interval must be for the largest of seven regions than for one named before (Bonferroni)."""


def saliency_findings(run: AuditRun) -> tuple[Finding, ...]:
    """Shortcuts, what tells confused classes apart, and whether the maps can be trusted."""
    if not run.saliency_methods:
        reason = "Saliency could not be checked, because the classifier gives no gradients to make maps of."
        return (Finding("FV-S001", "unchecked", "Saliency could not be checked", reason, "/saliency"),)
    return (*_place_findings(run), *_faithfulness(run), *_randomisation(run), *_stability(run))


def _place_findings(run: AuditRun) -> list[Finding]:
    height, width = run.maps(run.saliency_methods[0]).resolution
    if too_coarse(height, width):
        reason = (
            f"Regions and shortcuts could not be checked, because the maps of {height}x{width} places are coarser than "
            f"{COARSEST}x{COARSEST}; name a layer of finer maps with --cam-layer."
        )
        return [Finding("FV-S001", "unchecked", "Regions and shortcuts could not be checked", reason, "/shortcuts")]
    return [*_shortcuts(run), *_telling(run)]


def _shortcuts(run: AuditRun) -> list[Finding]:
    table = _table(run, "shortcuts")
    if table is None:
        return [_unchecked("FV-S001", "Shortcuts")]
    found = []
    for name, rows in table[table["is_shortcut"]].groupby("class", sort=False):
        worst = rows.loc[rows["drop"].idxmax()]
        detail = (
            f"In {images(int(worst['size']))} or more predicted {name} the model looks outside the face, "
            f"{side_of(worst)} ({percent(worst['background'])} of their maps lie outside); filling that place from its "
            f"surroundings lowers the probability of {name} by {points(worst['drop'])} (95% interval "
            f"{100 * worst['low']:.0f} to {100 * worst['high']:.0f}, {images(int(worst['n']))})."
        )
        link = f"/shortcuts?{urlencode({'predicted': name})}"
        found.append(Finding("FV-S001", "high", f"A shortcut for {name}, {side_of(worst)}", detail, link))
    return found


def side_of(row: pd.Series) -> str:
    """``at the lower right``: where in the picture a box is, in words; ``top`` to ``right`` are shares of the side."""
    y, x = (row["top"] + row["bottom"]) / 2, (row["left"] + row["right"]) / 2
    upright = "upper" if y < 1 / 3 else "lower" if y > 2 / 3 else ""
    sideways = "left" if x < 1 / 3 else "right" if x > 2 / 3 else ""
    return f"at the {' '.join(word for word in (upright, sideways or ('edge' if upright else '')) if word) or 'edge'}"


def _telling(run: AuditRun) -> list[Finding]:
    table = _table(run, "saliency_pairs")
    if table is None:
        return [_unchecked("FV-S005", "What tells classes apart")]
    found = []
    for (first, second), rows in table.groupby(["class_a", "class_b"], sort=False):
        ranked = rows[rows["region"] != "background"].sort_values("effect", ascending=False, kind="stable")
        best, next_best = ranked.iloc[0], ranked.iloc[1]
        if not best["effect"] > CHOSEN * (best["effect"] - best["low"]):
            continue
        times = best["effect"] / next_best["effect"] if next_best["effect"] > 0 else np.inf
        ahead = f"{times:.1f} times the {next_best['region']}" if np.isfinite(times) else "no other region counts"
        detail = (
            f"What tells {first} from {second} for this model: the {best['region']} ({ahead}); blurring it takes "
            f"{best['effect']:.2f} off the log-odds of the label (95% interval {best['low']:.2f} to "
            f"{best['high']:.2f}, {images(int(best['n']))})."
        )
        link = f"/regions?{urlencode({'class': first})}"
        found.append(
            Finding("FV-S005", "info", f"{first.capitalize()} or {second}: the {best['region']}", detail, link)
        )
    return found[:TELLING]


def _faithfulness(run: AuditRun) -> list[Finding]:
    table = _table(run, "faithfulness")
    if table is None:
        return [_unchecked("FV-S002", "Faithfulness of the maps")]
    table = table.set_index("method")
    blob = table.loc["blob", "gain"]
    poor = table.drop(index=["blob", "random"]).query("not over_blob_low > 0")
    if poor.empty:
        return []
    names = ", ".join(METHODS[name].title for name in poor.index)
    best = poor.loc[poor["over_blob"].idxmax()]
    detail = (
        f"By insertion minus deletion {names} {'is' if len(poor) == 1 else 'are'} not shown to do better than a blob "
        f"in the middle of the picture ({best['gain']:.3f} at best against {blob:.3f}, difference 95% interval "
        f"{best['over_blob_low']:.3f} to {best['over_blob_high']:.3f}, {images(int(best['n']))})."
    )
    title = "Maps not shown to tell more than a blob"
    return [Finding("FV-S002", "medium", title, detail.replace(" -", " −"), "/trust")]


def _randomisation(run: AuditRun) -> list[Finding]:
    table = _table(run, "randomisation")
    if table is None:
        return [_unchecked("FV-S003", "Whether maps depend on what was learned")]
    last = table.iloc[-1]
    if last["low"] < ALIKE:
        return []
    detail = (
        f"With every weight drawn anew the maps are still alike (rank correlation {last['alike']:.2f}, 95% interval "
        f"{last['low']:.2f} to {last['high']:.2f}, {images(int(last['n']))}): they show the pictures or the network's "
        "build, not what it learned."
    )
    return [Finding("FV-S003", "high", "Maps do not depend on what was learned", detail, "/trust")]


def _stability(run: AuditRun) -> list[Finding]:
    table = _table(run, "stability")
    if table is None:
        return [_unchecked("FV-S004", "Stability of the maps")]
    worst = table.loc[table["alike"].idxmin()]
    if not worst["high"] < ALIKE:
        return []
    what = "a little noise" if worst["perturbation"] == "noise" else f"being {worst['perturbation']} by two pixels"
    detail = (
        f"After {what} a picture's map is hardly the same (rank correlation {worst['alike']:.2f}, 95% interval "
        f"{worst['low']:.2f} to {worst['high']:.2f}, {whole(worst['n'])} pictures)."
    )
    return [Finding("FV-S004", "low", "Maps that change with small changes", detail, "/trust")]


def _unchecked(code: str, what: str) -> Finding:
    reason = f"{what} could not be checked, because the audit was told not to run the model again on some images."
    return Finding(code, "unchecked", f"{what}: not checked", reason, LINKS.get(code, "/trust"))


def _table(run: AuditRun, name: str) -> pd.DataFrame | None:
    path = run.folder / "results" / f"{name}.parquet"
    return pd.read_parquet(path) if path.is_file() else None
