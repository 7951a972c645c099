"""One sample's map with its face: what ``run.saliency(sample_id)`` gives. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audit.saliency.atlas import target_maps
from audit.saliency.registry import MINUS, method
from faces.errors import InputError, UnreadableImage

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from audit.run import AuditRun

SIDE = 224


def sample_map(run: AuditRun, sample_id: str, name: str, target: str) -> SampleMap:
    """A stored map where there is one, else one computed anew. Raises InputError naming what there is."""
    if sample_id not in run.row_of:
        raise InputError(f"The run {run.name} has no sample {sample_id!r}; sample ids are those of samples.parquet.")
    row = run.row_of[sample_id]
    names = {column: run.samples[column].iat[row] for column in ("predicted", "label")}
    predicted, label = (name if isinstance(name, str) else None for name in names.values())
    known = run.maps(name).targets if method(name).name in run.saliency_methods else ()
    if known == run.classes.names or (known and target in ("predicted", "label")):
        raw = target_maps(run, np.array([row]), _canonical(run, target), name)[0]
    else:
        from audit.saliency.of_run import computed_map

        raw = computed_map(run, sample_id, name, target)
    try:
        image = run.dataset().pixels.read(sample_id)
    except (InputError, UnreadableImage):
        image = None
    named = {"predicted": predicted, "label": label}.get(target, target)
    return SampleMap(sample_id, name, str(named), raw, image, predicted, label)


def _canonical(run: AuditRun, target: str) -> str:
    if target in ("predicted", "label"):
        return target
    return MINUS.join(run.classes.names[run.classes.index(part)] for part in target.split(MINUS, 1))


@dataclass(frozen=True)
class SampleMap:
    """The raw ``map`` float32 (h, w) of one sample, before any ReLU; ``image`` uint8 (H, W, 1 or 3), None if gone.

    ``predicted`` and ``label`` are class names; ``target`` is the class that the map speaks for, or ``a-minus-b``.
    """

    sample_id: str
    method: str
    target: str
    map: np.ndarray
    image: np.ndarray | None
    predicted: str | None
    label: str | None

    def enlarged(self, side: int = SIDE) -> np.ndarray:
        """float32 (side, side): the raw map, enlarged smoothly."""
        import cv2

        return cv2.resize(np.ascontiguousarray(self.map), (side, side), interpolation=cv2.INTER_LINEAR)

    def figure(self, opacity: float = 0.5) -> go.Figure:
        """The map over the face, raw values on hover; a contrast with a diverging scale around zero."""
        import plotly.graph_objects as go

        values = self.enlarged()
        signed = MINUS in self.target or bool((values < 0).any())
        limit = float(np.abs(values).max()) or 1.0
        figure = go.Figure()
        if self.image is not None:
            figure.add_trace(go.Image(z=self._face(), hoverinfo="skip"))
        figure.add_trace(
            go.Heatmap(
                z=values,
                zmin=-limit if signed else 0.0,
                zmax=limit,
                colorscale="PuOr_r" if signed else "Inferno",
                opacity=opacity,
                hovertemplate="%{z:.3g}<extra></extra>",
                colorbar={"title": {"text": "raw value"}},
            )
        )
        title = f"{method(self.method).title} for {self.target.replace(MINUS, ' rather than ')}"
        figure.update_layout(
            title={"text": f"{title}<br><sub>label {self.label}, predicted {self.predicted}</sub>"},
            width=420, height=420, margin={"l": 10, "r": 10, "t": 60, "b": 10},
        )  # fmt: skip
        figure.update_xaxes(visible=False, constrain="domain")
        figure.update_yaxes(visible=False, scaleanchor="x", autorange="reversed")
        return figure

    def show(self, opacity: float = 0.5) -> None:
        """Show the figure, in a notebook or a browser."""
        self.figure(opacity).show()

    def _face(self) -> np.ndarray:
        import cv2

        assert self.image is not None
        large = cv2.resize(self.image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC).reshape(SIDE, SIDE, -1)
        return np.repeat(large, 3, axis=2) if large.shape[2] == 1 else large
