"""Decoding: what is read, how, and what is quarantined with which reason."""

import contextlib
import hashlib
import io
import struct
import threading
import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from faces.errors import UnreadableImage
from faces.pixels import AHEAD_BYTES, content_id, crop, decode, decode_ahead

IMAGES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 3])))
GRADIENT = np.arange(48 * 40, dtype=np.uint32).reshape(48, 40) % 256
COLOURED = np.stack([GRADIENT, GRADIENT[::-1], 255 - GRADIENT], axis=2).astype(np.uint8)
GREY = GRADIENT.astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_of(image: np.ndarray) -> bytes:
    return encoded(Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image), "PNG")


def png_claiming(width: int, height: int) -> bytes:
    """A valid PNG header with hardly any data behind it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@settings(deadline=None)
@given(IMAGES)
def test_a_png_comes_back_as_it_was(image):
    assert np.array_equal(decode(png_of(image)), image)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF", "WEBP", "PPM"])
def test_every_lossless_format_gives_the_same_pixels(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    grey = decode(encoded(Image.fromarray(GREY), kind if kind != "PPM" else "PPM", **options))
    assert grey.dtype == np.uint8
    assert np.array_equal(np.broadcast_to(grey, (48, 40, grey.shape[2])), np.repeat(GREY[:, :, None], grey.shape[2], 2))
    if kind != "GIF":
        assert np.array_equal(decode(encoded(Image.fromarray(COLOURED), kind, **options)), COLOURED)


def test_sixteen_bits_become_eight():
    wide = (GREY.astype(np.uint16) << 8) | GREY
    for kind in ("PNG", "TIFF"):
        image = decode(encoded(Image.fromarray(wide), kind))
        assert image.shape == (48, 40, 1)
        assert np.abs(image[:, :, 0].astype(int) - GREY).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_dropped(kind):
    alpha = np.full((48, 40), 255, np.uint8)
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(np.dstack([COLOURED, alpha])), kind, **options)
    assert np.array_equal(decode(data), COLOURED)


def test_grey_with_alpha_and_palettes_are_read():
    both = Image.merge("LA", (Image.fromarray(GREY), Image.new("L", (40, 48), 255)))
    image = decode(encoded(both, "PNG"))
    assert np.array_equal(image[:, :, 0], GREY)
    palette = Image.fromarray(COLOURED).quantize(16)
    assert np.array_equal(decode(encoded(palette, "PNG")), np.asarray(palette.convert("RGB")))
    assert set(np.unique(decode(encoded(Image.fromarray(GREY > 127), "PNG")))) == {0, 255}


def test_cmyk_becomes_rgb():
    flat = Image.new("RGB", (32, 32), (200, 40, 90))
    image = decode(encoded(flat.convert("CMYK"), "JPEG", quality=95))
    assert image.shape == (32, 32, 3)
    assert np.abs(image.astype(int) - (200, 40, 90)).max() < 12


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_pictures_are_turned_as_their_exif_data_say(kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = Image.fromarray(COLOURED)
    image = decode(encoded(upright, kind, exif=exif))
    assert image.shape == (40, 48, 3)
    expected = np.rot90(decode(encoded(upright, kind)), -1)
    assert np.abs(image.astype(int) - expected).max() <= 2


def test_an_avif_is_turned_as_its_box_says():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(COLOURED), "AVIF", quality=100, exif=exif)
    assert b"irot" in data
    image = decode(data)
    assert image.shape == (40, 48, 3)
    assert np.array_equal(image, np.rot90(decode(encoded(Image.fromarray(COLOURED), "AVIF", quality=100)), -1))
    assert decode(encoded(Image.fromarray(GREY), "AVIF")).shape == (48, 40, 1)


@pytest.mark.parametrize("kind", ["EPS", "PDF", "PCX"])
def test_formats_off_the_list_reach_no_decoder(kind, monkeypatch):
    def run(*_, **__):
        raise AssertionError("Ghostscript was run")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", run)
    with pytest.raises(UnreadableImage, match="not an image"):
        decode(encoded(Image.fromarray(COLOURED), kind))


@pytest.mark.parametrize("kind", ["JPEG", "DIB", "ICO", "AVIF", "JPEG2000", "MPO"])
def test_the_other_formats_are_read(kind):
    options = {"sizes": [(40, 40)]} if kind == "ICO" else {}
    assert decode(encoded(Image.fromarray(COLOURED[:40]), kind, **options)).shape == (40, 40, 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"just some words\n", "not an image: text"),
        (b"<html><body>404</body></html>", "not an image: a web page"),
        (b"%PDF-1.7 ...", "not an image: a PDF"),
        (
            b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
            "a HEIC picture, which is not read; save it as JPEG or PNG",
        ),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(200), "a HEIC picture"),
        (bytes(range(256)), "not an image, or its header is damaged"),
        (b"\x89PNG\r\n\x1a\n", "truncated PNG"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "truncated PNG"),
        (png_claiming(20_000, 20_000), "too large: 20000x20000"),
        (png_claiming(0, 10), "0x10"),
    ],
)
def test_what_is_no_image_says_why(data, reason):
    with pytest.raises(UnreadableImage, match=reason):
        decode(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_files_are_quarantined(kind, share):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(UnreadableImage):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize("kind", ["AVIF", "WEBP", "TIFF", "JPEG2000"])
def test_whatever_one_damaged_byte_of_a_header_leads_to_is_quarantined(kind):
    """AVIF's opener raises RuntimeError, say."""
    data = encoded(Image.fromarray(COLOURED[:40]), kind)
    for at in range(min(300, len(data))):
        with contextlib.suppress(UnreadableImage):
            assert decode(data[:at] + bytes([data[at] ^ 0xC2]) + data[at + 1 :]).dtype == np.uint8


@pytest.mark.parametrize(
    "tail", [b"\0\0\0\x18ftypmp42 \xff\xda abc", b"\xff\xd8\xff\xda\0\x0c\xff\xd9\xff\xda", bytes(99)]
)
def test_what_a_phone_appends_to_a_jpeg_is_not_the_picture(tail):
    data = encoded(Image.fromarray(COLOURED), "JPEG", quality=90)
    assert (decode(data + tail) == decode(data)).all()


def test_the_end_of_a_thumbnail_is_not_the_picture_s():
    small, exif = encoded(Image.fromarray(COLOURED[:16, :16]), "JPEG"), Image.Exif()
    data = encoded(Image.fromarray(COLOURED), "JPEG", exif=exif)
    thumbed = data[:2] + b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small + data[2:]
    assert (decode(thumbed) == decode(data)).all()
    with pytest.raises(UnreadableImage, match="truncated JPEG"):
        decode(thumbed[: len(thumbed) - len(data) // 3])


def test_a_huge_tiff_is_refused_by_its_header():
    picture = Image.new("1", (20_000, 20_000))
    data = encoded(picture, "TIFF", compression="group4")
    assert len(data) < 100_000
    with pytest.raises(UnreadableImage, match="too large"):
        decode(data)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_an_image_or_say_why_not(data):
    for start in (
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"GIF89a",
        b"BM",
        b"RIFF\0\0\0\0WEBP",
        b"II*\0",
        b"P5 ",
    ):
        try:
            image = decode(start + data)
        except UnreadableImage as reason:
            assert str(reason)
        else:
            assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] in (1, 3)


@settings(deadline=None)
@given(IMAGES)
def test_content_id_is_of_shape_and_pixels(image):
    assert content_id(image) == hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
    assert content_id(image) == content_id(np.asfortranarray(image))
    changed = image.copy()
    changed[0, 0, 0] ^= 1
    assert content_id(changed) != content_id(image)
    if image.shape[:2] != (1, 1) and image.shape[0] != image.shape[1]:
        assert content_id(image.reshape(image.shape[1], image.shape[0], -1)) != content_id(image)


def test_a_box_is_cut_out_and_one_outside_is_refused():
    assert np.array_equal(crop(COLOURED, (3, 5, 20, 30)), COLOURED[5:30, 3:20])
    assert np.array_equal(crop(COLOURED, (-9, -9, 999, 999)), COLOURED)
    with pytest.raises(UnreadableImage, match="outside the 40x48"):
        crop(COLOURED, (41, 0, 60, 10))


@dataclass
class FakePixels:
    shape: tuple[int, int, int]
    most: int = 0
    held: int = 0
    bad: str = ""

    def __post_init__(self):
        self.lock = threading.Lock()

    def read(self, sample_id):
        if sample_id == self.bad:
            raise UnreadableImage("torn")
        with self.lock:
            self.held += 1
            self.most = max(self.most, self.held)
        return np.full(self.shape, int(sample_id) % 256, np.uint8)


@dataclass
class FakeDataset:
    samples: pd.DataFrame
    pixels: FakePixels


def fake(n: int, shape=(4, 4, 1), bad: str = "") -> FakeDataset:
    return FakeDataset(pd.DataFrame({"sample_id": [str(row) for row in range(n)]}), FakePixels(shape, bad=bad))


@settings(deadline=None)
@given(st.lists(st.integers(0, 199), max_size=300))
def test_rows_come_in_the_order_asked_for(rows):
    got = list(decode_ahead(fake(200), rows))
    assert [row for row, _ in got] == rows
    assert all((image == row % 256).all() for row, image in got)


def test_what_cannot_be_read_comes_as_its_reason_in_its_place():
    got = list(decode_ahead(fake(100, bad="37"), range(100)))
    assert [row for row, image in got if isinstance(image, UnreadableImage)] == [37]
    assert str(got[37][1]) == "torn"


def test_memory_ahead_is_bounded_for_large_images():
    data = fake(80, shape=(2048, 2048, 3))
    each = 2048 * 2048 * 3
    for _ in decode_ahead(data, range(80)):
        with data.pixels.lock:
            data.pixels.held -= 1
    assert data.pixels.most * each <= 2 * AHEAD_BYTES + 16 * each


def test_stopping_early_leaves_no_threads_and_errors_come_through():
    stream = decode_ahead(fake(1000), range(1000))
    next(stream)
    stream.close()
    with pytest.raises(IndexError):
        list(decode_ahead(fake(3), [0, 7]))
