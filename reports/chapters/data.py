"""The data itself: labels, groups, what was left out, how well it was photographed."""

from __future__ import annotations

from functools import partial

import pandas as pd
import plotly.graph_objects as go

from audit.counts import Counts, natural
from audit.representation import Representation, Stereotype, local_stereotypes, representation, stereotype
from audit.run import AuditRun
from audit.standardise import MIN_IMAGES
from faces.dataset import OK
from reports import figures
from reports.document import Block, Chapter, Figure, Heading, Paragraph, Table, table
from reports.words import decimal, images, percent, spaced, whole

TIES = 10
QUALITIES = {
    "brightness": "brightness (mean grey level, 0 to 255)",
    "contrast": "contrast (standard deviation of the grey level)",
    "sharpness": "sharpness (variance of the Laplacian)",
}


def chapter(run: AuditRun, overall: Counts, by_attribute: dict[str, Counts]) -> Chapter:
    """How many images, of what, of whom."""
    samples = run.samples
    status = samples["status"].value_counts()
    left_out = [[name, whole(n)] for name, n in status.items() if name != OK]
    blocks: list[Block] = [
        Paragraph(
            f"{images(len(samples))} were audited; {images(int(status.get(OK, 0)))} could be read, carry a label among "
            "the model's classes, and count in the figures that follow."
        )
    ]
    if left_out:
        blocks.append(table("Images left out of the figures", ["reason", "#images"], left_out))
    blocks.append(_labels(overall))
    blocks.append(Figure("label_mix", "Images by label", partial(figures.label_mix, label_frame(overall))))
    for attribute, counts in by_attribute.items():
        blocks += _attribute(attribute, counts, len(samples))
    if by_attribute:
        blocks += _bias(by_attribute)
    return Chapter("data", "The data", tuple(blocks))


def label_frame(counts: Counts) -> pd.DataFrame:
    """label, n: the images of every class."""
    return pd.DataFrame({"label": counts.classes, "n": counts.labelled.sum(axis=0)})


def _labels(counts: Counts) -> Block:
    n = counts.labelled.sum(axis=0)
    rows = [
        [name, whole(number), percent(number / max(counts.n, 1))]
        for name, number in zip(counts.classes, n, strict=True)
    ]
    rows.append(["all", whole(counts.n), percent(1.0 if counts.n else None)])
    return table("Images by label", ["label", "#images", "#share"], rows)


def _attribute(attribute: str, counts: Counts, total: int) -> list[Block]:
    known = counts.n
    rows = [[group, whole(n), percent(n / max(known, 1))] for group, n in zip(counts.groups, counts.sizes, strict=True)]
    name = spaced(attribute)
    note = "" if known == total else f"{whole(total - known)} of {whole(total)} images have no value or are left out."
    return [
        Heading(name),
        table(f"Images by {name}", ["group", "#images", "#share"], rows, note),
        Figure(
            f"composition_{attribute}",
            f"Label mix of each group of {name}",
            partial(figures.composition, counts.frame(), counts.classes),
        ),
    ]


def _bias(by_attribute: dict[str, Counts]) -> list[Block]:
    """Whom the data shows how evenly, and how far groups and labels go together."""
    present = [representation(name, counts.sizes) for name, counts in by_attribute.items()]
    together = [stereotype(name, counts.labelled) for name, counts in by_attribute.items()]
    local = pd.concat([_local(name, counts) for name, counts in by_attribute.items()], ignore_index=True)
    return [
        Heading("who is shown, and with which label"),
        Paragraph(
            "Whom the data shows, and whether a group goes with a label, whatever the model says of it: metrics of "
            "demographic bias in data sets after Dominguez-Catena, Paternain and Galar (2024), over the images that "
            "count."
        ),
        _representation(present),
        _stereotypes(together),
        _ties(local),
    ]


def _local(attribute: str, counts: Counts) -> pd.DataFrame:
    """Ties of groups and labels of which chance would give enough images to tell."""
    n = counts.labelled
    by_chance = n.sum(axis=1, keepdims=True) * n.sum(axis=0) / max(counts.n, 1)
    expected = pd.DataFrame(by_chance, list(counts.groups), list(counts.classes))
    local = local_stereotypes(attribute, counts.groups, counts.classes, n)
    pairs = zip(local["group"], local["class"], strict=True)
    enough = [bool(expected.at[group, label] >= MIN_IMAGES) for group, label in pairs]
    return local[pd.Series(enough, index=local.index, dtype=bool)]


def _representation(present: list[Representation]) -> Table:
    rows = [
        [spaced(one.attribute), whole(one.richness), decimal(one.shannon), decimal(one.evenness), decimal(one.ens, 2),
         decimal(one.imbalance_ratio, 1), percent(one.berger_parker), decimal(one.nsd)]
        for one in present
    ]  # fmt: skip
    heads = ["attribute", "#groups", "#Shannon", "#evenness", "#effective number", "#imbalance ratio",
             "#largest share", "#spread of shares"]  # fmt: skip
    note = (
        "Shannon: diversity in nats. Evenness: 1 where all groups are alike in size. Effective number: as many groups "
        "of one size would be as diverse (exponential of Shannon). Imbalance ratio: largest group to smallest. Largest "
        "share: Berger-Parker. Spread of shares: normalised standard deviation, 0 even, 1 all in one group."
    )
    return table("How evenly groups are represented", heads, rows, note)


def _stereotypes(together: list[Stereotype]) -> Table:
    rows = [
        [spaced(one.attribute), decimal(one.cramers_v), decimal(one.theils_u), decimal(one.nmi)] for one in together
    ]
    heads = ["attribute", "#Cramér's V", "#Theil's U", "#normalised mutual information"]
    note = (
        "0: groups carry the same labels; 1: the label tells the group. Theil's U: the share that the label explains."
    )
    return table("How far groups and labels go together", heads, rows, note)


def _ties(local: pd.DataFrame) -> Table:
    """The strongest ties of a group and a class."""
    order = local["npmi"].abs().sort_values(ascending=False, kind="stable", na_position="last").index
    strongest = local.loc[order].head(TIES)
    rows = [
        [spaced(row["attribute"]), row["group"], row["class"], decimal(row["npmi"]), decimal(row["duchers_z"]),
         decimal(row["lewontins_d"], 4)]
        for row in strongest.to_dict("records")
    ]  # fmt: skip
    heads = ["attribute", "group", "label", "#pointwise information", "#Ducher's Z", "#Lewontin's D"]
    note = (
        f"Of pairs that chance would give {MIN_IMAGES} images or more; `facevalue inspect --json` has all. Above 0: "
        "together more often than by chance, below 0: less often. Pointwise information is normalised, -1 never to 1 "
        "always together; Lewontin's D is the excess of the joint share."
    )
    return table("The strongest ties of a group and a label", heads, rows, note)


def quality_figures(run: AuditRun) -> list[Figure]:
    """Boxes of every measured quality by every attribute, for the appendix."""
    samples = run.samples
    measured = [name for name in QUALITIES if name in samples and samples[name].notna().any()]
    return [_quality(samples, attribute, measure) for attribute in run.attributes for measure in measured]


def _quality(samples: pd.DataFrame, attribute: str, measure: str) -> Figure:
    return Figure(
        f"{measure}_{attribute}",
        f"{measure.capitalize()} by {spaced(attribute)}: median, middle half, and 5% to 95%",
        partial(_draw_quality, samples, attribute, measure),
    )


def _draw_quality(samples: pd.DataFrame, attribute: str, measure: str, theme: str) -> go.Figure:
    return figures.image_quality(quantiles(samples, attribute, measure), QUALITIES[measure], theme)


def quantiles(samples: pd.DataFrame, attribute: str, measure: str) -> pd.DataFrame:
    """group, n, q05, q25, q50, q75, q95 of a measured quality."""
    known = samples.loc[samples[attribute].notna() & samples[measure].notna(), [attribute, measure]]
    by_group = known.groupby(attribute, sort=True, observed=True)[measure]
    marks = {"q05": 0.05, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q95": 0.95}
    frame = pd.DataFrame({name: by_group.quantile(mark) for name, mark in marks.items()})
    frame = frame.assign(n=by_group.size()).loc[sorted(frame.index, key=natural)]
    return frame.rename_axis("group").reset_index()
