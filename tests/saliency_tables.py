"""What an audit finds out about its maps, simulated: sample columns and result tables of the real ones' shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from audit.run import Finding, findings_json
from audit.saliency.regions import REGIONS, areas, shares
from audit.saliency.tables import write_saliency_table

METHODS = (("gradcam", 0.28, 0.1), ("layercam", 0.15, -0.02), ("random", 0.0, -0.18), ("blob", 0.17, 0.0))
"""Method, gain and what it is above the blob."""


def add_saliency(run: Path, manifest: dict, seed: int = 0) -> None:
    """Shares, clusters and tables for the Grad-CAM maps of the run in folder ``run``, and a shortcut's finding."""
    classes = tuple(manifest["classes"])
    samples = pd.read_parquet(run / "samples.parquet")
    predicted = np.array([classes.index(name) if isinstance(name, str) else -1 for name in samples["predicted"]])
    maps = np.load(run / "saliency" / "gradcam.npy", mmap_mode="r")[np.arange(len(samples)), np.maximum(predicted, 0)]
    found = np.where(predicted[:, None] >= 0, shares(maps.astype(np.float32)), np.nan)
    columns = {f"share_{name}": found[:, position].astype(np.float32) for position, name in enumerate(REGIONS)}
    number = np.random.default_rng(seed).integers(1, 4, len(samples))
    clusters = [f"{classes[k]} {one}" if k >= 0 else None for k, one in zip(predicted, number, strict=True)]
    samples.assign(**columns, map_cluster=pd.Series(clusters, dtype="str")).to_parquet(
        run / "samples.parquet", index=False
    )
    _write_tables(run, classes, samples, np.asarray(maps.shape[1:]))
    finding = Finding(
        "FV-S001", "high", "A shortcut for sad, at the lower right", "Simulated.", "/shortcuts?predicted=sad"
    )
    kept = [Finding(**one) for one in pd.read_json(run / "findings.json").to_dict("records")]
    (run / "findings.json").write_text(findings_json((*kept, finding)))


def _write_tables(run: Path, classes: tuple[str, ...], samples: pd.DataFrame, shape: np.ndarray) -> None:
    even = areas(*shape)
    around = (0.1, 0.05, 0.15)
    named = ("", *classes)
    write_saliency_table(
        run, "saliency_regions",
        [(name, region, 40, share, 0.9 * share, 1.1 * share, share)
         for name in named for region, share in zip(REGIONS, even, strict=True)],
        ("class", "region", "n", "share", "low", "high", "area"),
    )  # fmt: skip
    ablation = [(name, region, 12, *around) for name in named for region in REGIONS]
    write_saliency_table(run, "saliency_ablation", ablation, ("class", "region", "n", "drop", "low", "high"))
    pairs = [("fear", "surprise", region, 24, k / 10, k / 10 - 0.2, k / 10 + 0.2) for k, region in enumerate(REGIONS)]
    write_saliency_table(
        run, "saliency_pairs", pairs, ("class_a", "class_b", "region", "n", "effect", "low", "high")
    )  # fmt: skip
    spread = 0.08
    write_saliency_table(
        run, "faithfulness",
        [(name, 32, 0.4 + gain / 2, 0.4 - gain / 2, gain, gain - spread, gain + spread, above, above - spread,
          above + spread, gain, gain - spread, gain + spread) for name, gain, above in METHODS],
        ("method", "n", "insertion", "deletion", "gain", "low", "high", "over_blob", "over_blob_low",
         "over_blob_high", "road", "road_low", "road_high"),
    )  # fmt: skip
    steps = [
        (name, k / 4, *(value for up in (1, -1) for value in (0.4 + up * gain * k / 8 + d for d in (0, -0.05, 0.05))))
        for name, gain, _ in METHODS
        for k in range(5)
    ]
    write_saliency_table(
        run, "faithfulness_curves", steps,
        ("method", "share", "insertion", "insertion_low", "insertion_high", "deletion", "deletion_low",
         "deletion_high"),
    )  # fmt: skip
    levels = [(k / 4, f"layer {k}", 32, 0.4 - k / 10, 0.3 - k / 10, 0.5 - k / 10) for k in range(5)]
    write_saliency_table(run, "randomisation", levels, ("level", "layer", "n", "alike", "low", "high"))
    moved = [(name, 32, 0.9, 0.85, 0.95) for name in ("moved left", "noise")]
    write_saliency_table(run, "stability", moved, ("perturbation", "n", "alike", "low", "high"))
    examples = samples.loc[samples["predicted"] == "sad", "sample_id"].head(6).tolist()
    places = [
        ("sad", "sad 2", 20, 0.6, 0.9, 12, *around, 0.4, 0.8, 0.8, 1.0, 1.0, True, examples),
        ("sad", "sad, a spot", 10, 0.3, 0.5, 10, 0.01, -0.01, 0.03, 0.0, 0.0, 0.0, 0.2, 0.2, False, examples[:2]),
    ]
    write_saliency_table(
        run, "shortcuts", places,
        ("class", "cluster", "size", "background", "purity", "n", "drop", "low", "high", "lost", "top", "left",
         "bottom", "right", "is_shortcut", "examples"),
    )  # fmt: skip
