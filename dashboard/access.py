"""Who may read the pages: this machine alone, or whoever holds the token; and what a page may load."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Flask, Response, request

COOKIE = "facevalue_token"
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Whether an address or name means this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def new_token() -> str:
    """A token nobody can guess."""
    return secrets.token_urlsafe(24)


def host_name(header: str) -> str:
    """The name in a Host header, without its port; empty where it is none."""
    return urlsplit(f"//{header}").hostname or ""


def protect(server: Flask, token: str | None = None, names: frozenset[str] = LOCAL_NAMES) -> None:
    """Refuse requests that must not be answered.

    Without a token only the ``names`` of this machine are answered (so that a foreign page cannot reach it under a name
    of its own: DNS rebinding). With one, every request needs it: once as ``?token=``, then from the cookie.
    Requests that a foreign page makes a browser send are refused in both cases.
    """
    server.before_request(lambda: _wrong_place(token, names) or _wrong_origin() or _no_token(token))


def _wrong_place(token: str | None, names: frozenset[str]) -> Response | None:
    if token is None and host_name(request.host) not in names:
        return _refuse(f"This address is not served; open the page at {' or '.join(sorted(names))}.")
    return None


def _wrong_origin() -> Response | None:
    origin = request.headers.get("Origin")
    if request.method not in ("GET", "HEAD") and origin and urlsplit(origin).netloc != request.host:
        return _refuse("Another site asked for this.")
    return None


def _no_token(token: str | None) -> Response | None:
    if token is None or hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), token.encode()):
        return None
    if not hmac.compare_digest(request.args.get("token", "").encode(), token.encode()):
        return _refuse("This page needs its access token; open the address that the server printed when it started.")
    response = Response(status=302, headers={"Location": "/" + request.path.lstrip("/")})
    response.set_cookie(COOKIE, token, httponly=True, samesite="Strict")
    return response


def _refuse(sentence: str) -> Response:
    return Response(f"{sentence}\n", status=403, mimetype="text/plain")


def add_headers(server: Flask, script_hashes: Callable[[], list[str]]) -> None:
    """Let pages load nothing from elsewhere, and nobody frame them.

    ``script_hashes`` gives the CSP hashes of the page's own inline scripts, asked once at the first answer.
    """
    policy: list[str] = []

    def headers(response: Response) -> Response:
        if not policy:
            policy.append(content_policy(script_hashes()))
        response.headers.setdefault("Content-Security-Policy", policy[0])
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "no-referrer")
        return response

    server.after_request(headers)


def content_policy(hashes: list[str]) -> str:
    """The Content-Security-Policy: everything from this server; styles may be inline, as Mantine writes them."""
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {' '.join(hashes)}".strip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "media-src 'self' blob:",
            "worker-src 'self' blob:",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
