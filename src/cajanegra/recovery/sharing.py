"""Tells other processes what this one learns, and hears them and the record, on a thread of its own."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cajanegra.domain.failure import Failure, FailureKind
from cajanegra.errors import CajanegraError, SchemaError
from cajanegra.ports import Lessons, ProviderState, SharedState
from cajanegra.recovery.advice import Advice
from cajanegra.recovery.gate import Gate
from cajanegra.recovery.health import Health, Key

INTERVAL = 1.0
"""Seconds between two looks at what the others have learned, while calls are made."""
LONGEST_PAUSE = 60.0
"""Seconds between two tries while the others cannot be reached; it begins with the interval and doubles."""
TROUBLESOME = 4
"""Tries in a row that fail until somebody is told: the tables of a new database take a moment."""
SAME_MOMENT = 0.001
"""Seconds by which what this process said itself may differ once it has been in a database."""
IDLE = 60
"""Looks without a call in between after which the others are no longer listened to."""
OVERLAP = 10.0
"""Seconds that are read again each time: clocks differ, and transactions end later than they begin."""
CURRENT = 5.0
"""Seconds after which what was read is no longer taken for what there is."""

_log = logging.getLogger("cajanegra.recovery")


@dataclass(frozen=True, slots=True)
class Shared:
    """What the processes of an application have in common: closing the states closes all."""

    states: SharedState
    lessons: Lessons


class Sharing:
    """Carries what is learned between ``health`` and the other processes, and lessons to ``advice``.

    No method but ``close`` waits. The thread starts with the first call, and lies down, without a connection,
    while no calls are made.

    Args:
        health: what this process knows.
        advice: what is made of the lessons.
        open_shared: opens what the processes share; called on the thread.
        providers: the names of the accounts.
        wall: seconds since the Unix epoch.
    """

    def __init__(
        self,
        health: Health,
        advice: Advice,
        open_shared: Callable[[], Shared],
        providers: Mapping[str, str],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._health = health
        self._advice = advice
        self._open_shared = open_shared
        self._providers = providers
        self._wall = wall
        self.start_afresh()
        health.on_change = self.note
        advice.is_current = self.is_current
        _sharings.add(self)

    def start_afresh(self) -> None:
        """In a forked child: the thread and its connection are the parent's, and so are its locks."""
        self._health.start_afresh()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._busy = False
        self._closed = False
        self.shared: Shared | None = None
        """What is open now; the thread's alone."""
        self._unsaid: dict[Key, ProviderState] = {}
        self._said: dict[Key, float] = {}
        self._heard: dict[Key, float] = {}
        self._since = 0.0
        self._failures = 0
        self._states_failures = 0
        self._states_again = -float("inf")
        self._exchanged = -float("inf")

    def note(self, key: Key, kind: str, gate: Gate) -> None:
        """Something was learned that the others should know."""
        account, model = key
        now, clock = self._wall(), self._health.now()
        until = now + max(gate.closed_until - clock, 0.0) if kind else now
        asked = gate.not_before > clock
        provider = self._providers.get(account, "")
        with self._lock:
            self._unsaid[key] = ProviderState(account, model, provider, kind, until, asked, now)
        self._wake.set()

    def touch(self) -> None:
        """A call is made: as long as there are some, the others are listened to."""
        if self._busy:
            return
        with self._lock:
            self._busy = True
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="cajanegra-sharing", daemon=True)
                self._thread.start()
        self._wake.set()

    def is_current(self) -> bool:
        """Whether what the others say was read lately, or could not be, so that nobody need wait for it."""
        return self._closed or self._failures > 0 or time.monotonic() - self._exchanged < CURRENT

    def close(self, timeout: float = 5.0) -> None:
        """Say what is unsaid, and stop."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._wake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        try:
            while not self._closed:
                self._wake.wait()
                idle = 0
                while idle < IDLE and not self._closed:
                    idle = 0 if self._busy or self._unsaid else idle + 1
                    self._busy = False  # the next call says that there are still some
                    self._wake.clear()
                    self._exchange()
                    self._wait(min(INTERVAL * 2.0**self._failures, LONGEST_PAUSE))
                self._hang_up()
                if not (self._busy or self._unsaid):
                    self._wake.clear()
            self._exchange()
        finally:
            self._hang_up()

    def _wait(self, seconds: float) -> None:
        """Until the time is over or something was learned."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self._closed:
            self._wake.wait(left)
            if self._unsaid and not self._failures and time.monotonic() >= self._states_again:
                return
            self._wake.clear()

    def _exchange(self) -> None:
        """Hear what people and the record say, say what is new, and hear what is."""
        try:
            if self.shared is None:
                self.shared = self._open_shared()
            self._advice.study(self.shared.lessons)
            if time.monotonic() >= self._states_again:
                self._swap(self.shared.states)
            self._failures = 0
        except CajanegraError as error:
            self._failures += 1
            if self._failures == TROUBLESOME:
                _log.warning("corrections are not read and nothing is shared for now: %s", error)
            self._hang_up()
        self._exchanged = time.monotonic()

    def _swap(self, shared: SharedState) -> None:
        """Say what is new and hear what is; without a table for it, try again later."""
        with self._lock:
            states, self._unsaid = self._unsaid, {}
        try:
            shared.publish(list(states.values()))
            self._said |= {key: state.observed_at for key, state in states.items()}
            now = self._wall()
            for state in shared.read(self._since - OVERLAP):
                self._hear(state, now)
            self._since, self._states_failures = now, 0
        except CajanegraError as error:
            with self._lock:
                self._unsaid = states | self._unsaid
            if not isinstance(error, SchemaError):
                raise
            self._states_failures += 1
            self._states_again = time.monotonic() + min(INTERVAL * 2.0**self._states_failures, LONGEST_PAUSE)
            if self._states_failures == TROUBLESOME:
                _log.warning("what is learned of the providers is not shared for now: %s", error)

    def _hear(self, state: ProviderState, now: float) -> None:
        key = (state.account, state.model)
        known = max(self._said.get(key, 0.0), self._heard.get(key, 0.0))
        if state.account not in self._providers or state.observed_at <= known + SAME_MOMENT:
            return
        self._heard[key] = state.observed_at
        failure = None
        if state.kind and state.until > now:
            failure = Failure(_kind(state.kind), "another process was told so", state.provider, state.model)
        elif state.kind:
            return  # over by now
        until = self._health.now() + state.until - now
        self._health.adopt(key, until, failure, asked=state.asked)

    def _hang_up(self) -> None:
        shared, self.shared = self.shared, None
        if shared is not None:
            shared.states.close()


def _kind(name: str) -> FailureKind:
    try:
        return FailureKind(name)
    except ValueError:  # of a newer version
        return FailureKind.UNKNOWN


_sharings: weakref.WeakSet[Sharing] = weakref.WeakSet()
_inherited: list[Shared | None] = []
"""Kept for good, since ending a connection that the parent uses would end it for the parent."""


def _start_afresh() -> None:
    for sharing in list(_sharings):
        _inherited.append(sharing.shared)
        sharing.start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_afresh)
