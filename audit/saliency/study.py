"""What an audit finds out about its maps while the model is at hand: tables in results/, columns in the samples.

Stored maps give regions, clusters and the atlas; running the model again on some images gives what regions are worth to
it, and whether the maps can be trusted. Equal input gives equal bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from audit.run import AuditRun
from audit.saliency import atlas, causal, faithfulness, regions, shortcuts, trust
from audit.saliency.tables import write_saliency_table
from faces.dataset import OK, FaceDataset
from faces.errors import UnreadableImage
from models.classifier import Classifier

METHOD = "gradcam"
PAIRS = 6
"""So many of the most confused pairs are told apart by regions, besides those of ALWAYS."""
CHECKED = 120
"""The maps of one image in so many are checked by running the model on it again, some sixty times."""
ALWAYS = (("fear", "surprise"), ("sad", "neutral"))


@dataclass(frozen=True)
class Study:
    """A run that has been merged and analysed but has no manifest yet, with its model and its faces."""

    run: AuditRun
    classifier: Classifier
    dataset: FaceDataset
    seed: int

    @property
    def method(self) -> str:
        """The stored method that regions, clusters and checks are about."""
        stored = self.run.saliency_methods
        return METHOD if METHOD in stored else stored[0]

    @cached_property
    def maps(self) -> np.ndarray:
        """float32 (N, h, w): raw maps for each image's predicted class; NaN where it was unreadable."""
        return atlas.target_maps(self.run, np.arange(len(self.run.samples)), "predicted", self.method)

    @cached_property
    def label(self) -> np.ndarray:
        return np.where(self.run.samples["status"] == OK, self.run.classes.encode(self.run.samples["label"]), -1)

    @cached_property
    def predicted(self) -> np.ndarray:
        return self.run.classes.encode(self.run.samples["predicted"])

    def spread(self, rows: np.ndarray, n: int) -> np.ndarray:
        """At most ``n`` of ``rows``, evenly spaced."""
        return rows[np.unique(np.linspace(0, len(rows) - 1, min(n, len(rows))).astype(int))] if len(rows) else rows

    def checked(self, most: int) -> int:
        """On how many images the maps are checked: one in CHECKED, so that it costs less than the audit itself."""
        return int(np.clip(len(self.label) // CHECKED, 16, most))

    def pixels(self, rows: np.ndarray) -> np.ndarray:
        """uint8 (n, height, width, C) as the network takes them."""
        images = []
        for _, image in self.dataset.stream(rows.tolist()):
            if isinstance(image, UnreadableImage):
                raise image
            images.append(self.classifier.preprocessing.fit(image))
        return np.stack(images)


def study_maps(study: Study, check: bool) -> None:
    """Write every table; with ``check`` also those that run the model again."""
    if not study.run.saliency_methods:
        return
    _write_atlas(study)
    if not regions.too_coarse(*study.maps.shape[1:]):
        clusters = shortcuts.clusters_of(study.maps, study.predicted, study.label, study.run.classes.names, study.seed)
        _write_sample_columns(study, clusters)
        _write_regions(study)
        if check:
            _write_shortcuts(study, clusters)
            _write_ablation(study)
    if check:
        _write_faithfulness(study)
        _write_trust(study)


def _write_atlas(study: Study) -> None:
    """results/atlas.npz: sums of raw maps by label and predicted (K, K, T, h, w) of each linear method, and counts."""
    arrays = {}
    for name in study.run.saliency_methods:
        store = study.run.maps(name)
        if store.targets == study.run.classes.names:
            total, n = atlas.cell_sums(store, study.label, study.predicted)
            arrays[name], arrays["n"] = total.astype(np.float32), n
    if arrays:
        np.savez(study.run.folder / "results" / "atlas.npz", allow_pickle=False, **arrays)


def _write_sample_columns(study: Study, clusters: tuple[shortcuts.Cluster, ...]) -> None:
    """Which share of its map lies on each region, and which cluster it is in, for every sample."""
    found = regions.shares(np.nan_to_num(study.maps))
    names = np.full(len(found), None, dtype=object)
    for one in clusters:
        names[one.rows] = one.name
    columns = {f"share_{name}": found[:, position] for position, name in enumerate(regions.REGIONS)}
    path = study.run.folder / "samples.parquet"
    samples = pd.read_parquet(path).assign(**columns, map_cluster=pd.Series(names, dtype="str"))
    samples.to_parquet(path, index=False)


def _write_regions(study: Study) -> None:
    found = regions.shares(np.nan_to_num(study.maps))
    even = regions.areas(*study.maps.shape[1:])
    rows = []
    for name, chosen in _by_class(study.predicted, study.run.classes.names):
        shares = found[chosen & np.isfinite(found).all(axis=1)]
        for position, region in enumerate(regions.REGIONS):
            mean, low, high = mean_interval(shares[:, position])
            rows.append((name, region, len(shares), mean, low, high, even[position]))
    columns = ("class", "region", "n", "share", "low", "high", "area")
    write_saliency_table(study.run.folder, "saliency_regions", rows, columns)


def _by_class(position: np.ndarray, classes: tuple[str, ...]) -> list[tuple[str, np.ndarray]]:
    """The whole set, named "", then each class: which rows."""
    return [("", position >= 0), *((name, position == k) for k, name in enumerate(classes))]


def _write_shortcuts(study: Study, clusters: tuple[shortcuts.Cluster, ...]) -> None:
    """Suspicious clusters and spots, each with what its place is worth to the model."""
    marked = shortcuts.spots(study.maps, study.predicted, study.label, study.run.classes.names)
    rows = []
    for one in (*shortcuts.suspicions(clusters), *marked):
        chosen = study.spread(one.rows, causal.MOST)
        found = causal.withdraw(study.classifier, one, study.pixels(chosen), study.run.probabilities[chosen])
        examples = study.run.samples["sample_id"].iloc[chosen[:12]].tolist()
        rows.append(
            (one.predicted, one.name, len(one.rows), one.background, one.purity, found.n, found.drop, found.low,
             found.high, found.lost, *found.box, found.is_shortcut, examples)
        )  # fmt: skip
    columns = ("class", "cluster", "size", "background", "purity", "n", "drop", "low", "high", "lost", "top", "left",
               "bottom", "right", "is_shortcut", "examples")  # fmt: skip
    write_saliency_table(study.run.folder, "shortcuts", rows, columns)


def _write_ablation(study: Study) -> None:
    """What blurring each region costs: the label's probability by class, and the log-odds within confused pairs."""
    each = int(np.clip(len(study.label) // 300, 12, 64))
    classes = study.run.classes.names
    chosen = np.concatenate([study.spread(np.flatnonzero(study.label == k), each) for k in range(len(classes))])
    if not len(chosen):
        return
    before, after = study.run.probabilities[chosen], causal.without_regions(study.classifier, study.pixels(chosen))
    label, row = study.label[chosen], np.arange(len(chosen))
    rows = []
    for name, which in _by_class(label, classes):
        for position, region in enumerate(regions.REGIONS):
            drop = (before[row, label] - after[position, row, label])[which]
            rows.append((name, region, len(drop), *mean_interval(drop)))
    write_saliency_table(study.run.folder, "saliency_ablation", rows, ("class", "region", "n", "drop", "low", "high"))
    _write_pairs(study, label, before, after)


def _write_pairs(study: Study, label: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
    classes = study.run.classes
    ranked = study.run.table("pairs")[["class_a", "class_b"]].head(PAIRS).itertuples(index=False, name=None)
    pairs = dict.fromkeys(tuple(sorted(pair, key=classes.index)) for pair in ranked)
    pairs |= {pair: None for pair in ALWAYS if all(name in classes for name in pair)}
    rows = []
    for first, second in pairs:
        a, b = classes.index(first), classes.index(second)
        which = np.flatnonzero((label == a) | (label == b))
        other = np.where(label[which] == a, b, a)
        margins = [_log_odds(chances[which], label[which], other) for chances in (before, *after)]
        for position, region in enumerate(regions.REGIONS):
            effect = margins[0] - margins[position + 1]
            rows.append((first, second, region, len(which), *mean_interval(effect)))
    columns = ("class_a", "class_b", "region", "n", "effect", "low", "high")
    write_saliency_table(study.run.folder, "saliency_pairs", rows, columns)


def _log_odds(probabilities: np.ndarray, label: np.ndarray, other: np.ndarray) -> np.ndarray:
    row = np.arange(len(label))
    logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-12))
    return logs[row, label] - logs[row, other]


def _write_faithfulness(study: Study) -> None:
    """Insertion, deletion and ROAD of every stored method for the predicted class, beside what they must beat."""
    rows = study.spread(np.flatnonzero(study.predicted >= 0), study.checked(256))
    pixels, targets = study.pixels(rows), study.predicted[rows].astype(np.int64)
    candidates = {name: atlas.target_maps(study.run, rows, "predicted", name) for name in study.run.saliency_methods}
    candidates |= faithfulness.baselines(len(rows), pixels.shape[1], pixels.shape[2], study.seed)
    ends = faithfulness.ends_of(study.classifier, pixels, targets)
    curves: dict[str, faithfulness.Curves] = {}
    roads: dict[str, np.ndarray] = {}
    for name, maps in candidates.items():
        twin = next((other for other in curves if _same_order(candidates[other], maps)), None)
        curves[name] = (
            curves[twin] if twin else faithfulness.insertion_deletion(study.classifier, pixels, maps, targets, ends)
        )
        roads[name] = roads[twin] if twin else faithfulness.road(study.classifier, pixels, maps, targets)
    table = []
    for name, found in curves.items():
        beyond = mean_interval(found.gain - curves["blob"].gain)
        areas = float(faithfulness.area(found.insertion).mean()), float(faithfulness.area(found.deletion).mean())
        table.append((name, len(rows), *areas, *mean_interval(found.gain), *beyond, *mean_interval(roads[name])))
    columns = ("method", "n", "insertion", "deletion", "gain", "low", "high", "over_blob", "over_blob_low",
               "over_blob_high", "road", "road_low", "road_high")  # fmt: skip
    write_saliency_table(study.run.folder, "faithfulness", table, columns)
    _write_curves(study.run.folder, curves)


def _write_curves(folder: Path, curves: dict[str, faithfulness.Curves]) -> None:
    """The mean curve of every method: the target's probability with so large a share of the pixels put in or gone."""
    steps = faithfulness.STEPS
    rows = [
        (name, step / steps, *mean_interval(found.insertion[:, step]), *mean_interval(found.deletion[:, step]))
        for name, found in curves.items()
        for step in range(steps + 1)
    ]
    columns = ("method", "share", "insertion", "insertion_low", "insertion_high", "deletion", "deletion_low",
               "deletion_high")  # fmt: skip
    write_saliency_table(folder, "faithfulness_curves", rows, columns)


def _same_order(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two methods' maps are the same but for a factor, as those of a pooled head often are."""
    if a.shape != b.shape:
        return False
    first, second = (one / np.maximum(np.abs(one).max(axis=(1, 2), keepdims=True), 1e-30) for one in (a, b))
    return bool(np.allclose(first, second, atol=2e-3))


def _write_trust(study: Study) -> None:
    rows = study.spread(np.flatnonzero(study.predicted >= 0), study.checked(64))
    pixels = study.pixels(rows)
    targets = [study.run.classes.names[k] for k in study.predicted[rows]]
    layers, alike = trust.cascading_randomisation(study.classifier, pixels, study.method, targets, study.seed)
    levels = [
        (level, layer, len(rows), *mean_interval(values))
        for level, layer, values in zip(trust.LEVELS, layers, alike, strict=True)
    ]
    columns = ("level", "layer", "n", "alike", "low", "high")
    write_saliency_table(study.run.folder, "randomisation", levels, columns)
    moved = trust.stability(study.classifier, pixels, study.method, targets, study.seed)
    table = [(name, len(rows), *mean_interval(values)) for name, values in moved.items()]
    write_saliency_table(study.run.folder, "stability", table, ("perturbation", "n", "alike", "low", "high"))


def mean_interval(values: np.ndarray) -> tuple[float, float, float]:
    """Mean with its 95% interval by Student's t; NaN for an interval of fewer than two values."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return (float(values.mean()) if n else np.nan), np.nan, np.nan
    mean = float(np.mean(values, dtype=np.float64))
    error = float(t.ppf(0.975, n - 1) * np.std(values, ddof=1, dtype=np.float64) / np.sqrt(n))
    return mean, mean - error, mean + error
