"""API keys: what they look like, and what of them is kept."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field

from cajanegra.errors import UsageError

_PREFIX_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without those that are taken for one another when read aloud."""
_PREFIX_SIZE = 10
_SECRET_BYTES = 32
MOST = 1_000_000_000
"""Of whatever is limited."""
MOST_LETTERS = 4_000
_KEY = re.compile(rf"(cn_[{_PREFIX_LETTERS}]{{{_PREFIX_SIZE}}})_[A-Za-z0-9_-]{{43}}")
_SESSION = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A key or a session's token, at the only moment when it is known.

    Attributes:
        text: what the caller is given, once.
        prefix: its beginning, which names it in lists; empty for a session.
        digest: what is stored.
    """

    text: str = field(repr=False)
    prefix: str
    digest: str


def new_key() -> NewSecret:
    """A key: ``cn_``, ten letters that name it, and 256 random bits."""
    prefix = "cn_" + "".join(secrets.choice(_PREFIX_LETTERS) for _ in range(_PREFIX_SIZE))
    text = f"{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    return NewSecret(text, prefix, digest(text))


def new_session() -> NewSecret:
    """A browser session's token: 256 random bits."""
    text = secrets.token_urlsafe(_SECRET_BYTES)
    return NewSecret(text, "", digest(text))


def key_prefix(text: str) -> str | None:
    """The prefix of what may be a key; ``None`` for what cannot be one."""
    found = _KEY.fullmatch(text)
    return found[1] if found else None


def is_session(text: str) -> bool:
    """Whether it may be a session's token."""
    return _SESSION.fullmatch(text) is not None


def digest(text: str) -> str:
    """SHA-256 of a key or token, in hexadecimal.

    A slow hash (bcrypt, Argon2) makes guessing costly where people choose the secret. Nobody can try 2²⁵⁶
    random ones at any speed, so a fast hash keeps them as safe, and costs each request a microsecond.
    """
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What a key may use the gateway for; what is not limited is ``None`` or empty.

    Attributes:
        models: aliases, ``provider/model`` or models' own names, with ``*`` and ``?`` for any letters.
        requests_per_minute: calls in a minute of the clock (UTC).
        tokens_per_minute: tokens of their prompts and answers in it.
        monthly_budget: US dollars that answers may cost in a month of the calendar (UTC).

    Raises:
        UsageError: a number is not more than 0, or a name is empty.
    """

    models: tuple[str, ...] = ()
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    monthly_budget: float | None = None

    def __post_init__(self) -> None:
        for name in ("requests_per_minute", "tokens_per_minute", "monthly_budget"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= MOST:
                raise UsageError(f"{name} must be more than 0 and at most {MOST}, not {value}")
        if not all(self.models):
            raise UsageError("the name of a model that is allowed is empty")
        if sum(map(len, self.models)) > MOST_LETTERS:
            raise UsageError(f"the names of allowed models may have {MOST_LETTERS} letters together")

    @property
    def are_none(self) -> bool:
        """Whether nothing is limited."""
        return self == KeyLimits()
