"""Posts JSON to an address that may hold a secret: it never appears in what is said of a failure.

aiohttp, as for providers: of the clients at hand it is the one with a deadline for the whole exchange, so
that a receiver that answers a byte at a time holds nobody up.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from cajanegra.alerts.targets import Address
from cajanegra.errors import AlertError

if TYPE_CHECKING:
    import aiohttp

_MAX_ANSWER = 4_000
"""Bytes of a refusal that are read."""
_MAX_SHOWN = 200
"""Characters of it that are shown; far fewer, so that no address is cut before it is looked for."""
_REFUSED_FROM = 300


def _without_address(answer: str, url: str) -> str:
    """An answer that may quote what was asked for, as many servers do of what they do not know."""
    for part in urlsplit(url)[1:]:
        for quoted in (part, unquote(part)):
            if len(quoted) > len("/"):
                answer = answer.replace(quoted, "[redacted]")
    return answer


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    answer = b""
    async for some in response.content.iter_any():
        answer += some
        if len(answer) >= _MAX_ANSWER:
            break
    return answer[:_MAX_ANSWER]


async def post(address: Address, body: bytes, headers: Mapping[str, str]) -> None:
    """Post a JSON body; redirects are not followed.

    Raises:
        AlertError: it was not taken.
    """
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=address.timeout)
    sent = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "cajanegra", **headers}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.post(address.url, data=body, headers=sent, allow_redirects=False) as response,
        ):
            status = response.status
            answer = await _beginning(response) if status >= _REFUSED_FROM else b""
    except TimeoutError:
        raise AlertError(f"{address.name} took longer than {address.timeout:g} s") from None
    except aiohttp.InvalidURL:
        raise AlertError(f"{address.name} has no valid URL") from None
    except aiohttp.ClientConnectorError as error:
        reason = error.os_error.strerror or type(error.os_error).__name__
        raise AlertError(f"{address.name} cannot be reached: {reason}") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:  # their words may quote the address
        raise AlertError(f"{address.name} cannot be told: {type(error).__name__}") from None
    if status >= _REFUSED_FROM:
        said = _without_address(" ".join(answer.decode("utf-8", "replace").split()), address.url)[:_MAX_SHOWN]
        raise AlertError(f"{address.name} answered {status}" + (f": {said}" if said else ""))
