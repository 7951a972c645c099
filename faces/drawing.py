"""One drawn face: who it shows, what it expresses, how it was photographed, and its picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faces.action_units import Action, Shape, shape

MONK = (
    (246, 237, 228), (243, 231, 219), (247, 234, 208), (234, 218, 186), (215, 189, 150),
    (160, 126, 86), (130, 92, 67), (96, 65, 52), (58, 49, 42), (41, 36, 32),
)  # fmt: skip
"""RGB of the ten tones of the Monk Skin Tone scale (Monk 2019)."""
HAIR = ((28, 22, 20), (58, 38, 26), (96, 62, 36), (168, 128, 72), (130, 60, 34))
CANVAS = 144
"""Faces are drawn at this size in pixels and then made smaller."""
FLARE = 16.0
"""Stray light that a lens adds (0..255): no skin in a photograph is as dark as its swatch."""
METERED, METERING = 160.0, 0.5
"""A camera meters the face: skin darker or lighter than METERED (0..255) is exposed towards it by so much (0..1)."""
_FRACTION = 4

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Person:
    """Who is drawn. Lengths in half face heights; ``tone`` 1..10 on the Monk scale, ``age`` in years as it appears."""

    tone: int
    age: int
    woman: bool
    glasses: bool
    hair: Colour
    long_hair: bool
    beard: float
    width: float
    jaw: float
    eye_distance: float
    eye_size: float
    brow_y: float
    brow_thickness: float
    nose: float
    mouth_width: float
    mouth_y: float
    lips: float


@dataclass(frozen=True)
class Shot:
    """How the picture was taken. Angles in radians; ``gain`` multiplies light, ``slope`` is its fall across the face;

    ``metering`` (0..1) is how far the exposure followed the skin; ``blur`` (sigma) and ``noise`` (standard deviation,
    0..255) are for a picture 64 pixels wide.
    """

    yaw: float
    pitch: float
    roll: float
    scale: float
    gain: float
    metering: float
    slope: tuple[float, float]
    blur: float
    noise: float
    background: tuple[Colour, Colour]


def person(rng: np.random.Generator, tone: int, age: int, woman: bool, glasses: bool) -> Person:
    """Someone with these cues, everything else by chance."""
    child = max(0.0, 1 - age / 14)
    grey = float(np.clip((age - 45) / 30 + rng.normal(0, 0.15), 0, 0.95))
    hair = np.array(HAIR[rng.integers(len(HAIR)) if tone <= 4 else 0], dtype=float)
    return Person(
        tone=tone,
        age=age,
        woman=woman,
        glasses=glasses,
        hair=_colour(hair + (np.array((205, 205, 205)) - hair) * grey),
        long_hair=bool(rng.random() < (0.85 if woman else 0.06)),
        beard=float(rng.uniform(0.3, 1)) if not woman and age > 18 and rng.random() < 0.4 else 0.0,
        width=float(rng.normal(0.76, 0.035) + 0.04 * child),
        jaw=float(np.clip(rng.normal(0.62 if woman else 0.78, 0.06), 0.45, 0.95)),
        eye_distance=float(rng.normal(0.34, 0.015)),
        eye_size=float(rng.normal(0.155, 0.01) + 0.03 * child + (0.008 if woman else 0)),
        brow_y=float(rng.normal(-0.37, 0.018)),
        brow_thickness=float(max(0.022, rng.normal(0.035 if woman else 0.055, 0.006)) * (1 - 0.3 * child)),
        nose=float(rng.normal(1.0, 0.1) * (1 - 0.25 * child)),
        mouth_width=float(rng.normal(0.27, 0.02)),
        mouth_y=float(rng.normal(0.56, 0.015)),
        lips=float(max(0.03, rng.normal(0.062 if woman else 0.05, 0.008))),
    )


def shot(rng: np.random.Generator, worse: bool = False) -> Shot:
    """How a picture is taken; ``worse``: in poor light that nobody metered, out of focus and noisy."""
    angle = rng.uniform(0, 2 * np.pi)
    fall = rng.uniform(0, 0.35)
    top = rng.uniform(45, 205) + rng.normal(0, 18, 3)
    return Shot(
        yaw=float(np.clip(rng.normal(0, 0.16), -0.45, 0.45)),
        pitch=float(np.clip(rng.normal(0, 0.08), -0.25, 0.25)),
        roll=float(np.clip(rng.normal(0, 0.07), -0.25, 0.25)),
        scale=float(rng.uniform(0.37, 0.43)),
        gain=float(rng.uniform(0.45, 0.65) if worse else rng.uniform(0.75, 1.05)),
        metering=0.0 if worse else METERING,
        slope=(float(fall * np.cos(angle)), float(fall * np.sin(angle))),
        blur=float(rng.uniform(1.2, 1.9) if worse else rng.uniform(0, 0.7)),
        noise=float(rng.uniform(3, 6) if worse else rng.uniform(1, 5)),
        background=(_colour(np.clip(top, 0, 255)), _colour(np.clip(top + rng.normal(0, 25, 3), 0, 255))),
    )


def render(who: Person, action: Action, how: Shot, size: int, rng: np.random.Generator) -> np.ndarray:
    """The picture: uint8 (size, size, 3) RGB."""
    pen = _Pen(who, how)
    made = shape(
        action,
        brow_y=who.brow_y,
        lids=0.42 * who.eye_size,
        mouth_width=who.mouth_width,
        mouth_y=who.mouth_y,
        lips=who.lips,
    )
    _head(pen, who, made)
    _lines(pen, who, action, made)
    _eyes(pen, who, made)
    _nose(pen, who, action)
    _mouth(pen, who, made, action)
    _brows(pen, who, made)
    _hair(pen, who)
    if who.glasses:
        _glasses(pen, who)
    return _expose(pen.paint(), how, size, rng)


class _Pen:
    """Collects strokes in face coordinates, then paints them all at once, turned and placed as the head is."""

    def __init__(self, who: Person, how: Shot) -> None:
        lit = FLARE + (1 - FLARE / 255) * 0.92 * np.array(MONK[who.tone - 1], dtype=float)
        self.skin = lit * (METERED / lit.mean()) ** how.metering
        self._tone = self.skin.tolist()
        self._light = sum(self._tone) / 3
        self._width = who.width
        self._how = how
        self._points: list[np.ndarray] = []
        self._strokes: list[tuple[str, float, Colour, float]] = []

    def shade(self, factor: float, redder: float = 0.0) -> Colour:
        """The skin's colour, darker (below 1) or lighter, shifted towards red by ``redder`` (0..1)."""
        glow = redder * (0.55 + 0.45 * self._light / 240)
        keep = factor * (1 - redder)
        red, green, blue = self._tone
        return (
            min(255.0, red * keep + 150 * glow),
            min(255.0, green * keep + 40 * glow),
            min(255.0, blue * keep + 45 * glow),
        )

    def crease(self, strength: float) -> Colour:
        """A crease: darker than the skin, on the darkest skins lighter, so that it shows on every tone."""
        return self.shade(1 - 0.6 * strength if self._light > 75 else 1 + 0.8 * strength)

    def fill(self, points: np.ndarray, colour: Colour, depth: float = 1.0) -> None:
        """A polygon; ``depth`` 0 lies behind the face, 1 on it."""
        self._add("fill", points, depth, colour, 0.0)

    def line(self, points: np.ndarray, colour: Colour, thickness: float) -> None:
        """An open line; thickness in half face heights."""
        self._add("line", points, 1.0, colour, thickness)

    def disc(self, x: float, y: float, radius: float, colour: Colour) -> None:
        self._add("disc", np.array([(x, y)]), 1.0, colour, radius)

    def _add(self, kind: str, points: np.ndarray, depth: float, colour: Colour, width: float) -> None:
        self._points.append(points)
        self._strokes.append((kind, depth, colour, width))

    def paint(self) -> np.ndarray:
        """uint8 (CANVAS, CANVAS, 3)."""
        first, second = np.array(self._how.background)
        canvas = np.empty((CANVAS, CANVAS, 3), np.uint8)
        canvas[:] = (first + (second - first) * np.linspace(0, 1, CANVAS)[:, None])[:, None]
        unit = self._how.scale * CANVAS
        bounds = np.cumsum([0, *map(len, self._points)]).tolist()
        depth = np.repeat([stroke[1] for stroke in self._strokes], np.diff(bounds))
        placed = self._place(np.concatenate(self._points), depth, unit)
        for (kind, _, colour, width), start, end in zip(self._strokes, bounds, bounds[1:], strict=False):
            points = placed[start:end]
            if kind == "fill":
                cv2.fillPoly(canvas, [points], colour, cv2.LINE_AA, _FRACTION)
            elif kind == "line":
                thickness = max(1, round(width * unit))
                cv2.polylines(canvas, [points], False, colour, thickness, cv2.LINE_AA, _FRACTION)
            else:
                radius = round(width * unit * (1 << _FRACTION))
                cv2.circle(canvas, points[0].tolist(), radius, colour, -1, cv2.LINE_AA, _FRACTION)
        return canvas

    def _place(self, points: np.ndarray, depth: np.ndarray, unit: float) -> np.ndarray:
        """Face coordinates (N, 2) to canvas coordinates with fraction bits, int32: the head is half an ellipsoid."""
        how, x, y = self._how, points[:, 0], points[:, 1]
        z = 0.6 * depth * np.sqrt(np.clip(1 - 0.8 * (x / self._width) ** 2 - 0.5 * y**2, 0.02, 1))
        across, down = x * np.cos(how.yaw) + z * np.sin(how.yaw), y + z * np.sin(how.pitch)
        cos, sin = np.cos(how.roll) * unit, np.sin(how.roll) * unit
        turned = _xy(across * cos - down * sin + 0.5 * CANVAS, across * sin + down * cos + 0.53 * CANVAS)
        return np.round(turned * (1 << _FRACTION)).astype(np.int32)


_ROUND = np.linspace(0, 2 * np.pi, 40)
_SIN, _COS = np.sin(_ROUND), np.cos(_ROUND)
_ALONG = np.linspace(0, 1, 9)
_EYE = np.linspace(-1, 1, 11)
_LIP = np.linspace(-1, 1, 15)
_TAPER = np.array((0.9, 1, 1, 1, 0.95, 0.85, 0.7, 0.5, 0.25))


def _outline(who: Person, chin: float) -> np.ndarray:
    """The face's edge: an oval above, narrowing to the jaw below."""
    x, y = _SIN, -_COS
    lower = np.maximum(y, 0)
    square = np.sign(x) * np.abs(x) ** (1 - 0.45 * who.jaw * lower)
    return _xy(who.width * square * (1 - 0.12 * lower), y * (1 + chin * lower))


def _head(pen: _Pen, who: Person, made: Shape) -> None:
    if who.long_hair:
        back = _xy(1.22 * who.width * _SIN, -0.15 - 1.05 * _COS)
        back[:, 1] = np.where(back[:, 1] > 0, back[:, 1] * 1.6, back[:, 1])
        pen.fill(back, who.hair, depth=0)
    neck = np.array([(-0.42, 0.5), (0.42, 0.5), (0.5, 1.6), (-0.5, 1.6)])
    pen.fill(neck, pen.shade(0.72), depth=0)
    for side in (-1, 1):
        ear = _xy(side * who.width + 0.09 * _SIN, 0.02 - 0.2 * _COS)
        pen.fill(ear, pen.shade(0.85), depth=0)
    face = _outline(who, made.chin)
    pen.fill(face, pen.shade(0.86))
    pen.fill(face * (0.9, 0.93) - (0, 0.03), pen.shade(1.0))
    if who.beard:
        theta = np.linspace(-1.25, 1.25, 18)
        jaw = _xy(0.97 * who.width * np.sin(theta) * 0.97, np.cos(theta) * (0.99 + made.chin))
        inner = _xy(0.34 * np.sin(theta[::-1] * 1.2), 0.4 + 0.1 * np.cos(theta[::-1]))
        blend = 0.15 + 0.3 * who.beard
        tint = np.array(who.hair) * blend + pen.skin * (1 - blend)
        pen.fill(np.concatenate([jaw, inner]), _colour(tint))


def _lines(pen: _Pen, who: Person, action: Action, made: Shape) -> None:
    """Creases: those of the moving muscles, and those of age where no muscle of an expression draws one."""
    old = float(np.clip((who.age - 40) / 35, 0, 1))
    corner_x, corner_y = made.corner
    for side in (-1, 1):
        fold = max(action[12], 0.9 * action[9], 0.5 * action[20])
        if fold > 0.15:
            start, end = np.array((0.17, 0.22)), np.array((corner_x + 0.09, corner_y - 0.02))
            bend = (start + end) / 2 + (0.05 + 0.05 * action[12], 0)
            pen.line(_curve(start, bend, end) * (side, 1), pen.crease(0.6 * fold), 0.022)
        feet = action[6]
        if feet > 0.3:
            x, y = who.eye_distance + who.eye_size + 0.03, -0.12
            for slope in (-0.06, 0.0, 0.06):
                ray = np.array([(x, y + slope / 2), (x + 0.09, y + 1.5 * slope)])
                pen.line(ray * (side, 1), pen.crease(0.5 * feet), 0.014)
        if action[6] > 0.2:
            cheek = np.array([(0.2, 0.12), (0.34, 0.06), (0.5, 0.1)])
            pen.line(cheek * (side, 1), pen.crease(0.4 * action[6]), 0.02)
        if old > 0.15:
            bag = np.array([(0.24, 0.04), (0.34, 0.08), (0.44, 0.04)])
            pen.line(bag * (side, 1), pen.crease(0.5 * old), 0.016)
            jowl = np.array([(0.4, 0.55), (0.37, 0.68), (0.3, 0.78)])
            pen.line(jowl * (side, 1), pen.crease(0.6 * old), 0.02)
        frown = max(action[4], 0.7 * action[9])
        if frown > 0.25:
            furrow = np.array([(0.045, made.brow[0, 1] - 0.05), (0.05, made.brow[0, 1] + 0.1)])
            pen.line(furrow * (side, 1), pen.crease(0.7 * frown), 0.02)
    raised = min(action[1], action[2] + 0.3)
    if raised > 0.3:
        for y in (-0.68, -0.6):
            rise = 0.05 * action[2]
            pen.line(
                _curve(np.array((-0.34, y)), np.array((0, y - rise)), np.array((0.34, y))),
                pen.crease(0.45 * raised),
                0.016,
            )
    if action[9] > 0.25:
        for y in (-0.14, -0.07, 0.0):
            pen.line(
                _curve(np.array((-0.1, y)), np.array((0, y + 0.05)), np.array((0.1, y))),
                pen.crease(0.7 * action[9]),
                0.018,
            )


def _eyes(pen: _Pen, who: Person, made: Shape) -> None:
    for side in (-1, 1):
        arch = 1 - np.abs(_EYE) ** 2.2
        across = who.eye_distance + who.eye_size * _EYE
        upper = _xy(across, -0.12 - made.upper_lid * arch + made.droop * _EYE)
        lower = _xy(across, -0.12 + made.lower_lid * arch + made.droop * 0.5 * _EYE)
        pen.fill(np.concatenate([upper, lower[::-1]]) * (side, 1), (236, 234, 230))
        centre = side * who.eye_distance
        pen.disc(centre, -0.125, 0.5 * who.eye_size, (72, 50, 34) if who.tone > 4 else (84, 84, 78))
        pen.disc(centre, -0.125, 0.25 * who.eye_size, (12, 10, 10))
        lid = 0.6 * who.eye_size
        above = np.concatenate([upper, (upper - (0, lid))[::-1]])
        below = np.concatenate([lower, (lower - (0, -lid))[::-1]])
        pen.fill(above * (side, 1), pen.shade(0.93))
        pen.fill(below * (side, 1), pen.shade(0.97))
        pen.line(upper * (side, 1), (24, 18, 16), 0.028)
        pen.line(lower * (side, 1), pen.crease(0.6), 0.014)
        pen.line((upper - (0, 0.05)) * (side, 1), pen.crease(0.35), 0.014)


def _nose(pen: _Pen, who: Person, action: Action) -> None:
    tip = 0.27 - 0.05 * action[9]
    wide = 0.13 * who.nose * (1 + 0.15 * action[9])
    pen.line(np.array([(0.05, -0.05), (0.07, 0.12), (wide, tip)]), pen.crease(0.35), 0.02)
    base = np.array([(-wide, tip), (-0.06, tip + 0.055), (0, tip + 0.035), (0.06, tip + 0.055), (wide, tip)])
    pen.line(base, pen.crease(0.75), 0.022)


def _mouth(pen: _Pen, who: Person, made: Shape, action: Action) -> None:
    x, y = made.corner
    arch, full = 1 - _LIP**2, 1 - np.abs(_LIP) ** 3
    upper_inner = y + (made.upper_lip - y) * arch
    lower_inner = y + (made.lower_lip - y) * (full if made.gap > 0.15 else arch)
    lower_inner = np.maximum(lower_inner, upper_inner)
    across = x * _LIP
    top = _xy(across, upper_inner - made.lips * (0.25 + 0.75 * full))
    bottom = _xy(across, lower_inner + made.lips * (0.2 + 1.1 * full))
    lip = pen.shade(0.8, redder=0.5 if who.woman else 0.4)
    pen.fill(np.concatenate([top, bottom[::-1]]), lip)
    inner_top, inner_bottom = _xy(across, upper_inner), _xy(across, lower_inner)
    if made.gap > 0.025:
        pen.fill(np.concatenate([inner_top, inner_bottom[::-1]]), _colour(np.minimum((58, 18, 20), 0.4 * pen.skin)))
        teeth = max(action[12], action[20], 0.8 * action[16], 0.5 * action[25])
        if teeth > 0.15:
            reach = np.minimum(upper_inner + 0.10, lower_inner)
            pen.fill(np.concatenate([inner_top, _xy(across, reach)[::-1]]), (238, 234, 226))
    else:
        pen.line(inner_top, pen.shade(0.35, redder=0.3), 0.024)
    under = np.array([(-0.09, made.lower_lip + 0.16), (0, made.lower_lip + 0.175), (0.09, made.lower_lip + 0.16)])
    pen.line(under, pen.crease(0.3 + 0.3 * action[15]), 0.02)


def _brows(pen: _Pen, who: Person, made: Shape) -> None:
    middle = _curve(made.brow[0], made.brow[1], made.brow[2], through=True)
    half = _xy(np.zeros(9), who.brow_thickness * _TAPER)
    colour = pen.shade(0.35)
    for side in (-1, 1):
        pen.fill(np.concatenate([middle - half, (middle + half)[::-1]]) * (side, 1), colour)


def _hair(pen: _Pen, who: Person) -> None:
    theta = np.linspace(-1.35, 1.35, 22)
    over = _xy(1.06 * who.width * np.sin(theta), -1.12 * np.cos(theta))
    line = -0.78 if who.age < 50 or who.woman else -0.86
    under = _xy(0.96 * who.width * np.sin(theta[::-1]), line * np.cos(theta[::-1]) ** 0.6)
    pen.fill(np.concatenate([over, under]), who.hair)


def _glasses(pen: _Pen, who: Person) -> None:
    radius = who.eye_size * 1.25
    for side in (-1, 1):
        ring = _xy(who.eye_distance + radius * _SIN, -0.11 - 0.85 * radius * _COS)
        pen.line(ring * (side, 1), (30, 30, 34), 0.018)
        pen.line(np.array([(who.eye_distance + radius, -0.13), (who.width, -0.16)]) * (side, 1), (30, 30, 34), 0.018)
    pen.line(np.array([(-who.eye_distance + radius, -0.13), (who.eye_distance - radius, -0.13)]), (30, 30, 34), 0.018)


def _xy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    points = np.empty((len(x), 2))
    points[:, 0], points[:, 1] = x, y
    return points


def _curve(start: np.ndarray, bend: np.ndarray, end: np.ndarray, through: bool = False) -> np.ndarray:
    """Nine points of a quadratic curve from start to end, drawn towards ``bend`` or passing ``through`` it."""
    if through:
        bend = 2 * bend - (start + end) / 2
    t = _ALONG[:, None]
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end


def _expose(canvas: np.ndarray, how: Shot, size: int, rng: np.random.Generator) -> np.ndarray:
    """Light, focus and noise, at the picture's own size."""
    image: np.ndarray = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32)
    at = np.linspace(-1, 1, size, dtype=np.float32)
    image *= (how.gain * (1 + how.slope[0] * at[None, :] + how.slope[1] * at[:, None]))[:, :, None]
    sigma = how.blur * size / 64
    if sigma > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    image += rng.standard_normal((size, size, 1), dtype=np.float32) * np.float32(how.noise)
    return np.clip(image, 0, 255).astype(np.uint8)


def _colour(values: np.ndarray) -> Colour:
    return float(values[0]), float(values[1]), float(values[2])
