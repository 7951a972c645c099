"""Pixels: from bytes to uint8 arrays, ahead of need and in order; what cannot be read says why."""

from __future__ import annotations

import hashlib
import io
import itertools
import os
import struct
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageOps

from faces.errors import UnreadableImage
from faces.trees import Tree

if TYPE_CHECKING:
    from faces.dataset import FaceDataset

MAX_PIXELS = 64_000_000
"""Larger images are quarantined before they are decoded: a few bytes can claim gigabytes."""
AHEAD_BYTES = 64 * 1024 * 1024
"""How much decoded image memory :func:`decode_ahead` may hold beyond what its caller has taken."""
AHEAD_ROWS = 64
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "GIF", "TIFF", "PPM", "ICO", "AVIF", "JPEG2000")
"""What Pillow may take bytes for: by itself it hands PostScript to Ghostscript, which runs programs."""

HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
"""Brands at the head of pictures as phones of Apple keep them."""

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class TreePixels:
    """Images in a folder or archive. ``members`` names the file of a sample whose id is not its file's name;

    ``boxes`` gives left, top, right, bottom in pixels where only a part of the picture is the face.
    """

    tree: Tree
    members: Mapping[str, str] = field(default_factory=dict)
    boxes: Mapping[str, Box] = field(default_factory=dict)

    def read(self, sample_id: str) -> np.ndarray:
        """uint8 (H, W, C), C = 1 or 3 (RGB). Raises UnreadableImage with the reason."""
        image = decode(self.tree.data(self.members.get(sample_id, sample_id)))
        box = self.boxes.get(sample_id)
        return image if box is None else crop(image, box)


def decode(data: bytes) -> np.ndarray:
    """An encoded image as uint8 (H, W, 1) where it is grey, else (H, W, 3) RGB, turned as its EXIF data say.

    16 bits become 8, an alpha channel is dropped, CMYK becomes RGB. Raises UnreadableImage for what is empty,
    truncated, no image, or has more than MAX_PIXELS.
    """
    if not data:
        raise UnreadableImage("empty file")
    if _check_header(data) == "AVIF":  # OpenCV does not turn it
        return _decode_slowly(data)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR)
    except cv2.error:
        image = None
    if image is None:
        return _decode_slowly(data)
    if image.ndim == 2:
        return image[:, :, None]
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _check_header(data: bytes) -> str | None:
    """The format; refuse by the header alone, before any pixel is decoded."""
    kind: str | None = "PNG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        if data.rfind(b"IEND") < 24:
            raise UnreadableImage("truncated PNG: its end is missing")
        width, height = struct.unpack(">II", data[16:24])
    else:
        picture = _pillow(data)
        (width, height), kind = picture.size, picture.format
        if data[:2] == b"\xff\xd8" and not _jpeg_ends(data):
            raise UnreadableImage("truncated JPEG: its end is missing")
    if width < 1 or height < 1:
        raise UnreadableImage(f"an image of {width}x{height} pixels")
    if width * height > MAX_PIXELS:
        raise UnreadableImage(f"too large: {width}x{height} pixels, at most {MAX_PIXELS:,} are read")
    return kind


def _jpeg_ends(data: bytes) -> bool:
    """Whether an end follows a JPEG's first scan; phones append videos behind it, and thumbnails before have their own.

    Segments are stepped over by their lengths (ITU T.81, B.1.1).
    """
    at = 2
    while 0 <= (at := data.find(b"\xff", at)) < len(data) - 3:
        marker = data[at + 1]
        if marker == 0xDA:
            return data.find(b"\xff\xd9", at) > 0
        alone = marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD9
        at += 1 if alone else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return False


def _pillow(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise UnreadableImage(f"too large: at most {MAX_PIXELS:,} pixels are read") from None
    except Exception:  # Pillow's openers raise whatever damaged bytes lead them to
        raise UnreadableImage(_what_it_is(data)) from None


def _decode_slowly(data: bytes) -> np.ndarray:
    """Formats that OpenCV does not decode, by Pillow."""
    picture = _pillow(data)
    try:
        grey = picture.mode in ("1", "L", "LA")
        picture = ImageOps.exif_transpose(picture)
        image = np.asarray(picture.convert("L" if grey else "RGB"), dtype=np.uint8)
    except Exception as error:  # Pillow's decoders raise whatever damaged bytes lead them to
        raise UnreadableImage(f"damaged image: {error}") from None
    return image[:, :, None] if image.ndim == 2 else image


def _what_it_is(data: bytes) -> str:
    """Why bytes that no decoder knows are no image, as far as their beginning tells."""
    head = data[:256]
    if head.startswith(b"%PDF"):
        return "not an image: a PDF"
    if head.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        return "not an image: PostScript"
    if head[4:8] == b"ftyp" and head[8:12] in HEIC:
        return "a HEIC picture, which is not read; save it as JPEG or PNG"
    if head.lstrip()[:1] == b"<":
        return "not an image: a web page or XML"
    if all(byte in b"\t\n\r" or byte >= 32 for byte in head):
        return "not an image: text"
    return "not an image, or its header is damaged"


def crop(image: np.ndarray, box: Box) -> np.ndarray:
    """The part of an image inside left, top, right, bottom. Raises UnreadableImage where none of it is inside."""
    height, width = image.shape[:2]
    left, top, right, bottom = max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)
    if right <= left or bottom <= top:
        raise UnreadableImage(f"the face's box {box} lies outside the {width}x{height} picture")
    return image[top:bottom, left:right]


def content_id(image: np.ndarray) -> str:
    """SHA-256 (hex) of the shape and the uint8 pixels: equal for exact duplicates, however they were encoded."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def decode_ahead(dataset: FaceDataset, rows: Iterable[int]) -> Iterator[tuple[int, np.ndarray | UnreadableImage]]:
    """Decode rows in threads and yield ``(row, pixels or the reason)`` in the order asked for.

    At most about AHEAD_BYTES of pixels wait to be taken, judged by the largest image met so far.
    """
    ids = dataset.samples["sample_id"].to_numpy()
    read = dataset.pixels.read
    workers = min(8, os.cpu_count() or 1)
    waiting: deque[Future[list[tuple[int, np.ndarray | UnreadableImage]]]] = deque()
    todo = iter(rows)
    size, largest = 1, 1

    def work(part: list[int]) -> list[tuple[int, np.ndarray | UnreadableImage]]:
        return [(row, _try(read, ids[row])) for row in part]

    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        while True:
            while len(waiting) < 2 * workers and (part := list(itertools.islice(todo, size))):
                waiting.append(pool.submit(work, part))
            if not waiting:
                return
            done = waiting.popleft().result()
            largest = max(largest, *(image.nbytes for _, image in done if isinstance(image, np.ndarray)), 1)
            size = max(1, min(AHEAD_ROWS, 2 * size, AHEAD_BYTES // (largest * 2 * workers)))
            yield from done
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _try(read: Callable[[str], np.ndarray], sample_id: str) -> np.ndarray | UnreadableImage:
    try:
        return read(sample_id)
    except UnreadableImage as reason:
        return reason
