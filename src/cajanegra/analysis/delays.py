"""Reads how long a provider asks to wait: from headers, the body, or words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MAX_RETRY_AFTER = 86_400.0
"""Seconds; who asks for more than a day is taken to mean a day."""

_DELAY = re.compile(
    r"(?:try again|retry|wait|available|reset\w*)(?: \w+){0,3} (?:in|after|for)[: ]{1,2}"
    r"(?:(\d{1,4})h)? ?(?:(\d{1,6})m(?!s|i))? ?"
    r"(?:(\d{1,9}(?:\.\d{1,9})?) ?(ms|milliseconds?|s|seconds?|minutes?|hours?)\b)?",
    re.IGNORECASE,
)
_DELAY_WORDS = ("try again", "retry", "wait", "available", "reset")
_SECONDS = {"ms": 0.001, "mil": 0.001, "s": 1.0, "sec": 1.0, "min": 60.0, "hou": 3600.0}
"""Length of a unit of time by the first letters of its name."""


def retry_after(
    headers: Mapping[str, str], errors: list[Mapping[str, Any]], message: str, clock: Callable[[], float]
) -> float | None:
    """The seconds that a provider asks to wait, 0 to ``MAX_RETRY_AFTER``; ``None`` when it does not say.

    Args:
        headers: of the response, names in lower case.
        errors: the error objects of its body.
        message: what the provider said.
        clock: seconds since the Unix epoch, for a ``Retry-After`` that is a date.
    """
    for seconds in (
        _number(headers.get("retry-after-ms"), 0.001),
        _number(headers.get("retry-after")),
        _until(headers.get("retry-after"), clock),
        _retry_delay(errors),
        _delay_in(message),
    ):
        if seconds is not None:
            return min(max(seconds, 0.0), MAX_RETRY_AFTER)
    return None


def _until(date: str | None, clock: Callable[[], float]) -> float | None:
    if not date:
        return None
    from email.utils import parsedate_to_datetime  # only dates need it, and it takes 10 ms

    try:
        return parsedate_to_datetime(date).timestamp() - clock()
    except (TypeError, ValueError, OverflowError):
        return None


def _retry_delay(errors: list[Mapping[str, Any]]) -> float | None:
    """Google's ``RetryInfo``: ``{"error": {"details": [{"retryDelay": "20s"}]}}``."""
    for delay in _delays(errors):
        if isinstance(delay, str) and delay.endswith("s"):
            return _number(delay[:-1])
    return None


def _delays(errors: list[Mapping[str, Any]]) -> Iterator[Any]:
    for found in errors:
        details = found.get("details")
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, Mapping):
                yield detail.get("retryDelay")


def _delay_in(message: str) -> float | None:
    lowered = message.lower()
    if not any(word in lowered for word in _DELAY_WORDS):
        return None
    found = _DELAY.search(message)
    if not found or not any(found.groups()[:3]):
        return None
    hours, minutes, amount, unit = found.groups()
    seconds = int(hours or 0) * 3600.0 + int(minutes or 0) * 60.0
    if amount:
        seconds += float(amount) * _SECONDS[unit.lower()[:3]]
    return seconds


def _number(text: Any, scale: float = 1.0) -> float | None:
    if text is None:
        return None
    try:
        number = float(text) * scale
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
