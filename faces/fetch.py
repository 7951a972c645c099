"""A picture from a URL, fetched with limits and never from an address within.

The name is resolved once a hop, every address it has must be public, and the connection goes to the address that was
checked, so that a name cannot mean another machine a moment later. No proxy is used.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import re
import socket
import ssl
import string
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from faces.errors import InputError

MOST_BYTES = 10 * 1024 * 1024
SECONDS = 10.0
"""For everything together: names, connections, redirects, content."""
REDIRECTS = 3
CHUNK = 64 * 1024
UNESCAPED = "/%:@!$&'()*+,;=~"
"""What stands in a path or query as it is, beside letters, digits and ``_.-``; the rest is percent-encoded."""
HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f.]*:[0-9a-f:.]*(%[a-z0-9._-]+)?")
WITHIN = (ipaddress.IPv4Network("192.0.0.0/24"), ipaddress.IPv4Network("168.63.129.16/32"))
"""Networks of providers' own services (protocol assignments, RFC 6890; Azure's), whatever this Python says of them."""
PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
DOCUMENTATION_V6 = ipaddress.IPv6Network("3fff::/20")

Resolve = Callable[[str, int], list[str]]
Connect = Callable[[str, int, float], socket.socket]


def is_url(text: str) -> bool:
    """Whether a person means a URL and not a file."""
    return text.lower().startswith(("http://", "https://"))


def resolve(host: str, port: int) -> list[str]:
    """Every address of a name, as the system's resolver gives them."""
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def connect(address: str, port: int, seconds: float) -> socket.socket:
    return socket.create_connection((address, port), timeout=seconds)


def fetch_image(url: str, resolve: Resolve = resolve, connect: Connect = connect) -> bytes:
    """The bytes of the picture at ``url`` (http or https).

    Raises InputError where the address is not public, and where it takes more than SECONDS, MOST_BYTES or REDIRECTS,
    is no picture, or cannot be had.
    """
    deadline = time.monotonic() + SECONDS
    for _ in range(REDIRECTS + 1):
        parts = _checked(url)
        addresses = _public_addresses(url, parts, deadline, resolve)
        try:
            content, onward = _get(url, parts, addresses, deadline, connect)
            if content is not None:
                return content
            url = urljoin(parts.geturl(), _as_text(onward))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise InputError(f"{url} could not be fetched: {_reason(error, deadline)}; check the address.") from None
    raise InputError(f"{url} is the end of more than {REDIRECTS} redirects; give the picture's own address.")


def _checked(url: str) -> SplitResult:
    """The parts of an address in ASCII, as a request needs them: the host by IDNA, the rest percent-encoded."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna").decode().lower()
        named = parts.scheme in ("http", "https") and HOST.fullmatch(host) and (parts.port or 1) > 0
        path, query = quote(parts.path or "/", UNESCAPED), quote(parts.query, UNESCAPED + "?")
    except ValueError:
        named = False
    if not named or any(ord(character) < 32 or ord(character) == 127 for character in url):
        raise InputError(f"{url!r} is no address of a picture; http://HOST/PATH or https://HOST/PATH was expected.")
    if parts.username is not None:
        raise InputError(f"The address {url!r} carries a user name; one without was expected: leave it out.")
    netloc = (f"[{host}]" if ":" in host else host) + (f":{parts.port}" if parts.port else "")
    return SplitResult(parts.scheme, netloc, path, query, "")


def _as_text(location: str) -> str:
    """Where a redirect leads: http.client reads a head as Latin-1, servers mean UTF-8; other bytes stay as they are."""
    sent = location.encode("latin-1")
    try:
        return sent.decode()
    except UnicodeDecodeError:
        return quote(sent, safe=string.printable)


def _public_addresses(url: str, parts: SplitResult, deadline: float, resolve: Resolve) -> list[str]:
    """The addresses of the host, after all of them were found public."""
    host, port = str(parts.hostname), _port(parts)
    try:
        found = _answer_of(resolve, host, port).result(timeout=max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        raise InputError(f"The name {host!r} of {url} was not resolved within {SECONDS:g} s; try again.") from None
    except (OSError, UnicodeError) as error:
        raise InputError(f"The name {host!r} of {url} is not known ({error}); check the address.") from None
    inside = [address for address in found if not is_public(address)]
    if inside or not found:
        raise InputError(
            f"{url} leads to {inside[0] if inside else 'no address'}, which is not a public address; pictures are not "
            "fetched from this machine or its network: save the picture and give the file."
        )
    return found


def _answer_of(resolve: Resolve, host: str, port: int) -> Future[list[str]]:
    """What ``resolve`` will say, of a thread that the end of the process does not wait for."""
    answer: Future[list[str]] = Future()

    def ask() -> None:
        try:
            answer.set_result(resolve(host, port))
        except Exception as error:
            answer.set_exception(error)

    threading.Thread(target=ask, daemon=True, name=f"resolve {host}").start()
    return answer


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet; where it wraps another (mapped, NAT64), whether that is."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or _translated(ip)
        if inner is not None:
            return is_public(str(inner))
        if ip.sixtofour or ip.teredo or ip not in PUBLIC_V6 or ip in DOCUMENTATION_V6:
            return False
    elif any(ip in network for network in WITHIN):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _translated(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address within a NAT64 one (64:ff9b::/96) or an IPv4-compatible one (::/96)."""
    prefixes = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if any(ip in prefix for prefix in prefixes) else None


def _get(
    url: str, parts: SplitResult, addresses: list[str], deadline: float, connect: Connect
) -> tuple[bytes, str] | tuple[None, str]:
    """The content and "", or None and where the server sends us on."""
    port = _port(parts)
    with _until(deadline, _connected(addresses, port, deadline, connect)) as line:
        if parts.scheme == "https":
            line.encrypt(str(parts.hostname))
        connection = http.client.HTTPConnection(str(parts.hostname), port)
        connection.sock = line
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        headers = {"Host": parts.netloc, "Accept": "image/*", "Accept-Encoding": "identity", "Connection": "close"}
        connection.request("GET", path, headers={**headers, "User-Agent": "facevalue"})
        answer = connection.getresponse()
        onward = answer.getheader("Location")
        if answer.status in (301, 302, 303, 307, 308) and onward:
            return None, onward
        _check_head(url, answer)
        return _body(url, answer, deadline), ""


def _connected(addresses: list[str], port: int, deadline: float, connect: Connect) -> socket.socket:
    """A connection to the first address that takes one; each has its share of the time that is left."""
    for number, address in enumerate(addresses, 1):
        left = max(0.01, deadline - time.monotonic())
        try:
            found = connect(address, port, left / (len(addresses) - number + 1))
            found.settimeout(left)
            return found
        except OSError as error:
            refusal = error
    raise refusal


def _check_head(url: str, answer: http.client.HTTPResponse) -> None:
    if answer.status != 200:
        raise InputError(f"{url} answered {answer.status} {answer.reason}; a picture was expected: check the address.")
    kind = answer.getheader("Content-Type", "")
    if not kind.lower().startswith("image/") or answer.getheader("Content-Encoding", "identity") != "identity":
        raise InputError(
            f"{url} is {kind or 'of no type'} and no picture; give the address of the image itself, not of its page."
        )
    length = answer.getheader("Content-Length", "0")
    if length.isascii() and length.isdigit() and int(length) > MOST_BYTES:
        raise _too_large(url)


def _body(url: str, answer: http.client.HTTPResponse, deadline: float) -> bytes:
    content = bytearray()
    while chunk := answer.read(CHUNK):
        content += chunk
        if len(content) > MOST_BYTES:
            raise _too_large(url)
    if time.monotonic() >= deadline:  # cut off: what came before it looks like a whole answer
        raise TimeoutError
    if answer.length:
        raise http.client.IncompleteRead(bytes(content), answer.length)
    return bytes(content)


@dataclass
class _Line:
    """A connection that can be cut from another thread, encrypted or not; http.client takes it for a socket."""

    socket: socket.socket

    def encrypt(self, host: str) -> None:
        context = ssl.create_default_context()
        encrypted = context.wrap_socket(self.socket, server_hostname=host, do_handshake_on_connect=False)
        self.socket = encrypted
        encrypted.do_handshake()

    def cut(self) -> None:
        with suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)

    def sendall(self, data: bytes) -> None:
        self.socket.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Metered(self.socket))

    def close(self) -> None:
        """http.client closes before it has read; the connection ends with its time."""


class _Metered(io.RawIOBase):
    """What a server sends, and no more than that: http.client reads a chunk "of -1 bytes" for as long as it comes."""

    def __init__(self, socket: socket.socket) -> None:
        self._socket, self._left = socket, 2 * MOST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        got = self._socket.recv_into(buffer)
        self._left -= got
        if self._left < 0:
            raise OSError(f"the server sends more than {2 * MOST_BYTES // 1024 // 1024} MB")
        return got


@contextmanager
def _until(deadline: float, raw: socket.socket) -> Iterator[_Line]:
    """Cut the connection at the deadline: a server that sends one byte at a time never runs into a socket's timeout."""
    line = _Line(raw)
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), line.cut)
    timer.daemon = True
    timer.start()
    try:
        yield line
    finally:
        timer.cancel()
        line.socket.close()


def _too_large(url: str) -> InputError:
    return InputError(f"{url} is larger than {MOST_BYTES // 1024 // 1024} MB; give a smaller picture.")


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _reason(error: Exception, deadline: float) -> str:
    if isinstance(error, TimeoutError) or time.monotonic() >= deadline:
        return f"it took longer than {SECONDS:g} s"
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
