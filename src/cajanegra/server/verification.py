"""Whether a key or session holds, asked of the database every two seconds at most."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from cajanegra.domain import keys as domain_keys
from cajanegra.errors import StorageError
from cajanegra.storage import keys
from cajanegra.storage.database import Database
from cajanegra.storage.keys import Key

Kind = Literal["key", "session"]

logger = logging.getLogger("cajanegra.server")

FRESH = 2.0
"""Seconds for which what the database said holds: how long a revoked key can still be used."""
GRACE = 300.0
"""Seconds for which a key that held is accepted while the database is away, so that this stops no call.

Nobody can revoke a key then either, since that is written in the same database.
"""
MAX_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    key: Key
    at: float


class Verification:
    """Remembers which keys hold. Safe for all threads.

    Args:
        database: has the keys.
        clock: the time, aware.
        timer: seconds of a monotonic clock.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._clock = clock
        self._timer = timer
        self._known: OrderedDict[tuple[Kind, str], _Known] = OrderedDict()
        self._lock = threading.Lock()
        self._has_keys = False
        self._none_at = float("-inf")

    def recall(self, kind: Kind, secret: str) -> Key | None:
        """The key that a text is, or that a browser's session stands for, if that was found out just now.

        Looks nothing up. It is found by the hash of what the caller sent, which tells nothing of how near a
        guess was.
        """
        return self._recalled(kind, secret, FRESH)

    def was_seen(self, kind: Kind, secret: str) -> bool:
        """Whether this held lately; who sends it guesses at nothing."""
        return self._recalled(kind, secret, GRACE) is not None

    def verify(self, kind: Kind, secret: str) -> Key | None:
        """The key that a text is, or that a browser's session stands for, if it holds.

        Raises:
            StorageError: the database cannot be read, and the secret was not seen lately.
        """
        now = self._timer()
        try:
            key = self._find(kind, secret)
        except StorageError:
            key = self._recalled(kind, secret, GRACE)
            if key is None:
                raise
            return key
        if key is not None and not key.is_valid(self._clock()):
            key = None
        self._remember(kind, secret, key, now)
        if key is not None:
            self._note_use(key)
        return key

    def forget_session(self, token: str) -> None:
        """Ask the database again next time."""
        with self._lock:
            self._known.pop(("session", domain_keys.digest(token)), None)

    def recall_keyless(self) -> bool | None:
        """Whether no key was ever made, if that is known without looking it up."""
        if self._has_keys:  # their rows stay when they are revoked: a server does not open up again
            return False
        return True if self._timer() - self._none_at <= FRESH else None

    def is_keyless(self) -> bool:
        """Whether no key was ever made.

        Raises:
            StorageError: the database cannot be read, and there was not lately none.
        """
        now, known = self._timer(), self.recall_keyless()
        if known is not None:
            return known
        try:
            self._has_keys = keys.is_any(self._database)
        except StorageError:
            if now - self._none_at > GRACE:
                raise
            return True
        if not self._has_keys:
            self._none_at = now
        return not self._has_keys

    def _find(self, kind: Kind, secret: str) -> Key | None:
        if kind == "key":
            return keys.find(self._database, secret)
        return keys.find_session(self._database, secret, self._clock())

    def _recalled(self, kind: Kind, secret: str, age: float) -> Key | None:
        known = self._known.get((kind, domain_keys.digest(secret)))
        if known is None or self._timer() - known.at > age or not known.key.is_valid(self._clock()):
            return None
        return known.key

    def _remember(self, kind: Kind, secret: str, key: Key | None, now: float) -> None:
        name = kind, domain_keys.digest(secret)
        with self._lock:
            self._known.pop(name, None)
            if key is not None:
                self._known[name] = _Known(key, now)
                if len(self._known) > MAX_REMEMBERED:
                    self._known.popitem(last=False)

    def _note_use(self, key: Key) -> None:
        now = self._clock()
        if not key.is_use_noted(now):
            try:
                keys.note_use(self._database, key, now)
            except StorageError as error:  # the key holds all the same
                logger.warning("the last use of %s could not be written down: %s", key.prefix, error)
