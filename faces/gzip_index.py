"""Random access into a gzip stream: checkpoints of the decompressor, taken in one reading."""

from __future__ import annotations

import mmap
import threading
import zlib
from bisect import bisect_right
from collections import OrderedDict
from typing import Any

BLOCK = 16 * 1024
CHECKPOINTS = 1000
SPAN = 1 << 20
CACHE_BYTES = 64 * 1024 * 1024


class GzipIndex:
    """Reads ``mapped`` (a gzip file) forward once through :meth:`read`, then anywhere through :meth:`read_at`.

    After Mark Adler's zran: a checkpoint holds the decompressor's state (about 45 KB) at a known place; at most about
    CHECKPOINTS of them are kept, and CACHE_BYTES of decompressed spans.
    """

    def __init__(self, mapped: mmap.mmap) -> None:
        self._map = mapped
        self._spacing = max(SPAN, len(mapped) // CHECKPOINTS)
        self._starts = [0]
        self._checkpoints: list[tuple[int, Any]] = [(0, zlib.decompressobj(31))]
        self._decoder: Any = zlib.decompressobj(31)
        self._taken = 0
        self._given = 0
        self._ready = bytearray()
        self._spans: OrderedDict[int, bytes] = OrderedDict()
        self._cached = 0
        self._lock = threading.Lock()

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes of the first reading (fewer at its end). Raises zlib.error, EOFError."""
        while len(self._ready) < size:
            out = self._step()
            if out is None:
                break
            self._ready += out
        part = bytes(self._ready[:size])
        del self._ready[:size]
        return part

    def finish(self) -> None:
        """Read what is left, so that a truncated or damaged stream is noticed now. Raises zlib.error, EOFError."""
        while self._step() is not None:
            self._ready.clear()
        self._ready.clear()

    def read_at(self, offset: int, size: int) -> bytes:
        """``size`` decompressed bytes from ``offset``; safe from several threads."""
        parts = []
        index = bisect_right(self._starts, offset) - 1
        while size > 0:
            part = self._span(index)[offset - self._starts[index] :][:size]
            parts.append(part)
            offset += len(part)
            size -= len(part)
            index += 1
        return b"".join(parts)

    def _step(self) -> bytes | None:
        """Decompress one block of the first reading and leave a checkpoint where one is due."""
        if self._taken >= len(self._map):
            if not self._decoder.eof:
                raise EOFError("it ends before the end of its data")
            return None
        self._decoder, out = _inflate(self._decoder, self._map[self._taken : self._taken + BLOCK])
        self._taken = min(self._taken + BLOCK, len(self._map))
        self._given += len(out)
        if self._given - self._starts[-1] >= self._spacing and not self._decoder.eof:
            self._starts.append(self._given)
            self._checkpoints.append((self._taken, self._decoder.copy()))
        return out

    def _span(self, index: int) -> bytes:
        """The decompressed bytes between one checkpoint and the next."""
        with self._lock:
            if index in self._spans:
                self._spans.move_to_end(index)
                return self._spans[index]
        start, decoder = self._checkpoints[index]
        last = index + 1 == len(self._checkpoints)
        end = len(self._map) if last else self._checkpoints[index + 1][0]
        _, span = _inflate(decoder.copy(), self._map[start:end])
        with self._lock:
            if index not in self._spans:
                self._spans[index] = span
                self._cached += len(span)
            while self._cached > CACHE_BYTES and len(self._spans) > 1:
                self._cached -= len(self._spans.popitem(last=False)[1])
        return span


def _inflate(decoder: Any, packed: bytes) -> tuple[Any, bytes]:
    """Decompress ``packed``, going on to a following gzip member where one ends; the decoder to continue with."""
    parts = []
    while True:
        if decoder.eof:
            packed = packed.lstrip(b"\0")
            if not packed:
                break
            decoder = zlib.decompressobj(31)
        parts.append(decoder.decompress(packed))
        if not decoder.eof:
            break
        packed = decoder.unused_data
    return decoder, b"".join(parts)
