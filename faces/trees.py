"""A folder or an archive as a tree of files: names, sizes and bytes, never unpacked to disk."""

from __future__ import annotations

import hashlib
import lzma
import mmap
import os
import re
import struct
import tarfile
import threading
import zipfile
import zlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from faces.errors import InputError, UnreadableImage
from faces.gzip_index import GzipIndex

IGNORED = re.compile(r"(?:^|/)(?:\.|(?:thumbs\.db|desktop\.ini|__macosx)(?:/|$))", re.IGNORECASE)
"""Hidden files, and what Windows and macOS leave in folders and archives."""
MISSING = "cannot be opened: no such file in the archive"
MAX_FILE_BYTES = 256 * 1024 * 1024
"""A larger member is quarantined unread: no photograph of a face is this large, a decompression bomb may be."""
DAMAGED = (
    zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError,
    struct.error,
)  # fmt: skip
"""What unpacking a damaged member of a .zip raises."""
MAX_LIST_BYTES = 4 * 1024 * 1024 * 1024
"""The same for a list of labels, which is one file for hundreds of thousands of pictures."""


class Tree(ABC):
    """Files by name. ``sizes`` maps each name (``/`` between parts, sorted) to its size in bytes.

    Hidden files and what operating systems leave behind are not in it. Reading is safe from several threads, and a
    pickled tree opens its path again.
    """

    path: Path
    sizes: dict[str, int]

    @abstractmethod
    def data(self, name: str, most: int | None = None) -> bytes:
        """The bytes of one file of at most ``most`` bytes (MAX_FILE_BYTES). Raises UnreadableImage with the reason."""

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 (hex) that changes when the files do."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path,)


def open_tree(path: Path) -> Tree:
    """A folder, .zip, .tar or .tar.gz as a Tree; the kind is read from the file's first bytes.

    Raises InputError where it is none of them, or is encrypted, truncated or corrupt.
    """
    if path.is_dir():
        return FolderTree(path)
    with path.open("rb") as file:
        head = file.read(512)
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06") or path.suffix.lower() == ".zip":
        return ZipTree(path)
    if head[:2] == b"\x1f\x8b" or path.name.lower().endswith((".tar.gz", ".tgz")):
        return TarGzTree(path)
    if head[257:262] == b"ustar" or path.suffix.lower() == ".tar":
        return TarTree(path)
    raise InputError(
        f"{path} is not data this program reads; a folder, a .zip, .tar or .tar.gz of images, or a .csv or .parquet "
        "table was expected: pass one of those."
    )


class LooseFiles(Tree):
    """Files named by a table, relative to ``path`` (a folder) or absolute; nothing is listed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes = {}

    def data(self, name: str, most: int | None = None) -> bytes:
        file = self.path / name
        try:
            _check_size(file.stat().st_size, most)
            return file.read_bytes()
        except OSError as error:
            raise UnreadableImage(f"cannot be opened: {(error.strerror or str(error)).lower()}") from None

    def fingerprint(self) -> str:
        return _digest(self.sizes)


class FolderTree(LooseFiles):
    """Every file under a folder; links to folders are followed once."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._original: dict[str, str] = {}
        seen: set[str] = set()
        sizes: dict[str, int] = {}
        for folder, folders, files in os.walk(path, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not IGNORED.search(name))
            inside = os.path.relpath(folder, path)
            prefix = "" if inside == "." else inside.replace(os.sep, "/") + "/"
            for file in files:
                if IGNORED.search(file):
                    continue
                name = _printable(prefix + file)
                if name != prefix + file:
                    self._original[name] = prefix + file
                try:
                    sizes[name] = os.stat(os.path.join(folder, file)).st_size  # noqa: PTH116,PTH118 (three times faster)
                except OSError:
                    sizes[name] = -1
        self.sizes = dict(sorted(sizes.items()))

    def data(self, name: str, most: int | None = None) -> bytes:
        return super().data(self._original.get(name, name), most)


class _MappedArchive(Tree):
    """An archive file mapped into memory, so that threads and forked processes read without sharing a position."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes = {}
        try:
            with path.open("rb") as file:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise _broken(path, str(error)) from None

    def fingerprint(self) -> str:
        return hashlib.sha256(self._map).hexdigest()


class ZipTree(_MappedArchive):
    """A .zip; stored and deflated members are read straight from the map, others through zipfile."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._zip = zipfile.ZipFile(path)
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
            raise _broken(path, str(error)) from None
        self._lock = threading.Lock()
        self._members: dict[str, zipfile.ZipInfo] = {}
        for info in self._zip.infolist():
            name = info.filename.replace("\\", "/")
            if name.endswith("/") or IGNORED.search(name):
                continue
            if info.flag_bits & 1:
                raise InputError(
                    f"{path} is encrypted (its file {name} needs a password); "
                    "an archive without a password was expected: write it again without one."
                )
            self._members[name] = info
        self.sizes = {name: self._members[name].file_size for name in sorted(self._members)}

    def data(self, name: str, most: int | None = None) -> bytes:
        info = self._members.get(name)
        if info is None:
            raise UnreadableImage(MISSING)
        _check_size(info.file_size, most)
        try:
            if info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                data = self._inflate(info)
            else:
                with self._lock:
                    data = self._zip.read(info)
        except DAMAGED as error:
            raise UnreadableImage(f"damaged inside the archive: {error}") from None
        if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
            raise UnreadableImage("damaged inside the archive: its checksum does not match")
        return data

    def _inflate(self, info: zipfile.ZipInfo) -> bytes:
        name_length, extra_length = struct.unpack_from("<HH", self._map, info.header_offset + 26)
        start = info.header_offset + 30 + name_length + extra_length
        packed = self._map[start : start + info.compress_size]
        if info.compress_type == zipfile.ZIP_STORED:
            return packed
        return zlib.decompressobj(-15).decompress(packed, info.file_size + 1)


class TarTree(_MappedArchive):
    """An uncompressed .tar."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            with tarfile.open(path, "r:") as archive:
                self._members = _tar_members(archive)
        except (tarfile.TarError, OSError, EOFError, ValueError) as error:
            raise _broken(path, str(error)) from None
        end = max((offset + size for offset, size in self._members.values()), default=0)
        if end > len(self._map):
            raise _broken(path, "it ends inside a file")
        self.sizes = {name: self._members[name][1] for name in sorted(self._members)}

    def data(self, name: str, most: int | None = None) -> bytes:
        offset, size = self._members.get(name) or _missing()
        _check_size(size, most)
        return self._map[offset : offset + size]


class TarGzTree(_MappedArchive):
    """A .tar.gz: read through once to index it, afterwards any member is reached from a checkpoint near it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._gzip = GzipIndex(self._map)
        try:
            with tarfile.open(fileobj=self._gzip, mode="r|") as archive:  # type: ignore[call-overload]  # it only ever reads
                self._members = _tar_members(archive)
            self._gzip.finish()
        except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
            raise _broken(path, str(error)) from None
        self.sizes = {name: self._members[name][1] for name in sorted(self._members)}

    def data(self, name: str, most: int | None = None) -> bytes:
        offset, size = self._members.get(name) or _missing()
        _check_size(size, most)
        return self._gzip.read_at(offset, size)


def _tar_members(archive: tarfile.TarFile) -> dict[str, tuple[int, int]]:
    """Name -> (offset of its bytes, size) of the regular files."""
    members: dict[str, tuple[int, int]] = {}
    for info in archive:
        archive.members = []  # type: ignore[attr-defined]  # else a million headers stay in memory
        name = _printable(info.name.removeprefix("./"))
        if info.isreg() and not IGNORED.search(name):
            members[name] = (info.offset_data, info.size)
    return members


def _printable(name: str) -> str:
    """A name that can be written to a table: bytes that are no UTF-8 become a replacement character."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _digest(sizes: dict[str, int]) -> str:
    digest = hashlib.sha256()
    for name, size in sizes.items():
        digest.update(f"{name}\0{size}\n".encode())
    return digest.hexdigest()


def _missing() -> tuple[int, int]:
    raise UnreadableImage(MISSING)


def _check_size(size: int, most: int | None) -> None:
    what = "to be a photograph of a face" if most is None else "for a list"
    most = MAX_FILE_BYTES if most is None else most
    if size > most:
        raise UnreadableImage(f"too large {what}: {size:,} bytes, at most {most:,} are read")


def _broken(path: Path, reason: str) -> InputError:
    return InputError(
        f"The archive {path} is truncated or corrupt ({reason}); a whole archive was expected: "
        "copy or download it again."
    )
