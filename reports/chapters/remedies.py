"""What would help one emotion: thresholds by group and reweighing, each with what it costs. Exploration, no advice."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from audit.run import AuditRun
from faces.errors import InputError
from reports import figures
from reports.document import Block, Bullets, Command, Figure, Heading, Paragraph, Table, table
from reports.words import known, percent, points, signed, signed_span, spaced, span, whole

if TYPE_CHECKING:
    from audit.remedies import Remedies

EXPLORATION = (
    "Exploration, no advice. One half of the images chooses, the other half judges; costs are in balanced accuracy of "
    "the emotion against the rest, measured against one threshold for all. Thresholds by group (fairlearn's "
    "ThresholdOptimizer) need every person's group at the time of use, which may itself be unlawful or unwise."
)
RETRAIN = (
    "Reweighing is shown as a new last layer on the stored embeddings. To retrain the whole network so, name the "
    "attribute in the recipe, train, audit, and compare the two runs, which shows what it costs every group:"
)


def section(run: AuditRun, emotion: str) -> list[Block]:
    """What every attribute's groups would gain and everybody lose, for one ``emotion`` against the rest.

    Raises InputError for an unknown emotion.
    """
    from audit.remedies import MOST

    emotion = run.classes.names[run.classes.index(emotion)]
    limit = f" Of this run {whole(MOST)} images, drawn by chance, were explored." if len(run.samples) > MOST else ""
    blocks: list[Block] = [Heading(f"what would help: {emotion}"), Paragraph(EXPLORATION + limit)]
    for attribute in run.attributes:
        blocks += _attribute(run, attribute, emotion)
    return [*blocks, Paragraph(RETRAIN), Command(recipe(run, run.attributes[0] if run.attributes else "ATTRIBUTE"))]


def recipe(run: AuditRun, attribute: str) -> str:
    """The lines of a recipe, and the calls, that retrain with groups reweighed."""
    sidecar = " --metadata CSV" if run.manifest["data"].get("metadata") else ""
    return f'[data]\nbalance_groups = "{attribute}"\n\n' + (
        f"facevalue train RECIPE.toml --data DATA{sidecar} --out MODEL\n"
        f"facevalue audit DATA{sidecar} --model MODEL --out RUN_B\n"
        "facevalue compare RUN_A RUN_B"
    )


def _attribute(run: AuditRun, attribute: str, emotion: str) -> list[Block]:
    # What it needs takes seconds to import, which only a report with remedies should wait for.
    from audit.remedies import explore

    name = spaced(attribute)
    try:
        found = explore(run, attribute, emotion, run.manifest["seed"])
    except InputError as reason:
        return [Paragraph(f"By {name} nothing could be explored: {reason}")]
    caption = f"Remedies for {emotion} by {name}: the widest gap in recall that each leaves"
    return [
        Bullets(tuple(sentences(found))),
        Figure(f"remedies_{attribute}", caption, partial(figures.trade_offs, found.costs)),
        _costs(found, name),
        _rates(found, name),
    ]


def sentences(found: Remedies) -> list[str]:
    """What the remedy that leaves the smallest gap changes, and what it costs; and what the others do."""
    costs = found.costs.set_index("remedy")
    tried = costs[costs["cost"].notna()]
    name = tried["gap"].idxmin()
    best, base = tried.loc[name], costs.loc[tried.loc[name, "against"]]
    if best["gap"] >= base["gap"]:
        return [
            f"By {spaced(found.attribute)}, no remedy leaves a smaller gap in recall of {found.emotion} than "
            f"{best['against']} does ({_gap(base)}), judged on {whole(found.n)} images."
        ]
    told = (
        f"By {spaced(found.attribute)}, {name} leaves the smallest gap in recall of {found.emotion}: "
        f"{_gap(best)}, against {_gap(base)} with {best['against']}."
    )
    change = "costs" if best["cost"] > 0 else "gains"
    cost = (
        f"It {change} {points(abs(best['cost'])).lstrip('+')} of balanced accuracy "
        f"({percent(base['balanced_accuracy'])} to {percent(best['balanced_accuracy'])}), judged on "
        f"{whole(found.n)} images."
    )
    unsure = "" if best["gap_high"] < base["gap"] else " Its interval holds the gap without it, so it may be chance."
    return [told, cost + unsure]


def _gap(row: dict) -> str:
    return f"{signed(row['gap']).lstrip('+')} points (95% interval {signed_span(row['gap_low'], row['gap_high'])})"


def _costs(found: Remedies, name: str) -> Table:
    rows = [
        [row["remedy"], signed(row["gap"]).lstrip("+"), signed_span(row["gap_low"], row["gap_high"]),
         f"{row['worst']} / {row['best']}", signed(row["false_positive_gap"]).lstrip("+"), percent(row["recall"]),
         percent(row["balanced_accuracy"]), signed(-row["cost"]) if known(row["cost"]) else ""]
        for row in found.costs.to_dict("records")
    ]  # fmt: skip
    heads = ["remedy", "#gap in recall", "#95% interval", "lowest / highest", "#gap in false positives", "#recall",
             "#balanced", "#change"]  # fmt: skip
    note = (
        "Gaps and changes in points. Balanced: balanced accuracy, the mean of recall and one minus the false positive "
        "rate. Change: against one threshold for all, and of the reweighed layer against the layer without weights."
    )
    return table(f"Remedies for {found.emotion} by {name}, and what they cost", heads, rows, note)


def _rates(found: Remedies, name: str) -> Table:
    rows = [
        [row["remedy"], row["group"], whole(row["labelled"]), percent(row["recall"]),
         span(row["recall_low"], row["recall_high"]), percent(row["false_positive_rate"]),
         percent(row["selection_rate"])]
        for row in found.rates.to_dict("records")
    ]  # fmt: skip
    heads = ["remedy", "group", f"#images of {found.emotion}", "#recall", "#95% interval", "#false positive rate",
             "#selection rate"]  # fmt: skip
    return table(f"Rates of {found.emotion} by {name} under each remedy", heads, rows)
