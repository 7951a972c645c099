"""Who is answered."""

from __future__ import annotations

import pytest
from flask import Flask

from dashboard import access


@pytest.fixture
def server() -> Flask:
    server = Flask("test")
    server.add_url_rule("/", "index", lambda: "page", methods=["GET", "POST"])
    return server


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1", "[::1]"])
def test_loopback(host: str) -> None:
    assert access.is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "::", "example.org"])
def test_not_loopback(host: str) -> None:
    assert not access.is_loopback(host)


@pytest.mark.parametrize("host", ["localhost:8050", "127.0.0.1", "[::1]:8050"])
def test_this_machine_is_answered(server: Flask, host: str) -> None:
    access.protect(server)
    assert server.test_client().get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:8050", "10.0.0.1", ""])
def test_other_names_are_refused(server: Flask, host: str) -> None:
    access.protect(server)
    assert server.test_client().get("/", headers={"Host": host}).status_code == 403


def test_another_site_cannot_post(server: Flask) -> None:
    access.protect(server)
    client = server.test_client()
    assert client.post("/", headers={"Host": "localhost", "Origin": "http://evil.example"}).status_code == 403
    assert client.post("/", headers={"Host": "localhost:8050", "Origin": "http://localhost:8050"}).status_code == 200


def test_a_token_is_asked_for_and_kept_in_a_cookie(server: Flask) -> None:
    access.protect(server, token="secret")
    client = server.test_client()
    assert client.get("/").status_code == 403
    assert client.get("/?token=wrong").status_code == 403
    admitted = client.get("/?token=secret")
    assert admitted.status_code == 302
    assert "token" not in admitted.headers["Location"]
    assert "HttpOnly" in admitted.headers["Set-Cookie"] and "SameSite=Strict" in admitted.headers["Set-Cookie"]
    assert client.get("/").status_code == 200


def test_the_token_does_not_redirect_elsewhere(server: Flask) -> None:
    access.protect(server, token="secret")
    answer = server.test_client().get("//evil.example/x?token=secret")
    assert answer.headers["Location"].startswith("/") and not answer.headers["Location"].startswith("//")


def test_pages_load_nothing_from_elsewhere(server: Flask) -> None:
    access.add_headers(server, lambda: ["'sha256-x'"])
    headers = server.test_client().get("/").headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["script-src"] == "'self' 'sha256-x'"
    assert policy["frame-ancestors"] == "'none'"
    assert "Access-Control-Allow-Origin" not in headers
