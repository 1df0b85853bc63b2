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
RENEWED = FRESH / 2
"""Seconds after which one of those who use a key asks for it again, while it still holds for the others.

Were it asked for when it holds no more, all those who use it at that moment would ask at once.
"""
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
        self._asking: dict[tuple[Kind, str], float] = {}
        """What somebody has set out to ask for again, and when; whoever gave up is replaced."""
        self._lock = threading.Lock()
        self._has_keys = False
        self._none_at = float("-inf")

    def recall(self, kind: Kind, secret: str) -> Key | None:
        """The key that a text is, or that a browser's session stands for, if that was found out just now.

        Looks nothing up. It is found by the hash of what the caller sent, which tells nothing of how near a
        guess was. Of those who ask after a while one is told nothing, who is to ask ``verify`` then.
        """
        name = kind, domain_keys.digest(secret)
        known = self._held(name, FRESH)
        if known is None or (self._timer() - known.at > RENEWED and self._is_first(name)):
            return None
        return known.key

    def was_seen(self, kind: Kind, secret: str) -> bool:
        """Whether this held lately; who sends it guesses at nothing."""
        return self._held((kind, domain_keys.digest(secret)), GRACE) is not None

    def verify(self, kind: Kind, secret: str) -> Key | None:
        """The key that a text is, or that a browser's session stands for, if it holds.

        Raises:
            StorageError: the database cannot be read, and the secret was not seen lately.
        """
        name = kind, domain_keys.digest(secret)
        try:
            return self._verified(name, secret)
        finally:
            self._asking.pop(name, None)

    def _verified(self, name: tuple[Kind, str], secret: str) -> Key | None:
        now = self._timer()
        try:
            key = self._find(name[0], secret)
        except StorageError:
            known = self._held(name, GRACE)
            if known is None:
                raise
            return known.key
        if key is not None and not key.is_valid(self._clock()):
            key = None
        self._remember(name, key, now)
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

    def _held(self, name: tuple[Kind, str], age: float) -> _Known | None:
        known = self._known.get(name)
        if known is None or self._timer() - known.at > age or not known.key.is_valid(self._clock()):
            return None
        return known

    def _is_first(self, name: tuple[Kind, str]) -> bool:
        """Whether nobody else has just set out to ask for it."""
        now = self._timer()
        with self._lock:
            if now - self._asking.get(name, float("-inf")) <= RENEWED:
                return False
            self._asking[name] = now
        return True

    def _remember(self, name: tuple[Kind, str], key: Key | None, now: float) -> None:
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
