"""Where a request comes from, as far as a browser says it: against DNS rebinding and forged requests."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers

_DEFAULT_PORTS = {"http": 80, "https": 443}
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


def is_loopback(host: str) -> bool:
    """Whether a name or address can only be this machine."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_of(headers: Headers) -> str:
    """The name by which the server was called, without a port; empty where it makes no sense."""
    try:
        return urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        return ""


def is_forwarded(headers: Headers) -> bool:
    """Whether a proxy says that it stands before the server."""
    return any(name in headers for name in _FORWARDED)


def is_allowed_host(host: str, allowed: Collection[str]) -> bool:
    """Whether the server may be called by this name; ``*.example.com`` allows every name below it."""
    name = host.lower().rstrip(".")
    return any(
        name == pattern.lower() or (pattern.startswith("*.") and name.endswith(pattern[1:].lower()))
        for pattern in allowed
    )


def is_own_page(headers: Headers, allowed: Collection[str], *, required: bool) -> bool:
    """Whether the page that makes a request is the server's own, or of an allowed origin.

    Args:
        headers: of the request.
        allowed: further origins, as ``https://tools.example.com``.
        required: whether a request that says nothing about its page is refused; only browsers say it.
    """
    origin = headers.get("origin")
    if origin is None:
        site = headers.get("sec-fetch-site")
        return not required if site is None else site in ("same-origin", "none")
    try:
        url = urlsplit(origin)
        called = urlsplit(f"{url.scheme}://{headers.get('host', '')}")
        own = url.hostname is not None and _place(url) == _place(called)
    except ValueError:
        own = False
    return own or origin in allowed


def _place(url: SplitResult) -> tuple[str | None, int | None]:
    return url.hostname, url.port or _DEFAULT_PORTS.get(url.scheme)
