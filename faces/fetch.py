"""A picture from a URL, fetched with limits and never from an address within.

The name is resolved once a hop, every address it has must be public, and the connection goes to the address that was
checked, so that a name cannot mean another machine a moment later. No proxy is used.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from faces.errors import InputError

MOST_BYTES = 10 * 1024 * 1024
SECONDS = 10.0
"""For everything together: names, connections, redirects, content."""
REDIRECTS = 3
CHUNK = 64 * 1024

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
        address = _public_address(url, parts, deadline, resolve)
        try:
            content, onward = _get(url, parts, address, deadline, connect)
        except (OSError, http.client.HTTPException, ssl.SSLError) as error:
            raise InputError(f"{url} could not be fetched: {_reason(error, deadline)}; check the address.") from None
        if content is not None:
            return content
        url = urljoin(url, onward)
    raise InputError(f"{url} is the end of more than {REDIRECTS} redirects; give the picture's own address.")


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        named = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        named = False
    if not named or any(character.isspace() or ord(character) < 32 for character in url):
        raise InputError(f"{url!r} is no address of a picture; http://HOST/PATH or https://HOST/PATH was expected.")
    if parts.username is not None:
        raise InputError(f"The address {url!r} carries a user name; one without was expected: leave it out.")
    return parts


def _public_address(url: str, parts: SplitResult, deadline: float, resolve: Resolve) -> str:
    """One address of the host, after all of them were found public."""
    host, port = str(parts.hostname), _port(parts)
    worker = ThreadPoolExecutor(1)
    try:
        found = worker.submit(resolve, host, port).result(timeout=max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        raise InputError(f"The name {host!r} of {url} was not resolved within {SECONDS:g} s; try again.") from None
    except (OSError, UnicodeError) as error:
        raise InputError(f"The name {host!r} of {url} is not known ({error}); check the address.") from None
    finally:
        worker.shutdown(wait=False)
    inside = [address for address in found if not is_public(address)]
    if inside or not found:
        raise InputError(
            f"{url} leads to {inside[0] if inside else 'no address'}, which is not a public address; pictures are not "
            "fetched from this machine or its network: save the picture and give the file."
        )
    return found[0]


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
        if ip.sixtofour or ip.teredo:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


def _translated(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address within a NAT64 one (64:ff9b::/96) or an IPv4-compatible one (::/96)."""
    prefixes = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if any(ip in prefix for prefix in prefixes) else None


def _get(
    url: str, parts: SplitResult, address: str, deadline: float, connect: Connect
) -> tuple[bytes, str] | tuple[None, str]:
    """The content and "", or None and where the server sends us on."""
    port = _port(parts)
    with _until(deadline, connect(address, port, max(0.01, deadline - time.monotonic()))) as line:
        if parts.scheme == "https":
            line.encrypt(str(parts.hostname))
        connection = http.client.HTTPConnection(str(parts.hostname), port)
        connection.sock = line.socket
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Host": parts.netloc, "Accept": "image/*", "Accept-Encoding": "identity", "Connection": "close"}
        connection.request("GET", path, headers={**headers, "User-Agent": "facevalue"})
        answer = connection.getresponse()
        onward = answer.getheader("Location")
        if answer.status in (301, 302, 303, 307, 308) and onward:
            return None, onward
        _check_head(url, answer)
        return _body(url, answer, deadline), ""


def _check_head(url: str, answer: http.client.HTTPResponse) -> None:
    if answer.status != 200:
        raise InputError(f"{url} answered {answer.status} {answer.reason}; a picture was expected: check the address.")
    kind = answer.getheader("Content-Type", "")
    if not kind.lower().startswith("image/") or answer.getheader("Content-Encoding", "identity") != "identity":
        raise InputError(
            f"{url} is {kind or 'of no type'} and no picture; give the address of the image itself, not of its page."
        )
    length = answer.getheader("Content-Length", "0")
    if length.isdigit() and int(length) > MOST_BYTES:
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
    """A connection that can be cut from another thread, encrypted or not."""

    socket: socket.socket

    def encrypt(self, host: str) -> None:
        context = ssl.create_default_context()
        encrypted = context.wrap_socket(self.socket, server_hostname=host, do_handshake_on_connect=False)
        self.socket = encrypted
        encrypted.do_handshake()

    def cut(self) -> None:
        with suppress(OSError):
            socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


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
