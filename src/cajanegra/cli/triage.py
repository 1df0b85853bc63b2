"""Reads failures that somebody else logged, one JSON object a line, and says what they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import msgspec

from cajanegra.analysis.classify import Classifier
from cajanegra.bootstrap import new_patterns
from cajanegra.cli.lines import lines
from cajanegra.settings import Settings


class Logged(msgspec.Struct):
    """What is read of a line; other fields are left alone."""

    message: str
    provider: str | None = None
    http_status: int | None = None
    exception_type: str | None = None


class Triage(msgspec.Struct):
    """What is written for a line."""

    kind: str
    pattern: str
    template: str
    recover: str


def triaged(file: IO[bytes], settings: Settings) -> Iterator[tuple[int, Triage | str]]:
    """Each line's number, counted from 1, with what was found, or with what is wrong with the line.

    Lines are read one at a time; empty ones are passed over.
    """
    classifier, patterns = Classifier(), new_patterns(settings)
    decoder = msgspec.json.Decoder(Logged, strict=False)
    for number, line in lines(file):
        if isinstance(line, str):
            yield number, line
            continue
        try:
            logged = decoder.decode(line)
        except msgspec.ValidationError as error:
            yield number, _in_words(str(error))
            continue
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield number, f"is not a JSON object: {error}"
            continue
        failure = classifier.from_log(
            logged.message,
            provider=logged.provider or "unknown",
            http_status=logged.http_status,
            exception_type=logged.exception_type,
        )
        pattern = patterns.explain(
            provider=failure.provider,
            kind=failure.kind,
            message=failure.message,
            http_status=failure.http_status,
            exception_type=failure.exception_type,
        )
        yield number, Triage(failure.kind, pattern.name, pattern.template, pattern.recover)


def _in_words(reason: str) -> str:
    if "required field `message`" in reason:
        return 'has no "message"'
    what, _, path = reason.partition(" - at `$")
    return (
        f"{path.strip('`.')}: {what[:1].lower()}{what[1:]}"
        if path.strip("`.")
        else f"is not a JSON object: {what}"
    )
