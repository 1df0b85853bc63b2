"""The calls that are made of the world, and the one right answer to each.

Words in double brackets stand where a prompt must be read: in the system message, and at the beginning and
the end (in a document: throughout) of the last user message. The right answer is a checksum of all of them:
a prompt that lost one, by whomever, gets another answer. Earlier turns hold none: they may be dropped.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Message = Mapping[str, Any]
Size = Literal["small", "document", "conversation"]

DEADLINE = 20.0
"""Seconds that a call may take from its arrival, where it is not an impatient one."""

WARM_UP = 90_000
"""Calls with this number or a higher one are made before the world begins."""

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "checksum": {"type": "string"},
        "words": {"type": "array", "items": {"type": "string"}},
        "count": {"type": "integer"},
    },
    "required": ["checksum", "words", "count"],
    "additionalProperties": False,
}
RESPONSE_FORMAT: Mapping[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "checksum", "strict": True, "schema": SCHEMA},
}

_POOL = (
    *("invoice", "receipt", "ledger", "tenant", "import", "module", "amount", "client", "vendor", "order"),
    *("stock", "price", "margin", "report", "period", "balance", "account", "branch", "filing", "total"),
)
_CHARACTERS_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4
_ANSWER_WORDS = 24
_PARAGRAPH = 400
"""Tokens of a document between two marked words."""
_MARKED = re.compile(r"\[\[([0-9a-f]{8})\]\]")
_NUMBER = re.compile(r"call-(\d{5})")


def chance(*parts: object) -> float:
    """A number in [0, 1) that depends on nothing but the parts."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the application.

    Attributes:
        number: finds it in every log.
        arrival: seconds from the beginning of the world at which it is made.
        as_json: whether an answer by ``SCHEMA`` is asked for.
        streamed: whether the answer is wanted piece by piece.
        messages: what is asked.
        essential_tokens: what is left of the prompt when all that may be dropped is dropped.
        parameters: what else is asked for, and may be left out.
        deadline: seconds that it may take from its arrival.
    """

    number: int
    arrival: float
    as_json: bool
    streamed: bool
    messages: Sequence[Message]
    essential_tokens: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    deadline: float = DEADLINE

    def is_right(self, text: str) -> bool:
        """Whether this is the answer, as an application would read it."""
        right = answer_to(self.messages, as_json=self.as_json)
        if not self.as_json:
            return text.strip() == right
        try:
            return bool(json.loads(text) == json.loads(right))
        except ValueError:
            return False


def make_call(
    seed: int, number: int, arrival: float, *, as_json: bool, streamed: bool, size: Size, tokens: int
) -> Call:
    """A call with a prompt of about so many tokens."""

    def marked(place: object) -> str:
        return f"[[{int(chance(seed, number, place) * 2**32):08x}]]"

    system = {
        "role": "system",
        "content": f"Answer with the checksum of all marked words. {marked('system')}",
    }
    paragraphs = max(tokens // _PARAGRAPH, 1) if size == "document" else 1
    body = "\n".join(
        f"{_filler(seed, number, part, _PARAGRAPH if size == 'document' else 40)} {marked(part)}"
        for part in range(paragraphs)
    )
    last = {"role": "user", "content": f"call-{number:05d} {marked('first')}\n{body}\n{marked('last')}"}
    history: list[Message] = []
    if size == "conversation":
        for turn in range(max(tokens // (2 * _PARAGRAPH), 1)):
            history.append({"role": "user", "content": _filler(seed, number, ("asked", turn), _PARAGRAPH)})
            history.append(
                {"role": "assistant", "content": _filler(seed, number, ("said", turn), _PARAGRAPH)}
            )
    essential = [system, last]
    return Call(
        number, arrival, as_json, streamed, [system, *history, last], essential_tokens=tokens_of(essential)
    )


def _filler(seed: int, number: int, place: object, tokens: int) -> str:
    start = int(chance(seed, number, place, "filler") * len(_POOL))
    words = [_POOL[(start + i * 7) % len(_POOL)] for i in range(len(_POOL))]
    paragraph = " ".join(words) + ". "
    size = tokens * _CHARACTERS_PER_TOKEN
    return (paragraph * (size // len(paragraph) + 1))[:size].strip()


def text_of(message: Message) -> str:
    """The text of a message, whose content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def tokens_of(messages: Sequence[Message]) -> int:
    """Tokens by this world's own tokenizer."""
    return sum(len(text_of(message)) // _CHARACTERS_PER_TOKEN + _TOKENS_PER_MESSAGE for message in messages)


def number_of(messages: Sequence[Message]) -> int | None:
    """Which call a prompt belongs to, if it can still be told."""
    found = [_NUMBER.search(text_of(message)) for message in messages]
    return next((int(match.group(1)) for match in found if match), None)


def answer_to(messages: Sequence[Message], *, as_json: bool) -> str:
    """The right answer to what was asked, and to nothing else."""
    words = [word for message in messages for word in _MARKED.findall(text_of(message))]
    digest = hashlib.sha256("|".join(words).encode()).digest()
    checksum = digest.hex()[:16]
    filler = [_POOL[byte % len(_POOL)] for byte in digest[:_ANSWER_WORDS]]
    if as_json:
        return json.dumps({"checksum": checksum, "words": filler, "count": len(words)})
    return (
        f"The checksum is {checksum}: {' '.join(filler)}, of {len(words)} words, seal {digest.hex()[-16:]}."
    )
