"""What the model looked at, and how far its maps can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd

from audit.run import AuditRun
from audit.saliency import regions
from audit.saliency.analyses import side_of
from audit.saliency.atlas import map_sum, target_maps
from reports import figures, saliency_words
from reports.document import Block, Bullets, Chapter, Faces, Figure, Findings, Heading, Paragraph, Table, table
from reports.faces_shown import Gallery
from reports.saliency_words import method_title, result, shortcut_sentence, unchecked
from reports.words import decimal, percent, signed, signed_span, whole

TITLE = "What the model looks at"
METHOD = "gradcam"
EXAMPLES = 10


def chapter(run: AuditRun, gallery: Gallery | None = None, further: tuple[Block, ...] = ()) -> Chapter:
    """Findings about the maps, mean maps, regions, checks and shortcuts; what could not be checked says why.

    ``gallery`` adds mean faces and examples; ``further`` blocks come after the mean maps.
    """
    found = tuple(finding for finding in run.findings if finding.code.startswith("FV-S"))
    blocks: list[Block] = [
        *_maps(run),
        *further,
        *_mean_faces(run, gallery),
        *_worth(run),
        *_trust(run),
        *_shortcuts(run, gallery),
    ]
    return Chapter("saliency", TITLE, (*((Findings(found),) if found else ()), *blocks))


def _maps(run: AuditRun) -> list[Block]:
    """Mean maps of each class and the shares of the face's regions, where the run has maps of every class."""
    if METHOD not in run.saliency_methods or not set(run.classes) <= set(run.maps(METHOD).targets):
        return [Paragraph("Mean maps could not be made, because the run stores no saliency maps of every class.")]
    rows = {name: np.flatnonzero((run.samples["label"] == name).to_numpy()) for name in run.classes}
    means = []
    for name, chosen in rows.items():
        total = map_sum(run, chosen, name, METHOD)
        means.append((name, total.mean, total.n))
    height, width = run.maps(METHOD).resolution
    blocks: list[Block] = [
        Paragraph(
            f"Grad-CAM shows which places of a picture raised a class's score, in {height} by {width} cells. It is a "
            "rough view of one layer: it shows where, not why, and a plausible map is no proof of a sound reason."
        ),
        Figure(
            "mean_maps",
            "Mean Grad-CAM map of each class over the images labelled with it, each on its own scale; the outline is a "
            "face as registered crops show it",
            partial(figures.mean_maps, means),
        ),
    ]
    if regions.too_coarse(height, width):
        blocks.append(Paragraph("Regions of the face could not be checked, because the maps are too coarse."))
    else:
        blocks.append(_regions(run, rows))
    return blocks


def _regions(run: AuditRun, rows: dict[str, np.ndarray]) -> Table:
    height, width = run.maps(METHOD).resolution
    body = []
    for name, chosen in rows.items():
        maps = target_maps(run, chosen, name, METHOD)
        shares = regions.shares(maps[np.isfinite(maps).all(axis=(1, 2))])
        known = shares[np.isfinite(shares).all(axis=1)]
        mean = known.mean(axis=0) if len(known) else np.full(len(regions.REGIONS), np.nan)
        body.append([name, whole(len(known)), *(percent(float(value)) for value in mean)])
    body.append(["an even map", "–", *(percent(float(value)) for value in regions.areas(height, width))])
    heads = ["label", "#images", *(f"#{name}" for name in regions.REGIONS)]
    note = "Regions are those of a registered crop; a share far above the even map's is attention to that region."
    return table("Share of the maps' positive part on each region of the face", heads, body, note)


def _mean_faces(run: AuditRun, gallery: Gallery | None) -> list[Block]:
    """The mean face of each label: a picture of people too, so only where faces are asked for."""
    if gallery is None:
        return []
    labels = run.samples["label"]
    groups = [(run.samples.loc[labels == name, "sample_id"].tolist(), name) for name in run.classes]
    return [gallery.means("Mean faces: what lies beneath the mean maps of each label", groups)]


def _worth(run: AuditRun) -> list[Block]:
    """What blurring each region costs, and what tells confused classes apart."""
    heading, drops = Heading("what each region is worth"), result(run, "saliency_ablation")
    if drops is None:
        return [heading, Paragraph(f"Could not be checked, because {unchecked(run, places=True)}.")]
    own = drops[drops["class"] == ""]
    pairs = result(run, "saliency_pairs")
    told = [] if pairs is None else saliency_words.told(pairs)
    return [
        heading,
        Paragraph(
            "A map only points. Here each region was blurred and the model asked again: what that takes off the "
            "label's probability is what the region is worth to the model."
        ),
        Figure(
            "region_drops",
            f"Fall of the label's probability when a region is blurred, {whole(own['n'].iloc[0])} images",
            partial(figures.region_drops, own),
        ),
        *([Bullets(tuple(told))] if told else []),
    ]


def _trust(run: AuditRun) -> list[Block]:
    blocks: list[Block] = [Heading("can the maps be trusted?")]
    checks: tuple[tuple[str, str, Callable[[pd.DataFrame], list[Block]]], ...] = (
        ("faithfulness", "Faithfulness", _faithfulness),
        ("randomisation", "Whether the maps depend on what was learned", _randomisation),
        ("stability", "Whether the maps stay under changes that do not matter", _stability),
    )
    for name, title, write in checks:
        found = result(run, name)
        if found is None:
            blocks.append(Paragraph(f"{title} could not be checked, because {unchecked(run)}."))
        else:
            blocks += write(found)
    return blocks


def _faithfulness(found: pd.DataFrame) -> list[Block]:
    rows = [
        [method_title(row["method"]), whole(row["n"]), decimal(row["insertion"]), decimal(row["deletion"]),
         decimal(row["gain"]), _span(row, "low", "high"), decimal(row["over_blob"]),
         _span(row, "over_blob_low", "over_blob_high"), decimal(row["road"]), _span(row, "road_low", "road_high")]
        for row in found.to_dict("records")
    ]  # fmt: skip
    heads = ["method", "#images", "#insertion", "#deletion", "#difference", "#95% interval", "#above the blob",
             "#95% interval", "#ROAD", "#95% interval"]  # fmt: skip
    note = (
        "Areas under the probability's curve as pixels are put in (higher is better) and taken away (lower is better) "
        "in the map's order (Petsiuk et al. 2018); ROAD imputes what it takes away (Rong et al. 2022)."
    )
    return [
        Paragraph(saliency_words.faithfulness_verdict(found)),
        table("Faithfulness of each method beside a random map and a centred blob", heads, rows, note),
        Figure("faithfulness", "Faithfulness, with 95% intervals", partial(figures.faithfulness, found)),
    ]


def _randomisation(found: pd.DataFrame) -> list[Block]:
    rows = [
        [saliency_words.level(row["level"]), row["layer"], whole(row["n"]), decimal(row["alike"], 2),
         _span(row, "low", "high", 2)]
        for row in found.to_dict("records")
    ]  # fmt: skip
    heads = ["drawn anew", "down to", "#images", "#rank correlation", "#95% interval"]
    caption = "Likeness of the maps to the trained model's as layers are drawn anew (Adebayo et al. 2018)"
    return [Paragraph(saliency_words.randomisation_verdict(found)), table(caption, heads, rows)]


def _stability(found: pd.DataFrame) -> list[Block]:
    return [Paragraph(saliency_words.stability_verdict(found))]


def _span(row: dict, low: str, high: str, digits: int = 3) -> str:
    return f"{decimal(row[low], digits)} to {decimal(row[high], digits)}"


def _shortcuts(run: AuditRun, gallery: Gallery | None) -> list[Block]:
    heading, found = Heading("shortcuts"), result(run, "shortcuts")
    if found is None:
        checked = (run.folder / "results" / "shortcuts.parquet").is_file()
        words = "No group of maps looks outside the face." if checked else (
            f"Shortcuts could not be checked, because {unchecked(run, places=True)}."
        )  # fmt: skip
        return [heading, Paragraph(words)]
    rows = found.sort_values(["is_shortcut", "drop"], ascending=False, kind="stable").to_dict("records")
    real = [row for row in rows if row["is_shortcut"]]
    shown = [_examples(gallery, row) for row in real] if gallery is not None else []
    return [
        heading,
        Paragraph(
            "Maps of each predicted class were grouped by where they look (spectral relevance analysis, Lapuschkin et "
            "al. 2019). Places outside the face that a group, or the strongest maps of a class, look at were filled "
            "from their surroundings, and the model asked again."
        ),
        *([Bullets(tuple(shortcut_sentence(row) for row in real))] if real else []),
        *([] if real else [Paragraph("At no such place does the model lean on what lies outside the face.")]),
        _places(rows),
        *shown,
    ]


def _places(rows: list[dict]) -> Table:
    body = [
        [row["class"], side_of(pd.Series(row)), whole(row["size"]), percent(row["background"]), whole(row["n"]),
         signed(row["drop"]), signed_span(row["low"], row["high"]), "yes" if row["is_shortcut"] else "no"]
        for row in rows
    ]  # fmt: skip
    heads = ["predicted", "place", "#images", "#of the maps outside", "#looked at", "#fall, points", "#95% interval",
             "shortcut"]  # fmt: skip
    return table("Places outside the face and what they are worth to the predicted class", heads, body)


def _examples(gallery: Gallery, row: dict) -> Faces:
    where = side_of(pd.Series(row))
    pictures = [(sample_id, row["class"]) for sample_id in list(row["examples"])[:EXAMPLES]]
    return gallery.block(f"Predicted {row['class']}, looking {where}", pictures)
