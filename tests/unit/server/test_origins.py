from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from cajanegra.server import origins


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST.", "app.localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"]
)
def test_loopback(host: str) -> None:
    assert origins.is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "0.0.0.0",  # noqa: S104 - any address
        "::",
        "example.com",
        "localhost.example.com",
        "127.0.0.1.nip.io",
        "2130706433",
        "10.0.0.1",
    ],
)
def test_not_loopback(host: str) -> None:
    assert not origins.is_loopback(host)


@pytest.mark.parametrize(
    ("header", "host"),
    [
        ("api.example.com", "api.example.com"),
        ("api.example.com:8420", "api.example.com"),
        ("[::1]:8420", "::1"),
        ("user@evil.example", "evil.example"),
        ("", ""),
        ("[::1", ""),
    ],
)
def test_the_name_by_which_the_server_was_called(header: str, host: str) -> None:
    assert origins.host_of(Headers({"host": header})) == host


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("api.example.com", True),
        ("API.example.com.", True),
        ("a.tools.example.com", True),
        ("tools.example.com", False),
        ("evil-tools.example.com", False),
        ("example.com", False),
        ("", False),
    ],
)
def test_allowed_hosts(host: str, allowed: bool) -> None:
    assert origins.is_allowed_host(host, ["api.example.com", "*.tools.example.com"]) is allowed


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"origin": "http://127.0.0.1:8420"}, True),
        ({"origin": "https://pages.example.com"}, True),
        ({"origin": "http://127.0.0.1:9999"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "http://[::1"}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
    ],
)
def test_whose_page_asks(headers: dict[str, str], own: bool) -> None:
    sent = Headers({"host": "127.0.0.1:8420", **headers})
    for required in (True, False):
        assert origins.is_own_page(sent, ["https://pages.example.com"], required=required) is own


def test_who_says_nothing_is_no_browser() -> None:
    sent = Headers({"host": "127.0.0.1:8420"})
    assert origins.is_own_page(sent, [], required=False)
    assert not origins.is_own_page(sent, [], required=True)


def test_a_page_behind_a_proxy_with_tls_is_the_servers_own() -> None:
    sent = Headers({"host": "api.example.com", "origin": "https://api.example.com"})
    assert origins.is_own_page(sent, [], required=True)


@given(st.text(), st.text())
def test_no_header_is_an_error(host: str, origin: str) -> None:
    sent = Headers(raw=[(b"host", host.encode()), (b"origin", origin.encode())])
    origins.host_of(sent)
    origins.is_own_page(sent, [], required=True)
