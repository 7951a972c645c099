"""What the checks of the maps found, in sentences: the same words on the pages and in the report."""

from __future__ import annotations

import pandas as pd

from audit.run import AuditRun
from audit.saliency.analyses import ALIKE, CHOSEN, side_of
from audit.saliency.regions import COARSEST, too_coarse
from audit.saliency.registry import METHODS
from faces.errors import InputError
from reports.words import decimal, images, listed, percent, points, signed_span, whole

BASELINES = {"random": "a random map", "blob": "a blob in the middle"}
"""What every method must beat."""
FEWEST = 5
"""Images of a pair from which on something is said of it."""
NOT_RUN = "the audit did not run the model again on some images"


def method_title(name: str) -> str:
    """``gradcam`` as ``Grad-CAM``; the baselines in words; what is not registered keeps its name."""
    return METHODS[name].title if name in METHODS else BASELINES.get(name, name)


def result(run: AuditRun, name: str) -> pd.DataFrame | None:
    """A result table about the maps; None where the audit wrote none, or an empty one."""
    try:
        found = run.table(name)
    except InputError:
        return None
    return found if len(found) else None


def unchecked(run: AuditRun, places: bool = False) -> str:
    """Why a check of the maps is missing, as the end of "could not be checked, because". ``places``: one of regions."""
    if not run.saliency_methods:
        return "the classifier gives no gradients to make maps of"
    height, width = run.maps(run.saliency_methods[0]).resolution
    if places and too_coarse(height, width):
        return (
            f"the maps of {height}x{width} places are coarser than {COARSEST}x{COARSEST}; name a layer of finer maps "
            "with --cam-layer"
        )
    return NOT_RUN


def faithfulness_verdict(table: pd.DataFrame) -> str:
    """Which methods do better than the blob; ``table`` is ``results/faithfulness``."""
    methods = table[~table["method"].isin(list(BASELINES))]
    better = methods[methods["over_blob_low"] > 0]
    poor = methods[~methods["method"].isin(better["method"])]
    n = images(int(table["n"].iloc[0]))
    parts = []
    if len(better):
        parts.append(
            f"{listed(map(method_title, better['method']))} tell more than a blob in the middle of the picture"
        )
    if len(poor):
        blob = "such a blob" if len(better) else "a blob in the middle"
        parts.append(f"{listed(map(method_title, poor['method']))} cannot be told from {blob}, or do worse")
    return f"{'; '.join(parts)} (insertion minus deletion, {n}, 95% intervals of the difference)."


def level(share: float) -> str:
    """Which layers a level of ``results/randomisation`` draws anew."""
    return "the last layer" if share == 0 else "every layer" if share == 1 else f"{percent(share, 0)} of the layers"


def randomisation_verdict(table: pd.DataFrame) -> str:
    """Whether the maps depend on what was learned; ``table`` is ``results/randomisation``, the last level last."""
    last = table.iloc[-1]
    figures = (
        f"rank correlation {decimal(last['alike'], 2)}, 95% interval {decimal(last['low'], 2)} to "
        f"{decimal(last['high'], 2)}, {images(int(last['n']))}"
    ).replace("-", "−")
    if last["low"] >= ALIKE:
        return f"With every weight drawn anew the maps are still alike ({figures}): they do not show what was learned."
    if last["high"] < ALIKE:
        return f"With every weight drawn anew the maps are others ({figures}): they depend on what was learned."
    return f"Whether the maps depend on what was learned is not clear: with every weight drawn anew, {figures}."


def stability_verdict(table: pd.DataFrame) -> str:
    """How alike a map stays under changes that do not matter; ``table`` is ``results/stability``."""
    worst = table.loc[table["alike"].idxmin()]
    held = "keeps its map" if worst["low"] >= ALIKE else "may lose its map"
    return (
        f"A picture that is moved by two pixels or has a little noise put on it {held}: rank correlation at least "
        f"{decimal(worst['alike'], 2)} ({worst['perturbation']}, 95% interval {decimal(worst['low'], 2)} to "
        f"{decimal(worst['high'], 2)}, {images(int(worst['n']))})."
    )


def shortcut_sentence(row: dict) -> str:
    """One line of ``results/shortcuts`` in words."""
    where = side_of(pd.Series(row))
    found = "a shortcut" if row["is_shortcut"] else "no shortcut"
    return (
        f"{found.capitalize()}: {images(int(row['size']))} look {where} ({percent(row['background'])} of their maps "
        f"lie outside the face); filling that place from its surroundings changes the probability of {row['class']} by "
        f"{points(-row['drop'])} (95% interval {signed_span(-row['high'], -row['low'])}, {whole(row['n'])} images)."
    )


def told(pairs: pd.DataFrame) -> list[str]:
    """What tells the pairs of ``results/saliency_pairs`` apart: a sentence each, and one for those nothing tells."""
    groups = [(str(a), str(b), rows) for (a, b), rows in pairs.groupby(["class_a", "class_b"], sort=False)]
    clear = [tells(rows, a, b) for a, b, rows in groups if telling(rows) is not None]
    rest = [f"{a} and {b}" for a, b, rows in groups if telling(rows) is None]
    return [*clear, *([f"No region for certain tells apart: {'; '.join(rest)}."] if rest else [])]


def telling(table: pd.DataFrame) -> pd.Series | None:
    """The region that tells one pair apart; None where none does for certain, the best of seven being looked for."""
    known = table[table["region"] != "background"].dropna(subset=["low"])
    if known.empty or int(known["n"].iloc[0]) < FEWEST:
        return None
    best = known.loc[known["effect"].idxmax()]
    return best if best["effect"] > CHOSEN * (best["effect"] - best["low"]) else None


def tells(table: pd.DataFrame, first: str, second: str) -> str:
    """``What tells fear from surprise: the mouth``, from one pair of ``results/saliency_pairs``."""
    n, best = int(table["n"].iloc[0]), telling(table)
    if n < FEWEST:
        return f"What tells {first} from {second} could not be checked, because only {images(n)} were looked at."
    if best is None:
        return f"No region tells {first} from {second} for certain (looking for the best of seven widens its interval)."
    after = table[~table["region"].isin(["background", best["region"]])].nlargest(1, "effect").iloc[0]
    times = f", {best['effect'] / after['effect']:.1f} times the {after['region']}" if after["effect"] > 0 else ""
    return (
        f"What tells {first} from {second} for this model: the {best['region']}{times} (95% interval of its effect "
        f"{decimal(best['low'], 2)} to {decimal(best['high'], 2)}, {images(n)})."
    )
