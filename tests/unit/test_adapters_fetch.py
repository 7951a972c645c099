"""URLs: only public addresses, the checked one is the one connected to, and every limit holds."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from faces import fetch
from faces.errors import InputError
from faces.fetch import fetch_image, is_public, is_url

PUBLIC = "93.184.215.14"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"


class Net:
    """Names and servers without a network: every connection reaches ``answer``, run in a thread with its socket."""

    def __init__(self) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.connections: list[tuple[str, int]] = []
        self.answer: Callable[[socket.socket, bytes], None] = lambda line, request: line.sendall(HEAD + b"\r\npicture")

    def resolve(self, host: str, port: int) -> list[str]:
        answers = self.names.get(host, [[PUBLIC]])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def connect(self, address: str, port: int, seconds: float) -> socket.socket:
        self.connections.append((address, port))
        ours, theirs = socket.socketpair()
        ours.settimeout(seconds)
        threading.Thread(target=self._serve, args=(theirs,), daemon=True).start()
        return ours

    def _serve(self, line: socket.socket) -> None:
        with line, suppress(OSError):
            self.answer(line, line.recv(65536))

    def fetch(self, url: str) -> bytes:
        return fetch_image(url, self.resolve, self.connect)


@pytest.fixture
def net() -> Iterator[Net]:
    yield Net()


def test_a_picture_is_fetched_from_the_address_that_was_checked(net: Net) -> None:
    seen: list[bytes] = []

    def answer(line: socket.socket, request: bytes) -> None:
        seen.append(request)
        line.sendall(HEAD + b"Content-Length: 7\r\n\r\npicture")

    net.answer = answer
    assert net.fetch("http://pictures.example:8080/a/b.png?size=2#top") == b"picture"
    assert net.connections == [(PUBLIC, 8080)]
    assert b"GET /a/b.png?size=2 HTTP/1.1" in seen[0] and b"Host: pictures.example:8080" in seen[0]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1",
        "fd12::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "::7f00:1",
        "2001:db8::1", "192.0.2.1", "nonsense",
    ],
)  # fmt: skip
def test_addresses_within_are_refused(net: Net, address: str) -> None:
    assert not is_public(address)
    net.names["inside.example"] = [[address]]
    with pytest.raises(InputError, match="not a public address"):
        net.fetch("http://inside.example/a.png")
    assert net.connections == []


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_pass(address: str) -> None:
    assert is_public(address)


def test_one_address_within_among_public_ones_is_enough(net: Net) -> None:
    net.names["mixed.example"] = [[PUBLIC, "10.0.0.1"]]
    with pytest.raises(InputError, match=r"10\.0\.0\.1, which is not a public address"):
        net.fetch("http://mixed.example/")


def test_a_name_that_changes_its_mind_is_not_asked_twice(net: Net) -> None:
    net.names["rebind.example"] = [[PUBLIC], ["127.0.0.1"]]
    assert net.fetch("http://rebind.example/a.png") == b"picture"
    assert net.connections == [(PUBLIC, 80)]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433", "127.1", "0"])
def test_ways_to_write_loopback(host: str) -> None:
    """With the system's own resolver."""
    with pytest.raises(InputError, match=r"not a public address|is not known"):
        fetch_image(f"http://{host}:9/a.png")


def redirect(to: str) -> Callable[[socket.socket, bytes], None]:
    return lambda line, request: line.sendall(b"HTTP/1.1 302 Found\r\nLocation: " + to.encode() + b"\r\n\r\n")


def test_redirects_are_checked_like_first_addresses(net: Net) -> None:
    net.names["metadata.example"] = [["169.254.169.254"]]
    net.answer = redirect("http://metadata.example/secret.png")
    with pytest.raises(InputError, match=r"169\.254\.169\.254"):
        net.fetch("http://good.example/a.png")
    assert len(net.connections) == 1
    net.answer = redirect("file:///etc/passwd")
    with pytest.raises(InputError, match="no address of a picture"):
        net.fetch("http://good.example/a.png")


def test_redirects_end(net: Net) -> None:
    net.answer = redirect("/again.png")
    with pytest.raises(InputError, match="more than 3 redirects"):
        net.fetch("http://good.example/a.png")
    assert len(net.connections) == 4


def test_a_relative_redirect_is_followed(net: Net) -> None:
    def answer(line: socket.socket, request: bytes) -> None:
        found = b"/moved.png" in request
        line.sendall(HEAD + b"\r\nhere" if found else b"HTTP/1.1 301 Moved\r\nLocation: /moved.png\r\n\r\n")

    net.answer = answer
    assert net.fetch("http://good.example/old.png") == b"here"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "404 Not Found"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", "text/html and no picture"),
        (b"HTTP/1.1 200 OK\r\n\r\npicture", "of no type"),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n...", "no picture"),
        (HEAD + b"Content-Length: 99999999999\r\n\r\n", "larger than 10 MB"),
        (HEAD + b"Content-Length: 100\r\n\r\nshort", "could not be fetched"),
        (b"SSH-2.0-OpenSSH\r\n", "could not be fetched"),
        (b"", "could not be fetched"),
    ],
)
def test_answers_that_are_no_picture(net: Net, answer: bytes, message: str) -> None:
    net.answer = lambda line, request: line.sendall(answer)
    with pytest.raises(InputError, match=message):
        net.fetch("http://good.example/a.png")


def test_a_body_without_a_length_is_limited(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "MOST_BYTES", 100_000)

    def answer(line: socket.socket, request: bytes) -> None:
        line.sendall(HEAD + b"\r\n")
        while True:
            line.sendall(bytes(10_000))

    net.answer = answer
    with pytest.raises(InputError, match="larger than"):
        net.fetch("http://good.example/a.png")


@pytest.mark.parametrize("where", ["head", "body"])
def test_a_server_that_drips_is_cut_off(net: Net, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setattr(fetch, "SECONDS", 0.6)

    def answer(line: socket.socket, request: bytes) -> None:
        line.sendall(HEAD + (b"\r\n" if where == "body" else b"X-Slow: "))
        while True:
            time.sleep(0.05)
            line.sendall(b"x")

    net.answer = answer
    started = time.monotonic()
    with pytest.raises(InputError, match=r"longer than 0\.6 s"):
        net.fetch("http://good.example/a.png")
    assert time.monotonic() - started < 3


def test_a_name_that_is_slow_to_resolve_is_given_up(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "SECONDS", 0.2)
    released = threading.Event()
    with pytest.raises(InputError, match="not resolved within"):
        fetch_image("http://slow.example/", lambda host, port: [PUBLIC] if released.wait(5) else [], net.connect)
    released.set()


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a.example/x", "http://", "http:///a.png", "http://a b/", "http://a:99999/",
            "http://user:secret@a.example/x.png", "http://a.example/\r\nX: y", "gopher://a"],
)  # fmt: skip
def test_what_is_no_address(net: Net, url: str) -> None:
    with pytest.raises(InputError, match=r"no address of a picture|carries a user name"):
        net.fetch(url)
    assert net.connections == []


def test_https_speaks_tls_to_the_checked_address(net: Net) -> None:
    seen: list[bytes] = []
    net.answer = lambda line, request: seen.append(request)
    with pytest.raises(InputError, match="could not be fetched"):
        net.fetch("https://good.example/a.png")
    assert net.connections == [(PUBLIC, 443)] and seen[0][:1] == b"\x16" and b"good.example" in seen[0]


def test_urls_are_told_from_files() -> None:
    assert is_url("HTTPS://a.example/x.png") and not is_url("http.png") and not is_url("/tmp/a.png")
