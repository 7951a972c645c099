"""Folders and archives as trees: the same names and bytes, and one clear sentence for a broken archive."""

import gzip
import io
import pickle
import random
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faces import gzip_index
from faces.errors import InputError, UnreadableImage
from faces.trees import open_tree

FILES = {
    "train/happy/a.png": b"first",
    "train/very sad/b c.png": b"",
    "test/freude ü 喜/x.jpg": bytes(range(256)) * 400,
    "readme.txt": b"words",
}
HIDDEN = {".DS_Store": b"x", "__MACOSX/train/happy/._a.png": b"x", "train/happy/Thumbs.db": b"x", ".git/config": b"x"}


def write(path: Path, files: dict[str, bytes]) -> Path:
    """The same files as a folder, .zip, .tar or .tar.gz, as the name says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for number, (name, data) in enumerate(files.items()):
                archive.writestr(name, data, zipfile.ZIP_STORED if number % 2 else zipfile.ZIP_DEFLATED)
    elif path.name.endswith((".tar", ".tar.gz", ".tgz")):
        with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    else:
        for name, data in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    return path


KINDS = ["folder", "data.zip", "data.tar", "data.tar.gz", "data.tgz"]


@pytest.mark.parametrize("kind", KINDS)
def test_names_sizes_and_bytes_are_the_same_however_packed(tmp_path, kind):
    tree = open_tree(write(tmp_path / kind, FILES | HIDDEN))
    assert tree.sizes == {name: len(FILES[name]) for name in sorted(FILES)}
    assert list(tree.sizes) == sorted(FILES)
    assert {name: tree.data(name) for name in tree.sizes} == FILES
    again = pickle.loads(pickle.dumps(tree))
    assert {name: again.data(name) for name in again.sizes} == FILES


@pytest.mark.parametrize("kind", KINDS)
def test_the_fingerprint_is_stable_and_changes_with_the_data(tmp_path, kind):
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    first = open_tree(write(tmp_path / "1" / kind, FILES))
    assert first.fingerprint() == open_tree(first.path).fingerprint()
    more = open_tree(write(tmp_path / "2" / kind, FILES | {"train/happy/new.png": b"!"}))
    assert first.fingerprint() != more.fingerprint()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 300_000), min_size=1, max_size=12), st.integers(0, 2**16), st.booleans())
def test_any_member_of_a_tar_gz_is_reached_in_any_order(tmp_path_factory, sizes, seed, squeeze):
    rng = random.Random(seed)
    files = {f"f{number}": b"ab" * (size // 2) if squeeze else rng.randbytes(size) for number, size in enumerate(sizes)}
    tree = open_tree(write(tmp_path_factory.mktemp("gz") / "a.tar.gz", files))
    names = list(files) * 2
    rng.shuffle(names)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(tree.data, names)) == [files[name] for name in names]


def test_a_tar_gz_in_several_gzip_members_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(gzip_index, "SPAN", 4096)
    files = {f"f{number}": random.Random(number).randbytes(9000) for number in range(30)}
    plain = write(tmp_path / "a.tar", files).read_bytes()
    packed = b"".join(gzip.compress(plain[start : start + 20_001]) for start in range(0, len(plain), 20_001))
    (tmp_path / "a.tar.gz").write_bytes(packed + b"\0" * 100)
    tree = open_tree(tmp_path / "a.tar.gz")
    assert {name: tree.data(name) for name in reversed(list(tree.sizes))} == files


def test_the_cache_of_a_tar_gz_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(gzip_index, "SPAN", 10_000)
    monkeypatch.setattr(gzip_index, "CACHE_BYTES", 50_000)
    files = {f"f{number:02d}": random.Random(number).randbytes(30_000) for number in range(40)}
    tree = open_tree(write(tmp_path / "a.tar.gz", files))
    assert {name: tree.data(name) for name in tree.sizes} == files
    assert sum(map(len, tree._gzip._spans.values())) == tree._gzip._cached <= 50_000 + 30_000


@pytest.mark.parametrize("kind", ["data.zip", "data.tar", "data.tar.gz"])
@pytest.mark.parametrize("share", [0, 0.2, 0.5, 0.97])
def test_a_truncated_archive_is_one_clear_error(tmp_path, kind, share):
    files = {f"a/{number}.png": random.Random(number).randbytes(3000) for number in range(20)}
    path = write(tmp_path / kind, files)
    data = path.read_bytes()
    if kind == "data.tar":
        data = data.rstrip(b"\0")
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match="truncated or corrupt"):
        open_tree(path)


@pytest.mark.parametrize("kind", ["data.zip", "data.tar", "data.tar.gz"])
def test_a_corrupt_archive_is_one_clear_error(tmp_path, kind):
    path = tmp_path / kind
    path.write_bytes(random.Random(1).randbytes(5000))
    with pytest.raises(InputError, match="truncated or corrupt"):
        open_tree(path)


def test_a_tar_gz_damaged_inside_is_one_clear_error(tmp_path):
    path = write(tmp_path / "a.tar.gz", {f"f{n}": random.Random(n).randbytes(3000) for n in range(20)})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    with pytest.raises(InputError, match="truncated or corrupt"):
        open_tree(path)


def test_one_damaged_member_of_a_zip_is_that_image_alone(tmp_path):
    path = write(tmp_path / "a.zip", {f"f{n}": random.Random(n).randbytes(3000) for n in range(4)})
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("f1").header_offset + 500
    data = bytearray(path.read_bytes())
    data[offset] ^= 255
    path.write_bytes(data)
    tree = open_tree(path)
    with pytest.raises(UnreadableImage, match="damaged inside the archive"):
        tree.data("f1")
    assert len(tree.data("f2")) == 3000


def test_an_encrypted_zip_is_one_clear_error(tmp_path):
    path = write(tmp_path / "a.zip", {"train/happy/a.png": b"secret"})
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + flags] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"encrypted.*train/happy/a\.png"):
        open_tree(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rarer_zip_compressions_are_read(tmp_path, method):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("a\\b.png", b"hello" * 100)
    tree = open_tree(path)
    assert {name: tree.data(name) for name in tree.sizes} == {"a/b.png": b"hello" * 100}


def test_a_bomb_inside_an_archive_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("faces.trees.MAX_FILE_BYTES", 10_000)
    for kind in KINDS:
        tree = open_tree(write(tmp_path / kind, {"a/bomb.png": b"\0" * 1_000_000}))
        with pytest.raises(UnreadableImage, match="too large"):
            tree.data("a/bomb.png")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_damaged_member_packed_otherwise_is_that_image_alone(tmp_path, method):
    content = random.Random(0).randbytes(3000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a/good.png", content)
        archive.writestr("a/bad.png", content)
        start = archive.getinfo("a/bad.png").header_offset
    whole = (tmp_path / "a.zip").read_bytes()
    for at in range(start + 80, start + 160, 5):
        (tmp_path / "a.zip").write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        tree = open_tree(tmp_path / "a.zip")
        with pytest.raises(UnreadableImage, match="damaged inside the archive"):
            tree.data("a/bad.png")
        assert tree.data("a/good.png") == content


def test_a_zip_member_that_lies_about_its_size_is_not_unpacked_whole(tmp_path):
    path = write(tmp_path / "a.zip", {"a/bomb.png": b"\0" * 5_000_000})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (100).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(UnreadableImage, match="damaged inside the archive"):
        open_tree(path).data("a/bomb.png")


def test_what_is_no_data_is_named(tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(b"\x89PNG\r\n")
    with pytest.raises(InputError, match=r"face\.png is not data this program reads"):
        open_tree(path)


def test_links_are_followed_once_and_vanished_files_say_so(tmp_path):
    real = write(tmp_path / "real", {"happy/a.png": b"1"})
    data = write(tmp_path / "data", {"sad/b.png": b"2"})
    (data / "linked").symlink_to(real)
    (data / "loop").symlink_to(data)
    (data / "sad" / "gone.png").symlink_to(tmp_path / "nowhere")
    tree = open_tree(data)
    assert set(tree.sizes) == {"linked/happy/a.png", "sad/b.png", "sad/gone.png"}
    with pytest.raises(UnreadableImage, match="cannot be opened: no such file"):
        tree.data("sad/gone.png")


def test_names_that_are_no_utf8_are_still_read(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / b"caf\xe9.png".decode("utf-8", "surrogateescape")).write_bytes(b"x")
    tree = open_tree(folder)
    (name,) = tree.sizes
    assert name.encode("utf-8") and tree.data(name) == b"x"
