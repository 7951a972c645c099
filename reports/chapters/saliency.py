"""What the model looked at."""

from __future__ import annotations

from functools import partial

import numpy as np

from audit.run import AuditRun
from audit.saliency import regions
from audit.saliency.atlas import map_sum, target_maps
from reports import figures
from reports.document import Block, Chapter, Figure, Paragraph, Table, table
from reports.words import percent, whole

TITLE = "What the model looks at"
METHOD = "gradcam"


def chapter(run: AuditRun) -> Chapter:
    """Mean maps of each class and the shares of the face's regions, where the run has maps of every class."""
    if METHOD not in run.saliency_methods or not set(run.classes) <= set(run.maps(METHOD).targets):
        reason = "Could not be checked, because the run stores no saliency maps of every class."
        return Chapter("saliency", TITLE, (Paragraph(reason),))
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
    return Chapter("saliency", TITLE, tuple(blocks))


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
