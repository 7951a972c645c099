"""The picture that ``facevalue explain`` writes: for each face its crop, what the classifier looked at, and its
probabilities."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

TILE, GAP, BAR = 240, 24, 240
LINE = 26
NAME = 92
TOP = 64
INK, PALE, MUTED, ACCENT = (33, 37, 41), (233, 236, 239), (134, 142, 150), (0, 114, 178)
STRONGEST = 0.7
"""Opacity of the map where it is strongest."""


@dataclass(frozen=True)
class Panel:
    """One face: pixels uint8 (H, W, 1 or 3), probabilities (K,), raw map (h, w) of the predicted class, and the title
    of the method that made it."""

    pixels: np.ndarray
    probabilities: np.ndarray
    map: np.ndarray
    method: str


def draw(panels: Sequence[Panel], classes: Sequence[str], model: str, source: str) -> bytes:
    """The PNG: a heading, then a row for each face. The same input gives the same bytes."""
    row = max(TILE, LINE * len(classes)) + 2 * GAP
    width = GAP + 2 * (TILE + GAP) + NAME + BAR + 64 + GAP
    sheet = Image.new("RGB", (width, TOP + row * len(panels)), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, 18), _shortened(source, 48), INK, _font(20))
    pen.text((width - GAP, 22), _shortened(f"model {model}", 40), MUTED, _font(14), anchor="ra")
    for number, panel in enumerate(panels):
        _row(sheet, pen, TOP + number * row, panel, classes)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def overlay(pixels: np.ndarray, map_: np.ndarray, side: int) -> np.ndarray:
    """uint8 (side, side, 3): the face with the positive part of the map laid over it, opaque where it is strong."""
    positive = np.maximum(cv2.resize(map_.astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC), 0)
    strength = positive / positive.max() if positive.max() > 0 else positive
    colours = cv2.cvtColor(
        cv2.applyColorMap((strength * 255).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB
    )
    veil = (STRONGEST * strength)[:, :, None]
    return np.rint(_tile(pixels, side) * (1 - veil) + colours * veil).astype(np.uint8)


def _row(sheet: Image.Image, pen: ImageDraw.ImageDraw, top: int, panel: Panel, classes: Sequence[str]) -> None:
    best = int(panel.probabilities.argmax())
    sheet.paste(Image.fromarray(_tile(panel.pixels, TILE)), (GAP, top))
    left = GAP + TILE + GAP
    sheet.paste(Image.fromarray(overlay(panel.pixels, panel.map, TILE)), (left, top))
    pen.text((left, top + TILE + 4), f"what speaks for {classes[best]} ({panel.method})", MUTED, _font(12))
    pen.text((GAP, top + TILE + 4), "the face as the model was given it", MUTED, _font(12))
    _bars(pen, left + TILE + GAP, top, panel.probabilities, classes)


def _bars(pen: ImageDraw.ImageDraw, left: int, top: int, probabilities: np.ndarray, classes: Sequence[str]) -> None:
    best = int(probabilities.argmax())
    for k, name in enumerate(classes):
        y = top + k * LINE
        start = left + NAME
        colour = ACCENT if k == best else MUTED
        pen.text((start - 8, y + LINE / 2), _shortened(name, 12), INK, _font(14), anchor="rm")
        pen.rectangle((start, y + 5, start + BAR, y + LINE - 5), PALE)
        pen.rectangle((start, y + 5, start + round(BAR * float(probabilities[k])), y + LINE - 5), colour)
        pen.text((start + BAR + 8, y + LINE / 2), f"{probabilities[k]:.0%}", INK, _font(14), anchor="lm")


def _tile(pixels: np.ndarray, side: int) -> np.ndarray:
    big = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_CUBIC).reshape(side, side, -1)
    return np.repeat(big, 3, axis=2) if big.shape[2] == 1 else big


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
