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
        "2001:db8::1", "192.0.2.1", "nonsense", "fec0::1", "64:ff9b:1::7f00:1", "3fff::1", "5f00::1",
        "192.0.0.192", "168.63.129.16", "::ffff:168.63.129.16",
    ],
)  # fmt: skip
def test_addresses_within_are_refused(net: Net, address: str) -> None:
    assert not is_public(address)
    net.names["inside.example"] = [[address]]
    with pytest.raises(InputError, match="not a public address"):
        net.fetch("http://inside.example/a.png")
    assert net.connections == []


@pytest.mark.parametrize(
    "address", [PUBLIC, "8.8.8.8", "192.0.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
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
    ("url", "line", "host"),
    [
        ("http://good.example/bild-ä.jpg?größe=1", "GET /bild-%C3%A4.jpg?gr%C3%B6%C3%9Fe=1 HTTP/1.1", "good.example"),
        ("http://good.example/my pic%20(1).jpg", "GET /my%20pic%20(1).jpg HTTP/1.1", "good.example"),
        ("http://図.jp:8080/a.jpg", "GET /a.jpg HTTP/1.1", "xn--lcs.jp:8080"),
        ("HTTP://Bücher.Example", "GET / HTTP/1.1", "xn--bcher-kva.example"),
        ("http://[2606:4700::1111]:81/a?b=[1]#c", "GET /a?b=%5B1%5D HTTP/1.1", "[2606:4700::1111]:81"),
    ],
)
def test_addresses_as_people_write_them(net: Net, url: str, line: str, host: str) -> None:
    seen: list[str] = []

    def answer(line: socket.socket, request: bytes) -> None:
        seen.append(request.decode("ascii"))
        line.sendall(HEAD + b"\r\npicture")

    net.answer = answer
    assert net.fetch(url) == b"picture"
    assert seen[0].startswith(line) and f"\r\nHost: {host}\r\n" in seen[0]


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/ä.jpg".encode(), b"GET /%C3%A4.jpg "),
        ("/ä.jpg".encode("latin-1"), b"GET /%E4.jpg "),
        (b"/my pic.jpg", b"GET /my%20pic.jpg "),
        ("http://図.jp/b.jpg".encode(), b"GET /b.jpg "),
    ],
)
def test_redirects_as_servers_write_them(net: Net, location: bytes, asked: bytes) -> None:
    seen: list[bytes] = []

    def answer(line: socket.socket, request: bytes) -> None:
        seen.append(request)
        first = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\n\r\n"
        line.sendall(first if len(seen) == 1 else HEAD + b"\r\npicture")

    net.answer = answer
    assert net.fetch("http://good.example/a.jpg") == b"picture" and seen[1].startswith(asked)


def test_a_redirect_to_what_is_no_address(net: Net) -> None:
    net.answer = redirect("http://[::1")
    with pytest.raises(InputError, match="could not be fetched: Invalid IPv6"):
        net.fetch("http://good.example/a.png")


def test_every_checked_address_is_tried(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    net.names["many.example"] = [["2606:4700::1", PUBLIC, "8.8.8.8"]]
    given: list[float] = []

    def connect(address: str, port: int, seconds: float) -> socket.socket:
        given.append(seconds)
        if address != "8.8.8.8":
            raise ConnectionRefusedError("refused")
        return net.connect(address, port, seconds)

    assert fetch_image("http://many.example/a.png", net.resolve, connect) == b"picture"
    assert net.connections == [("8.8.8.8", 80)]
    assert given == pytest.approx([fetch.SECONDS / 3, fetch.SECONDS / 2, fetch.SECONDS], abs=0.5)
    net.names["many.example"] = [["2606:4700::1", PUBLIC]]
    with pytest.raises(InputError, match="could not be fetched: refused"):
        fetch_image("http://many.example/a.png", net.resolve, connect)


def test_a_chunk_of_minus_one_bytes_is_limited_as_well(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """http.client takes it for everything that ever comes."""
    monkeypatch.setattr(fetch, "MOST_BYTES", 1024 * 1024)
    sent: list[int] = []

    def answer(line: socket.socket, request: bytes) -> None:
        line.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n")
        for _ in range(20):
            line.sendall(bytes(1024 * 1024))
            sent.append(1)

    net.answer = answer
    with pytest.raises(InputError, match="sends more than 2 MB"):
        net.fetch("http://good.example/a.png")
    assert len(sent) < 10


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "404 Not Found"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>", "text/html and no picture"),
        (b"HTTP/1.1 200 OK\r\n\r\npicture", "of no type"),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n...", "no picture"),
        (HEAD + b"Content-Length: 99999999999\r\n\r\n", "larger than 10 MB"),
        (HEAD + b"Content-Length: 100\r\n\r\nshort", "could not be fetched"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n", "could not be fetched"),
        (b"SSH-2.0-OpenSSH\r\n", "could not be fetched"),
        (b"", "could not be fetched"),
    ],
)
def test_answers_that_are_no_picture(net: Net, answer: bytes, message: str) -> None:
    net.answer = lambda line, request: line.sendall(answer)
    with pytest.raises(InputError, match=message):
        net.fetch("http://good.example/a.png")


def test_a_length_that_is_no_number_is_ignored(net: Net) -> None:
    net.answer = lambda line, request: line.sendall(HEAD + "Content-Length: ²\r\n\r\npicture".encode("latin-1"))
    assert net.fetch("http://good.example/a.png") == b"picture"


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
    waiting = [one for one in threading.enumerate() if one.name == "resolve slow.example"]
    assert [one.daemon for one in waiting] == [True]  # the end of the process waits for no other
    released.set()


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a.example/x", "http://", "http:///a.png", "http://a b/", "http://a:99999/",
            "http://user:secret@a.example/x.png", "http://a.example/\r\nX: y", "gopher://a",
            "http://a..b/", "http://a%20b/", "http://[::1", "http://a.example/\udce4.jpg", "http://図\u3000.jp/"],
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
