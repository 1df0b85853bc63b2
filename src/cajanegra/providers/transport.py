"""HTTP to one provider: requests out, bounded answers in, and every way to fail told apart.

Nothing here knows a wire format. aiohttp stays behind this module.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
from yarl import URL

from cajanegra.cohort import next_stage
from cajanegra.domain.failure import Failure, FailureKind, ProviderError
from cajanegra.errors import SettingsError
from cajanegra.patience import Patience
from cajanegra.ports import FailureReader
from cajanegra.providers.sessions import sessions

MAX_ANSWER_BYTES = 32 * 1024 * 1024
"""Longest answer that is read, streamed ones included; no model writes that much."""

_DRAIN_SECONDS = 0.05


class Response(msgspec.Struct, frozen=True, gc=False):
    """An answer as it came; the case of header names does not matter."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class StreamedResponse:
    """An answer whose body is still coming; the case of header names does not matter."""

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        deadline: float,
        patience: Patience,
        fail: Callable[[Exception], ProviderError],
    ) -> None:
        self.status = response.status
        self.headers = response.headers
        self._response = response
        self._content = response.content
        self._deadline = deadline
        self._fail = fail
        self._bytes = 0
        self._patience = patience

    @property
    def is_whole(self) -> bool:
        """Whether all of the body has come, and been read."""
        return self._content.at_eof()

    def close(self) -> None:
        """Give the connection back, if the whole body was read, or else close it."""
        self._patience.close()
        self._response.close()

    def hurry(self, seconds: float) -> None:
        """Allow at most so many more seconds for the rest of the body."""
        self._deadline = min(self._deadline, asyncio.get_running_loop().time() + seconds)

    async def piece(self) -> bytes:
        """The next bytes of the body as they arrive; empty at its end.

        Raises:
            ProviderError: the connection broke, the time is over, or the body is too long.
        """
        content = self._content
        try:
            if content.total_bytes > self._bytes:  # it is here already
                piece = content.read_nowait()
            else:
                with self._patience.until(self._deadline):
                    piece = await content.readany()
            self._count(piece)
        except Exception as error:  # noqa: BLE001 - whatever it is becomes a failure with its kind
            failed = self._broken(error)
        else:
            return piece
        raise failed

    def _broken(self, error: Exception) -> ProviderError:
        failed = self._fail(error)
        if failed.failure.kind is FailureKind.CONNECTION:  # the head was there: the body is what was lost
            failed = ProviderError(replace(failed.failure, kind=FailureKind.STREAM_INTERRUPTED))
        return failed

    def _count(self, piece: bytes) -> None:
        self._bytes += len(piece)
        if self._bytes > MAX_ANSWER_BYTES:
            raise _TooLongError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")

    async def read(self) -> bytes:
        """The whole rest of the body.

        Raises:
            ProviderError: as ``piece``.
        """
        content = self._content
        try:
            if content.is_eof() and content.exception() is None:  # a short one came with its head
                body = content.read_nowait()
                self._count(body)
            else:
                with self._patience.until(self._deadline):
                    body = await self._rest()
        except Exception as error:  # noqa: BLE001 - whatever it is becomes a failure with its kind
            failed = self._broken(error)
        else:
            return body
        raise failed

    async def _rest(self) -> bytes:
        pieces = []
        while piece := await self._content.readany():
            self._count(piece)
            pieces.append(piece)
        return b"".join(pieces)

    async def drain(self) -> None:
        """Read the rest, which matters to nobody, so that the connection can be used again."""
        if self.is_whole:
            return
        self.hurry(_DRAIN_SECONDS)
        try:
            while await self.piece():
                pass
        except ProviderError:
            return


class Transport:
    """Connections to one provider, kept alive and shared by all tasks of a loop.

    Every event loop has its own connections, which close with it. After a fork the child makes new ones.

    Args:
        provider: its name, for failures.
        base_url: what paths are appended to; a proxy for it is taken from the environment.
        api_key: sent as a bearer token; never shown.
        reader: makes failures of exceptions that are not told apart here.

    Raises:
        SettingsError: the URL or the key cannot be used.
    """

    def __init__(self, provider: str, base_url: str, api_key: str | None, reader: FailureReader) -> None:
        self._provider = provider
        self._base_url = _checked_url(provider, base_url)
        self._key = _checked_key(provider, api_key)
        self._reader = reader
        self._headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if self._key:
            self._headers["authorization"] = f"Bearer {self._key}"
        self._proxy = _proxy_of(self._base_url)
        self._urls: dict[str, URL] = {}
        self._sessions = sessions()

    def __repr__(self) -> str:
        return f"Transport({self._provider!r}, {urlsplit(self._base_url).hostname!r})"

    async def post_json(
        self, path: str, payload: Any, *, timeout: float, model: str | None = None
    ) -> Response:
        """Send JSON and read the whole answer, whatever its status; redirects are not followed.

        Args:
            path: appended to the base URL.
            payload: encoded as JSON.
            timeout: seconds from now until the last byte.
            model: for failures.

        Raises:
            ProviderError: no complete answer came in time.
        """
        response = await self.stream_json(path, payload, timeout=timeout, model=model)
        try:
            await next_stage()
            return Response(response.status, response.headers, await response.read())
        finally:
            response.close()

    async def stream_json(
        self, path: str, payload: Any, *, timeout: float, model: str | None = None
    ) -> StreamedResponse:
        """Send JSON and return the answer as soon as its head is there; the caller closes it.

        Raises:
            ProviderError: no head came in time; ``StreamedResponse`` raises the same for the body.
        """
        begin = asyncio.get_running_loop().time()
        deadline = begin + timeout
        patience = Patience()

        def fail(error: Exception) -> ProviderError:
            # Raised outside the except block: the library's exceptions hold the request's headers and key.
            seconds = asyncio.get_running_loop().time() - begin
            return ProviderError(self._failure(error, model, seconds))

        try:
            body = _encode(payload)
            await next_stage()
            session = await self._sessions.here()
            with patience.until(deadline):
                response = await session.post(
                    self._url(path),
                    data=body,
                    headers=self._headers,
                    proxy=self._proxy,
                    allow_redirects=False,
                )
        except Exception as error:  # noqa: BLE001 - whatever it is becomes a failure with its kind
            failed = fail(error)
        else:
            return StreamedResponse(response, deadline, patience, fail)
        raise failed

    def without_key(self, text: str) -> str:
        """The text without this provider's key, should the provider have repeated it."""
        return text.replace(self._key, "[key]") if self._key else text

    async def aclose(self) -> None:
        """Close every connection, those of other running loops included."""
        await self._sessions.aclose()

    def _url(self, path: str) -> URL:
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = URL(self._base_url + path)
        return url

    def _failure(self, error: Exception, model: str | None, seconds: float) -> Failure:
        kind = next((kind for types, kind in _KINDS if isinstance(error, types)), None)
        if kind is None:
            return self._reader.from_exception(error, provider=self._provider, model=model)
        message = f"no complete answer within {seconds:.3g} s" if kind is FailureKind.TIMEOUT else str(error)
        return Failure(
            kind,
            self.without_key(message) or type(error).__name__,
            self._provider,
            model,
            exception_type=f"{type(error).__module__}.{type(error).__qualname__}",
        )


class _TooLongError(Exception):
    """A body beyond ``MAX_ANSWER_BYTES``."""


class _UnsendableError(Exception):
    """A payload that is not JSON."""


_KINDS: tuple[tuple[tuple[type[Exception], ...], FailureKind], ...] = (
    ((TimeoutError,), FailureKind.TIMEOUT),
    ((_UnsendableError,), FailureKind.INVALID_REQUEST),
    ((aiohttp.ClientConnectorDNSError,), FailureKind.DNS),
    ((aiohttp.ClientSSLError, ssl.SSLError), FailureKind.TLS),
    ((aiohttp.ClientPayloadError,), FailureKind.STREAM_INTERRUPTED),
    ((aiohttp.ClientHttpProxyError, aiohttp.ClientConnectionError, OSError), FailureKind.CONNECTION),
    ((aiohttp.ClientResponseError, _TooLongError, ValueError), FailureKind.INVALID_RESPONSE),
)
"""The first match decides."""


def _encode(payload: Any) -> bytes:
    try:
        return msgspec.json.encode(payload)
    except UnicodeEncodeError:  # a lone surrogate, which only an escape can carry
        return json.dumps(payload).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _UnsendableError(f"the request cannot be written as JSON: {error}") from None


def _checked_url(provider: str, base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        URL(base_url)
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(f"the base_url of provider {provider!r} is not an http or https URL")
    return base_url.rstrip("/")


def _checked_key(provider: str, api_key: str | None) -> str | None:
    key = api_key.strip() if api_key else ""
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(f"the API key of provider {provider!r} holds characters that no header can carry")
    return key or None


def _proxy_of(base_url: str) -> str | None:
    """The proxy that the environment names for a URL; looked up once, it costs as much as a request."""
    parts = urlsplit(base_url)
    if urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return urllib.request.getproxies().get(parts.scheme)
